//! Why the cloud would refuse what `core` refuses: one table from neutral words to codes, by operation.
//!
//! Sources: `spec/ecs.md` D and A7; for VPC operations the vendor's error tables of CreateVpc, CreateVSwitch,
//! DeleteVpc and DeleteVSwitch. Where the data plane, not a quota, is full, the operation's quota error says so.

use sekimori_core::{
    refusal::{Counted, Kind, Refusal},
    rule::Direction,
};

use super::{
    catalog::Action,
    errors::{Failure, Fault, TagFault, failure, is_of_interface, no_port_list, no_prefix_list, peer_group},
};

/// What the client of an operation is told about a refusal.
#[must_use]
pub fn of_refusal(action: Option<Action>, refusal: &Refusal) -> Failure {
    match refusal {
        Refusal::Invariant { .. } => failure(
            403,
            "Forbidden.RAM",
            format!("User not authorized to operate on the specified resource: {refusal}."),
        ),
        Refusal::Missing { kind, .. } if is_about_resources(action) && *kind != Kind::ResourceGroup => {
            Fault::Tag(TagFault::Resource).failure(action)
        }
        Refusal::Missing { kind, id: _ } => missing(action, *kind),
        Refusal::InUse { kind, id: _, by } => in_use(*kind, by),
        Refusal::Exists { .. } => failure(409, "OperationConflict", format!("The operation conflicts: {refusal}.")),
        Refusal::Limit { counted, limit, wanted: _ } | Refusal::HostLimit { counted, limit, .. } => limited(action, *counted, *limit, refusal),
        Refusal::VpcMismatch { one, other: _ } => vpc_mismatch(action, one),
        Refusal::MixedFlavors { .. } => failure(
            400,
            "InvalidOperation.MultiGroupType",
            "The specified instance can't join different types of security group.",
        ),
        Refusal::AlreadyMember { .. } => failure(
            403,
            "InvalidInstanceId.AlreadyExists",
            "The specified instance already exists in the specified security group.",
        ),
        Refusal::NotMember { .. } => failure(400, "InvalidSecurityGroupAssociation.NotFound", format!("{refusal}.")),
        Refusal::LastGroup { member, group: _ } if is_eni(member) => {
            failure(403, "InvalidOperation.AtLeastInOneGroup", format!("{refusal}."))
        }
        Refusal::LastGroup { .. } => failure(
            403,
            "InstanceLastSecurityGroup",
            "The specified security group is the last security group for the instance.",
        ),
        Refusal::SelfReference { direction: Direction::Ingress, .. } => failure(
            403,
            "InvalidParamter.Conflict",
            "The specified SecurityGroupId should be different from the SourceGroupId.",
        ),
        Refusal::SelfReference { direction: Direction::Egress, .. } => failure(
            403,
            "InvalidSecurityGroup.IsSame",
            "The authorized SecurityGroupId should be different from the DestGroupId.",
        ),
        Refusal::EnterprisePeer { .. } => failure(
            400,
            "InvalidGroupAuthParameter.OperationDenied",
            "The security group can not authorize to enterprise level security group.",
        ),
        Refusal::EnterpriseRule { .. } => failure(
            400,
            "InvalidGroupParameter.OperationDenied",
            "The attributes Policy, SourceGroupId, DestGroupId of enterprise level security groups are not allowed \
             to be set or modified.",
        ),
        Refusal::InnerAccessFixed { .. } => failure(
            404,
            "InvalidParameter.InnerAccessPolicy",
            "The InnerAccessPolicy attribute of enterprise level security group can't be modified.",
        ),
        Refusal::PrefixListFamily { .. } => failure(
            400,
            "InvalidParam.PrefixListAddressFamilyMismatch",
            "The address family of the specified prefix list does not match the specified CidrIp.",
        ),
        Refusal::RuleMissing { .. } => rule_missing(),
        Refusal::BadCidr { cidr: _, reason } => bad_block(action, reason),
        Refusal::Overlap { .. } => {
            failure(400, "InvalidCidrBlock.Overlapped", "Specified CIDR block overlapped with other subnets.")
        }
        Refusal::SubnetFull { .. } => failure(403, "InvalidVSwitchId.IpNotEnough", format!("{refusal}.")),
        Refusal::BadAddress { .. } if action.is_some_and(is_of_interface) => {
            failure(403, "InvalidVSwitchId.IpInvalid", format!("{refusal}."))
        }
        Refusal::BadAddress { .. } => failure(
            400,
            "InvalidPrivateIpAddress",
            "Specified private IP address is not in the CIDR block of virtual switch.",
        ),
        Refusal::NoIpv6 { .. } => failure(403, "InvalidVSwitch.Ipv6NotTurnOn", format!("{refusal}.")),
        Refusal::AddressTaken { .. } if action.is_some_and(is_of_interface) => {
            failure(403, "InvalidIp.IpAssigned", format!("{refusal}."))
        }
        Refusal::AddressTaken { .. } => {
            failure(400, "InvalidPrivateIpAddress.Duplicated", "Specified private IP address is duplicated.")
        }
        Refusal::TokenReused { .. } => failure(
            400,
            "IdempotentParameterMismatch",
            "The request uses the same client token as a previous, but non-identical request. Do not reuse a client \
             token with different requests, unless the requests are identical.",
        ),
        Refusal::FlowLogExists { .. } => failure(400, "ResourceAlreadyExist.FlowLog", format!("{refusal}.")),
        // Versions and associations are EC2's.
        Refusal::OwnVpc { .. }
        | Refusal::NotAssociated { .. }
        | Refusal::Outdated { .. }
        | Refusal::ListOutdated { .. }
        | Refusal::NoListVersion { .. } => {
            failure(409, "OperationConflict", format!("The operation conflicts: {refusal}."))
        }
        Refusal::Managed { .. } => {
            failure(403, "InvalidOperation.ResourceManagedByCloudProduct", format!("{refusal}."))
        }
        Refusal::Protected { .. } => failure(403, "InvalidOperation.DeletionProtection", format!("{refusal}.")),
        Refusal::NoSuchRule { .. } => {
            failure(404, "SecurityGroupRule.NotFound", "The target security group rule not exist.")
        }
        Refusal::PeerKindFixed { .. } => failure(
            400,
            "InvalidOperation.ModifySgRuleEntityType",
            "The source or destination type of the rules cannot be modified.",
        ),
        Refusal::PortsKindFixed { .. } => failure(
            400,
            "InvalidOperation.ModifyPortRangeType",
            "The PortRange type is not allowed to be modified. You cannot modify a rule from using the port list to \
             not using it, and vice versa.",
        ),
        Refusal::SameRule { .. } => failure(400, "InvalidOperation.RuleDuplicate", format!("{refusal}.")),
        Refusal::PortsWithoutProtocol { .. } => failure(
            400,
            "InvalidParam.ProtocolAndPortRangeMismatch",
            "The specified Protocol and PortRange do not match.",
        ),
        Refusal::RuleFamily { .. } => failure(
            400,
            "InvalidParam.ProtocolAndAddressFamilyMismatch",
            "The specified Protocol and address family do not match.",
        ),
        // What only EC2's groups are refused is told in words.
        Refusal::OtherDialect { .. }
        | Refusal::RuleExists { .. }
        | Refusal::DefaultGroup { .. }
        | Refusal::GroupNameTaken { .. } => failure(403, "OperationDenied", format!("{refusal}.")),
        Refusal::AddressNotAssigned { .. } => failure(403, "InvalidIp.IpUnassigned", format!("{refusal}.")),
        Refusal::EniAttached { .. } | Refusal::EniNotAttached { .. } => {
            failure(400, "InvalidOperation.InvalidEniState", format!("{refusal}."))
        }
        Refusal::PrimaryEni { .. } if action == Some(Action::DetachNetworkInterface) => {
            failure(400, "InvalidOperation.DetachPrimaryEniNotAllowed", format!("{refusal}."))
        }
        Refusal::PrimaryEni { .. } => failure(403, "InvalidOperation.InvalidEniType", format!("{refusal}.")),
        Refusal::ZoneMismatch { .. } => {
            failure(403, "InvalidOperation.AvailabilityZoneMismatch", format!("{refusal}."))
        }
        Refusal::InstanceState { .. } => failure(
            403,
            "IncorrectInstanceStatus",
            format!("The current status of the resource does not support this operation: {refusal}."),
        ),
        Refusal::ManagedEni { .. } => failure(403, "InvalidOperation.EniServiceManaged", format!("{refusal}.")),
        // Which interface is an ENI's is no matter of the cloud's; only an attachment can meet it.
        Refusal::Binding(_) => failure(403, "InvalidOperation.InvalidEniState", format!("{refusal}.")),
        // No operation of ECS peers VPCs.
        Refusal::PeeringExists { .. } | Refusal::NotAccepter { .. } | Refusal::PeeringState { .. } => {
            failure(403, "OperationDenied", format!("{refusal}."))
        }
        // Nor does ECS have network ACLs.
        Refusal::AclEntryExists { .. }
        | Refusal::NoAclEntry { .. }
        | Refusal::DefaultAcl { .. }
        | Refusal::AclVpc { .. }
        // Nor shadows, which are the operator's.
        | Refusal::Trial(_)
        | Refusal::InvariantName { .. }
        | Refusal::InvariantBroken { .. }
        | Refusal::Shadow { .. } => failure(403, "OperationDenied", format!("{refusal}.")),
    }
}

