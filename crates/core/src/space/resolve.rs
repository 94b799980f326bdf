//! What rules mean as sets of packets, in one VPC of a world.
//!
//! A group is the private addresses of its members now, a list its entries now. A group without a member is
//! not nothing: it is kept as a symbol that only the group itself and the whole of a family hold, so that a rule
//! which waits for its first member is not taken for one that says nothing.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::{
    EVERY_SERVICE, OWN, PEER, Piece, Realm, SERVICE, Set, Span, TooComplex, bounded, every_address, fibre, net_span,
    run, service_value, view::at_own, whole,
};
use crate::{
    address::{Cidr, Family, number},
    bypass::BypassEntry,
    ids::{GroupId, VpcId},
    packet::Transport,
    platform::{self, MAIL_PORT, PlatformPolicy},
    rule::{Direction, Peer, PortRange, Protocol, RuleSpec, Service},
    world::{Eni, World},
};

/// Reads rules as sets.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    world: &'a World,
    vpc: &'a VpcId,
    absent: Vec<&'a GroupId>,
    read: Option<&'a ReadMembers>,
}

/// Addresses, as runs of each realm.
type Spans = Vec<(Realm, Span)>;

/// The addresses of groups as they were read, for readers of many policies of one world: a group that many of them name is read once.
#[derive(Debug, Default)]
pub struct ReadMembers(RefCell<BTreeMap<(VpcId, GroupId), Spans>>);

/// The protocols whose packets have ports.
const WITH_PORTS: [u8; 2] = [6, 17];
/// The protocols whose packets have a type and a code.
const WITH_TYPES: [u8; 2] = [1, 58];

impl<'a> Reader<'a> {
    /// A reader of rules at ENIs of a VPC. The rules tell which groups are waited for.
    #[must_use]
    pub fn new(world: &'a World, vpc: &'a VpcId, rules: impl IntoIterator<Item = &'a RuleSpec>) -> Self {
        let named: BTreeSet<&GroupId> = rules.into_iter().filter_map(|spec| peer_group(&spec.peer)).collect();
        let has_members = |group: &GroupId| world.members(group).any(|eni| world.are_joined(vpc, &eni.vpc));
        let absent = named.into_iter().filter(|group| !has_members(group)).collect();
        Self { world, vpc, absent, read: None }
    }

    /// A reader that reads no group twice; all who share what was read must be of the same world.
    #[must_use]
    pub fn sharing(self, read: &'a ReadMembers) -> Self {
        Self { read: Some(read), ..self }
    }

    /// The packets that a rule speaks about.
    ///
    /// # Errors
    /// When they are too many pieces.
    pub fn rule(&self, spec: &RuleSpec) -> Result<Set, TooComplex> {
        let mut set = Set::empty();
        let (services, sources) = (self.services(spec), source_span(spec.source_ports));
        for (realm, peer) in self.peers(&spec.peer) {
            let Some(local) = local_span(spec.local.as_ref(), realm.family()) else { continue };
            for service in &services {
                let spans = [*service, sources, peer, local];
                let piece = Piece { direction: spec.direction, realm, spans };
                set = set.union(&bounded(vec![piece])?)?;
            }
        }
        Ok(set)
    }

    /// Whether a rule may speak about a packet of a set, as far as direction, service, source port and own address tell: a look
    /// that asks for no peer.
    #[must_use]
    pub fn may_meet(&self, spec: &RuleSpec, packets: &Set) -> bool {
        let (services, sources) = (self.services(spec), source_span(spec.source_ports));
        let overlap = |one: &Span, other: &Span| one.0 <= other.1 && other.0 <= one.1;
        packets.pieces.iter().any(|piece| {
            let [service, source, _, own] = &piece.spans;
            let local = local_span(spec.local.as_ref(), piece.realm.family());
            piece.direction == spec.direction
                && overlap(source, &sources)
                && local.is_some_and(|local| overlap(own, &local))
                && services.iter().any(|of_rule| overlap(service, of_rule))
        })
    }

