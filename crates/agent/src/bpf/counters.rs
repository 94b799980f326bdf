//! Counters and the lives that they have.
//!
//! A number is given to one rule or ENI after another. Each time it begins a *life*, and the maps hold a random name of it:
//! totals of one life only grow, and whoever adds them up tells lives apart, also after a reboot or on maps that an upgrade made.
//! A number that was given back keeps name and total until somebody has written the total down. So the kernel is the journal:
//! an agent that is killed at any moment finds every total that nobody has.
//!
//! The order of the writes: a number without a name, and with a life of zero, has counters of zero. Those of a rule stand in an
//! element with others', which go on, so they are not set to zero: what they say is noted, and taken off what they say later.

use std::{
    hash::{BuildHasher, RandomState},
    io,
};

use sekimori_compile::{
    abi,
    tables::{Name, Tables},
};

use super::{DataPlane, sys};

/// A number that nothing more is counted under, and which time it is that it was given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Over {
    /// A rule's.
    Rule(u32, u64),
    /// An ENI's.
    Eni(u32, u64),
    /// Every number of another version.
    Earlier(u32),
}

impl Over {
    /// It may be given out again. Returns the name to clear.
    pub(crate) fn forget(self, tables: &mut Tables) -> Option<Name> {
        match self {
            Self::Rule(slot, departure) => tables.forget_rule(slot, departure),
            Self::Eni(slot, departure) => tables.forget_eni(slot, departure),
            Self::Earlier(_) => None,
        }
    }

    /// The other version, if it is one's.
    pub(crate) fn version(self) -> Option<u32> {
        match self {
            Self::Earlier(version) => Some(version),
            Self::Rule(..) | Self::Eni(..) => None,
        }
    }
}

impl DataPlane {
    /// Gives a rule's number another name, and a new life; an empty name takes both away.
    pub(super) fn name_rule(&mut self, slot: u32, name: abi::RuleName) -> io::Result<()> {
        let at = slot as usize;
        let old = self.maps.rule_names.get(at);
        if old == name {
            return Ok(());
        }
        let is_empty = name == EMPTY_NAME;
        if old != EMPTY_NAME || self.maps.rule_lives.get(at) != 0 {
            let counted = super::read::rule_counter(self.maps.fd("rule_counters")?, slot, self.cpus)?;
            self.maps.rule_bases.set(at, counted);
        }
        if is_empty {
            self.maps.rule_names.set(at, name);
        }
        self.maps.rule_lives.store_u64(at, 0, if is_empty { 0 } else { new_life() });
        self.maps.rule_names.set(at, name);
        Ok(())
    }

    /// The same for an ENI's number.
    pub(super) fn name_eni(&mut self, slot: u32, name: abi::IdBytes) -> io::Result<()> {
        let at = slot as usize;
        let old = self.maps.eni_names.get(at);
        if old == name {
            return Ok(());
        }
        let is_empty = abi::id_of(&name).is_none();
        if abi::id_of(&old).is_some() || self.maps.eni_lives.get(at) != 0 {
            let counters = self.maps.fd("reason_counters")?;
            sys::update_per_cpu(counters, slot, abi::ReasonCounts::default(), self.cpus)?;
        }
        if is_empty {
            self.maps.eni_names.set(at, name);
        }
        self.maps.eni_lives.store_u64(at, 0, if is_empty { 0 } else { new_life() });
        self.maps.eni_names.set(at, name);
        Ok(())
    }
}

const EMPTY_NAME: abi::RuleName = abi::RuleName { group: [0; abi::ID_BYTES], rule: [0; abi::ID_BYTES] };

/// A name that no life has had, on any host, as far as chance goes.
fn new_life() -> u64 {
    // Keyed by the system's entropy once, and by a new number each time.
    RandomState::new().hash_one(std::process::id()).max(1)
}
