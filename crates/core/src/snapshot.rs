//! Snapshots of group rules: what a group's rules were, kept so that they can be put back.
//!
//! Policies are attached to groups. The first change of the rules of such a group begins a snapshot of the rules as
//! they were before it; what changes in the next [`SNAPSHOT_DELAY_S`] seconds is part of the same change, and then the
//! snapshot is taken (`spec/ecs.md` E, snapshots). It is kept for as long as the longest of the group's policies says,
//! within the bounds below. When each of this happens is [`crate::apply`]'s; nothing here reads a clock.

use std::{collections::BTreeMap, sync::Arc};

use imbl::{OrdMap, OrdSet};
use serde::{Deserialize, Serialize};

use crate::{
    ids::{AccountId, GroupId, RuleId, SnapshotId, SnapshotPolicyId},
    rule::{Rule, RuleSpec},
    time::Timestamp,
    world::{Group, remove_from},
};

/// How long the changes after the first one still belong to it, in seconds.
pub const SNAPSHOT_DELAY_S: i64 = 5 * 60;
/// Snapshot policies of one account.
pub const SNAPSHOT_POLICIES_MAX: u32 = 100;
/// Groups that one policy is attached to (`spec/ecs.md` E).
pub const SNAPSHOT_POLICY_GROUPS_MAX: u32 = 10;
/// Snapshots of one group: as many as a day of changes makes. Beyond it the oldest go.
pub const SNAPSHOTS_PER_GROUP_MAX: usize = 288;
/// Rules in all snapshots of one account, one more for each snapshot. Beyond it the account's oldest go.
pub const SNAPSHOT_RULES_PER_ACCOUNT_MAX: usize = 131_072;
/// Snapshots that are taken or deleted by one command of the timer.
pub const SNAPSHOTS_AT_ONCE_MAX: usize = 256;
/// Seconds of a day of retention.
const DAY_S: i64 = 24 * 60 * 60;

/// For how many days a snapshot is kept: 1 to 30.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Retention(u8);

impl Retention {
    /// The longest.
    pub const DAYS_MAX: u8 = 30;

    /// The number of days.
    #[must_use]
    pub fn days(self) -> u8 {
        self.0
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self(1)
    }
}

impl TryFrom<u8> for Retention {
    type Error = String;

    fn try_from(days: u8) -> Result<Self, String> {
        let is_known = (1..=Self::DAYS_MAX).contains(&days);
        let wrong = || format!("`{days}` is not a retention; use 1 to {} days", Self::DAYS_MAX);
        is_known.then_some(Self(days)).ok_or_else(wrong)
    }
}

impl From<Retention> for u8 {
    fn from(retention: Retention) -> Self {
        retention.0
    }
}

/// A policy: of which groups snapshots are taken, and for how long they are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotPolicy {
    /// Its name.
    pub id: SnapshotPolicyId,
    /// Its owner.
    pub account: AccountId,
    /// The owner's name for it.
    pub name: String,
    /// Whether new snapshots are taken by it.
    pub is_enabled: bool,
    /// For how long each is kept.
    pub retention: Retention,
    /// The groups that it is attached to, in the order of attachment.
    pub groups: Vec<GroupId>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// The rules of a group as they were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its name.
    pub id: SnapshotId,
    /// The group's owner.
    pub account: AccountId,
    /// The group.
    pub group: GroupId,
    /// The policies that asked for it.
    pub policies: Vec<SnapshotPolicyId>,
    /// For how long it is kept: the longest of what these said.
    pub retention: Retention,
    /// The rules, by id.
    pub rules: Vec<Arc<Rule>>,
    /// When the rules were these: the moment of the first change after, or of the attachment.
    pub of: Timestamp,
    /// When it was taken; `None` while further changes still belong to the first one.
    pub taken_at: Option<Timestamp>,
}

