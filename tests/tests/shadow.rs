//! Candidates beside the rules, on packets: what the programs count is what the rules and the candidates say, whatever changes
//! meanwhile, and nothing that is decided depends on it.

#![expect(clippy::expect_used, reason = "a test fails by panicking, in its helpers too")]

use std::{collections::BTreeMap, os::fd::AsFd as _};

use sekimori_agent::bpf::{
    maps::BPFFS,
    sys::{self, Shared},
};
use sekimori_analysis::shadow::{Line, Report, report};
use sekimori_compile::abi::{self, ABI_VERSION, Reason};
use sekimori_core::{
    address::Family,
    command::{Command, NewRule, ShadowCommand},
    feed::{Decider, ShadowCells, ShadowCount, reason_name},
    flow::{Segment, TcpFlags},
    ids::EniId,
    packet::{Decision, Why},
    rule::{Action, Direction},
    verdict,
    world::{Eni, World, group_set},
};
use sekimori_tests::{
    generate::Universe,
    lab::{Lab, fixture::RuleText},
    plane::{TestPlane, is_root, kernel_key},
};

const WORLDS: u64 = 600;
const PACKETS: usize = 100;

/// Who decided, as a host tells it.
fn decider(decision: &Decision) -> Decider {
    let rule = match &decision.why {
        Why::Rule { group, rule } => Some((group.clone(), Some(rule.clone()))),
        Why::IntraGroup { group } => Some((group.clone(), None)),
        _ => None,
    };
    Decider { passes: decision.is_allowed(), reason: reason_name(&decision.why).to_owned(), rule }
}

/// What the rules and the candidates say about a first packet that rules judge.
fn said(world: &World, eni: &Eni, segment: &Segment) -> Option<(Decider, Decider)> {
    let set = group_set(&eni.groups);
    let live = verdict::decide(world, eni, &segment.packet);
    let is_judged =
        matches!(live.why, Why::Rule { .. } | Why::IntraGroup { .. } | Why::Default | Why::Platform { .. });
    if !is_judged || !world.has_candidate(&set) {
        return None;
    }
    let candidate = world.with_candidates(&set);
    let would = verdict::decide_by_groups(&candidate, candidate.eni(&eni.id)?, &segment.packet);
    Some((decider(&live), decider(&would)))
}

type Counted = BTreeMap<(EniId, Direction, Decider, Decider), u64>;

/// What the kernel has counted, by pair; every way of counting agrees with it.
fn counted(counts: &[ShadowCount]) -> Counted {
    let mut counted = Counted::new();
    for count in counts {
        let mut cells = ShadowCells::default();
        for pair in &count.pairs {
            cells = cells.with((pair.live.passes, pair.candidate.passes), pair.flows);
            let key = (count.eni.clone(), pair.direction, pair.live.clone(), pair.candidate.clone());
            counted.insert(key, pair.flows);
        }
        assert_eq!(cells, count.cells, "{}", count.eni);
        let seen: u64 = count.witnesses.iter().map(|witness| witness.flows).sum();
        assert_eq!(seen, cells.opened + cells.closed, "{}: {:?}", count.eni, count.witnesses);
    }
    counted
}

#[test]
fn the_program_counts_what_rules_and_candidates_say() {
    if !is_root("the differential of candidates") {
        return;
    }
    let mut plane = TestPlane::new().expect("the data plane opens");
    let (mut compared, mut changed) = (0_u64, 0_u64);
    for seed in 50_000..50_000 + WORLDS {
        let mut universe = Universe::new(seed);
        plane.enforce(&universe.world).expect("the world fits");
        let mut expected = Counted::new();
        let enis = universe.enis();
        for _ in 0..PACKETS {
            let Some(eni) = enis.get(universe.chooser.below(enis.len())).cloned() else { break };
            let packet = universe.packet(&eni);
            let flags = TcpFlags { syn: true, ..TcpFlags::default() };
            let segment = Segment { packet, flags, icmp_id: 7, quoted: None };
            let Some((passes, _)) = plane.judge(&eni, &segment).expect("the program runs") else { continue };
            assert_eq!(
                passes,
                verdict::decide(&universe.world, &eni, &packet).is_allowed(),
                "seed {seed}: {packet:?}"
            );
            let slot = plane.tables.eni_slot(&eni.id).expect("it was judged here");
            if let Some(key) = kernel_key(slot, &eni, &segment) {
                plane.plane.end_flow(&key).expect("flows can be ended");
            }
            if let Some((live, would)) = said(&universe.world, &eni, &segment) {
                compared += 1;
                changed += u64::from(live.passes != would.passes);
                *expected.entry((eni.id.clone(), packet.direction, live, would)).or_default() += 1;
            }
        }
        let counts = plane.plane.shadow_counts(&plane.tables).expect("counts are readable");
        assert_eq!(counted(&counts), expected, "seed {seed}");
        if seed % 32 == 31 {
            plane.rest().expect("the plane rests");
        }
    }
    println!("compared {compared} flows in {WORLDS} worlds, {changed} of them would be decided otherwise");
    assert!(compared > 10_000 && changed > 400, "{compared} compared, {changed} changed");
}

