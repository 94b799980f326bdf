//! Ends what a failed or interrupted change left half-way, so that the next change starts from one world.
//!
//! Between two changes the kernel holds one world. A change that did not get through leaves every object either
//! *old* or *old and new* (nothing had moved yet), or *old and new* or *new* (something had). The first is undone,
//! the second is finished; to put a third world on top of either would let two halves of different worlds meet.
//! The kernel remembers which of the two it is, for the process that comes after a kill.

use std::{collections::BTreeSet, io, mem::offset_of};

use sekimori_compile::abi::{self, AddressKey, EMPTY_MEMBER, Eni};

use super::{
    DataPlane,
    check::NOBODY,
    members::{Held, entry_of},
};

impl DataPlane {
    /// Notes that objects begin to move from now on, or that all of them have.
    pub(super) fn set_moving(&mut self, is_moving: bool) {
        self.maps.enis.store_u64(NOBODY, offset_of!(Eni, next), u64::from(is_moving));
    }

    /// Goes on to the end of the last change, or back to its beginning.
    ///
    /// # Errors
    /// The kernel's. Nothing is more open then; it can be tried again.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        let is_moving = self.maps.enis.get(NOBODY).next != 0;
        for slot in 1..self.maps.enis.len() {
            self.settle_eni(slot, is_moving);
        }
        let pending: Vec<(AddressKey, u32)> = self.members.held.iter().map(|(key, held)| (*key, held.at)).collect();
        for (key, at) in pending {
            match self.maps.members.get(at as usize).next {
                0 => {}
                next if is_moving => self.finish_member(key, at, next)?,
                next => self.undo_member(key, at, next),
            }
        }
        self.set_moving(false);
        self.renew_own();
        Ok(())
    }

    fn settle_eni(&mut self, slot: usize, is_moving: bool) {
        let next = self.maps.enis.get(slot).next;
        if next == 0 {
            return;
        }
        if is_moving {
            self.maps.enis.store_u64(slot, offset_of!(Eni, policy), next);
        }
        self.maps.enis.store_u64(slot, offset_of!(Eni, next), 0);
    }

    fn finish_member(&mut self, key: AddressKey, at: u32, next: u32) -> io::Result<()> {
        if next == EMPTY_MEMBER {
            self.hashes.delete_address(&key)?;
            self.members.held.remove(&key);
        } else {
            self.hashes.update_address(&key, next)?;
            let entry = entry_of(&self.maps.members.get(next as usize));
            self.members.held.insert(key, Held { at: next, entry });
        }
        self.cooling.members.push(at);
        self.renew_epochs(&BTreeSet::from([key.vpc]));
        Ok(())
    }

    fn undo_member(&mut self, key: AddressKey, at: u32, next: u32) {
        self.maps.members.store_u32(at as usize, offset_of!(abi::Member, next), 0);
        let entry = entry_of(&self.maps.members.get(at as usize));
        self.members.held.insert(key, Held { at, entry });
        self.cooling.members.extend((next != EMPTY_MEMBER).then_some(next));
    }

    /// Live flows of these VPCs are judged again at their next packet.
    pub(super) fn renew_epochs(&mut self, vpcs: &BTreeSet<u32>) {
        let slots = self.maps.epochs.len();
        // A key that somebody else wrote may name a VPC that cannot be.
        for vpc in vpcs.iter().filter(|vpc| (**vpc as usize) < slots) {
            let epoch = self.maps.epochs.get(*vpc as usize).wrapping_add(1);
            self.maps.epochs.store_u32(*vpc as usize, 0, epoch);
        }
    }
}
