//! Reads back what an earlier process left in the kernel. The kernel is the journal: maps outlive a killed
//! agent together with the names that make sense of them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io,
};

use sekimori_compile::{
    abi::{self, AddressKey, EMPTY_MEMBER, id_of},
    layout::{MAGIC, halves},
    tables::{Adopted, PolicyId},
};
use sekimori_core::{
    ids::{EniId, GroupId, RuleId, VpcId},
    limits::{HOST_POLICY_WORDS, POLICY_WORDS_MAX},
};

use super::{
    Placed,
    maps::Maps,
    members::{Held, Members, entry_of},
    store::Space,
    sys::{self, Shared},
};

/// The kernel's state, as far as a new process must know it.
pub(super) struct Kernel {
    pub(super) adopted: Adopted,
    pub(super) space: Space,
    pub(super) placed: BTreeMap<PolicyId, Placed>,
    pub(super) members: Members,
    pub(super) slots: BTreeMap<EniId, u32>,
}

/// Reads it. Changes nothing.
pub(super) fn read(maps: &Maps) -> io::Result<Kernel> {
    let mut enis: Vec<(EniId, u32)> = names(&maps.eni_names);
    let is_in_use = |slot: u32| maps.enis.get(slot as usize).flags & abi::ENI_VALID != 0;
    // An ENI may have left a number that is still remembered: the one in use comes last.
    enis.sort_by_key(|(_, slot)| is_in_use(*slot));
    let mut found = Policies::default();
    for slot in 1..maps.enis.len() {
        let eni = maps.enis.get(slot);
        found.add(maps, [eni.policy, eni.next]);
    }
    // After those that decide: of two with the same words, the one that decides is found by them.
    for slot in 1..maps.shadows.len() {
        found.add(maps, [maps.shadows.get(slot).policy]);
    }
    let slots = enis.iter().filter(|(_, slot)| is_in_use(*slot)).map(|(id, slot)| (id.clone(), *slot)).collect();
    let adopted = Adopted {
        enis,
        vpcs: names::<VpcId>(&maps.vpc_names),
        groups: names::<GroupId>(&maps.group_names),
        rules: rules(&maps.rule_names),
        policies: found.by_content,
        last_policy: maps.epochs.get(0).max(found.last),
    };
    let space = Space::new(HOST_POLICY_WORDS, found.runs);
    Ok(Kernel { adopted, space, placed: found.placed, members: members(maps)?, slots })
}

fn names<T: From<String>>(names: &Shared<abi::IdBytes>) -> Vec<(T, u32)> {
    let slots = 1..names.len();
    slots.filter_map(|slot| Some((T::from(id_of(&names.get(slot))?.to_owned()), slot as u32))).collect()
}

fn rules(names: &Shared<abi::RuleName>) -> Vec<((GroupId, Option<RuleId>), u32)> {
    let name = |slot: usize| {
        let name = names.get(slot);
        let group = GroupId::from(id_of(&name.group)?);
        Some(((group, id_of(&name.rule).map(RuleId::from)), slot as u32))
    };
    (1..names.len()).filter_map(name).collect()
}

#[derive(Default)]
struct Policies {
    by_content: HashMap<Vec<u64>, PolicyId>,
    placed: BTreeMap<PolicyId, Placed>,
    runs: BTreeMap<u32, u32>,
    last: u32,
}

impl Policies {
    /// Notes policies of an ENI: its own, the one that a change had been about to give it, and the one beside it.
    fn add(&mut self, maps: &Maps, policies: impl IntoIterator<Item = u64>) {
        for word in policies {
            let (id, at) = halves(word);
            if word == 0 || self.placed.contains_key(&PolicyId(id)) {
                continue;
            }
            let Some(words) = words_at(&maps.words, at) else { continue };
            self.last = self.last.max(id);
            self.runs.insert(at, words.len() as u32);
            self.placed.insert(PolicyId(id), Placed { at });
            self.by_content.entry(words).or_insert(PolicyId(id));
        }
    }
}

/// The words of a policy, if there is one at this position.
fn words_at(words: &Shared<u64>, at: u32) -> Option<Vec<u64>> {
    let (magic, length) = halves(words.get((at as usize).min(words.len() - 1)));
    let fits = length <= POLICY_WORDS_MAX && (at as usize) + (length as usize) <= words.len();
    (magic == MAGIC && fits).then(|| words.get_run(at as usize, length as usize))
}

fn members(maps: &Maps) -> io::Result<Members> {
    let (mut held, mut coming) = (BTreeMap::new(), BTreeSet::new());
    sys::for_each(maps.fd("addresses")?, |key: &AddressKey, at: &u32| {
        let place = (*at as usize).min(maps.members.len() - 1);
        let member = maps.members.get(place);
        coming.extend((member.next > EMPTY_MEMBER).then_some(member.next));
        held.insert(*key, Held { at: *at, entry: entry_of(&member) });
    })?;
    Ok(Members::new(held, coming))
}
