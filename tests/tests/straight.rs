//! The straight path: what passes between two ENIs of one host past the router looks as if the router had forwarded it, and
//! what the router would answer, hold back or judge still goes there.

#![expect(clippy::expect_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    collections::BTreeMap,
    fs,
    net::{SocketAddr, UdpSocket},
    os::fd::AsFd as _,
    process::Command,
    time::{Duration, Instant},
};

use nix::{
    net::if_::if_nametoindex,
    sys::socket::{setsockopt, sockopt},
};
use sekimori_agent::netlink::netns::{NetNs, within};
use sekimori_compile::abi::{ENI_STRAIGHT, Reason};
use sekimori_core::{address::Family, rule::Direction};
use sekimori_tests::lab::{Lab, host::Host, pause};

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];
const WORLD: &str = "
    group client enterprise
      out allow udp to any as egress
      in allow icmp from any as errors
      in allow icmpv6 from any as errors6
    group server enterprise
      in allow udp/5353 from any as service
    instance a client
    instance b server";
const PORT: u16 = 5353;
/// What is sent besides by the kernel itself (neighbours, routers) in the time of one test.
const CHATTER: u64 = 12;
const DATAGRAMS: u64 = 60;
const ROUTER: [u8; 6] = [0xee, 0xff, 0xff, 0xff, 0xff, 0xff];
const PATIENCE: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_millis(150);

/// Two ends of a flow of datagrams that has been answered.
struct Flow {
    from: Host,
    to: Host,
    client: UdpSocket,
    server: UdpSocket,
    at: SocketAddr,
    back: SocketAddr,
}

impl Flow {
    fn begin(lab: &mut Lab, family: Family) -> Self {
        let (from, to) = (lab.host("a"), lab.host("b"));
        let (at, back) =
            (SocketAddr::new(to.address(family), PORT), SocketAddr::new(from.address(family), lab.fresh_port()));
        let (client, server) = (from.udp(back), to.udp(at));
        let flow = Self { from, to, client, server, at, back };
        assert!(flow.ask(b"first") && flow.answer(b"second"), "the flow does not begin");
        flow
    }

    fn ask(&self, bytes: &[u8]) -> bool {
        self.client.send_to(bytes, self.at).expect("send a datagram");
        arrives(&self.server, bytes, PATIENCE)
    }

    fn answer(&self, bytes: &[u8]) -> bool {
        self.server.send_to(bytes, self.back).expect("send a datagram");
        arrives(&self.client, bytes, PATIENCE)
    }

    fn set_hops(&self, hops: u8) {
        if self.at.is_ipv4() {
            setsockopt(&self.client, sockopt::Ipv4Ttl, &i32::from(hops)).expect("set the time to live");
        } else {
            setsockopt(&self.client, sockopt::Ipv6Ttl, &i32::from(hops)).expect("set the hop limit");
        }
    }
}

fn arrives(socket: &UdpSocket, bytes: &[u8], patience: Duration) -> bool {
    let until = Instant::now() + patience;
    let mut room = [0; 2048];
    while Instant::now() < until {
        match socket.recv(&mut room) {
            Ok(length) if &room[..length] == bytes => return true,
            _ => pause(Duration::from_millis(1)),
        }
    }
    false
}

/// The first frame at a host's link that is looked for.
fn seen(host: &Host, send: impl FnOnce(), is_it: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
    let link = host.link();
    send();
    let until = Instant::now() + PATIENCE;
    let mut room = vec![0; 4096];
    while Instant::now() < until {
        match link.receive(&mut room) {
            Some(frame) if is_it(frame) => return Some(frame.to_vec()),
            Some(_) => {}
            None => pause(Duration::from_millis(1)),
        }
    }
    None
}

/// The router of the VPC and the name of the link that leads to an instance.
fn router_side(lab: &mut Lab, name: &str) -> (NetNs, String) {
    let ifindex = lab.kernel_eni(name).ifindex;
    let router = NetNs::open(lab.vpc_id("main").as_str()).expect("open the router").expect("there is a router");
    let link = within(router.as_fd(), || {
        let table = fs::read_to_string("/proc/thread-self/net/dev").expect("read the links");
        let names = table.lines().filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned()));
        names.into_iter().find(|name| if_nametoindex(name.as_str()).is_ok_and(|index| index == ifindex))
    });
    (router, link.expect("enter the router").expect("the router has the link"))
}

/// How many packets the router has sent to an instance.
fn forwarded(lab: &mut Lab, name: &str) -> u64 {
    let (router, link) = router_side(lab, name);
    let table = within(router.as_fd(), || fs::read_to_string("/proc/thread-self/net/dev").expect("read the links"));
    let table = table.expect("enter the router");
    let line = table.lines().find_map(|line| line.trim().strip_prefix(&link)?.strip_prefix(':')).expect("its line");
    line.split_whitespace().nth(9).expect("its column of sent packets").parse().expect("a number")
}

