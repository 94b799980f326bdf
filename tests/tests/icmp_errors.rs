//! ICMP errors that are about nothing, about somebody else, or about less than they say.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sekimori_core::address::Family;
use sekimori_tests::lab::{
    Lab,
    crafted::{Fragment, Range, SYN, icmp, in_fragment, packet, tcp, udp},
};

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];
const WORLD: &str = "
    group client basic
    instance a client
    instance b client";
/// The client's port, and that of what it calls.
const PORTS: (u16, u16) = (4_000, 443);

/// Errors of a family: unreachable, time exceeded, bad parameter; and packet too big, where it has a type of its own.
fn errors(family: Family) -> &'static [(u8, u8)] {
    match family {
        Family::V4 => &[(3, 1), (3, 4), (11, 0), (12, 0)],
        Family::V6 => &[(1, 0), (2, 0), (3, 0), (4, 0)],
    }
}

fn protocol(family: Family) -> u8 {
    match family {
        Family::V4 => 1,
        Family::V6 => 58,
    }
}

/// A router on the way.
fn router(family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(203, 0, 113, 9).into(),
        Family::V6 => Ipv6Addr::new(0x2001, 0xdb8, 9, 0, 0, 0, 0, 9).into(),
    }
}

/// A lab in which a has begun a TCP connection and a UDP exchange with the outside; the way back.
fn begun(lab: &mut Lab, family: Family) -> Range {
    let out = lab.range_out("a", "outside", family);
    for (number, body) in [(6, tcp(PORTS, SYN, &[])), (17, udp(PORTS, b"question"))] {
        let shot = lab.shoot(&out, &packet(out.ends, None, number, &body));
        assert_eq!(shot.to_string(), "DefaultAllow");
    }
    lab.range("outside", "a", family)
}

/// What a sent, as it is quoted: the other way round than what comes to it.
fn sent(range: &Range, number: u8, body: &[u8]) -> Vec<u8> {
    packet((range.ends.1, range.ends.0), None, number, body)
}

fn tell(lab: &mut Lab, range: &Range, family: Family, kind: (u8, u8), quoted: &[u8], expected: &str) {
    let error = packet(range.ends, None, protocol(family), &icmp(kind, quoted));
    let shot = lab.shoot(range, &error);
    assert_eq!(shot.to_string(), expected, "{family:?} {kind:?}: {quoted:02x?}");
}

#[test]
fn an_error_about_a_live_flow_arrives_whoever_tells_it() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    for family in FAMILIES {
        let mut range = begun(&mut lab, family);
        let quotes = [sent(&range, 6, &tcp(PORTS, SYN, &[])), sent(&range, 17, &udp(PORTS, b"question"))];
        for kind in errors(family) {
            for quoted in &quotes {
                tell(&mut lab, &range, family, *kind, quoted, "KnownError, arrived");
            }
        }
        range.ends.0 = router(family);
        for quoted in &quotes {
            tell(&mut lab, &range, family, errors(family)[1], quoted, "KnownError, arrived");
        }
    }
}

#[test]
fn an_error_about_anything_else_is_an_ordinary_packet() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    for family in FAMILIES {
        let range = begun(&mut lab, family);
        let kind = errors(family)[0];
        let header = if family == Family::V4 { 20 } else { 40 };
        let flow = sent(&range, 6, &tcp(PORTS, SYN, &[]));
        let strange = [
            ("another port", sent(&range, 6, &tcp((PORTS.0 + 1, PORTS.1), SYN, &[]))),
            ("another protocol", sent(&range, 132, &tcp(PORTS, SYN, &[]))),
            ("the way that it came", packet(range.ends, None, 6, &tcp((PORTS.1, PORTS.0), SYN, &[]))),
            ("an error", sent(&range, protocol(family), &icmp(kind, &flow))),
            ("nothing", Vec::new()),
            ("half a header", flow[..header / 2].to_vec()),
            ("a header", flow[..header].to_vec()),
            ("half of the ports", flow[..header + 4].to_vec()),
        ];
        for (what, quoted) in strange {
            let error = packet(range.ends, None, protocol(family), &icmp(kind, &quoted));
            assert_eq!(lab.shoot(&range, &error).to_string(), "DefaultDeny", "{family:?}: {what}");
        }
        // What is behind the packet is not quoted.
        let error = packet(range.ends, None, protocol(family), &icmp(kind, &flow[..header]));
        let shot = lab.shoot_framed(&range, &error, &flow[header..]);
        assert_eq!(shot.to_string(), "DefaultDeny", "{family:?}: behind the packet");
        // About another's flow.
        let other = lab.range("outside", "b", family);
        let error = packet(other.ends, None, protocol(family), &icmp(kind, &flow));
        assert_eq!(lab.shoot(&other, &error).to_string(), "DefaultDeny", "{family:?}: a's flow, told to b");
    }
}

#[test]
fn what_is_no_error_quotes_nothing() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    for family in FAMILIES {
        let range = begun(&mut lab, family);
        let flow = sent(&range, 6, &tcp(PORTS, SYN, &[]));
        // Source quench and redirect; a private experiment and a redirect (the latter is discovery, and must come from the link).
        let kinds = if family == Family::V4 { [(4, 0), (5, 1)] } else { [(100, 0), (137, 0)] };
        for kind in kinds {
            let told = packet(range.ends, None, protocol(family), &icmp(kind, &flow));
            let mut told = told;
            // Not from the link.
            if family == Family::V6 {
                told[7] = 64;
            }
            assert_eq!(lab.shoot(&range, &told).to_string(), "DefaultDeny", "{family:?} {kind:?}");
        }
    }
}

#[test]
fn of_a_packet_in_fragments_the_first_tells_its_flow() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    for family in FAMILIES {
        let range = begun(&mut lab, family);
        let too_big = errors(family)[1];
        let body = udp(PORTS, &[7; 32]);
        let part = |at: u16, has_more| {
            let fragment = Fragment { id: 77, at, has_more };
            packet((range.ends.1, range.ends.0), Some(fragment), 17, &body)
        };
        tell(&mut lab, &range, family, too_big, &part(0, true), "KnownError, arrived");
        // The bytes of a later part that lie where ports would are data.
        tell(&mut lab, &range, family, too_big, &part(8, false), "DefaultDeny");
        tell(&mut lab, &range, family, too_big, &part(1_480, true), "DefaultDeny");
    }
    let range = lab.range("outside", "a", Family::V6);
    let nested = in_fragment(Fragment { id: 1, at: 0, has_more: true }, 44, &[0; 16]);
    let quoted = packet((range.ends.1, range.ends.0), None, 44, &nested);
    tell(&mut lab, &range, Family::V6, (2, 0), &quoted, "DefaultDeny");
    tell(&mut lab, &range, Family::V6, (2, 0), &quoted[..44], "DefaultDeny");
}
