//! Why the cloud would refuse what `core` refuses: one table from neutral words to EC2's codes.
//!
//! Sources: `spec/ec2.md` B2, B4 and B6. Where the data plane, not a quota, is full, the operation's quota error says so.

use sekimori_core::{
    refusal::{Counted, Kind, Refusal},
    rule::{Peer, Protocol, RuleSpec, Service, ec2},
};

use super::{
    catalog::Action,
    errors::{Failure, failure},
};

/// What the client of an operation is told about a refusal.
#[must_use]
pub fn of_refusal(action: Option<Action>, refusal: &Refusal) -> Failure {
    match refusal {
        Refusal::Invariant { .. } => failure(
            403,
            "UnauthorizedOperation",
            format!("You are not authorized to perform this operation. {refusal}"),
        ),
        Refusal::Missing { kind, id } => missing(*kind, id),
        Refusal::InUse { kind, id, by: _ } => in_use(*kind, id),
        Refusal::Limit { counted, limit, wanted: _ } | Refusal::HostLimit { counted, limit, .. } => {
            limited(*counted, *limit, refusal)
        }
        Refusal::VpcMismatch { one, other } => vpc_mismatch(action, one, other),
        Refusal::RuleExists { group: _, spec } => failure(
            400,
            "InvalidPermission.Duplicate",
            format!("the specified rule \"{}\" already exists", rule_words(spec)),
        ),
        Refusal::NoSuchRule { .. } => {
            failure(400, "InvalidPermission.NotFound", "The specified rule does not exist in this security group.")
        }
        Refusal::RuleMissing { group: _, rule } => missing(Kind::Rule, rule.as_str()),
        Refusal::SameRule { .. } => {
            failure(400, "InvalidPermission.Duplicate", format!("the specified rule already exists: {refusal}"))
        }
        Refusal::DefaultGroup { group, .. } if action == Some(Action::AssociateSecurityGroupVpc) => failure(
            400,
            "OperationNotPermitted",
            format!("The security group '{group}' is a default security group, which stays in its VPC."),
        ),
        Refusal::FlowLogExists { .. } => failure(
            400,
            "FlowLogAlreadyExists",
            "Error. There is an existing Flow Log with the same configuration and log destination.",
        ),
        Refusal::OwnVpc { .. } => failure(400, "InvalidParameterValue", format!("{refusal}.")),
        Refusal::NotAssociated { .. } => failure(400, "InvalidVpcID.NotFound", format!("{refusal}.")),
        Refusal::DefaultGroup { group, name } => failure(
            400,
            "CannotDelete",
            format!("the specified group: \"{group}\" name: \"{name}\" cannot be deleted by a user"),
        ),
        Refusal::GroupNameTaken { name, vpc } => failure(
            400,
            "InvalidGroup.Duplicate",
            format!("The security group '{name}' already exists for VPC '{vpc}'"),
        ),
        Refusal::BadCidr { cidr, reason: _ } if action == Some(Action::CreateSubnet) => {
            failure(400, "InvalidSubnet.Range", format!("The CIDR '{cidr}' is invalid."))
        }
        Refusal::BadCidr { cidr, reason: _ } => {
            failure(400, "InvalidVpc.Range", format!("The CIDR '{cidr}' is invalid."))
        }
        Refusal::Overlap { .. } if action == Some(Action::AcceptVpcPeeringConnection) => failure(
            400,
            "OperationNotPermitted",
            format!(
                "{refusal}. Without route tables the blocks of all VPCs that one VPC is peered with must be apart."
            ),
        ),
        Refusal::Overlap { cidr, other: _ } => {
            failure(400, "InvalidSubnet.Conflict", format!("The CIDR '{cidr}' conflicts with another subnet"))
        }
        Refusal::SubnetFull { subnet } => failure(
            400,
            "InsufficientFreeAddressesInSubnet",
            format!("There are not enough free addresses in subnet '{subnet}' to satisfy the requested number."),
        ),
        Refusal::BadAddress { address, .. } => failure(
            400,
            "InvalidParameterValue",
            format!("Address {address} does not fall within the subnet's range"),
        ),
        Refusal::AddressTaken { address, .. } => {
            failure(400, "InvalidIPAddress.InUse", format!("Address {address} is in use."))
        }
        Refusal::NoIpv6 { kind: _, id } => failure(
            400,
            "InvalidParameterValue",
            format!("'{id}' has no IPv6 CIDR block; associate one before asking for IPv6 addresses"),
        ),
        Refusal::TokenReused { .. } => failure(
            400,
            "IdempotentParameterMismatch",
            "The request uses the same client token as a previous, but non-identical request.",
        ),
        Refusal::AddressNotAssigned { eni, address } => failure(
            400,
            "InvalidParameterValue",
            format!("Some of the specified addresses are not assigned to interface {eni}: {address}"),
        ),
        Refusal::EniAttached { eni, .. } => {
            failure(400, "InvalidNetworkInterface.InUse", format!("Interface: [{eni}] in use."))
        }
        Refusal::EniNotAttached { eni, .. } => failure(
            400,
            "InvalidAttachmentID.NotFound",
            format!("The attachment of interface '{eni}' does not exist."),
        ),
        Refusal::PrimaryEni { eni, .. } => failure(
            400,
            "OperationNotPermitted",
            format!("The network interface at device index 0 cannot be detached or deleted: {eni}"),
        ),
        Refusal::ZoneMismatch { eni, instance, .. } => failure(
            400,
            "InvalidParameterCombination",
            format!("You may not attach network interface {eni} to instance {instance}: they are in different zones"),
        ),
        Refusal::InstanceState { instance, .. } => failure(
            400,
            "IncorrectInstanceState",
            format!("The instance '{instance}' is not in a state from which this can be done."),
        ),
        Refusal::LastGroup { .. } => {
            failure(400, "InvalidParameterValue", "You must specify at least one security group.")
        }
        Refusal::Managed { .. } | Refusal::ManagedEni { .. } | Refusal::Protected { .. } => {
            failure(400, "OperationNotPermitted", format!("{refusal}."))
        }
        // Which interface is an ENI's is no matter of the cloud's; only an attachment can meet it.
        Refusal::Binding(_) => failure(400, "IncorrectState", format!("{refusal}.")),
        Refusal::PrefixListFamily { .. } | Refusal::RuleFamily { .. } | Refusal::PortsWithoutProtocol { .. } => {
            failure(400, "InvalidParameterValue", format!("{refusal}."))
        }
        Refusal::ListOutdated { .. } => failure(400, "PrefixListVersionMismatch", format!("{refusal}.")),
        Refusal::NoListVersion { .. } => failure(400, "InvalidParameterValue", format!("{refusal}.")),
        Refusal::PeeringExists { .. } => failure(400, "VpcPeeringConnectionAlreadyExists", format!("{refusal}.")),
        Refusal::NotAccepter { .. } => failure(400, "OperationNotPermitted", format!("{refusal}.")),
        Refusal::PeeringState { peering, status } => failure(
            400,
            "InvalidStateTransition",
            format!("Invalid state transition for {peering}, attempted to transition from {status}."),
        ),
        Refusal::AclEntryExists { number, .. } => failure(
            400,
            "NetworkAclEntryAlreadyExists",
            format!("The network acl entry identified by {number} already exists."),
        ),
        Refusal::NoAclEntry { number, .. } => failure(
            400,
            "InvalidNetworkAclEntry.NotFound",
            format!("The specified network acl entry identified by {number} does not exist."),
        ),
        Refusal::DefaultAcl { .. } => {
            failure(400, "CannotDelete", format!("cannot delete default network ACL: {refusal}."))
        }
        Refusal::AclVpc { .. } => failure(400, "InvalidParameter", format!("{refusal}.")),
        Refusal::PeerKindFixed { rule } | Refusal::PortsKindFixed { rule } => {
            failure(400, "InvalidParameterValue", format!("Invalid rule type for security group rule '{rule}'."))
        }
        // What follows cannot come from an EC2 account; it is told in words.
        Refusal::Exists { .. }
        | Refusal::MixedFlavors { .. }
        | Refusal::AlreadyMember { .. }
        | Refusal::NotMember { .. }
        | Refusal::SelfReference { .. }
        | Refusal::EnterprisePeer { .. }
        | Refusal::EnterpriseRule { .. }
        | Refusal::InnerAccessFixed { .. }
        | Refusal::OtherDialect { .. }
        | Refusal::Shadow { .. }
        | Refusal::Trial(_)
        | Refusal::InvariantName { .. }
        | Refusal::InvariantBroken { .. }
        | Refusal::Outdated { .. } => failure(400, "OperationNotPermitted", format!("{refusal}.")),
    }
}

