//! The order of writes.
//!
//! A change moves every object that it touches from *old* to *new* through *old and new*: first every
//! object learns its successor, so that old and new must both allow; only when all of them know, and when every
//! packet has arrived that some end judged before ([`grace`]), does the first one drop the old. So both ends of
//! a packet are judged by the old world at least, or both by the new one at least: nothing passes that
//! is not open in either, whatever the change touches and wherever it is cut short.
//!
//! Arrays are mapped memory and cannot fail to be written. Hashes can: a failure before the first object
//! is moved is undone, and one after that leaves objects in *old and new* until the next try ([`super::settle`]).

use std::{collections::BTreeSet, io, mem::offset_of, os::fd::OwnedFd};

use sekimori_compile::{
    abi::{self, AddressKey, EMPTY_MEMBER, Eni, PortKey},
    layout::pair,
    tables::{Delta, EniEntry, MemberEntry, Name, PolicyId, Tables},
};
use sekimori_core::feed::ClosedEni;

use super::{
    DataPlane, Placed, grace,
    maps::Maps,
    members::{Held, member, nobody},
    sys,
};

/// Writes to the kernel's hashes: what can fail.
pub trait HashWrites: Send {
    /// An address is this member's.
    ///
    /// # Errors
    /// The kernel's.
    fn update_address(&mut self, key: &AddressKey, member: u32) -> io::Result<()>;
    /// An address is nobody's.
    ///
    /// # Errors
    /// The kernel's.
    fn delete_address(&mut self, key: &AddressKey) -> io::Result<()>;
    /// An interface is this ENI's.
    ///
    /// # Errors
    /// The kernel's.
    fn update_port(&mut self, key: &PortKey, eni: u32) -> io::Result<()>;
    /// An interface is nobody's.
    ///
    /// # Errors
    /// The kernel's.
    fn delete_port(&mut self, key: &PortKey) -> io::Result<()>;
}

/// The kernel itself.
pub struct KernelHashes {
    addresses: OwnedFd,
    ports: OwnedFd,
}

impl KernelHashes {
    /// The hashes of these maps.
    ///
    /// # Errors
    /// When a descriptor cannot be copied.
    pub fn new(maps: &Maps) -> io::Result<Self> {
        let own = |name| maps.fd(name)?.try_clone_to_owned();
        Ok(Self { addresses: own("addresses")?, ports: own("ports")? })
    }
}

impl HashWrites for KernelHashes {
    fn update_address(&mut self, key: &AddressKey, member: u32) -> io::Result<()> {
        sys::update(std::os::fd::AsFd::as_fd(&self.addresses), key, &member)
    }

    fn delete_address(&mut self, key: &AddressKey) -> io::Result<()> {
        sys::delete(std::os::fd::AsFd::as_fd(&self.addresses), key)
    }

    fn update_port(&mut self, key: &PortKey, eni: u32) -> io::Result<()> {
        sys::update(std::os::fd::AsFd::as_fd(&self.ports), key, &eni)
    }

    fn delete_port(&mut self, key: &PortKey) -> io::Result<()> {
        sys::delete(std::os::fd::AsFd::as_fd(&self.ports), key)
    }
}

/// Stands in while the real one is being wrapped.
pub(super) struct NoHashes;

impl HashWrites for NoHashes {
    fn update_address(&mut self, _: &AddressKey, _: u32) -> io::Result<()> {
        Err(io::ErrorKind::NotConnected.into())
    }

    fn delete_address(&mut self, _: &AddressKey) -> io::Result<()> {
        Err(io::ErrorKind::NotConnected.into())
    }

    fn update_port(&mut self, _: &PortKey, _: u32) -> io::Result<()> {
        Err(io::ErrorKind::NotConnected.into())
    }

    fn delete_port(&mut self, _: &PortKey) -> io::Result<()> {
        Err(io::ErrorKind::NotConnected.into())
    }
}

/// A member on its way: what is there, and what comes.
struct Moving {
    key: AddressKey,
    old: u32,
    new: u32,
    entry: Option<MemberEntry>,
    /// The address was nobody's before: `old` is a stand-in that was made for the way.
    is_fresh: bool,
}

/// How much of an object is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// What differs from what was written before.
    Differing,
    /// Everything.
    Whole,
}

/// The ENIs of a change.
struct Turns<'a> {
    /// Those that get another policy and nothing else: number, and the policy's word.
    switching: Vec<(usize, u64)>,
    /// The others.
    others: Vec<(u32, Option<&'a EniEntry>)>,
}

