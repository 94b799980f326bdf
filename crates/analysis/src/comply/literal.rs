//! Rules as they are written, read as the clouds' services read them: a rule is looked at by itself, and `0.0.0.0/0` is a text.
//!
//! So two halves of the world are not the world, a prefix list and a port list hold nothing, and an accept that a deny of another group
//! comes before is open. These blind spots are the services' own and are kept, for parity.

use sekimori_core::{
    address::{Cidr, Family},
    rule::{Action, Direction, Peer, PortRange, Protocol, Rule, RuleSpec, Service},
    world::{Group, World},
};

use super::{Cause, parameters::PortSet};
use crate::text;

/// Ports that must not be open, by protocol.
pub(super) struct Forbidden {
    pub(super) tcp: PortSet,
    pub(super) udp: PortSet,
    /// For whom: `0.0.0.0/0`, `::/0`.
    pub(super) families: &'static [Family],
}

pub(super) const BOTH: &[Family] = &[Family::V4, Family::V6];
pub(super) const ONLY_V4: &[Family] = &[Family::V4];
pub(super) const ONLY_V6: &[Family] = &[Family::V6];

impl Forbidden {
    /// The ports of a protocol, by its number.
    pub(super) fn of(&self, protocol: u8) -> Option<&PortSet> {
        match protocol {
            6 => Some(&self.tcp),
            17 => Some(&self.udp),
            _ => None,
        }
    }
}

/// The family that a peer is written as the whole of.
pub(super) fn world_family(peer: &Peer) -> Option<Family> {
    match peer {
        Peer::Cidr(cidr) if *cidr == Cidr::WORLD_V4 => Some(Family::V4),
        Peer::Cidr(cidr) if *cidr == Cidr::WORLD_V6 => Some(Family::V6),
        Peer::Cidr(_) | Peer::PrefixList(_) | Peer::Group { .. } => None,
    }
}

/// The rules of a group that allow something, in one direction.
pub(super) fn allowing(group: &Group, direction: Direction) -> impl Iterator<Item = &Rule> {
    let rules = group.rules.values().map(|rule| &**rule);
    rules.filter(move |rule| rule.spec.direction == direction && rule.spec.action == Action::Allow)
}

/// The ports that a rule names, whatever its protocol: all, a range, or, by a list, none that a service looks at.
fn ports(spec: &RuleSpec) -> Option<PortRange> {
    match &spec.service {
        Service::Any => Some(PortRange::ALL),
        Service::Ports(range) => Some(*range),
        Service::PortList(_) | Service::Icmp { .. } => None,
    }
}

/// What a rule opens of what is forbidden, in words; empty when it opens nothing of it.
pub(super) fn opens(spec: &RuleSpec, forbidden: &Forbidden) -> Vec<String> {
    let Some(family) = world_family(&spec.peer).filter(|family| forbidden.families.contains(family)) else {
        return Vec::new();
    };
    let named = [(Protocol::TCP, &forbidden.tcp), (Protocol::UDP, &forbidden.udp)];
    let covered = named.into_iter().filter(|(protocol, _)| match spec.protocol {
        Protocol::Any => true,
        Protocol::Number(_) => spec.protocol == *protocol,
    });
    let within = |(protocol, set): (Protocol, &PortSet)| -> Vec<String> {
        let ranges = ports(spec).into_iter().flat_map(|range| set.within(range));
        ranges.map(|range| format!("{protocol} {} from {}", text::ports(Some(range)), Cidr::world(family))).collect()
    };
    covered.flat_map(within).collect()
}

/// A rule of a group as a cause.
pub(super) fn cause(world: &World, group: &Group, rule: &Rule, opens: Vec<String>) -> Cause {
    let text = text::rule_of(world, &group.id, &rule.id);
    Cause { rule: Some(rule.id.clone()), entry: None, text, opens: super::semantic::told(opens), witness: None }
}

/// The rules that open what is forbidden, but for those of which `is_excused` says otherwise.
pub(super) fn open_ports(
    world: &World,
    group: &Group,
    forbidden: &Forbidden,
    is_excused: impl Fn(&Rule) -> bool,
) -> Vec<Cause> {
    let opening = |rule: &Rule| {
        let opens = opens(&rule.spec, forbidden);
        (!opens.is_empty() && !is_excused(rule)).then(|| cause(world, group, rule, opens))
    };
    allowing(group, Direction::Ingress).filter_map(opening).collect()
}

/// The rules that allow more than they should by their form alone.
pub(super) fn matching(
    world: &World,
    group: &Group,
    direction: Direction,
    is_wrong: impl Fn(&Rule) -> bool,
) -> Vec<Cause> {
    let wrong = allowing(group, direction).filter(|rule| is_wrong(rule));
    wrong.map(|rule| cause(world, group, rule, Vec::new())).collect()
}

/// Whether the range of ports is `-1/-1`: every port, or a protocol without ports.
pub(super) fn has_all_ports(spec: &RuleSpec) -> bool {
    spec.service == Service::Any
}

/// Whether a rule of higher priority denies all that another one allows, as far as protocol, ports and a block or the world tell.
pub(super) fn is_denied_before(group: &Group, allowing: &Rule, ports: Option<PortRange>) -> bool {
    let own = &allowing.spec;
    let denies = |spec: &RuleSpec| {
        let is_before =
            spec.action == Action::Deny && spec.direction == own.direction && spec.priority < own.priority;
        let has_protocol = spec.protocol == Protocol::Any || spec.protocol == own.protocol;
        let has_ports = match (&spec.service, ports) {
            (Service::Any, _) => true,
            (Service::Ports(range), Some(wanted)) => range.contains(wanted.first()) && range.contains(wanted.last()),
            (Service::Ports(_) | Service::PortList(_) | Service::Icmp { .. }, _) => false,
        };
        let is_for_all = world_family(&spec.peer).is_some() && world_family(&spec.peer) == world_family(&own.peer);
        is_before && has_protocol && has_ports && (is_for_all || spec.peer == own.peer)
    };
    group.rules.values().any(|rule| denies(&rule.spec))
}
