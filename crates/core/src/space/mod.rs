//! Exact sets of packets: union, intersection, difference, emptiness, and a packet of a set.
//!
//! A [`Set`] is a list of disjoint pieces, and a piece is a box: a direction, a realm of peer addresses, and
//! an interval on each of four axes. Nothing is approximated. Cutting boxes can make many of them, so every
//! operation stops with [`TooComplex`] at [`SPACE_PIECES_MAX`] pieces.
//!
//! Sets are of packets that come from their sender: what an EC2 instance forwards ([`Packet::is_forwarded`]) comes from no group, and is not
//! told apart here.
//!
//! What rules and the world mean as sets is [`resolve`], who reaches what through a set [`reach`]; nothing here knows a world.

pub mod reach;
pub mod resolve;
#[cfg(test)]
mod tests;
pub mod view;

use std::net::IpAddr;

use ipnet::IpNet;

use crate::{
    address::{Family, from_number, number},
    limits::SPACE_PIECES_MAX,
    packet::{Packet, Transport},
    rule::{Direction, PortRange},
};

/// An interval with both ends.
pub(crate) type Span = (u128, u128);

/// The axis of protocol and destination port, or ICMP type and code: `protocol << 16 | low`. A protocol without
/// either takes its whole run of 65,536 numbers, which every set holds wholly or not at all.
const SERVICE: usize = 0;
/// The axis of the peer's address. Between the two lies that of the source port, of which packets without ports take
/// the whole.
const PEER: usize = 2;

/// The axis of the ENI's own address.
const OWN: usize = 3;

/// On which line the peer's addresses of a piece lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Realm {
    /// The addresses of a family.
    Known(Family),
    /// The members that a group would have, by its number; only the whole family and the group hold them.
    Absent(Family),
}

impl Realm {
    fn family(self) -> Family {
        match self {
            Self::Known(family) | Self::Absent(family) => family,
        }
    }
}

/// The sets cut each other into more pieces than there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the rules cut the packets into more than {SPACE_PIECES_MAX} pieces, so no exact answer is computed; ask about fewer \
     groups, or replace scattered addresses and ports by ranges"
)]
pub struct TooComplex;

/// A box of packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Piece {
    direction: Direction,
    realm: Realm,
    spans: [Span; 4],
}

impl Piece {
    fn meets(&self, other: &Self) -> bool {
        let axes = || self.spans.iter().zip(&other.spans);
        self.direction == other.direction
            && self.realm == other.realm
            && axes().all(|(own, other)| own.0 <= other.1 && other.0 <= own.1)
    }

    fn meet(&self, other: &Self) -> Option<Self> {
        let mut both = *self;
        for (own, other) in both.spans.iter_mut().zip(&other.spans) {
            *own = (own.0.max(other.0), own.1.min(other.1));
        }
        self.meets(other).then_some(both)
    }

    /// What is left of the piece without another: up to two pieces an axis, cut off one after the other.
    fn without(mut self, other: &Self, mut keep: impl FnMut(Self)) {
        if !self.meets(other) {
            return keep(self);
        }
        for (axis, (first, last)) in other.spans.iter().copied().enumerate() {
            let Some(own) = self.spans.get(axis).copied() else { return };
            if own.0 < first {
                keep(self.with(axis, (own.0, first - 1)));
            }
            if last < own.1 {
                keep(self.with(axis, (last + 1, own.1)));
            }
            self = self.with(axis, (own.0.max(first), own.1.min(last)));
        }
    }

    fn with(mut self, axis: usize, span: Span) -> Self {
        if let Some(own) = self.spans.get_mut(axis) {
            *own = span;
        }
        self
    }

    fn holds(&self, packet: &Packet) -> bool {
        let point = [
            u128::from(service_value(packet.transport)),
            u128::from(packet.transport.source_port().unwrap_or(0)),
            number(packet.peer),
            number(packet.local),
        ];
        self.direction == packet.direction
            && self.realm == Realm::Known(Family::of(packet.peer))
            && self.spans.iter().zip(point).all(|(span, at)| span.0 <= at && at <= span.1)
    }

    /// The packet at the piece's lowest corner.
    fn packet(&self) -> Option<Packet> {
        let [service, source, peer, local] = self.spans.map(|(first, _)| first);
        let family = match self.realm {
            Realm::Known(family) => family,
            Realm::Absent(_) => return None,
        };
        let transport = transport(u32::try_from(service).ok()?, u16::try_from(source).ok()?);
        let (local, peer) = (from_number(family, local), from_number(family, peer));
        Some(Packet { direction: self.direction, local, peer, transport, is_forwarded: false })
    }
}

fn service_value(transport: Transport) -> u32 {
    let low = match transport {
        Transport::Tcp { destination, .. } | Transport::Udp { destination, .. } => destination,
        Transport::Icmp { kind, code, .. } => u16::from_be_bytes([kind, code]),
        Transport::Other { .. } => 0,
    };
    u32::from(transport.protocol()) << 16 | u32::from(low)
}

