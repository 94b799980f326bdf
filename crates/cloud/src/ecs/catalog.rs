//! Every operation that is spoken here, with every parameter it takes. A parameter that is not listed is
//! ignored, as the real service does. The words it is written in are those of [`crate::catalog`].

use crate::catalog::{
    self,
    Kind::{Address, Boolean, Choice, Id, Ids, Integer, Ports, Text, Token},
    Parameter, ignores, join, needs, takes,
};

/// A version of an API, which tells the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// ECS 2014-05-26.
    Ecs,
    /// VPC 2016-04-28.
    Vpc,
    /// STS 2015-04-01, which tells a client whose key it has.
    Sts,
    /// Location 2015-06-12, which tells a client where a product is.
    Location,
}

impl Version {
    /// Every version there is.
    pub const ALL: [Self; 4] = [Self::Ecs, Self::Vpc, Self::Sts, Self::Location];

    /// The date that names it.
    #[must_use]
    pub fn date(self) -> &'static str {
        match self {
            Self::Ecs => "2014-05-26",
            Self::Vpc => "2016-04-28",
            Self::Sts => "2015-04-01",
            Self::Location => "2015-06-12",
        }
    }

    /// The version of a date.
    #[must_use]
    pub fn find(date: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.date() == date)
    }
}

/// An operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the cloud's")]
pub enum Action {
    CreateVpc,
    DescribeVpcs,
    DeleteVpc,
    CreateVSwitch,
    DescribeVSwitches,
    DeleteVSwitch,
    DescribeRegions,
    RunInstances,
    DescribeInstances,
    DeleteInstance,
    DeleteInstances,
    CreateSecurityGroup,
    DescribeSecurityGroups,
    DescribeSecurityGroupAttribute,
    DeleteSecurityGroup,
    ModifySecurityGroupPolicy,
    AuthorizeSecurityGroup,
    AuthorizeSecurityGroupEgress,
    RevokeSecurityGroup,
    RevokeSecurityGroupEgress,
    JoinSecurityGroup,
    LeaveSecurityGroup,
    TagResources,
    UntagResources,
    UnTagResources,
    ListTagResources,
    JoinResourceGroup,
    ModifySecurityGroupAttribute,
    ModifySecurityGroupRule,
    ModifySecurityGroupEgressRule,
    DescribeSecurityGroupReferences,
    CreatePrefixList,
    ModifyPrefixList,
    DeletePrefixList,
    DescribePrefixLists,
    DescribePrefixListAttributes,
    DescribePrefixListAssociations,
    CreatePortRangeList,
    ModifyPortRangeList,
    DeletePortRangeList,
    DescribePortRangeLists,
    DescribePortRangeListEntries,
    DescribePortRangeListAssociations,
    GetCallerIdentity,
    DescribeEndpoints,
    CreateNetworkInterface,
    AttachNetworkInterface,
    DetachNetworkInterface,
    DeleteNetworkInterface,
    DescribeNetworkInterfaces,
    DescribeNetworkInterfaceAttribute,
    ModifyNetworkInterfaceAttribute,
    AssignPrivateIpAddresses,
    UnassignPrivateIpAddresses,
    AssignIpv6Addresses,
    UnassignIpv6Addresses,
    ModifyInstanceAttribute,
    StartInstance,
    StartInstances,
    StopInstance,
    StopInstances,
    RebootInstance,
    RebootInstances,
    DescribeInstanceStatus,
    DescribeInstanceAttribute,
    DescribeZones,
    DescribeInstanceTypes,
    DescribeVpcAttribute,
    ModifyVpcAttribute,
    DescribeVSwitchAttributes,
    ModifyVSwitchAttribute,
    DescribeDisks,
    CreateDiagnosticReport,
    DescribeDiagnosticReports,
    DescribeDiagnosticReportAttributes,
    DescribeDiagnosticMetrics,
    DescribeDiagnosticMetricSets,
    CreateFlowLog,
    DescribeFlowLogs,
    ModifyFlowLogAttribute,
    ActiveFlowLog,
    DeactiveFlowLog,
    DeleteFlowLog,
}

/// An operation in the table.
pub type Entry = catalog::Entry<Action, Version>;

impl Entry {
    /// The operation of a name in a version.
    #[must_use]
    pub fn find(name: &str, version: Version) -> Option<&'static Self> {
        OPERATIONS.iter().find(|entry| entry.name == name && entry.versions.contains(&version))
    }
}

/// Parameters that every operation accepts. Those that sign are read by [`crate::sign`].
pub const COMMON: &[Parameter] = &[
    takes("ClientToken", Token),
    takes("DryRun", Boolean),
    ignores("OwnerId", Id),
    ignores("OwnerAccount", Text),
    ignores("ResourceOwnerId", Id),
    ignores("ResourceOwnerAccount", Text),
];

const TAGS: [Parameter; 4] =
    [takes("Tag.N.Key", Text), takes("Tag.N.Value", Text), takes("Tag.N.key", Text), takes("Tag.N.value", Text)];

