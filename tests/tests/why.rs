//! `why` on generated worlds: both legs as `core::verdict` says, everything in the way, and changes that do what they promise and open
//! or close no packet that their cost does not name.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::net::IpAddr;

use sekimori_analysis::why::{self, Explanation, Goal, Question};
use sekimori_core::{
    address::Family,
    limits::LimitMode,
    packet::{Packet, Transport},
    rule::Direction,
    verdict,
    world::{Eni, Flavor, World},
};
use sekimori_tests::generate::Universe;

const WORLDS: u64 = 250;
const QUESTIONS: usize = 6;

/// A question between an interface and another end, as people ask it.
fn question(universe: &mut Universe, packet: &Packet, eni: &Eni) -> Option<Question> {
    let service = match packet.transport {
        Transport::Tcp { destination, .. } => format!("tcp/{destination}"),
        Transport::Udp { destination, .. } => format!("udp/{destination}"),
        Transport::Icmp { protocol: 1, kind, code } => format!("icmp/{kind}/{code}"),
        Transport::Icmp { kind, code, .. } => format!("icmpv6/{kind}/{code}"),
        Transport::Other { protocol } => protocol.to_string(),
    };
    let own = eni.addresses.contains(&packet.local).then(|| packet.local.to_string())?;
    let other = match universe.chooser.below(5) {
        0 => "internet".to_owned(),
        1 => universe.world.groups().next()?.id.to_string(),
        _ => packet.peer.to_string(),
    };
    let (from, to) = match packet.direction {
        Direction::Ingress => (other, own),
        Direction::Egress => (own, other),
    };
    let family = Some(Family::of(packet.local));
    Some(Question { from, to, service, source_port: None, vpc: Some(eni.vpc.to_string()), family })
}

fn explained(seed: u64, mut each: impl FnMut(&World, &Question, &mut Universe)) {
    let mut universe = Universe::new(seed);
    let enis = universe.enis();
    for _ in 0..QUESTIONS.min(enis.len() * QUESTIONS) {
        let eni = universe.chooser.pick(&enis);
        let packet = universe.packet(&eni);
        let Some(question) = question(&mut universe, &packet, &eni) else { continue };
        let world = universe.world.clone();
        each(&world, &question, &mut universe);
    }
}

fn packet(leg: &why::Leg, ends: (IpAddr, IpAddr), transport: Transport) -> Packet {
    let (local, peer) = if leg.direction == Direction::Egress { ends } else { (ends.1, ends.0) };
    Packet { direction: leg.direction, local, peer, transport, is_forwarded: false }
}

#[test]
fn every_leg_and_blocker_is_what_the_verdict_says() {
    let (mut allowed, mut denied, mut many) = (0, 0, 0);
    for seed in 0..WORLDS {
        explained(seed, |world, question, _| {
            let Ok(answer) = why::explain(world, question, Goal::Allow, LimitMode::Host) else { return };
            let report = &answer.report;
            let ends = (report.from.address, report.to.address);
            for leg in &report.legs {
                let eni = world.eni(&leg.eni).unwrap();
                let judged = verdict::decide(world, eni, &packet(leg, ends, report.transport));
                assert_eq!(judged, leg.decision, "seed {seed}: {question:?}");
            }
            let passes = |leg: &why::Leg| leg.decision.is_allowed();
            assert_eq!(answer.pairs_allowed == answer.pairs, report.allowed, "seed {seed}: {question:?}");
            if answer.pairs == 1 {
                assert_eq!(report.legs.iter().all(passes), report.allowed, "seed {seed}: {question:?}");
            }
            let is_told = |leg: &&why::Leg| answer.blockers.iter().any(|one| one.decision == leg.decision);
            assert!(
                report.legs.iter().filter(|leg| !passes(leg)).all(|leg| is_told(&leg)),
                "seed {seed}: {question:?}"
            );
            many += u64::from(answer.blockers.len() > report.legs.len());
            *(if report.allowed { &mut allowed } else { &mut denied }) += 1;
        });
    }
    assert!(allowed > 100 && denied > 200 && many > 50, "{allowed} {denied} {many}");
}

/// The packets of a universe at every interface, decided before and after.
fn otherwise(universe: &mut Universe, before: &World, after: &World) -> Vec<(Eni, Packet, bool)> {
    let mut found = Vec::new();
    for eni in before.enis().cloned().collect::<Vec<_>>() {
        for _ in 0..60 {
            let packet = Packet { is_forwarded: false, ..universe.packet(&eni) };
            if !eni.addresses.contains(&packet.local) || eni.addresses.contains(&packet.peer) {
                continue;
            }
            let passes = |world: &World| verdict::decide(world, world.eni(&eni.id).unwrap(), &packet).is_allowed();
            if passes(before) != passes(after) {
                found.push((Eni::clone(&eni), packet, passes(after)));
            }
        }
    }
    found
}

/// Whether a decision that changed is one that was asked about, or that the cost names.
fn is_accounted(answer: &Explanation, eni: &Eni, packet: &Packet) -> bool {
    let change = answer.change.as_ref().unwrap();
    let at = |line: &why::CostLine| {
        line.direction == packet.direction && line.interfaces.iter().any(|id| *id == eni.id.to_string())
    };
    let report = &answer.report;
    let is_service = packet.transport.protocol() == report.transport.protocol()
        && packet.transport.destination_port() == report.transport.destination_port();
    let is_asked = is_service && [report.from.eni.as_ref(), report.to.eni.as_ref()].contains(&Some(&eni.id));
    let is_named = change.cost.lines.iter().any(at);
    let is_asked = is_asked || answer.pairs > 1 && is_service;
    is_asked || is_named || change.cost.unknown.is_some()
}

#[test]
fn a_suggested_change_does_what_it_promises_and_its_cost_names_what_else() {
    let (mut helped, mut free, mut costly, mut flavors) = (0, 0, 0, [0; 3]);
    for seed in 0..WORLDS {
        for goal in [Goal::Allow, Goal::Stop] {
            explained(seed, |world, question, universe| {
                let Ok(answer) = why::explain(world, question, goal, LimitMode::Host) else { return };
                let Some(change) = &answer.change else { return };
                let (after, steps) = why::tried(world, question, goal, LimitMode::Host).unwrap().unwrap();
                assert_eq!(steps, change.steps.len(), "seed {seed}: {question:?}");
                let again = why::explain(&after, question, goal, LimitMode::Host).unwrap();
                let wanted = if goal == Goal::Allow { again.pairs } else { 0 };
                assert_eq!(again.pairs_allowed, wanted, "seed {seed}: {question:?} {change:#?}");
                let changed = otherwise(universe, world, &after);
                for (eni, packet, passes) in &changed {
                    assert_eq!(*passes, goal == Goal::Allow, "seed {seed}: {packet:?} at {}: {change:#?}", eni.id);
                    assert!(
                        is_accounted(&answer, eni, packet),
                        "seed {seed}: {question:?}\n{packet:?} at {}: {change:#?}",
                        eni.id
                    );
                }
                helped += 1;
                match change.cost.packets.as_deref() {
                    Some("0") => free += 1,
                    Some(_) | None => costly += 1,
                }
                match world.groups().next().map(|group| group.flavor) {
                    Some(Flavor::EcsBasic) | None => flavors[0] += 1,
                    Some(Flavor::EcsEnterprise) => flavors[1] += 1,
                    Some(Flavor::Ec2) => flavors[2] += 1,
                }
            });
        }
    }
    assert!(helped > 200 && free > 50 && costly > 20, "{helped} {free} {costly}");
    assert!(flavors.iter().all(|seen| *seen > 20), "{flavors:?}");
}
