//! A full flow table refuses new flows, says so, and leaves the live ones alone.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

use std::net::{IpAddr, Ipv4Addr};

use sekimori_agent::bpf::sys;
use sekimori_compile::abi::{PortKey, Reason};
use sekimori_core::{
    flow::{Segment, TcpFlags},
    limits::HOST_FLOWS_MAX,
    packet::{Packet, Transport},
    rule::Direction,
    world::{Eni, Flavor},
};
use sekimori_tests::{
    frame::frame,
    generate::Universe,
    plane::{TestPlane, is_root},
};

/// A world in which some ENI of this host may send UDP anywhere.
fn talkative(plane: &mut TestPlane) -> Eni {
    for seed in 0..500 {
        let universe = Universe::new(seed);
        let is_basic = universe.world.groups().next().is_some_and(|group| group.flavor == Flavor::EcsBasic);
        let has_no_rules = universe.world.groups().all(|group| group.rules.is_empty());
        plane.enforce(&universe.world).expect("the world fits");
        let eni = universe.enis().into_iter().find(|eni| plane.tables.eni_slot(&eni.id).is_some());
        if let Some(eni) = eni.filter(|_| is_basic && has_no_rules) {
            return Eni::clone(&eni);
        }
    }
    panic!("no seed gives such a world");
}

fn datagram(eni: &Eni, number: u32) -> Segment {
    let packet = Packet {
        direction: Direction::Egress,
        local: eni.addresses[0],
        peer: IpAddr::V4(Ipv4Addr::from(0xcb00_7100 + (number >> 16))),
        transport: Transport::Udp { source: number as u16, destination: 9 },
        is_forwarded: false,
    };
    Segment { packet, flags: TcpFlags::default(), icmp_id: 0, quoted: None }
}

#[test]
fn a_full_table_refuses_new_flows_only() {
    if !is_root("the full-table test") {
        return;
    }
    let mut plane = TestPlane::new().expect("the data plane opens");
    let eni = talkative(&mut plane);
    let slot = plane.tables.eni_slot(&eni.id).expect("it is on this host");
    let port = PortKey { netns: sys::netns_cookie().expect("there is one"), ifindex: 1, reserved: 0 };
    plane.plane.rebind(&eni.id, Some(port)).expect("the port is bound");
    let (_, from_eni) = plane.plane.programs();
    for number in 0..HOST_FLOWS_MAX {
        let run = sys::test_run(from_eni, (&frame(&datagram(&eni, number), eni.mac.0), 0), 1, 1).expect("it runs");
        assert_eq!(run.action, -1, "flow {number} is refused though there is room");
    }
    let refused = plane.judge(&eni, &datagram(&eni, HOST_FLOWS_MAX)).expect("it runs");
    assert_eq!(refused, Some((false, Reason::TableFull)));
    let live = plane.judge(&eni, &datagram(&eni, 7)).expect("it runs");
    assert_eq!(live, Some((true, Reason::KnownFlow)));
    let counted = plane.plane.reason_counts(slot).expect("counters are readable");
    assert!(counted.contains(&(Direction::Egress, Reason::TableFull, 1)), "{counted:?}");
    assert_eq!(plane.plane.flows().expect("flows are readable").len(), HOST_FLOWS_MAX as usize);
}
