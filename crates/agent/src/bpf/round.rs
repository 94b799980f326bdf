//! A round over everything that is compared, which can be left at any place and gone on with: what is next is found in the
//! tables as they are then, so nothing is listed in advance and what is gone meanwhile is not asked for.

use std::{
    collections::VecDeque,
    io,
    ops::Bound::{Excluded, Unbounded},
    sync::Arc,
};

use sekimori_compile::{
    abi::{self, AddressKey, PortKey},
    tables::{PolicyId, Tables},
};

use super::{
    DataPlane,
    check::Object,
    sys::{self, BATCH, Plain, Position},
};

/// Where a round is.
#[derive(Debug, Default)]
pub struct Round {
    stage: Stage,
    /// Elements of the hashes that nothing of the tables seemed to be behind when they were read.
    strays: VecDeque<Object>,
}

#[derive(Debug)]
enum Stage {
    /// Addresses that should not be there: where the walk over the hash goes on.
    Addresses(Option<Position>),
    /// The same of interfaces.
    Ports(Option<Position>),
    Fixed,
    /// The next number of an ENI.
    Enis(u32),
    /// The policies in use when the round came to them; a later one is compared when it is written.
    Policies(VecDeque<(PolicyId, Arc<Vec<u64>>)>),
    /// The address that was last.
    Members(Option<AddressKey>),
    Over,
}

impl Default for Stage {
    fn default() -> Self {
        Self::Addresses(None)
    }
}

/// What a step of a round has come to.
#[derive(Debug)]
pub enum Next {
    /// Something to compare.
    Object(Object),
    /// Some of a hash was read, and there is nothing to compare yet.
    Read,
    /// Nothing more.
    Over,
}

impl DataPlane {
    /// Goes on with a round: one object, or one reading of a hash.
    #[must_use]
    pub fn next_of(&self, round: &mut Round, tables: &Tables) -> Next {
        if let Some(stray) = round.strays.pop_front() {
            return Next::Object(stray);
        }
        let (object, stage) = match std::mem::replace(&mut round.stage, Stage::Over) {
            Stage::Addresses(at) => {
                let is_stray = |key: &AddressKey| !tables.members().contains_key(key);
                let next = self.read_strays("addresses", at, is_stray, Object::Member, &mut round.strays);
                (None, next.map_or(Stage::Ports(None), |at| Stage::Addresses(Some(at))))
            }
            Stage::Ports(at) => {
                let is_stray = |port: &PortKey| self.attachments.eni_at(port.netns, port.ifindex).is_none();
                let next = self.read_strays("ports", at, is_stray, Object::Port, &mut round.strays);
                (None, next.map_or(Stage::Fixed, |at| Stage::Ports(Some(at))))
            }
            Stage::Fixed => (Some(Object::Fixed), Stage::Enis(1)),
            Stage::Enis(slot) if slot < abi::ENI_SLOTS => (Some(Object::Eni(slot)), Stage::Enis(slot + 1)),
            Stage::Enis(_) => {
                let policies = tables.policies().map(|(id, words)| (id, Arc::clone(words)));
                (None, Stage::Policies(policies.collect()))
            }
            Stage::Policies(mut left) => match left.pop_front() {
                Some((id, words)) => (Some(Object::Policy(id, words)), Stage::Policies(left)),
                None => (None, Stage::Members(None)),
            },
            Stage::Members(last) => {
                let later = (last.map_or(Unbounded, Excluded), Unbounded);
                match tables.members().range(later).next() {
                    Some((key, _)) => (Some(Object::Member(*key)), Stage::Members(Some(*key))),
                    None => return Next::Over,
                }
            }
            Stage::Over => return Next::Over,
        };
        round.stage = stage;
        object.map_or(Next::Read, Next::Object)
    }

    /// Reads some of a hash; returns where it goes on. What cannot be read is told, and tried again in the next round.
    fn read_strays<K: Plain + Default>(
        &self,
        name: &str,
        at: Option<Position>,
        is_stray: impl Fn(&K) -> bool,
        object: impl Fn(K) -> Object,
        strays: &mut VecDeque<Object>,
    ) -> Option<Position> {
        let mut keys = vec![K::default(); BATCH];
        match self.read_keys(name, at, &mut keys) {
            Ok((count, next)) => {
                strays.extend(keys.into_iter().take(count).filter(is_stray).map(object));
                next
            }
            Err(error) => {
                tracing::warn!(%error, "cannot read the kernel's tables");
                None
            }
        }
    }

    fn read_keys<K: Plain>(
        &self,
        name: &str,
        at: Option<Position>,
        keys: &mut [K],
    ) -> io::Result<(usize, Option<Position>)> {
        let mut values = vec![0_u32; BATCH];
        sys::lookup_batch(self.maps.fd(name)?, at.as_ref(), keys.as_mut_ptr() as u64, values.as_mut_ptr() as u64)
    }
}