impl Snapshot {
    /// When something happens to it next: it is taken, or deleted.
    #[must_use]
    pub fn due_at(&self) -> Timestamp {
        let (since, delay) = match self.taken_at {
            None => (self.of, SNAPSHOT_DELAY_S),
            Some(taken) => (taken, DAY_S * i64::from(self.retention.days())),
        };
        Timestamp(since.0.saturating_add(delay))
    }

    fn age(&self) -> (Timestamp, SnapshotId) {
        (self.of, self.id.clone())
    }

    /// What it counts as, against [`SNAPSHOT_RULES_PER_ACCOUNT_MAX`].
    fn weight(&self) -> usize {
        self.rules.len() + 1
    }

    /// What a restore does to each rule of the group.
    #[must_use]
    pub fn steps(&self, group: &Group) -> Vec<Step> {
        steps(&self.rules, group)
    }
}

/// What is done to each rule of a group, so that the group says what other rules say. A rule that says the same now stays under
/// the name that it has now.
#[must_use]
pub fn steps(rules: &[Arc<Rule>], group: &Group) -> Vec<Step> {
    let by_spec: BTreeMap<&RuleSpec, &Arc<Rule>> = group.rules.values().map(|rule| (&rule.spec, rule)).collect();
    let mut left: BTreeMap<&RuleId, &Arc<Rule>> = group.rules.iter().collect();
    let mut steps = Vec::new();
    let (said, unsaid): (Vec<_>, Vec<_>) = rules.iter().partition(|rule| by_spec.contains_key(&rule.spec));
    for rule in said {
        let Some(now) = by_spec.get(&rule.spec).copied() else { continue };
        left.remove(&now.id);
        steps.push(redescribed(now, rule));
    }
    for rule in unsaid {
        let old = left.remove(&rule.id).cloned();
        steps.push(Step::Put { old, new: Arc::clone(rule) });
    }
    steps.extend(left.into_values().cloned().map(Step::Delete));
    steps
}

/// What is done to one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It stays as it is.
    Keep(Arc<Rule>),
    /// It is put back.
    Put {
        /// The rule whose place it takes, under the same name.
        old: Option<Arc<Rule>>,
        /// The rule.
        new: Arc<Rule>,
    },
    /// It goes.
    Delete(Arc<Rule>),
}

/// A rule that says the same as before, with the words about it that it had.
fn redescribed(now: &Arc<Rule>, then: &Rule) -> Step {
    if now.description == then.description {
        return Step::Keep(Arc::clone(now));
    }
    let new = Rule { description: then.description.clone(), ..Rule::clone(now) };
    Step::Put { old: Some(Arc::clone(now)), new: Arc::new(new) }
}

/// Every policy and every snapshot.
#[derive(Clone, Debug, Default)]
pub struct Snapshots {
    policies: OrdMap<SnapshotPolicyId, Arc<SnapshotPolicy>>,
    policies_by_group: OrdMap<GroupId, OrdSet<SnapshotPolicyId>>,
    by_id: OrdMap<SnapshotId, Arc<Snapshot>>,
    by_group: OrdMap<GroupId, OrdSet<(Timestamp, SnapshotId)>>,
    by_account: OrdMap<AccountId, OrdSet<(Timestamp, SnapshotId)>>,
    by_due: OrdSet<(Timestamp, SnapshotId)>,
    pending_by_group: OrdMap<GroupId, SnapshotId>,
    weights: OrdMap<AccountId, usize>,
}

impl Snapshots {
    /// One policy.
    #[must_use]
    pub fn policy(&self, id: &SnapshotPolicyId) -> Option<&Arc<SnapshotPolicy>> {
        self.policies.get(id)
    }

    /// All policies, by id.
    pub fn policies(&self) -> impl Iterator<Item = &Arc<SnapshotPolicy>> {
        self.policies.values()
    }

