//! Nobody is taken for another: neither by an address that comes from where it cannot be, nor by what is said of it to neighbours.

use std::{net::IpAddr, time::Duration};

use sekimori_compile::abi::Reason;
use sekimori_core::{
    address::Family,
    command::Command,
    platform::PlatformPolicy,
    rule::Direction,
    world::{Eni, Treatment},
};
use sekimori_tests::{
    frame,
    lab::{
        Lab,
        crafted::{icmp, packet, udp},
        frames::who_is_the_router,
        pause,
    },
};

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];
const WORLD: &str = "
    group client basic
    group server basic
      in allow udp/7000 from group:client as clients
      in allow udp/5000 from any as anyone
    instance a client
    instance b server
    instance c client";
const NO_ONE: [u8; 6] = [2, 0, 0, 0, 0, 0x66];

/// A group is known by its members' addresses, so those must be where they say they are.
#[test]
fn what_comes_from_elsewhere_is_from_nobody_here() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    for family in FAMILIES {
        let (a, b) = (lab.host("a").address(family), lab.host("b").address(family));
        let outside = lab.range("outside", "b", family);
        let shoot = |lab: &mut Lab, range, ends, ports| {
            lab.shoot(range, &packet(ends, None, 17, &udp(ports, &[7; 8]))).to_string()
        };
        assert_eq!(shoot(&mut lab, &outside, outside.ends, (4_000, 5_000)), "RuleAllow, arrived", "{family:?}");
        assert_eq!(shoot(&mut lab, &outside, outside.ends, (4_000, 7_000)), "DefaultDeny", "{family:?}");
        assert_eq!(shoot(&mut lab, &outside, (a, b), (4_000, 7_000)), "Spoofed", "{family:?}: a member's address");
        assert_eq!(
            shoot(&mut lab, &outside, (a, b), (4_000, 5_000)),
            "Spoofed",
            "{family:?}: whatever the rule says"
        );
        assert_eq!(shoot(&mut lab, &outside, (b, b), (4_000, 5_000)), "Spoofed", "{family:?}: its own");
        assert_eq!(shoot(&mut lab, &outside, (a, b), (4_000, 80)), "DefaultDeny", "{family:?}: it is denied anyway");
        let honest = lab.range("a", "b", family);
        assert_eq!(shoot(&mut lab, &honest, (a, b), (4_001, 7_000)), "RuleAllow, arrived", "{family:?}");
    }
    // What an instance forwards comes from where the instance is.
    lab.edit_eni("c", |eni| eni.source_check = false);
    let between = lab.range("c", "b", Family::V4);
    let ends = (lab.host("outside").address(Family::V4), between.ends.1);
    let forwarded = packet(ends, None, 17, &udp((4_002, 5_000), &[7; 8]));
    assert_eq!(lab.shoot(&between, &forwarded).to_string(), "RuleAllow, arrived");
}

/// A message of neighbour or router discovery, with a body after its type, code and checksum.
fn discovery(kind: u8, ends: (IpAddr, IpAddr), mac: [u8; 6], body: &[u8]) -> Vec<u8> {
    let message = [&[kind, 0, 0, 0], body].concat();
    [&[0x33, 0x33, 0, 0, 0, 1], mac.as_slice(), &[0x86, 0xdd], &frame::ip(ends.0, ends.1, 58, &message)].concat()
}

/// The body of an advertisement or a solicitation about an address.
fn about(address: IpAddr) -> Vec<u8> {
    let target = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    [&[0x20, 0, 0, 0], target.octets().as_slice()].concat()
}

#[test]
fn neighbours_are_told_of_nobody_else() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    let (a, b) = (lab.host("a"), lab.host("b"));
    let [own4, own6] = FAMILIES.map(|family| a.address(family));
    let [other4, other6] = FAMILIES.map(|family| b.address(family));
    let [router4, everyone, link, nobody] =
        ["10.0.255.253", "ff02::1", "fe80::a", "::"].map(|text| text.parse::<IpAddr>().unwrap());
    let arp = |sender| who_is_the_router(a.mac, sender, router4);
    let mut of_another_mac = arp(own4);
    of_another_mac[22..28].copy_from_slice(&NO_ONE);
    let mut cut = arp(own4);
    cut.truncate(30);
    let mut of_another_kind = arp(own4);
    of_another_kind[16] = 9;
    let said = |kind, source, body: &[u8]| discovery(kind, (source, everyone), a.mac, body);
    let honest = [
        arp(own4),
        arp("0.0.0.0".parse().unwrap()),
        said(133, link, &[0; 4]),
        said(135, own6, &about(other6)),
        said(135, nobody, &about(own6)),
        said(136, own6, &about(own6)),
        said(136, link, &about(link)),
    ];
    let spoofed = [
        arp(other4),
        of_another_mac,
        said(135, other6, &about(own6)),
        said(136, own6, &about(other6)),
        said(136, other6, &about(other6)),
        said(134, link, &[64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0]),
        said(137, link, &[about(own6), vec![0; 16]].concat()),
    ];
    let link = a.link();
    let sent = |lab: &mut Lab, bytes: &[u8], expected: Reason| {
        let of = |lab: &mut Lab, reason| lab.count("a", Direction::Egress, reason);
        let others = [Reason::Bypass, Reason::Spoofed, Reason::Malformed].map(|reason| (reason, of(lab, reason)));
        link.try_send(bytes);
        let began = std::time::Instant::now();
        let before = others.iter().find(|(reason, _)| *reason == expected).unwrap().1;
        while of(lab, expected) == before && began.elapsed() < Duration::from_secs(5) {
            pause(Duration::from_millis(1));
        }
        assert!(of(lab, expected) > before, "{expected:?} {bytes:02x?}");
        // The kernel looks for its neighbours at any time; nothing else does anything.
        for (reason, before) in others.into_iter().filter(|(reason, _)| ![Reason::Bypass, expected].contains(reason))
        {
            assert_eq!(of(lab, reason), before, "{reason:?} {bytes:02x?}");
        }
    };
    honest.iter().for_each(|bytes| sent(&mut lab, bytes, Reason::Bypass));
    spoofed.iter().for_each(|bytes| sent(&mut lab, bytes, Reason::Spoofed));
    [cut, of_another_kind].iter().for_each(|bytes| sent(&mut lab, bytes, Reason::Malformed));
    // Who is not checked may be a router, and speak for those behind it.
    lab.edit_eni("a", |eni| eni.source_check = false);
    let all = honest.iter().chain(&spoofed);
    all.for_each(|bytes| sent(&mut lab, bytes, Reason::Bypass));
}

