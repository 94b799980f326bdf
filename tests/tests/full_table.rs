//! Flow tables that are full: an ENI that takes all it can get leaves the others their shares, half-open flows are bounded, live
//! flows are left alone, and room comes back.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Instant,
};

use sekimori_agent::bpf::sys;
use sekimori_compile::abi::{Budget, Reason};
use sekimori_core::{
    address::Cidr,
    change::Change,
    flow::{Segment, TcpFlags},
    flow_room::FlowRoom,
    ids::{GroupId, RuleId},
    limits::{ENI_HALF_OPEN_MAX, HOST_FLOWS_MAX, LIVE_FLOWS_TOLD_MAX},
    live_flow::{FlowMatch, FlowsWanted},
    packet::{Packet, Transport},
    rule::{Action, Direction, Peer, Protocol, Rule, RuleSpec, Service},
    time::Timestamp,
    world::{Eni, Flavor, World},
};
use sekimori_tests::{
    frame::frame,
    generate::Universe,
    plane::{LOOPBACK, TestPlane, is_root, kernel_key},
};

const SYN: TcpFlags = TcpFlags { syn: true, ack: false, fin: false, rst: false };
const SYN_ACK: TcpFlags = TcpFlags { ack: true, ..SYN };
const ACK: TcpFlags = TcpFlags { syn: false, ack: true, fin: false, rst: false };
const RST: TcpFlags = TcpFlags { syn: false, ack: false, fin: false, rst: true };

/// Two ENIs of this host that may send anything anywhere, and receive it over IPv4.
fn talkative(plane: &mut TestPlane) -> [Eni; 2] {
    for seed in 0..2_000 {
        let mut universe = Universe::new(seed);
        let is_basic = universe.world.groups().next().is_some_and(|group| group.flavor == Flavor::EcsBasic);
        let has_no_rules = universe.world.groups().all(|group| group.rules.is_empty());
        if !is_basic || !has_no_rules {
            continue;
        }
        let groups: Vec<GroupId> = universe.world.groups().map(|group| group.id.clone()).collect();
        groups.into_iter().for_each(|group| universe.put(open(group)));
        plane.enforce(&universe.world).expect("the world fits");
        let has_all = |eni: &Eni| {
            plane.tables.eni_slot(&eni.id).is_some() && [true, false].iter().all(|is_v4| own(eni, *is_v4).is_some())
        };
        let enis: Vec<Eni> = universe.enis().iter().map(|eni| Eni::clone(eni)).filter(has_all).take(2).collect();
        if let Ok(two) = enis.try_into() {
            return two;
        }
    }
    panic!("no seed gives such a world");
}

/// Lets everything in over IPv4.
fn open(group: GroupId) -> Change {
    let what = (Protocol::Any, Service::Any);
    let spec = RuleSpec::plain(Direction::Ingress, Action::Allow, what, Peer::Cidr(Cidr::WORLD_V4));
    let (id, created_at) = (RuleId::from(format!("sgr-open-{group}")), Timestamp(0));
    let rule = Rule { id, spec, description: String::new(), tags: Default::default(), created_at };
    Change::PutRule { group, rule: Arc::new(rule) }
}

fn own(eni: &Eni, is_v4: bool) -> Option<IpAddr> {
    eni.addresses.iter().copied().find(|address| address.is_ipv4() == is_v4)
}

/// The number-th peer far away, with a port of its own.
fn peer(is_v4: bool, number: u32) -> (IpAddr, u16) {
    let address = if is_v4 {
        IpAddr::V4(Ipv4Addr::from(0xcb00_7100 + (number >> 16)))
    } else {
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 9, (number >> 16) as u16))
    };
    (address, number as u16)
}

/// A datagram from an ENI, which begins a flow of its own.
fn datagram(eni: &Eni, is_v4: bool, number: u32) -> Segment {
    let (address, port) = peer(is_v4, number);
    let packet = Packet {
        direction: Direction::Egress,
        local: own(eni, is_v4).expect("it has addresses of both"),
        peer: address,
        transport: Transport::Udp { source: 9, destination: port },
        is_forwarded: false,
    };
    Segment { packet, flags: TcpFlags::default(), icmp_id: 0, quoted: None }
}

/// A segment of the connection that the number-th peer makes to an ENI.
fn segment(eni: &Eni, number: u32, direction: Direction, flags: TcpFlags) -> Segment {
    let (address, port) = peer(true, number);
    let (source, destination) = if direction == Direction::Ingress { (port, 443) } else { (443, port) };
    let packet = Packet {
        direction,
        local: own(eni, true).expect("it has addresses of both"),
        peer: address,
        transport: Transport::Tcp { source, destination },
        is_forwarded: false,
    };
    Segment { packet, flags, icmp_id: 0, quoted: None }
}