impl DataPlane {
    /// Makes the kernel follow a step of the tables. Returns the ENIs that keep an older policy or none.
    ///
    /// # Errors
    /// The kernel's. The data plane is dirty then; [`DataPlane::resync`] finishes the work.
    pub fn write(&mut self, delta: &Delta) -> io::Result<Vec<ClosedEni>> {
        self.write_with(delta, Extent::Differing)
    }

    /// The same from a state of the kernel that is not to be trusted: everything of each object is written.
    ///
    /// # Errors
    /// As [`DataPlane::write`].
    pub(super) fn write_whole(&mut self, delta: &Delta) -> io::Result<Vec<ClosedEni>> {
        self.write_with(delta, Extent::Whole)
    }

    fn write_with(&mut self, delta: &Delta, extent: Extent) -> io::Result<Vec<ClosedEni>> {
        let result = self.try_write(delta, extent);
        self.dirty |= result.is_err();
        result
    }

    fn try_write(&mut self, delta: &Delta, extent: Extent) -> io::Result<Vec<ClosedEni>> {
        let mut closed = delta.failures.clone();
        self.write_names(&delta.names)?;
        for (id, words) in &delta.policies {
            self.place(*id, words);
        }
        let turns = self.turns(&delta.enis, extent);
        self.prepare_shadows(&turns.others)?;
        let moving = self.prepare_members(&delta.members)?;
        let mut changing = moving.iter().filter(|step| !step.is_fresh).count() + turns.switching.len();
        for (slot, policy) in &turns.switching {
            self.maps.enis.store_u64(*slot, offset_of!(Eni, next), *policy);
        }
        for (slot, entry) in &turns.others {
            changing += usize::from(self.prepare_eni(*slot, *entry));
        }
        // The two ends of a packet can be judged by different worlds only when two objects change.
        if changing > 1 {
            grace::wait_for_packets()?;
        }
        if !moving.is_empty() || !delta.enis.is_empty() {
            self.move_all(&turns, moving, &mut closed)?;
        }
        self.retire(&delta.retired);
        Ok(closed)
    }

