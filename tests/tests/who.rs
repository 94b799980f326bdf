//! `who` on generated worlds: every packet that `core::verdict` lets through at both ends is told, and no other; and all pairs of a large
//! estate take as many steps as its policies do, not as its interfaces.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use sekimori_analysis::who::{self, Exposure, Question, Reach, Report, Side};
use sekimori_core::{
    change::Change,
    ids::GroupId,
    packet::{Packet, Transport},
    platform,
    rule::{Action, Direction, Peer, Protocol, Rule, RuleSpec, Service},
    verdict,
    world::{Eni, Flavor, Group, World},
};
use sekimori_tests::{
    generate::Universe,
    open::open_groups,
    told::{is_told, is_told_by_type, is_unjudged, lies_in},
};

const WORLDS: u64 = 200;
const PACKETS: usize = 200;

fn holds(side: &Side, address: IpAddr) -> bool {
    side.addresses.contains(&address.to_string())
}

fn passes(world: &World, eni: &Eni, packet: Packet) -> bool {
    verdict::decide(world, eni, &packet).is_allowed()
}

/// Whether nothing drops the answer to a packet.
fn is_answered(world: &World, eni: &Eni, packet: Packet) -> bool {
    packet.answer().is_none_or(|answer| verdict::refused_by_acl(world, eni, &answer).is_none())
}

/// Whether a line says of a packet that it passes, and that its answer does.
fn says(services: &[String], answered: Option<&Vec<String>>, transport: Transport) -> (bool, bool) {
    let passes = is_told(services, transport);
    (passes, answered.map_or(passes, |answered| is_told(answered, transport)))
}

/// What several lines say together.
fn any(said: impl Iterator<Item = (bool, bool)>) -> (bool, bool) {
    said.fold((false, false), |sum, one| (sum.0 | one.0, sum.1 | one.1))
}

/// What the report says of a packet between two interfaces of one or two VPCs.
fn is_inside(
    report: &Report,
    (from, to): (&Eni, &Eni),
    ends: (IpAddr, IpAddr),
    transport: Transport,
) -> (bool, bool) {
    let is_about = |reach: &&Reach| {
        reach.from.vpc == from.vpc && reach.to.vpc == to.vpc && holds(&reach.from, ends.0) && holds(&reach.to, ends.1)
    };
    let lines = report.inside.iter().filter(is_about);
    any(lines.map(|reach| says(&reach.services, reach.answered.as_ref(), transport)))
}

fn is_outside(report: &Report, eni: &Eni, packet: &Packet) -> (bool, bool) {
    let is_about = |exposure: &&Exposure| {
        exposure.direction == packet.direction
            && exposure.interfaces.vpc == eni.vpc
            && holds(&exposure.interfaces, packet.local)
            && lies_in(&exposure.addresses, packet.peer)
    };
    let lines = report.outside.iter().filter(is_about);
    any(lines.map(|exposure| says(&exposure.services, exposure.answered.as_ref(), packet.transport)))
}

fn is_within(world: &World, eni: &Eni, address: IpAddr) -> bool {
    let vpcs = world.joined_with(&eni.vpc);
    let blocks = vpcs.iter().flat_map(|vpc| platform::blocks(world.vpc(vpc).map(|vpc| &**vpc)));
    let mut blocks = blocks.into_iter();
    blocks.any(|block| block.contains(&address)) || world.eni_seen_from(&eni.vpc, address).is_some()
}

/// How many packets of each kind were compared.
#[derive(Debug, Default)]
struct Compared {
    reached: usize,
    unreached: usize,
    exposed: usize,
    hidden: usize,
    cut_off: usize,
    unanswered: usize,
    left_out: usize,
}

#[test]
fn what_reaches_is_what_both_ends_let_pass() {
    let mut counts = Compared::default();
    for seed in 0..WORLDS {
        let mut universe = Universe::new(seed);
        universe.add_ways();
        compare(seed, universe, &mut counts);
    }
    let Compared { reached, unreached, exposed, hidden, cut_off, left_out, .. } = counts;
    assert!(left_out > 300, "{counts:?}");
    assert!(reached > 300 && unreached > 300, "{counts:?}");
    assert!(exposed > 300 && hidden > 300 && cut_off > 300, "{counts:?}");
}

