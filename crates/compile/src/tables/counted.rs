//! Numbers that something is counted under: whose they are, were, and when they may be another's.

use std::collections::BTreeSet;

use sekimori_core::ids::{EniId, GroupId};

use super::{Name, RuleKey, Tables};
use crate::slots::{Leaving, NoSlot, Stage};

/// A number that something is counted under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted<K> {
    /// Whose it is, or was.
    pub name: K,
    /// The number.
    pub slot: u32,
    /// Set when nothing more will be counted: which time it is that a number was given back.
    pub departure: Option<u64>,
}

impl Tables {
    /// Numbers of rules, those that were given back included.
    pub fn counted_rules(&self) -> impl Iterator<Item = Counted<RuleKey>> {
        let used = self.numbers.rules.iter().map(|(key, slot)| in_use(key, slot));
        used.chain(self.numbers.rules.leaving().map(|(slot, leaving)| given_back(slot, leaving)))
    }

    /// Numbers of ENIs, those that were given back included.
    pub fn counted_enis(&self) -> impl Iterator<Item = Counted<EniId>> {
        let used = self.enis.iter().map(|(id, slot)| in_use(id, slot));
        used.chain(self.enis.leaving().map(|(slot, leaving)| given_back(slot, leaving)))
    }

    /// What was counted under a rule's number, until it was given back this time, is written down. Returns the name to clear.
    pub fn forget_rule(&mut self, slot: u32, departure: u64) -> Option<Name> {
        self.numbers.rules.forget(slot, departure).then_some(Name::Rule(slot, None))
    }

    /// The same of an ENI's number.
    pub fn forget_eni(&mut self, slot: u32, departure: u64) -> Option<Name> {
        self.enis.forget(slot, departure).then_some(Name::Eni(slot, None))
    }

    /// The counters of rules go with the last policy here that has the rules: other groups may need the numbers.
    pub(super) fn release_rules(&mut self, groups: &BTreeSet<GroupId>) {
        let is_here = |id: &&GroupId| {
            let sets = self.world.group_sets_with(id);
            sets.flat_map(|set| self.places_of(set)).next().is_some()
        };
        let gone: Vec<&GroupId> = groups.iter().filter(|id| !is_here(id)).collect();
        for id in gone {
            let rules = self.world.group(id).map(|group| group.rules.clone()).unwrap_or_default();
            let candidate = self.world.shadows().get(id).cloned();
            let candidates = candidate.iter().flat_map(|shadow| &shadow.rules).map(|rule| &rule.id);
            for rule in std::iter::once(None).chain(rules.keys().chain(candidates).cloned().map(Some)) {
                self.numbers.rules.release(&(id.clone(), rule));
            }
        }
    }

    /// The number of an ENI, and whether it has it since just now. It is the one it had, if that is still remembered and none of
    /// its flows is.
    pub(super) fn take_eni(&mut self, id: &EniId) -> Result<(u32, bool), NoSlot> {
        match self.enis.take_back(id, Stage::Over) {
            Some(slot) => Ok((slot, true)),
            None => self.enis.take(id),
        }
    }
}

fn in_use<K: Clone>(name: &K, slot: u32) -> Counted<K> {
    Counted { name: name.clone(), slot, departure: None }
}

fn given_back<K: Clone>(slot: u32, leaving: &Leaving<K>) -> Counted<K> {
    let departure = (leaving.stage == Stage::Over).then_some(leaving.departure);
    Counted { name: leaving.name.clone(), slot, departure }
}
