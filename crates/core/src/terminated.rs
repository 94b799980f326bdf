//! Terminated instances: EC2 goes on showing them for about an hour, so that whoever waits for the end of one sees it.
//!
//! Nothing is left of them but what they were: no interface, no place in a group, no part in a limit. How long they are
//! shown, and how many of an account, is bounded.

use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use serde::{Deserialize, Serialize};

use crate::{
    ids::{AccountId, InstanceId},
    time::Timestamp,
    world::Instance,
};

/// How long a terminated instance is shown, in seconds.
pub const TERMINATED_SHOWN_S: i64 = 60 * 60;
/// Terminated instances of one account; beyond it the oldest are forgotten.
pub const TERMINATED_PER_ACCOUNT_MAX: usize = 1_000;
/// Terminated instances that one command forgets at most.
pub const FORGOTTEN_AT_ONCE_MAX: usize = 100;

/// An instance that was terminated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terminated {
    /// As it was last.
    pub instance: Instance,
    /// The region it was in: its VPC may be gone as well.
    pub region: String,
    /// When it was terminated.
    pub at: Timestamp,
}

impl Terminated {
    fn age(&self) -> (Timestamp, InstanceId) {
        (self.at, self.instance.id.clone())
    }
}

/// Every terminated instance that is still shown.
#[derive(Clone, Debug, Default)]
pub struct TerminatedInstances {
    by_id: OrdMap<InstanceId, Arc<Terminated>>,
    by_age: OrdSet<(Timestamp, InstanceId)>,
    by_account: OrdMap<AccountId, OrdSet<(Timestamp, InstanceId)>>,
}

impl TerminatedInstances {
    /// One of them.
    #[must_use]
    pub fn get(&self, id: &InstanceId) -> Option<&Arc<Terminated>> {
        self.by_id.get(id)
    }

    /// All of them, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Terminated>> {
        self.by_id.values()
    }

    /// When the next one has been shown for long enough.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        self.by_age.get_min().map(|(at, _)| due_at(*at))
    }

    /// Those that have been shown for long enough, as many as one command forgets.
    pub(crate) fn due(&self, now: Timestamp) -> Vec<InstanceId> {
        let oldest = self.by_age.iter().take_while(|(at, _)| due_at(*at) <= now);
        oldest.take(FORGOTTEN_AT_ONCE_MAX).map(|(_, id)| id.clone()).collect()
    }

    /// Those of an account that must go before another one comes.
    pub(crate) fn surplus(&self, account: &AccountId) -> Vec<InstanceId> {
        let Some(own) = self.by_account.get(account) else { return Vec::new() };
        let too_many = (own.len() + 1).saturating_sub(TERMINATED_PER_ACCOUNT_MAX);
        own.iter().take(too_many).map(|(_, id)| id.clone()).collect()
    }

    pub(crate) fn put(&mut self, terminated: &Arc<Terminated>) {
        self.delete(&terminated.instance.id);
        self.by_age.insert(terminated.age());
        self.by_account.entry(terminated.instance.account.clone()).or_default().insert(terminated.age());
        self.by_id.insert(terminated.instance.id.clone(), Arc::clone(terminated));
    }

    pub(crate) fn delete(&mut self, id: &InstanceId) {
        let Some(old) = self.by_id.remove(id) else { return };
        self.by_age.remove(&old.age());
        crate::world::remove_from(&mut self.by_account, &old.instance.account, &old.age());
    }
}

fn due_at(at: Timestamp) -> Timestamp {
    Timestamp(at.0.saturating_add(TERMINATED_SHOWN_S))
}