    /// The packets that an entry of the bypass set lets pass.
    ///
    /// # Errors
    /// When they are too many pieces.
    pub fn bypass(&self, entry: &BypassEntry) -> Result<Set, TooComplex> {
        self.rule(&entry.as_rule())
    }

    /// The packets that a platform policy decides about.
    ///
    /// # Errors
    /// When they are too many pieces.
    pub fn platform(&self, policy: PlatformPolicy) -> Result<Set, TooComplex> {
        let direction = policy.direction();
        match policy {
            PlatformPolicy::CloudServices | PlatformPolicy::DhcpServers => {
                let rules = policy.rules();
                rules.iter().try_fold(Set::empty(), |set, spec| set.union(&self.rule(spec)?))
            }
            PlatformPolicy::Mail => {
                let everyone =
                    [Cidr::WORLD_V4, Cidr::WORLD_V6].map(|world| Self::everyone(direction, MAIL_PORT, &world));
                let [v4, v6] = everyone;
                let mut outside = v4.union(&v6)?;
                for block in platform::blocks(self.world.vpc(self.vpc).map(|vpc| &**vpc)) {
                    outside = outside.difference(&Self::everyone(direction, MAIL_PORT, &Cidr::from(block)))?;
                }
                Ok(outside)
            }
        }
    }

    /// The packets of peers that carry a group.
    ///
    /// # Errors
    /// When they are too many pieces.
    pub fn members(&self, direction: Direction, group: &GroupId) -> Result<Set, TooComplex> {
        let pieces = self.member_spans(group).into_iter();
        bounded(pieces.map(|(realm, span)| whole(direction, realm).with(PEER, span)).collect())
    }

    /// The packets of one service between an own address and the addresses of a block, from every source port.
    #[must_use]
    pub fn between(direction: Direction, transport: Transport, peer: &Cidr, local: IpAddr) -> Set {
        let (net, at) = (peer.network(), number(local));
        let service = fibre(service_value(transport));
        let spans = [service, source_span(None), (number(net.network()), number(net.broadcast())), (at, at)];
        Set { pieces: vec![Piece { direction, realm: Realm::Known(peer.family()), spans }] }
    }

    /// The TCP packets of one port, from every address of a block and every source port, at every own address.
    #[must_use]
    pub fn everyone(direction: Direction, port: u16, peer: &Cidr) -> Set {
        let net = peer.network();
        let piece = whole(direction, Realm::Known(peer.family()))
            .with(SERVICE, run(6, PortRange::one(port)))
            .with(PEER, (number(net.network()), number(net.broadcast())));
        Set { pieces: vec![piece] }
    }

    fn services(&self, spec: &RuleSpec) -> Vec<Span> {
        let covered = |protocols: &[u8]| -> Vec<u8> {
            protocols.iter().copied().filter(|protocol| spec.protocol.matches(*protocol)).collect()
        };
        let ported =
            |range: &PortRange| covered(&WITH_PORTS).into_iter().map(|protocol| run(protocol, *range)).collect();
        match (&spec.service, spec.source_ports) {
            (Service::Any, None) => vec![protocol_span(spec.protocol)],
            (Service::Any, Some(_)) => ported(&PortRange::ALL),
            (Service::Ports(range), _) => ported(range),
            (Service::PortList(id), _) => {
                let entries = self.world.port_list(id).map(|list| list.entries.as_slice()).unwrap_or_default();
                entries.iter().flat_map(|entry| -> Vec<Span> { ported(&entry.ports) }).collect()
            }
            // A packet with a type has no source port.
            (Service::Icmp { .. }, Some(_)) => Vec::new(),
            (Service::Icmp { kind, code }, None) => {
                let (first, last) = (code.unwrap_or(0), code.unwrap_or(u8::MAX));
                let span = |protocol: u8| {
                    let base = u128::from(protocol) << 16 | u128::from(*kind) << 8;
                    (base | u128::from(first), base | u128::from(last))
                };
                covered(&WITH_TYPES).into_iter().map(span).collect()
            }
        }
    }

