//! Floods of real packets at one interface: what they take of the flow tables is that interface's, live flows go on, another
//! interface of the host notices nothing, and the room comes back.

use std::{
    io::ErrorKind,
    mem::offset_of,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use sekimori_agent::bpf::read::LiveFlow;
use sekimori_compile::abi::{Budget, Reason};
use sekimori_core::{
    address::Family,
    limits::ENI_HALF_OPEN_MAX,
    rule::Direction,
    world::{Eni, Timeouts},
};
use sekimori_tests::lab::{
    Lab, fail,
    frames::{Frame, frame},
    host::Host,
    must,
    observe::Answer,
    pause,
};

const WORLD: &str = "
    group all basic
      in allow all from any as all
    instance victim all
    instance other all";
/// On the link of the outside, and nobody's: what is answered to it is lost.
const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 77));
/// Flows of each IP version, in the test of full tables.
const FLOWS: u32 = 256;

/// Sends frames of a kind from nobody to a host, each from another port.
fn flood(from: &Host, to: &Host, kind: Frame, ports: std::ops::Range<u16>) {
    let link = from.link();
    for port in ports {
        let ends = (SocketAddr::new(NOBODY, port), SocketAddr::new(to.address(Family::V4), kind.port()));
        let bytes = frame(kind, from.mac, ends);
        while let Err(error) = link.send(&bytes) {
            assert!(matches!(error.raw_os_error(), Some(105)) || error.kind() == ErrorKind::WouldBlock, "{error}");
            pause(Duration::from_millis(1));
        }
    }
    pause(Duration::from_millis(300));
}

/// An interface's flows by the counts: all of them and the half-open ones.
fn counted(lab: &mut Lab, name: &str) -> [usize; 2] {
    let slot = slot_of(lab, name);
    let budget = lab.enforcer().plane().maps().budgets.get(slot);
    [budget.flows.iter().sum::<i32>(), budget.half_open].map(|count| usize::try_from(count).unwrap_or(usize::MAX))
}

/// The same by the tables.
fn there(lab: &mut Lab, name: &str) -> [usize; 2] {
    let slot = slot_of(lab, name);
    let flows = must("read the flows", lab.enforcer().plane().flows());
    let own: Vec<&LiveFlow> = flows.iter().filter(|live| live.key.eni as usize == slot).collect();
    [own.len(), own.iter().filter(|live| live.flow.is_half_open(live.key.protocol)).count()]
}

fn slot_of(lab: &mut Lab, name: &str) -> usize {
    let eni = lab.eni(name).id.clone();
    let slot = lab.enforcer().tables().eni_slot(&eni);
    slot.unwrap_or_else(|| fail(&format!("`{name}` has no number"))) as usize
}

fn choose(lab: &mut Lab, name: &str, choice: impl Fn(Timeouts) -> Timeouts) {
    lab.edit_eni(name, |eni: &mut Eni| eni.timeouts = choice(eni.timeouts));
}

#[test]
fn a_syn_flood_costs_its_victim_new_connections_and_nobody_else_anything() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    let opening_s = 8;
    choose(&mut lab, "victim", |timeouts| Timeouts { tcp_opening_s: opening_s, ..timeouts });
    let (outside, victim) = (lab.host("outside"), lab.host("victim"));
    let listener = victim.listen(SocketAddr::new(victim.address(Family::V4), 443));
    let mut wires = [("outside", "victim"), ("outside", "other"), ("victim", "other")]
        .map(|(from, to)| lab.connect(from, to, 8_080, Family::V4));
    let first = 10_000;
    flood(&outside, &victim, Frame::Syn(443), first..first + ENI_HALF_OPEN_MAX as u16 + 2_000);
    let refused = lab.count("victim", Direction::Ingress, Reason::HalfOpen);
    assert!(refused >= 2_000, "{refused} were refused");
    let (by_rules, by_reasons) = lab.decided_by_rules(["victim", "other"]);
    assert_eq!(by_rules, by_reasons, "it is not the rule that has no room");
    let bound = ENI_HALF_OPEN_MAX as usize;
    assert_eq!([counted(&mut lab, "victim")[1], there(&mut lab, "victim")[1]], [bound; 2]);
    for wire in &mut wires {
        assert_eq!(lab.talk(wire).answer, Answer::Passes, "a live connection");
    }
    assert_eq!(lab.try_probe("outside -> victim tcp/444", Family::V4).answer, Answer::Dropped, "there is no room");
    for probe in ["outside -> other tcp/443", "victim -> other tcp/443", "outside -> victim udp/53"] {
        assert_eq!(lab.try_probe(probe, Family::V4).answer, Answer::Passes, "{probe}");
    }
    drop(listener);
    pause(Duration::from_secs(u64::from(opening_s) + 1));
    lab.keep_house();
    assert_eq!([counted(&mut lab, "victim")[1], there(&mut lab, "victim")[1]], [0; 2]);
    assert_eq!(lab.try_probe("outside -> victim tcp/444", Family::V4).answer, Answer::Passes, "there is room again");
    for wire in &mut wires {
        assert_eq!(lab.talk(wire).answer, Answer::Passes, "a live connection");
    }
}

