//! What is stored, sent and applied: the outcome of a command, as facts.
//!
//! A change carries everything that it needs, so replaying the changes of a store gives the world back
//! without judging anything again. [`Change::row`] is the row it lives in: the newest change of a row
//! wins, and a snapshot is the newest `Put` of every row, in the order of [`Row`].

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    bypass::BypassSet,
    diagnosis::Report,
    flow_log::FlowLog,
    ids::{
        AccountId, EniId, FlowLogId, GroupId, InsightsAnalysisId, InsightsPathId, InstanceId, KeyId, NetworkAclId,
        PeeringId, PortListId, PrefixListId, ReportId, RuleId, SnapshotId, SnapshotPolicyId, SubnetId, VpcId,
    },
    insights::{InsightsAnalysis, InsightsPath},
    invariant::Invariant,
    network_acl::NetworkAcl,
    peering::Peering,
    platform::Platform,
    rule::Rule,
    shadow::Shadow,
    snapshot::{Snapshot, SnapshotPolicy},
    terminated::Terminated,
    time::Timestamp,
    token::Token,
    trial::Trial,
    world::{
        AccessKey, Account, Eni, Group, Instance, PortList, PrefixList, PrefixListVersion, Revision, Subnet, Vpc,
        World,
    },
};

/// One fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// The bypass set is this.
    PutBypass(Arc<BypassSet>),
    /// The platform policies are these.
    PutPlatform(Platform),
    /// The account is this.
    PutAccount(Arc<Account>),
    /// The access key is this.
    PutKey(Arc<AccessKey>),
    /// The access key is gone.
    DeleteKey(KeyId),
    /// The VPC is this.
    PutVpc(Arc<Vpc>),
    /// The VPC is gone.
    DeleteVpc(VpcId),
    /// The subnet is this.
    PutSubnet(Arc<Subnet>),
    /// The subnet is gone.
    DeleteSubnet(SubnetId),
    /// The instance is this.
    PutInstance(Arc<Instance>),
    /// The instance is gone.
    DeleteInstance(InstanceId),
    /// The instance was terminated, and is still shown.
    PutTerminated(Arc<Terminated>),
    /// The terminated instance is forgotten.
    DeleteTerminated(InstanceId),
    /// The ENI is this.
    PutEni(Arc<Eni>),
    /// The ENI is gone.
    DeleteEni(EniId),
    /// The group's header is this; its rules stay as they are.
    PutGroup(Arc<Group>),
    /// The group is gone, and every rule of it. Each rule is deleted by a change of its own before.
    DeleteGroup(GroupId),
    /// The rule is this.
    PutRule {
        /// The group it is part of.
        group: GroupId,
        /// The rule.
        rule: Arc<Rule>,
    },
    /// The rule is gone.
    DeleteRule {
        /// The group it was part of.
        group: GroupId,
        /// The rule.
        rule: RuleId,
    },
    /// The prefix list is this.
    PutPrefixList(Arc<PrefixList>),
    /// The prefix list is gone.
    DeletePrefixList(PrefixListId),
    /// The port list is this.
    PutPortList(Arc<PortList>),
    /// The port list is gone.
    DeletePortList(PortListId),
    /// A command was carried out under this token.
    PutToken(Arc<Token>),
    /// The token is forgotten.
    DeleteToken {
        /// Whose it was.
        account: AccountId,
        /// The client's text.
        text: String,
    },
    /// The snapshot policy is this.
    PutSnapshotPolicy(Arc<SnapshotPolicy>),
    /// The snapshot policy is gone.
    DeleteSnapshotPolicy(SnapshotPolicyId),
    /// The snapshot is this.
    PutSnapshot(Arc<Snapshot>),
    /// The snapshot is gone.
    DeleteSnapshot(SnapshotId),
    /// The diagnostic report is this.
    PutReport(Arc<Report>),
    /// The diagnostic report is gone.
    DeleteReport {
        /// Whose it was.
        account: AccountId,
        /// The report.
        id: ReportId,
    },
    /// The flow log is this.
    PutFlowLog(Arc<FlowLog>),
    /// The flow log is gone.
    DeleteFlowLog(FlowLogId),
    /// The path is this.
    PutInsightsPath(Arc<InsightsPath>),
    /// The path is gone.
    DeleteInsightsPath(InsightsPathId),
    /// The analysis is this.
    PutInsightsAnalysis(Arc<InsightsAnalysis>),
    /// The analysis is gone.
    DeleteInsightsAnalysis(InsightsAnalysisId),
    /// An older version of a prefix list is this.
    PutPrefixListVersion(Arc<PrefixListVersion>),
    /// An older version of a prefix list is forgotten.
    DeletePrefixListVersion {
        /// The list.
        list: PrefixListId,
        /// Which version.
        version: u64,
    },
    /// The peering connection is this.
    PutPeering(Arc<Peering>),
    /// The peering connection is forgotten.
    DeletePeering(PeeringId),
    /// The network ACL is this, with its entries.
    PutNetworkAcl(Arc<NetworkAcl>),
    /// The network ACL is gone.
    DeleteNetworkAcl(NetworkAclId),
    /// The candidate of a group is this.
    PutShadow(Arc<Shadow>),
    /// The group has no candidate any more.
    DeleteShadow(GroupId),
    /// The invariant is this, and holds or does not.
    PutInvariant(Arc<Invariant>),
    /// The invariant of this name is gone.
    DeleteInvariant(String),
    /// A change waits to be confirmed.
    PutTrial(Arc<Trial>),
    /// It waits no more.
    DeleteTrial(String),
}

