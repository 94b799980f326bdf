//! Invariants on generated worlds: what is told of them is what `core::verdict` says of packets, and what is followed from change to change
//! is what a look at everything finds.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use sekimori_analysis::invariant::{Checker, Judged, check};
use sekimori_core::{
    address::{Cidr, Family},
    apply::{Applied, State},
    bypass::BypassSet,
    change::Change,
    command::Outcome,
    end::End,
    ids::GroupId,
    invariant::{Invariant, Mode, Sight, Verb, Witness},
    packet::{Packet, Transport, Why},
    platform,
    rule::{Action, Direction, Peer, PortRange, Protocol, Rule, RuleSpec, Service},
    tags::Tags,
    time::Timestamp,
    verdict,
    world::{Dialect, Eni, Flavor, Group, World},
};
use sekimori_tests::{
    generate::{Chooser, Universe},
    open::open_groups,
    told::is_unjudged,
};

const WORLDS: u64 = 150;
const PACKETS: usize = 250;

/// An end that means something in the world, or nothing.
fn end(chooser: &mut Chooser, world: &World) -> String {
    let enis: Vec<Arc<Eni>> = world.enis().cloned().collect();
    let groups: Vec<String> = world.groups().map(|group| format!("group:{}", group.id)).collect();
    let vpcs: Vec<String> = world.vpcs().map(|vpc| format!("vpc:{}", vpc.id)).collect();
    match chooser.below(7) {
        0 | 1 if !groups.is_empty() => chooser.pick(&groups),
        2 if !enis.is_empty() => format!("eni:{}", chooser.pick(&enis).id),
        3 if !vpcs.is_empty() => chooser.pick(&vpcs),
        4 => chooser
            .pick(&["10.0.0.0/8", "10.0.0.0/30", "198.51.100.0/24", "fd00::/64", "2001:db8::/32", "0.0.0.0/1"])
            .to_owned(),
        5 => chooser.pick(&["10.0.0.2", "192.0.2.1", "fd00::1"]).to_owned(),
        _ => "internet".to_owned(),
    }
}

fn statement(chooser: &mut Chooser, world: &World) -> String {
    let (from, mut to) = (end(chooser, world), end(chooser, world));
    while from == "internet" && to == "internet" {
        to = end(chooser, world);
    }
    let verb = chooser.pick(&["must-not reach", "must-not reach", "may reach"]);
    let services = chooser.pick(&[
        "",
        "tcp",
        "tcp/80",
        "tcp/79-81 udp/53",
        "udp",
        "icmp/8",
        "icmpv6",
        "icmpv6/134",
        "47",
        "tcp/443",
    ]);
    format!("{from} {verb} {to} {services}")
}

fn put(number: usize, statement: &str) -> Change {
    Change::PutInvariant(Arc::new(Invariant {
        name: format!("{number}"),
        statement: statement.parse().unwrap(),
        mode: Mode::Warn,
        set_at: Timestamp(0),
        violation: None,
    }))
}

/// Whether a packet gets past an interface, but for what no rule has to do with; `None` for that.
fn passes(world: &World, eni: &Eni, packet: &Packet) -> Option<bool> {
    let of_dhcp = |entry: &sekimori_core::bypass::BypassEntry| entry.is_dhcp();
    let dhcp = BypassSet::new(world.bypass().entries().iter().filter(|entry| of_dhcp(entry)).cloned().collect());
    if is_unjudged(packet) || dhcp.unwrap().holds(packet) {
        return None;
    }
    let decision = verdict::decide(world, eni, packet);
    assert_ne!(decision.why, Why::Spoofed, "a packet from an address of its own");
    // What is outside must also be led there.
    Some(decision.is_allowed() && world.gaps(eni, packet).is_empty())
}

fn at(direction: Direction, local: IpAddr, peer: IpAddr, transport: Transport) -> Packet {
    Packet { direction, local, peer, transport, is_forwarded: false }
}

