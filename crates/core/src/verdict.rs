//! The meaning of rules: what becomes of the first packet of a flow at one ENI.
//!
//! This is the reference. It reads like section 3 of the design, looks at every rule every time, and is
//! held against two faster implementations by the differential tests: the table interpreter in `compile`
//! and the BPF program. It never looks at live flows; [`crate::flow`] does.

use std::net::IpAddr;

use crate::{
    ids::{GroupId, RuleId},
    network_acl::{self, AclEntry, NetworkAcl},
    packet::{Decision, Packet, Transport, Why},
    rule::{self, Action, Direction, Peer, Rule, RuleSpec, Service},
    world::{Eni, Flavor, Group, World},
};

/// Judges a packet at an ENI as the first of a flow.
#[must_use]
pub fn decide(world: &World, eni: &Eni, packet: &Packet) -> Decision {
    refused_by_acl(world, eni, packet).unwrap_or_else(|| decide_by_groups(world, eni, packet))
}

/// The same by everything but the network ACL of the subnet: what becomes of a flow once its packets are on their way.
#[must_use]
pub fn decide_by_groups(world: &World, eni: &Eni, packet: &Packet) -> Decision {
    let (action, why) = judge(world, eni, packet);
    Decision { action, why, revision: world.revision() }
}

/// The network ACL that a packet meets, and the entry that decides about it.
#[must_use]
pub fn met_acl<'a>(world: &'a World, eni: &Eni, packet: &Packet) -> Option<(&'a NetworkAcl, Option<&'a AclEntry>)> {
    let (subnet, acl) = world.acl_of(&eni.subnet)?;
    if is_discovery(packet) || world.bypass().holds(packet) || network_acl::is_neighbour(subnet, packet.peer) {
        return None;
    }
    Some((acl, acl.entries_of(packet.direction).find(|entry| matches(world, eni, &entry.spec, packet))))
}

/// What the network ACL of the ENI's subnet says to a packet, if it denies it. It is asked about every packet, those of live
/// flows too (`spec/ec2.md` A3), but for what no rule judges.
#[must_use]
pub fn refused_by_acl(world: &World, eni: &Eni, packet: &Packet) -> Option<Decision> {
    let (acl, decides) = world.is_guarded(&eni.subnet).then(|| met_acl(world, eni, packet)).flatten()?;
    if decides.is_some_and(|entry| entry.spec.action == Action::Allow) {
        return None;
    }
    let why = Why::NetworkAcl { acl: acl.id.clone(), entry: decides.map(|entry| entry.number) };
    Some(Decision { action: Action::Deny, why, revision: world.revision() })
}

fn judge(world: &World, eni: &Eni, packet: &Packet) -> (Action, Why) {
    if is_discovery(packet) {
        let may = packet.direction == Direction::Ingress || may_discover(eni, packet);
        return if may { (Action::Allow, Why::Bypass) } else { (Action::Deny, Why::Spoofed) };
    }
    if is_listed(world, eni, packet) {
        return (Action::Allow, Why::Bypass);
    }
    if !is_own(eni, packet) {
        return (Action::Deny, Why::Spoofed);
    }
    if let Some(policy) = world.platform().decides(world.vpc(&eni.vpc).map(|vpc| &**vpc), packet) {
        return (policy.action(), Why::Platform { policy });
    }
    if let Some(group) = shared_accepting_group(world, eni, packet) {
        return (Action::Allow, Why::IntraGroup { group });
    }
    if let Some((group, rule)) = first_match(world, eni, packet) {
        return (rule.spec.action, Why::Rule { group, rule: rule.id.clone() });
    }
    (default_action(world.flavor_of(eni), packet.direction), Why::Default)
}

/// Step 1 of section 3. A listed entry does not let an ENI send from a foreign address.
fn is_listed(world: &World, eni: &Eni, packet: &Packet) -> bool {
    world.bypass().holds(packet) && (packet.direction == Direction::Ingress || may_send_unjudged(eni, packet))
}

/// IPv6 neighbour and router discovery (RFC 4861: 133 to 137; the data plane also demands hop limit 255),
/// and the multicast listener messages that it depends on (RFC 2710 and 3810: 130 to 132 and 143), which
/// come from a link-local or unspecified address.
fn is_discovery(packet: &Packet) -> bool {
    let Transport::Icmp { protocol: 58, kind, .. } = packet.transport else { return false };
    let source = match packet.direction {
        Direction::Ingress => packet.peer,
        Direction::Egress => packet.local,
    };
    match kind {
        // Over IPv4 the protocol number 58 is nothing but a number.
        _ if source.is_ipv4() => false,
        133..=137 => true,
        130..=132 | 143 => source.is_unspecified() || is_link_local(source),
        _ => false,
    }
}