fn missing(kind: Kind, id: &str) -> Failure {
    let (code, what) = match kind {
        Kind::Vpc => ("InvalidVpcID.NotFound", "vpc ID"),
        Kind::Subnet => ("InvalidSubnetID.NotFound", "subnet ID"),
        Kind::Instance => ("InvalidInstanceID.NotFound", "instance ID"),
        Kind::Eni => ("InvalidNetworkInterfaceID.NotFound", "networkInterface ID"),
        Kind::Group | Kind::PeerGroup => ("InvalidGroup.NotFound", "security group"),
        Kind::Rule => ("InvalidSecurityGroupRuleId.NotFound", "security group rule ID"),
        Kind::PrefixList => ("InvalidPrefixListID.NotFound", "prefix list ID"),
        Kind::Peering => ("InvalidVpcPeeringConnectionID.NotFound", "vpcPeeringConnection ID"),
        Kind::FlowLog => ("InvalidFlowLogId.NotFound", "flow log ID"),
        Kind::InsightsPath => ("InvalidNetworkInsightsPathId.NotFound", "network insights path ID"),
        Kind::InsightsAnalysis => ("InvalidNetworkInsightsAnalysisId.NotFound", "network insights analysis ID"),
        Kind::NetworkAcl => ("InvalidNetworkAclID.NotFound", "networkAcl ID"),
        Kind::AclAssociation => ("InvalidAssociationID.NotFound", "association ID"),
        Kind::Account => ("InvalidParameterValue", "account"),
        Kind::PortList
        | Kind::ResourceGroup
        | Kind::SnapshotPolicy
        | Kind::Snapshot
        | Kind::Invariant
        | Kind::Trial => ("InvalidID", "ID"),
    };
    failure(400, code, format!("The {what} '{id}' does not exist"))
}