macro_rules! rule_parameters {
    ($prefix:literal) => {
        [
            takes(concat!($prefix, "Policy"), Choice),
            takes(concat!($prefix, "Priority"), Integer),
            takes(concat!($prefix, "IpProtocol"), Choice),
            takes(concat!($prefix, "PortRange"), Ports),
            takes(concat!($prefix, "PortRangeListId"), Id),
            takes(concat!($prefix, "SourcePortRange"), Ports),
            takes(concat!($prefix, "SourceCidrIp"), Address),
            takes(concat!($prefix, "Ipv6SourceCidrIp"), Address),
            takes(concat!($prefix, "SourceGroupId"), Id),
            takes(concat!($prefix, "SourceGroupOwnerAccount"), Text),
            takes(concat!($prefix, "SourceGroupOwnerId"), Id),
            takes(concat!($prefix, "SourcePrefixListId"), Id),
            takes(concat!($prefix, "DestCidrIp"), Address),
            takes(concat!($prefix, "Ipv6DestCidrIp"), Address),
            takes(concat!($prefix, "DestGroupId"), Id),
            takes(concat!($prefix, "DestGroupOwnerAccount"), Text),
            takes(concat!($prefix, "DestGroupOwnerId"), Id),
            takes(concat!($prefix, "DestPrefixListId"), Id),
            takes(concat!($prefix, "Description"), Text),
            // Every group is in a VPC, where the type of the network card is always the internal one.
            ignores(concat!($prefix, "NicType"), Choice),
        ]
    };
}

const FLAT_RULE: [Parameter; 20] = rule_parameters!("");
const LISTED_RULE: [Parameter; 20] = rule_parameters!("Permissions.N.");

const GROUP_IN_REGION: [Parameter; 2] = [needs("RegionId", Id), needs("SecurityGroupId", Id)];
const AUTHORIZE: &[Parameter] = &join::<42>(&[&GROUP_IN_REGION, &FLAT_RULE, &LISTED_RULE]);
const REVOKE: &[Parameter] =
    &join::<43>(&[&GROUP_IN_REGION, &FLAT_RULE, &LISTED_RULE, &[takes("SecurityGroupRuleId.N", Id)]]);
const MODIFY_RULE: &[Parameter] = &join::<23>(&[&GROUP_IN_REGION, &FLAT_RULE, &[takes("SecurityGroupRuleId", Id)]]);
const PREFIX_LIST: [Parameter; 2] = [needs("RegionId", Id), needs("PrefixListId", Id)];
const PORT_LIST: [Parameter; 2] = [needs("RegionId", Id), needs("PortRangeListId", Id)];
const PARTS: [Parameter; 2] = [takes("MaxResults", Integer), takes("NextToken", Token)];
const MEMBERSHIP: &[Parameter] =
    &[takes("RegionId", Id), needs("SecurityGroupId", Id), takes("InstanceId", Id), takes("NetworkInterfaceId", Id)];

const TAGGED: [Parameter; 3] = [needs("RegionId", Id), needs("ResourceType", Choice), takes("ResourceId.N", Id)];
const UNTAG: &[Parameter] = &join::<5>(&[&TAGGED, &[takes("TagKey.N", Text), takes("All", Boolean)]]);

const TIMEOUTS: [Parameter; 3] = [
    takes("ConnectionTrackingConfiguration.TcpEstablishedTimeout", Integer),
    takes("ConnectionTrackingConfiguration.TcpClosedAndTimeWaitTimeout", Integer),
    takes("ConnectionTrackingConfiguration.UdpTimeout", Integer),
];
const PREFIXES: [Parameter; 4] = [
    takes("Ipv4Prefix.N", Address),
    takes("Ipv4PrefixCount", Integer),
    takes("Ipv6Prefix.N", Address),
    takes("Ipv6PrefixCount", Integer),
];
/// How a virtual network card is driven; there is none here.
const IGNORED_QUEUES: [Parameter; 4] = [
    ignores("NetworkInterfaceTrafficConfig.NetworkInterfaceTrafficMode", Choice),
    ignores("NetworkInterfaceTrafficConfig.QueueNumber", Integer),
    ignores("NetworkInterfaceTrafficConfig.QueuePairNumber", Integer),
    ignores("NetworkInterfaceTrafficConfig.RxQueueSize", Integer),
];

const FLOW_LOG: [Parameter; 2] = [needs("RegionId", Id), needs("FlowLogId", Id)];

const ECS: &[Version] = &[Version::Ecs];
const VPC: &[Version] = &[Version::Vpc];
/// VPC operations exist twice: in their own product and, deprecated, in ECS.
const BOTH: &[Version] = &[Version::Vpc, Version::Ecs];

const fn entry(
    action: Action,
    name: &'static str,
    versions: &'static [Version],
    is_mutating: bool,
    parameters: &'static [Parameter],
) -> Entry {
    Entry { action, name, versions, is_mutating, parameters, common: COMMON }
}