fn missing(action: Option<Action>, kind: Kind) -> Failure {
    match kind {
        Kind::Account => failure(404, "InvalidAccountId.NotFound", "The specified account does not exist."),
        Kind::Vpc => failure(404, "InvalidVpcId.NotFound", "Specified VPC does not exist."),
        Kind::Subnet => failure(404, "InvalidVSwitchId.NotFound", "Specified virtual switch does not exist."),
        Kind::Instance if action == Some(Action::CreateDiagnosticReport) => {
            failure(400, "InvalidResource.NotExists", "The specified resource not exists.")
        }
        Kind::Instance if action.is_some_and(is_of_interface) => {
            failure(404, "InvalidEcsId.NotFound", "The specified EcsId is not found.")
        }
        Kind::Instance => failure(404, "InvalidInstanceId.NotFound", "The specified InstanceId does not exist."),
        Kind::Eni => failure(404, "InvalidEniId.NotFound", "The specified EniId is not found."),
        Kind::Group if action == Some(Action::DeleteSecurityGroup) => {
            failure(404, "InvalidSecurityGroup.NotFound", "The specified security group is not found.")
        }
        Kind::Group if action == Some(Action::DescribeSecurityGroupReferences) => failure(
            404,
            "InvalidSecurityGroupId.NotFound",
            "The SecurityGroupId provided does not exist in our records.",
        ),
        Kind::Group => {
            failure(404, "InvalidSecurityGroupId.NotFound", "The specified SecurityGroupId does not exist.")
        }
        Kind::PeerGroup => peer_group(direction_of(action)),
        Kind::Rule => rule_missing(),
        Kind::ResourceGroup => {
            failure(404, "InvalidResourceGroup.NotFound", "The ResourceGroup provided does not exist in our records.")
        }
        Kind::PrefixList => no_prefix_list(),
        Kind::PortList => no_port_list(),
        Kind::FlowLog => failure(404, "InvalidFlowLogId.NotFound", "The specified FlowLogId does not exist."),
        // No operation names one; the native API does.
        Kind::SnapshotPolicy
        | Kind::Snapshot
        | Kind::Peering
        | Kind::NetworkAcl
        | Kind::AclAssociation
        | Kind::InsightsPath
        | Kind::Invariant
        | Kind::Trial
        | Kind::InsightsAnalysis => failure(404, "InvalidParameter", format!("The specified {kind} does not exist.")),
    }
}