/// What an ENI whose sender is checked may say by discovery: that it is there itself. It is no router, so it advertises none and
/// redirects nobody (RFC 6105). The data plane also looks at whose address an advertisement is about.
fn may_discover(eni: &Eni, packet: &Packet) -> bool {
    let is_of_router = matches!(packet.transport, Transport::Icmp { kind: 134 | 137, .. });
    may_send_unjudged(eni, packet) && !(is_of_router && eni.source_check)
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

fn may_send_unjudged(eni: &Eni, packet: &Packet) -> bool {
    is_own(eni, packet) || packet.local.is_unspecified() || is_link_local(packet.local)
}

/// Whether the ENI's end of a packet is an address that the ENI has, or need not have.
pub(crate) fn is_own(eni: &Eni, packet: &Packet) -> bool {
    !eni.source_check || eni.addresses.contains(&packet.local)
}

/// Step 3: the first group, by id, that both ends carry and whose inner access is Accept.
fn shared_accepting_group(world: &World, eni: &Eni, packet: &Packet) -> Option<GroupId> {
    let peer = peer_of(world, eni, packet)?;
    let shared = eni.groups.iter().filter(|id| peer.groups.contains(id));
    shared.filter(|id| world.group(id).is_some_and(|group| group.accepts_inner())).min().cloned()
}

/// Step 4: the rule that decides, of all rules of all groups of the ENI.
fn first_match(world: &World, eni: &Eni, packet: &Packet) -> Option<(GroupId, Rule)> {
    let groups = eni.groups.iter().filter_map(|id| world.group(id));
    let rules = groups.flat_map(|group| group.rules.values().map(move |rule| (group, rule)));
    let matching = rules.filter(|(_, rule)| matches(world, eni, &rule.spec, packet));
    matching
        .min_by_key(|(group, rule)| rule::order(group.flavor, &group.id, rule))
        .map(|(group, rule)| (group.id.clone(), Rule::clone(rule)))
}

/// Step 5.
#[must_use]
pub fn default_action(flavor: Option<Flavor>, direction: Direction) -> Action {
    match (flavor, direction) {
        (Some(Flavor::EcsBasic), Direction::Egress) => Action::Allow,
        (Some(Flavor::EcsBasic), Direction::Ingress)
        | (Some(Flavor::EcsEnterprise | Flavor::Ec2) | None, Direction::Ingress | Direction::Egress) => Action::Deny,
    }
}

/// Whether a rule speaks about a packet at an ENI.
#[must_use]
pub fn matches(world: &World, eni: &Eni, spec: &RuleSpec, packet: &Packet) -> bool {
    spec.direction == packet.direction
        && spec.protocol.matches(packet.transport.protocol())
        && service_matches(world, spec, packet)
        && spec.source_ports.is_none_or(|range| packet.transport.source_port().is_some_and(|p| range.contains(p)))
        && spec.local.is_none_or(|cidr| cidr.contains(packet.local))
        && peer_matches(world, eni, &spec.peer, packet)
}

fn service_matches(world: &World, spec: &RuleSpec, packet: &Packet) -> bool {
    match &spec.service {
        Service::Any => true,
        Service::Ports(range) => packet.transport.destination_port().is_some_and(|port| range.contains(port)),
        Service::PortList(id) => {
            let entries = world.port_list(id).map(|list| list.entries.as_slice()).unwrap_or_default();
            packet
                .transport
                .destination_port()
                .is_some_and(|port| entries.iter().any(|entry| entry.ports.contains(port)))
        }
        Service::Icmp { kind, code } => match packet.transport {
            Transport::Icmp { kind: own, code: own_code, .. } => own == *kind && code.is_none_or(|c| c == own_code),
            Transport::Tcp { .. } | Transport::Udp { .. } | Transport::Other { .. } => false,
        },
    }
}

fn peer_matches(world: &World, eni: &Eni, peer: &Peer, packet: &Packet) -> bool {
    match peer {
        Peer::Cidr(cidr) => cidr.contains(packet.peer),
        Peer::PrefixList(id) => world
            .prefix_list(id)
            .is_some_and(|list| list.entries.iter().any(|entry| entry.cidr.contains(packet.peer))),
        Peer::Group { group, .. } => peer_of(world, eni, packet).is_some_and(|peer| peer.groups.contains(group)),
    }
}

/// Whose groups a packet comes from, or goes to: the ENI's that has the address. In EC2 what a middlebox forwards comes from
/// none (`spec/ec2.md` A1).
fn peer_of<'a>(world: &'a World, eni: &Eni, packet: &Packet) -> Option<&'a Eni> {
    let is_named = match world.flavor_of(eni) {
        Some(Flavor::Ec2) => !packet.is_forwarded,
        Some(Flavor::EcsBasic | Flavor::EcsEnterprise) | None => true,
    };
    is_named.then(|| world.eni_seen_from(&eni.vpc, packet.peer)).flatten().map(|eni| &**eni)
}

/// Whether a flow that a packet begins is *untracked* by EC2's definition (`spec/ec2.md` A2): the deciding
/// rule is open to the world, and the other direction has a rule that allows the whole world on every port
/// of the protocol. TCP and UDP only, each family for itself.
#[must_use]
pub fn is_untracked(world: &World, eni: &Eni, packet: &Packet, why: &Why) -> bool {
    let Why::Rule { group, rule } = why else { return false };
    let deciding = world.group(group).and_then(|group| group.rules.get(rule));
    let open_here = deciding.is_some_and(|rule| rule.spec.peer.is_world());
    let protocol = packet.transport.protocol();
    open_here && matches!(protocol, 6 | 17) && is_open(world, eni, packet, protocol)
}

fn is_open(world: &World, eni: &Eni, packet: &Packet, protocol: u8) -> bool {
    let groups = eni.groups.iter().filter_map(|id| world.group(id)).map(|group| Group::clone(group));
    groups.flat_map(|group| group.rules).any(|(_, rule): (RuleId, _)| {
        let spec = &rule.spec;
        let every_port = match &spec.service {
            Service::Any => true,
            Service::Ports(range) => range.first() == 0 && range.last() == u16::MAX,
            Service::PortList(_) | Service::Icmp { .. } => false,
        };
        let same_family = match &spec.peer {
            Peer::Cidr(cidr) => cidr.is_world() && cidr.contains(packet.peer),
            Peer::PrefixList(_) | Peer::Group { .. } => false,
        };
        spec.direction == packet.direction.reverse()
            && spec.action == Action::Allow
            && spec.protocol.matches(protocol)
            && every_port
            && same_family
            && spec.source_ports.is_none()
            && spec.local.is_none()
    })
}