#[test]
fn what_is_answered_is_what_network_acls_let_back() {
    let mut counts = Compared::default();
    for seed in 0..WORLDS {
        let mut universe = Universe::new(seed);
        open_groups(&mut universe.world);
        compare(seed, universe, &mut counts);
    }
    assert!(counts.unanswered > 100 && counts.unanswered < counts.reached + counts.exposed - 300, "{counts:?}");
}

fn compare(seed: u64, mut universe: Universe, counts: &mut Compared) {
    let world = universe.world.clone();
    let report = who::ask(&world, &Question::default()).unwrap();
    let enis = universe.enis();
    for _ in 0..PACKETS.min(enis.len() * PACKETS) {
        let eni = universe.chooser.pick(&enis);
        let packet = universe.packet_or_discovery(&eni);
        if is_unjudged(&packet) {
            let of_lines = report.inside.iter().map(|reach| &reach.services);
            let mut told = of_lines.chain(report.outside.iter().map(|exposure| &exposure.services));
            let is_of_routers = matches!(packet.transport, Transport::Icmp { kind: 133..=137, .. });
            assert!(
                !is_of_routers || !told.any(|services| is_told_by_type(services, packet.transport)),
                "seed {seed}"
            );
            counts.left_out += 1;
            continue;
        }
        if !eni.addresses.contains(&packet.local) || eni.addresses.contains(&packet.peer) {
            continue;
        }
        let other = world.eni_seen_from(&eni.vpc, packet.peer).filter(|other| other.id != eni.id);
        match other {
            Some(other) if world.eni_seen_from(&other.vpc, packet.local).is_some_and(|own| own.id == eni.id) => {
                let (from, to, ends) = match packet.direction {
                    Direction::Egress => (&eni, other, (packet.local, packet.peer)),
                    Direction::Ingress => (other, &eni, (packet.peer, packet.local)),
                };
                let leaves = Packet { direction: Direction::Egress, local: ends.0, peer: ends.1, ..packet };
                let enters = Packet { direction: Direction::Ingress, local: ends.1, peer: ends.0, ..packet };
                let expected = passes(&world, from, leaves) && passes(&world, to, enters);
                let answered = expected && is_answered(&world, from, leaves) && is_answered(&world, to, enters);
                counts.unanswered += usize::from(expected && !answered);
                let told = is_inside(&report, (from, to), ends, packet.transport);
                assert_eq!(told, (expected, answered), "seed {seed}: {packet:?} at {}\n{:#?}", eni.id, report.inside);
                *(if expected { &mut counts.reached } else { &mut counts.unreached }) += 1;
            }
            None if !is_within(&world, &eni, packet.peer) => {
                let is_led = world.gaps(&eni, &packet).is_empty();
                let expected = is_led && passes(&world, &eni, packet);
                counts.cut_off += usize::from(!is_led);
                let answered = expected && is_answered(&world, &eni, packet);
                counts.unanswered += usize::from(expected && !answered);
                let told = is_outside(&report, &eni, &packet);
                assert_eq!(
                    told,
                    (expected, answered),
                    "seed {seed}: {packet:?} at {}\n{:#?}",
                    eni.id,
                    report.outside
                );
                *(if expected { &mut counts.exposed } else { &mut counts.hidden }) += 1;
            }
            Some(_) | None => {}
        }
    }
}