/// Whether a packet gets from one address to another, each an interface's or outside.
fn arrives(
    world: &World,
    from: (IpAddr, Option<&Eni>),
    to: (IpAddr, Option<&Eni>),
    transport: Transport,
) -> Option<bool> {
    let leaves = from.1.map(|eni| passes(world, eni, &at(Direction::Egress, from.0, to.0, transport)));
    let enters = to.1.map(|eni| passes(world, eni, &at(Direction::Ingress, to.0, from.0, transport)));
    Some(leaves.unwrap_or(Some(true))? && enters.unwrap_or(Some(true))?)
}

/// Whether it does, and nothing drops the answer to it.
fn is_served(
    world: &World,
    from: (IpAddr, Option<&Eni>),
    to: (IpAddr, Option<&Eni>),
    transport: Transport,
) -> Option<bool> {
    let answers = |end: (IpAddr, Option<&Eni>), peer, direction| {
        let answer = at(direction, end.0, peer, transport).answer();
        end.1.zip(answer).is_none_or(|(eni, answer)| verdict::refused_by_acl(world, eni, &answer).is_none())
    };
    let is_answered = answers(from, to.0, Direction::Egress) && answers(to, from.0, Direction::Ingress);
    Some(arrives(world, from, to, transport)? && is_answered)
}

/// Whether an end means an address, which is an interface's or outside.
fn means(world: &World, end: &End, address: IpAddr, eni: Option<&Eni>) -> bool {
    match (end, eni) {
        (End::Internet, eni) => eni.is_none(),
        (End::Block(block), _) => block.contains(address),
        (End::Eni(id), Some(eni)) => eni.id == *id,
        (End::Group(id), Some(eni)) => eni.groups.contains(id),
        (End::Vpc(id), Some(eni)) => eni.vpc == *id,
        (End::Instance(id), Some(eni)) => eni.instance.as_ref() == Some(id),
        (End::Subnet(id), Some(eni)) => eni.subnet == *id,
        (End::Name(_) | End::Tags(_), Some(eni)) => world.eni(&eni.id).is_none(),
        (_, None) => false,
    }
}

fn is_inside(world: &World, eni: &Eni, address: IpAddr) -> bool {
    let vpcs = world.joined_with(&eni.vpc);
    let blocks = vpcs.iter().flat_map(|vpc| platform::blocks(world.vpc(vpc).map(|vpc| &**vpc)));
    blocks.map(Cidr::from).any(|block| block.contains(address)) || world.eni_seen_from(&eni.vpc, address).is_some()
}

/// The two ends of a packet at an interface, if it is one that rules judge: its sender first.
type Ends = ((IpAddr, Option<Arc<Eni>>), (IpAddr, Option<Arc<Eni>>));

fn ends(world: &World, eni: &Arc<Eni>, packet: &Packet) -> Option<Ends> {
    if !eni.addresses.contains(&packet.local) || eni.addresses.contains(&packet.peer) {
        return None;
    }
    let other = world.eni_seen_from(&eni.vpc, packet.peer).cloned();
    let is_known = other.as_ref().is_none_or(|other| {
        other.id != eni.id && world.eni_seen_from(&other.vpc, packet.local).is_some_and(|own| own.id == eni.id)
    });
    if !is_known || other.is_none() && is_inside(world, eni, packet.peer) {
        return None;
    }
    let (own, peer) = ((packet.local, Some(Arc::clone(eni))), (packet.peer, other));
    Some(match packet.direction {
        Direction::Egress => (own, peer),
        Direction::Ingress => (peer, own),
    })
}

fn is_asked(judged: &Judged, transport: Transport) -> bool {
    let low = match transport {
        Transport::Tcp { destination, .. } | Transport::Udp { destination, .. } => destination,
        Transport::Icmp { kind, code, .. } => u16::from_be_bytes([kind, code]),
        Transport::Other { .. } => 0,
    };
    let number = u32::from(transport.protocol()) << 16 | u32::from(low);
    let within = |(first, last): (u32, u32)| first <= number && number <= last;
    judged.statement.services.is_empty() || judged.statement.services.iter().any(|served| within(served.span()))
}

