//! Sets as reports tell them, read back: which packets the words hold.

#![expect(clippy::unwrap_used, reason = "words that cannot be read fail the test")]

use std::net::IpAddr;

use ipnet::IpNet;
use sekimori_analysis::{
    diff::{Effect, Report, Row},
    who::Side,
};
use sekimori_core::{
    address::Family,
    packet::{Packet, Transport},
    world::Eni,
};

/// Whether a set of services as it is told holds a packet.
#[must_use]
pub fn is_told(services: &[String], transport: Transport) -> bool {
    services.iter().any(|said| {
        let (service, sources) =
            said.split_once(" from port").map_or((said.as_str(), None), |(one, two)| (one, Some(two)));
        let run = |text: &str| -> (u32, u32) {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            (first.parse().unwrap(), last.parse().unwrap())
        };
        let within = |text: &str, at: u32| (run(text).0..=run(text).1).contains(&at);
        let protocol = u32::from(transport.protocol());
        let names = [("icmp", 1), ("tcp", 6), ("udp", 17), ("gre", 47), ("icmpv6", 58)];
        let words: Vec<&str> = service.split('/').collect();
        let is_service = match words.as_slice() {
            ["all"] => true,
            [name] if name.starts_with("protocol") => within(name.split_once(' ').unwrap().1, protocol),
            [name, rest @ ..] => {
                let number = names.iter().find(|(known, _)| known == name).unwrap().1;
                let is_rest = match (transport, rest) {
                    (_, []) => true,
                    (Transport::Tcp { destination, .. } | Transport::Udp { destination, .. }, [ports]) => {
                        within(ports, u32::from(destination))
                    }
                    (Transport::Icmp { kind, .. }, [kinds]) => within(kinds, u32::from(kind)),
                    (Transport::Icmp { kind, code, .. }, [kinds, codes]) => {
                        within(kinds, u32::from(kind)) && within(codes, u32::from(code))
                    }
                    (
                        Transport::Other { .. }
                        | Transport::Tcp { .. }
                        | Transport::Udp { .. }
                        | Transport::Icmp { .. },
                        _,
                    ) => false,
                };
                number == protocol && is_rest
            }
            [] => false,
        };
        let is_source = sources.is_none_or(|ports| {
            transport.source_port().is_some_and(|port| within(ports.trim_start_matches('s').trim(), u32::from(port)))
        });
        is_service && is_source
    })
}

/// Whether no rule decides about a packet, nor a network ACL: discovery, and listeners of multicast from an address of the link.
#[must_use]
pub fn is_unjudged(packet: &Packet) -> bool {
    let is_of_link = match packet.source() {
        IpAddr::V4(_) => false,
        IpAddr::V6(source) => source.is_unspecified() || source.is_unicast_link_local(),
    };
    match packet.transport {
        Transport::Icmp { protocol: 58, kind: 133..=137, .. } => packet.source().is_ipv6(),
        Transport::Icmp { protocol: 58, kind: 130..=132 | 143, .. } => is_of_link,
        Transport::Tcp { .. } | Transport::Udp { .. } | Transport::Icmp { .. } | Transport::Other { .. } => false,
    }
}

/// Whether some services tell a type of ICMPv6 by itself.
#[must_use]
pub fn is_told_by_type(services: &[String], transport: Transport) -> bool {
    let by_type: Vec<String> = services.iter().filter(|said| said.starts_with("icmpv6/")).cloned().collect();
    is_told(&by_type, transport)
}

/// Whether addresses as they are told hold one; an address may have a name behind it.
#[must_use]
pub fn lies_in(ranges: &[String], address: IpAddr) -> bool {
    let bare = |range: &String| range.split_once(' ').map_or_else(|| range.clone(), |(bare, _)| bare.to_owned());
    ranges.iter().map(bare).any(|range| match (range.split_once('-'), range.parse::<IpNet>()) {
        (Some((first, last)), _) => {
            let (first, last): (IpAddr, IpAddr) = (first.parse().unwrap(), last.parse().unwrap());
            Family::of(first) == Family::of(address) && first <= address && address <= last
        }
        (None, Ok(block)) => block.contains(&address),
        (None, Err(_)) => range.parse::<IpAddr>().unwrap() == address,
    })
}

/// Whether a difference tells that a packet crosses from one address to another.
#[must_use]
pub fn in_crossings(
    report: &Report,
    ends: (&Eni, IpAddr, &Eni, IpAddr),
    transport: Transport,
    effect: Effect,
) -> bool {
    let (sender, from, receiver, to) = ends;
    report.crossings.iter().any(|crossing| {
        let holds = |side: &Side, eni: &Eni, address: IpAddr| {
            side.vpc == eni.vpc && side.addresses.contains(&address.to_string())
        };
        let reach = &crossing.reach;
        crossing.effect == effect
            && holds(&reach.from, sender, from)
            && holds(&reach.to, receiver, to)
            && is_told(&reach.services, transport)
    })
}

/// Whether a difference tells a packet at an interface.
#[must_use]
pub fn in_diff(report: &Report, eni: &Eni, packet: &Packet, effect: Effect) -> bool {
    let of_eni = report.interfaces.iter().filter(|one| one.eni == eni.id).flat_map(|one| &one.changes);
    let mut here = of_eni.filter(|at| lies_in(&at.addresses, packet.local));
    here.any(|at| {
        let change = report.changes.get(at.change).unwrap();
        assert_eq!(change.rows_untold, 0, "everything is told");
        let is_row = |row: &Row| is_told(&row.services, packet.transport) && lies_in(&row.peers, packet.peer);
        change.effect == effect && change.direction == packet.direction && change.rows.iter().any(is_row)
    })
}