/// The row of a change. The order of the variants is the order in which a snapshot is read back: what is
/// named comes before what names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Row {
    /// The one bypass set.
    Bypass,
    /// The one set of platform policies.
    Platform,
    /// An account.
    Account(AccountId),
    /// An access key.
    Key(KeyId),
    /// A VPC.
    Vpc(VpcId),
    /// A peering connection.
    Peering(PeeringId),
    /// A network ACL.
    NetworkAcl(NetworkAclId),
    /// A subnet.
    Subnet(SubnetId),
    /// A prefix list.
    PrefixList(PrefixListId),
    /// A port list.
    PortList(PortListId),
    /// A group's header.
    Group(GroupId),
    /// A rule of a group.
    Rule(GroupId, RuleId),
    /// The candidate of a group.
    Shadow(GroupId),
    /// An instance.
    Instance(InstanceId),
    /// A terminated instance.
    Terminated(InstanceId),
    /// An ENI.
    Eni(EniId),
    /// A client token of an account.
    Token(AccountId, String),
    /// A snapshot policy.
    SnapshotPolicy(SnapshotPolicyId),
    /// A snapshot of a group's rules.
    Snapshot(SnapshotId),
    /// A diagnostic report of an account.
    Report(AccountId, ReportId),
    /// An older version of a prefix list.
    PrefixListVersion(PrefixListId, u64),
    /// A flow log.
    FlowLog(FlowLogId),
    /// A path whose reachability is asked about.
    InsightsPath(InsightsPathId),
    /// An analysis of a path.
    InsightsAnalysis(InsightsAnalysisId),
    /// An invariant, by name.
    Invariant(String),
    /// A change on trial.
    Trial(String),
}

impl Row {
    /// The change that deletes the row. The bypass set, the platform policies and accounts are never deleted.
    pub(crate) fn into_delete(self) -> Option<Change> {
        Some(match self {
            Self::Bypass | Self::Platform | Self::Account(_) => return None,
            Self::Key(id) => Change::DeleteKey(id),
            Self::Vpc(id) => Change::DeleteVpc(id),
            Self::Peering(id) => Change::DeletePeering(id),
            Self::NetworkAcl(id) => Change::DeleteNetworkAcl(id),
            Self::Subnet(id) => Change::DeleteSubnet(id),
            Self::PrefixList(id) => Change::DeletePrefixList(id),
            Self::PortList(id) => Change::DeletePortList(id),
            Self::Group(id) => Change::DeleteGroup(id),
            Self::Rule(group, rule) => Change::DeleteRule { group, rule },
            Self::Shadow(group) => Change::DeleteShadow(group),
            Self::Instance(id) => Change::DeleteInstance(id),
            Self::Terminated(id) => Change::DeleteTerminated(id),
            Self::Eni(id) => Change::DeleteEni(id),
            Self::Token(account, text) => Change::DeleteToken { account, text },
            Self::SnapshotPolicy(id) => Change::DeleteSnapshotPolicy(id),
            Self::Snapshot(id) => Change::DeleteSnapshot(id),
            Self::Report(account, id) => Change::DeleteReport { account, id },
            Self::PrefixListVersion(list, version) => Change::DeletePrefixListVersion { list, version },
            Self::FlowLog(id) => Change::DeleteFlowLog(id),
            Self::InsightsPath(id) => Change::DeleteInsightsPath(id),
            Self::InsightsAnalysis(id) => Change::DeleteInsightsAnalysis(id),
            Self::Invariant(name) => Change::DeleteInvariant(name),
            Self::Trial(id) => Change::DeleteTrial(id),
        })
    }