#[test]
fn a_part_of_the_question_has_that_part_of_the_answer() {
    let mut narrowed = 0;
    for seed in 0..WORLDS / 2 {
        let universe = Universe::new(seed);
        let world = &universe.world;
        let whole = who::ask(world, &Question::default()).unwrap();
        for eni in universe.enis() {
            let asked = Question { to: Some(eni.id.to_string()), ..Question::default() };
            let part = who::ask(world, &asked).unwrap();
            let told = |report: &Report| -> BTreeSet<(String, String, Vec<String>)> {
                let mut pairs = BTreeSet::new();
                for Reach { from, to, services, .. } in &report.inside {
                    for receiver in
                        to.addresses.iter().filter(|own| eni.addresses.iter().any(|it| it.to_string() == **own))
                    {
                        let is_there = to.vpc == eni.vpc;
                        let senders = from.addresses.iter().filter(|_| is_there);
                        let foreign =
                            senders.filter(|from| !eni.addresses.iter().any(|own| own.to_string() == **from));
                        pairs.extend(foreign.map(|from| (from.clone(), receiver.clone(), services.clone())));
                    }
                }
                pairs
            };
            assert_eq!(told(&part), told(&whole), "seed {seed}: {}", eni.id);
            assert!(part.outside.iter().all(|exposure| exposure.direction == Direction::Ingress), "seed {seed}");
            narrowed += part.inside.len();
        }
        let matrix = who::all_pairs(world).unwrap();
        assert_eq!(matrix.pairs > 0, !whole.inside.is_empty(), "seed {seed}: {matrix:?}\n{:#?}", whole.inside);
    }
    assert!(narrowed > 200, "{narrowed}");
}

/// An estate in which groups name the next ones, with so many interfaces for each policy.
fn estate(policies: usize, each: usize) -> World {
    let pattern = Universe::new(1);
    let mut world = pattern.world.clone();
    let (eni, group) = (world.enis().next().unwrap().clone(), world.groups().next().unwrap().clone());
    let template = world.groups().flat_map(|group| group.rules.values()).next().unwrap().clone();
    for id in world.enis().map(|eni| eni.id.clone()).collect::<Vec<_>>() {
        world.apply(&Change::DeleteEni(id));
    }
    let name = |index: usize| GroupId::from(format!("sg-of-{index}"));
    for index in 0..policies {
        let mut made = Group::clone(&group);
        (made.id, made.rules) = (name(index), Default::default());
        made.flavor = Flavor::Ec2;
        world.apply(&Change::PutGroup(Arc::new(made)));
        for (way, direction) in [Direction::Ingress, Direction::Egress].into_iter().enumerate() {
            let mut rule = Rule::clone(&template);
            rule.id = format!("sgr-{index}-{way}").into();
            let account = group.account.clone();
            let peer = match direction {
                Direction::Ingress => Peer::Group { group: name((index + 1) % policies), account },
                Direction::Egress => Peer::Cidr("0.0.0.0/0".parse().unwrap()),
            };
            let what = (Protocol::TCP, Service::Any);
            rule.spec = RuleSpec::plain(direction, Action::Allow, what, peer);
            world.apply(&Change::PutRule { group: name(index), rule: Arc::new(rule) });
        }
    }
    for index in 0..policies * each {
        let mut made = Eni::clone(&eni);
        made.id = format!("eni-of-{index}").into();
        made.groups = vec![name(index % policies)];
        made.vpc = group.vpc.clone();
        let [.., high, low] = (index as u32).to_be_bytes();
        made.addresses = vec![IpAddr::from([10, 9, high, low])];
        world.apply(&Change::PutEni(Arc::new(made)));
    }
    world
}

#[test]
fn all_pairs_take_the_work_of_policies_and_not_of_interfaces() {
    let few = who::all_pairs(&estate(40, 1)).unwrap();
    let many = who::all_pairs(&estate(40, 5)).unwrap();
    assert_eq!((few.policies, many.policies, few.pairs, many.pairs), (40, 40, 40, 40));
    assert_eq!((few.interfaces, many.interfaces), (40, 200));
    // For each pair of policies an answer or two, and one for each member of the second: never one for each pair of interfaces.
    assert!(many.looked_at <= 40 * 40 * 2 * (1 + 5) && few.looked_at <= 40 * 40 * 2 * (1 + 1), "{few:?} {many:?}");
}
