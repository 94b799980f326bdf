//! Fragments made to get past: cut headers, parts without a first, parts that lie over others, headers that hide.

use std::net::IpAddr;

use sekimori_core::address::Family;
use sekimori_tests::lab::{
    Lab,
    crafted::{ACK, Fragment, Range, SYN, behind_options, in_fragment, packet, tcp, udp},
};

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];
const WORLD: &str = "
    group client basic
    group server basic
      in allow tcp/443 from any as https
      in allow udp/5000 from any as datagrams
    instance a client
    instance b server
    instance c server";

fn first(id: u32) -> Option<Fragment> {
    Some(Fragment { id, at: 0, has_more: true })
}

fn later(id: u32, at: u16) -> Option<Fragment> {
    Some(Fragment { id, at, has_more: false })
}

/// Sends a packet; what became of it must be this.
fn shoot(lab: &mut Lab, range: &Range, packet: &[u8], expected: &str) {
    let shot = lab.shoot(range, packet);
    assert_eq!(shot.to_string(), expected, "{packet:02x?}");
}

#[test]
fn a_first_part_tells_all_of_its_header() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    for family in FAMILIES {
        let range = lab.range("outside", "b", family);
        let whole = tcp((1_000, 443), SYN, &[7; 8]);
        shoot(&mut lab, &range, &packet(range.ends, first(1), 6, &whole[..8]), "Malformed");
        shoot(&mut lab, &range, &packet(range.ends, later(1, 8), 6, &whole[8..]), "Malformed");
        shoot(&mut lab, &range, &packet(range.ends, first(2), 6, &whole[..16]), "RuleAllow, arrived");
        shoot(&mut lab, &range, &packet(range.ends, later(2, 16), 6, &whole[16..]), "KnownFragment, arrived");
        // A part from byte 8 on would write other flags over those that were judged.
        let other = tcp((1_000, 443), ACK, &[7; 8]);
        shoot(&mut lab, &range, &packet(range.ends, later(2, 8), 6, &other[8..]), "Malformed");
        // UDP has no header there.
        let datagram = udp((1_000, 5_000), &[7; 8]);
        shoot(&mut lab, &range, &packet(range.ends, first(3), 17, &datagram[..8]), "RuleAllow, arrived");
        shoot(&mut lab, &range, &packet(range.ends, later(3, 8), 17, &datagram[8..]), "KnownFragment, arrived");
    }
}

#[test]
fn what_lies_behind_a_packet_is_no_part_of_it() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    for family in FAMILIES {
        let range = lab.range_out("a", "outside", family);
        let whole = tcp((1_000, 443), SYN, &[]);
        for (fragment, cut) in [(None, 0), (None, 8), (None, 12), (first(1), 8)] {
            let cut_off = packet(range.ends, fragment, 6, &whole[..cut]);
            let shot = lab.shoot_framed(&range, &cut_off, &whole[cut..]);
            assert_eq!(shot.to_string(), "Malformed", "{cut} bytes in the packet");
        }
        let datagram = udp((1_000, 9), &[]);
        let shot = lab.shoot_framed(&range, &packet(range.ends, None, 17, &datagram[..4]), &datagram[4..]);
        assert_eq!(shot.to_string(), "Malformed");
        let shot = lab.shoot_framed(&range, &packet(range.ends, None, 6, &whole), &[1; 30]);
        assert_eq!(shot.to_string(), "DefaultAllow", "padding does no harm");
    }
}

#[test]
fn a_part_follows_its_first_and_nothing_else() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    for family in FAMILIES {
        let range = lab.range("outside", "b", family);
        let datagram = udp((1_000, 5_000), &[7; 24]);
        let parts = |id| {
            let part = |fragment, body: &[u8]| packet(range.ends, fragment, 17, body);
            [part(first(id), &datagram[..16]), part(later(id, 16), &datagram[16..])]
        };
        // The last before the first: it comes too early, and passes when it comes again.
        let [head, tail] = parts(1);
        shoot(&mut lab, &range, &tail, "Fragment");
        shoot(&mut lab, &range, &head, "RuleAllow, arrived");
        shoot(&mut lab, &range, &tail, "KnownFragment, arrived");
        shoot(&mut lab, &range, &tail, "KnownFragment, arrived");
        shoot(&mut lab, &range, &head, "KnownFlow, arrived");
        // A part of another packet, of another protocol, from another sender, to another receiver.
        shoot(&mut lab, &range, &parts(2)[1], "Fragment");
        shoot(&mut lab, &range, &packet(range.ends, later(1, 16), 6, &datagram[16..]), "Fragment");
        let mut elsewhere = lab.range("outside", "b", family);
        elsewhere.ends.0 = neighbour(elsewhere.ends.0);
        shoot(&mut lab, &elsewhere, &packet(elsewhere.ends, later(1, 16), 17, &datagram[16..]), "Fragment");
        let other = lab.range("outside", "c", family);
        shoot(&mut lab, &other, &packet(other.ends, later(1, 16), 17, &datagram[16..]), "Fragment");
        // Two senders with the same number: each has its own.
        shoot(&mut lab, &elsewhere, &packet(elsewhere.ends, first(1), 17, &datagram[..16]), "RuleAllow, arrived");
        shoot(
            &mut lab,
            &elsewhere,
            &packet(elsewhere.ends, later(1, 16), 17, &datagram[16..]),
            "KnownFragment, arrived",
        );
    }
}