    fn peers(&self, peer: &Peer) -> Vec<(Realm, Span)> {
        match peer {
            Peer::Cidr(cidr) => self.cidr(cidr),
            Peer::PrefixList(id) => {
                let entries = self.world.prefix_list(id).map(|list| list.entries.as_slice()).unwrap_or_default();
                entries.iter().flat_map(|entry| self.cidr(&entry.cidr)).collect()
            }
            Peer::Group { group, .. } => self.member_spans(group),
        }
    }

    fn cidr(&self, cidr: &Cidr) -> Vec<(Realm, Span)> {
        let (net, family) = (cidr.network(), cidr.family());
        let mut peers = vec![(Realm::Known(family), (number(net.network()), number(net.broadcast())))];
        if cidr.is_world() && !self.absent.is_empty() {
            peers.push((Realm::Absent(family), (0, u128::MAX)));
        }
        peers
    }

    fn member_spans(&self, group: &GroupId) -> Spans {
        if let Some(symbol) = self.absent.iter().position(|absent| *absent == group) {
            let point = (symbol as u128, symbol as u128);
            return [Family::V4, Family::V6].map(|family| (Realm::Absent(family), point)).to_vec();
        }
        let Some(ReadMembers(read)) = self.read else { return self.read_members(group) };
        let key = (self.vpc.clone(), group.clone());
        read.borrow_mut().entry(key).or_insert_with(|| self.read_members(group)).clone()
    }

    fn read_members(&self, group: &GroupId) -> Spans {
        let members = self.world.members(group).filter(|eni| self.world.are_joined(self.vpc, &eni.vpc));
        let addresses: BTreeSet<IpAddr> = members.flat_map(|eni| eni.addresses.iter().copied()).collect();
        let mut spans: Vec<(Realm, Span)> = Vec::new();
        for address in addresses {
            let (realm, at) = (Realm::Known(Family::of(address)), number(address));
            match spans.last_mut() {
                Some((last_realm, (_, last))) if *last_realm == realm && last.checked_add(1) == Some(at) => {
                    *last = at
                }
                Some(_) | None => spans.push((realm, (at, at))),
            }
        }
        spans
    }
}

/// What no rule decides and no network ACL: IPv6 neighbour and router discovery (RFC 4861: 133 to 137), and messages of multicast
/// listeners (RFC 2710, RFC 3810) from who has no other address than that of the link, or none yet. All of it passes, but for what
/// [`may_discover`] leaves out.
#[must_use]
pub fn discovery(direction: Direction) -> Set {
    let of_kinds = |first, last| {
        whole(direction, Realm::Known(Family::V6)).with(SERVICE, (icmp6(first, 0), icmp6(last, u8::MAX)))
    };
    let source = match direction {
        Direction::Ingress => PEER,
        Direction::Egress => OWN,
    };
    let link = net_span(Cidr::LINK_V6.network());
    let unspecified = (number(IpAddr::V6(Ipv6Addr::UNSPECIFIED)), number(IpAddr::V6(Ipv6Addr::UNSPECIFIED)));
    let mut pieces = vec![of_kinds(133, 137)];
    for (first, last) in [(130, 132), (143, 143)] {
        pieces.extend([link, unspecified].map(|from| of_kinds(first, last).with(source, from)));
    }
    Set { pieces }
}