    /// `rule/sg-1/sgr-1`: the row's name without what sorts it in a store.
    #[must_use]
    pub fn name(&self) -> String {
        let key = self.to_key();
        key.split_once('/').map_or(key.clone(), |(_, name)| name.to_owned())
    }

    /// The row's name in a store: kinds sort in the order of the variants.
    #[must_use]
    pub fn to_key(&self) -> String {
        match self {
            Self::Bypass => "a/bypass".to_owned(),
            Self::Platform => "a/platform".to_owned(),
            Self::Account(id) => format!("b/account/{id}"),
            Self::Key(id) => format!("c/key/{id}"),
            Self::Vpc(id) => format!("d/vpc/{id}"),
            Self::Peering(id) => format!("da/peering/{id}"),
            Self::NetworkAcl(id) => format!("db/network-acl/{id}"),
            Self::Subnet(id) => format!("e/subnet/{id}"),
            Self::PrefixList(id) => format!("f/prefix-list/{id}"),
            Self::PortList(id) => format!("g/port-list/{id}"),
            Self::Group(id) => format!("h/group/{id}"),
            Self::Rule(group, id) => format!("i/rule/{group}/{id}"),
            Self::Shadow(group) => format!("ia/shadow/{group}"),
            Self::Instance(id) => format!("j/instance/{id}"),
            Self::Terminated(id) => format!("ja/terminated/{id}"),
            Self::Eni(id) => format!("k/eni/{id}"),
            Self::Token(account, text) => format!("l/token/{account}/{text}"),
            Self::SnapshotPolicy(id) => format!("m/snapshot-policy/{id}"),
            Self::Snapshot(id) => format!("n/snapshot/{id}"),
            Self::Report(account, id) => format!("o/report/{account}/{id}"),
            Self::PrefixListVersion(list, version) => format!("p/prefix-list-version/{list}/{version:020}"),
            Self::FlowLog(id) => format!("q/flow-log/{id}"),
            Self::InsightsPath(id) => format!("r/insights-path/{id}"),
            Self::InsightsAnalysis(id) => format!("s/insights-analysis/{id}"),
            Self::Invariant(name) => format!("t/invariant/{name}"),
            Self::Trial(id) => format!("u/trial/{id}"),
        }
    }
}

