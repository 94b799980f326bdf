//! What can be asked of the world: each request of either cloud that changes something becomes one command.

mod binding;
mod flow_logs;
mod insights;
mod interface;
mod invariant;
mod lists;
mod network;
mod network_acl;
mod new;
mod outcome;
mod peering;
mod rules;
mod shadow;
mod snapshots;
mod trial;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

pub use self::{
    binding::BindingCommand,
    flow_logs::{FlowLogCommand, FlowLogEdit, NewFlowLogs},
    insights::{NewInsightsAnalysis, NewInsightsPath},
    invariant::InvariantCommand,
    lists::{NewPortList, NewPrefixList, PortListEdit, PrefixListEdit},
    network::{NewSubnet, NewVpc, VpcIpv6},
    network_acl::AclCommand,
    new::{NewAccount, NewGroup, NewInstances, NewReport},
    outcome::Outcome,
    peering::NewPeering,
    rules::{NewRule, Revocation, RuleEdit, RuleRewrite},
    shadow::ShadowCommand,
    snapshots::{NewSnapshotPolicy, SnapshotPolicyEdit},
    trial::TrialCommand,
};
use crate::{
    bypass::BypassSet,
    ids::{
        AccountId, EniId, GroupId, HostId, IdSource, InsightsAnalysisId, InsightsPathId, InstanceId, PeeringId,
        PortListId, PrefixListId, RuleId, SnapshotId, SnapshotPolicyId, SubnetId, VpcId,
    },
    limits::LimitMode,
    platform::PlatformPolicy,
    resource::Resource,
    rule::{Direction, RuleSpec},
    tags::{TagKeys, Tags},
    time::Timestamp,
    token::Ticket,
    world::{InnerAccess, Revision, Treatment, VpcAttribute},
};

pub use self::interface::{EniPatch, EniSpec, InstancePatch, NetworkPatch, NewAddresses, Power, PowerChange};

/// What a command needs from outside.
#[derive(Clone, Debug)]
pub struct Context {
    /// The time of the command.
    pub now: Timestamp,
    /// Where fresh names come from.
    pub ids: IdSource,
    /// Which limits hold.
    pub limits: LimitMode,
    /// The host that new instances are placed on.
    pub host: HostId,
}

/// A member of a group, as a client names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Member {
    /// An instance: its primary ENI.
    Instance(InstanceId),
    /// An ENI.
    Eni(EniId),
}

impl Member {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Instance(id) => id.as_str(),
            Self::Eni(id) => id.as_str(),
        }
    }
}

/// Whose treatment of live flows is set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TreatmentOf {
    /// Every ENI of an account that has no choice of its own.
    Account(AccountId),
    /// One ENI.
    Eni(EniId),
}

