//! The semantic findings against `core::verdict`, packet by packet, on generated groups.
//!
//! The blocks of the rules are eighths of the world, so that one public address of each eighth stands for all of it.

use proptest::{collection::vec, prelude::*};
use sekimori_core::{
    address::Family,
    packet::{Packet, Transport, Why},
    rule::{Action, Direction},
    verdict,
    world::Eni,
};

use super::*;

/// A public address of each eighth but the last, which has none; and how many of them there are in it.
const EIGHTHS: [(&str, u64); 7] = [
    ("1.0.0.0", (1 << 29) - 2 * (1 << 24)),
    ("33.0.0.0", 1 << 29),
    ("65.0.0.0", 1 << 29),
    ("97.0.0.0", (1 << 29) - (1 << 22) - (1 << 24)),
    ("129.0.0.0", 1 << 29),
    ("161.0.0.0", (1 << 29) - (1 << 16) - (1 << 20)),
    ("193.0.0.0", (1 << 29) - (1 << 16)),
];
const BLOCKS: [&str; 9] = [
    "0.0.0.0/0",
    "0.0.0.0/1",
    "128.0.0.0/1",
    "64.0.0.0/2",
    "192.0.0.0/2",
    "0.0.0.0/3",
    "128.0.0.0/3",
    "192.0.2.0/24",
    "::/0",
];
const PORTS: [&str; 6] = ["22", "20-25", "443", "1-65535", "3306-3389", "5000"];

fn rule() -> impl Strategy<Value = String> {
    let action = prop::sample::select(vec!["allow", "allow", "deny"]);
    let protocol = prop::sample::select(vec!["tcp", "tcp", "udp"]);
    let ports = prop::sample::select(PORTS.to_vec());
    let block = prop::sample::select(BLOCKS.to_vec());
    (action, protocol, ports, block, 1..4_u8).prop_map(|(action, protocol, ports, block, priority)| {
        format!("in {action} {protocol} {ports} from {block} priority {priority}")
    })
}

fn packet(eni: &Eni, protocol: u8, port: u16, peer: &str) -> Packet {
    let transport = match protocol {
        6 => Transport::Tcp { source: 40_000, destination: port },
        _ => Transport::Udp { source: 40_000, destination: port },
    };
    let peer: std::net::IpAddr = peer.parse().unwrap();
    let of_family = |own: &&std::net::IpAddr| Family::of(**own) == Family::of(peer);
    let local = *eni.addresses.iter().find(of_family).unwrap();
    Packet { direction: Direction::Ingress, local, peer, transport, is_forwarded: false }
}

fn is_allowed(world: &World, eni: &Eni, packet: &Packet) -> bool {
    verdict::decide_by_groups(world, eni, packet).action == Action::Allow
}

/// Whether everyone gets to a port, by asking the reference about every eighth of the world.
fn is_open(world: &World, eni: &Eni, protocol: u8, port: u16) -> bool {
    let let_in = EIGHTHS.iter().filter(|(peer, _)| is_allowed(world, eni, &packet(eni, protocol, port, peer)));
    let weight: u64 = let_in.map(|(_, weight)| weight).sum();
    let all: u64 = EIGHTHS.iter().map(|(_, weight)| weight).sum();
    weight >= all / 16 || is_allowed(world, eni, &packet(eni, protocol, port, "2001:db8::1"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn findings_agree_with_the_reference(web in vec(rule(), 0..6), wall in vec(rule(), 0..3)) {
        let mut text = String::from("sg web\nsg wall\n");
        web.iter().for_each(|rule| text.push_str(&format!("web: {rule}\n")));
        wall.iter().for_each(|rule| text.push_str(&format!("wall: {rule}\n")));
        text.push_str("eni a 10.0.0.1 fd00::1 in web wall\n");
        let world = fixture::world(&text);
        let eni = world.eni(&"eni-a".into()).unwrap();
        let control = "ecs-security-group-risky-ports-check-with-protocol";
        for port in [22_u16, 21, 443, 3306, 3350, 5000, 40_000] {
            for (protocol, name) in [(6, "tcp"), (17, "udp")] {
                let parameters = [format!("ports={port}"), format!("protocol={name}")];
                let parameters: Vec<&str> = parameters.iter().map(String::as_str).collect();
                let report = ask_of(&world, control, Mode::Semantic, &parameters);
                let expected = is_open(&world, eni, protocol, port);
                prop_assert_eq!(!report.findings.is_empty(), expected, "{}/{}:\n{}", name, port, text);
                for finding in &report.findings {
                    witnesses_pass(&world, eni, finding)?;
                }
            }
        }
    }

    #[test]
    fn remedies_only_take_away_and_what_they_tell(web in vec(rule(), 1..6)) {
        let mut text = String::from("sg web\n");
        web.iter().for_each(|rule| text.push_str(&format!("web: {rule}\n")));
        text.push_str("eni a 10.0.0.1 fd00::1 in web\n");
        let world = fixture::world(&text);
        let eni = world.eni(&"eni-a".into()).unwrap();
        let request = fix::Request {
            finding: "sg-risky-ports-check/sg-web".to_owned(),
            restrict_to: Some("192.0.2.0/24".to_owned()),
            ..Default::default()
        };
        let Ok(plan) = fix::plan(&world, sekimori_core::limits::LimitMode::Cloud, &request, None) else { return Ok(()) };
        let mut trial = crate::trial::Trial::of(&world, sekimori_core::limits::LimitMode::Cloud);
        for command in &plan.commands {
            prop_assert!(trial.run(command).is_ok());
        }
        let after = trial.world();
        prop_assert_eq!(told_of(after, "sg-risky-ports-check", Mode::Semantic, &[]), "pass");
        let peers = EIGHTHS.iter().map(|(peer, _)| *peer).chain(["192.0.2.9", "2001:db8::1"]);
        for peer in peers {
            for port in [22_u16, 21, 443, 3306, 5000, 40_000] {
                for protocol in [6, 17] {
                    let packet = packet(eni, protocol, port, peer);
                    let (old, new) = (is_allowed(&world, eni, &packet), is_allowed(after, eni, &packet));
                    // A rule that decided before an accept is gone only if it was an accept itself.
                    prop_assert!(old || !new || plan.opens(), "{:?} is let in only afterwards:\n{}", packet, text);
                    prop_assert!(!old || new || !plan.changes.is_empty());
                }
            }
        }
    }
}

/// The witness of a cause passes, and no rule that denies it stands before the rule that is blamed.
fn witnesses_pass(world: &World, eni: &Eni, finding: &Finding) -> Result<(), TestCaseError> {
    for cause in &finding.causes {
        let witness = cause.witness.as_ref().unwrap();
        let (service, peer) = witness.split_once(" from ").unwrap();
        let (protocol, port) = service.split_once('/').unwrap();
        let packet = packet(eni, if protocol == "tcp" { 6 } else { 17 }, port.parse().unwrap(), peer);
        let decision = verdict::decide_by_groups(world, eni, &packet);
        prop_assert_eq!(decision.action, Action::Allow, "{}", witness);
        let is_rule = matches!(decision.why, Why::Rule { .. });
        prop_assert!(is_rule, "{}", witness);
    }
    Ok(())
}