fn with_source(transport: Transport, port: u16) -> Transport {
    match transport {
        Transport::Tcp { destination, .. } => Transport::Tcp { source: port, destination },
        Transport::Udp { destination, .. } => Transport::Udp { source: port, destination },
        other @ (Transport::Icmp { .. } | Transport::Other { .. }) => other,
    }
}

/// Every source port that something could tell from its neighbours.
fn source_ports(world: &World) -> BTreeSet<u16> {
    let rules = world.groups().flat_map(|group| group.rules.values()).filter_map(|rule| rule.spec.source_ports);
    let bypass = world.bypass().entries().iter().filter_map(|entry| entry.source_ports);
    // What answers go to.
    let acls = world.network_acls().flat_map(|acl| &acl.entries);
    let answers = acls.filter_map(|entry| match entry.spec.service {
        Service::Ports(range) => Some(range),
        Service::Any | Service::PortList(_) | Service::Icmp { .. } => None,
    });
    let ends = rules.chain(bypass).chain(answers).flat_map(|range| [range.first(), range.last().saturating_add(1)]);
    ends.chain([0, 50_000]).collect()
}

/// What is shown of a violation is one, by the verdict.
fn confirm(world: &World, judged: &Judged, witness: &Witness) {
    let eni = |id: &Option<sekimori_core::ids::EniId>| id.as_ref().map(|id| Arc::clone(world.eni(id).unwrap()));
    match witness {
        Witness::Passes(Sight { from, from_eni, to, to_eni, transport, answer_dropped_at, gap }) => {
            assert_eq!((answer_dropped_at, gap), (&None, &None));
            let (sender, receiver) = (eni(from_eni), eni(to_eni));
            assert!(means(world, &judged.statement.from, *from, sender.as_deref()), "{judged:?}");
            assert!(means(world, &judged.statement.to, *to, receiver.as_deref()), "{judged:?}");
            assert!(is_asked(judged, *transport) && judged.statement.verb == Verb::MustNotReach, "{judged:?}");
            let passed = arrives(world, (*from, sender.as_deref()), (*to, receiver.as_deref()), *transport);
            assert_eq!(passed, Some(true), "{judged:?}");
        }
        Witness::Dropped(Sight { from, from_eni, to, to_eni, transport, answer_dropped_at, .. }) => {
            let (sender, receiver) = (eni(from_eni), eni(to_eni));
            assert!(means(world, &judged.statement.from, *from, sender.as_deref()), "{judged:?}");
            assert!(means(world, &judged.statement.to, *to, receiver.as_deref()), "{judged:?}");
            assert_eq!(judged.statement.verb, Verb::MayReach);
            for port in source_ports(world) {
                let transport = with_source(*transport, port);
                let passed = is_served(world, (*from, sender.as_deref()), (*to, receiver.as_deref()), transport);
                assert_ne!(passed, Some(true), "{transport:?} {judged:?}");
            }
            let passed = arrives(world, (*from, sender.as_deref()), (*to, receiver.as_deref()), *transport);
            assert_eq!(answer_dropped_at.is_some(), passed == Some(true), "{judged:?}");
        }
        Witness::NoFamily { .. } | Witness::Apart { .. } => assert_eq!(judged.statement.verb, Verb::MayReach),
        Witness::TooComplex(why) => panic!("{why}"),
    }
}

/// Whether the invariant asks that a packet with these ends can pass: in the family that both have, IPv4 if both do.
fn is_required(judged: &Judged, family: Family, ((from, sender), (to, receiver)): &Ends) -> bool {
    let only = judged.statement.services.iter().all(|served| served.family().is_none());
    let has_v4 = |end: &End, address: IpAddr, eni: &Option<Arc<Eni>>| match (end, eni) {
        (End::Block(block), _) => {
            block.family() == Family::V4 && block.contains(address) || Family::of(address) == Family::V4
        }
        (_, Some(eni)) => eni.addresses.iter().any(|own| Family::of(*own) == Family::V4),
        (_, None) => true,
    };
    let both = has_v4(&judged.statement.from, *from, sender) && has_v4(&judged.statement.to, *to, receiver);
    only && (family == Family::V4 || !both)
}