impl Change {
    /// The row that the change writes or deletes.
    #[must_use]
    pub fn row(&self) -> Row {
        match self {
            Self::PutBypass(_) => Row::Bypass,
            Self::PutPlatform(_) => Row::Platform,
            Self::PutAccount(account) => Row::Account(account.id.clone()),
            Self::PutKey(key) => Row::Key(key.id.clone()),
            Self::DeleteKey(id) => Row::Key(id.clone()),
            Self::PutVpc(vpc) => Row::Vpc(vpc.id.clone()),
            Self::DeleteVpc(id) => Row::Vpc(id.clone()),
            Self::PutSubnet(subnet) => Row::Subnet(subnet.id.clone()),
            Self::DeleteSubnet(id) => Row::Subnet(id.clone()),
            Self::PutInstance(instance) => Row::Instance(instance.id.clone()),
            Self::DeleteInstance(id) => Row::Instance(id.clone()),
            Self::PutTerminated(gone) => Row::Terminated(gone.instance.id.clone()),
            Self::DeleteTerminated(id) => Row::Terminated(id.clone()),
            Self::PutEni(eni) => Row::Eni(eni.id.clone()),
            Self::DeleteEni(id) => Row::Eni(id.clone()),
            Self::PutGroup(group) => Row::Group(group.id.clone()),
            Self::DeleteGroup(id) => Row::Group(id.clone()),
            Self::PutRule { group, rule } => Row::Rule(group.clone(), rule.id.clone()),
            Self::DeleteRule { group, rule } => Row::Rule(group.clone(), rule.clone()),
            Self::PutPrefixList(list) => Row::PrefixList(list.id.clone()),
            Self::DeletePrefixList(id) => Row::PrefixList(id.clone()),
            Self::PutPortList(list) => Row::PortList(list.id.clone()),
            Self::DeletePortList(id) => Row::PortList(id.clone()),
            Self::PutToken(token) => Row::Token(token.ticket.account.clone(), token.ticket.text.clone()),
            Self::DeleteToken { account, text } => Row::Token(account.clone(), text.clone()),
            Self::PutSnapshotPolicy(policy) => Row::SnapshotPolicy(policy.id.clone()),
            Self::DeleteSnapshotPolicy(id) => Row::SnapshotPolicy(id.clone()),
            Self::PutSnapshot(snapshot) => Row::Snapshot(snapshot.id.clone()),
            Self::DeleteSnapshot(id) => Row::Snapshot(id.clone()),
            Self::PutReport(report) => Row::Report(report.account.clone(), report.id.clone()),
            Self::DeleteReport { account, id } => Row::Report(account.clone(), id.clone()),
            Self::PutFlowLog(log) => Row::FlowLog(log.id.clone()),
            Self::DeleteFlowLog(id) => Row::FlowLog(id.clone()),
            Self::PutInsightsPath(path) => Row::InsightsPath(path.id.clone()),
            Self::DeleteInsightsPath(id) => Row::InsightsPath(id.clone()),
            Self::PutInsightsAnalysis(analysis) => Row::InsightsAnalysis(analysis.id.clone()),
            Self::DeleteInsightsAnalysis(id) => Row::InsightsAnalysis(id.clone()),
            Self::PutPrefixListVersion(old) => Row::PrefixListVersion(old.list.clone(), old.version),
            Self::DeletePrefixListVersion { list, version } => Row::PrefixListVersion(list.clone(), *version),
            Self::PutPeering(peering) => Row::Peering(peering.id.clone()),
            Self::DeletePeering(id) => Row::Peering(id.clone()),
            Self::PutNetworkAcl(acl) => Row::NetworkAcl(acl.id.clone()),
            Self::DeleteNetworkAcl(id) => Row::NetworkAcl(id.clone()),
            Self::PutShadow(shadow) => Row::Shadow(shadow.group.clone()),
            Self::DeleteShadow(group) => Row::Shadow(group.clone()),
            Self::PutInvariant(invariant) => Row::Invariant(invariant.name.clone()),
            Self::DeleteInvariant(name) => Row::Invariant(name.clone()),
            Self::PutTrial(trial) => Row::Trial(trial.id.clone()),
            Self::DeleteTrial(id) => Row::Trial(id.clone()),
        }
    }

    /// Whether the change deletes its row.
    #[must_use]
    pub fn is_delete(&self) -> bool {
        match self {
            Self::DeleteKey(_)
            | Self::DeleteVpc(_)
            | Self::DeleteSubnet(_)
            | Self::DeleteInstance(_)
            | Self::DeleteTerminated(_)
            | Self::DeleteEni(_)
            | Self::DeleteGroup(_)
            | Self::DeleteRule { .. }
            | Self::DeletePrefixList(_)
            | Self::DeletePortList(_)
            | Self::DeleteToken { .. }
            | Self::DeleteSnapshotPolicy(_)
            | Self::DeleteSnapshot(_)
            | Self::DeleteReport { .. }
            | Self::DeletePrefixListVersion { .. }
            | Self::DeletePeering(_)
            | Self::DeleteNetworkAcl(_)
            | Self::DeleteShadow(_)
            | Self::DeleteInvariant(_)
            | Self::DeleteTrial(_)
            | Self::DeleteFlowLog(_)
            | Self::DeleteInsightsPath(_)
            | Self::DeleteInsightsAnalysis(_) => true,
            Self::PutBypass(_)
            | Self::PutPlatform(_)
            | Self::PutAccount(_)
            | Self::PutKey(_)
            | Self::PutVpc(_)
            | Self::PutSubnet(_)
            | Self::PutInstance(_)
            | Self::PutTerminated(_)
            | Self::PutEni(_)
            | Self::PutGroup(_)
            | Self::PutRule { .. }
            | Self::PutPrefixList(_)
            | Self::PutPortList(_)
            | Self::PutToken(_)
            | Self::PutSnapshotPolicy(_)
            | Self::PutSnapshot(_)
            | Self::PutReport(_)
            | Self::PutPrefixListVersion(_)
            | Self::PutPeering(_)
            | Self::PutNetworkAcl(_)
            | Self::PutShadow(_)
            | Self::PutInvariant(_)
            | Self::PutTrial(_)
            | Self::PutFlowLog(_)
            | Self::PutInsightsPath(_)
            | Self::PutInsightsAnalysis(_) => false,
        }
    }
}

