//! Where an ENI's own address stands, noted with the ENI: a first packet finds it without asking the hash of addresses.
//!
//! The program believes a note as it believes the hash, so the two change together. A note that a killed agent left behind leads
//! to a member with a successor, and then old and new must allow; [`DataPlane::renew_own`] takes it back before anything else
//! is written.

use std::mem::offset_of;

use sekimori_compile::abi::{self, AddressKey, Eni, Member};

use super::DataPlane;

/// An array has a place for each IP version, this one first.
fn version(key: &AddressKey) -> usize {
    usize::from(!abi::address_of(key.address).is_ipv4())
}

fn key_of(member: &Member) -> AddressKey {
    AddressKey { vpc: member.vpc, address: member.address }
}

impl DataPlane {
    /// An address has another member, or none any more. Call when the hash of addresses has just been told.
    pub(super) fn note_own(&mut self, key: &AddressKey, old: Option<u32>, new: Option<u32>) {
        let owner = |at: Option<u32>| at.map(|at| self.maps.members.get(at as usize).eni).filter(|eni| is_slot(*eni));
        let (was, is) = (owner(old), owner(new));
        if let Some(slot) = was.filter(|was| Some(self.own(*was, key)) == old) {
            self.store_own(slot, key, new.filter(|_| is == was).unwrap_or(0));
        }
        if let Some((slot, at)) = is.zip(new).filter(|(slot, _)| self.own(*slot, key) == 0) {
            self.store_own(slot, key, at);
        }
    }

    /// Takes back every note that is not true, and notes an address where none is.
    pub(super) fn renew_own(&mut self) {
        for slot in 1..abi::ENI_SLOTS {
            self.confirm_own(slot);
        }
        let owned = self.members.held.iter().filter_map(|(key, held)| Some((*key, held.at, held.entry.eni?)));
        for (key, at, slot) in owned.collect::<Vec<_>>() {
            if is_slot(slot) && self.own(slot, &key) == 0 {
                self.store_own(slot, &key, at);
            }
        }
    }

    /// Takes back the notes of an ENI that are not true.
    pub(super) fn confirm_own(&mut self, slot: u32) {
        let (found, right) = (self.maps.enis.get(slot as usize).own, self.right_own(slot));
        for version in 0..found.len() {
            if found[version] != right[version] {
                self.maps.enis.store_u32(slot as usize, offset_of!(Eni, own) + 4 * version, right[version]);
            }
        }
    }

    /// The notes of an ENI, without those that are not true.
    pub(super) fn right_own(&self, slot: u32) -> [u32; 2] {
        let mut own = self.maps.enis.get(slot as usize).own;
        for (index, at) in own.iter_mut().enumerate() {
            let key = key_of(&self.maps.members.get((*at as usize).min(self.maps.members.len() - 1)));
            let held = self.members.held.get(&key).filter(|held| held.at == *at && held.entry.eni == Some(slot));
            if held.is_none() || version(&key) != index {
                *at = 0;
            }
        }
        own
    }

    fn own(&self, slot: u32, key: &AddressKey) -> u32 {
        let [v4, v6] = self.maps.enis.get(slot as usize).own;
        if version(key) == 0 { v4 } else { v6 }
    }

    fn store_own(&mut self, slot: u32, key: &AddressKey, at: u32) {
        self.maps.enis.store_u32(slot as usize, offset_of!(Eni, own) + 4 * version(key), at);
    }
}

fn is_slot(eni: u32) -> bool {
    (1..abi::ENI_SLOTS).contains(&eni)
}