fn rule_missing() -> Failure {
    failure(404, "InvalidSecurityGroupRuleId.NotFound", "The specified SecurityGroupRuleId is not exists.")
}

fn in_use(kind: Kind, by: &str) -> Failure {
    let dependent = "Specified object has dependent resources";
    match kind {
        Kind::Vpc if is_group(by) => {
            failure(400, "DependencyViolation.SecurityGroup", format!("{dependent} SecurityGroup."))
        }
        Kind::Vpc => failure(400, "DependencyViolation.VSwitch", format!("{dependent}.")),
        Kind::Subnet => failure(400, "DependencyViolation", format!("{dependent}.")),
        Kind::Group if is_group(by) => {
            failure(403, "DependencyViolation", "The specified security group has been authorized in another one.")
        }
        Kind::Group => {
            failure(403, "DependencyViolation", "There is still instance(s) in the specified security group.")
        }
        Kind::PrefixList => {
            failure(400, "NotAllowed.AssociationExist", "The specified prefix list has associated resources.")
        }
        Kind::PortList => failure(
            400,
            "InvalidPortRangeListId.AssociationExist",
            "The specified port range list has association resources.",
        ),
        Kind::Account
        | Kind::Instance
        | Kind::Eni
        | Kind::PeerGroup
        | Kind::Rule
        | Kind::ResourceGroup
        | Kind::SnapshotPolicy
        | Kind::Peering
        | Kind::Snapshot
        | Kind::FlowLog
        | Kind::NetworkAcl
        | Kind::AclAssociation
        | Kind::InsightsPath
        | Kind::Invariant
        | Kind::Trial
        | Kind::InsightsAnalysis => failure(403, "DependencyViolation", format!("{dependent}: {by}.")),
    }
}