/// Who asked for a change, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Access key id, or `operator`, or `system`.
    pub who: String,
    /// The cloud operation or command.
    pub operation: String,
    /// The address the request came from, if it came over the network.
    pub from: Option<String>,
    /// The id that the client was given for its request.
    pub request_id: String,
}

/// One committed command: what the log keeps, and what agents are sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Its number.
    pub revision: Revision,
    /// When it was committed.
    pub at: Timestamp,
    /// Who asked for it.
    pub actor: Actor,
    /// What it changed.
    pub changes: Vec<Change>,
}

impl World {
    /// The changes that rebuild this world from nothing, in the order of [`Row`].
    #[must_use]
    pub fn to_changes(&self) -> Vec<Change> {
        self.to_changes_with_rules(|_| true)
    }

    /// The same, with the rules of some groups only: rules are most of a large world.
    pub(crate) fn to_changes_with_rules(&self, is_wanted: impl Fn(&GroupId) -> bool) -> Vec<Change> {
        let mut all = vec![Change::PutBypass(Arc::clone(&self.bypass)), Change::PutPlatform(self.platform)];
        all.extend(self.accounts.values().cloned().map(Change::PutAccount));
        all.extend(self.keys.values().cloned().map(Change::PutKey));
        all.extend(self.vpcs.values().cloned().map(Change::PutVpc));
        all.extend(self.peerings.iter().cloned().map(Change::PutPeering));
        all.extend(self.network_acls.values().cloned().map(Change::PutNetworkAcl));
        all.extend(self.subnets.values().cloned().map(Change::PutSubnet));
        all.extend(self.prefix_lists.values().cloned().map(Change::PutPrefixList));
        all.extend(self.port_lists.values().cloned().map(Change::PutPortList));
        all.extend(self.groups.values().cloned().map(Change::PutGroup));
        for group in self.groups.values().filter(|group| is_wanted(&group.id)) {
            let put = |rule: &Arc<Rule>| Change::PutRule { group: group.id.clone(), rule: Arc::clone(rule) };
            all.extend(group.rules.values().map(put));
        }
        let shadows = self.shadows.iter().filter(|shadow| is_wanted(&shadow.group));
        all.extend(shadows.cloned().map(Change::PutShadow));
        all.extend(self.instances.values().cloned().map(Change::PutInstance));
        all.extend(self.terminated.iter().cloned().map(Change::PutTerminated));
        all.extend(self.enis.values().cloned().map(Change::PutEni));
        all.extend(self.tokens.iter().cloned().map(Change::PutToken));
        all.extend(self.snapshots.policies().cloned().map(Change::PutSnapshotPolicy));
        all.extend(self.snapshots.iter().cloned().map(Change::PutSnapshot));
        all.extend(self.reports.values().cloned().map(Change::PutReport));
        all.extend(self.prefix_list_versions.values().cloned().map(Change::PutPrefixListVersion));
        all.extend(self.flow_logs.values().cloned().map(Change::PutFlowLog));
        all.extend(self.insights_paths.values().cloned().map(Change::PutInsightsPath));
        all.extend(self.insights_analyses.values().cloned().map(Change::PutInsightsAnalysis));
        all.extend(self.invariants.iter().cloned().map(Change::PutInvariant));
        all.extend(self.trials.iter().cloned().map(Change::PutTrial));
        all
    }

    /// The changes that lead from another world to this one: what the other has too much, gone, in reverse
    /// order of [`Row`], then everything that is here.
    #[must_use]
    pub fn changes_from(&self, other: &World) -> Vec<Change> {
        let lost = other.to_changes().into_iter().rev().map(|fact| fact.row()).filter(|row| !self.holds(row));
        lost.filter_map(Row::into_delete).chain(self.to_changes()).collect()
    }