    /// Tells the ENIs of which nothing changes but the policy from the others. Of those, most of what is kept beside the
    /// kernel's arrays is as it was, and need not be looked up.
    fn turns<'a>(&self, enis: &'a [(u32, Option<EniEntry>)], extent: Extent) -> Turns<'a> {
        let mut turns = Turns { switching: Vec::new(), others: Vec::new() };
        for (slot, entry) in enis {
            let is_known = |entry: &&EniEntry| extent == Extent::Differing && self.is_but_for_policy(*slot, entry);
            match entry.as_ref().filter(is_known).and_then(|entry| self.policy_word(entry.policy)) {
                Some(policy) => turns.switching.push((*slot as usize, policy)),
                None => turns.others.push((*slot, entry.as_ref())),
            }
        }
        turns
    }

    /// Whether an ENI is in the kernel as it should be, but for its policy. What its interface adds to its flags is told
    /// whenever that changes.
    fn is_but_for_policy(&self, slot: u32, entry: &EniEntry) -> bool {
        let found = self.maps.enis.get(slot as usize);
        let wanted = fields(entry, found.policy);
        let (netns, ifindex, own) = (found.netns, found.ifindex, found.own);
        let flags = wanted.flags | found.flags & abi::ENI_OF_INTERFACE;
        entry.shadow.is_none()
            && self.maps.shadows.get(slot as usize) == abi::Shadow::default()
            && found.policy != 0
            && found == Eni { netns, ifindex, own, flags, ..wanted }
    }

    fn move_all(&mut self, turns: &Turns<'_>, moving: Vec<Moving>, closed: &mut Vec<ClosedEni>) -> io::Result<()> {
        self.set_moving(true);
        for (slot, policy) in &turns.switching {
            self.maps.enis.store_u64(*slot, offset_of!(Eni, policy), *policy);
            self.maps.enis.store_u64(*slot, offset_of!(Eni, next), 0);
        }
        let room = self.flow_room();
        let moved = self.move_enis(&turns.others, closed);
        self.share_out_to(&turns.others, room);
        moved?;
        self.move_members(moving)?;
        self.set_moving(false);
        Ok(())
    }

    fn move_enis(&mut self, enis: &[(u32, Option<&EniEntry>)], closed: &mut Vec<ClosedEni>) -> io::Result<()> {
        for (slot, entry) in enis {
            match entry {
                Some(entry) => closed.extend(self.move_eni(*slot, entry)?),
                None => self.slots.retain(|_, held| held != slot),
            }
        }
        Ok(())
    }

    fn write_names(&mut self, names: &[Name]) -> io::Result<()> {
        let bytes = |id: Option<&str>| id.map_or(Some([0; abi::ID_BYTES]), abi::id_bytes).ok_or_else(too_long);
        for name in names {
            match name {
                Name::Eni(slot, id) => self.name_eni(*slot, bytes(id.as_ref().map(|id| id.as_str()))?)?,
                Name::Vpc(slot, id) => {
                    self.maps.vpc_names.set(*slot as usize, bytes(id.as_ref().map(|id| id.as_str()))?);
                }
                Name::Group(slot, id) => {
                    self.maps.group_names.set(*slot as usize, bytes(id.as_ref().map(|id| id.as_str()))?);
                }
                Name::Rule(slot, key) => {
                    let group = bytes(key.as_ref().map(|(group, _)| group.as_str()))?;
                    let rule = bytes(key.as_ref().and_then(|(_, rule)| rule.as_ref()).map(|rule| rule.as_str()))?;
                    self.name_rule(*slot, abi::RuleName { group, rule })?;
                }
            }
        }
        Ok(())
    }

    /// Gives back at once what the next collection would: it waits for the programs that run now, some milliseconds.
    fn make_room(&mut self) {
        // After a failed write something may still be reached that is listed as unused.
        if self.dirty || self.cooling.policies.is_empty() && self.collecting.is_empty() {
            return;
        }
        if let Err(error) = sys::wait_for_running_programs() {
            tracing::warn!(%error, "what no interface uses any more cannot be given back yet");
            return;
        }
        let unused =
            std::mem::take(&mut self.cooling.policies).into_iter().chain(std::mem::take(&mut self.collecting));
        unused.for_each(|at| self.space.give_back(at));
    }

    /// Writes a policy beside those in use. Without room for it, its ENIs keep what they have.
    fn place(&mut self, id: PolicyId, words: &[u64]) {
        if self.placed.contains_key(&id) {
            return;
        }
        let mut taken = self.space.take(words.len() as u32);
        if taken.is_none() {
            self.make_room();
            taken = self.space.take(words.len() as u32);
        }
        let Some(at) = taken else {
            tracing::error!(words = words.len(), used = self.space.used(), "no room for a policy in the store");
            return;
        };
        self.maps.words.set_run(at as usize, words);
        self.maps.epochs.store_u32(0, 0, self.maps.epochs.get(0).max(id.0));
        self.placed.insert(id, Placed { at });
    }

    /// Every member learns its successor. A failure is undone: nothing has moved yet.
    fn prepare_members(&mut self, members: &[(AddressKey, Option<MemberEntry>)]) -> io::Result<Vec<Moving>> {
        let mut moving = Vec::new();
        for (key, entry) in members {
            match self.prepare_member(key, entry.as_ref()) {
                Ok(step) => moving.extend(step),
                Err(error) => {
                    self.undo(moving);
                    return Err(error);
                }
            }
        }
        // Live flows are judged by old and new from here on, as first packets are.
        self.renew_epochs(&moving.iter().map(|step| step.key.vpc).collect());
        Ok(moving)
    }

    fn prepare_member(&mut self, key: &AddressKey, entry: Option<&MemberEntry>) -> io::Result<Option<Moving>> {
        let held = self.members.held.get(key).cloned();
        let is_at_rest = |held: &Held| self.maps.members.get(held.at as usize).next == 0;
        if held.as_ref().is_some_and(|held| is_at_rest(held) && Some(&held.entry) == entry) {
            return Ok(None);
        }
        if held.is_none() && entry.is_none() {
            return Ok(None);
        }
        let new = match entry {
            Some(entry) => self.new_member(key, entry, 0)?,
            None => EMPTY_MEMBER,
        };
        let is_fresh = held.is_none();
        let old = match held {
            Some(held) => {
                let stranded = self.maps.members.get(held.at as usize).next;
                self.cooling.members.extend((stranded > EMPTY_MEMBER).then_some(stranded));
                self.maps.members.store_u32(held.at as usize, offset_of!(abi::Member, next), new);
                held.at
            }
            None => self.stand_in(key, new)?,
        };
        Ok(Some(Moving { key: *key, old, new, entry: entry.cloned(), is_fresh }))
    }

    pub(super) fn new_member(&mut self, key: &AddressKey, entry: &MemberEntry, next: u32) -> io::Result<u32> {
        let at = self.members.take().ok_or_else(|| io::Error::other("no place for another private address"))?;
        self.maps.members.set(at as usize, member(key, entry, next));
        Ok(at)
    }

    /// An address that nobody had gets a nobody with a successor.
    fn stand_in(&mut self, key: &AddressKey, new: u32) -> io::Result<u32> {
        let at = self.new_member(key, &nobody(), new)?;
        if let Err(error) = self.hashes.update_address(key, at) {
            self.cooling.members.extend([at, new]);
            return Err(error);
        }
        self.members.held.insert(*key, Held { at, entry: nobody() });
        Ok(at)
    }

    fn undo(&mut self, moving: Vec<Moving>) {
        for step in moving {
            self.maps.members.store_u32(step.old as usize, offset_of!(abi::Member, next), 0);
            if step.new != EMPTY_MEMBER {
                self.cooling.members.push(step.new);
            }
            if step.is_fresh && self.hashes.delete_address(&step.key).is_ok() {
                self.members.held.remove(&step.key);
                self.cooling.members.push(step.old);
            }
        }
    }

    /// An ENI learns its next policy; one that goes is closed at once, and one whose senders are to be checked
    /// checks them at once. Returns whether what it lets through may differ from now on.
    fn prepare_eni(&mut self, slot: u32, entry: Option<&EniEntry>) -> bool {
        let at = slot as usize;
        let old = self.maps.enis.get(at);
        let Some(entry) = entry else {
            self.maps.enis.store_u16(at, offset_of!(Eni, flags), 0);
            self.maps.enis.store_u64(at, offset_of!(Eni, policy), 0);
            self.maps.enis.store_u64(at, offset_of!(Eni, next), 0);
            self.maps.enis.store_u32(at, offset_of!(Eni, ifindex), 0);
            return old.policy != 0;
        };
        if old.policy == 0 {
            return false;
        }
        self.maps.enis.store_u16(at, offset_of!(Eni, flags), old.flags | entry.flags & abi::ENI_SOURCE_CHECK);
        if entry.flags & !old.flags & abi::ENI_SOURCE_CHECK != 0 {
            // What it sent from others' addresses meanwhile is judged again.
            self.renew_epochs(&BTreeSet::from([u32::from(old.vpc)]));
        }
        let next = self.policy_word(entry.policy).filter(|policy| *policy != old.policy);
        if let Some(policy) = next {
            self.maps.enis.store_u64(at, offset_of!(Eni, next), policy);
        }
        next.is_some() || old.flags != self.flags_of(entry)
    }

    pub(super) fn policy_word(&self, id: PolicyId) -> Option<u64> {
        self.placed.get(&id).map(|placed| pair(id.0, placed.at))
    }

    /// An ENI takes its next policy. One that cannot be had leaves the old one in force.
    fn move_eni(&mut self, slot: u32, entry: &EniEntry) -> io::Result<Option<ClosedEni>> {
        let Some(policy) = self.policy_word(entry.policy) else {
            let keeps_older = self.maps.enis.get(slot as usize).policy != 0;
            self.lags |= keeps_older;
            let state = if keeps_older { "it keeps an older policy" } else { "it drops everything" };
            let reason = format!(
                "{state}, as the policy store is full; remove rules or groups, or spread interfaces over hosts"
            );
            return Ok(Some(ClosedEni { eni: entry.id.clone(), reason }));
        };
        let at = slot as usize;
        let old = self.maps.enis.get(at);
        self.slots.insert(entry.id.clone(), slot);
        if old.flags & abi::ENI_VALID == 0 {
            self.maps.enis.set(at, self.eni(entry, policy));
        } else {
            self.maps.enis.store_from(at, offset_of!(Eni, vpc), &self.eni(entry, policy));
            self.confirm_own(slot);
            self.maps.enis.store_u64(at, offset_of!(Eni, policy), policy);
            self.maps.enis.store_u64(at, offset_of!(Eni, next), 0);
        }
        self.begin_comparing(slot, entry);
        if let Some(port) = self.attachments.port(&entry.id) {
            self.open_port(slot, port)?;
        }
        Ok(None)
    }

    fn flags_of(&self, entry: &EniEntry) -> u16 {
        fields(entry, 0).flags | self.attachments.flags(&entry.id)
    }

    /// An ENI as the kernel holds it, but for its interface and where its addresses stand.
    pub(super) fn eni(&self, entry: &EniEntry, policy: u64) -> Eni {
        Eni { flags: self.flags_of(entry), ..fields(entry, policy) }
    }

    /// Every member takes the place of its predecessor; then live flows of the VPC are judged again.
    fn move_members(&mut self, moving: Vec<Moving>) -> io::Result<()> {
        let mut vpcs = BTreeSet::new();
        let mut failure = None;
        for step in moving {
            vpcs.insert(step.key.vpc);
            let moved = match step.entry {
                Some(_) => self.hashes.update_address(&step.key, step.new),
                None => self.hashes.delete_address(&step.key),
            };
            match moved {
                Ok(()) => self.note_moved(step),
                Err(error) => failure = Some(error),
            }
        }
        self.renew_epochs(&vpcs);
        failure.map_or(Ok(()), Err)
    }

    fn note_moved(&mut self, step: Moving) {
        self.note_own(&step.key, Some(step.old), step.entry.as_ref().map(|_| step.new));
        self.cooling.members.push(step.old);
        match step.entry {
            Some(entry) => drop(self.members.held.insert(step.key, Held { at: step.new, entry })),
            None => drop(self.members.held.remove(&step.key)),
        }
    }

    /// Lets go of policies that the tables need no more. What an interface keeps for want of room for a newer one waits until it does not.
    fn retire(&mut self, policies: &[PolicyId]) {
        let slots = if self.lags { 1..self.maps.enis.len() } else { 0..0 };
        let kept: BTreeSet<u32> = slots.map(|slot| (self.maps.enis.get(slot).policy >> 32) as u32).collect();
        let waiting = std::mem::take(&mut self.kept);
        for id in waiting.into_iter().chain(policies.iter().copied()) {
            if kept.contains(&id.0) {
                self.kept.insert(id);
            } else if let Some(placed) = self.placed.remove(&id) {
                self.cooling.policies.push(placed.at);
            }
        }
    }

    /// Everything that the kernel lacks, or has too much, against the tables.
    pub(super) fn difference(&self, tables: &Tables) -> Delta {
        let mut delta = Delta::default();
        delta.policies.extend(tables.policies().map(|(id, words)| (id, std::sync::Arc::clone(words))));
        delta.enis.extend(tables.entries().iter().map(|(slot, entry)| (*slot, Some(entry.clone()))));
        let stale = (1..self.maps.enis.len() as u32).filter(|slot| !tables.entries().contains_key(slot));
        let stale = stale.filter(|slot| self.maps.enis.get(*slot as usize).flags != 0);
        delta.enis.extend(stale.map(|slot| (slot, None)));
        delta.members.extend(tables.members().iter().map(|(key, entry)| (*key, Some(entry.clone()))));
        let gone = self.members.held.keys().filter(|key| !tables.members().contains_key(key));
        delta.members.extend(gone.map(|key| (*key, None)));
        let wanted: BTreeSet<PolicyId> = tables.policies().map(|(id, _)| id).collect();
        delta.retired.extend(self.placed.keys().filter(|id| !wanted.contains(id)));
        delta
    }
}

/// An ENI as the kernel holds it, but for its interface, what that adds to the flags, and where its addresses stand.
fn fields(entry: &EniEntry, policy: u64) -> Eni {
    let timeouts = entry.timeouts;
    let short = |value: u32| u16::try_from(value).unwrap_or(u16::MAX);
    Eni {
        policy,
        vpc: short(entry.vpc),
        flags: entry.flags | abi::ENI_VALID,
        mac: entry.mac,
        tcp_closed_s: short(timeouts.tcp_closed_s),
        tcp_established_s: timeouts.tcp_established_s,
        other_s: timeouts.other_s,
        tcp_opening_s: short(timeouts.tcp_opening_s),
        udp_s: short(timeouts.udp_s),
        udp_stream_s: short(timeouts.udp_stream_s),
        icmp_s: short(timeouts.icmp_s),
        ..Eni::default()
    }
}

fn too_long() -> io::Error {
    io::Error::other(format!("an id is longer than {} bytes", abi::ID_BYTES))
}
