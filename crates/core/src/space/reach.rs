//! Sets of packets seen from their services: who is at the other end of each.
//!
//! Like everything of [`super`] this is exact. What is lost on purpose is the source port and the own address: a peer reaches a
//! service when some packet of his to it is in the set.

use std::{collections::BTreeSet, net::IpAddr};

use super::{PEER, Piece, Realm, SERVICE, Set, Span, TooComplex, every_address, net_span, run, whole};
use crate::{
    address::{Cidr, Family, from_number},
    limits::SPACE_PIECES_MAX,
    rule::{Direction, PortRange},
};

/// A run of services which the same peers reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The family of the peers.
    pub family: Family,
    /// On the axis of services.
    services: Span,
    /// Disjoint, in order, none touching the next.
    peers: Vec<Span>,
}

impl Reach {
    /// The ports of a protocol which has ports that are in the run.
    #[must_use]
    pub fn ports(&self, protocol: u8) -> Option<PortRange> {
        let (first, last) = run(protocol, PortRange::ALL);
        let (first, last) = (self.services.0.max(first), self.services.1.min(last));
        let port = |service: u128| u16::try_from(service & 0xffff).ok();
        (first <= last).then(|| PortRange::new(port(first)?, port(last)?)).flatten()
    }

    /// The numbers of the first and the last protocol of the run.
    #[must_use]
    pub fn protocols(&self) -> (u8, u8) {
        let protocol = |service: u128| u8::try_from(service >> 16).unwrap_or(u8::MAX);
        (protocol(self.services.0), protocol(self.services.1))
    }

    /// The run, as `protocol << 16 | port` with both ends, as boxes have it.
    #[must_use]
    pub fn services(&self) -> (u32, u32) {
        let number = |service: u128| u32::try_from(service).unwrap_or(u32::MAX);
        (number(self.services.0), number(self.services.1))
    }

    /// The peers, as numbers of addresses of the family with both ends.
    #[must_use]
    pub fn numbers(&self) -> &[(u128, u128)] {
        &self.peers
    }

    /// The peers, as addresses with both ends.
    pub fn peers(&self) -> impl Iterator<Item = (IpAddr, IpAddr)> + use<'_> {
        let address = |number| from_number(self.family, number);
        self.peers.iter().map(move |(first, last)| (address(*first), address(*last)))
    }

    /// How many peers there are; all of IPv6 are one less than that.
    #[must_use]
    pub fn peer_count(&self) -> u128 {
        self.peers.iter().fold(0, |sum: u128, (first, last)| sum.saturating_add((last - first).saturating_add(1)))
    }
}

/// Who reaches which services through one of some sets, which may overlap. Families apart, services in order.
///
/// # Errors
/// When the answer has more spans of addresses than a set may have pieces.
pub fn reach(sets: &[&Set], direction: Direction) -> Result<Vec<Reach>, TooComplex> {
    let mut all = Vec::new();
    for family in [Family::V4, Family::V6] {
        let is_asked = |piece: &&Piece| piece.direction == direction && piece.realm == Realm::Known(family);
        let pieces: Vec<&Piece> = sets.iter().flat_map(|set| &set.pieces).filter(is_asked).collect();
        of_family(&pieces, family, &mut all)?;
    }
    Ok(all)
}

fn of_family(pieces: &[&Piece], family: Family, all: &mut Vec<Reach>) -> Result<(), TooComplex> {
    let services = |piece: &&Piece| piece.spans[SERVICE];
    let bounds: BTreeSet<u128> =
        pieces.iter().map(services).flat_map(|(first, last)| [first, last.saturating_add(1)]).collect();
    let mut spans: usize = all.iter().map(|reach| reach.peers.len()).sum();
    for (first, next) in bounds.iter().zip(bounds.iter().skip(1)) {
        let holding = pieces.iter().filter(|piece| services(piece).0 <= *first && *first <= services(piece).1);
        let peers = merged(holding.map(|piece| piece.spans[PEER]).collect());
        if peers.is_empty() {
            continue;
        }
        let services = (*first, next - 1);
        match all.last_mut() {
            Some(before) if before.family == family && before.services.1 + 1 == *first && before.peers == peers => {
                before.services.1 = services.1;
            }
            Some(_) | None => {
                spans += peers.len();
                all.push(Reach { family, services, peers });
            }
        }
        if spans > SPACE_PIECES_MAX {
            return Err(TooComplex);
        }
    }
    Ok(())
}

/// Spans as the fewest that hold the same numbers.
fn merged(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_unstable();
    let mut fewest: Vec<Span> = Vec::new();
    for (first, last) in spans {
        match fewest.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            Some(_) | None => fewest.push((first, last)),
        }
    }
    fewest
}