/// A request to change the world.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Sets the listed part of the bypass set.
    SetBypass {
        /// The whole new list.
        bypass: BypassSet,
    },
    /// Turns a platform policy on or off.
    SetPlatform {
        /// Which.
        policy: PlatformPolicy,
        /// Whether it is on.
        is_on: bool,
    },
    /// Makes an account with its first access key.
    CreateAccount(NewAccount),
    /// Sets or clears an override of the flavor's treatment of live flows.
    SetTreatment {
        /// Whose.
        of: TreatmentOf,
        /// The override; `None` returns to the default.
        treatment: Option<Treatment>,
    },
    /// Makes a VPC.
    CreateVpc(NewVpc),
    /// Deletes a VPC that nothing is in.
    DeleteVpc {
        /// The owner.
        account: AccountId,
        /// The VPC.
        vpc: VpcId,
    },
    /// Makes a subnet.
    CreateSubnet(NewSubnet),
    /// Deletes a subnet that no ENI is in.
    DeleteSubnet {
        /// The owner.
        account: AccountId,
        /// The subnet.
        subnet: SubnetId,
    },
    /// Starts instances, each with a primary ENI.
    RunInstances(Box<NewInstances>),
    /// Deletes instances with those of their ENIs that are not kept. All or none.
    DeleteInstances {
        /// The owner.
        account: AccountId,
        /// Which.
        instances: Vec<InstanceId>,
        /// Also running ones.
        is_forced: bool,
    },
    /// Makes a group, with the rules that its flavor is born with.
    CreateGroup(NewGroup),
    /// Deletes a group that no ENI carries and no other group names.
    DeleteGroup {
        /// The owner.
        account: AccountId,
        /// The group.
        group: GroupId,
    },
    /// Sets the intra-group policy of an `EcsBasic` group.
    SetInnerAccess {
        /// The owner.
        account: AccountId,
        /// The group.
        group: GroupId,
        /// The policy.
        inner_access: InnerAccess,
    },
    /// Adds rules to a group, all or none. A rule that is there already is left as it is.
    Authorize {
        /// The owner.
        account: AccountId,
        /// The group.
        group: GroupId,
        /// The rules.
        rules: Vec<NewRule>,
    },
    /// Takes rules from a group, all or none.
    Revoke {
        /// The owner.
        account: AccountId,
        /// The group.
        group: GroupId,
        /// Rules named by id must look this way.
        direction: Direction,
        /// Which.
        rules: Revocation,
    },
    /// Attaches a group to an ENI.
    JoinGroup {
        /// The owner.
        account: AccountId,
        /// The group.
        group: GroupId,
        /// The ENI.
        member: Member,
    },
    /// Makes a group as another one is: with this intra-group policy and exactly these rules.
    CloneGroup {
        /// The group.
        group: NewGroup,
        /// Its intra-group policy.
        inner_access: InnerAccess,
        /// Its rules.
        rules: Vec<NewRule>,
    },
    /// Carries out several commands, all or none. The outcome is the last one's.
    Together {
        /// Only while the world is at this revision.
        at: Option<Revision>,
        /// The commands, in order.
        commands: Vec<Command>,
    },
    /// Detaches a group from an ENI.
    LeaveGroup {
        /// The owner.
        account: AccountId,
        /// The group.
        group: GroupId,
        /// The ENI.
        member: Member,
    },
    /// Gives resources tags; a key that one has already takes the new value. All or none.
    Tag {
        /// The owner.
        account: AccountId,
        /// Which.
        resources: Vec<Resource>,
        /// The tags.
        tags: Tags,
    },
    /// Makes a resource group.
    CreateResourceGroup {
        /// The owner.
        account: AccountId,
        /// A name for people.
        name: String,
    },
    /// Moves a resource into a resource group.
    JoinResourceGroup {
        /// The owner.
        account: AccountId,
        /// Which.
        resource: Resource,
        /// The resource group; empty is the account's default one.
        resource_group: String,
    },
    /// Carries a command out at most once under a client's token: a repetition has the outcome of the first time.
    Once {
        /// The token, whose it is, and what it was sent with.
        ticket: Ticket,
        /// The command.
        command: Box<Self>,
    },
    /// Takes tags from resources. A key that one does not have is no error. All or none.
    Untag {
        /// The owner.
        account: AccountId,
        /// Which.
        resources: Vec<Resource>,
        /// The keys.
        keys: TagKeys,
    },
    /// Changes the owner's words about a group. What is `None` stays.
    EditGroup {
        /// The owner.
        account: AccountId,
        /// The group.
        group: GroupId,
        /// A new name.
        name: Option<String>,
        /// New words about it.
        description: Option<String>,
    },
    /// Changes one rule, which keeps its name.
    EditRule {
        /// The owner.
        account: AccountId,
        /// The group.
        group: GroupId,
        /// The rule must look this way.
        direction: Direction,
        /// The rule.
        rule: RuleId,
        /// What changes.
        edit: Box<RuleEdit>,
    },
    /// Writes rules of a group anew, all or none and at once: two may take each other's place.
    RewriteRules {
        /// The owner.
        account: AccountId,
        /// The group.
        group: GroupId,
        /// The rules.
        rules: Vec<RuleRewrite>,
    },
    /// Changes the words about the rule that says exactly this.
    DescribeRule {
        /// The owner.
        account: AccountId,
        /// The group.
        group: GroupId,
        /// What the rule says.
        spec: Box<RuleSpec>,
        /// New words; `None` only asks whether there is such a rule.
        description: Option<String>,
    },
    /// Makes a prefix list.
    CreatePrefixList(NewPrefixList),
    /// Changes a prefix list, and so every rule that names it, at once.
    EditPrefixList(PrefixListEdit),
    /// Deletes a prefix list that no rule names.
    DeletePrefixList {
        /// The owner.
        account: AccountId,
        /// The list.
        list: PrefixListId,
    },
    /// Makes a port list.
    CreatePortList(NewPortList),
    /// Changes a port list, and so every rule that names it, at once.
    EditPortList(PortListEdit),
    /// Deletes a port list that no rule names.
    DeletePortList {
        /// The owner.
        account: AccountId,
        /// The list.
        list: PortListId,
    },
    /// Opens a VPC to another account, or closes it again: what that account has in it then stays.
    ShareVpc {
        /// The VPC.
        vpc: VpcId,
        /// The other account.
        with: AccountId,
        /// Whether it may have new groups and interfaces in it.
        is_shared: bool,
    },
    /// Puts a group under deletion protection, or takes it off.
    ProtectGroup {
        /// The group.
        group: GroupId,
        /// Whether it is protected.
        is_protected: bool,
    },
    /// Gives a group to a cloud product to manage, or back to its owner.
    ManageGroup {
        /// The group.
        group: GroupId,
        /// The product; `None` is the owner.
        managed_by: Option<u64>,
    },
    /// Deletes a group by order of the operator.
    RemoveGroup {
        /// The group.
        group: GroupId,
        /// Whether what uses it is taken away first: rules of other groups that name it, and memberships.
        force: bool,
    },
    /// Makes an ENI that is attached to no instance.
    CreateEni {
        /// The owner.
        account: AccountId,
        /// What it is.
        spec: EniSpec,
    },
    /// Deletes an ENI that is attached to no instance.
    DeleteEni {
        /// The owner.
        account: AccountId,
        /// The ENI.
        eni: EniId,
    },
    /// Attaches an ENI to an instance of its VPC and zone.
    AttachEni {
        /// The owner.
        account: AccountId,
        /// The ENI.
        eni: EniId,
        /// The instance.
        instance: InstanceId,
    },
    /// Detaches a secondary ENI from its instance.
    DetachEni {
        /// The owner.
        account: AccountId,
        /// The ENI.
        eni: EniId,
        /// The instance that it must be attached to.
        instance: InstanceId,
    },
    /// Changes an ENI.
    ModifyEni {
        /// The owner.
        account: AccountId,
        /// The ENI.
        eni: EniId,
        /// What changes.
        patch: EniPatch,
    },
    /// Gives an ENI further private addresses, all or none.
    AssignAddresses {
        /// The owner.
        account: AccountId,
        /// The ENI.
        eni: EniId,
        /// The addresses.
        addresses: NewAddresses,
    },
    /// Takes private addresses, not the primary one, from an ENI, all or none.
    UnassignAddresses {
        /// The owner.
        account: AccountId,
        /// The ENI.
        eni: EniId,
        /// The addresses.
        addresses: Vec<IpAddr>,
    },
    /// Changes an instance.
    ModifyInstance {
        /// The owner.
        account: AccountId,
        /// The instance.
        instance: InstanceId,
        /// What changes.
        patch: InstancePatch,
    },
    /// Starts, stops or reboots instances.
    SetPower {
        /// The owner.
        account: AccountId,
        /// Which.
        instances: Vec<InstanceId>,
        /// What becomes of them.
        power: Power,
        /// Whether one that cannot is a reason to leave all as they are.
        is_all_or_none: bool,
    },
    /// Changes a VPC.
    ModifyVpc {
        /// The owner.
        account: AccountId,
        /// The VPC.
        vpc: VpcId,
        /// What changes.
        patch: NetworkPatch,
        /// An IPv6 block for a VPC without one.
        ipv6: VpcIpv6,
    },
    /// Changes a subnet.
    ModifySubnet {
        /// The owner.
        account: AccountId,
        /// The subnet.
        subnet: SubnetId,
        /// What changes.
        patch: NetworkPatch,
        /// Which /64 of the VPC's IPv6 block, for a subnet without one.
        ipv6_index: Option<u8>,
    },
    /// Makes a snapshot policy that is attached to nothing.
    CreateSnapshotPolicy(NewSnapshotPolicy),
    /// Changes a snapshot policy.
    EditSnapshotPolicy(SnapshotPolicyEdit),
    /// Deletes a snapshot policy. The snapshots stay for as long as they were to be kept.
    DeleteSnapshotPolicy {
        /// The policy.
        policy: SnapshotPolicyId,
    },
    /// Attaches a snapshot policy to groups of its owner, and takes a snapshot of each.
    AttachSnapshotPolicy {
        /// The policy.
        policy: SnapshotPolicyId,
        /// The groups.
        groups: Vec<GroupId>,
    },
    /// Detaches a snapshot policy from groups.
    DetachSnapshotPolicy {
        /// The policy.
        policy: SnapshotPolicyId,
        /// The groups.
        groups: Vec<GroupId>,
    },
    /// Takes the snapshots that are due, and deletes those that were kept long enough.
    KeepSnapshots,
    /// Makes the rules of a group what they were in a snapshot.
    RestoreSnapshot {
        /// The snapshot.
        snapshot: SnapshotId,
    },
    /// Keeps a diagnostic report.
    CreateReport(NewReport),
    /// Deletes a resource group that nothing is in.
    DeleteResourceGroup {
        /// The owner.
        account: AccountId,
        /// The resource group.
        resource_group: String,
    },
    /// Forgets terminated instances that have been shown for long enough.
    ForgetTerminated,
    /// Turns an attribute of a VPC on or off.
    SetVpcAttribute {
        /// The owner.
        account: AccountId,
        /// The VPC.
        vpc: VpcId,
        /// The attribute.
        attribute: VpcAttribute,
        /// Whether it is on.
        is_on: bool,
    },
    /// Gives an ENI to a cloud product to manage, or back to its owner.
    ManageEni {
        /// The ENI.
        eni: EniId,
        /// The product; `None` is the owner.
        managed_by: Option<u64>,
    },
    /// Lets ENIs of a further VPC carry a group, or no longer.
    AssociateGroup {
        /// The owner.
        account: AccountId,
        /// The group.
        group: GroupId,
        /// The VPC.
        vpc: VpcId,
        /// Whether its ENIs may.
        is_associated: bool,
    },
    /// Asks whether one ENI may carry all of these groups. Changes nothing.
    CheckGroups {
        /// The owner.
        account: AccountId,
        /// The groups.
        groups: Vec<GroupId>,
    },
    /// Makes, edits, turns on or off, or deletes flow logs.
    FlowLogs {
        /// The owner.
        account: AccountId,
        /// The region that they are in.
        region: String,
        /// What is to be done.
        command: FlowLogCommand,
    },
    /// Keeps a path whose reachability is asked about.
    CreateInsightsPath(Box<NewInsightsPath>),
    /// Deletes a path that no analysis is of.
    DeleteInsightsPath {
        /// The owner.
        account: AccountId,
        /// The path.
        path: InsightsPathId,
    },
    /// Keeps an analysis of a path.
    CreateInsightsAnalysis(Box<NewInsightsAnalysis>),
    /// Deletes an analysis.
    DeleteInsightsAnalysis {
        /// The owner.
        account: AccountId,
        /// The analysis.
        analysis: InsightsAnalysisId,
    },
    /// Gives a prefix list the entries of an older version, as a new version.
    RestorePrefixList {
        /// The owner.
        account: AccountId,
        /// The list.
        list: PrefixListId,
        /// The older version.
        version: u64,
        /// Only while the list is at this version.
        at: u64,
    },
    /// Asks for a peering connection.
    CreatePeering(NewPeering),
    /// Accepts a peering connection.
    AcceptPeering {
        /// The owner of the VPC that was asked.
        account: AccountId,
        /// The connection.
        peering: PeeringId,
    },
    /// Refuses a peering connection.
    RejectPeering {
        /// The owner of the VPC that was asked.
        account: AccountId,
        /// The connection.
        peering: PeeringId,
    },
    /// Ends requests for peering connections that nobody answered, and forgets what has ended long enough ago.
    KeepPeerings,
    /// Ends a peering connection.
    DeletePeering {
        /// An owner of one of the VPCs.
        account: AccountId,
        /// The connection.
        peering: PeeringId,
    },
    /// Makes, edits, gives away or deletes a network ACL.
    NetworkAcl {
        /// The owner.
        account: AccountId,
        /// What is to be done.
        command: AclCommand,
    },
    /// Sets, clears or promotes the candidate of a group.
    Shadow(ShadowCommand),
    /// Binds an ENI to an interface that this program did not make, or lets it go.
    Binding(BindingCommand),
    /// Sets or removes an invariant.
    Invariant(InvariantCommand),
    /// Makes a change on trial, confirms it, or undoes it.
    Trial(TrialCommand),
}

impl Command {
    /// The report that the command keeps, if that is what it does, also under a client's token.
    pub fn report_mut(&mut self) -> Option<&mut NewReport> {
        if let Self::Once { command, .. } = self {
            return command.report_mut();
        }
        if let Self::CreateReport(new) = self { Some(new) } else { None }
    }

    /// The analysis of a path that the command keeps, likewise.
    pub fn analysis_mut(&mut self) -> Option<&mut NewInsightsAnalysis> {
        if let Self::Once { command, .. } = self {
            return command.analysis_mut();
        }
        if let Self::CreateInsightsAnalysis(new) = self { Some(new) } else { None }
    }
}