/// The discovery that passes at an interface: towards it all, from it what it may say. One whose sender is checked is no router, so it
/// advertises none and redirects nobody, and says nothing from another's address.
///
/// # Errors
/// When the interface has too many runs of addresses.
pub fn may_discover(eni: &Eni, direction: Direction) -> Result<Set, TooComplex> {
    let all = discovery(direction);
    if direction == Direction::Ingress || !eni.source_check {
        return Ok(all);
    }
    let of_router = |kind| {
        let kinds = (icmp6(kind, 0), icmp6(kind, u8::MAX));
        whole(direction, Realm::Known(Family::V6)).with(SERVICE, kinds)
    };
    let of_routers = Set { pieces: vec![of_router(134), of_router(137)] };
    all.intersection(&sendable_unjudged(eni)?)?.difference(&of_routers)
}

/// What an interface whose sender is checked may send without being asked for its address: what is from its own, from that of the
/// link, or from none yet.
///
/// # Errors
/// When the interface has too many runs of addresses.
pub fn sendable_unjudged(eni: &Eni) -> Result<Set, TooComplex> {
    let own: BTreeSet<IpAddr> = eni.addresses.iter().copied().collect();
    let unspecified = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
    let addresses = own.into_iter().chain(unspecified).collect();
    let link = whole(Direction::Egress, Realm::Known(Family::V6)).with(OWN, net_span(Cidr::LINK_V6.network()));
    at_own(Direction::Egress, &addresses)?.union(&Set { pieces: vec![link] })
}

/// The packets whose own address is one of these, as far as blocks tell addresses apart: an address stands for all that
/// lie between the same ends of blocks. A family that has none is left whole: its rules wait for the first one.
///
/// # Errors
/// When they are too many pieces.
pub fn owned(direction: Direction, own: &BTreeSet<IpAddr>, blocks: &[Cidr]) -> Result<Set, TooComplex> {
    let mut pieces = Vec::new();
    for family in [Family::V4, Family::V6] {
        let spans = classes(family, own, blocks);
        for realm in [Realm::Known(family), Realm::Absent(family)] {
            pieces.extend(spans.iter().map(|span| whole(direction, realm).with(OWN, *span)));
        }
    }
    bounded(pieces)
}

/// The runs of addresses of a family between the ends of blocks that hold one of these addresses.
fn classes(family: Family, own: &BTreeSet<IpAddr>, blocks: &[Cidr]) -> BTreeSet<Span> {
    let every = every_address(family);
    let spans = blocks.iter().filter(|block| block.family() == family).map(|block| net_span(block.network()));
    let starts = spans.flat_map(|(first, last)| [Some(first), last.checked_add(1)]).flatten();
    let starts: BTreeSet<u128> = starts.filter(|start| *start <= every.1).chain([every.0]).collect();
    let class = |address: &IpAddr| {
        let at = number(*address);
        let first = starts.range(..=at).next_back().copied().unwrap_or(every.0);
        let last = at.checked_add(1).and_then(|next| starts.range(next..).next()).map_or(every.1, |next| next - 1);
        (first, last)
    };
    let classes: BTreeSet<Span> = own.iter().filter(|address| Family::of(**address) == family).map(class).collect();
    if classes.is_empty() { BTreeSet::from([every]) } else { classes }
}

fn peer_group(peer: &Peer) -> Option<&GroupId> {
    match peer {
        Peer::Group { group, .. } => Some(group),
        Peer::Cidr(_) | Peer::PrefixList(_) => None,
    }
}

fn protocol_span(protocol: Protocol) -> Span {
    match protocol {
        Protocol::Any => EVERY_SERVICE,
        Protocol::Number(number) => run(number, PortRange::ALL),
    }
}

fn icmp6(kind: u8, code: u8) -> u128 {
    58 << 16 | u128::from(kind) << 8 | u128::from(code)
}

fn source_span(range: Option<PortRange>) -> Span {
    let range = range.unwrap_or(PortRange::ALL);
    (u128::from(range.first()), u128::from(range.last()))
}

fn local_span(local: Option<&Cidr>, family: Family) -> Option<Span> {
    let Some(cidr) = local else { return Some(every_address(family)) };
    let net = cidr.network();
    (cidr.family() == family).then(|| (number(net.network()), number(net.broadcast())))
}