fn transport(service: u32, source: u16) -> Transport {
    let [_, protocol, high, low] = service.to_be_bytes();
    let destination = u16::from_be_bytes([high, low]);
    match protocol {
        6 => Transport::Tcp { source, destination },
        17 => Transport::Udp { source, destination },
        1 | 58 => Transport::Icmp { protocol, kind: high, code: low },
        protocol => Transport::Other { protocol },
    }
}

/// A set of packets at an ENI.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set {
    /// Disjoint.
    pieces: Vec<Piece>,
}

impl Set {
    /// No packet.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Every packet of a direction whose peer has an address that is known.
    #[must_use]
    pub fn everything(direction: Direction) -> Self {
        let pieces = [Family::V4, Family::V6].map(|family| whole(direction, Realm::Known(family)));
        Self { pieces: pieces.to_vec() }
    }

    /// Just this packet.
    #[must_use]
    pub fn of(packet: &Packet) -> Self {
        let realm = Realm::Known(Family::of(packet.peer));
        let service = fibre(service_value(packet.transport));
        let source = packet
            .transport
            .source_port()
            .map_or((0, u128::from(u16::MAX)), |port| (u128::from(port), u128::from(port)));
        let point = |address: IpAddr| (number(address), number(address));
        let spans = [service, source, point(packet.peer), point(packet.local)];
        Self { pieces: vec![Piece { direction: packet.direction, realm, spans }] }
    }

    /// Whether no packet is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// How many pieces it is made of.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Whether a packet is in it.
    #[must_use]
    pub fn contains(&self, packet: &Packet) -> bool {
        self.pieces.iter().any(|piece| piece.holds(packet))
    }

    /// Whether some packet is in both.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        self.pieces.iter().any(|piece| other.pieces.iter().any(|of_other| piece.meets(of_other)))
    }

    /// A packet of the set, if one has an address that is known.
    #[must_use]
    pub fn witness(&self) -> Option<Packet> {
        self.pieces.iter().find_map(Piece::packet)
    }

    /// What is in one of them.
    ///
    /// # Errors
    /// When the result has too many pieces.
    pub fn union(&self, other: &Self) -> Result<Self, TooComplex> {
        let mut pieces = self.pieces.clone();
        pieces.extend(other.difference(self)?.pieces);
        bounded(pieces)
    }

    /// What is in both.
    ///
    /// # Errors
    /// When the result has too many pieces.
    pub fn intersection(&self, other: &Self) -> Result<Self, TooComplex> {
        let mut pieces = Vec::new();
        for piece in &self.pieces {
            pieces.extend(other.pieces.iter().filter_map(|of_other| piece.meet(of_other)));
            if pieces.len() > SPACE_PIECES_MAX {
                return Err(TooComplex);
            }
        }
        Ok(Self { pieces })
    }

    /// What is in this one and not in the other.
    ///
    /// # Errors
    /// When the result, or what it is made from, has too many pieces.
    pub fn difference(&self, other: &Self) -> Result<Self, TooComplex> {
        let mut rest = self.pieces.clone();
        for cut in &other.pieces {
            if !rest.iter().any(|piece| piece.meets(cut)) {
                continue;
            }
            let mut left = Vec::with_capacity(rest.len());
            rest.into_iter().for_each(|piece| piece.without(cut, |piece| left.push(piece)));
            rest = bounded(left)?.pieces;
        }
        Ok(Self { pieces: rest })
    }

    /// Whether all of it is in the other.
    ///
    /// # Errors
    /// When the comparison needs too many pieces.
    pub fn is_within(&self, other: &Self) -> Result<bool, TooComplex> {
        Ok(self.difference(other)?.is_empty())
    }
}

fn bounded(pieces: Vec<Piece>) -> Result<Set, TooComplex> {
    if pieces.len() > SPACE_PIECES_MAX { Err(TooComplex) } else { Ok(Set { pieces }) }
}

fn whole(direction: Direction, realm: Realm) -> Piece {
    let ports = (0, u128::from(u16::MAX));
    let addresses = every_address(realm.family());
    let peers = match realm {
        Realm::Known(_) => addresses,
        Realm::Absent(_) => (0, u128::MAX),
    };
    Piece { direction, realm, spans: [EVERY_SERVICE, ports, peers, addresses] }
}

const EVERY_SERVICE: Span = (0, 0xff_ffff);

/// The numbers of one service: itself, or the whole run of a protocol that has none.
fn fibre(service: u32) -> Span {
    let has_services = matches!(service >> 16, 1 | 6 | 17 | 58);
    let (first, last) = if has_services { (service, service) } else { (service & !0xffff, service | 0xffff) };
    (u128::from(first), u128::from(last))
}

fn every_address(family: Family) -> Span {
    (0, family.last())
}

fn net_span(net: IpNet) -> Span {
    (number(net.network()), number(net.broadcast()))
}

/// The numbers of some ports, or of types and codes, of a protocol.
fn run(protocol: u8, range: PortRange) -> Span {
    let base = u128::from(protocol) << 16;
    (base | u128::from(range.first()), base | u128::from(range.last()))
}