const WORLD: &str = "
    group client basic isolated
    group server basic isolated
      in allow tcp/443 from any as https
      in allow tcp/22 from any as ssh
      in deny tcp/8443 from group:client as never
    instance a client
    instance b server
    instance c server
    instance d client";

/// The same before, under and after a candidate.
const DECIDED: &str = "\
    a -> b tcp/443: passes [a: default allow] [b: allow https]
    a -> b tcp/22: passes [a: default allow] [b: allow ssh]
    a -> b syn/8080: dropped [a: default allow] [b: default deny]
    a -> b syn/8443: dropped [a: default allow] [b: deny never]
    d -> b udp/53: dropped [d: default allow] [b: default deny]
";

/// Sends everything of a text, in both families.
fn send(lab: &mut Lab, expected: &str) {
    for line in expected.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (attempt, expected) = line.split_once(": ").expect("an attempt and what becomes of it");
        for family in [Family::V4, Family::V6] {
            assert_eq!(lab.try_probe(attempt, family).to_string(), expected, "{attempt} {family:?}");
        }
    }
}

/// Gives a group a candidate of rules in the lab's words.
fn shadow(lab: &mut Lab, group: &str, rules: &[&str]) {
    let texts = rules.iter().map(|text| text.parse::<RuleText>().expect("a rule"));
    let specs: Vec<_> = texts.flat_map(|text| text.specs(lab)).collect();
    let rules = specs.into_iter().map(|spec| NewRule::new(spec, "")).collect();
    lab.run(&Command::Shadow(ShadowCommand::Set { group: lab.group_id(group), rules }));
}

/// What a server would tell of a candidate.
fn told(lab: &mut Lab, group: &str) -> Report {
    let id = lab.group_id(group);
    let enforcer = lab.enforcer();
    let counts = enforcer.reader().expect("a reader").read().expect("counters are readable").gauges.shadows;
    report(lab.world(), &id, &counts).expect("the group has a candidate")
}

fn cells(allowed: u64, denied: u64, opened: u64, closed: u64) -> ShadowCells {
    ShadowCells { allowed, denied, opened, closed, skipped: 0 }
}

/// Loses ssh, and gains 8080 and the denied 8443.
const CANDIDATE: [&str; 3] =
    ["in allow tcp/443 from any", "in allow tcp/8080 from group:client", "in allow tcp/8443 from any prio 2"];

#[test]
fn real_flows_are_counted_and_none_is_decided_otherwise() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    send(&mut lab, DECIDED);
    shadow(&mut lab, "server", &CANDIDATE);
    assert_eq!(told(&mut lab, "server").flows, cells(0, 0, 0, 0), "what was before does not count");
    send(&mut lab, DECIDED);
    send(&mut lab, DECIDED);
    let report = told(&mut lab, "server");
    // Twice, in both families: 443 stays, 22 would be closed, 8080 and 8443 would be opened, 53 stays closed.
    assert_eq!(report.flows, cells(4, 4, 8, 4));
    assert_eq!(report.untold, 0);
    let line = |lines: &[Line], what: &str| {
        let of: Vec<_> = lines.iter().filter(|line| line.text.contains(what)).collect();
        let sum = |of_line: fn(&Line) -> u64| of.iter().map(|line| of_line(line)).sum::<u64>();
        (sum(|line| line.same), sum(|line| line.opened), sum(|line| line.closed))
    };
    let live = ["tcp 443", "tcp 22", "deny tcp 8443", "default deny"].map(|what| line(&report.live, what));
    assert_eq!(live, [(4, 0, 0), (0, 0, 4), (0, 4, 0), (4, 4, 0)]);
    let candidate =
        ["tcp 443", "tcp 8080", "allow tcp 8443", "default deny"].map(|what| line(&report.candidate, what));
    assert_eq!(candidate, [(4, 0, 0), (0, 4, 0), (0, 4, 0), (4, 0, 4)]);
    // Ports 22, 8080 and 8443 in both families; each was tried twice.
    let witnesses: Vec<(String, u64)> =
        report.witnesses.iter().map(|it| (it.service.clone(), it.flows.flows)).collect();
    assert_eq!(witnesses.len(), 6, "{witnesses:?}");
    assert!(witnesses.iter().all(|(_, flows)| *flows == 2), "{witnesses:?}");
    // The two interfaces of the group share both policies.
    let entries = lab.enforcer().tables().entries().values().filter_map(|entry| entry.shadow);
    let shadows: Vec<_> = entries.collect();
    assert!(shadows.len() == 2 && shadows[0] == shadows[1], "{shadows:?}");
    assert!(lab.verify().is_empty());
}