fn in_use(kind: Kind, id: &str) -> Failure {
    let message = match kind {
        Kind::Group | Kind::PeerGroup => format!("resource {id} has a dependent object"),
        Kind::Account
        | Kind::Vpc
        | Kind::Subnet
        | Kind::Instance
        | Kind::Eni
        | Kind::Rule
        | Kind::PrefixList
        | Kind::PortList
        | Kind::ResourceGroup
        | Kind::SnapshotPolicy
        | Kind::Peering
        | Kind::Snapshot
        | Kind::FlowLog
        | Kind::InsightsPath
        | Kind::NetworkAcl
        | Kind::AclAssociation
        | Kind::Invariant
        | Kind::Trial
        | Kind::InsightsAnalysis => format!("The {kind} '{id}' has dependencies and cannot be deleted."),
    };
    if kind == Kind::InsightsPath {
        return failure(400, "AnalysisExistsForNetworkInsightsPath", message);
    }
    failure(400, "DependencyViolation", message.replacen("The VPC", "The vpc", 1))
}

fn vpc_mismatch(action: Option<Action>, one: &str, other: &str) -> Failure {
    let is_about_rules = matches!(
        action,
        Some(
            Action::AuthorizeSecurityGroupIngress
                | Action::AuthorizeSecurityGroupEgress
                | Action::ModifySecurityGroupRules
                | Action::ValidateSecurityGroupQuotasForInterface
        )
    );
    if is_about_rules {
        let message = "You have specified two resources that belong to different networks.";
        return failure(400, "InvalidGroup.NotFound", message);
    }
    let message = format!("Security group {other} and subnet {one} belong to different networks.");
    failure(400, "InvalidParameter", message)
}