fn forwarded_of(lab: &mut Lab, flow: &Flow) -> u64 {
    let before = forwarded(lab, "b");
    for _ in 0..DATAGRAMS {
        assert!(flow.ask(b"again"));
    }
    forwarded(lab, "b") - before
}

fn goes_straight(lab: &mut Lab, flow: &Flow) -> bool {
    match forwarded_of(lab, flow) {
        few if few <= CHATTER => true,
        many if many >= DATAGRAMS => false,
        between => unreachable!("{between} of {DATAGRAMS} datagrams were forwarded"),
    }
}

#[test]
fn a_live_flow_goes_past_the_router_both_ways() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    for family in FAMILIES {
        let flow = Flow::begin(&mut lab, family);
        assert!(goes_straight(&mut lab, &flow), "{family:?} takes the router's way");
        let before = forwarded(&mut lab, "a");
        for _ in 0..DATAGRAMS {
            assert!(flow.answer(b"again"));
        }
        assert!(forwarded(&mut lab, "a") - before <= CHATTER, "{family:?}: answers take the router's way");
    }
}

#[test]
fn a_flow_begins_past_the_router() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    for family in FAMILIES {
        drop(Flow::begin(&mut lab, family));
        let before = forwarded(&mut lab, "b");
        for _ in 0..DATAGRAMS {
            drop(Flow::begin(&mut lab, family));
        }
        assert!(forwarded(&mut lab, "b") - before <= CHATTER, "{family:?}: first packets take the router's way");
    }
}

#[test]
fn a_first_packet_is_judged_once_at_each_end() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    for family in FAMILIES {
        let flow = Flow::begin(&mut lab, family);
        for (port, reason) in [(PORT, Reason::RuleAllow), (PORT + 1, Reason::DefaultDeny)] {
            let fresh = flow.from.udp(SocketAddr::new(flow.back.ip(), lab.fresh_port()));
            let there = if port == PORT { None } else { Some(flow.to.udp(SocketAddr::new(flow.at.ip(), port))) };
            let before = (lab.reasons("a", Direction::Egress), lab.reasons("b", Direction::Ingress));
            fresh.send_to(b"a first packet", SocketAddr::new(flow.at.ip(), port)).expect("send a datagram");
            let arrived = arrives(there.as_ref().unwrap_or(&flow.server), b"a first packet", SILENCE);
            assert_eq!(arrived, reason == Reason::RuleAllow, "{family:?} {reason:?}");
            let after = (lab.reasons("a", Direction::Egress), lab.reasons("b", Direction::Ingress));
            assert_eq!(more(&before.0, &after.0), [(Reason::RuleAllow, 1)], "{family:?} {reason:?}: at the sender");
            assert_eq!(more(&before.1, &after.1), [(reason, 1)], "{family:?} {reason:?}: at the receiver");
        }
    }
}

/// Which reasons came up in between, and how often.
fn more(before: &BTreeMap<Reason, u64>, after: &BTreeMap<Reason, u64>) -> Vec<(Reason, u64)> {
    let more = after.iter().map(|(reason, count)| (*reason, count - before.get(reason).unwrap_or(&0)));
    more.filter(|(_, count)| *count > 0).collect()
}

#[test]
fn the_routes_say_where_a_flow_begins() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    let (router, _) = router_side(&mut lab, "b");
    for family in FAMILIES {
        let flow = Flow::begin(&mut lab, family);
        let (version, to) = (if family == Family::V4 { "-4" } else { "-6" }, flow.at.ip().to_string());
        let rule = |verb: &str| {
            let words = [version, "rule", verb, "pref", "1", "to", &to, "unreachable"];
            let status = within(router.as_fd(), || Command::new("ip").args(words).status());
            assert!(status.expect("enter the router").expect("run ip").success(), "ip {words:?}");
        };
        rule("add");
        let client = flow.from.udp(SocketAddr::new(flow.back.ip(), lab.fresh_port()));
        client.send_to(b"nowhere", flow.at).expect("send a datagram");
        assert!(!arrives(&flow.server, b"nowhere", SILENCE), "{family:?}: it began against the routes");
        rule("del");
        let client = flow.from.udp(SocketAddr::new(flow.back.ip(), lab.fresh_port()));
        client.send_to(b"there again", flow.at).expect("send a datagram");
        assert!(arrives(&flow.server, b"there again", PATIENCE), "{family:?}: it does not begin again");
    }
}