    fn holds(&self, row: &Row) -> bool {
        match row {
            Row::Bypass | Row::Platform => true,
            Row::Account(id) => self.accounts.contains_key(id),
            Row::Key(id) => self.keys.contains_key(id),
            Row::Vpc(id) => self.vpcs.contains_key(id),
            Row::Peering(id) => self.peerings.get(id).is_some(),
            Row::NetworkAcl(id) => self.network_acls.contains_key(id),
            Row::Subnet(id) => self.subnets.contains_key(id),
            Row::PrefixList(id) => self.prefix_lists.contains_key(id),
            Row::PortList(id) => self.port_lists.contains_key(id),
            Row::Group(id) => self.groups.contains_key(id),
            Row::Rule(group, id) => self.groups.get(group).is_some_and(|group| group.rules.contains_key(id)),
            Row::Shadow(group) => self.shadows.get(group).is_some(),
            Row::Instance(id) => self.instances.contains_key(id),
            Row::Terminated(id) => self.terminated.get(id).is_some(),
            Row::Eni(id) => self.enis.contains_key(id),
            Row::Token(account, text) => self.tokens.get(account, text).is_some(),
            Row::SnapshotPolicy(id) => self.snapshots.policy(id).is_some(),
            Row::Snapshot(id) => self.snapshots.get(id).is_some(),
            Row::Report(account, id) => self.reports.contains_key(&(account.clone(), id.clone())),
            Row::FlowLog(id) => self.flow_logs.contains_key(id),
            Row::InsightsPath(id) => self.insights_paths.contains_key(id),
            Row::InsightsAnalysis(id) => self.insights_analyses.contains_key(id),
            Row::Invariant(name) => self.invariants.get(name).is_some(),
            Row::Trial(id) => self.trials.get(id).is_some(),
            Row::PrefixListVersion(list, version) => self.prefix_list_version(list, *version).is_some(),
        }
    }

    /// What a row says now; a group without its rules, which are rows of their own.
    pub(crate) fn fact(&self, row: &Row) -> Option<Change> {
        Some(match row {
            Row::Bypass => Change::PutBypass(Arc::clone(&self.bypass)),
            Row::Platform => Change::PutPlatform(self.platform),
            Row::Account(id) => Change::PutAccount(Arc::clone(self.accounts.get(id)?)),
            Row::Key(id) => Change::PutKey(Arc::clone(self.keys.get(id)?)),
            Row::Vpc(id) => Change::PutVpc(Arc::clone(self.vpcs.get(id)?)),
            Row::Peering(id) => Change::PutPeering(Arc::clone(self.peerings.get(id)?)),
            Row::NetworkAcl(id) => Change::PutNetworkAcl(Arc::clone(self.network_acls.get(id)?)),
            Row::Subnet(id) => Change::PutSubnet(Arc::clone(self.subnets.get(id)?)),
            Row::PrefixList(id) => Change::PutPrefixList(Arc::clone(self.prefix_lists.get(id)?)),
            Row::PortList(id) => Change::PutPortList(Arc::clone(self.port_lists.get(id)?)),
            Row::Group(id) => {
                let header = Group { rules: Default::default(), ..Group::clone(self.groups.get(id)?) };
                Change::PutGroup(Arc::new(header))
            }
            Row::Rule(group, id) => {
                let rule = Arc::clone(self.groups.get(group)?.rules.get(id)?);
                Change::PutRule { group: group.clone(), rule }
            }
            Row::Shadow(group) => Change::PutShadow(Arc::clone(self.shadows.get(group)?)),
            Row::Instance(id) => Change::PutInstance(Arc::clone(self.instances.get(id)?)),
            Row::Terminated(id) => Change::PutTerminated(Arc::clone(self.terminated.get(id)?)),
            Row::Eni(id) => Change::PutEni(Arc::clone(self.enis.get(id)?)),
            Row::Token(account, text) => Change::PutToken(Arc::clone(self.tokens.get(account, text)?)),
            Row::SnapshotPolicy(id) => Change::PutSnapshotPolicy(Arc::clone(self.snapshots.policy(id)?)),
            Row::Snapshot(id) => Change::PutSnapshot(Arc::clone(self.snapshots.get(id)?)),
            Row::Report(account, id) => {
                Change::PutReport(Arc::clone(self.reports.get(&(account.clone(), id.clone()))?))
            }
            Row::FlowLog(id) => Change::PutFlowLog(Arc::clone(self.flow_logs.get(id)?)),
            Row::InsightsPath(id) => Change::PutInsightsPath(Arc::clone(self.insights_paths.get(id)?)),
            Row::InsightsAnalysis(id) => Change::PutInsightsAnalysis(Arc::clone(self.insights_analyses.get(id)?)),
            Row::PrefixListVersion(list, version) => {
                Change::PutPrefixListVersion(Arc::clone(self.prefix_list_version(list, *version)?))
            }
            Row::Invariant(name) => Change::PutInvariant(Arc::clone(self.invariants.get(name)?)),
            Row::Trial(id) => Change::PutTrial(Arc::clone(self.trials.get(id)?)),
        })
    }

    /// Makes every change of a commit and takes its revision.
    pub fn commit(&mut self, commit: &Commit) {
        for change in &commit.changes {
            self.apply(change);
        }
        self.revision = commit.revision;
    }
}
