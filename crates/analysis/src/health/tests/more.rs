//! Peers that are not there, fewer rules, overlaps, and what is too wide; and the proof that fewer rules decide alike.

use std::net::IpAddr;

use proptest::{collection::vec, prelude::*};
use sekimori_core::{
    address::Family,
    flow_record::Observed,
    limits::LimitMode,
    packet::{Packet, Transport},
    rule::Action,
    verdict,
};

use super::*;
use crate::{
    health::width::{OfRecords, Sight},
    trial::Trial,
};

fn report(text: &str, overlaps: bool) -> Report {
    let uses = Uses { watched_since: Timestamp(100), last: &|_, _| None, evidence: None };
    check(&fixture::world(text), &Question { overlaps, ..Question::default() }, &uses).unwrap()
}

#[test]
fn what_rules_name_and_is_not_there_is_told() {
    let text = "sg web
         sg db
         sg far vpc-2
         sg idle
         list none 192.0.2.0/24
         web: in allow tcp 1 from sg-db
         web: in allow tcp 2 from sg-gone
         web: in allow tcp 3 from sg-far
         web: out allow tcp 4 to sg-idle
         web: in allow tcp 5 from sg-web
         web: in allow tcp 6 from pl-none
         web: in allow tcp 7 from pl-gone
         eni a 10.0.0.1 in db
         eni b 10.0.0.2 in far";
    let shown = |found: &EmptyPeer| format!("{} {}: {} {:?}", found.rule, found.direction, found.names, found.why);
    let found: Vec<String> = report(text, false).empty_peers.iter().map(shown).collect();
    expect![[r#"
        r2 ingress: sg-gone Deleted
        r3 ingress: sg-far (far) OutOfReach
        r7 ingress: pl-gone Deleted
        r4 egress: sg-idle (idle) NoMember"#]]
    .assert_eq(&found.join("\n"));
}

fn merges(text: &str) -> String {
    let shown = |merge: &Merge| {
        let rules: Vec<&str> = merge.rules.iter().map(RuleId::as_str).collect();
        let kept = merge.kept.as_ref().map(|kept| format!(" ({kept} stays)")).unwrap_or_default();
        format!("{} {}: {}{kept}", merge.direction, rules.join("+"), merge.into_text)
    };
    report(text, false).merges.iter().map(shown).collect::<Vec<_>>().join("\n")
}

#[test]
fn rules_that_join_are_told_as_one() {
    let found = merges(
        "sg web drop
         web: in allow tcp 80 from 10.0.0.0/25
         web: in allow tcp 81-90 from 10.0.0.0/25
         web: in allow tcp 80-90 from 10.0.0.128/25
         web: in allow tcp 80-90 from 10.0.2.0/24
         web: in deny tcp 91 from 10.0.0.0/25
         web: in allow tcp 92 from 10.0.0.0/25 priority 2
         web: in allow udp 53 from fd00::/17
         web: in allow udp 53 from fd00:8000::/17
         web: out allow tcp 1-9 to 10.0.0.0/8
         web: out allow tcp 3 to 10.0.0.0/8",
    );
    expect![[r#"
        ingress r1+r2+r3: allow tcp 80-90 from 10.0.0.0/24, priority 1
        ingress r7+r8: allow udp 53 from fd00::/16, priority 1
        egress r10+r9: allow tcp 1-9 to 10.0.0.0/8, priority 1 (r9 stays)"#]]
    .assert_eq(&found);
}

#[test]
fn no_rule_of_ec2_becomes_one_for_the_world() {
    // A flow that such a rule lets in is not tracked.
    let found = merges(
        "ec2
         sg web ec2
         web: in allow tcp 80 from 0.0.0.0/1
         web: in allow tcp 80 from 128.0.0.0/1
         web: in allow tcp 80 from 128.0.0.0/2
         web: in allow tcp 81 from 0.0.0.0/0
         web: in allow tcp 82 from 0.0.0.0/0",
    );
    expect![[r#"
        ingress r4+r5: allow tcp 81-82 from 0.0.0.0/0
        ingress r2+r3: allow tcp 80 from 128.0.0.0/1 (r2 stays)"#]]
    .assert_eq(&found);
}

#[test]
fn overlaps_are_told_with_what_they_share() {
    let text = "sg web drop
         web: in allow tcp 80-100 from 10.0.0.0/8 priority 2
         web: in deny tcp 90-110 from 10.1.0.0/16 priority 1
         web: in allow tcp 95-99 from 10.1.0.0/16 priority 3
         web: in allow tcp 100-120 from 10.0.0.0/9 priority 2";
    assert_eq!(report(text, false).overlaps, []);
    let shown = |overlap: &Overlap| {
        let Overlap { first, second, is_contrary, shared, .. } = overlap;
        format!("{first} {second} {is_contrary}: {}", shared.join("; "))
    };
    let found: Vec<String> = report(text, true).overlaps.iter().map(shown).collect();
    expect![[r#"
        r2 r1 true: tcp/90-100 with 10.1.0.0/16
        r2 r4 true: tcp/100-110 with 10.1.0.0/16
        r1 r4 false: tcp/100 with 10.0.0.0/9"#]]
    .assert_eq(&found.join("\n"));
}

fn wide(text: &str, sights: &[(&str, u8, u16, &str)]) -> String {
    let sight = |(rule, protocol, port, peer): &(&str, u8, u16, &str)| Sight {
        group: "sg-web".into(),
        rule: (*rule).into(),
        protocol: *protocol,
        port: (*protocol != 1).then_some(*port),
        kind: (*protocol == 1).then_some(8),
        peer: peer.parse().unwrap(),
        times: 1,
    };
    let seen: Vec<Sight> = sights.iter().map(sight).collect();
    let evidence = Evidence { since: Some(Timestamp(50)), seen: &seen, decided: &|_, _| 9 };
    let uses = Uses { watched_since: Timestamp(100), last: &|_, _| None, evidence: Some(evidence) };
    let report = check(&fixture::world(text), &Question::default(), &uses).unwrap();
    let shown = |wide: &TooWide| {
        format!("{} ({} of {}): {}", wide.rule, wide.seen, wide.decided, wide.narrower_texts.join(" | "))
    };
    report.too_wide.iter().map(shown).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_rule_that_allows_more_than_was_seen_is_told_with_what_is_enough() {
    let text = "sg web drop
         web: in allow tcp 1-65535 from 10.0.0.0/8
         web: in allow all from 192.168.0.0/16
         web: in allow tcp 22 from 0.0.0.0/0
         web: in allow tcp 443 from 0.0.0.0/0
         web: in allow tcp 25 from 0.0.0.0/0";
    let seen = [
        ("r1", 6, 80, "10.0.0.1"),
        ("r1", 6, 81, "10.200.0.1"),
        ("r2", 1, 0, "192.168.7.1"),
        ("r2", 6, 5432, "192.168.7.2"),
        ("r3", 6, 22, "203.0.113.5"),
        ("r3", 6, 22, "203.0.113.5"),
        ("r4", 6, 443, "203.0.113.5"),
        ("r4", 6, 443, "8.8.8.8"),
        // Before the rule was as it is.
        ("r5", 6, 26, "203.0.113.5"),
    ];
    expect![[r#"
        r1 (2 of 9): allow tcp 80-81 from 10.0.0.0/8, priority 1
        r2 (2 of 9): allow icmp from 192.168.7.1/32, priority 1 | allow icmp from 192.168.7.2/32, priority 1 | allow tcp 5432 from 192.168.7.1/32, priority 1 | allow tcp 5432 from 192.168.7.2/32, priority 1
        r3 (2 of 9): allow tcp 22 from 203.0.113.5/32, priority 1"#]]
    .assert_eq(&wide(text, &seen));
    assert_eq!(wide(text, &[]), "");
}

#[test]
fn records_show_the_use_of_the_rule_that_decides_about_them() {
    let world = fixture::world(
        "ec2
         sg web ec2
         sg db ec2
         web: in allow tcp 1-65535 from 0.0.0.0/0
         web: in allow tcp 443 from 203.0.113.0/24
         web: in allow all from sg-db
         web: out allow all to 0.0.0.0/0
         eni a 10.0.0.1 fd00::1 in web
         eni b 10.0.0.2 in db",
    );
    let one = |eni: &str, direction, protocol, (source, destination): (&str, &str), port| Observed {
        eni: eni.into(),
        direction,
        protocol,
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
        port,
        records: 3,
    };
    let observed = [
        one("eni-a", None, 6, ("203.0.113.9", "10.0.0.1"), Some(443)),
        one("eni-a", Some(Direction::Egress), 17, ("10.0.0.1", "192.0.2.53"), Some(53)),
        one("eni-a", None, 47, ("10.0.0.2", "10.0.0.1"), None),
        // Let pass by nothing that is there now, at an address that is gone, at an interface of somebody else.
        one("eni-a", None, 17, ("203.0.113.9", "10.0.0.1"), Some(53)),
        one("eni-a", None, 6, ("203.0.113.9", "10.0.0.7"), Some(443)),
        one("eni-z", None, 6, ("203.0.113.9", "10.0.0.1"), Some(443)),
    ];
    let OfRecords { sights, notes } = width::of_records(&world, &observed);
    let shown =
        |sight: &Sight| format!("{} {} {:?} {} {}", sight.rule, sight.protocol, sight.port, sight.peer, sight.times);
    let shown: Vec<String> = sights.iter().map(shown).chain(notes).collect();
    expect![[r#"
        r2 6 Some(443) 203.0.113.9 3
        r4 17 Some(53) 192.0.2.53 3
        r3 47 None 10.0.0.2 3
        the records tell of interfaces that are not known here: eni-z
        uses in the records of addresses that their interface does not have now: 1
        uses in the records that no rule lets pass as things are, but a default, the bypass set, a shared group, or a rule that is gone: 1"#]].assert_eq(&shown.join("\n"));
}

/// Blocks, and groups that others carry.
const PEERS: [&str; 10] = [
    "10.0.0.0/30",
    "10.0.0.0/31",
    "10.0.0.2/31",
    "10.0.0.3",
    "10.0.0.1",
    "fd00::/127",
    "fd00::1",
    "fd00::2/127",
    "sg-x",
    "sg-y",
];
/// Who carries these: as it is when rules are found to say the same, and as it may be later.
const MEMBERS: [&str; 3] = [
    "eni p 10.0.0.1 fd00::1 in x\neni q 10.0.0.3 in y\n",
    "eni p 10.0.0.1 fd00::1 in y\neni q 10.0.0.3 in x\neni r 10.0.0.2 fd00::2 in x\n",
    "",
];
const PORTS: [&str; 6] = ["1", "2", "1-2", "2-3", "3-4", "4"];

fn rule() -> impl Strategy<Value = String> {
    let select = |words: &[&'static str]| prop::sample::select(words.to_vec());
    let parts =
        (select(&["allow", "allow", "deny"]), select(&["tcp", "udp"]), select(&PORTS), select(&PEERS), 1..3_u8);
    let source = select(&["", "", "source 7-8", "source 9"]);
    let own = select(&["", "", "at 10.1.0.0/31", "at 10.1.0.1", "at fd01::/127"]);
    (parts, source, own, select(&["in", "out"])).prop_map(
        |((action, protocol, ports, block, priority), source, own, way)| {
            let whose = if way == "in" { "from" } else { "to" };
            format!("{way} {action} {protocol} {ports} {whose} {block} priority {priority} {source} {own}")
        },
    )
}

/// Every packet of the universe that the rules speak about.
fn universe(eni: &sekimori_core::world::Eni) -> Vec<Packet> {
    let peers: Vec<IpAddr> =
        ["10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "fd00::", "fd00::1", "fd00::2", "fd00::4"]
            .map(|peer| peer.parse().unwrap())
            .to_vec();
    let mut all = Vec::new();
    for (local, peer) in eni.addresses.iter().flat_map(|own| peers.iter().map(move |peer| (*own, *peer))) {
        if Family::of(local) != Family::of(peer) {
            continue;
        }
        for (destination, source) in (0..6_u16).flat_map(|port| (6..11_u16).map(move |source| (port, source))) {
            for transport in [Transport::Tcp { source, destination }, Transport::Udp { source, destination }] {
                for direction in [Direction::Ingress, Direction::Egress] {
                    all.push(Packet { direction, local, peer, transport, is_forwarded: false });
                }
            }
        }
    }
    all
}

fn decisions(world: &World) -> Vec<Action> {
    let eni = world.eni(&"eni-a".into()).unwrap();
    universe(eni).iter().map(|packet| verdict::decide(world, eni, packet).action).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn fewer_rules_decide_alike_whoever_is_in_which_group(rules in vec(rule(), 2..14)) {
        let world = |members: &str| {
            let mut text = String::from("sg web drop\nsg x drop\nsg y drop\n");
            rules.iter().for_each(|rule| text.push_str(&format!("web: {rule}\n")));
            fixture::world(&(text + "eni a 10.1.0.0 10.1.0.1 10.1.0.2 fd01:: fd01::2 in web\n" + members))
        };
        let [now, later @ ..] = MEMBERS.map(world);
        let uses = Uses { watched_since: Timestamp(100), last: &|_, _| None, evidence: None };
        let merges = check(&now, &Question::default(), &uses).unwrap().merges;
        let fewer: usize = merges.iter().map(|merge| merge.rules.len() - 1).sum();
        let count = |world: &World| world.groups().map(|group| group.rules.len()).sum::<usize>();
        for before in std::iter::once(&now).chain(&later) {
            let after = merged(before, &merges);
            // Rules that say the same are one.
            prop_assert_eq!(count(&after), count(before) - fewer);
            prop_assert_eq!(decisions(&after), decisions(before));
        }
    }
}

/// The world with fewer rules.
fn merged(world: &World, merges: &[Merge]) -> World {
    let mut trial = Trial::of(world, LimitMode::Cloud);
    for merge in merges {
        let now = trial.world().clone();
        let group = now.group(&merge.group.id).unwrap();
        let rules = sekimori_core::command::Revocation::Ids(merge.doomed().cloned().collect());
        let (account, group) = (group.account.clone(), group.id.clone());
        let revoke = sekimori_core::command::Command::Revoke { account, group, direction: merge.direction, rules };
        assert_eq!(trial.run(&revoke), Ok(true));
        if merge.kept.is_none() {
            assert_eq!(trial.run(&merge.authorization(&now).unwrap()), Ok(true));
        }
    }
    trial.world().clone()
}