fn limited(counted: Counted, limit: u64, refusal: &Refusal) -> Failure {
    let (code, message) = match counted {
        Counted::RulesOfGroup
        | Counted::GroupPeerRules
        | Counted::RulesOfEni
        | Counted::HostRules
        | Counted::Rules => (
            "RulesPerSecurityGroupLimitExceeded",
            "The maximum number of rules per security group has been reached.".to_owned(),
        ),
        Counted::Groups | Counted::HostGroups => (
            "SecurityGroupLimitExceeded",
            format!("The maximum number of security groups has been reached: {limit}."),
        ),
        Counted::GroupsOfEni => (
            "SecurityGroupsPerInterfaceLimitExceeded",
            "The maximum number of security groups per interface has been reached.".to_owned(),
        ),
        Counted::Vpcs | Counted::HostVpcs => {
            ("VpcLimitExceeded", "The maximum number of VPCs has been reached.".to_owned())
        }
        Counted::Subnets => ("SubnetLimitExceeded", "The maximum number of subnets has been reached.".to_owned()),
        Counted::Tags | Counted::TagsAdded => {
            ("TagLimitExceeded", format!("The maximum number of Tags for a resource has been reached: {limit}."))
        }
        Counted::InstancesOfCall => {
            ("InstanceLimitExceeded", format!("You have requested more instances than {limit} in one call."))
        }
        Counted::AddressesOfEni | Counted::Ipv4OfEni | Counted::Ipv6OfEni => {
            ("PrivateIpAddressLimitExceeded", format!("Number of private addresses will exceed limit: {limit}."))
        }
        Counted::EnisOfInstance => {
            ("AttachmentLimitExceeded", format!("Interface count exceeds the limit of {limit} for an instance."))
        }
        Counted::SecondaryEnis | Counted::HostEnis => (
            "NetworkInterfaceLimitExceeded",
            format!("The maximum number of network interfaces has been reached: {limit}."),
        ),
        Counted::Peerings => ("VpcPeeringConnectionsPerVpcLimitExceeded", format!("{refusal}.")),
        Counted::PendingPeerings => ("OutstandingVpcPeeringConnectionLimitExceeded", format!("{refusal}.")),
        Counted::NetworkAcls => ("NetworkAclLimitExceeded", format!("{refusal}.")),
        Counted::AclEntries => ("NetworkAclEntryLimitExceeded", format!("{refusal}.")),
        Counted::FlowLogs | Counted::FlowLogsOfResource => ("FlowLogsLimitExceeded", format!("{refusal}.")),
        Counted::PrefixLists | Counted::GroupsOfPrefixList => ("PrefixListLimitExceeded", format!("{refusal}.")),
        Counted::EntriesOfPrefixList => ("PrefixListMaxEntriesExceeded", format!("{refusal}.")),
        Counted::Accounts
        | Counted::AddressesOfGroup
        | Counted::EnisOfGroup
        | Counted::ResourceGroups
        | Counted::CommandsTogether
        | Counted::HostAddresses
        | Counted::PolicyWords
        | Counted::PolicyRules
        | Counted::HostPolicyWords
        | Counted::PortLists
        | Counted::SnapshotPolicies
        | Counted::VpcsOfGroup
        | Counted::InsightsPaths
        | Counted::ShadowRules
        | Counted::Invariants
        | Counted::Trials
        | Counted::TrialFacts
        | Counted::GroupsOfSnapshotPolicy
        | Counted::EntriesOfPortList => ("ResourceLimitExceeded", format!("{refusal}.")),
    };
    failure(400, code, message)
}

/// A rule as the message of a duplicate has it: `peer: 0.0.0.0/0, TCP, from port: 22, to port: 22, ALLOW`.
fn rule_words(spec: &RuleSpec) -> String {
    let peer = match &spec.peer {
        Peer::Cidr(cidr) => cidr.to_string(),
        Peer::PrefixList(id) => id.to_string(),
        Peer::Group { group, account: _ } => group.to_string(),
    };
    let protocol = match spec.protocol {
        Protocol::Any => "ALL".to_owned(),
        protocol @ Protocol::Number(_) => ec2::protocol(protocol).to_uppercase(),
    };
    let service = match &spec.service {
        Service::Ports(ports) => format!(", from port: {}, to port: {}", ports.first(), ports.last()),
        Service::Icmp { kind, code } => {
            format!(", type: {kind}, code: {}", code.map_or("ALL".to_owned(), |code| code.to_string()))
        }
        Service::Any if matches!(spec.protocol, Protocol::ICMP | Protocol::ICMPV6) => {
            ", type: ALL, code: ALL".to_owned()
        }
        Service::Any | Service::PortList(_) => String::new(),
    };
    format!("peer: {peer}, {protocol}{service}, ALLOW")
}

