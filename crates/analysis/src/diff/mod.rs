//! What a change changes: the exact set of packets that two states of the world decide otherwise, at each interface and merged.
//!
//! `gained` is what passes after and not before, `lost` the other way round, of packets as rules tell them apart and from their
//! sender. Work is proportional to what differs (`sekimori_core::difference`): an interface is looked at only if something that it
//! is judged by is not the same, and of its policy only the packets that a changed line speaks about.

mod across;
mod around;
mod flows;
mod live;
mod places;
mod suspects;
#[cfg(test)]
mod tests;
mod told;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use sekimori_core::{
    change,
    command::NewRule,
    end::End,
    ids::{EniId, GroupId, InstanceId, RuleId, VpcId},
    packet::{Decision, Packet},
    rule::{Direction, Rule},
    space::TooComplex,
    world::{Eni, Group, World, group_set},
};

use self::places::{Judged, Place, Places};
pub use self::{
    flows::{Ahead, DIFF_FLOWS_MAX, Ending, FlowChange, FlowsChanged, flows},
    live::{LiveChanged, LiveEnding, live, touched},
};
pub(crate) use self::{
    live::ending,
    told::{example, packet_words},
};
use crate::{
    effective::{GroupName, group_name},
    ends::{self, NotOne},
    permits::Bearing,
    shadow::ShadowError,
    who::Reach,
};

/// Merged changes of one report; the rest is counted.
pub const DIFF_CHANGES_MAX: usize = 1_000;
/// Interfaces that one report tells by themselves; the rest is counted.
pub const DIFF_INTERFACES_MAX: usize = 1_000;
/// Lines about what crosses between VPCs that one report tells; the rest is counted.
pub const DIFF_CROSSINGS_MAX: usize = 1_000;
/// Groups that one report tells to come or go; the rest is counted.
pub const DIFF_GROUPS_MAX: usize = 1_000;
/// Lines of services and peers that are told of one change; the rest is counted.
pub const DIFF_ROWS_MAX: usize = 64;
/// Interfaces, addresses and policies that are named in one change; the rest is counted.
pub const DIFF_NAMES_MAX: usize = 50;

/// What two states decide otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The state before, in words.
    pub before: String,
    /// The state after.
    pub after: String,
    /// What is gained and lost, told once for all interfaces of which the same is true.
    pub changes: Vec<Change>,
    /// Changes that are not told.
    pub changes_untold: usize,
    /// The interfaces that decide otherwise.
    pub interfaces: Vec<InterfaceChange>,
    /// Those that are not told.
    pub interfaces_untold: usize,
    /// Interfaces that are there only after.
    pub new: Vec<Interface>,
    /// Those of them that are not told.
    pub new_untold: usize,
    /// Interfaces that are there only before.
    pub gone: Vec<Interface>,
    /// Those of them that are not told.
    pub gone_untold: usize,
    /// Groups that are there only after.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub new_groups: Vec<GroupName>,
    /// Those of them that are not told.
    #[serde(default)]
    pub new_groups_untold: usize,
    /// Groups that are there only before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone_groups: Vec<GroupName>,
    /// Those of them that are not told.
    #[serde(default)]
    pub gone_groups_untold: usize,
    /// What becomes of entries of the bypass set, which pass at every interface whatever its own address.
    pub bypass: Vec<String>,
    /// What changes around the rules, in words: VPCs that are peered, or not any more, and instances that start or stop. Packets are
    /// told as rules decide about them, whether or not anything leads them there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub around: Vec<String>,
    /// What gets from one VPC to another only before, or only after, because they are peered only then: what the rules of both ends let pass
    /// there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub crossings: Vec<Crossing>,
    /// Those that are not told.
    #[serde(default)]
    pub crossings_untold: usize,
}

/// What gets from one VPC to another, of those who reach each other alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crossing {
    /// Gained or lost.
    pub effect: Effect,
    /// From whom to whom, by which services.
    #[serde(flatten)]
    pub reach: Reach,
}

/// Whether packets are let through, or not any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// They pass only after.
    Gained,
    /// They passed only before.
    Lost,
}

