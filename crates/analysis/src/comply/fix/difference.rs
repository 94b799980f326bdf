//! What a remedy changes for packets: those that pass no longer, and those that pass only then, exactly, with one of each.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use sekimori_core::{
    ids::{GroupId, NetworkAclId},
    rule::Direction,
    space::{Set, TooComplex, reach::reach},
    world::{GroupSet, World},
};

use super::super::{
    exposure::{Exposure, Part, places},
    network::acl_parts,
    semantic::{described, witness},
};
use crate::{diff::example, text};

/// Lines that are told of what is lost, or gained, in one place.
const LINES_MAX: usize = 16;

/// What changes in one policy and direction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The groups of the policy, or the network ACL.
    pub place: String,
    /// How many interfaces have it.
    pub enis: usize,
    /// Towards them, or away.
    pub direction: Direction,
    /// What passes no longer: services and peers.
    pub lost: Vec<String>,
    /// What passes only then.
    pub gained: Vec<String>,
    /// A packet that passes no longer.
    pub lost_witness: Option<String>,
    /// A packet that passes only then.
    pub gained_witness: Option<String>,
}

/// Everything that changes in the policies of a group, or behind a network ACL. Memberships stay.
pub(super) fn of(before: &World, after: &World, resource: &str) -> Result<Vec<Change>, TooComplex> {
    let mut changes = Vec::new();
    for direction in [Direction::Ingress, Direction::Egress] {
        if let Some(group) = before.group(&GroupId::from(resource)) {
            if after.group(&group.id).is_none() {
                continue;
            }
            for bearers in places(before, group) {
                let (old, new) =
                    (Exposure::of(before, &bearers, direction)?, Exposure::of(after, &bearers, direction)?);
                let place = (name(before, &old.groups), old.enis, direction);
                changes.extend(between(place, &packets(&old.parts), &packets(&new.parts))?);
            }
        }
        let id = NetworkAclId::from(resource);
        if let (Some(old), Some(new)) = (before.network_acl(&id), after.network_acl(&id)) {
            let enis = before.enis_behind(old).count();
            let (old, new) = (acl_parts(before, old, direction)?, acl_parts(after, new, direction)?);
            let sets = |parts: Vec<(u16, Part)>| parts.into_iter().map(|(_, part)| part.packets).collect::<Vec<_>>();
            changes.extend(between((format!("network ACL {id}"), enis, direction), &sets(old), &sets(new))?);
        }
    }
    Ok(changes)
}

fn name(world: &World, groups: &GroupSet) -> String {
    let name =
        |id: &GroupId| text::named(id.as_str(), world.group(id).map(|group| group.name.as_str()).unwrap_or_default());
    groups.iter().map(name).collect::<Vec<_>>().join(" + ")
}

fn packets(parts: &[Part]) -> Vec<Set> {
    parts.iter().map(|part| part.packets.clone()).collect()
}

fn between(
    (place, enis, direction): (String, usize, Direction),
    before: &[Set],
    after: &[Set],
) -> Result<Option<Change>, TooComplex> {
    let (lost, gained) = (without(before, after)?, without(after, before)?);
    if lost.is_empty() && gained.is_empty() {
        return Ok(None);
    }
    let one = |sets: &[Set]| sets.iter().find_map(example).map(|packet| witness(&packet));
    Ok(Some(Change {
        place,
        enis,
        direction,
        lost_witness: one(&lost),
        gained_witness: one(&gained),
        lost: told(&lost, direction)?,
        gained: told(&gained, direction)?,
    }))
}

/// What is in one of some sets and in none of others.
fn without(sets: &[Set], others: &[Set]) -> Result<Vec<Set>, TooComplex> {
    let mut left = Vec::new();
    for set in sets {
        let mut rest = set.clone();
        for other in others {
            rest = rest.difference(other)?;
        }
        if !rest.is_empty() {
            left.push(rest);
        }
    }
    Ok(left)
}

fn told(sets: &[Set], direction: Direction) -> Result<Vec<String>, TooComplex> {
    let reached = reach(&sets.iter().collect::<Vec<_>>(), direction)?;
    let mut seen = BTreeSet::new();
    let mut lines: Vec<String> = reached.iter().map(|reach| described(reach, direction)).collect();
    lines.retain(|line| seen.insert(line.clone()));
    let more = lines.len().saturating_sub(LINES_MAX);
    if more > 0 {
        lines.truncate(LINES_MAX);
        lines.push(format!("and {more} more"));
    }
    Ok(lines)
}