fn limited(action: Option<Action>, counted: Counted, limit: u64, refusal: &Refusal) -> Failure {
    match counted {
        Counted::Accounts => failure(403, "QuotaExceed.Account", format!("{refusal}.")),
        Counted::Vpcs => failure(400, "QuotaExceeded.Vpc", "VPC quota exceeded."),
        Counted::Subnets => failure(400, "QuotaExceeded.VSwitch", "Virtual switch quota exceeded."),
        Counted::Groups => {
            failure(403, "QuotaExceed.SecurityGroup", "The maximum number of security groups is reached.")
        }
        Counted::GroupsOfEni => {
            let status = if action == Some(Action::JoinSecurityGroup) { 400 } else { 403 };
            let message = "The maximum number of security groups of the instance is reached.";
            failure(status, "InstanceSecurityGroupLimitExceeded", message)
        }
        Counted::RulesOfEni | Counted::RulesOfGroup => rules_full(action),
        Counted::GroupPeerRules => failure(
            400,
            "AuthorizedGroupRule.LimitExceed",
            format!(
                "You have reached the limit on the number of group authorization rules that you can add to a \
                 security group.When authorization object of rule is security group, the limit is {limit}."
            ),
        ),
        Counted::AddressesOfGroup => {
            let joins = action == Some(Action::JoinSecurityGroup);
            let code = if joins { "SecurityGroupInstanceLimitExceeded" } else { "SecurityGroupInstanceLimitExceed" };
            failure(403, code, "The maximum number of instances in the specified security group is reached.")
        }
        Counted::EnisOfGroup => failure(403, "InvalidOperation.NetworkInterfaceCountExceeded", format!("{refusal}.")),
        Counted::InstancesOfCall => failure(403, "InvalidParam.Amount", format!("{refusal}.")),
        Counted::AddressesOfEni | Counted::Ipv4OfEni => {
            failure(403, "InvalidOperation.Ipv4CountExceeded", format!("{refusal}."))
        }
        Counted::Ipv6OfEni => failure(403, "InvalidOperation.Ipv6CountExceeded", format!("{refusal}.")),
        Counted::EnisOfInstance => failure(403, "EniPerInstanceLimitExceeded", format!("{refusal}.")),
        Counted::SecondaryEnis => failure(403, "MaxEniCountExceeded", format!("{refusal}.")),
        Counted::Tags => failure(403, "QuotaExceed.Tags", format!("{refusal}.")),
        Counted::ResourceGroups => failure(403, "QuotaExceed.ResourceGroup", format!("{refusal}.")),
        Counted::FlowLogs | Counted::FlowLogsOfResource => {
            failure(400, "QuotaExceeded.FlowLog", format!("Flow log quota exceeded: {refusal}."))
        }
        Counted::TagsAdded => failure(400, "OperationDenied.QuotaExceed", format!("{refusal}.")),
        Counted::CommandsTogether
        | Counted::Peerings
        | Counted::PendingPeerings
        | Counted::NetworkAcls
        | Counted::AclEntries
        | Counted::SnapshotPolicies
        | Counted::GroupsOfSnapshotPolicy
        | Counted::VpcsOfGroup
        | Counted::InsightsPaths
        | Counted::ShadowRules
        | Counted::Invariants
        | Counted::Trials
        | Counted::TrialFacts
        | Counted::HostVpcs
        | Counted::HostGroups
        | Counted::HostEnis
        | Counted::HostAddresses
        | Counted::HostRules
        | Counted::Rules
        | Counted::PolicyWords
        | Counted::PolicyRules
        | Counted::HostPolicyWords => {
            let Failure { status, code, message } = host_full(action);
            failure(status, code, format!("{message} ({refusal})"))
        }
        Counted::PrefixLists => failure(404, "LimitExceed.PrefixListPerRegion", format!("{refusal}.")),
        Counted::PortLists => failure(
            400,
            "InvalidOperation.MaxCountExceed",
            "The number of port range list in the current account has exceeded quota.",
        ),
        Counted::EntriesOfPrefixList => prefix_list_full(),
        Counted::EntriesOfPortList => port_list_full(),
        Counted::GroupsOfPrefixList => failure(
            403,
            "LimitExceed.PrefixListAssociationResource",
            "The number of resources associated with the prefix list exceeds the limit.",
        ),
    }
}

