//! Rules of a group that speak about the same packets in part: neither is within the other, so neither can go.

use serde::{Deserialize, Serialize};

use sekimori_core::{
    ids::RuleId,
    rule::Direction,
    space::{Set, TooComplex},
    world::{Group, World},
};

use crate::{
    effective::{GroupName, group_name},
    portions::{Decider, Portion, Portions},
    services::{self, Row},
    text,
};

/// Overlaps that a report tells; the rest is counted.
pub const OVERLAPS_TOLD_MAX: usize = 500;
/// Parts of what two rules share that are told in words; the rest is counted.
const SHARED_WORDS_MAX: usize = 4;

/// Two rules that share packets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overlap {
    /// Their group.
    pub group: GroupName,
    /// Their direction.
    pub direction: Direction,
    /// The one that decides about what they share.
    pub first: RuleId,
    /// It in one line.
    pub first_text: String,
    /// The other one.
    pub second: RuleId,
    /// It in one line.
    pub second_text: String,
    /// Whether one allows what the other denies, so that their order matters.
    pub is_contrary: bool,
    /// What they share, in words.
    pub shared: Vec<String>,
}

/// The overlaps of a group, as many as there is room for, and how many more there are. Contrary ones come first.
pub(super) fn overlaps(world: &World, group: &Group, room: usize) -> Result<(Vec<Overlap>, usize), TooComplex> {
    let mut pairs = Vec::new();
    let mut directions = Vec::new();
    for direction in [Direction::Ingress, Direction::Egress] {
        directions.push(Portions::of(world, (std::slice::from_ref(&group.id), &group.vpc), direction)?.lines);
    }
    for lines in &directions {
        let rules: Vec<&Portion> = lines.iter().filter(|line| matches!(line.decider, Decider::Rule(..))).collect();
        for (place, first) in rules.iter().enumerate() {
            for second in rules.iter().skip(place + 1).filter(|second| second.matched.meets(&first.matched)) {
                if !first.matched.is_within(&second.matched)? && !second.matched.is_within(&first.matched)? {
                    pairs.push((*first, *second));
                }
            }
        }
    }
    pairs.sort_by_key(|(first, second)| first.action == second.action);
    let more = pairs.len().saturating_sub(room);
    pairs.truncate(room);
    let told = pairs.into_iter().map(|(first, second)| tell(world, group, first, second));
    Ok((told.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect(), more))
}

fn tell(world: &World, group: &Group, first: &Portion, second: &Portion) -> Result<Option<Overlap>, TooComplex> {
    let (Decider::Rule(_, first_id), Decider::Rule(_, second_id)) = (&first.decider, &second.decider) else {
        return Ok(None);
    };
    let (Some(one), Some(other)) = (group.rules.get(first_id), group.rules.get(second_id)) else { return Ok(None) };
    Ok(Some(Overlap {
        group: group_name(world, &group.id),
        direction: one.spec.direction,
        first: one.id.clone(),
        first_text: text::rule(world, group.flavor, one),
        second: other.id.clone(),
        second_text: text::rule(world, group.flavor, other),
        is_contrary: first.action != second.action,
        shared: words(&first.matched.intersection(&second.matched)?),
    }))
}

/// A set in words: services, with whom, and at which own addresses where that is said.
fn words(set: &Set) -> Vec<String> {
    let everywhere =
        |(first, last): (std::net::IpAddr, std::net::IpAddr)| services::range((first, last)).ends_with("/0");
    let told = |row: &Row| {
        let at = if everywhere(row.own) { String::new() } else { format!(" at {}", services::range(row.own)) };
        format!("{} with {}{at}", row.services.words().join(", "), services::ranges(&row.peers).join(", "))
    };
    services::shortened(services::rows(set).iter().map(told).collect(), SHARED_WORDS_MAX)
}
