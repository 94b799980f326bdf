//! Snapshot policies, and when snapshots of group rules are begun, taken, deleted and restored.

use std::{collections::BTreeSet, sync::Arc};

use super::{Draft, lists::replace, missing, within};
use crate::{
    change::Change,
    command::{NewSnapshotPolicy, Outcome, SnapshotPolicyEdit},
    ids::{GroupId, SnapshotId, SnapshotPolicyId},
    refusal::{Counted, Kind, Refusal},
    snapshot::{
        Retention, SNAPSHOT_POLICIES_MAX, SNAPSHOT_POLICY_GROUPS_MAX, SNAPSHOTS_AT_ONCE_MAX, Snapshot,
        SnapshotPolicy, Step,
    },
    world::{Group, World},
};

/// The policies that ask for a snapshot, and how long it is to be kept.
type Asked = (Vec<SnapshotPolicyId>, Retention);

impl Draft<'_> {
    pub(super) fn create_snapshot_policy(&mut self, new: &NewSnapshotPolicy) -> Result<Outcome, Refusal> {
        let NewSnapshotPolicy { account, name, is_enabled, retention } = new;
        if self.world.account(account).is_none() {
            return Err(missing(Kind::Account, account));
        }
        let owned = self.world.snapshots().policies().filter(|policy| policy.account == *account).count();
        within(Counted::SnapshotPolicies, SNAPSHOT_POLICIES_MAX, owned + 1)?;
        let dialect = self.world.dialect_of(account);
        let taken = |id: &SnapshotPolicyId| self.world.snapshots().policy(id).is_some();
        let id: SnapshotPolicyId = self.context.ids.fresh(dialect, "sgsp", taken);
        let policy = SnapshotPolicy {
            id: id.clone(),
            account: account.clone(),
            name: name.clone(),
            is_enabled: *is_enabled,
            retention: *retention,
            groups: Vec::new(),
            created_at: self.context.now,
        };
        self.put(Change::PutSnapshotPolicy(Arc::new(policy)));
        Ok(Outcome::SnapshotPolicy(id))
    }

    /// A policy that is turned on takes a snapshot of each of its groups, as one does that is attached.
    pub(super) fn edit_snapshot_policy(&mut self, edit: &SnapshotPolicyEdit) -> Result<Outcome, Refusal> {
        let SnapshotPolicyEdit { policy, name, is_enabled, retention } = edit;
        let old = self.snapshot_policy(policy)?;
        let mut new = SnapshotPolicy::clone(&old);
        replace(&mut new.name, name.as_ref());
        new.is_enabled = is_enabled.unwrap_or(new.is_enabled);
        new.retention = retention.unwrap_or(new.retention);
        let is_turned_on = new.is_enabled && !old.is_enabled;
        if new != *old {
            self.put(Change::PutSnapshotPolicy(Arc::new(new.clone())));
        }
        if is_turned_on {
            new.groups.iter().for_each(|group| self.take_now(group, &new));
        }
        Ok(Outcome::Done)
    }

    /// Deletes a policy, attached or not. The snapshots that it asked for are kept for as long as they were to be.
    pub(super) fn delete_snapshot_policy(&mut self, id: &SnapshotPolicyId) -> Result<Outcome, Refusal> {
        self.snapshot_policy(id)?;
        self.put(Change::DeleteSnapshotPolicy(id.clone()));
        Ok(Outcome::Done)
    }

    /// Attaches a policy to groups, and takes a snapshot of each. One that it is attached to already stays as it is.
    pub(super) fn attach_snapshot_policy(
        &mut self,
        id: &SnapshotPolicyId,
        groups: &[GroupId],
    ) -> Result<Outcome, Refusal> {
        let old = self.snapshot_policy(id)?;
        let mut policy = SnapshotPolicy::clone(&old);
        for group in groups {
            let known = self.world.group(group).is_some_and(|group| group.account == policy.account);
            if !known {
                return Err(missing(Kind::Group, group));
            }
            if !policy.groups.contains(group) {
                policy.groups.push(group.clone());
            }
        }
        within(Counted::GroupsOfSnapshotPolicy, SNAPSHOT_POLICY_GROUPS_MAX, policy.groups.len())?;
        if policy == *old {
            return Ok(Outcome::Done);
        }
        self.put(Change::PutSnapshotPolicy(Arc::new(policy.clone())));
        if policy.is_enabled {
            let added = policy.groups.iter().skip(old.groups.len());
            added.for_each(|group| self.take_now(group, &policy));
        }
        Ok(Outcome::Done)
    }

    /// Detaches a policy from groups. One that it is not attached to is no error.
    pub(super) fn detach_snapshot_policy(
        &mut self,
        id: &SnapshotPolicyId,
        groups: &[GroupId],
    ) -> Result<Outcome, Refusal> {
        let old = self.snapshot_policy(id)?;
        let mut policy = SnapshotPolicy::clone(&old);
        policy.groups.retain(|group| !groups.contains(group));
        if policy != *old {
            self.put(Change::PutSnapshotPolicy(Arc::new(policy)));
        }
        Ok(Outcome::Done)
    }

    /// Does what is due: takes what was begun long enough ago, and deletes what was kept long enough.
    pub(super) fn keep_snapshots(&mut self) -> Outcome {
        let due: Vec<_> = self.world.snapshots().due(self.context.now).take(SNAPSHOTS_AT_ONCE_MAX).cloned().collect();
        for snapshot in due {
            match snapshot.taken_at {
                None => self.take(&snapshot),
                Some(_) => self.put(Change::DeleteSnapshot(snapshot.id.clone())),
            }
        }
        Outcome::Done
    }

    /// Makes the rules of a group what they were, all of them or none.
    pub(super) fn restore_snapshot(&mut self, id: &SnapshotId) -> Result<Outcome, Refusal> {
        let snapshot = self.world.snapshots().get(id).cloned().ok_or_else(|| missing(Kind::Snapshot, id))?;
        let group = self.own_group(&snapshot.account, &snapshot.group)?;
        self.take_steps(&group, snapshot.steps(&group))?;
        Ok(Outcome::Done)
    }

    /// Makes the rules of a group others, all of them or none.
    pub(super) fn take_steps(&mut self, group: &Group, steps: Vec<Step>) -> Result<(), Refusal> {
        for step in steps {
            match step {
                Step::Keep(_) => {}
                Step::Put { old: _, new } => {
                    self.check_spec(group, &new.spec)?;
                    self.put(Change::PutRule { group: group.id.clone(), rule: new });
                }
                Step::Delete(rule) => {
                    self.put(Change::DeleteRule { group: group.id.clone(), rule: rule.id.clone() });
                }
            }
        }
        self.check_rule_limits(&group.account, &group.id)
    }

    /// Begins a snapshot of every group whose rules a command has changed and for which a policy asks, unless one was
    /// begun already that the change still belongs to.
    pub(super) fn begin_snapshots(&mut self, before: &World) {
        if self.world.snapshots().policies().next().is_none() {
            return;
        }
        let changed: BTreeSet<GroupId> = self.changes.iter().filter_map(group_of_rule).cloned().collect();
        for id in changed {
            let Some((old, new)) = before.group(&id).zip(self.world.group(&id)) else { continue };
            let Some(asked) = asked_for(&self.world, &id).filter(|_| old.rules != new.rules) else { continue };
            match self.world.snapshots().pending(&id).cloned() {
                Some(pending) if pending.due_at() > self.context.now => continue,
                Some(pending) => self.take(&pending),
                None => {}
            }
            self.add_snapshot(old, asked, false);
        }
    }

    /// What goes with a group that is deleted: its snapshots, and its place in policies.
    pub(super) fn drop_snapshots(&mut self, group: &GroupId) {
        let snapshots: Vec<SnapshotId> =
            self.world.snapshots().of_group(group).map(|snapshot| snapshot.id.clone()).collect();
        snapshots.into_iter().for_each(|id| self.put(Change::DeleteSnapshot(id)));
        let policies: Vec<Arc<SnapshotPolicy>> = self.world.snapshots().policies_of(group).cloned().collect();
        for policy in policies {
            let mut policy = SnapshotPolicy::clone(&policy);
            policy.groups.retain(|other| other != group);
            self.put(Change::PutSnapshotPolicy(Arc::new(policy)));
        }
    }

    fn snapshot_policy(&self, id: &SnapshotPolicyId) -> Result<Arc<SnapshotPolicy>, Refusal> {
        self.world.snapshots().policy(id).cloned().ok_or_else(|| missing(Kind::SnapshotPolicy, id))
    }

    fn take(&mut self, pending: &Snapshot) {
        let taken = Snapshot { taken_at: Some(self.context.now), ..pending.clone() };
        self.put(Change::PutSnapshot(Arc::new(taken)));
    }

    fn take_now(&mut self, group: &GroupId, policy: &SnapshotPolicy) {
        let Some(group) = self.world.group(group).cloned() else { return };
        self.add_snapshot(&group, (vec![policy.id.clone()], policy.retention), true);
    }

    /// Adds a snapshot of a group, and makes room for it.
    fn add_snapshot(&mut self, group: &Group, (policies, retention): Asked, is_taken: bool) {
        let dialect = self.world.dialect_of(&group.account);
        let id = self.context.ids.fresh(dialect, "sgss", |id| self.world.snapshots().get(id).is_some());
        let snapshot = Snapshot {
            id,
            account: group.account.clone(),
            group: group.id.clone(),
            policies,
            retention,
            rules: group.rules.values().cloned().collect(),
            of: self.context.now,
            taken_at: is_taken.then_some(self.context.now),
        };
        while let Some(oldest) = self.world.snapshots().too_many(&snapshot) {
            self.put(Change::DeleteSnapshot(oldest));
        }
        self.put(Change::PutSnapshot(Arc::new(snapshot)));
    }
}

/// The policies that ask for snapshots of a group; nothing if none does.
fn asked_for(world: &World, group: &GroupId) -> Option<Asked> {
    let enabled: Vec<_> = world.snapshots().policies_of(group).filter(|policy| policy.is_enabled).collect();
    let retention = enabled.iter().map(|policy| policy.retention).max()?;
    Some((enabled.iter().map(|policy| policy.id.clone()).collect(), retention))
}

fn group_of_rule(change: &Change) -> Option<&GroupId> {
    if let Change::PutRule { group, .. } | Change::DeleteRule { group, .. } = change { Some(group) } else { None }
}
