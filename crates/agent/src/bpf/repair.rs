//! Writes again what was found different, through the ordered writes of every change.
//!
//! What is there is *old*, whatever it is, and what should be there is *new*: while an object is repaired both must allow.
//! So a repair never lets through what the tables deny, and what the wrong state let through is judged again.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    mem::offset_of,
};

use sekimori_compile::{
    abi::{self, AddressKey, EMPTY_MEMBER, Eni},
    layout::halves,
    tables::{Delta, EniEntry, Name, PolicyId, Tables},
};
use sekimori_core::feed::ClosedEni;

use super::{
    DataPlane,
    check::{NOBODY, Object},
    members::{Held, NO_MEMBER, entry_of, nobody},
    sys,
};

/// What is to be written, each once.
#[derive(Default)]
struct Wrong {
    enis: BTreeSet<u32>,
    members: BTreeSet<AddressKey>,
    policies: BTreeSet<PolicyId>,
    names: Vec<Name>,
}

impl DataPlane {
    /// Repairs objects. Returns the ENIs that cannot have their policy; those that had a wrong one drop everything then.
    ///
    /// # Errors
    /// The kernel's. The data plane is dirty then; [`DataPlane::resync`] finishes the work.
    pub fn repair(&mut self, objects: Vec<Object>, tables: &mut Tables) -> io::Result<Vec<ClosedEni>> {
        let repaired = self.try_repair(objects, tables);
        self.dirty |= repaired.is_err();
        repaired
    }

    fn try_repair(&mut self, objects: Vec<Object>, tables: &mut Tables) -> io::Result<Vec<ClosedEni>> {
        let wrong = self.sort(objects)?;
        let mut delta = tables.renew_policies(&wrong.policies);
        let mut enis: BTreeMap<u32, Option<EniEntry>> = delta.enis.drain(..).collect();
        for slot in wrong.enis {
            enis.entry(slot).or_insert_with(|| tables.entries().get(&slot).cloned());
        }
        delta.enis = enis.into_iter().collect();
        for key in wrong.members {
            self.set_apart(&key)?;
            delta.members.push((key, tables.members().get(&key).cloned()));
        }
        wrong.names.iter().try_for_each(|name| self.restore_name(name))?;
        let closed = self.write_whole(&delta)?;
        self.close_condemned(&wrong.policies);
        let vpcs = self.vpcs_of(&delta);
        self.renew_epochs(&vpcs);
        Ok(closed)
    }

    /// What is one store, and no change of a world, is done at once.
    fn sort(&mut self, objects: Vec<Object>) -> io::Result<Wrong> {
        let mut wrong = Wrong::default();
        for object in objects {
            match object {
                Object::Eni(slot) => drop(wrong.enis.insert(slot)),
                Object::Member(key) => drop(wrong.members.insert(key)),
                Object::Policy(id, _) => drop(wrong.policies.insert(id)),
                Object::Name(name) => wrong.names.push(name),
                Object::Port(port) => self.hashes.delete_port(&port)?,
                Object::Fixed => self.restore_fixed(),
            }
        }
        Ok(wrong)
    }

    fn restore_fixed(&mut self) {
        self.maps.enis.set(NOBODY, Eni::default());
        self.maps.members.set(EMPTY_MEMBER as usize, NO_MEMBER);
        let last = self.placed.keys().map(|id| id.0).max().unwrap_or(0);
        self.maps.epochs.store_u32(NOBODY, 0, self.maps.epochs.get(NOBODY).max(last));
        self.share_out();
    }

    /// Gives an address a member of its own that says what is found now: what it leads to may be another's place, and its own
    /// place may hold anything.
    fn set_apart(&mut self, key: &AddressKey) -> io::Result<()> {
        let leads_to: Option<u32> = sys::lookup(self.maps.fd("addresses")?, key)?;
        let place = leads_to.map(|at| (at as usize).min(self.maps.members.len() - 1));
        let found = place.map_or_else(nobody, |place| entry_of(&self.maps.members.get(place)));
        let at = self.new_member(key, &found, 0)?;
        if let Err(error) = self.hashes.update_address(key, at) {
            self.cooling.members.push(at);
            return Err(error);
        }
        let before = self.members.held.insert(*key, Held { at, entry: found });
        self.note_own(key, before.as_ref().map(|held| held.at), Some(at));
        self.cooling.members.extend(before.map(|held| held.at));
        Ok(())
    }

    /// What is counted under the number goes on.
    fn restore_name(&mut self, name: &Name) -> io::Result<()> {
        if let Name::Eni(slot, Some(id)) = name {
            if let Some(name) = abi::id_bytes(id.as_str()) {
                self.maps.eni_names.set(*slot as usize, name);
            }
            return Ok(());
        }
        if let Name::Rule(slot, Some((group, rule))) = name {
            let bytes = |id: Option<&str>| id.map_or(Some([0; abi::ID_BYTES]), abi::id_bytes);
            let name = bytes(Some(group.as_str())).zip(bytes(rule.as_ref().map(|rule| rule.as_str())));
            if let Some((group, rule)) = name {
                self.maps.rule_names.set(*slot as usize, abi::RuleName { group, rule });
            }
            return Ok(());
        }
        self.write(&Delta { names: vec![name.clone()], ..Delta::default() }).map(drop)
    }

    /// A wrong policy that nothing could take the place of does not stay.
    fn close_condemned(&mut self, condemned: &BTreeSet<PolicyId>) {
        for slot in (1..self.maps.enis.len()).filter(|_| !condemned.is_empty()) {
            let (id, _) = halves(self.maps.enis.get(slot).policy);
            if condemned.contains(&PolicyId(id)) {
                self.maps.enis.store_u64(slot, offset_of!(Eni, policy), 0);
                self.maps.enis.store_u64(slot, offset_of!(Eni, next), 0);
            }
            let (id, _) = halves(self.maps.shadows.get(slot).policy);
            if condemned.contains(&PolicyId(id)) {
                self.end_comparing(slot);
            }
        }
    }

    fn vpcs_of(&self, delta: &Delta) -> BTreeSet<u32> {
        let enis = delta.enis.iter().filter_map(|(_, entry)| entry.as_ref()).map(|entry| entry.vpc);
        enis.chain(delta.members.iter().map(|(key, _)| key.vpc)).collect()
    }
}
