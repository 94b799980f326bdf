//! Candidates: rules that a group might have, compared with those that it has on the flows that really begin.
//!
//! A candidate decides nothing. The data plane asks it about every new flow at the ENIs that carry the group, beside the
//! decision, and counts where the two differ. [`World::with_candidates`] is its meaning: the world in which the candidates of
//! an ENI's groups are their rules.

use std::{collections::BTreeSet, sync::Arc};

use imbl::{OrdMap, OrdSet};
use serde::{Deserialize, Serialize};

use crate::{
    change::Change,
    ids::{GroupId, RuleId},
    rule::{Rule, RuleSpec},
    time::Timestamp,
    world::{Group, GroupSet, Referent, World, referents, remove_from},
};

/// What all candidates together may count as: their rules, the rules beside which they were set, and one more for each.
pub const SHADOW_RULES_MAX: u32 = 16_384;

/// The candidate of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shadow {
    /// The group.
    pub group: GroupId,
    /// Its rules. One that says what a rule of the group says has the name of that rule.
    pub rules: Vec<Arc<Rule>>,
    /// The rules that the group had when the candidate was set.
    pub base: Vec<Arc<Rule>>,
    /// A number that no other candidate has: what was counted for another is not this one's.
    pub number: u64,
    /// When it was set.
    pub set_at: Timestamp,
}

impl Shadow {
    /// What it counts as, against [`SHADOW_RULES_MAX`].
    #[must_use]
    pub fn weight(&self) -> usize {
        self.rules.len() + self.base.len() + 1
    }

    /// Whether the group says something else than when the candidate was set.
    #[must_use]
    pub fn is_outdated(&self, group: &Group) -> bool {
        let then: BTreeSet<&RuleSpec> = self.base.iter().map(|rule| &rule.spec).collect();
        let now: BTreeSet<&RuleSpec> = group.rules.values().map(|rule| &rule.spec).collect();
        then != now
    }
}

/// What is wrong with the candidate of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ShadowProblem {
    /// There is none.
    Absent,
    /// The group says something else than when it was set.
    Outdated,
}

impl ShadowProblem {
    pub(crate) fn of(self, group: &GroupId) -> String {
        match self {
            Self::Absent => format!("`{group}` has no shadow; set one with `sekimori shadow set`"),
            Self::Outdated => format!(
                "the rules of `{group}` have changed since its shadow was set, and promoting it would undo that; set \
                 the shadow again, or force it"
            ),
        }
    }
}

/// Every candidate.
#[derive(Clone, Debug, Default)]
pub struct Shadows {
    by_group: OrdMap<GroupId, Arc<Shadow>>,
    /// The groups whose candidate names something.
    namers: OrdMap<Referent, OrdSet<GroupId>>,
    weight: usize,
}

impl Shadows {
    /// The candidate of a group.
    #[must_use]
    pub fn get(&self, group: &GroupId) -> Option<&Arc<Shadow>> {
        self.by_group.get(group)
    }

    /// All of them, by group.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Shadow>> {
        self.by_group.values()
    }

    /// What all of them count as, against [`SHADOW_RULES_MAX`].
    #[must_use]
    pub fn weight(&self) -> usize {
        self.weight
    }

    /// The groups whose candidate names a group, a prefix list or a port list.
    pub fn namers(&self, referent: &Referent) -> impl Iterator<Item = &GroupId> + use<'_> {
        self.namers.get(referent).into_iter().flatten()
    }

    pub(crate) fn put(&mut self, shadow: &Arc<Shadow>) {
        self.delete(&shadow.group);
        for referent in shadow.rules.iter().flat_map(|rule| referents(rule)) {
            self.namers.entry(referent).or_default().insert(shadow.group.clone());
        }
        self.weight += shadow.weight();
        self.by_group.insert(shadow.group.clone(), Arc::clone(shadow));
    }

    pub(crate) fn delete(&mut self, group: &GroupId) {
        let Some(old) = self.by_group.remove(group) else { return };
        self.weight -= old.weight();
        for referent in old.rules.iter().flat_map(|rule| referents(rule)) {
            remove_from(&mut self.namers, &referent, group);
        }
    }
}

impl World {
    /// Every candidate.
    #[must_use]
    pub fn shadows(&self) -> &Shadows {
        &self.shadows
    }

    /// Whether one of these groups has a candidate.
    #[must_use]
    pub fn has_candidate(&self, groups: &[GroupId]) -> bool {
        self.round_of(groups).is_some()
    }

    /// A number that tells the candidates of a sorted set of groups from all others that they ever had; `None` without one.
    #[must_use]
    pub fn round_of(&self, groups: &[GroupId]) -> Option<u64> {
        let numbers = groups.iter().filter_map(|group| self.shadows.get(group)).map(|shadow| shadow.number);
        numbers.reduce(|round, number| round.rotate_left(17) ^ number).map(|round| round.max(1))
    }

    /// A group with the rules of its candidate, if it has one, else with its own.
    #[must_use]
    pub fn group_or_candidate(&self, id: &GroupId) -> Option<Arc<Group>> {
        let group = self.group(id)?;
        let Some(shadow) = self.shadows.get(id) else { return Some(Arc::clone(group)) };
        let rules = shadow.rules.iter().map(|rule| (rule.id.clone(), Arc::clone(rule))).collect();
        Some(Arc::new(Group { rules, ..Group::clone(group) }))
    }

    /// Whether a group, or its candidate, has a rule.
    #[must_use]
    pub fn knows_rule(&self, group: &GroupId, rule: &RuleId) -> bool {
        let is_live = self.group(group).is_some_and(|group| group.rules.contains_key(rule));
        let of_candidate =
            || self.shadows.get(group).is_some_and(|shadow| shadow.rules.iter().any(|it| it.id == *rule));
        is_live || of_candidate()
    }

    /// This world if the candidates of these groups were their rules.
    #[must_use]
    pub fn with_candidates(&self, groups: &GroupSet) -> Self {
        let mut world = self.clone();
        for shadow in groups.iter().filter_map(|group| self.shadows.get(group)) {
            let live = self.group(&shadow.group).map(|group| group.rules.clone()).unwrap_or_default();
            for rule in live.keys() {
                world.apply(&Change::DeleteRule { group: shadow.group.clone(), rule: rule.clone() });
            }
            for rule in &shadow.rules {
                world.apply(&Change::PutRule { group: shadow.group.clone(), rule: Arc::clone(rule) });
            }
        }
        world
    }
}
