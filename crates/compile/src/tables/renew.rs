//! What is asked of the tables when the kernel is found to differ from them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Delta, Name, PolicyId, Shadowed, Tables};

impl Tables {
    /// New versions of policies whose words in the kernel are not to be trusted. They get new numbers, so that every flow
    /// that an old version admitted is judged again.
    pub fn renew_policies(&mut self, ids: &BTreeSet<PolicyId>) -> Delta {
        let mut delta = Delta::default();
        let mut renewed: BTreeMap<PolicyId, PolicyId> = BTreeMap::new();
        for policy in self.policies.values_mut().filter(|policy| ids.contains(&policy.id)) {
            let id = *renewed.entry(policy.id).or_insert_with(|| {
                self.last_policy += 1;
                let id = PolicyId(self.last_policy);
                delta.policies.push((id, Arc::clone(&policy.words)));
                id
            });
            policy.id = id;
        }
        for (slot, entry) in &mut self.entries {
            let shadow = entry.shadow.and_then(|shadow| renewed.get(&shadow.policy).copied());
            let policy = renewed.get(&entry.policy).copied();
            if policy.is_none() && shadow.is_none() {
                continue;
            }
            entry.policy = policy.unwrap_or(entry.policy);
            entry.shadow = entry.shadow.map(|old| Shadowed { policy: shadow.unwrap_or(old.policy), ..old });
            delta.enis.push((*slot, Some(entry.clone())));
        }
        delta.retired.extend(renewed.into_keys());
        delta
    }

    /// Every number that stands for something, or has stood for it and is remembered for what is counted under it.
    #[must_use]
    pub fn names(&self) -> Vec<Name> {
        let enis = self.counted_enis().map(|eni| Name::Eni(eni.slot, Some(eni.name)));
        let vpcs = self.vpcs.iter().map(|(id, slot)| Name::Vpc(slot, Some(id.clone())));
        let groups = self.numbers.groups.iter().map(|(id, slot)| Name::Group(slot, Some(id.clone())));
        let rules = self.counted_rules().map(|rule| Name::Rule(rule.slot, Some(rule.name)));
        enis.chain(vpcs).chain(groups).chain(rules).collect()
    }

    /// Whether a number stands for this now.
    #[must_use]
    pub fn has_name(&self, name: &Name) -> bool {
        match name {
            Name::Eni(slot, id) => id.as_ref().is_some_and(|id| self.enis.is_of(id, *slot)),
            Name::Vpc(slot, id) => id.as_ref().is_some_and(|id| self.vpcs.get(id) == Some(*slot)),
            Name::Group(slot, id) => id.as_ref().is_some_and(|id| self.numbers.groups.get(id) == Some(*slot)),
            Name::Rule(slot, key) => key.as_ref().is_some_and(|key| self.numbers.rules.is_of(key, *slot)),
        }
    }
}
