//! `why` on generated worlds: both legs as `core::verdict` says, everything in the way, and changes that do what they promise and open
//! or close no packet that their cost does not name.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::net::IpAddr;

use sekimori_analysis::{
    diff::{self, Effect},
    why::{self, COST_LINES_MAX, Cost, CostLine, Explanation, Goal, Question},
};
use sekimori_core::{
    address::Family,
    change::Change,
    limits::LimitMode,
    packet::{Packet, Transport, Why},
    rule::{Action, Direction, Peer, PortRange, Protocol, Rule, RuleSpec, Service},
    time::Timestamp,
    verdict,
    world::{Eni, Flavor, World},
};
use sekimori_tests::{
    generate::Universe,
    told::{in_diff, is_told, lies_in},
};

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
                if let Why::NoWay { gap } = &leg.decision.why {
                    let seen = packet(leg, ends, report.transport);
                    assert!(world.obstacles(eni, &seen).contains(gap), "seed {seed}: {question:?}");
                    continue;
                }
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

/// The world with a rule of the lowest priority in a group of an end, which denies what is asked about; if both ends are addresses.
fn denying_last(world: &World, question: &Question) -> Option<World> {
    let (from, to): (IpAddr, IpAddr) = (question.from.parse().ok()?, question.to.parse().ok()?);
    let vpc = question.vpc.as_deref()?.into();
    let (eni, direction, own, peer) = match (world.eni_at(&vpc, from), world.eni_at(&vpc, to)) {
        (Some(eni), _) => (eni, Direction::Egress, from, to),
        (None, Some(eni)) => (eni, Direction::Ingress, to, from),
        (None, None) => return None,
    };
    let transport = why::parse_service(&question.service, 0).ok()?;
    let service = transport.destination_port().map_or(Service::Any, |port| Service::Ports(PortRange::one(port)));
    let what = (Protocol::Number(transport.protocol()), service);
    let spec = RuleSpec::plain(direction, Action::Deny, what, Peer::Cidr(peer.to_string().parse().ok()?));
    let rule = Rule {
        id: "sgr-last".into(),
        spec: RuleSpec { priority: 100, local: own.to_string().parse().ok(), ..spec },
        description: String::new(),
        tags: Default::default(),
        created_at: Timestamp(0),
    };
    let group = eni.groups.iter().find(|id| world.group(id).is_some_and(|group| group.flavor != Flavor::Ec2))?;
    let mut world = world.clone();
    world.apply(&Change::PutRule { group: group.clone(), rule: rule.into() });
    Some(world)
}

/// Packets of a universe at every interface, half of them of the service that was asked about, and whether they pass before and after.
fn judged(universe: &mut Universe, worlds: (&World, &World), asked: Transport) -> Vec<(Eni, Packet, [bool; 2])> {
    let mut found = Vec::new();
    for eni in worlds.0.enis().cloned().collect::<Vec<_>>() {
        for turn in 0..60 {
            let packet = Packet { is_forwarded: false, ..universe.packet(&eni) };
            let packet = if turn % 2 == 0 { Packet { transport: asked, ..packet } } else { packet };
            if !eni.addresses.contains(&packet.local) || eni.addresses.contains(&packet.peer) {
                continue;
            }
            let passes = |world: &World| verdict::decide(world, world.eni(&eni.id).unwrap(), &packet).is_allowed();
            found.push((Eni::clone(&eni), packet, [passes(worlds.0), passes(worlds.1)]));
        }
    }
    found
}

/// Whether a packet is one that was asked about, from any source port; of several pairs, whether it may be.
fn is_asked(answer: &Explanation, eni: &Eni, packet: &Packet) -> bool {
    let report = &answer.report;
    let is_service = match (packet.transport, report.transport) {
        (Transport::Icmp { .. }, _) => packet.transport == report.transport,
        (one, other) => one.protocol() == other.protocol() && one.destination_port() == other.destination_port(),
    };
    let (own, other) = match packet.direction {
        Direction::Egress => (&report.from, &report.to),
        Direction::Ingress => (&report.to, &report.from),
    };
    let is_pair = own.eni.as_ref() == Some(&eni.id) && (own.address, other.address) == (packet.local, packet.peer);
    is_service && (answer.pairs > 1 || is_pair)
}

/// Whether a cost names a packet at an interface; not known where it is not told whole.
fn in_cost(cost: &Cost, eni: &Eni, packet: &Packet) -> Option<bool> {
    let is_here = |line: &&CostLine| {
        let is_own = line.own.as_ref().is_none_or(|own| lies_in(std::slice::from_ref(own), packet.local));
        line.direction == packet.direction && line.interfaces.contains(&eni.id.to_string()) && is_own
    };
    let is_whole = cost.unknown.is_none() && cost.lines.len() < COST_LINES_MAX;
    let mut here = cost.lines.iter().filter(is_here);
    is_whole.then(|| here.any(|line| is_told(&line.services, packet.transport) && lies_in(&line.peers, packet.peer)))
}

#[test]
fn a_suggested_change_does_what_it_promises_and_its_cost_names_what_else() {
    let (mut helped, mut free, mut costly, mut moved, mut flavors) = (0, 0, 0, [0; 2], [0; 3]);
    for seed in 0..WORLDS {
        for goal in [Goal::Allow, Goal::Stop] {
            explained(seed, |world, question, universe| {
                // Most worlds have a rule that could deny, if it came first.
                let denying = (goal == Goal::Stop && seed % 4 != 0).then(|| denying_last(world, question)).flatten();
                let world = denying.as_ref().unwrap_or(world);
                let Ok(answer) = why::explain(world, question, goal, LimitMode::Host) else { return };
                let Some(change) = &answer.change else { return };
                let (after, steps) = why::tried(world, question, goal, LimitMode::Host).unwrap().unwrap();
                assert_eq!(steps, change.steps.len(), "seed {seed}: {question:?}");
                let again = why::explain(&after, question, goal, LimitMode::Host).unwrap();
                let wanted = if goal == Goal::Allow { again.pairs } else { 0 };
                assert_eq!(again.pairs_allowed, wanted, "seed {seed}: {question:?} {change:#?}");
                let difference = diff::worlds((world, "before"), (&after, "after")).unwrap();
                let (effect, passing) = match goal {
                    Goal::Allow => (Effect::Gained, [false, true]),
                    Goal::Stop => (Effect::Lost, [true, false]),
                };
                for (eni, packet, passes) in judged(universe, (world, &after), answer.report.transport) {
                    let said = || format!("seed {seed}: {question:?}\n{packet:?} at {}: {change:#?}", eni.id);
                    let is_otherwise = passes[0] != passes[1];
                    assert!(!is_otherwise || passes == passing, "{}", said());
                    assert_eq!(in_diff(&difference, &eni, &packet, effect), is_otherwise, "{}", said());
                    if let Some(is_named) = in_cost(&change.cost, &eni, &packet) {
                        let is_right = is_named == is_otherwise || is_asked(&answer, &eni, &packet);
                        assert!(is_right, "{}", said());
                    }
                }
                if change.steps.iter().any(|step| {
                    step.command.contains(" ModifySecurityGroup") && step.command.contains(" --Priority ")
                }) {
                    moved[usize::from(goal == Goal::Stop)] += 1;
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
    assert!(moved.iter().all(|seen| *seen > 4), "{moved:?}");
}