fn prefix_list_full() -> Failure {
    failure(
        400,
        "LimitExceed.MaxEntries",
        "The number of entries exceeds the MaxEntries of the specified prefix list.",
    )
}

fn port_list_full() -> Failure {
    failure(
        400,
        "InvalidOperation.EntryCountExceedMaxEntries",
        "The number of entries in the port list exceeds MaxEntries.",
    )
}

/// The quota error of rules, of the operation that would add them to an interface.
fn rules_full(action: Option<Action>) -> Failure {
    let full = "The limit of authorization records in the security group reaches.";
    match action {
        Some(
            Action::JoinSecurityGroup
            | Action::RunInstances
            | Action::ModifyInstanceAttribute
            | Action::CreateNetworkInterface
            | Action::ModifyNetworkInterfaceAttribute,
        ) => failure(403, "AclLimitExceed", "The maximum number of security group rules of the instance is reached."),
        Some(Action::ModifySecurityGroupRule | Action::ModifySecurityGroupEgressRule) => {
            failure(400, "AuthorizationLimitExceed", full)
        }
        _ => failure(403, "AuthorizationLimitExceed", full),
    }
}

/// The quota error of an operation whose result the data plane cannot hold.
fn host_full(action: Option<Action>) -> Failure {
    let Some(action) = action else { return failure(403, "QuotaExceed", "The quota is exceeded.") };
    match action {
        Action::AuthorizeSecurityGroup
        | Action::AuthorizeSecurityGroupEgress
        | Action::RevokeSecurityGroup
        | Action::RevokeSecurityGroupEgress
        | Action::ModifySecurityGroupPolicy
        | Action::ModifySecurityGroupRule
        | Action::ModifySecurityGroupEgressRule
        | Action::JoinSecurityGroup
        | Action::LeaveSecurityGroup => rules_full(Some(action)),
        Action::RunInstances => failure(
            403,
            "QuotaExceed.ElasticQuota",
            "No additional quota is available for the specified ECS instance type.",
        ),
        Action::CreatePrefixList | Action::ModifyPrefixList | Action::DeletePrefixList => prefix_list_full(),
        Action::CreatePortRangeList | Action::ModifyPortRangeList | Action::DeletePortRangeList => port_list_full(),
        Action::CreateSecurityGroup | Action::DeleteSecurityGroup | Action::ModifySecurityGroupAttribute => {
            failure(403, "QuotaExceed.SecurityGroup", "The maximum number of security groups is reached.")
        }
        Action::CreateVpc | Action::DeleteVpc => failure(400, "QuotaExceeded.Vpc", "VPC quota exceeded."),
        Action::CreateVSwitch | Action::DeleteVSwitch => {
            failure(400, "QuotaExceeded.VSwitch", "Virtual switch quota exceeded.")
        }
        Action::ModifyInstanceAttribute => rules_full(Some(action)),
        Action::CreateNetworkInterface
        | Action::AttachNetworkInterface
        | Action::DetachNetworkInterface
        | Action::DeleteNetworkInterface
        | Action::ModifyNetworkInterfaceAttribute
        | Action::AssignPrivateIpAddresses
        | Action::UnassignPrivateIpAddresses
        | Action::AssignIpv6Addresses
        | Action::UnassignIpv6Addresses => failure(
            403,
            "MaxEniCountExceeded",
            "The maximum number of network interfaces, or of what they need, is reached.",
        ),
        Action::StartInstance
        | Action::StartInstances
        | Action::StopInstance
        | Action::StopInstances
        | Action::RebootInstance
        | Action::RebootInstances
        | Action::ModifyVpcAttribute
        | Action::ModifyVSwitchAttribute
        | Action::DescribeNetworkInterfaces
        | Action::DescribeNetworkInterfaceAttribute
        | Action::DescribeInstanceStatus
        | Action::DescribeInstanceAttribute
        | Action::DescribeZones
        | Action::DescribeInstanceTypes
        | Action::DescribeVpcAttribute
        | Action::DescribeVSwitchAttributes
        | Action::DeleteInstance
        | Action::DeleteInstances
        | Action::DescribeVpcs
        | Action::DescribeVSwitches
        | Action::DescribeRegions
        | Action::DescribeInstances
        | Action::DescribeSecurityGroups
        | Action::DescribeSecurityGroupAttribute
        | Action::TagResources
        | Action::UntagResources
        | Action::UnTagResources
        | Action::ListTagResources
        | Action::JoinResourceGroup
        | Action::DescribeSecurityGroupReferences
        | Action::DescribePrefixLists
        | Action::DescribePrefixListAttributes
        | Action::DescribePrefixListAssociations
        | Action::DescribePortRangeLists
        | Action::DescribePortRangeListEntries
        | Action::DescribePortRangeListAssociations
        | Action::GetCallerIdentity
        | Action::DescribeEndpoints
        | Action::DescribeDisks
        | Action::CreateDiagnosticReport
        | Action::DescribeDiagnosticReports
        | Action::DescribeDiagnosticReportAttributes
        | Action::DescribeDiagnosticMetrics
        | Action::DescribeDiagnosticMetricSets
        | Action::CreateFlowLog
        | Action::DescribeFlowLogs
        | Action::ModifyFlowLogAttribute
        | Action::ActiveFlowLog
        | Action::DeactiveFlowLog
        | Action::DeleteFlowLog => failure(403, "QuotaExceed", "The quota is exceeded."),
    }
}