/// Lets an ENI send from an address, or not.
type SetAllowed = fn(&mut Eni, IpAddr, bool);

/// Flows are kept when rules change, and addresses are no rules.
#[test]
fn a_live_flow_is_not_kept_for_who_has_the_address_no_more() {
    for treatment in [Treatment::Keep, Treatment::Reevaluate] {
        let Some(mut lab) = Lab::of(WORLD) else { return };
        lab.treat("c", treatment);
        let second = "10.0.0.77".parse::<IpAddr>().unwrap();
        let ways: [(&str, SetAllowed); 2] = [
            ("the source check", |eni, _, is_allowed| eni.source_check = !is_allowed),
            ("the address", |eni, address, is_allowed| match is_allowed {
                true => eni.addresses.push(address),
                false => eni.addresses.retain(|own| *own != address),
            }),
        ];
        for (port, (what, set)) in (4_000..).zip(ways) {
            let range = lab.range_out("c", "b", Family::V4);
            let sent = packet((second, range.ends.1), None, 17, &udp((port, 5_000), &[7; 8]));
            let shoot = |lab: &mut Lab| lab.shoot(&range, &sent).to_string();
            lab.edit_eni("c", |eni| set(eni, second, true));
            assert_eq!([shoot(&mut lab), shoot(&mut lab)], ["DefaultAllow", "KnownFlow"], "{what}, {treatment:?}");
            lab.edit_eni("c", |eni| set(eni, second, false));
            assert_eq!([shoot(&mut lab), shoot(&mut lab)], ["FlowEnded", "Spoofed"], "{what}, {treatment:?}");
        }
    }
}

/// What is asked of somebody does not let them ask.
#[test]
fn who_is_pinged_may_answer_and_not_ping_back() {
    let world = "
        group asked enterprise
          in allow ping from any as echo
        group asking basic
          in allow ping from any as echo
        instance a asked
        instance b asking";
    let Some(mut lab) = Lab::of(world) else { return };
    for (family, protocol, [query, answer]) in [(Family::V4, 1, [8, 0]), (Family::V6, 58, [128, 129])] {
        let (there, back) = (lab.range("b", "a", family), lab.range_out("a", "b", family));
        let shoot = |lab: &mut Lab, range, ends, kind| {
            lab.shoot(range, &packet(ends, None, protocol, &icmp((kind, 0), &[7; 8]))).to_string()
        };
        assert_eq!(shoot(&mut lab, &back, back.ends, answer), "DefaultDeny", "{family:?}: nobody has asked");
        assert_eq!(shoot(&mut lab, &there, there.ends, query), "RuleAllow, arrived", "{family:?}");
        assert_eq!(shoot(&mut lab, &back, back.ends, query), "DefaultDeny", "{family:?}: that is another flow");
        assert_eq!(shoot(&mut lab, &back, back.ends, answer), "KnownFlow", "{family:?}");
        assert_eq!(shoot(&mut lab, &there, there.ends, query), "KnownFlow, arrived", "{family:?}");
    }
}

/// An answer of DHCP comes in unasked, so nobody but the network may send one.
#[test]
fn instances_hand_out_no_addresses() {
    let Some(mut lab) = Lab::of(
        "group client basic
         group server basic
           in allow udp/67 from any as questions
           in allow udp/547 from any as questions-v6
         instance a server
         instance b client
         instance c client",
    ) else {
        return;
    };
    for family in FAMILIES {
        let ports = if family == Family::V4 { (67, 68) } else { (547, 546) };
        let (there, back) = (lab.range_out("a", "b", family), lab.range("b", "a", family));
        let offer = packet(there.ends, None, 17, &udp(ports, &[7; 8]));
        let question = packet(back.ends, None, 17, &udp((ports.1, ports.0), &[7; 8]));
        assert_eq!(lab.shoot(&there, &offer).to_string(), "PlatformDeny", "{family:?}");
        assert_eq!(lab.shoot(&back, &question).to_string(), "RuleAllow, arrived", "{family:?}");
        assert_eq!(lab.shoot(&there, &offer).to_string(), "KnownFlow", "{family:?}: who is asked answers");
    }
    lab.run(&Command::SetPlatform { policy: PlatformPolicy::DhcpServers, is_on: false });
    let there = lab.range_out("a", "c", Family::V4);
    let offer = packet(there.ends, None, 17, &udp((67, 68), &[7; 8]));
    assert_eq!(lab.shoot(&there, &offer).to_string(), "DefaultAllow");
}