impl Set {
    /// The packets of some ports of a protocol which has ports, from and to everywhere.
    #[must_use]
    pub fn of_ports(direction: Direction, protocol: u8, ports: PortRange) -> Self {
        let piece = |family| whole(direction, Realm::Known(family)).with(SERVICE, run(protocol, ports));
        Self { pieces: [Family::V4, Family::V6].map(piece).to_vec() }
    }

    /// The packets of every service of some protocols, from and to everywhere.
    #[must_use]
    pub fn of_protocols(direction: Direction, (first, last): (u8, u8)) -> Self {
        let span = (run(first, PortRange::ALL).0, run(last, PortRange::ALL).1);
        let piece = |family| whole(direction, Realm::Known(family)).with(SERVICE, span);
        Self { pieces: [Family::V4, Family::V6].map(piece).to_vec() }
    }

    /// The packets whose peer has an address in one of some blocks.
    ///
    /// # Errors
    /// When they are too many pieces.
    pub fn of_peers(direction: Direction, blocks: &[Cidr]) -> Result<Self, TooComplex> {
        let mut set = Self::empty();
        for family in [Family::V4, Family::V6] {
            let own = blocks.iter().filter(|block| block.family() == family);
            let spans = merged(own.map(|block| net_span(block.network())).collect());
            let realm = Realm::Known(family);
            set.pieces.extend(spans.into_iter().map(|span| whole(direction, realm).with(PEER, span)));
        }
        super::bounded(set.pieces)
    }

    /// The packets whose peer has an address of a family.
    #[must_use]
    pub fn of_family(direction: Direction, family: Family) -> Self {
        Self { pieces: vec![whole(direction, Realm::Known(family)).with(PEER, every_address(family))] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Packet, Transport};

    const IN: Direction = Direction::Ingress;

    fn peers(blocks: &[&str]) -> Set {
        let blocks: Vec<Cidr> = blocks.iter().map(|block| block.parse().unwrap()).collect();
        Set::of_peers(IN, &blocks).unwrap()
    }

    fn tcp(first: u16, last: u16) -> Set {
        Set::of_ports(IN, 6, PortRange::new(first, last).unwrap())
    }

    #[test]
    fn halves_of_the_world_and_halves_of_a_range_are_put_together() {
        let low = tcp(20, 21).intersection(&peers(&["0.0.0.0/1"])).unwrap();
        let high = tcp(21, 23).intersection(&peers(&["128.0.0.0/1"])).unwrap();
        let found = reach(&[&low, &high], IN).unwrap();
        let told: Vec<_> = found.iter().map(|one| (one.ports(6).unwrap().to_string(), one.peer_count())).collect();
        let half = 1_u128 << 31;
        assert_eq!(told, [("20".to_owned(), half), ("21".to_owned(), 2 * half), ("22-23".to_owned(), half)]);
        assert_eq!(found[1].peers().count(), 1);
        assert_eq!(found[0].ports(17), None);
    }

    #[test]
    fn every_packet_of_the_set_is_told_and_no_other_peer() {
        let set = tcp(22, 25).intersection(&peers(&["10.0.0.0/30", "10.0.0.8", "fd00::/126"])).unwrap();
        let set = set.difference(&tcp(24, 24).intersection(&peers(&["10.0.0.2"])).unwrap()).unwrap();
        let found = reach(&[&set], IN).unwrap();
        for port in 20..28 {
            for last in 0..12 {
                let peer = IpAddr::from([10, 0, 0, last]);
                let transport = Transport::Tcp { source: 1, destination: port };
                let local = "10.9.9.9".parse().unwrap();
                let packet = Packet { direction: IN, local, peer, transport, is_forwarded: false };
                let is_told = found.iter().any(|one| {
                    one.ports(6).is_some_and(|ports| ports.contains(port))
                        && one.peers().any(|(first, last)| first <= peer && peer <= last)
                });
                assert_eq!(is_told, set.contains(&packet), "{packet:?}");
            }
        }
        assert!(found.iter().any(|one| one.family == Family::V6 && one.peer_count() == 4));
        assert!(reach(&[&set], Direction::Egress).unwrap().is_empty());
    }

    #[test]
    fn protocols_without_ports_are_whole_runs() {
        let set = Set::of_protocols(IN, (46, 48));
        let found = reach(&[&set], IN).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].protocols(), (46, 48));
        assert_eq!(Set::of_family(IN, Family::V6).intersection(&set).unwrap().len(), 1);
    }

    #[test]
    fn an_answer_with_too_many_spans_is_an_error() {
        // Every port has scattered peers of its own.
        let blocks: Vec<Cidr> = (0..200_u8).map(|last| format!("10.0.{last}.1").parse().unwrap()).collect();
        let scattered = Set::of_peers(IN, &blocks).unwrap();
        let ports = |port: u16| tcp(port * 2, port * 2).intersection(&scattered).unwrap();
        let sets: Vec<Set> = (0..100).map(ports).collect();
        assert_eq!(reach(&sets.iter().collect::<Vec<_>>(), IN), Err(TooComplex));
    }
}
