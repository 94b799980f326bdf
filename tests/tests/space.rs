//! Rules as exact sets against the verdict, and the health check against what packets meet: on generated worlds.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use sekimori_analysis::{
    diagnose::{self, Access},
    health::{self, Finding, Question, State, Uses},
};
use sekimori_core::{
    address::Family,
    change::Change,
    packet::{Packet, Transport, Why},
    rule::RuleSpec,
    space::resolve::Reader,
    time::Timestamp,
    verdict,
    world::{Eni, World},
};
use sekimori_tests::generate::Universe;

const WORLDS: u64 = 400;
const PACKETS: usize = 120;

/// Packets at the ENIs of a generated world. Sets are of packets that come from their sender.
fn packets(universe: &mut Universe) -> Vec<(Eni, Packet)> {
    let enis = universe.enis();
    if enis.is_empty() {
        return Vec::new();
    }
    let pick = |universe: &mut Universe| {
        let eni = universe.chooser.pick(&enis);
        let packet = universe.packet_or_discovery(&eni);
        (Eni::clone(&eni), packet)
    };
    (0..PACKETS).map(|_| pick(universe)).collect()
}

#[test]
fn a_rule_as_a_set_holds_the_packets_that_it_matches() {
    let mut matched = 0;
    for seed in 0..WORLDS {
        let mut universe = Universe::new(seed);
        let packets = packets(&mut universe);
        let world = &universe.world;
        let specs: Vec<&RuleSpec> =
            world.groups().flat_map(|group| group.rules.values()).map(|rule| &rule.spec).collect();
        for (eni, packet) in &packets {
            let reader = Reader::new(world, &eni.vpc, specs.iter().copied());
            for spec in &specs {
                let expected = verdict::matches(world, eni, spec, packet);
                assert_eq!(reader.rule(spec).unwrap().contains(packet), expected, "seed {seed}: {spec:?} {packet:?}");
                matched += u64::from(expected);
            }
        }
    }
    assert!(matched > 5_000, "{matched}");
}

fn findings(world: &World) -> Vec<Finding> {
    let uses = Uses { watched_since: Timestamp(0), last: &|_, _| None, evidence: None };
    health::check(world, &Question::default(), &uses).unwrap().findings
}

#[test]
fn a_rule_that_decides_nothing_decides_no_packet_and_removable_ones_change_no_decision() {
    let (mut idle, mut removed, mut elsewhere) = (0, 0, 0);
    for seed in 0..WORLDS {
        let mut universe = Universe::new(seed);
        let packets = packets(&mut universe);
        let before = &universe.world;
        let findings = findings(before);
        let mut after = before.clone();
        for finding in findings.iter().filter(|finding| finding.removable) {
            after.apply(&Change::DeleteRule { group: finding.group.id.clone(), rule: finding.rule.clone() });
            removed += 1;
        }
        for (eni, packet) in &packets {
            let decision = verdict::decide(before, eni, packet);
            let action = verdict::decide(&after, eni, packet).action;
            assert_eq!(action, decision.action, "seed {seed}: {packet:?} at {}: {findings:#?}", eni.id);
            if let Why::Rule { rule, .. } = &decision.why {
                let dead = |finding: &&Finding| finding.rule == *rule && finding.state == State::DecidesNothing;
                assert!(
                    !findings.iter().any(|finding| dead(&finding)),
                    "seed {seed}: {packet:?} is decided by {rule}"
                );
            }
        }
        let covers = findings.iter().flat_map(|finding| &finding.places).flat_map(|place| &place.covered_by);
        elsewhere += covers.filter(|cover| cover.text.starts_with("no interface has an address in")).count();
        idle += findings.iter().filter(|finding| finding.state == State::DecidesNothing).count();
    }
    assert!(idle > 100 && removed > 200 && elsewhere > 20, "{idle} {removed} {elsewhere}");
}

#[test]
fn a_diagnosis_says_of_a_packet_what_the_verdict_says() {
    let (mut open, mut closed, mut of_discovery) = (0, 0, [0, 0]);
    for seed in 0..WORLDS / 2 {
        let mut universe = Universe::new(seed);
        let packets = packets(&mut universe);
        let world = &universe.world;
        for (eni, packet) in packets {
            let is_first =
                |family| eni.addresses.iter().find(|own| Family::of(**own) == family) == Some(&packet.local);
            // A question is about the first address of a family, from any source port.
            if !is_first(Family::of(packet.local)) || eni.addresses.contains(&packet.peer) {
                continue;
            }
            let question = diagnose::Question {
                target: eni.id.to_string(),
                direction: packet.direction,
                peer: Some(packet.peer.to_string().parse().unwrap()),
                service: Some(packet.transport.to_string()),
            };
            let Ok(report) = diagnose::ask(world, &question) else { continue };
            let [check] = report.checks.as_slice() else { panic!("{report:?}") };
            let said = match check.access {
                Access::Open => true,
                Access::Closed => false,
                Access::Partly => continue,
            };
            let decided = verdict::decide_by_groups(world, &eni, &packet).is_allowed();
            assert_eq!(said, decided, "seed {seed}: {packet:?} at {}: {check:?}", eni.id);
            *(if said { &mut open } else { &mut closed }) += 1;
            if matches!(packet.transport, Transport::Icmp { protocol: 58, kind: 133..=137, .. }) {
                of_discovery[usize::from(said)] += 1;
            }
        }
    }
    assert!(
        open > 1_000 && closed > 1_000 && of_discovery.iter().all(|count| *count > 50),
        "{open} {closed} {of_discovery:?}"
    );
}
