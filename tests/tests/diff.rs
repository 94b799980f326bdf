//! `diff` on generated worlds and changes: every packet that `core::verdict` decides otherwise is told, and no other; and a change of
//! one rule takes the work of that rule.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use sekimori_analysis::{
    diff::{self, Effect, Witness},
    effective::GroupName,
};
use sekimori_core::{
    bypass::BypassSet,
    change::Change,
    ids::RuleId,
    packet::{Packet, Transport},
    peering::{Peering, PeeringSide, PeeringStatus},
    rule::{Action, Direction, Peer, PortRange, Protocol, Rule, RuleSpec, Service},
    time::Timestamp,
    verdict,
    world::{Eni, Flavor, Group, World},
};
use sekimori_tests::{
    generate::{Chooser, Universe},
    told::{in_crossings, in_diff, is_unjudged},
};

const WORLDS: u64 = 600;
/// Packets whose ends and services are combined with each other.
const SAMPLES: usize = 24;

fn passes(world: &World, eni: &Eni, packet: &Packet) -> bool {
    verdict::decide(world, eni, packet).is_allowed()
}

/// Every packet that can be made of some packets' ends and services.
fn combined(samples: &[Packet]) -> Vec<Packet> {
    let ends: BTreeSet<(IpAddr, IpAddr)> = samples.iter().map(|packet| (packet.local, packet.peer)).collect();
    let transports: BTreeSet<Transport> = samples.iter().map(|packet| packet.transport).collect();
    let mut all = Vec::new();
    for direction in [Direction::Ingress, Direction::Egress] {
        for (local, peer) in &ends {
            let of = |transport: &Transport| Packet {
                direction,
                local: *local,
                peer: *peer,
                transport: *transport,
                is_forwarded: false,
            };
            all.extend(transports.iter().map(of));
        }
    }
    all
}

/// The state after some changes of any kind, and of those that the generator does not make.
fn changed(universe: &mut Universe) -> World {
    for _ in 0..=universe.chooser.below(3) {
        for change in universe.change() {
            universe.put(change);
        }
    }
    if universe.chooser.one_in(8) {
        let item = universe.chooser.pick(&["none", "dhcp", "udp/53@10.0.0.1", "tcp/80@::/0"]);
        universe.put(Change::PutBypass(Arc::new(BypassSet::from_items([item]).unwrap())));
    }
    if universe.chooser.one_in(8)
        && let Some(eni) = universe.enis().first()
    {
        let mut other = Eni::clone(eni);
        other.source_check = !other.source_check;
        universe.put(Change::PutEni(Arc::new(other)));
    }
    universe.world.clone()
}

/// What an interface sends to itself never leaves it, so that nothing is said of it.
fn is_to_itself(packet: &Packet, enis: [&Eni; 2]) -> bool {
    enis.iter().any(|eni| eni.addresses.contains(&packet.peer))
}

fn check_witness(worlds: (&World, &World), witness: &Witness, effect: Effect, seed: u64) {
    let Some(eni) = &witness.eni else { return };
    let after_own = worlds.1.eni(eni).map(|eni| eni.addresses.contains(&witness.packet.peer));
    assert!(effect == Effect::Lost || after_own != Some(true), "seed {seed}: {witness:?} is to itself");
    let decided = |world: &World| world.eni(eni).map(|eni| verdict::decide(world, eni, &witness.packet));
    let (before, after) = (decided(worlds.0), decided(worlds.1));
    assert_eq!((&witness.before, &witness.after), (&before, &after), "seed {seed}");
    let is_gain = effect == Effect::Gained;
    let passes = (before.unwrap().is_allowed(), after.unwrap().is_allowed());
    assert_eq!(passes, (!is_gain, is_gain), "seed {seed}: {witness:?}");
}