#[test]
fn a_flood_of_flows_takes_its_victims_share_and_the_pool_and_no_more() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    choose(&mut lab, "victim", |timeouts| Timeouts { udp_s: 3, ..timeouts });
    lab.enforcer().plane().set_flows_max(FLOWS);
    let room = lab.enforcer().plane().flow_room();
    assert_eq!((room.share, room.pool), (FLOWS / 4, FLOWS / 2));
    let mut wires =
        [("outside", "victim"), ("outside", "other")].map(|(from, to)| lab.connect(from, to, 8_080, Family::V4));
    let (outside, victim) = (lab.host("outside"), lab.host("victim"));
    flood(&outside, &victim, Frame::Datagram(9), 10_000..10_500);
    let most = (room.share + room.pool) as usize;
    assert_eq!([counted(&mut lab, "victim")[0], there(&mut lab, "victim")[0]], [most; 2]);
    assert!(lab.count("victim", Direction::Ingress, Reason::TableFull) >= 500 - u64::from(room.share + room.pool));
    for wire in &mut wires {
        assert_eq!(lab.talk(wire).answer, Answer::Passes, "a live connection");
    }
    assert_eq!(lab.try_probe("outside -> victim tcp/443", Family::V4).answer, Answer::Dropped, "there is no room");
    for _ in 0..10 {
        assert_eq!(lab.try_probe("outside -> other tcp/443", Family::V4).answer, Answer::Passes, "what is its own");
    }
    // The other IP version has tables of its own.
    assert_eq!(lab.try_probe("outside -> victim tcp/443", Family::V6).answer, Answer::Passes);
    pause(Duration::from_secs(4));
    lab.keep_house();
    let (counts, flows) = (counted(&mut lab, "victim"), there(&mut lab, "victim"));
    assert!(counts == flows && flows[0] < 20, "{counts:?} are counted, {flows:?} are there");
    assert_eq!(lab.try_probe("outside -> victim tcp/443", Family::V4).answer, Answer::Passes, "there is room again");
    for wire in &mut wires {
        assert_eq!(lab.talk(wire).answer, Answer::Passes, "a live connection");
    }
}

#[test]
fn counts_outlive_the_agent_and_follow_what_is_in_the_tables() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    let (outside, victim) = (lab.host("outside"), lab.host("victim"));
    flood(&outside, &victim, Frame::Datagram(9), 10_000..10_100);
    lab.close();
    flood(&outside, &victim, Frame::Syn(443), 10_000..10_010);
    lab.open();
    assert_eq!(lab.verify(), vec![]);
    let (counts, flows) = (counted(&mut lab, "victim"), there(&mut lab, "victim"));
    assert!(counts == flows && flows[0] >= 110, "{counts:?} are counted, {flows:?} are there");
    let slot = slot_of(&mut lab, "victim");
    // As if an agent had been killed in the midst of ending flows, and somebody had written to the map.
    let budgets = &lab.enforcer().plane().maps().budgets;
    budgets.add_i32(slot, 0, 1_000_000);
    budgets.add_i32(slot, offset_of!(Budget, half_open), -5);
    budgets.add_i32(slot, offset_of!(Budget, room), 7);
    let found = lab.verify();
    assert!(found.len() == 1 && found[0].found.contains("share"), "{found:?}");
    assert_eq!(lab.verify(), vec![], "it was repaired");
    lab.keep_house();
    assert_ne!(counted(&mut lab, "victim"), there(&mut lab, "victim"), "one sweep alone proves nothing");
    lab.keep_house();
    assert_eq!(counted(&mut lab, "victim"), there(&mut lab, "victim"));
    assert_eq!(lab.enforcer().plane().maps().budgets.get(0).flows, [0, 0], "nothing is borrowed");
}
