//! Sets taken apart: their boxes as intervals of words, how many packets they hold, and the same packets seen from the other end.

use std::{collections::BTreeSet, net::IpAddr};

use super::{OWN, PEER, Piece, Realm, SERVICE, Set, Span, TooComplex, bounded, whole};
use crate::{
    address::{Family, from_number, number},
    flow,
    packet::Transport,
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

    /// The packets of the other direction at the same interface which its packets are the answers to ([`flow::answer_to`]).
    ///
    /// # Errors
    /// When they are too many.
    pub fn asking(&self) -> Result<Self, TooComplex> {
        let exchanges = exchanges();
        let asking = |bounds: Bounds| {
            let bounds = Bounds { direction: bounds.direction.reverse(), ..bounds };
            exchanges.iter().filter_map(move |exchange| exchange.asking(bounds)).collect::<Vec<_>>()
        };
        bounded(self.boxes().flat_map(asking).map(|bounds| piece(&bounds)).collect())
    }
}

/// Services whose answers are told in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Exchange {
    asked: (u32, u32),
    /// As many services, in the same order.
    answers: (u32, u32),
    /// Whether the ports change places: these services are every port of one protocol.
    is_ported: bool,
}

impl Exchange {
    /// The part of a box of answers that these services are asked by.
    fn asking(&self, answers: Bounds) -> Option<Bounds> {
        let (first, last) = (answers.services.0.max(self.answers.0), answers.services.1.min(self.answers.1));
        if first > last {
            return None;
        }
        if !self.is_ported {
            let asked = |answer: u32| self.asked.0 + (answer - self.answers.0);
            return Some(Bounds { services: (asked(first), asked(last)), ..answers });
        }
        let asked = |port: u16| self.asked.0 | u32::from(port);
        let port = |answer: u32| u16::try_from(answer & 0xffff).ok();
        let services = (asked(answers.sources.0), asked(answers.sources.1));
        Some(Bounds { services, sources: (port(first)?, port(last)?), ..answers })
    }
}

/// All services that are answered, in runs.
fn exchanges() -> Vec<Exchange> {
    let mut exchanges: Vec<Exchange> = Vec::new();
    for protocol in 0..=u8::MAX {
        let base = u32::from(protocol) << 16;
        if TYPED.contains(&u128::from(protocol)) {
            for kind in 0..=u8::MAX {
                let answer = flow::answer_to(Transport::Icmp { protocol, kind, code: 0 });
                let Some(Transport::Icmp { kind: answer, .. }) = answer else { continue };
                let [asked, answers] =
                    [kind, answer].map(|kind| base | u32::from(kind) << 8).map(|at| (at, at | 0xff));
                exchanges.push(Exchange { asked, answers, is_ported: false });
            }
            continue;
        }
        let (run, is_ported) = ((base, base | 0xffff), PORTED.contains(&u128::from(protocol)));
        match exchanges.last_mut() {
            Some(before)
                if !is_ported
                    && !before.is_ported
                    && before.asked == before.answers
                    && before.asked.1 + 1 == base =>
            {
                (before.asked.1, before.answers.1) = (run.1, run.1);
            }
            Some(_) | None => exchanges.push(Exchange { asked: run, answers: run, is_ported }),
        }
    }
    exchanges
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
    fn what_asks_is_what_the_flow_says_the_answer_of() {
        let port = |first, last| Service::Ports(PortRange::new(first, last).unwrap());
        let narrow = |spec: RuleSpec, sources| {
            let spec = RuleSpec { source_ports: PortRange::new(sources, 50), ..spec };
            Reader::new(&World::default(), &"vpc-1".into(), [&spec]).rule(&spec).unwrap()
        };
        let spec = |protocol, service, peer: &str| {
            let peer = Peer::Cidr(peer.parse().unwrap());
            RuleSpec::plain(Direction::Ingress, Action::Allow, (protocol, service), peer)
        };
        let sets = [
            narrow(spec(Protocol::TCP, port(20, 30), "10.0.0.0/8"), 40),
            narrow(spec(Protocol::UDP, port(0, u16::MAX), "::/0"), 50),
            set(Protocol::ICMP, Service::Icmp { kind: 0, code: Some(3) }, "0.0.0.0/0"),
            set(Protocol::ICMPV6, Service::Any, "fd00::/64"),
            set(Protocol::Any, Service::Any, "10.0.0.0/9")
                .difference(&set(Protocol::GRE, Service::Any, "10.0.0.0/9"))
                .unwrap(),
        ];
        let ends =
            [("10.0.0.1", "10.0.0.2"), ("10.200.0.1", "10.0.0.2"), ("fd00::1", "fd00::2"), ("192.0.2.1", "10.0.0.2")];
        let ported =
            [20, 25, 30, 31, 40, 45, 50, 51].map(|port| [(20, port), (30, port), (40, port), (50, port), (51, port)]);
        let mut transports: Vec<Transport> = ported
            .into_iter()
            .flatten()
            .flat_map(|(source, destination)| {
                [Transport::Tcp { source, destination }, Transport::Udp { source, destination }]
            })
            .collect();
        transports.extend([1, 58].into_iter().flat_map(|protocol| {
            (0..=u8::MAX).flat_map(move |kind| [0, 3].map(|code| Transport::Icmp { protocol, kind, code }))
        }));
        transports.extend([0, 5, 7, 47, 48, 132, 255].map(|protocol| Transport::Other { protocol }));
        let (mut found, mut none) = (0, 0);
        for set in sets {
            let asking = set.asking().unwrap();
            for (peer, local) in ends.map(|(peer, local)| (peer.parse().unwrap(), local.parse().unwrap())) {
                for transport in &transports {
                    let asked = Packet {
                        direction: Direction::Egress,
                        local,
                        peer,
                        transport: *transport,
                        is_forwarded: false,
                    };
                    let expected = asked.answer().is_some_and(|answer| set.contains(&answer));
                    assert_eq!(asking.contains(&asked), expected, "{asked:?}");
                    *(if expected { &mut found } else { &mut none }) += 1;
                }
            }
        }
        assert!(found > 100 && none > 100, "{found} {none}");
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