/// The same packets gained, or lost, at some interfaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Gained or lost.
    pub effect: Effect,
    /// Towards the interfaces, or away.
    pub direction: Direction,
    /// The interfaces.
    pub interfaces: Interfaces,
    /// Which services, from or to whom. Each line is about packets of its own.
    pub rows: Vec<Row>,
    /// Lines that are not told.
    pub rows_untold: usize,
    /// Whether some of the interfaces are among the peers: each has all of them but itself, as what it sends itself never leaves it.
    #[serde(default)]
    pub but_itself: bool,
    /// One of the packets.
    pub witness: Option<Witness>,
}

/// Services and the peers that reach them, or are reached by them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The services.
    pub services: Vec<String>,
    /// The peers: blocks, runs of addresses, and addresses of interfaces with their instances.
    pub peers: Vec<String>,
}

/// Interfaces of which the same is true.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interfaces {
    /// How many they are.
    pub count: usize,
    /// Their instances; interfaces for those that have none.
    pub names: Vec<String>,
    /// The own addresses that it is true of.
    pub addresses: Vec<String>,
    /// The sets of groups that they have after.
    pub policies: Vec<Vec<GroupName>>,
}

/// A packet that the two states decide otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witness {
    /// The interface where it is judged; none where only groups were compared.
    pub eni: Option<EniId>,
    /// The packet.
    pub packet: Packet,
    /// The packet in words.
    pub text: String,
    /// What becomes of it before, and why.
    pub before: Option<Decision>,
    /// What becomes of it after, and why.
    pub after: Option<Decision>,
}

/// An interface that decides otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceChange {
    /// The interface.
    pub eni: EniId,
    /// Its instance.
    pub instance: Option<InstanceId>,
    /// The changes that are true of it.
    pub changes: Vec<AtInterface>,
    /// Packets that it gains at its own addresses; the highest number there is stands for more.
    pub gained: u64,
    /// Packets that it loses.
    pub lost: u64,
    /// One that it gains.
    pub gained_witness: Option<Witness>,
    /// One that it loses.
    pub lost_witness: Option<Witness>,
    /// That nothing outside leads to it after, where something towards it is gained: what is gained arrives from inside only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_off: Option<String>,
}

/// A change at an interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AtInterface {
    /// Which, by its place in the report, from 0.
    pub change: usize,
    /// At which own addresses.
    pub addresses: Vec<String>,
}

