//! Sets taken apart: their boxes as intervals of words, how many packets they hold, and the same packets seen from the other end.

use std::{collections::BTreeSet, net::IpAddr};

use super::{OWN, PEER, Piece, Realm, SERVICE, Set, Span, TooComplex, bounded, whole};
use crate::{
    address::{Family, from_number, number},
    rule::Direction,
};

/// The axis of the source port.
const SOURCE: usize = 1;
/// The protocols whose packets have ports, and those whose packets have a type and a code.
const PORTED: [u128; 2] = [6, 17];
const TYPED: [u128; 2] = [1, 58];

/// A box of a set: every packet whose values lie in all of these intervals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bounds {
    /// The direction.
    pub direction: Direction,
    /// The family of both addresses.
    pub family: Family,
    /// `protocol << 16 | port`, or type and code in the port's place; a protocol that has neither takes its whole run.
    pub services: (u32, u32),
    /// Source ports; all of them for what has none.
    pub sources: (u16, u16),
    /// The other end.
    pub peers: (IpAddr, IpAddr),
    /// The interface's own end.
    pub own: (IpAddr, IpAddr),
}

impl Set {
    /// Those of its packets whose other end has an address that is known: what waits for a group's first member is left out.
    #[must_use]
    pub fn present(&self) -> Self {
        let is_known = |piece: &&Piece| matches!(piece.realm, Realm::Known(_));
        Self { pieces: self.pieces.iter().filter(is_known).copied().collect() }
    }

    /// Its boxes, which hold no packet twice, without those of groups that have no member.
    pub fn boxes(&self) -> impl Iterator<Item = Bounds> + use<'_> {
        self.pieces.iter().filter_map(bounds)
    }

    /// The boxes of a direction, in no order, as a set.
    ///
    /// # Errors
    /// When they are too many.
    pub fn of_boxes(boxes: impl IntoIterator<Item = Bounds>) -> Result<Self, TooComplex> {
        let mut set = Self::empty();
        for bounds in boxes {
            set = set.union(&bounded(vec![piece(&bounds)])?)?;
        }
        Ok(set)
    }

    /// How many packets it holds at these own addresses, as far as rules tell packets apart: direction, protocol, ports or type
    /// and code, and both addresses. The highest number there is stands for more.
    #[must_use]
    pub fn count_at(&self, own: &BTreeSet<IpAddr>) -> u128 {
        let addresses = |bounds: &Bounds| own.range(bounds.own.0..=bounds.own.1).count() as u128;
        let counts = self.boxes().map(|bounds| {
            let peers = width((number(bounds.peers.0), number(bounds.peers.1)));
            kinds(&bounds).saturating_mul(peers).saturating_mul(addresses(&bounds))
        });
        counts.fold(0, u128::saturating_add)
    }

    /// The same packets at their other end: own and peer's addresses change places, and the direction is the other one.
    #[must_use]
    pub fn turned(&self) -> Self {
        let turned = self.boxes().map(|bounds| {
            let Bounds { direction, peers, own, .. } = bounds;
            piece(&Bounds { direction: direction.reverse(), peers: own, own: peers, ..bounds })
        });
        Self { pieces: turned.collect() }
    }
}

/// Every packet of a direction whose other end has one of these addresses.
///
/// # Errors
/// When they are too many runs of addresses.
pub fn to_peers(direction: Direction, peers: &BTreeSet<IpAddr>) -> Result<Set, TooComplex> {
    let pieces =
        runs(peers).into_iter().map(|(family, span)| whole(direction, Realm::Known(family)).with(PEER, span));
    bounded(pieces.collect())
}

/// Every packet of a direction at one of these own addresses.
///
/// # Errors
/// When they are too many runs of addresses.
pub fn at_own(direction: Direction, own: &BTreeSet<IpAddr>) -> Result<Set, TooComplex> {
    let pieces = runs(own).into_iter().map(|(family, span)| whole(direction, Realm::Known(family)).with(OWN, span));
    bounded(pieces.collect())
}

/// Addresses as runs of numbers that follow each other.
fn runs(addresses: &BTreeSet<IpAddr>) -> Vec<(Family, Span)> {
    let mut runs: Vec<(Family, Span)> = Vec::new();
    for address in addresses {
        let (family, at) = (Family::of(*address), number(*address));
        match runs.last_mut() {
            Some((own, (_, last))) if *own == family && last.checked_add(1) == Some(at) => *last = at,
            Some(_) | None => runs.push((family, (at, at))),
        }
    }
    runs
}

fn bounds(piece: &Piece) -> Option<Bounds> {
    let family = match piece.realm {
        Realm::Known(family) => family,
        Realm::Absent(_) => return None,
    };
    let [service, source, peer, own] = piece.spans;
    let word = |(first, last): Span| Some((u32::try_from(first).ok()?, u32::try_from(last).ok()?));
    let port = |(first, last): Span| Some((u16::try_from(first).ok()?, u16::try_from(last).ok()?));
    let ends = |(first, last): Span| (from_number(family, first), from_number(family, last));
    Some(Bounds {
        direction: piece.direction,
        family,
        services: word(service)?,
        sources: port(source)?,
        peers: ends(peer),
        own: ends(own),
    })
}