#[test]
fn what_is_told_is_what_the_verdict_says() {
    let (mut violated, mut held, mut tried, mut cut_off) = ([0, 0], [0, 0], [0, 0], 0);
    for seed in 0..WORLDS {
        let mut universe = Universe::new(seed);
        if seed % 2 == 1 {
            universe.add_ways();
        }
        let mut world = universe.world.clone();
        for number in 0..12 {
            let text = statement(&mut universe.chooser, &world);
            let change = put(number, &text);
            world.apply(&change);
        }
        let report = check(&world);
        for judged in &report.invariants {
            let kind = usize::from(judged.statement.verb == Verb::MayReach);
            match &judged.witness {
                Some(witness) => confirm(&world, judged, witness),
                None => held[kind] += 1,
            }
            let is_cut_off = |witness: &Witness| matches!(witness, Witness::Dropped(Sight { gap: Some(_), .. }));
            cut_off += usize::from(judged.witness.as_ref().is_some_and(is_cut_off));
            violated[kind] += usize::from(!judged.holds);
        }
        let (enis, ports) = (universe.enis(), source_ports(&world));
        for _ in 0..PACKETS.min(enis.len() * PACKETS) {
            let eni = universe.chooser.pick(&enis);
            let packet = universe.packet_or_discovery(&eni);
            let Some(two) = ends(&world, &eni, &packet).filter(|_| !is_unjudged(&packet)) else { continue };
            let ((from, sender), (to, receiver)) = &two;
            for judged in report.invariants.iter().filter(|judged| judged.holds && is_asked(judged, packet.transport))
            {
                let statement = &judged.statement;
                if !means(&world, &statement.from, *from, sender.as_deref())
                    || !means(&world, &statement.to, *to, receiver.as_deref())
                {
                    continue;
                }
                let arrives = |transport| {
                    arrives(&world, (*from, sender.as_deref()), (*to, receiver.as_deref()), transport) == Some(true)
                };
                match statement.verb {
                    Verb::MustNotReach => {
                        assert!(!arrives(packet.transport), "seed {seed}: {packet:?} at {}: {judged:?}", eni.id);
                        tried[0] += 1;
                    }
                    // Any service at all is enough where none is named; nothing is said of a single one then.
                    Verb::MayReach if statement.services.is_empty() => {}
                    Verb::MayReach if is_required(judged, Family::of(*from), &two) => {
                        let ends = ((*from, sender.as_deref()), (*to, receiver.as_deref()));
                        let is_served = |transport| is_served(&world, ends.0, ends.1, transport) == Some(true);
                        let some = ports.iter().any(|port| is_served(with_source(packet.transport, *port)));
                        assert!(some, "seed {seed}: {packet:?} at {}: {judged:?}", eni.id);
                        tried[1] += 1;
                    }
                    Verb::MayReach => {}
                }
            }
        }
    }
    assert!(
        violated.iter().all(|count| *count > 100) && held.iter().all(|count| *count > 50),
        "{violated:?} {held:?}"
    );
    assert!(tried[0] > 300 && tried[1] > 20 && cut_off > 20, "{tried:?} {cut_off}");
}