#[test]
fn what_is_gained_and_lost_is_what_is_decided_otherwise() {
    let (mut gained, mut lost, mut same, mut witnesses) = (0_usize, 0_usize, 0_usize, 0_usize);
    for seed in 0..WORLDS {
        let mut universe = Universe::new(seed);
        let before = universe.world.clone();
        let after = changed(&mut universe);
        let report = diff::worlds((&before, "before"), (&after, "after")).unwrap();
        assert_eq!(report.changes_untold + report.interfaces_untold, 0, "seed {seed}");
        for change in &report.changes {
            let witness = change.witness.as_ref().unwrap();
            check_witness((&before, &after), witness, change.effect, seed);
            witnesses += 1;
        }
        for interface in &report.interfaces {
            let own = [(&interface.gained_witness, Effect::Gained), (&interface.lost_witness, Effect::Lost)];
            for (witness, effect) in own.into_iter().filter_map(|(witness, effect)| Some((witness.as_ref()?, effect)))
            {
                assert_eq!(witness.eni.as_ref(), Some(&interface.eni));
                check_witness((&before, &after), witness, effect, seed);
            }
        }
        for eni in universe.enis() {
            let Some(old) = before.eni(&eni.id) else {
                assert!(report.new.iter().any(|new| new.eni == eni.id), "seed {seed}");
                continue;
            };
            let samples: Vec<Packet> = (0..SAMPLES).map(|_| universe.packet_or_discovery(&eni)).collect();
            let is_own = |packet: &Packet| {
                let is_of = |eni: &Eni| !eni.source_check || eni.addresses.contains(&packet.local);
                (is_of(old) || is_of(&eni)) && !is_to_itself(packet, [old, &eni])
            };
            for packet in combined(&samples).iter().filter(|packet| is_own(packet)) {
                let (was, is) = (passes(&before, old, packet), passes(&after, &eni, packet));
                let said =
                    (in_diff(&report, &eni, packet, Effect::Gained), in_diff(&report, &eni, packet, Effect::Lost));
                assert_eq!(said, (is && !was, was && !is), "seed {seed}: {packet:?} at {}\n{report:#?}", eni.id);
                let counted = match (was, is) {
                    (false, true) => &mut gained,
                    (true, false) => &mut lost,
                    (true, true) | (false, false) => &mut same,
                };
                *counted += 1;
            }
        }
        for gone in before.enis().filter(|eni| after.eni(&eni.id).is_none()) {
            assert!(report.gone.iter().any(|one| one.eni == gone.id), "seed {seed}");
        }
    }
    println!("{gained} gained, {lost} lost, {same} the same, {witnesses} witnesses");
    assert!(gained > 1_000 && lost > 1_000 && witnesses > 300, "{gained} {lost} {same} {witnesses}");
}

#[test]
fn nothing_differs_between_a_world_and_itself_read_back() {
    for seed in 0..40 {
        let world = Universe::new(seed).world;
        let again = sekimori_tests::shrink::world_of(&world.to_changes());
        let report = diff::worlds((&world, "one"), (&again, "other")).unwrap();
        assert!(report.changes.is_empty() && report.interfaces.is_empty(), "seed {seed}: {report:#?}");
        assert!(report.new.is_empty() && report.gone.is_empty() && report.bypass.is_empty(), "seed {seed}");
    }
}

/// A group with so many rules that overlap, of an estate in which others have rules of their own.
fn large(rules: usize, flavor: Flavor) -> (World, Arc<Eni>) {
    let pattern = Universe::new(1).world;
    let (eni, group) = (pattern.enis().next().unwrap().clone(), pattern.groups().next().unwrap().clone());
    let mut world = pattern.clone();
    for id in pattern.enis().map(|eni| eni.id.clone()) {
        world.apply(&Change::DeleteEni(id));
    }
    let mut made = Group::clone(&group);
    (made.id, made.rules, made.flavor) = ("sg-large".into(), Default::default(), flavor);
    world.apply(&Change::PutGroup(Arc::new(made)));
    let mut chooser = Chooser::new(7);
    for index in 0..rules {
        world.apply(&rule(index, &mut chooser, flavor));
    }
    for index in 0..100_u8 {
        let mut made = Eni::clone(&eni);
        made.id = format!("eni-of-{index}").into();
        (made.groups, made.source_check) = (vec!["sg-large".into()], true);
        made.addresses = vec![IpAddr::from([10, 9, 0, index])];
        world.apply(&Change::PutEni(Arc::new(made)));
    }
    let eni = world.enis().next().unwrap().clone();
    (world, eni)
}

fn rule(index: usize, chooser: &mut Chooser, flavor: Flavor) -> Change {
    let port = 1_000 + chooser.below(2_000) as u16;
    let ports = PortRange::new(port, port + chooser.below(8) as u16).unwrap();
    let block = format!("{}.{}.0.0/{}", 20 + chooser.below(40), chooser.below(256), 14 + chooser.below(8));
    let action = match flavor {
        Flavor::Ec2 => Action::Allow,
        Flavor::EcsBasic | Flavor::EcsEnterprise => chooser.pick(&[Action::Allow, Action::Allow, Action::Deny]),
    };
    let peer = Peer::Cidr(block.parse::<sekimori_core::address::Cidr>().unwrap().canonical());
    let protocol = chooser.pick(&[Protocol::TCP, Protocol::UDP]);
    let mut spec = RuleSpec::plain(Direction::Ingress, action, (protocol, Service::Ports(ports)), peer);
    spec.priority = 1 + chooser.below(100) as u8;
    let rule = Rule {
        id: format!("sgr-{index}").into(),
        spec,
        description: String::new(),
        tags: Default::default(),
        created_at: Default::default(),
    };
    Change::PutRule { group: "sg-large".into(), rule: Arc::new(rule) }
}

