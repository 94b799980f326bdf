//! What comes of a command.

use std::{net::IpAddr, sync::Arc};

use serde::{Deserialize, Serialize};

use super::PowerChange;
use crate::{
    ids::{
        AccountId, AclAssociationId, EniId, FlowLogId, GroupId, InsightsAnalysisId, InsightsPathId, InstanceId,
        NetworkAclId, PeeringId, PortListId, PrefixListId, ReportId, RuleId, SnapshotPolicyId, SubnetId, VpcId,
    },
    refusal::Refusal,
    rule::Rule,
    world::{InstanceState, PrefixList},
};

/// What a client is told about a command that was carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Nothing more than that.
    Done,
    /// The new account.
    Account(AccountId),
    /// The new VPC.
    Vpc(VpcId),
    /// The new subnet.
    Subnet(SubnetId),
    /// The new instances.
    Instances(Vec<InstanceId>),
    /// The new group.
    Group(GroupId),
    /// The new resource group.
    ResourceGroup(String),
    /// The rules that the request named, new or there already, in the request's order.
    Rules(Vec<RuleId>),
    /// The new prefix list.
    PrefixList(PrefixListId),
    /// The new port list.
    PortList(PortListId),
    /// What was taken away so that a group could be deleted.
    Removed {
        /// Rules of other groups that named it.
        rules: Vec<(GroupId, RuleId)>,
        /// Interfaces that carried it.
        enis: Vec<EniId>,
    },
    /// The new ENI.
    Eni(EniId),
    /// The addresses that an ENI got.
    Addresses {
        /// The ENI.
        eni: EniId,
        /// The addresses.
        addresses: Vec<IpAddr>,
    },
    /// What became of each instance, in the request's order.
    Power(Vec<PowerChange>),
    /// The rules that were revoked, as they were.
    Revoked(Vec<Arc<Rule>>),
    /// The instances that were deleted, with the state that each had.
    Deleted(Vec<(InstanceId, InstanceState)>),
    /// The new snapshot policy.
    SnapshotPolicy(SnapshotPolicyId),
    /// The new diagnostic report.
    Report(ReportId),
    /// The new flow logs, and the resources that got none, each with the reason.
    FlowLogs {
        /// Those that were made.
        made: Vec<FlowLogId>,
        /// Ids of resources.
        failed: Vec<(String, Refusal)>,
    },
    /// The new path.
    InsightsPath(InsightsPathId),
    /// The new analysis.
    InsightsAnalysis(InsightsAnalysisId),
    /// The prefix list that was deleted, as it was.
    DeletedPrefixList(Arc<PrefixList>),
    /// The peering connection that was asked for or accepted.
    Peering(PeeringId),
    /// The new network ACL.
    NetworkAcl(NetworkAclId),
    /// The new association of a subnet with its network ACL.
    AclAssociation(AclAssociationId),
    /// The change on trial, nothing when there is nothing to undo; and what came of the command.
    Trial(Option<String>, Box<Self>),
    /// A change on trial was undone.
    RolledBack {
        /// Its name.
        trial: String,
        /// What is as it was before.
        restored: Vec<String>,
        /// What is not, each with the reason.
        left: Vec<String>,
    },
}