#[test]
fn who_may_reach_gets_an_answer() {
    let (mut answered, mut unanswered, mut dropped) = (0, 0, 0);
    for seed in 0..WORLDS {
        let universe = Universe::new(seed);
        let mut world = universe.world.clone();
        open_groups(&mut world);
        let (mut asked, ports) = (Vec::new(), source_ports(&world));
        for eni in universe.enis() {
            for outside in ["198.51.100.10", "203.0.113.200", "192.0.2.1"] {
                let (address, id) = (outside.parse::<IpAddr>().unwrap(), &eni.id);
                if is_inside(&world, &eni, address) {
                    continue;
                }
                let texts = [format!("{outside} may reach eni:{id}"), format!("eni:{id} may reach {outside}")];
                for (way, text) in [Direction::Ingress, Direction::Egress].into_iter().zip(texts) {
                    world.apply(&put(asked.len(), &format!("{text} tcp/80")));
                    asked.push((Arc::clone(&eni), address, way));
                }
            }
        }
        let report = check(&world);
        for (number, (eni, address, way)) in asked.iter().enumerate() {
            let judged = report.invariants.iter().find(|judged| judged.name == number.to_string()).unwrap();
            let is_served = |own: IpAddr, port: u16| {
                let (own, peer) = ((own, Some(&**eni)), (*address, None));
                let (from, to) = if *way == Direction::Egress { (own, peer) } else { (peer, own) };
                is_served(&world, from, to, Transport::Tcp { source: port, destination: 80 }) == Some(true)
            };
            let mut own = eni.addresses.iter().filter(|own| own.is_ipv4());
            let expected = own.all(|own| ports.iter().any(|port| is_served(*own, *port)));
            assert_eq!(judged.holds, expected, "seed {seed}: {judged:?}");
            let witness = judged.witness.as_ref();
            witness.iter().for_each(|witness| confirm(&world, judged, witness));
            let said = matches!(witness, Some(Witness::Dropped(Sight { answer_dropped_at: Some(_), .. })));
            *(if expected {
                &mut answered
            } else if said {
                &mut unanswered
            } else {
                &mut dropped
            }) += 1;
        }
    }
    assert!(answered > 100 && unanswered > 30 && dropped > 30, "{answered} {unanswered} {dropped}");
}

#[test]
fn following_changes_finds_what_a_look_at_everything_finds() {
    let (mut turned, mut kept) = (0, 0);
    for seed in 0..WORLDS {
        let mut universe = Universe::new(seed);
        let mut checker = Checker::default();
        for step in 0..40 {
            let before = universe.world.clone();
            let changes = if step < 8 {
                let text = statement(&mut universe.chooser, &before);
                vec![put(step, &text)]
            } else {
                universe.change()
            };
            let mut after = before.clone();
            changes.iter().for_each(|change| after.apply(change));
            let applied = Applied { state: State::new(after), changes: changes.clone(), outcome: Outcome::Done };
            let (applied, next, turns) = checker.hold(&before, applied).unwrap();
            checker = next;
            turned += turns.len();
            let revision = before.revision().next();
            universe.world = applied.state.at(revision).world().clone();
            for judged in check(&universe.world).invariants {
                let known = universe.world.invariants().get(&judged.name).unwrap().violation.is_some();
                assert_eq!(known, !judged.holds, "seed {seed}, step {step}: {changes:?}\n{judged:?}");
                kept += 1;
            }
        }
    }
    assert!(turned > 500 && kept > 10_000, "{turned} {kept}");
}

