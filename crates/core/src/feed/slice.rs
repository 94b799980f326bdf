//! What one agent is told of the world: all but what is kept back, of the rules only those of its host's groups, and of instances only
//! its host's. An instance stays on the host that it was made on.
//!
//! Rules are most of a large world, and an agent has no use for those of groups that none of its interfaces has. A group whose
//! rules an agent knows stays known until it is deleted, so that an interface which comes and goes costs nothing, and both sides
//! know at every revision which groups these are.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    change::{Change, Commit},
    feed::Known,
    ids::{GroupId, HostId},
    rule::Rule,
    world::World,
};

/// See the module.
#[derive(Clone, Debug)]
pub struct Slice {
    host: HostId,
    groups: BTreeSet<GroupId>,
    /// The world as far as the agent was told; `None` while it is caught up with from the log, where only the newest
    /// world is at hand.
    world: Option<World>,
}

impl Slice {
    /// The slice of an agent that knows the rules of some groups already.
    #[must_use]
    pub fn new(host: HostId, known: Option<&Known>) -> Self {
        let groups = known.into_iter().flat_map(|known| known.groups.iter().cloned()).collect();
        Self { host, groups, world: None }
    }

    /// Begins anew with a whole world: what is to be told of it, and what the agent knows then.
    pub fn begin(&mut self, world: &World) -> (Vec<Change>, Known) {
        let here = world.enis().filter(|eni| world.is_on(eni, &self.host));
        self.groups = here.flat_map(|eni| eni.groups.iter().cloned()).collect();
        self.reach(world);
        let all = world.to_changes_with_rules(|group| self.groups.contains(group)).into_iter();
        let told = all.filter(|change| self.is_told(change)).collect();
        (told, Known { revision: world.revision(), groups: self.groups.iter().cloned().collect() })
    }

    /// The agent has been told everything up to this world.
    pub fn reach(&mut self, world: &World) {
        self.world = Some(world.clone());
    }

    /// What is to be told of the next commit, its revision included, and the groups whose rules it brings. `None` when it needs
    /// rules that were made at a revision that is not at hand: the agent must begin anew.
    pub fn next(&mut self, mut commit: Commit) -> Option<(Commit, Vec<GroupId>)> {
        if let Some(world) = &mut self.world {
            world.commit(&commit);
        }
        let groups = self.begun_by(&commit)?;
        commit.changes.retain(|change| self.is_told(change));
        for change in &commit.changes {
            if let Change::DeleteGroup(id) = change {
                self.groups.remove(id);
            }
        }
        let rules: Vec<Change> = groups.iter().flat_map(|group| self.rules_of(group)).collect();
        // Before the interface that needs them. A group is there before its rules are: if this commit made it, it comes first.
        let first = |change: &Change| matches!(change, Change::PutInstance(_) | Change::PutEni(_));
        let at = commit.changes.iter().position(first).unwrap_or(commit.changes.len());
        commit.changes.splice(at..at, rules);
        self.groups.extend(groups.iter().cloned());
        Some((commit, groups))
    }

    /// The groups that interfaces of the host have from this commit on, and whose rules are not known.
    fn begun_by(&self, commit: &Commit) -> Option<Vec<GroupId>> {
        let mut begun = BTreeSet::new();
        for change in &commit.changes {
            let Change::PutEni(eni) = change else { continue };
            let unknown = || eni.groups.iter().filter(|group| !self.groups.contains(*group));
            if (eni.instance.is_none() && eni.binding.is_none()) || unknown().next().is_none() {
                continue;
            }
            if self.world.as_ref()?.is_on(eni, &self.host) {
                begun.extend(unknown().cloned());
            }
        }
        Some(begun.into_iter().collect())
    }

    fn rules_of(&self, id: &GroupId) -> Vec<Change> {
        let group = self.world.as_ref().and_then(|world| world.group(id));
        let put = |rule: &Arc<Rule>| Change::PutRule { group: id.clone(), rule: Arc::clone(rule) };
        let rules = group.into_iter().flat_map(|group| group.rules.values().map(put));
        let shadow = self.world.as_ref().and_then(|world| world.shadows().get(id).cloned());
        rules.chain(shadow.map(Change::PutShadow)).collect()
    }

    fn is_told(&self, change: &Change) -> bool {
        match change {
            Change::PutRule { group, .. } | Change::DeleteRule { group, .. } | Change::DeleteShadow(group) => {
                self.groups.contains(group)
            }
            Change::PutShadow(shadow) => self.groups.contains(&shadow.group),
            Change::PutInstance(instance) => instance.host == self.host,
            Change::PutKey(_)
            | Change::DeleteKey(_)
            | Change::PutTerminated(_)
            | Change::DeleteTerminated(_)
            | Change::PutToken(_)
            | Change::DeleteToken { .. }
            | Change::PutSnapshotPolicy(_)
            | Change::DeleteSnapshotPolicy(_)
            | Change::PutSnapshot(_)
            | Change::DeleteSnapshot(_)
            | Change::PutReport(_)
            | Change::DeleteReport { .. }
            | Change::PutPrefixListVersion(_)
            | Change::PutFlowLog(_)
            | Change::DeleteFlowLog(_)
            | Change::PutInsightsPath(_)
            | Change::DeleteInsightsPath(_)
            | Change::PutInsightsAnalysis(_)
            | Change::DeleteInsightsAnalysis(_)
            | Change::PutInvariant(_)
            | Change::DeleteInvariant(_)
            | Change::PutTrial(_)
            | Change::DeleteTrial(_)
            | Change::DeletePrefixListVersion { .. } => false,
            Change::PutBypass(_)
            | Change::PutPlatform(_)
            | Change::PutAccount(_)
            | Change::PutVpc(_)
            | Change::DeleteVpc(_)
            | Change::PutSubnet(_)
            | Change::DeleteSubnet(_)
            | Change::DeleteInstance(_)
            | Change::PutEni(_)
            | Change::DeleteEni(_)
            | Change::PutGroup(_)
            | Change::DeleteGroup(_)
            | Change::PutPrefixList(_)
            | Change::DeletePrefixList(_)
            | Change::PutPortList(_)
            | Change::DeletePortList(_)
            | Change::PutPeering(_)
            | Change::DeletePeering(_)
            | Change::PutNetworkAcl(_)
            | Change::DeleteNetworkAcl(_) => true,
        }
    }
}