fn piece(bounds: &Bounds) -> Piece {
    let ends = |(first, last): (IpAddr, IpAddr)| (number(first), number(last));
    let spans = [
        (u128::from(bounds.services.0), u128::from(bounds.services.1)),
        (u128::from(bounds.sources.0), u128::from(bounds.sources.1)),
        ends(bounds.peers),
        ends(bounds.own),
    ];
    whole(bounds.direction, Realm::Known(bounds.family))
        .with(SERVICE, spans[SERVICE])
        .with(SOURCE, spans[SOURCE])
        .with(PEER, spans[PEER])
        .with(OWN, spans[OWN])
}

fn width((first, last): Span) -> u128 {
    (last - first).saturating_add(1)
}

/// How many kinds of packets the services and source ports of a box are.
fn kinds(bounds: &Bounds) -> u128 {
    let (first, last) = (u128::from(bounds.services.0), u128::from(bounds.services.1));
    let sources = width((u128::from(bounds.sources.0), u128::from(bounds.sources.1)));
    let within = |protocol: u128| {
        let (from, to) = (first.max(protocol << 16), last.min(protocol << 16 | 0xffff));
        if from <= to { width((from, to)) } else { 0 }
    };
    let ported: u128 = PORTED.into_iter().map(|protocol| within(protocol) * sources).sum();
    let typed: u128 = TYPED.into_iter().map(within).sum();
    let others =
        (first >> 16..=last >> 16).filter(|protocol| !PORTED.contains(protocol) && !TYPED.contains(protocol));
    ported + typed + others.count() as u128
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        packet::{Packet, Transport},
        rule::{Action, Peer, PortRange, Protocol, RuleSpec, Service},
        space::resolve::Reader,
        world::World,
    };

    fn set(protocol: Protocol, service: Service, peer: &str) -> Set {
        let peer = Peer::Cidr(peer.parse().unwrap());
        let spec = RuleSpec::plain(Direction::Ingress, Action::Allow, (protocol, service), peer);
        let vpc = "vpc-1".into();
        Reader::new(&World::default(), &vpc, [&spec]).rule(&spec).unwrap()
    }

    fn own(text: &[&str]) -> BTreeSet<IpAddr> {
        text.iter().map(|address| address.parse().unwrap()).collect()
    }

    #[test]
    fn packets_are_counted_as_rules_tell_them_apart() {
        let https = Service::Ports(PortRange::one(443));
        let at = own(&["10.0.0.1", "10.0.0.2", "fd00::1"]);
        assert_eq!(set(Protocol::TCP, https, "10.0.0.0/30").count_at(&at), 65_536 * 4 * 2);
        assert_eq!(set(Protocol::GRE, Service::Any, "10.0.0.0/30").count_at(&at), 4 * 2);
        let ping = Service::Icmp { kind: 128, code: None };
        assert_eq!(set(Protocol::ICMPV6, ping, "fd00::/127").count_at(&at), 256 * 2);
        let all = 2 * 65_536 * 65_536 + 2 * 65_536 + 252;
        assert_eq!(set(Protocol::Any, Service::Any, "10.0.0.0/32").count_at(&own(&["10.0.0.1"])), all);
        assert_eq!(set(Protocol::Any, Service::Any, "::/0").count_at(&at), u128::MAX);
    }

    #[test]
    fn the_other_end_sees_the_same_packets() {
        let narrowed = set(Protocol::TCP, Service::Any, "10.0.0.0/8")
            .intersection(&at_own(Direction::Ingress, &own(&["10.1.0.1", "10.1.0.2"])).unwrap())
            .unwrap();
        let transport = Transport::Tcp { source: 5, destination: 80 };
        let [sender, receiver] = ["10.0.0.9", "10.1.0.2"].map(|address| address.parse().unwrap());
        let leaves =
            Packet { direction: Direction::Egress, local: sender, peer: receiver, transport, is_forwarded: false };
        assert!(narrowed.turned().contains(&leaves));
        assert!(!narrowed.turned().contains(&Packet { local: receiver, peer: sender, ..leaves }));
        assert_eq!(narrowed.turned().turned(), narrowed);
    }

    #[test]
    fn boxes_make_the_set_again() {
        let cut = set(Protocol::Any, Service::Any, "10.0.0.0/8")
            .difference(&set(Protocol::UDP, Service::Any, "10.0.0.0/9"))
            .unwrap();
        let again = Set::of_boxes(cut.boxes()).unwrap();
        assert!(again.is_within(&cut).unwrap() && cut.is_within(&again).unwrap());
        assert_eq!(to_peers(Direction::Ingress, &own(&["10.0.0.1", "10.0.0.2", "10.0.0.4"])).unwrap().len(), 2);
    }
}