/// Groups of ten interfaces; every tenth is a database that the group before it reaches, the others the internet.
fn estate(groups: usize) -> World {
    let pattern = Universe::new(1);
    let mut world = pattern.world.clone();
    let (eni, group) = (world.enis().next().unwrap().clone(), world.groups().next().unwrap().clone());
    let template = world.groups().flat_map(|group| group.rules.values()).next().unwrap().clone();
    for id in world.enis().map(|eni| eni.id.clone()).collect::<Vec<_>>() {
        world.apply(&Change::DeleteEni(id));
    }
    let name = |index: usize| GroupId::from(format!("sg-of-{index}"));
    for index in 0..groups {
        let mut made = Group::clone(&group);
        (made.id, made.rules, made.flavor) = (name(index), Default::default(), Flavor::Ec2);
        world.apply(&Change::PutGroup(Arc::new(made)));
        let is_db = index % 10 == 9;
        let peer = if is_db {
            Peer::Group { group: name(index - 1), account: group.account.clone() }
        } else {
            Peer::Cidr(Cidr::WORLD_V4)
        };
        let port = Service::Ports(PortRange::one(if is_db { 5432 } else { 443 }));
        let everyone = Peer::Cidr(Cidr::WORLD_V4);
        for (number, spec) in [
            RuleSpec::plain(Direction::Ingress, Action::Allow, (Protocol::TCP, port), peer),
            RuleSpec::plain(Direction::Egress, Action::Allow, (Protocol::Any, Service::Any), everyone),
        ]
        .into_iter()
        .enumerate()
        {
            let rule = Rule { id: format!("sgr-{index}-{number}").into(), spec, ..Rule::clone(&template) };
            world.apply(&Change::PutRule { group: name(index), rule: Arc::new(rule) });
        }
        for member in 0..10 {
            let at = index * 10 + member;
            let mut made = Eni::clone(&eni);
            let tags = [("role", if is_db { "db" } else { "web" }), ("shard", &*format!("{}", index / 10))];
            made.tags = Tags::read(Dialect::Ec2, tags).unwrap();
            (made.id, made.groups) = (format!("eni-of-{at}").into(), vec![name(index)]);
            made.instance = None;
            made.addresses = vec![IpAddr::from([10, 1, (at / 200) as u8, (at % 200) as u8 + 1])];
            world.apply(&Change::PutEni(Arc::new(made)));
        }
    }
    world
}

fn measured(world: &World, invariants: usize) -> [Duration; 3] {
    let mut world = world.clone();
    for number in 0..invariants {
        let shard = number / 2;
        let text = match number % 2 {
            0 => format!("internet must-not reach tag:role=db,shard={shard}"),
            _ => "internet must-not reach tag:role=db tcp/22".to_owned(),
        };
        let change = put(number, &text);
        world.apply(&change);
    }
    let template = world.groups().flat_map(|group| group.rules.values()).next().unwrap().clone();
    let inner = Peer::Cidr("10.0.0.0/8".parse().unwrap());
    let what = (Protocol::TCP, Service::Ports(PortRange::one(8080)));
    let spec = RuleSpec::plain(Direction::Ingress, Action::Allow, what, inner);
    let opens = Rule { id: "sgr-new".into(), spec, ..Rule::clone(&template) };
    let opens = Change::PutRule { group: "sg-of-19".into(), rule: Arc::new(opens) };
    let mut eni = Eni::clone(world.enis().next().unwrap());
    (eni.id, eni.addresses) = ("eni-new".into(), vec![IpAddr::from([10, 200, 0, 1])]);
    let joins = Change::PutEni(Arc::new(eni));
    let hold = |checker: &Checker, change: &Change| {
        let mut after = world.clone();
        after.apply(change);
        let state = State::new(after);
        let rounds = (0..20).map(|_| {
            let applied = Applied { state: state.clone(), changes: vec![change.clone()], outcome: Outcome::Done };
            let begun = Instant::now();
            let (_, next, _) = checker.hold(&world, applied).unwrap();
            (begun.elapsed(), next)
        });
        rounds.min_by_key(|(took, _)| *took).unwrap()
    };
    // The first change finds out everything, and one that changes nothing of this world leaves that known.
    let same =
        world.groups().find(|group| group.id.as_str() == "sg-of-9").unwrap().rules.values().next().unwrap().clone();
    let (first, known) = hold(&Checker::default(), &Change::PutRule { group: "sg-of-9".into(), rule: same });
    [first, hold(&known, &opens).0, hold(&known, &joins).0]
}

#[test]
#[ignore = "a measurement: run with --ignored --nocapture"]
fn what_invariants_add_to_a_commit() {
    for enis in [1_000, 10_000] {
        let world = estate(enis / 10);
        for invariants in [0, 20] {
            let [first, rule, member] = measured(&world, invariants);
            println!(
                "{enis} interfaces, {invariants} invariants: {rule:?} for a rule of a group of ten, {member:?} for an interface \
                 that joins such a group, {first:?} for the first change after a start"
            );
        }
    }
}