#[test]
fn it_arrives_as_from_the_router() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    for family in FAMILIES {
        let flow = Flow::begin(&mut lab, family);
        flow.set_hops(9);
        let is_it = |frame: &[u8]| frame.ends_with(b"as from the router");
        let frame = seen(&flow.to, || assert!(flow.ask(b"as from the router")), is_it).expect("it arrives");
        assert_eq!(frame[..6], flow.to.mac, "it is addressed to the instance");
        assert_eq!(frame[6..12], ROUTER, "it comes from the router");
        if family == Family::V4 {
            let words = frame[14..34].chunks(2).map(|two| u32::from(u16::from_be_bytes([two[0], two[1]])));
            let sum: u32 = words.sum();
            assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff, "the header's checksum holds");
            assert_eq!(frame[22], 8);
        } else {
            assert_eq!(frame[21], 8);
        }
    }
}

#[test]
fn time_to_live_ends_at_the_router() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    for family in FAMILIES {
        let flow = Flow::begin(&mut lab, family);
        flow.set_hops(2);
        assert!(flow.ask(b"one hop is left"));
        flow.set_hops(1);
        let expected = if family == Family::V4 { (34, 11) } else { (54, 3) };
        let is_it = |frame: &[u8]| {
            frame[..6] == flow.from.mac
                && frame[if family == Family::V4 { 23 } else { 20 }] == icmp(family)
                && frame[expected.0] == expected.1
        };
        let error = seen(&flow.from, || drop(flow.client.send_to(b"no hop", flow.at)), is_it);
        assert!(error.is_some(), "{family:?}: the router does not say that time is exceeded");
        assert!(!arrives(&flow.server, b"no hop", SILENCE));
    }
}

fn icmp(family: Family) -> u8 {
    if family == Family::V4 { 1 } else { 58 }
}

#[test]
fn what_is_too_long_for_the_link_is_told_by_the_router() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    let (router, link) = router_side(&mut lab, "b");
    let status =
        within(router.as_fd(), || Command::new("ip").args(["link", "set", "dev", &link, "mtu", "1280"]).status());
    assert!(status.expect("enter the router").expect("run ip").success());
    for family in FAMILIES {
        let flow = Flow::begin(&mut lab, family);
        assert!(flow.ask(&[b's'; 1200]), "{family:?}: what is short enough passes");
        let (at, kind) = if family == Family::V4 { (34, 3) } else { (54, 2) };
        let is_it = |frame: &[u8]| {
            frame[..6] == flow.from.mac
                && frame[if family == Family::V4 { 23 } else { 20 }] == icmp(family)
                && frame[at] == kind
        };
        let error = seen(&flow.from, || drop(flow.client.send_to(&[b'l'; 1400], flow.at)), is_it);
        assert!(error.is_some(), "{family:?}: the router does not say that it is too long");
        assert!(!arrives(&flow.server, &[b'l'; 1400], SILENCE));
    }
}

#[test]
fn what_is_not_sent_to_the_router_is_not_forwarded() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    let flow = Flow::begin(&mut lab, Family::V4);
    let is_it = |frame: &[u8]| frame.ends_with(b"a frame like this");
    let mut frame = seen(&flow.from, || assert!(flow.ask(b"a frame like this")), is_it).expect("it is sent");
    // What the sender's device was to complete: a datagram of IPv4 may be without.
    frame[40..42].fill(0);
    let link = flow.from.link();
    link.send(&frame).expect("send it again");
    assert!(arrives(&flow.server, b"a frame like this", PATIENCE), "the frame itself passes");
    frame[..6].copy_from_slice(&[2, 0, 0, 0, 0, 9]);
    link.send(&frame).expect("send it to another");
    assert!(!arrives(&flow.server, b"a frame like this", SILENCE), "a frame for another was taken");
}

#[test]
fn a_change_of_either_end_is_met_at_once() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    for family in FAMILIES {
        let flow = Flow::begin(&mut lab, family);
        assert!(goes_straight(&mut lab, &flow));
        let label = format!("no-{family:?}").to_lowercase();
        lab.allow("server", &format!("in deny udp/5353 from any as {label}"));
        flow.client.send_to(b"denied", flow.at).expect("send a datagram");
        assert!(!arrives(&flow.server, b"denied", SILENCE), "it passed after the change");
        lab.revoke("server", &label);
        assert!(flow.ask(b"allowed again"));
    }
}

#[test]
fn who_forwards_for_others_is_led_to_by_the_router() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    lab.edit_eni("b", |eni| eni.source_check = false);
    for family in FAMILIES {
        let flow = Flow::begin(&mut lab, family);
        assert!(!goes_straight(&mut lab, &flow));
    }
}

#[test]
fn without_it_and_after_a_restart() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    let flow = Flow::begin(&mut lab, Family::V4);
    lab.close();
    lab.open();
    assert_ne!(lab.kernel_eni("b").flags & ENI_STRAIGHT, 0);
    assert!(goes_straight(&mut lab, &flow), "a new agent has forgotten it");
    lab.enforcer().set_straight_path(false);
    assert!(!goes_straight(&mut lab, &flow));
    assert!(lab.verify().is_empty());
}