/// How many flows an ENI can begin one after the other before it is refused.
fn fill(plane: &mut TestPlane, eni: &Eni, is_v4: bool, first: u32) -> u32 {
    plane.bind(eni).expect("the port is bound");
    let (_, from_eni) = plane.plane.programs();
    let begins = |number: &u32| {
        let frame = frame(&datagram(eni, is_v4, *number), eni.mac.0);
        sys::test_run(from_eni, (&frame, 0), LOOPBACK, 1).expect("it runs").action == -1
    };
    (first..first + HOST_FLOWS_MAX).take_while(begins).count() as u32
}

fn budget(plane: &TestPlane, eni: &Eni) -> Budget {
    let slot = plane.tables.eni_slot(&eni.id).expect("it is on this host");
    plane.plane.maps().budgets.get(slot as usize)
}

fn count(flows: u32) -> i32 {
    i32::try_from(flows).expect("a table is smaller")
}

#[test]
fn who_fills_a_table_leaves_the_others_their_shares() {
    if !is_root("the full-table test") {
        return;
    }
    let mut plane = TestPlane::new().expect("the data plane opens");
    let [greedy, other] = talkative(&mut plane);
    let FlowRoom { share, pool, .. } = plane.plane.flow_room();
    assert_eq!(share * plane.tables.entries().len() as u32 + pool, HOST_FLOWS_MAX);
    for (version, is_v4) in [true, false].into_iter().enumerate() {
        assert_eq!(fill(&mut plane, &greedy, is_v4, 0), share + pool, "its share, and all of the pool");
        let refused = plane.judge(&greedy, &datagram(&greedy, is_v4, HOST_FLOWS_MAX)).expect("it runs");
        assert_eq!(refused, Some((false, Reason::TableFull)));
        let live = plane.judge(&greedy, &datagram(&greedy, is_v4, 7)).expect("it runs");
        assert_eq!(live, Some((true, Reason::KnownFlow)));
        assert_eq!(fill(&mut plane, &other, is_v4, 0), share, "what is its own");
        let counted = [&greedy, &other].map(|eni| budget(&plane, eni).flows[version]);
        assert_eq!(counted, [count(share + pool), count(share)]);
        assert_eq!(plane.plane.maps().budgets.get(0).flows[version], count(pool));
    }
    lists(&plane, &other, share);
    // A flow that ends leaves room for one other of its ENI's, and of nobody's else.
    let slot = plane.tables.eni_slot(&other.id).expect("it is on this host");
    let ended = kernel_key(slot, &other, &datagram(&other, true, 3)).expect("it can be a flow");
    plane.plane.end_flow(&ended).expect("it ends");
    assert_eq!(fill(&mut plane, &greedy, true, HOST_FLOWS_MAX), 0);
    assert_eq!(fill(&mut plane, &other, true, HOST_FLOWS_MAX), 1);
    plane.forget_flows().expect("flows can be ended");
    assert_eq!([&greedy, &other].map(|eni| budget(&plane, eni).flows), [[0, 0]; 2]);
    assert_eq!(plane.plane.maps().budgets.get(0).flows, [0, 0]);
}

/// Full tables are listed as far as is asked for, and the rest is counted. What has been idle for long in the meantime is not live.
fn lists(plane: &TestPlane, eni: &Eni, share: u32) {
    let source = plane.plane.live_source(&plane.tables, &World::default(), None).expect("the tables can be opened");
    let list = |one: FlowMatch, most: u32| {
        let began = Instant::now();
        let (told, untold) = source.read(&FlowsWanted { any: vec![one], most }).expect("flows are readable");
        println!("{} flows told and {untold} counted in {:?}", told.len(), began.elapsed());
        (told, untold)
    };
    let (told, untold) = list(FlowMatch::default(), u32::MAX);
    assert_eq!(told.len(), LIVE_FLOWS_TOLD_MAX as usize);
    assert!(untold > u64::from(HOST_FLOWS_MAX / 2) && told.is_sorted_by_key(|flow| flow.idle_s), "{untold}");
    let (told, untold) = list(FlowMatch::of_eni(&eni.id), 10);
    assert!(told.len() == 10 && told.iter().all(|flow| flow.eni == eni.id));
    assert!(untold >= u64::from(share) - 10 && untold <= 2 * u64::from(share), "{untold}");
}