    /// The policies that are attached to a group, by id.
    pub fn policies_of(&self, group: &GroupId) -> impl Iterator<Item = &Arc<SnapshotPolicy>> + use<'_> {
        self.policies_by_group.get(group).into_iter().flatten().filter_map(|id| self.policies.get(id))
    }

    /// One snapshot.
    #[must_use]
    pub fn get(&self, id: &SnapshotId) -> Option<&Arc<Snapshot>> {
        self.by_id.get(id)
    }

    /// All snapshots, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Snapshot>> {
        self.by_id.values()
    }

    /// The snapshots of a group, the oldest first.
    pub fn of_group(&self, group: &GroupId) -> impl DoubleEndedIterator<Item = &Arc<Snapshot>> + use<'_> {
        self.by_group.get(group).into_iter().flatten().filter_map(|(_, id)| self.by_id.get(id))
    }

    /// The snapshot of a group that was begun and is not taken yet.
    #[must_use]
    pub fn pending(&self, group: &GroupId) -> Option<&Arc<Snapshot>> {
        self.pending_by_group.get(group).and_then(|id| self.by_id.get(id))
    }

    /// When something is to be done next.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        self.by_due.get_min().map(|(due, _)| *due)
    }

    /// With what something is to be done by now, the longest overdue first.
    pub fn due(&self, now: Timestamp) -> impl Iterator<Item = &Arc<Snapshot>> {
        let due = self.by_due.iter().take_while(move |(due, _)| *due <= now);
        due.filter_map(|(_, id)| self.by_id.get(id))
    }

    /// The snapshot that must go before a new one comes; none while there is room.
    pub(crate) fn too_many(&self, new: &Snapshot) -> Option<SnapshotId> {
        let oldest = |set: Option<&OrdSet<(Timestamp, SnapshotId)>>| set?.get_min().map(|(_, id)| id.clone());
        let own = self.by_group.get(&new.group);
        if own.is_some_and(|own| own.len() >= SNAPSHOTS_PER_GROUP_MAX) {
            return oldest(own);
        }
        let held = self.weights.get(&new.account).copied().unwrap_or_default();
        let is_full = held + new.weight() > SNAPSHOT_RULES_PER_ACCOUNT_MAX;
        if is_full { oldest(self.by_account.get(&new.account)) } else { None }
    }

    pub(crate) fn put_policy(&mut self, policy: &Arc<SnapshotPolicy>) {
        self.delete_policy(&policy.id);
        for group in &policy.groups {
            self.policies_by_group.entry(group.clone()).or_default().insert(policy.id.clone());
        }
        self.policies.insert(policy.id.clone(), Arc::clone(policy));
    }

    pub(crate) fn delete_policy(&mut self, id: &SnapshotPolicyId) {
        let Some(policy) = self.policies.remove(id) else { return };
        for group in &policy.groups {
            remove_from(&mut self.policies_by_group, group, id);
        }
    }

    pub(crate) fn put(&mut self, snapshot: &Arc<Snapshot>) {
        self.delete(&snapshot.id);
        let Snapshot { id, account, group, .. } = &**snapshot;
        self.by_group.entry(group.clone()).or_default().insert(snapshot.age());
        self.by_account.entry(account.clone()).or_default().insert(snapshot.age());
        self.by_due.insert((snapshot.due_at(), id.clone()));
        *self.weights.entry(account.clone()).or_default() += snapshot.weight();
        if snapshot.taken_at.is_none() {
            self.pending_by_group.insert(group.clone(), id.clone());
        }
        self.by_id.insert(id.clone(), Arc::clone(snapshot));
    }

    pub(crate) fn delete(&mut self, id: &SnapshotId) {
        let Some(old) = self.by_id.remove(id) else { return };
        remove_from(&mut self.by_group, &old.group, &old.age());
        remove_from(&mut self.by_account, &old.account, &old.age());
        self.by_due.remove(&(old.due_at(), id.clone()));
        if self.pending_by_group.get(&old.group) == Some(id) {
            self.pending_by_group.remove(&old.group);
        }
        if let Some(weight) = self.weights.get_mut(&old.account) {
            *weight -= old.weight();
        }
    }
}