fn vpc_mismatch(action: Option<Action>, one: &str) -> Failure {
    match action {
        Some(Action::JoinSecurityGroup) if is_eni(one) => failure(
            403,
            "InvalidOperation.VpcMismatch",
            "The specified network interface and security group are not in the same VPC.",
        ),
        Some(action) if is_of_interface(action) => failure(
            403,
            "InvalidOperation.VpcMismatch",
            "The specified network interface is not in the same VPC as the instance or security group.",
        ),
        Some(Action::JoinSecurityGroup | Action::ModifyInstanceAttribute) => failure(
            400,
            "InvalidInstanceId.Mismatch",
            "Specified instance and security group are not in the same VPC.",
        ),
        Some(Action::AuthorizeSecurityGroup | Action::ModifySecurityGroupRule) => failure(
            400,
            "InvalidSourceGroupId.Mismatch",
            "Specified security group and source group are not in the same VPC.",
        ),
        Some(Action::AuthorizeSecurityGroupEgress | Action::ModifySecurityGroupEgressRule) => failure(
            400,
            "InvalidDestGroupId.Mismatch",
            "Specified security group and destination group are not in the same VPC.",
        ),
        _ => failure(
            400,
            "InvalidParameter.Mismatch",
            "Specified security group and virtual switch are not in the same VPC.",
        ),
    }
}

fn bad_block(action: Option<Action>, reason: &str) -> Failure {
    let of_what = if action == Some(Action::CreateVSwitch) { " in VPC" } else { "" };
    failure(400, "InvalidParameter", format!("Specified CIDR block is not valid{of_what}. ({reason})"))
}

fn direction_of(action: Option<Action>) -> Direction {
    match action {
        Some(
            Action::AuthorizeSecurityGroupEgress
            | Action::RevokeSecurityGroupEgress
            | Action::ModifySecurityGroupEgressRule,
        ) => Direction::Egress,
        _ => Direction::Ingress,
    }
}