/// An interface that comes or goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// The interface.
    pub eni: EniId,
    /// Its instance.
    pub instance: Option<InstanceId>,
    /// Its addresses.
    pub addresses: Vec<String>,
    /// Its groups.
    pub groups: Vec<GroupName>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiffError {
    /// What is compared is no group and not one interface.
    #[error(transparent)]
    Target(#[from] NotOne),
    /// What crosses between two VPCs is too much.
    #[error("what gets from {from} to {to} cannot be told: {why}")]
    Crossing {
        /// The VPC that it comes from.
        from: VpcId,
        /// The VPC that it reaches.
        to: VpcId,
        /// Why not.
        why: String,
    },
    /// The rules are too many for an exact answer.
    #[error("policy {groups}: {error}")]
    TooComplex {
        /// The groups whose rules they are.
        groups: String,
        /// In words.
        #[source]
        error: TooComplex,
    },
}

/// Compares two worlds, which the words are for.
///
/// # Errors
/// When a policy is cut into too many pieces.
pub fn worlds(before: (&World, &str), after: (&World, &str)) -> Result<Report, DiffError> {
    let places = Places::between(before.0, after.0)?;
    Ok(told::report((before.0, after.0), places, (before.1, after.1), None))
}

/// Compares the policies of two interfaces or groups in one world: what the second lets pass and the first does not is gained. A
/// group is compared as the only one of an interface in its VPC.
///
/// # Errors
/// When something has no policy, or is cut into too many pieces.
pub fn policies(world: &World, one: &str, other: &str) -> Result<Report, DiffError> {
    let (before, after) = (policy(world, one)?, policy(world, other)?);
    let place = Place::of_policies(world, &before.1, &after.1, before.0.clone())?;
    let words = |name: &str, (_, bearing): &(Option<_>, Bearing)| match name {
        name if bearing.groups.iter().any(|group| group.as_str() == name) => format!("rules of {name}"),
        name => format!("policy of {name}"),
    };
    let titles = (words(one, &before), words(other, &after));
    let places = Places { places: place.into_iter().collect(), ..Places::default() };
    let judges = judges(world, &before, &after);
    Ok(told::report((world, world), places, (&titles.0, &titles.1), judges.as_ref()))
}

/// Interfaces that have the two policies: those that were named, and for groups some member, with its groups exchanged.
fn judges(world: &World, before: &Policy, after: &Policy) -> Option<(Eni, Eni)> {
    let of_member = |(_, bearing): &Policy| {
        let mut members = bearing.groups.iter().flat_map(|group| world.members(group));
        members.next().cloned()
    };
    let known =
        before.0.clone().or_else(|| after.0.clone()).or_else(|| of_member(before)).or_else(|| of_member(after))?;
    let judge = |(eni, bearing): &Policy| Eni {
        groups: bearing.groups.to_vec(),
        vpc: bearing.vpc.clone(),
        // What is told is true at whatever own address.
        source_check: false,
        ..Eni::clone(eni.as_ref().unwrap_or(&known))
    };
    Some((judge(before), judge(after)))
}

/// The world if a group had these rules; and, of rules of another group, its policy among members.
#[must_use]
pub fn with_rules(world: &World, group: &GroupId, rules: &[NewRule], like: Option<&GroupId>) -> World {
    let mut other = world.clone();
    let Some(known) = world.group(group) else { return other };
    for rule in known.rules.keys() {
        other.apply(&change::Change::DeleteRule { group: group.clone(), rule: rule.clone() });
    }
    for (number, rule) in rules.iter().enumerate() {
        let same = known.rules.values().find(|known| known.spec == rule.spec);
        let id = same.map_or_else(|| RuleId::from(format!("new-{}", number + 1)), |known| known.id.clone());
        let NewRule { spec, description, tags } = rule.clone();
        let rule = Arc::new(Rule { id, spec, description, tags, created_at: known.created_at });
        other.apply(&change::Change::PutRule { group: group.clone(), rule });
    }
    if let (Some(like), Some(now)) = (like.and_then(|like| world.group(like)), other.group(group).cloned()) {
        let now = Group { inner_access: like.inner_access, ..Group::clone(&now) };
        other.apply(&change::Change::PutGroup(Arc::new(now)));
    }
    other
}

/// The world if the shadow of a group were its rules.
///
/// # Errors
/// When there is no such group, or it has no shadow.
pub fn with_shadow(world: &World, group: &GroupId) -> Result<World, ShadowError> {
    let known = world.group(group).ok_or_else(|| ShadowError::Unknown(group.to_string()))?;
    world.shadows().get(&known.id).ok_or_else(|| ShadowError::Absent(group.clone()))?;
    Ok(world.with_candidates(&group_set(std::slice::from_ref(group))))
}

type Policy = (Option<Arc<Eni>>, Bearing);

fn policy(world: &World, name: &str) -> Result<Policy, DiffError> {
    if let End::Group(group) = End::read(world, name).map_err(NotOne::from)?
        && let Some(group) = world.group(&group)
    {
        let groups = group_set(std::slice::from_ref(&group.id));
        return Ok((None, Bearing { groups, vpc: group.vpc.clone(), guarded: None }));
    }
    let eni = ends::only(world, name)?;
    Ok((Some(Arc::clone(eni)), Bearing::of(world, eni)))
}

fn named(world: &World, judged: &Judged<'_>) -> String {
    let name = |id: &GroupId| {
        let GroupName { id, name } = group_name(world, id);
        crate::text::named(id.as_str(), &name)
    };
    judged.bearing.groups.iter().map(name).collect::<Vec<_>>().join(" + ")
}