#[test]
fn half_open_flows_of_an_eni_are_bounded() {
    if !is_root("the test of half-open flows") {
        return;
    }
    let mut plane = TestPlane::new().expect("the data plane opens");
    let [victim, other] = talkative(&mut plane);
    let judge = |plane: &mut TestPlane, eni: &Eni, number, direction, flags| {
        plane.judge(eni, &segment(eni, number, direction, flags)).expect("it runs").expect("it is on this host").1
    };
    let syn = |plane: &mut TestPlane, eni: &Eni, number| judge(plane, eni, number, Direction::Ingress, SYN);
    for number in 0..ENI_HALF_OPEN_MAX {
        assert_eq!(syn(&mut plane, &victim, number), Reason::RuleAllow, "{number}");
    }
    let next = ENI_HALF_OPEN_MAX;
    assert_eq!(syn(&mut plane, &victim, next), Reason::HalfOpen);
    assert_eq!(syn(&mut plane, &victim, 3), Reason::KnownFlow, "a SYN that comes again");
    assert_eq!(syn(&mut plane, &other, next), Reason::RuleAllow, "another ENI");
    // What the victim begins itself, and what is no TCP, goes on.
    assert_eq!(judge(&mut plane, &victim, next, Direction::Egress, SYN), Reason::DefaultAllow);
    assert!(plane.judge(&victim, &datagram(&victim, true, 1)).expect("it runs").expect("it is here").0);
    // A handshake that is completed, and one that is refused, leave room for one each.
    assert_eq!(judge(&mut plane, &victim, 5, Direction::Egress, SYN_ACK), Reason::KnownFlow);
    assert_eq!(syn(&mut plane, &victim, next + 1), Reason::HalfOpen, "only the server has answered");
    assert_eq!(judge(&mut plane, &victim, 5, Direction::Ingress, ACK), Reason::KnownFlow);
    assert_eq!(judge(&mut plane, &victim, 6, Direction::Egress, RST), Reason::KnownFlow);
    assert_eq!(judge(&mut plane, &victim, 5, Direction::Ingress, RST), Reason::KnownFlow, "counted once");
    assert_eq!(syn(&mut plane, &victim, next + 1), Reason::RuleAllow);
    assert_eq!(syn(&mut plane, &victim, next + 2), Reason::RuleAllow);
    assert_eq!(syn(&mut plane, &victim, next + 3), Reason::HalfOpen);
    assert_eq!(budget(&plane, &victim).half_open, count(ENI_HALF_OPEN_MAX));
    plane.forget_flows().expect("flows can be ended");
    assert_eq!([&victim, &other].map(|eni| budget(&plane, eni).half_open), [0, 0]);
}

/// A run of deletions skips what is not there, and says what was. Who deletes behind the agent's back is found out by two sweeps.
#[test]
fn what_another_has_deleted_is_counted_no_longer() {
    if !is_root("the test of deletions") {
        return;
    }
    let mut plane = TestPlane::new().expect("the data plane opens");
    let [eni, _] = talkative(&mut plane);
    plane.plane.set_flows_max(64);
    let borrowed = plane.plane.flow_room().share as i32 / 2;
    let begun = plane.plane.flow_room().share + borrowed.unsigned_abs();
    for number in 0..begun {
        let judged = plane.judge(&eni, &datagram(&eni, true, number)).expect("it runs");
        assert_eq!(judged, Some((true, Reason::DefaultAllow)));
    }
    assert_eq!(plane.plane.maps().budgets.get(0).flows, [borrowed, 0]);
    let slot = plane.tables.eni_slot(&eni.id).expect("it is on this host");
    let key = |number| kernel_key(slot, &eni, &datagram(&eni, true, number)).and_then(|key| key.narrow());
    let keys = [9_999, 0, 9_998, 9_997, 1, 2, 9_996].map(|number| key(number).expect("it is IPv4"));
    let mut taken = Vec::new();
    let table = plane.plane.maps().fd("flows4").expect("there is one");
    sys::delete_run(table, &keys, |at| taken.push(at)).expect("they are deleted");
    assert_eq!(taken, [1, 4, 5]);
    assert_eq!(budget(&plane, &eni).flows, [count(begun), 0], "nobody has told");
    plane.sweep().expect("it sweeps");
    assert_eq!(budget(&plane, &eni).flows, [count(begun), 0], "one sweep alone proves nothing");
    plane.sweep().expect("it sweeps");
    assert_eq!(budget(&plane, &eni).flows, [count(begun - 3), 0]);
    assert_eq!(plane.plane.maps().budgets.get(0).flows, [(borrowed - 3).max(0), 0]);
}