#[cfg(test)]
mod tests {
    use sekimori_core::rule::{self, Direction, PortRange};

    use super::*;

    fn spec(protocol: Protocol, service: Service, peer: Peer) -> RuleSpec {
        RuleSpec {
            direction: Direction::Ingress,
            action: rule::Action::Allow,
            priority: 1,
            protocol,
            service,
            source_ports: None,
            peer,
            local: None,
        }
    }

    #[test]
    fn duplicates_are_told_as_the_cloud_tells_them() {
        let world = || Peer::Cidr("0.0.0.0/0".parse().unwrap());
        let told = |protocol, service, peer| rule_words(&spec(protocol, service, peer));
        let ports = Service::Ports(PortRange::one(22));
        assert_eq!(told(Protocol::TCP, ports, world()), "peer: 0.0.0.0/0, TCP, from port: 22, to port: 22, ALLOW");
        let group = Peer::Group { group: "sg-1".into(), account: "1".into() };
        assert_eq!(told(Protocol::Any, Service::Any, group), "peer: sg-1, ALL, ALLOW");
        assert_eq!(told(Protocol::ICMP, Service::Any, world()), "peer: 0.0.0.0/0, ICMP, type: ALL, code: ALL, ALLOW");
        let echo = Service::Icmp { kind: 8, code: None };
        assert_eq!(told(Protocol::ICMP, echo, world()), "peer: 0.0.0.0/0, ICMP, type: 8, code: ALL, ALLOW");
    }

    #[test]
    fn the_same_refusal_has_the_code_of_its_operation() {
        let code = |action, refusal: &Refusal| of_refusal(Some(action), refusal).code;
        let mismatch = Refusal::VpcMismatch { one: "a".into(), other: "b".into() };
        assert_eq!(code(Action::AuthorizeSecurityGroupEgress, &mismatch), "InvalidGroup.NotFound");
        assert_eq!(code(Action::RunInstances, &mismatch), "InvalidParameter");
        let block = Refusal::BadCidr { cidr: "c".into(), reason: "r".into() };
        assert_eq!(code(Action::CreateSubnet, &block), "InvalidSubnet.Range");
        assert_eq!(code(Action::CreateVpc, &block), "InvalidVpc.Range");
    }

    #[test]
    fn every_limit_has_a_code() {
        let code = |counted| {
            let refusal = Refusal::Limit { counted, limit: 1, wanted: 2 };
            of_refusal(Some(Action::RunInstances), &refusal).code
        };
        for (counted, expected) in [
            (Counted::RulesOfGroup, "RulesPerSecurityGroupLimitExceeded"),
            (Counted::Groups, "SecurityGroupLimitExceeded"),
            (Counted::GroupsOfEni, "SecurityGroupsPerInterfaceLimitExceeded"),
            (Counted::Vpcs, "VpcLimitExceeded"),
            (Counted::Subnets, "SubnetLimitExceeded"),
            (Counted::TagsAdded, "TagLimitExceeded"),
            (Counted::InstancesOfCall, "InstanceLimitExceeded"),
            (Counted::Ipv4OfEni, "PrivateIpAddressLimitExceeded"),
            (Counted::EnisOfInstance, "AttachmentLimitExceeded"),
            (Counted::PrefixLists, "PrefixListLimitExceeded"),
            (Counted::EntriesOfPrefixList, "PrefixListMaxEntriesExceeded"),
            (Counted::PolicyWords, "ResourceLimitExceeded"),
            (Counted::Peerings, "VpcPeeringConnectionsPerVpcLimitExceeded"),
            (Counted::PendingPeerings, "OutstandingVpcPeeringConnectionLimitExceeded"),
            (Counted::SecondaryEnis, "NetworkInterfaceLimitExceeded"),
        ] {
            assert_eq!(code(counted), expected, "{counted}");
        }
    }
}
