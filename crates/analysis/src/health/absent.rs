//! Rules that speak about nobody: what they name is gone, out of reach, or empty.

use serde::{Deserialize, Serialize};

use sekimori_core::{
    ids::RuleId,
    rule::{Direction, Peer, RuleSpec, Service},
    world::{Group, World},
};

use crate::{
    effective::{GroupName, group_name},
    portions, text,
};

/// A rule that names what is not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmptyPeer {
    /// Its group.
    pub group: GroupName,
    /// The rule.
    pub rule: RuleId,
    /// Its direction.
    pub direction: Direction,
    /// The rule in one line.
    pub rule_text: String,
    /// What it names: a group, a prefix list or a port list.
    pub names: String,
    /// What is the matter with it.
    pub why: Absence,
}

/// Why what a rule names is nobody, or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Absence {
    /// It was deleted.
    Deleted,
    /// A group of a VPC that is not joined with the rule's: EC2 calls the rule stale.
    OutOfReach,
    /// No interface that could be met carries the group.
    NoMember,
    /// The list has no entry.
    NoEntry,
}

/// The rules of a group that speak about nobody. A group that names itself is never told: without members there is nobody who asks.
pub(super) fn peers(world: &World, group: &Group) -> Vec<EmptyPeer> {
    let mut found = Vec::new();
    for direction in [Direction::Ingress, Direction::Egress] {
        for (_, rule) in portions::in_order(&[group], direction) {
            let of_rule = of_peer(world, group, &rule.spec).into_iter().chain(of_service(world, &rule.spec));
            found.extend(of_rule.map(|(names, why)| EmptyPeer {
                group: group_name(world, &group.id),
                rule: rule.id.clone(),
                direction,
                rule_text: text::rule(world, group.flavor, rule),
                names,
                why,
            }));
        }
    }
    found
}

fn of_peer(world: &World, group: &Group, spec: &RuleSpec) -> Option<(String, Absence)> {
    match &spec.peer {
        Peer::Cidr(_) => None,
        Peer::PrefixList(id) => {
            let list = world.prefix_list(id).map(|list| list.entries.is_empty());
            absence_of_list(list).map(|why| (id.to_string(), why))
        }
        Peer::Group { group: peer, account: _ } if *peer == group.id => None,
        Peer::Group { group: peer, account: _ } => {
            let is_met = || {
                let met = |vpc| group.vpcs().any(|own| world.are_joined(own, vpc));
                world.members(peer).any(|eni| met(&eni.vpc))
            };
            let why = match world.group(peer) {
                None => Absence::Deleted,
                Some(_) if !world.can_name(group, peer) => Absence::OutOfReach,
                Some(_) if !is_met() => Absence::NoMember,
                Some(_) => return None,
            };
            Some((text::named(peer.as_str(), &group_name(world, peer).name), why))
        }
    }
}

fn of_service(world: &World, spec: &RuleSpec) -> Option<(String, Absence)> {
    match &spec.service {
        Service::PortList(id) => {
            let list = world.port_list(id).map(|list| list.entries.is_empty());
            absence_of_list(list).map(|why| (id.to_string(), why))
        }
        Service::Any | Service::Ports(_) | Service::Icmp { .. } => None,
    }
}

fn absence_of_list(is_empty: Option<bool>) -> Option<Absence> {
    match is_empty {
        None => Some(Absence::Deleted),
        Some(true) => Some(Absence::NoEntry),
        Some(false) => None,
    }
}