/// Every operation.
pub const OPERATIONS: &[Entry] = &[
    entry(
        Action::CreateVpc,
        "CreateVpc",
        BOTH,
        true,
        &[
            needs("RegionId", Id),
            takes("CidrBlock", Address),
            takes("EnableIpv6", Boolean),
            takes("Ipv6CidrBlock", Address),
            takes("VpcName", Text),
            takes("Description", Text),
            ignores("Ipv6Isp", Choice),
            ignores("UserCidr", Address),
            takes("ResourceGroupId", Id),
            ignores("EnableDnsHostname", Boolean),
            takes("Tag.N.Key", Text),
            takes("Tag.N.Value", Text),
        ],
    ),
    entry(
        Action::DescribeVpcs,
        "DescribeVpcs",
        BOTH,
        false,
        &join::<16>(&[
            &[
                needs("RegionId", Id),
                takes("VpcId", Id),
                takes("VpcName", Text),
                takes("IsDefault", Boolean),
                takes("EnableIpv6", Boolean),
                takes("VpcOwnerId", Id),
                takes("ResourceGroupId", Id),
                takes("DhcpOptionsSetId", Id),
                takes("PageNumber", Integer),
                takes("PageSize", Integer),
                takes("MaxResults", Integer),
                takes("NextToken", Token),
            ],
            &TAGS,
        ]),
    ),
    entry(
        Action::DeleteVpc,
        "DeleteVpc",
        BOTH,
        true,
        &[takes("RegionId", Id), needs("VpcId", Id), ignores("ForceDelete", Boolean)],
    ),
    entry(
        Action::CreateVSwitch,
        "CreateVSwitch",
        BOTH,
        true,
        &[
            takes("RegionId", Id),
            needs("VpcId", Id),
            needs("ZoneId", Id),
            needs("CidrBlock", Address),
            takes("Ipv6CidrBlock", Integer),
            takes("VSwitchName", Text),
            takes("Description", Text),
            ignores("VpcIpv6CidrBlock", Address),
            takes("Tag.N.Key", Text),
            takes("Tag.N.Value", Text),
        ],
    ),
    entry(
        Action::DescribeVSwitches,
        "DescribeVSwitches",
        BOTH,
        false,
        &join::<18>(&[
            &[
                takes("RegionId", Id),
                takes("VpcId", Id),
                takes("VSwitchId", Id),
                takes("VSwitchName", Text),
                takes("ZoneId", Id),
                takes("IsDefault", Boolean),
                takes("EnableIpv6", Boolean),
                takes("RouteTableId", Id),
                takes("ResourceGroupId", Id),
                takes("VSwitchOwnerId", Id),
                takes("PageNumber", Integer),
                takes("PageSize", Integer),
                takes("MaxResults", Integer),
                takes("NextToken", Token),
            ],
            &TAGS,
        ]),
    ),
    entry(Action::DeleteVSwitch, "DeleteVSwitch", BOTH, true, &[takes("RegionId", Id), needs("VSwitchId", Id)]),
    entry(
        Action::DescribeRegions,
        "DescribeRegions",
        ECS,
        false,
        &[ignores("AcceptLanguage", Choice), ignores("InstanceChargeType", Choice), ignores("ResourceType", Choice)],
    ),
    entry(
        Action::RunInstances,
        "RunInstances",
        ECS,
        true,
        &[
            needs("RegionId", Id),
            takes("VSwitchId", Id),
            takes("ZoneId", Id),
            takes("ImageId", Id),
            takes("InstanceType", Id),
            takes("SecurityGroupId", Id),
            takes("SecurityGroupIds.N", Id),
            takes("Amount", Integer),
            takes("PrivateIpAddress", Address),
            takes("Ipv6AddressCount", Integer),
            takes("Ipv6Address.N", Address),
            takes("InstanceName", Text),
            takes("Description", Text),
            takes("NetworkInterface.N.InstanceType", Choice),
            takes("NetworkInterface.N.NetworkInterfaceId", Id),
            takes("NetworkInterface.N.VSwitchId", Id),
            takes("NetworkInterface.N.SecurityGroupId", Id),
            takes("NetworkInterface.N.SecurityGroupIds.N", Id),
            takes("NetworkInterface.N.PrimaryIpAddress", Address),
            takes("NetworkInterface.N.SecondaryPrivateIpAddressCount", Integer),
            takes("NetworkInterface.N.Ipv6Address.N", Address),
            takes("NetworkInterface.N.Ipv6AddressCount", Integer),
            takes("NetworkInterface.N.NetworkInterfaceName", Text),
            takes("NetworkInterface.N.Description", Text),
            takes("NetworkInterface.N.SourceDestCheck", Boolean),
            takes("NetworkInterface.N.DeleteOnRelease", Boolean),
            ignores("NetworkInterface.N.NetworkInterfaceTrafficMode", Choice),
            ignores("NetworkInterface.N.NetworkCardIndex", Integer),
            ignores("NetworkInterface.N.QueueNumber", Integer),
            ignores("NetworkInterface.N.QueuePairNumber", Integer),
            ignores("NetworkInterface.N.RxQueueSize", Integer),
            ignores("NetworkInterface.N.TxQueueSize", Integer),
            ignores("MinAmount", Integer),
            ignores("HostName", Text),
            ignores("Password", Text),
            ignores("KeyPairName", Text),
            ignores("UserData", Text),
            ignores("InstanceChargeType", Choice),
            ignores("InternetChargeType", Choice),
            ignores("InternetMaxBandwidthIn", Integer),
            ignores("InternetMaxBandwidthOut", Integer),
            ignores("IoOptimized", Choice),
            takes("SystemDisk.Category", Choice),
            takes("SystemDisk.Size", Integer),
            takes("SystemDisk.PerformanceLevel", Choice),
            takes("SystemDisk.DiskName", Text),
            takes("SystemDisk.Description", Text),
            takes("ResourceGroupId", Id),
            takes("Tag.N.Key", Text),
            takes("Tag.N.Value", Text),
        ],
    ),
    entry(
        Action::DescribeInstances,
        "DescribeInstances",
        ECS,
        false,
        &join::<22>(&[
            &[
                needs("RegionId", Id),
                takes("InstanceIds", Ids),
                takes("InstanceName", Text),
                takes("VpcId", Id),
                takes("VSwitchId", Id),
                takes("ZoneId", Id),
                takes("SecurityGroupId", Id),
                takes("ImageId", Id),
                takes("InstanceType", Id),
                takes("Status", Choice),
                takes("InstanceNetworkType", Choice),
                takes("PrivateIpAddresses", Ids),
                takes("Ipv6Address.N", Address),
                takes("ResourceGroupId", Id),
                takes("PageNumber", Integer),
                takes("PageSize", Integer),
                takes("MaxResults", Integer),
                takes("NextToken", Token),
            ],
            &TAGS,
        ]),
    ),
    entry(
        Action::DeleteInstance,
        "DeleteInstance",
        ECS,
        true,
        &[
            needs("InstanceId", Id),
            takes("RegionId", Id),
            takes("Force", Boolean),
            ignores("ForceStop", Boolean),
            ignores("TerminateSubscription", Boolean),
        ],
    ),
    entry(
        Action::DeleteInstances,
        "DeleteInstances",
        ECS,
        true,
        &[
            needs("RegionId", Id),
            takes("InstanceId.N", Id),
            takes("Force", Boolean),
            ignores("ForceStop", Boolean),
            ignores("TerminateSubscription", Boolean),
        ],
    ),
    entry(
        Action::CreateSecurityGroup,
        "CreateSecurityGroup",
        ECS,
        true,
        &join::<11>(&[
            &[
                needs("RegionId", Id),
                takes("VpcId", Id),
                takes("SecurityGroupName", Text),
                takes("Description", Text),
                takes("SecurityGroupType", Choice),
                takes("ResourceGroupId", Id),
                takes("ServiceManaged", Boolean),
            ],
            &TAGS,
        ]),
    ),
    entry(
        Action::DescribeSecurityGroups,
        "DescribeSecurityGroups",
        ECS,
        false,
        &join::<19>(&[
            &[
                needs("RegionId", Id),
                takes("SecurityGroupId", Id),
                takes("SecurityGroupIds", Ids),
                takes("SecurityGroupName", Text),
                takes("FuzzyQuery", Boolean),
                takes("VpcId", Id),
                takes("NetworkType", Choice),
                takes("SecurityGroupType", Choice),
                takes("ServiceManaged", Boolean),
                takes("ResourceGroupId", Id),
                takes("IsQueryEcsCount", Boolean),
                takes("PageNumber", Integer),
                takes("PageSize", Integer),
                takes("MaxResults", Integer),
                takes("NextToken", Token),
            ],
            &TAGS,
        ]),
    ),
    entry(
        Action::DescribeSecurityGroupAttribute,
        "DescribeSecurityGroupAttribute",
        ECS,
        false,
        &[
            needs("RegionId", Id),
            needs("SecurityGroupId", Id),
            takes("Direction", Choice),
            takes("MaxResults", Integer),
            takes("NextToken", Token),
            takes("Attribute", Choice),
            ignores("NicType", Choice),
        ],
    ),
    entry(Action::DeleteSecurityGroup, "DeleteSecurityGroup", ECS, true, &GROUP_IN_REGION),
    entry(
        Action::ModifySecurityGroupPolicy,
        "ModifySecurityGroupPolicy",
        ECS,
        true,
        &[needs("RegionId", Id), needs("SecurityGroupId", Id), needs("InnerAccessPolicy", Choice)],
    ),
    entry(Action::AuthorizeSecurityGroup, "AuthorizeSecurityGroup", ECS, true, AUTHORIZE),
    entry(Action::AuthorizeSecurityGroupEgress, "AuthorizeSecurityGroupEgress", ECS, true, AUTHORIZE),
    entry(Action::RevokeSecurityGroup, "RevokeSecurityGroup", ECS, true, REVOKE),
    entry(Action::RevokeSecurityGroupEgress, "RevokeSecurityGroupEgress", ECS, true, REVOKE),
    entry(Action::JoinSecurityGroup, "JoinSecurityGroup", ECS, true, MEMBERSHIP),
    entry(Action::LeaveSecurityGroup, "LeaveSecurityGroup", ECS, true, MEMBERSHIP),
    entry(Action::TagResources, "TagResources", BOTH, true, &join::<7>(&[&TAGGED, &TAGS])),
    entry(Action::UntagResources, "UntagResources", ECS, true, UNTAG),
    entry(Action::UnTagResources, "UnTagResources", VPC, true, UNTAG),
    entry(
        Action::ListTagResources,
        "ListTagResources",
        BOTH,
        false,
        &join::<9>(&[&TAGGED, &[takes("MaxResults", Integer), takes("NextToken", Token)], &TAGS]),
    ),
    entry(
        Action::JoinResourceGroup,
        "JoinResourceGroup",
        ECS,
        true,
        &[
            needs("RegionId", Id),
            needs("ResourceType", Choice),
            needs("ResourceId", Id),
            needs("ResourceGroupId", Id),
        ],
    ),
    entry(
        Action::ModifySecurityGroupAttribute,
        "ModifySecurityGroupAttribute",
        ECS,
        true,
        &[
            needs("RegionId", Id),
            needs("SecurityGroupId", Id),
            takes("SecurityGroupName", Text),
            takes("Description", Text),
        ],
    ),
    entry(Action::ModifySecurityGroupRule, "ModifySecurityGroupRule", ECS, true, MODIFY_RULE),
    entry(Action::ModifySecurityGroupEgressRule, "ModifySecurityGroupEgressRule", ECS, true, MODIFY_RULE),
    entry(
        Action::DescribeSecurityGroupReferences,
        "DescribeSecurityGroupReferences",
        ECS,
        false,
        &[needs("RegionId", Id), takes("SecurityGroupId.N", Id)],
    ),
    entry(
        Action::CreatePrefixList,
        "CreatePrefixList",
        ECS,
        true,
        &join::<12>(&[
            &[
                needs("RegionId", Id),
                needs("PrefixListName", Text),
                needs("AddressFamily", Choice),
                needs("MaxEntries", Integer),
                takes("Description", Text),
                takes("Entry.N.Cidr", Address),
                takes("Entry.N.Description", Text),
                takes("ResourceGroupId", Id),
            ],
            &TAGS,
        ]),
    ),
    entry(
        Action::ModifyPrefixList,
        "ModifyPrefixList",
        ECS,
        true,
        &join::<7>(&[
            &PREFIX_LIST,
            &[
                takes("PrefixListName", Text),
                takes("Description", Text),
                takes("AddEntry.N.Cidr", Address),
                takes("AddEntry.N.Description", Text),
                takes("RemoveEntry.N.Cidr", Address),
            ],
        ]),
    ),
    entry(Action::DeletePrefixList, "DeletePrefixList", ECS, true, &PREFIX_LIST),
    entry(
        Action::DescribePrefixLists,
        "DescribePrefixLists",
        ECS,
        false,
        &join::<11>(&[
            &[
                needs("RegionId", Id),
                takes("PrefixListId.N", Id),
                takes("PrefixListName", Text),
                takes("AddressFamily", Choice),
                takes("ResourceGroupId", Id),
            ],
            &PARTS,
            &TAGS,
        ]),
    ),
    entry(Action::DescribePrefixListAttributes, "DescribePrefixListAttributes", ECS, false, &PREFIX_LIST),
    entry(
        Action::DescribePrefixListAssociations,
        "DescribePrefixListAssociations",
        ECS,
        false,
        &join::<4>(&[&PREFIX_LIST, &PARTS]),
    ),
    entry(
        Action::CreatePortRangeList,
        "CreatePortRangeList",
        ECS,
        true,
        &join::<11>(&[
            &[
                needs("RegionId", Id),
                needs("PortRangeListName", Text),
                needs("MaxEntries", Integer),
                takes("Description", Text),
                takes("Entry.N.PortRange", Ports),
                takes("Entry.N.Description", Text),
                takes("ResourceGroupId", Id),
            ],
            &TAGS,
        ]),
    ),
    entry(
        Action::ModifyPortRangeList,
        "ModifyPortRangeList",
        ECS,
        true,
        &join::<7>(&[
            &PORT_LIST,
            &[
                takes("PortRangeListName", Text),
                takes("Description", Text),
                takes("AddEntry.N.PortRange", Ports),
                takes("AddEntry.N.Description", Text),
                takes("RemoveEntry.N.PortRange", Ports),
            ],
        ]),
    ),
    entry(Action::DeletePortRangeList, "DeletePortRangeList", ECS, true, &PORT_LIST),
    entry(
        Action::DescribePortRangeLists,
        "DescribePortRangeLists",
        ECS,
        false,
        &join::<10>(&[
            &[
                needs("RegionId", Id),
                takes("PortRangeListId.N", Id),
                takes("PortRangeListName", Text),
                takes("ResourceGroupId", Id),
            ],
            &PARTS,
            &TAGS,
        ]),
    ),
    entry(Action::DescribePortRangeListEntries, "DescribePortRangeListEntries", ECS, false, &PORT_LIST),
    entry(
        Action::DescribePortRangeListAssociations,
        "DescribePortRangeListAssociations",
        ECS,
        false,
        &join::<4>(&[&PORT_LIST, &PARTS]),
    ),
    entry(Action::GetCallerIdentity, "GetCallerIdentity", &[Version::Sts], false, &[ignores("RegionId", Id)]),
    entry(
        Action::DescribeEndpoints,
        "DescribeEndpoints",
        &[Version::Location],
        false,
        &[needs("Id", Id), needs("ServiceCode", Text), takes("Type", Choice), ignores("RegionId", Id)],
    ),
    entry(
        Action::CreateNetworkInterface,
        "CreateNetworkInterface",
        ECS,
        true,
        &join::<38>(&[
            &[
                needs("RegionId", Id),
                needs("VSwitchId", Id),
                takes("SecurityGroupId", Id),
                takes("SecurityGroupIds.N", Id),
                takes("PrimaryIpAddress", Address),
                takes("PrivateIpAddress.N", Address),
                takes("SecondaryPrivateIpAddressCount", Integer),
                takes("Ipv6Address.N", Address),
                takes("Ipv6AddressCount", Integer),
                takes("InstanceType", Choice),
                takes("NetworkInterfaceName", Text),
                takes("Description", Text),
                takes("SourceDestCheck", Boolean),
                takes("DeleteOnRelease", Boolean),
                ignores("BusinessType", Choice),
                ignores("EnablePrimaryIPv6", Boolean),
                ignores("NetworkInterfaceTrafficMode", Choice),
                ignores("QueueNumber", Integer),
                ignores("QueuePairNumber", Integer),
                ignores("RxQueueSize", Integer),
                ignores("TxQueueSize", Integer),
                takes("ResourceGroupId", Id),
                ignores("Visible", Boolean),
            ],
            &TIMEOUTS,
            &PREFIXES,
            &IGNORED_QUEUES,
            &TAGS,
        ]),
    ),
    entry(
        Action::AttachNetworkInterface,
        "AttachNetworkInterface",
        ECS,
        true,
        &[
            takes("RegionId", Id),
            needs("NetworkInterfaceId", Id),
            needs("InstanceId", Id),
            takes("TrunkNetworkInstanceId", Id),
            ignores("NetworkCardIndex", Integer),
            ignores("WaitForNetworkConfigurationReady", Boolean),
        ],
    ),
    entry(
        Action::DetachNetworkInterface,
        "DetachNetworkInterface",
        ECS,
        true,
        &[
            takes("RegionId", Id),
            needs("NetworkInterfaceId", Id),
            needs("InstanceId", Id),
            takes("TrunkNetworkInstanceId", Id),
        ],
    ),
    entry(
        Action::DeleteNetworkInterface,
        "DeleteNetworkInterface",
        ECS,
        true,
        &[takes("RegionId", Id), needs("NetworkInterfaceId", Id)],
    ),
    entry(
        Action::DescribeNetworkInterfaces,
        "DescribeNetworkInterfaces",
        ECS,
        false,
        &join::<22>(&[
            &[
                needs("RegionId", Id),
                takes("NetworkInterfaceId.N", Id),
                takes("InstanceId", Id),
                takes("SecurityGroupId", Id),
                takes("VpcId", Id),
                takes("VSwitchId", Id),
                takes("PrimaryIpAddress", Address),
                takes("PrivateIpAddress.N", Address),
                takes("Ipv6Address.N", Address),
                takes("Type", Choice),
                takes("Status", Choice),
                takes("NetworkInterfaceName", Text),
                takes("ServiceManaged", Boolean),
                takes("ResourceGroupId", Id),
                takes("PageNumber", Integer),
                takes("PageSize", Integer),
                takes("MaxResults", Integer),
                takes("NextToken", Token),
            ],
            &TAGS,
        ]),
    ),
    entry(
        Action::DescribeNetworkInterfaceAttribute,
        "DescribeNetworkInterfaceAttribute",
        ECS,
        false,
        &[
            takes("RegionId", Id),
            needs("NetworkInterfaceId", Id),
            ignores("Attribute", Choice),
            ignores("Tag.N.Key", Text),
            ignores("Tag.N.Value", Text),
        ],
    ),
    entry(
        Action::ModifyNetworkInterfaceAttribute,
        "ModifyNetworkInterfaceAttribute",
        ECS,
        true,
        &join::<19>(&[
            &[
                needs("RegionId", Id),
                needs("NetworkInterfaceId", Id),
                takes("SecurityGroupId.N", Id),
                takes("NetworkInterfaceName", Text),
                takes("Description", Text),
                takes("SourceDestCheck", Boolean),
                takes("DeleteOnRelease", Boolean),
                ignores("EnablePrimaryIPv6", Boolean),
                ignores("QueueNumber", Integer),
                ignores("RxQueueSize", Integer),
                ignores("TxQueueSize", Integer),
                ignores("EnhancedNetwork.EnableExpress", Boolean),
            ],
            &TIMEOUTS,
            &IGNORED_QUEUES,
        ]),
    ),
    entry(
        Action::AssignPrivateIpAddresses,
        "AssignPrivateIpAddresses",
        ECS,
        true,
        &[
            needs("RegionId", Id),
            needs("NetworkInterfaceId", Id),
            takes("PrivateIpAddress.N", Address),
            takes("SecondaryPrivateIpAddressCount", Integer),
            takes("Ipv4Prefix.N", Address),
            takes("Ipv4PrefixCount", Integer),
        ],
    ),
    entry(
        Action::UnassignPrivateIpAddresses,
        "UnassignPrivateIpAddresses",
        ECS,
        true,
        &[
            needs("RegionId", Id),
            needs("NetworkInterfaceId", Id),
            takes("PrivateIpAddress.N", Address),
            takes("Ipv4Prefix.N", Address),
        ],
    ),
    entry(
        Action::AssignIpv6Addresses,
        "AssignIpv6Addresses",
        ECS,
        true,
        &[
            needs("RegionId", Id),
            needs("NetworkInterfaceId", Id),
            takes("Ipv6Address.N", Address),
            takes("Ipv6AddressCount", Integer),
            takes("Ipv6Prefix.N", Address),
            takes("Ipv6PrefixCount", Integer),
        ],
    ),
    entry(
        Action::UnassignIpv6Addresses,
        "UnassignIpv6Addresses",
        ECS,
        true,
        &[
            needs("RegionId", Id),
            needs("NetworkInterfaceId", Id),
            takes("Ipv6Address.N", Address),
            takes("Ipv6Prefix.N", Address),
        ],
    ),
    entry(
        Action::ModifyInstanceAttribute,
        "ModifyInstanceAttribute",
        ECS,
        true,
        &[
            needs("InstanceId", Id),
            takes("RegionId", Id),
            takes("SecurityGroupIds.N", Id),
            takes("InstanceName", Text),
            takes("Description", Text),
            takes("DeletionProtection", Boolean),
            ignores("HostName", Text),
            ignores("Password", Text),
            ignores("UserData", Text),
            ignores("Recyclable", Boolean),
            ignores("CreditSpecification", Choice),
            ignores("EnableJumboFrame", Boolean),
            ignores("EnableNetworkEncryption", Boolean),
            ignores("NetworkInterfaceQueueNumber", Integer),
        ],
    ),
    entry(
        Action::StartInstance,
        "StartInstance",
        ECS,
        true,
        &[needs("InstanceId", Id), takes("RegionId", Id), ignores("InitLocalDisk", Boolean)],
    ),
    entry(
        Action::StartInstances,
        "StartInstances",
        ECS,
        true,
        &[needs("RegionId", Id), takes("InstanceId.N", Id), takes("BatchOptimization", Choice)],
    ),
    entry(
        Action::StopInstance,
        "StopInstance",
        ECS,
        true,
        &[
            needs("InstanceId", Id),
            takes("RegionId", Id),
            ignores("ForceStop", Boolean),
            ignores("ConfirmStop", Boolean),
            ignores("Hibernate", Boolean),
            ignores("StoppedMode", Choice),
        ],
    ),
    entry(
        Action::StopInstances,
        "StopInstances",
        ECS,
        true,
        &[
            needs("RegionId", Id),
            takes("InstanceId.N", Id),
            takes("BatchOptimization", Choice),
            ignores("ForceStop", Boolean),
            ignores("StoppedMode", Choice),
        ],
    ),
    entry(
        Action::RebootInstance,
        "RebootInstance",
        ECS,
        true,
        &[needs("InstanceId", Id), takes("RegionId", Id), ignores("ForceStop", Boolean)],
    ),
    entry(
        Action::RebootInstances,
        "RebootInstances",
        ECS,
        true,
        &[
            needs("RegionId", Id),
            takes("InstanceId.N", Id),
            takes("BatchOptimization", Choice),
            ignores("ForceReboot", Boolean),
        ],
    ),
    entry(
        Action::DescribeInstanceStatus,
        "DescribeInstanceStatus",
        ECS,
        false,
        &[
            needs("RegionId", Id),
            takes("InstanceId.N", Id),
            takes("ZoneId", Id),
            takes("ClusterId", Id),
            takes("PageNumber", Integer),
            takes("PageSize", Integer),
        ],
    ),
    entry(
        Action::DescribeInstanceAttribute,
        "DescribeInstanceAttribute",
        ECS,
        false,
        &[needs("InstanceId", Id), takes("RegionId", Id)],
    ),
    entry(
        Action::DescribeZones,
        "DescribeZones",
        ECS,
        false,
        &[
            needs("RegionId", Id),
            ignores("AcceptLanguage", Choice),
            ignores("InstanceChargeType", Choice),
            ignores("SpotStrategy", Choice),
            ignores("Verbose", Boolean),
        ],
    ),
    entry(
        Action::DescribeInstanceTypes,
        "DescribeInstanceTypes",
        ECS,
        false,
        &[
            takes("RegionId", Id),
            takes("InstanceTypes.N", Id),
            takes("InstanceTypeFamily", Id),
            takes("InstanceTypeFamilies.N", Id),
            takes("MinimumCpuCoreCount", Integer),
            takes("MaximumCpuCoreCount", Integer),
            takes("MinimumEniQuantity", Integer),
            takes("MinimumEniPrivateIpAddressQuantity", Integer),
            takes("MinimumEniIpv6AddressQuantity", Integer),
            takes("MaxResults", Integer),
            takes("NextToken", Token),
        ],
    ),
    entry(
        Action::DescribeVpcAttribute,
        "DescribeVpcAttribute",
        BOTH,
        false,
        &[takes("RegionId", Id), needs("VpcId", Id), ignores("IsDefault", Boolean)],
    ),
    entry(
        Action::ModifyVpcAttribute,
        "ModifyVpcAttribute",
        BOTH,
        true,
        &[
            takes("RegionId", Id),
            needs("VpcId", Id),
            takes("VpcName", Text),
            takes("Description", Text),
            takes("EnableIPv6", Boolean),
            takes("Ipv6CidrBlock", Address),
            ignores("Ipv6Isp", Choice),
            ignores("CidrBlock", Address),
            ignores("EnableDnsHostname", Boolean),
            ignores("UserCidr", Address),
        ],
    ),
    entry(
        Action::DescribeVSwitchAttributes,
        "DescribeVSwitchAttributes",
        BOTH,
        false,
        &[takes("RegionId", Id), needs("VSwitchId", Id)],
    ),
    entry(
        Action::ModifyVSwitchAttribute,
        "ModifyVSwitchAttribute",
        BOTH,
        true,
        &[
            takes("RegionId", Id),
            needs("VSwitchId", Id),
            takes("VSwitchName", Text),
            takes("Description", Text),
            takes("EnableIPv6", Boolean),
            takes("Ipv6CidrBlock", Integer),
            ignores("VpcIpv6CidrBlock", Address),
        ],
    ),
    entry(
        Action::DescribeDisks,
        "DescribeDisks",
        ECS,
        false,
        &join::<34>(&[
            &[
                needs("RegionId", Id),
                takes("DiskIds", Ids),
                takes("InstanceId", Id),
                takes("ZoneId", Id),
                takes("DiskType", Choice),
                takes("Category", Choice),
                takes("PerformanceLevel", Choice),
                takes("Status", Choice),
                takes("DiskName", Text),
                takes("ResourceGroupId", Id),
                takes("DiskChargeType", Choice),
                takes("DeleteWithInstance", Boolean),
                takes("Encrypted", Boolean),
                takes("Portable", Boolean),
                takes("EnableShared", Boolean),
                takes("MultiAttach", Choice),
                takes("EnableAutoSnapshot", Boolean),
                takes("DeleteAutoSnapshot", Boolean),
                takes("EnableAutomatedSnapshotPolicy", Boolean),
                takes("SnapshotId", Id),
                takes("AutoSnapshotPolicyId", Id),
                takes("KMSKeyId", Id),
                takes("LockReason", Choice),
                ignores("AdditionalAttributes.N", Choice),
                ignores("Filter.N.Key", Text),
                ignores("Filter.N.Value", Text),
                takes("PageNumber", Integer),
                takes("PageSize", Integer),
            ],
            &PARTS,
            &TAGS,
        ]),
    ),
    entry(
        Action::CreateDiagnosticReport,
        "CreateDiagnosticReport",
        ECS,
        true,
        &[
            needs("RegionId", Id),
            needs("ResourceId", Id),
            takes("MetricSetId", Id),
            takes("StartTime", Text),
            takes("EndTime", Text),
            ignores("AdditionalOptions", Text),
        ],
    ),
    entry(
        Action::DescribeDiagnosticReports,
        "DescribeDiagnosticReports",
        ECS,
        false,
        &join::<7>(&[
            &[
                needs("RegionId", Id),
                takes("ReportIds.N", Id),
                takes("ResourceIds.N", Id),
                takes("Status", Choice),
                takes("Severity", Choice),
            ],
            &PARTS,
        ]),
    ),
    entry(
        Action::DescribeDiagnosticReportAttributes,
        "DescribeDiagnosticReportAttributes",
        ECS,
        false,
        &[needs("RegionId", Id), needs("ReportId", Id)],
    ),
    entry(
        Action::DescribeDiagnosticMetrics,
        "DescribeDiagnosticMetrics",
        ECS,
        false,
        &join::<5>(&[&[needs("RegionId", Id), takes("MetricIds.N", Text), takes("ResourceType", Choice)], &PARTS]),
    ),
    entry(
        Action::DescribeDiagnosticMetricSets,
        "DescribeDiagnosticMetricSets",
        ECS,
        false,
        &join::<6>(&[
            &[
                needs("RegionId", Id),
                takes("MetricSetIds.N", Text),
                takes("ResourceType", Choice),
                takes("Type", Choice),
            ],
            &PARTS,
        ]),
    ),
    entry(
        Action::CreateFlowLog,
        "CreateFlowLog",
        VPC,
        true,
        &[
            needs("RegionId", Id),
            needs("ResourceType", Choice),
            needs("ResourceId", Id),
            needs("TrafficType", Choice),
            takes("ProjectName", Text),
            takes("LogStoreName", Text),
            takes("FlowLogName", Text),
            takes("Description", Text),
            takes("AggregationInterval", Integer),
            takes("IpVersion", Choice),
            takes("LogFormat", Text),
            takes("TrafficPath.N", Choice),
            takes("ResourceGroupId", Id),
            takes("Tag.N.Key", Text),
            takes("Tag.N.Value", Text),
        ],
    ),
    entry(
        Action::DescribeFlowLogs,
        "DescribeFlowLogs",
        VPC,
        false,
        &[
            needs("RegionId", Id),
            takes("FlowLogId", Id),
            takes("FlowLogName", Text),
            takes("Description", Text),
            takes("ResourceType", Choice),
            takes("ResourceId", Id),
            takes("VpcId", Id),
            takes("TrafficType", Choice),
            takes("ProjectName", Text),
            takes("LogStoreName", Text),
            takes("Status", Choice),
            takes("ResourceGroupId", Id),
            takes("Tags.N.Key", Text),
            takes("Tags.N.Value", Text),
            takes("PageNumber", Integer),
            takes("PageSize", Integer),
        ],
    ),
    entry(
        Action::ModifyFlowLogAttribute,
        "ModifyFlowLogAttribute",
        VPC,
        true,
        &join::<7>(&[
            &FLOW_LOG,
            &[
                takes("FlowLogName", Text),
                takes("Description", Text),
                takes("AggregationInterval", Integer),
                takes("IpVersion", Choice),
                takes("LogFormat", Text),
            ],
        ]),
    ),
    entry(Action::ActiveFlowLog, "ActiveFlowLog", VPC, true, &FLOW_LOG),
    entry(Action::DeactiveFlowLog, "DeactiveFlowLog", VPC, true, &FLOW_LOG),
    entry(Action::DeleteFlowLog, "DeleteFlowLog", VPC, true, &FLOW_LOG),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_found_in_its_versions_only() {
        assert!(Entry::find("CreateVpc", Version::Vpc).is_some() && Entry::find("CreateVpc", Version::Ecs).is_some());
        assert!(Entry::find("RunInstances", Version::Vpc).is_none());
        assert!(Entry::find("createvpc", Version::Vpc).is_none());
    }

    #[test]
    fn names_are_unique_and_match_their_action() {
        for entry in OPERATIONS {
            assert_eq!(format!("{:?}", entry.action), entry.name);
            assert_eq!(OPERATIONS.iter().filter(|other| other.action == entry.action).count(), 1);
            for parameter in entry.parameters {
                let same = entry.parameters.iter().chain(COMMON).filter(|other| other.name == parameter.name);
                assert_eq!(same.count(), 1, "{} {}", entry.name, parameter.name);
            }
        }
    }

    #[test]
    fn numbers_in_names_stand_for_n() {
        let entry = Entry::find("AuthorizeSecurityGroup", Version::Ecs).unwrap();
        assert!(entry.accepts("Permissions.17.SourceCidrIp") && entry.accepts("SourceCidrIp"));
        assert!(!entry.accepts("Permissions.x.SourceCidrIp") && !entry.accepts("Permissions.1.Nothing"));
    }
}
