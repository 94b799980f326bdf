//! Which member of the kernel's array holds an address, and which places are free.

use std::collections::{BTreeMap, BTreeSet};

use sekimori_compile::{
    abi::{self, AddressKey, EMPTY_MEMBER, NO_ENI},
    tables::MemberEntry,
};

/// A member in the kernel: its place, and what stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) at: u32,
    pub(super) entry: MemberEntry,
}

/// The member of no group, as it stands at `EMPTY_MEMBER`.
pub(super) const NO_MEMBER: abi::Member =
    abi::Member { vpc: 0, eni: 0, address: [0; 16], next: 0, groups_n: 0, groups: [0; abi::GROUPS_MAX] };

/// The kernel's members, mirrored.
#[derive(Debug)]
pub(super) struct Members {
    pub(super) held: BTreeMap<AddressKey, Held>,
    free: BTreeSet<u32>,
    next: u32,
}

impl Members {
    /// The mirror of what an earlier process left: what is held, and what was about to take its place.
    pub(super) fn new(held: BTreeMap<AddressKey, Held>, coming: BTreeSet<u32>) -> Self {
        let mut used = coming;
        used.extend(held.values().map(|held| held.at));
        let next = used.last().map_or(EMPTY_MEMBER, |last| (*last).max(EMPTY_MEMBER)) + 1;
        let free = (EMPTY_MEMBER + 1..next).filter(|at| !used.contains(at)).collect();
        Self { held, free, next }
    }

    pub(super) fn take(&mut self) -> Option<u32> {
        if let Some(at) = self.free.pop_first() {
            return Some(at);
        }
        if self.next >= abi::MEMBER_SLOTS {
            return None;
        }
        self.next += 1;
        Some(self.next - 1)
    }

    pub(super) fn thaw(&mut self, places: impl Iterator<Item = u32>) {
        self.free.extend(places);
    }
}

/// A member as the kernel holds it.
pub(super) fn member(key: &AddressKey, entry: &MemberEntry, next: u32) -> abi::Member {
    let mut groups = [0; abi::GROUPS_MAX];
    for (place, group) in groups.iter_mut().zip(&entry.groups) {
        *place = *group;
    }
    abi::Member {
        vpc: key.vpc,
        eni: entry.eni.unwrap_or(NO_ENI),
        address: key.address,
        next,
        groups_n: entry.groups.len().min(abi::GROUPS_MAX) as u32,
        groups,
    }
}

/// What a member of the kernel says.
pub(super) fn entry_of(member: &abi::Member) -> MemberEntry {
    let count = (member.groups_n as usize).min(abi::GROUPS_MAX);
    MemberEntry {
        eni: (member.eni != NO_ENI).then_some(member.eni),
        groups: member.groups.iter().take(count).copied().collect(),
    }
}

/// Nobody: what is asked while an address is being taken away or given out.
pub(super) fn nobody() -> MemberEntry {
    MemberEntry { eni: None, groups: Vec::new() }
}