/// Another address on the same link.
fn neighbour(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) => IpAddr::V4((u32::from(v4) + 7).into()),
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) + 7).into()),
    }
}

#[test]
fn another_first_part_is_judged_by_itself() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    for family in FAMILIES {
        let range = lab.range("outside", "b", family);
        let [open, closed] = [443, 22].map(|port| tcp((1_000, port), SYN, &[7; 12]));
        shoot(&mut lab, &range, &packet(range.ends, first(1), 6, &closed[..16]), "DefaultDeny");
        shoot(&mut lab, &range, &packet(range.ends, later(1, 16), 6, &closed[16..]), "Fragment");
        shoot(&mut lab, &range, &packet(range.ends, first(2), 6, &open[..16]), "RuleAllow, arrived");
        // It would lie over the first with another port, or with flags that begin nothing.
        shoot(&mut lab, &range, &packet(range.ends, first(2), 6, &closed[..16]), "DefaultDeny");
        let stray = tcp((1_001, 443), ACK, &[7; 12]);
        shoot(&mut lab, &range, &packet(range.ends, first(2), 6, &stray[..16]), "MidStream");
        shoot(&mut lab, &range, &packet(range.ends, later(2, 16), 6, &open[16..]), "KnownFragment, arrived");
    }
}

#[test]
fn ipv6_headers_hide_nothing() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    let range = lab.range("outside", "b", Family::V6);
    let whole = |fragment, protocol, body: &[u8]| packet(range.ends, fragment, protocol, body);
    let [open, closed] = [443, 22].map(|port| tcp((1_000, port), SYN, &[7; 12]));
    let atomic = |id| Some(Fragment { id, at: 0, has_more: false });
    shoot(&mut lab, &range, &whole(atomic(1), 6, &open), "RuleAllow, arrived");
    shoot(&mut lab, &range, &whole(atomic(2), 6, &closed), "DefaultDeny");
    shoot(&mut lab, &range, &whole(later(1, 16), 6, &open[16..]), "Fragment");
    // Options before the fragment header, and within the packet that is cut up.
    let part = |id, at, has_more, protocol, body: &[u8]| in_fragment(Fragment { id, at, has_more }, protocol, body);
    let behind = |body: &[u8]| whole(None, 60, &behind_options(44, body));
    shoot(&mut lab, &range, &behind(&part(3, 0, true, 6, &closed[..16])), "DefaultDeny");
    shoot(&mut lab, &range, &behind(&part(3, 16, false, 6, &closed[16..])), "Fragment");
    shoot(&mut lab, &range, &behind(&part(4, 0, true, 6, &open[..16])), "KnownFlow, arrived");
    shoot(&mut lab, &range, &behind(&part(4, 16, false, 6, &open[16..])), "KnownFragment, arrived");
    let inner = behind_options(6, &open);
    shoot(&mut lab, &range, &whole(first(5), 60, &inner[..24]), "KnownFlow, arrived");
    shoot(&mut lab, &range, &whole(later(5, 24), 60, &inner[24..]), "KnownFragment, arrived");
    shoot(&mut lab, &range, &whole(first(6), 60, &inner[..8]), "Malformed");
    // A fragment of a fragment, and one header too many.
    let twice = part(7, 0, false, 44, &part(8, 0, true, 6, &open[..16]));
    shoot(&mut lab, &range, &whole(None, 44, &twice), "Malformed");
    let twice = part(7, 0, true, 44, &part(4, 16, false, 6, &open[16..]));
    shoot(&mut lab, &range, &whole(None, 44, &twice), "Malformed");
    let chain = |length| (0..length).fold((6, open.clone()), |(next, body), _| (60, behind_options(next, &body)));
    let (protocol, body) = chain(8);
    shoot(&mut lab, &range, &whole(None, protocol, &body), "KnownFlow, arrived");
    let (protocol, body) = chain(9);
    shoot(&mut lab, &range, &whole(None, protocol, &body), "Malformed");
    // A chain that the packet ends in.
    shoot(&mut lab, &range, &whole(None, 60, &behind_options(6, &[])), "Malformed");
    shoot(&mut lab, &range, &whole(None, 60, &[6, 200, 1, 4, 0, 0, 0, 0]), "Malformed");
}