/// Operations that name resources of many kinds have one code for all of them.
fn is_about_resources(action: Option<Action>) -> bool {
    matches!(
        action,
        Some(Action::TagResources | Action::UntagResources | Action::UnTagResources | Action::JoinResourceGroup)
    )
}

fn is_eni(id: &str) -> bool {
    id.starts_with("eni-")
}

fn is_group(id: &str) -> bool {
    id.starts_with("sg-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(action: Action, refusal: &Refusal) -> String {
        let Failure { status, code, message: _ } = of_refusal(Some(action), refusal);
        format!("{status} {code}")
    }

    fn limit(counted: Counted) -> Refusal {
        Refusal::Limit { counted, limit: 20, wanted: 21 }
    }

    #[test]
    fn the_same_refusal_has_the_code_of_its_operation() {
        let missing = Refusal::Missing { kind: Kind::Group, id: "sg-x".to_owned() };
        assert_eq!(told(Action::DeleteSecurityGroup, &missing), "404 InvalidSecurityGroup.NotFound");
        assert_eq!(told(Action::JoinSecurityGroup, &missing), "404 InvalidSecurityGroupId.NotFound");
        let peer = Refusal::Missing { kind: Kind::PeerGroup, id: "sg-x".to_owned() };
        assert_eq!(told(Action::AuthorizeSecurityGroup, &peer), "404 InvalidSourceGroupId.NotFound");
        assert_eq!(told(Action::AuthorizeSecurityGroupEgress, &peer), "404 InvalidDestGroupId.NotFound");
        let rules = limit(Counted::RulesOfEni);
        assert_eq!(told(Action::AuthorizeSecurityGroup, &rules), "403 AuthorizationLimitExceed");
        assert_eq!(told(Action::JoinSecurityGroup, &rules), "403 AclLimitExceed");
    }

    #[test]
    fn a_full_data_plane_is_the_quota_error_of_the_operation_and_says_why() {
        let words = limit(Counted::HostPolicyWords);
        assert_eq!(told(Action::AuthorizeSecurityGroupEgress, &words), "403 AuthorizationLimitExceed");
        assert_eq!(told(Action::JoinSecurityGroup, &words), "403 AclLimitExceed");
        assert_eq!(told(Action::RunInstances, &words), "403 QuotaExceed.ElasticQuota");
        let failure = of_refusal(Some(Action::RunInstances), &words);
        assert!(failure.message.contains("words of all policies"), "{}", failure.message);
    }

    #[test]
    fn what_still_uses_a_thing_decides_the_code() {
        let by = |kind, by: &str| Refusal::InUse { kind, id: "x".to_owned(), by: by.to_owned() };
        assert_eq!(told(Action::DeleteVpc, &by(Kind::Vpc, "vsw-1")), "400 DependencyViolation.VSwitch");
        assert_eq!(told(Action::DeleteVpc, &by(Kind::Vpc, "sg-1")), "400 DependencyViolation.SecurityGroup");
        let members = of_refusal(Some(Action::DeleteSecurityGroup), &by(Kind::Group, "i-1"));
        assert!(members.message.contains("still instance(s)"));
        let referrers = of_refusal(Some(Action::DeleteSecurityGroup), &by(Kind::Group, "sg-1"));
        assert!(referrers.message.contains("authorized in another one"));
    }

    #[test]
    fn joining_tells_instances_from_interfaces() {
        let other_vpc = |one: &str| Refusal::VpcMismatch { one: one.to_owned(), other: "sg-1".to_owned() };
        assert_eq!(told(Action::JoinSecurityGroup, &other_vpc("i-1")), "400 InvalidInstanceId.Mismatch");
        assert_eq!(told(Action::JoinSecurityGroup, &other_vpc("eni-1")), "403 InvalidOperation.VpcMismatch");
        let last = |member: &str| Refusal::LastGroup { member: member.to_owned(), group: "sg-1".into() };
        assert_eq!(told(Action::LeaveSecurityGroup, &last("i-1")), "403 InstanceLastSecurityGroup");
        assert_eq!(told(Action::LeaveSecurityGroup, &last("eni-1")), "403 InvalidOperation.AtLeastInOneGroup");
    }
}