#[test]
fn a_large_policy_is_compared_as_exactly() {
    for flavor in [Flavor::EcsEnterprise, Flavor::Ec2] {
        let (before, eni) = large(1_000, flavor);
        let mut chooser = Chooser::new(11);
        let (mut differing, mut same) = (0, 0);
        for index in (0..1_000).step_by(125) {
            let mut after = before.clone();
            after.apply(&rule(index, &mut chooser, flavor));
            let report = diff::worlds((&before, "before"), (&after, "after")).unwrap();
            let mut ports = BTreeSet::new();
            let mut peers = BTreeSet::new();
            for world in [&before, &after] {
                let group = world.group(&"sg-large".into()).unwrap();
                let spec = &group.rules.get(&RuleId::from(format!("sgr-{index}").as_str())).unwrap().spec;
                if let (Service::Ports(range), Peer::Cidr(cidr)) = (&spec.service, &spec.peer) {
                    ports.extend(range.first().saturating_sub(1)..=range.last() + 1);
                    let net = cidr.network();
                    peers.extend([net.network(), net.broadcast()]);
                }
            }
            for (port, peer) in ports.iter().flat_map(|port| peers.iter().map(move |peer| (*port, *peer))) {
                for transport in
                    [Transport::Tcp { source: 9, destination: port }, Transport::Udp { source: 9, destination: port }]
                {
                    let (local, direction) = (eni.addresses[0], Direction::Ingress);
                    let packet = Packet { direction, local, peer, transport, is_forwarded: false };
                    let (was, is) = (passes(&before, &eni, &packet), passes(&after, &eni, &packet));
                    let said = (
                        in_diff(&report, &eni, &packet, Effect::Gained),
                        in_diff(&report, &eni, &packet, Effect::Lost),
                    );
                    assert_eq!(said, (is && !was, was && !is), "{packet:?}\n{report:#?}");
                    *(if was == is { &mut same } else { &mut differing }) += 1;
                }
            }
        }
        assert!(differing > 50 && same > 50, "{flavor:?}: {differing} {same}");
    }
}

#[test]
#[ignore = "a measurement: run with --ignored --nocapture"]
fn a_rule_of_a_thousand_is_compared_in_milliseconds() {
    for flavor in [Flavor::EcsEnterprise, Flavor::Ec2] {
        let (before, _) = large(1_000, flavor);
        let mut chooser = Chooser::new(13);
        let mut times: Vec<Duration> = Vec::new();
        for index in 0..50 {
            let mut after = before.clone();
            after.apply(&rule(index * 20, &mut chooser, flavor));
            let began = Instant::now();
            let report = diff::worlds((&before, "before"), (&after, "after")).unwrap();
            times.push(began.elapsed());
            assert!(report.interfaces.len() <= 100);
        }
        times.sort();
        println!("{flavor:?}: median {:?}, worst {:?}", times[25], times[49]);
    }
}

#[test]
fn two_worlds_that_only_share_names_are_compared_as_exactly() {
    let (mut gained, mut lost, mut same, mut apart) = (0_usize, 0_usize, 0_usize, 0_usize);
    for seed in 0..WORLDS / 2 {
        let (mut one, other) = (Universe::new(seed), Universe::new(seed + 10_000));
        let (before, after) = (one.world.clone(), other.world.clone());
        let report = diff::worlds((&before, "one account"), (&after, "another")).unwrap();
        for old in one.enis() {
            let Some(new) = after.eni(&old.id) else {
                assert!(report.gone.iter().any(|gone| gone.eni == old.id), "seed {seed}");
                apart += 1;
                continue;
            };
            let samples: Vec<Packet> = (0..SAMPLES).map(|_| one.packet_or_discovery(&old)).collect();
            let is_own = |packet: &Packet| {
                let is_of = |eni: &Eni| !eni.source_check || eni.addresses.contains(&packet.local);
                (is_of(&old) || is_of(new)) && !is_to_itself(packet, [&old, new])
            };
            for packet in combined(&samples).iter().filter(|packet| is_own(packet)) {
                let (was, is) = (passes(&before, &old, packet), passes(&after, new, packet));
                let said =
                    (in_diff(&report, new, packet, Effect::Gained), in_diff(&report, new, packet, Effect::Lost));
                assert_eq!(said, (is && !was, was && !is), "seed {seed}: {packet:?} at {}\n{report:#?}", old.id);
                let counted = match (was, is) {
                    (false, true) => &mut gained,
                    (true, false) => &mut lost,
                    (true, true) | (false, false) => &mut same,
                };
                *counted += 1;
            }
        }
        let only = |own: &World, other: &World| -> BTreeSet<String> {
            let groups = own.groups().filter(|group| other.group(&group.id).is_none());
            groups.map(|group| group.id.to_string()).collect()
        };
        let told = |groups: &[GroupName]| groups.iter().map(|group| group.id.to_string()).collect::<BTreeSet<_>>();
        assert_eq!(told(&report.new_groups), only(&after, &before), "seed {seed}");
        assert_eq!(told(&report.gone_groups), only(&before, &after), "seed {seed}");
        apart += report.new.len() + report.new_groups.len() + report.gone_groups.len();
    }
    println!("{gained} gained, {lost} lost, {same} the same, {apart} in one of them");
    assert!(gained > 1_000 && lost > 1_000 && same > 1_000 && apart > 100, "{gained} {lost} {same} {apart}");
}