#[test]
fn counting_goes_on_over_changes_of_the_group_and_restarts_of_the_agent() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    shadow(&mut lab, "server", &CANDIDATE);
    send(&mut lab, DECIDED);
    assert_eq!(told(&mut lab, "server").flows, cells(2, 2, 4, 2));
    assert!(!told(&mut lab, "server").is_outdated);
    // The group comes to say what the candidate says about 8080, and no longer what it says about 443.
    lab.allow("server", "in allow tcp/8080 from any as web");
    lab.revoke("server", "https");
    let changed = "\
        a -> b syn/443: dropped [a: default allow] [b: default deny]
        a -> b syn/8080: passes [a: default allow] [b: allow web]
    ";
    send(&mut lab, changed);
    let report = told(&mut lab, "server");
    assert_eq!(report.flows, cells(4, 2, 6, 2));
    assert!(report.is_outdated);
    // While no agent runs, the programs go on.
    lab.close();
    lab.open();
    send(&mut lab, changed);
    assert_eq!(told(&mut lab, "server").flows, cells(6, 2, 8, 2));
    lab.keep_house();
    lab.keep_house();
    assert_eq!(told(&mut lab, "server").flows, cells(6, 2, 8, 2));
    assert!(lab.verify().is_empty());
}

#[test]
fn another_candidate_begins_at_zero_and_none_leaves_nothing() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    let before = lab.enforcer().tables().policies().count();
    shadow(&mut lab, "server", &CANDIDATE);
    assert_eq!(lab.enforcer().tables().policies().count(), before + 1);
    send(&mut lab, DECIDED);
    shadow(&mut lab, "server", &CANDIDATE[..1]);
    assert_eq!(told(&mut lab, "server").flows, cells(0, 0, 0, 0));
    send(&mut lab, DECIDED);
    assert_eq!(told(&mut lab, "server").flows, cells(2, 6, 0, 2));
    let group = lab.group_id("server");
    lab.run(&Command::Shadow(ShadowCommand::Clear { group }));
    send(&mut lab, DECIDED);
    lab.keep_house();
    assert_eq!(lab.enforcer().tables().policies().count(), before);
    let slots = lab.enforcer().tables().entries().keys().copied().collect::<Vec<_>>();
    for slot in slots {
        let maps = lab.enforcer().plane().maps();
        assert_eq!(maps.shadows.get(slot as usize), abi::Shadow::default());
        assert_eq!(maps.enis.get(slot as usize).flags & abi::ENI_SHADOW, 0);
    }
    let mut pairs = 0;
    sys::for_each(
        lab.enforcer().plane().maps().fd("shadow_pairs").expect("a map"),
        |_: &abi::ShadowPair, _: &u64| {
            pairs += 1;
        },
    )
    .expect("the map is readable");
    assert_eq!(pairs, 0);
}

#[test]
fn a_promoted_candidate_decides() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    shadow(&mut lab, "server", &CANDIDATE);
    let group = lab.group_id("server");
    lab.run(&Command::Shadow(ShadowCommand::Promote { group: group.clone(), is_forced: false }));
    assert!(lab.world().shadows().get(&group).is_none());
    let allowed =
        lab.world().group(&group).expect("it exists").rules.values().all(|rule| rule.spec.action == Action::Allow);
    assert!(allowed, "the rule that denies is not in the candidate");
    assert_eq!(lab.count("b", Direction::Ingress, Reason::RuleAllow), 0);
    for (attempt, arrives) in [("tcp/443", true), ("tcp/22", false), ("tcp/8080", true), ("tcp/8443", true)] {
        let finding = lab.try_probe(&format!("a -> b {attempt}"), Family::V6).to_string();
        assert_eq!(finding.starts_with("passes"), arrives, "{attempt}: {finding}");
    }
}

#[test]
fn a_wrong_shadow_is_found_and_repaired_and_has_decided_nothing() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    shadow(&mut lab, "server", &CANDIDATE);
    let pin = lab.dir().join(BPFFS).join(format!("v{ABI_VERSION}")).join("maps/shadows");
    let pin = sys::open_pinned(&pin).expect("the map is pinned");
    let mut shadows: Shared<abi::Shadow> =
        Shared::map(pin.as_fd(), abi::ENI_SLOTS as usize).expect("it can be mapped");
    let b = lab.eni("b").id.clone();
    let slot = lab.enforcer().tables().eni_slot(&b).expect("it is here") as usize;
    let right = shadows.get(slot);
    // Beside the policy in force stands one that allows everything, or nothing that is a policy at all.
    for policy in [right.policy ^ 1, 0, u64::MAX] {
        shadows.set(slot, abi::Shadow { policy, ..right });
        send(&mut lab, DECIDED);
        let found: Vec<String> = lab.verify().iter().map(ToString::to_string).collect();
        assert!(found.iter().any(|line| line.contains("has another shadow")), "{found:?}");
        assert_eq!(shadows.get(slot), right);
    }
    // A policy of its own in the store is compared like every other.
    assert!(lab.verify().is_empty());
}