/// The world with its two VPCs peered, and without.
fn joined_and_apart(universe: &Universe) -> Option<(World, World)> {
    let vpcs: Vec<PeeringSide> = universe.world.vpcs().map(|vpc| PeeringSide::of(vpc)).collect();
    let [requester, accepter] = <[PeeringSide; 2]>::try_from(vpcs).ok()?;
    let (mut joined, mut apart) = (universe.world.clone(), universe.world.clone());
    for peering in universe.world.peerings().iter().map(|peering| peering.id.clone()) {
        joined.apply(&Change::DeletePeering(peering.clone()));
        apart.apply(&Change::DeletePeering(peering));
    }
    joined.apply(&Change::PutPeering(Arc::new(Peering {
        id: "pcx-1".into(),
        region: "r".to_owned(),
        requester,
        accepter,
        status: PeeringStatus::Active,
        ended_by: None,
        why_failed: String::new(),
        tags: Default::default(),
        created_at: Timestamp(0),
        changed_at: Timestamp(0),
    })));
    Some((joined, apart))
}

#[test]
fn what_crosses_a_peering_is_what_both_ends_let_pass_while_it_is() {
    let (mut crossing, mut kept_out) = (0, 0);
    for seed in 0..WORLDS {
        let mut universe = Universe::new(seed);
        let Some((joined, apart)) = joined_and_apart(&universe) else { continue };
        let ends = diff::worlds((&joined, "joined"), (&apart, "apart")).unwrap();
        let begins = diff::worlds((&apart, "apart"), (&joined, "joined")).unwrap();
        assert_eq!(ends.crossings_untold + begins.crossings_untold, 0, "seed {seed}");
        let enis = universe.enis();
        for (from, to) in enis.iter().flat_map(|from| enis.iter().map(move |to| (from, to))) {
            let transports: Vec<Transport> = (0..SAMPLES)
                .map(|_| universe.packet_or_discovery(from))
                .filter(|one| !is_unjudged(one))
                .map(|one| one.transport)
                .collect();
            let pairs = from.addresses.iter().flat_map(|own| to.addresses.iter().map(move |peer| (*own, *peer)));
            for (own, peer) in pairs.filter(|(own, peer)| own.is_ipv4() == peer.is_ipv4()) {
                for transport in &transports {
                    let packet = |direction, local, peer| Packet {
                        direction,
                        local,
                        peer,
                        transport: *transport,
                        is_forwarded: false,
                    };
                    if is_unjudged(&packet(Direction::Egress, own, peer)) {
                        continue;
                    }
                    let crosses = from.vpc != to.vpc
                        && passes(&joined, from, &packet(Direction::Egress, own, peer))
                        && passes(&joined, to, &packet(Direction::Ingress, peer, own));
                    for (report, effect, never) in
                        [(&ends, Effect::Lost, Effect::Gained), (&begins, Effect::Gained, Effect::Lost)]
                    {
                        let told = in_crossings(report, (from, own, to, peer), *transport, effect);
                        assert_eq!(told, crosses, "seed {seed}: {transport:?} from {own} to {peer}: {report:#?}");
                        assert!(!in_crossings(report, (from, own, to, peer), *transport, never), "seed {seed}");
                    }
                    *(if crosses { &mut crossing } else { &mut kept_out }) += 1;
                }
            }
        }
    }
    assert!(crossing > 300 && kept_out > 300, "{crossing} {kept_out}");
}
