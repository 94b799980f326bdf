//! Every operation of EC2 that is spoken here, with every parameter it takes. A parameter that is not listed is refused,
//! as the real service does (`spec/ec2.md` B1).

use crate::catalog::{
    self,
    Kind::{Address, Boolean, Choice, Id, Integer, Text, Token},
    Parameter, ignores, join, needs, refuses, takes,
};

/// A version of an API, which tells the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// EC2 2016-11-15.
    Ec2,
    /// STS 2011-06-15, which tells a client whose key it has.
    Sts,
}

impl Version {
    /// Every version there is.
    pub const ALL: [Self; 2] = [Self::Ec2, Self::Sts];

    /// The date that names it.
    #[must_use]
    pub fn date(self) -> &'static str {
        match self {
            Self::Ec2 => "2016-11-15",
            Self::Sts => "2011-06-15",
        }
    }

    /// The service, as it stands in the scope of a signature.
    #[must_use]
    pub fn service(self) -> &'static str {
        match self {
            Self::Ec2 => "ec2",
            Self::Sts => "sts",
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
    GetCallerIdentity,
    DescribeRegions,
    DescribeAvailabilityZones,
    DescribeAccountAttributes,
    CreateVpc,
    DescribeVpcs,
    DeleteVpc,
    CreateSubnet,
    DescribeSubnets,
    DeleteSubnet,
    CreateSecurityGroup,
    DescribeSecurityGroups,
    DeleteSecurityGroup,
    AuthorizeSecurityGroupIngress,
    AuthorizeSecurityGroupEgress,
    RevokeSecurityGroupIngress,
    RevokeSecurityGroupEgress,
    DescribeSecurityGroupRules,
    RunInstances,
    DescribeInstances,
    TerminateInstances,
    CreateTags,
    DeleteTags,
    DescribeTags,
    ModifySecurityGroupRules,
    UpdateSecurityGroupRuleDescriptionsIngress,
    UpdateSecurityGroupRuleDescriptionsEgress,
    DescribeStaleSecurityGroups,
    DescribeSecurityGroupReferences,
    GetSecurityGroupsForVpc,
    StartInstances,
    StopInstances,
    RebootInstances,
    CreateNetworkInterface,
    DescribeNetworkInterfaces,
    DeleteNetworkInterface,
    AttachNetworkInterface,
    DetachNetworkInterface,
    ModifyNetworkInterfaceAttribute,
    ModifyInstanceAttribute,
    DescribeInstanceAttribute,
    DescribeNetworkInterfaceAttribute,
    AssignPrivateIpAddresses,
    UnassignPrivateIpAddresses,
    CreateManagedPrefixList,
    ModifyManagedPrefixList,
    DeleteManagedPrefixList,
    RestoreManagedPrefixListVersion,
    DescribeManagedPrefixLists,
    GetManagedPrefixListEntries,
    GetManagedPrefixListAssociations,
    DescribePrefixLists,
    DescribeVpcAttribute,
    ModifyVpcAttribute,
    DescribeVpcClassicLink,
    DescribeVpcClassicLinkDnsSupport,
    DescribeRouteTables,
    DescribeNetworkAcls,
    DescribeInternetGateways,
    DescribeNatGateways,
    DescribeVpcEndpoints,
    DescribeAddresses,
    DescribeVolumes,
    DescribeSnapshots,
    DescribeImages,
    DescribeLaunchTemplates,
    CreateVpcPeeringConnection,
    AcceptVpcPeeringConnection,
    RejectVpcPeeringConnection,
    DeleteVpcPeeringConnection,
    DescribeVpcPeeringConnections,
    AssociateSecurityGroupVpc,
    DisassociateSecurityGroupVpc,
    DescribeSecurityGroupVpcAssociations,
    ValidateSecurityGroupQuotasForInterface,
    CreateFlowLogs,
    DescribeFlowLogs,
    DeleteFlowLogs,
    CreateNetworkInsightsPath,
    DescribeNetworkInsightsPaths,
    DeleteNetworkInsightsPath,
    StartNetworkInsightsAnalysis,
    DescribeNetworkInsightsAnalyses,
    DeleteNetworkInsightsAnalysis,
    CreateNetworkAcl,
    DeleteNetworkAcl,
    CreateNetworkAclEntry,
    ReplaceNetworkAclEntry,
    DeleteNetworkAclEntry,
    ReplaceNetworkAclAssociation,
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

/// Parameters that every operation accepts. Those that sign are read by [`crate::sign::aws`].
pub const COMMON: &[Parameter] = &[takes("DryRun", Boolean)];

const TAG_SPECIFICATION: [Parameter; 3] = [
    takes("TagSpecification.N.ResourceType", Choice),
    takes("TagSpecification.N.Tag.N.Key", Text),
    takes("TagSpecification.N.Tag.N.Value", Text),
];
const FILTER: [Parameter; 2] = [takes("Filter.N.Name", Choice), takes("Filter.N.Value.N", Text)];
const PARTS: [Parameter; 2] = [takes("MaxResults", Integer), takes("NextToken", Token)];
/// Of things that there are none of: whatever is asked for, nothing is found.
const ANY_FILTER: [Parameter; 2] = [ignores("Filter.N.Name", Choice), ignores("Filter.N.Value.N", Text)];
const ANY_PART: [Parameter; 2] = [ignores("MaxResults", Integer), ignores("NextToken", Token)];
/// Address pools of an address manager, which there is none of.
const POOLS: [Parameter; 4] = [
    refuses("Ipv4IpamPoolId", Id),
    refuses("Ipv4NetmaskLength", Integer),
    refuses("Ipv6IpamPoolId", Id),
    refuses("Ipv6NetmaskLength", Integer),
];
const ACL_ENTRY: &[Parameter] = &[
    needs("NetworkAclId", Id),
    needs("RuleNumber", Integer),
    needs("Egress", Boolean),
    needs("Protocol", Choice),
    needs("RuleAction", Choice),
    takes("CidrBlock", Address),
    takes("Ipv6CidrBlock", Address),
    takes("PortRange.From", Integer),
    takes("PortRange.To", Integer),
    takes("Icmp.Type", Integer),
    takes("Icmp.Code", Integer),
];
const PEERING: [Parameter; 1] = [needs("VpcPeeringConnectionId", Id)];
const GROUP: [Parameter; 2] = [takes("GroupId", Id), takes("GroupName", Text)];
/// The rules of a call, listed.
const PERMISSIONS: [Parameter; 16] = [
    takes("IpPermissions.N.IpProtocol", Choice),
    takes("IpPermissions.N.FromPort", Integer),
    takes("IpPermissions.N.ToPort", Integer),
    takes("IpPermissions.N.IpRanges.N.CidrIp", Address),
    takes("IpPermissions.N.IpRanges.N.Description", Text),
    takes("IpPermissions.N.Ipv6Ranges.N.CidrIpv6", Address),
    takes("IpPermissions.N.Ipv6Ranges.N.Description", Text),
    takes("IpPermissions.N.PrefixListIds.N.PrefixListId", Id),
    takes("IpPermissions.N.PrefixListIds.N.Description", Text),
    takes("IpPermissions.N.Groups.N.GroupId", Id),
    takes("IpPermissions.N.Groups.N.GroupName", Text),
    takes("IpPermissions.N.Groups.N.UserId", Id),
    takes("IpPermissions.N.Groups.N.Description", Text),
    // Where a group is, is known.
    ignores("IpPermissions.N.Groups.N.VpcId", Id),
    ignores("IpPermissions.N.Groups.N.VpcPeeringConnectionId", Id),
    ignores("IpPermissions.N.Groups.N.PeeringStatus", Choice),
];
/// One rule, flat: the form of before there were lists.
const FLAT: [Parameter; 6] = [
    takes("IpProtocol", Choice),
    takes("FromPort", Integer),
    takes("ToPort", Integer),
    takes("CidrIp", Address),
    takes("SourceSecurityGroupName", Text),
    takes("SourceSecurityGroupOwnerId", Id),
];
const AUTHORIZE: &[Parameter] = &join::<27>(&[&GROUP, &PERMISSIONS, &FLAT, &TAG_SPECIFICATION]);
const REVOKE: &[Parameter] = &join::<25>(&[&GROUP, &PERMISSIONS, &FLAT, &[takes("SecurityGroupRuleId.N", Id)]]);
const DESCRIBE_RULES: &[Parameter] = &join::<20>(&[
    &GROUP,
    &PERMISSIONS,
    &[
        takes("SecurityGroupRuleDescription.N.SecurityGroupRuleId", Id),
        takes("SecurityGroupRuleDescription.N.Description", Text),
    ],
]);
const TAGGED: [Parameter; 3] = [takes("ResourceId.N", Id), takes("Tag.N.Key", Text), takes("Tag.N.Value", Text)];

const EC2: &[Version] = &[Version::Ec2];

const fn reads(action: Action, name: &'static str, parameters: &'static [Parameter]) -> Entry {
    Entry { action, name, versions: EC2, is_mutating: false, parameters, common: COMMON }
}

const fn changes(action: Action, name: &'static str, parameters: &'static [Parameter]) -> Entry {
    Entry { action, name, versions: EC2, is_mutating: true, parameters, common: COMMON }
}

/// Every operation.
pub const OPERATIONS: &[Entry] = &[
    Entry {
        action: Action::GetCallerIdentity,
        name: "GetCallerIdentity",
        versions: &[Version::Sts],
        is_mutating: false,
        parameters: &[],
        common: &[],
    },
    reads(
        Action::DescribeRegions,
        "DescribeRegions",
        &join::<4>(&[&[takes("RegionName.N", Id), takes("AllRegions", Boolean)], &FILTER]),
    ),
    reads(
        Action::DescribeAvailabilityZones,
        "DescribeAvailabilityZones",
        &join::<5>(&[
            // Every zone is opted in to.
            &[takes("ZoneName.N", Id), takes("ZoneId.N", Id), ignores("AllAvailabilityZones", Boolean)],
            &FILTER,
        ]),
    ),
    reads(Action::DescribeAccountAttributes, "DescribeAccountAttributes", &[takes("AttributeName.N", Choice)]),
    changes(
        Action::CreateVpc,
        "CreateVpc",
        &join::<14>(&[
            &[
                takes("CidrBlock", Address),
                takes("AmazonProvidedIpv6CidrBlock", Boolean),
                ignores("InstanceTenancy", Choice),
                ignores("Ipv6CidrBlockNetworkBorderGroup", Text),
                refuses("Ipv6Pool", Id),
                refuses("Ipv6CidrBlock", Address),
                refuses("VpcEncryptionControl.*", Text),
            ],
            &POOLS,
            &TAG_SPECIFICATION,
        ]),
    ),
    reads(Action::DescribeVpcs, "DescribeVpcs", &join::<5>(&[&[takes("VpcId.N", Id)], &FILTER, &PARTS])),
    changes(Action::DeleteVpc, "DeleteVpc", &[needs("VpcId", Id)]),
    changes(
        Action::CreateSubnet,
        "CreateSubnet",
        &join::<14>(&[
            &[
                needs("VpcId", Id),
                takes("CidrBlock", Address),
                takes("Ipv6CidrBlock", Address),
                takes("AvailabilityZone", Choice),
                takes("AvailabilityZoneId", Choice),
                refuses("OutpostArn", Text),
                refuses("Ipv6Native", Boolean),
            ],
            &POOLS,
            &TAG_SPECIFICATION,
        ]),
    ),
    reads(Action::DescribeSubnets, "DescribeSubnets", &join::<5>(&[&[takes("SubnetId.N", Id)], &FILTER, &PARTS])),
    changes(Action::DeleteSubnet, "DeleteSubnet", &[needs("SubnetId", Id)]),
    changes(
        Action::CreateSecurityGroup,
        "CreateSecurityGroup",
        &join::<6>(&[
            &[needs("GroupName", Text), needs("GroupDescription", Text), takes("VpcId", Id)],
            &TAG_SPECIFICATION,
        ]),
    ),
    reads(
        Action::DescribeSecurityGroups,
        "DescribeSecurityGroups",
        &join::<6>(&[&[takes("GroupId.N", Id), takes("GroupName.N", Text)], &FILTER, &PARTS]),
    ),
    changes(Action::DeleteSecurityGroup, "DeleteSecurityGroup", &GROUP),
    changes(Action::AuthorizeSecurityGroupIngress, "AuthorizeSecurityGroupIngress", AUTHORIZE),
    changes(Action::AuthorizeSecurityGroupEgress, "AuthorizeSecurityGroupEgress", AUTHORIZE),
    changes(Action::RevokeSecurityGroupIngress, "RevokeSecurityGroupIngress", REVOKE),
    changes(Action::RevokeSecurityGroupEgress, "RevokeSecurityGroupEgress", REVOKE),
    reads(
        Action::DescribeSecurityGroupRules,
        "DescribeSecurityGroupRules",
        &join::<5>(&[&[takes("SecurityGroupRuleId.N", Id)], &FILTER, &PARTS]),
    ),
    changes(Action::RunInstances, "RunInstances", RUN_INSTANCES),
    reads(
        Action::DescribeInstances,
        "DescribeInstances",
        &join::<6>(&[&[takes("InstanceId.N", Id), ignores("IncludeManagedResources", Boolean)], &FILTER, &PARTS]),
    ),
    changes(
        Action::TerminateInstances,
        "TerminateInstances",
        &[takes("InstanceId.N", Id), ignores("Force", Boolean), ignores("SkipOsShutdown", Boolean)],
    ),
    changes(Action::CreateTags, "CreateTags", &TAGGED),
    changes(Action::DeleteTags, "DeleteTags", &TAGGED),
    reads(Action::DescribeTags, "DescribeTags", &join::<4>(&[&FILTER, &PARTS])),
    changes(
        Action::ModifySecurityGroupRules,
        "ModifySecurityGroupRules",
        &[
            needs("GroupId", Id),
            takes("SecurityGroupRule.N.SecurityGroupRuleId", Id),
            takes("SecurityGroupRule.N.SecurityGroupRule.IpProtocol", Choice),
            takes("SecurityGroupRule.N.SecurityGroupRule.FromPort", Integer),
            takes("SecurityGroupRule.N.SecurityGroupRule.ToPort", Integer),
            takes("SecurityGroupRule.N.SecurityGroupRule.CidrIpv4", Address),
            takes("SecurityGroupRule.N.SecurityGroupRule.CidrIpv6", Address),
            takes("SecurityGroupRule.N.SecurityGroupRule.PrefixListId", Id),
            takes("SecurityGroupRule.N.SecurityGroupRule.ReferencedGroupId", Id),
            takes("SecurityGroupRule.N.SecurityGroupRule.Description", Text),
        ],
    ),
    changes(
        Action::UpdateSecurityGroupRuleDescriptionsIngress,
        "UpdateSecurityGroupRuleDescriptionsIngress",
        DESCRIBE_RULES,
    ),
    changes(
        Action::UpdateSecurityGroupRuleDescriptionsEgress,
        "UpdateSecurityGroupRuleDescriptionsEgress",
        DESCRIBE_RULES,
    ),
    reads(
        Action::DescribeStaleSecurityGroups,
        "DescribeStaleSecurityGroups",
        &join::<3>(&[&[needs("VpcId", Id)], &PARTS]),
    ),
    reads(Action::DescribeSecurityGroupReferences, "DescribeSecurityGroupReferences", &[takes("GroupId.N", Id)]),
    reads(
        Action::GetSecurityGroupsForVpc,
        "GetSecurityGroupsForVpc",
        &join::<5>(&[&[needs("VpcId", Id)], &FILTER, &PARTS]),
    ),
    changes(Action::StartInstances, "StartInstances", &[takes("InstanceId.N", Id), ignores("AdditionalInfo", Text)]),
    changes(
        Action::StopInstances,
        "StopInstances",
        &[
            takes("InstanceId.N", Id),
            ignores("Force", Boolean),
            ignores("SkipOsShutdown", Boolean),
            refuses("Hibernate", Boolean),
        ],
    ),
    changes(Action::RebootInstances, "RebootInstances", &[takes("InstanceId.N", Id)]),
    changes(Action::CreateNetworkInterface, "CreateNetworkInterface", CREATE_INTERFACE),
    reads(
        Action::DescribeNetworkInterfaces,
        "DescribeNetworkInterfaces",
        &join::<6>(&[
            &[takes("NetworkInterfaceId.N", Id), ignores("IncludeManagedResources", Boolean)],
            &FILTER,
            &PARTS,
        ]),
    ),
    changes(Action::DeleteNetworkInterface, "DeleteNetworkInterface", &[needs("NetworkInterfaceId", Id)]),
    changes(
        Action::AttachNetworkInterface,
        "AttachNetworkInterface",
        &[
            needs("NetworkInterfaceId", Id),
            needs("InstanceId", Id),
            needs("DeviceIndex", Integer),
            ignores("NetworkCardIndex", Integer),
            ignores("EnaQueueCount", Integer),
            ignores("EnaSrdSpecification.*", Text),
        ],
    ),
    changes(
        Action::DetachNetworkInterface,
        "DetachNetworkInterface",
        &[needs("AttachmentId", Id), ignores("Force", Boolean)],
    ),
    changes(
        Action::ModifyInstanceAttribute,
        "ModifyInstanceAttribute",
        &[
            needs("InstanceId", Id),
            takes("GroupId.N", Id),
            takes("SourceDestCheck.Value", Boolean),
            refuses("Attribute", Choice),
            refuses("Value", Text),
            refuses("BlockDeviceMapping.*", Text),
            refuses("DisableApiStop.Value", Boolean),
            refuses("DisableApiTermination.Value", Boolean),
            refuses("EbsOptimized.Value", Boolean),
            refuses("EnaSupport.Value", Boolean),
            refuses("EnclaveOptions.*", Text),
            refuses("InstanceInitiatedShutdownBehavior.Value", Choice),
            refuses("InstanceType.Value", Choice),
            refuses("Kernel.Value", Id),
            refuses("Ramdisk.Value", Id),
            refuses("SriovNetSupport.Value", Choice),
            refuses("UserData.Value", Text),
        ],
    ),
    reads(
        Action::DescribeInstanceAttribute,
        "DescribeInstanceAttribute",
        &[needs("InstanceId", Id), needs("Attribute", Choice)],
    ),
    reads(
        Action::DescribeNetworkInterfaceAttribute,
        "DescribeNetworkInterfaceAttribute",
        &[needs("NetworkInterfaceId", Id), takes("Attribute", Choice)],
    ),
    changes(
        Action::AssignPrivateIpAddresses,
        "AssignPrivateIpAddresses",
        &[
            needs("NetworkInterfaceId", Id),
            takes("PrivateIpAddress.N", Address),
            takes("SecondaryPrivateIpAddressCount", Integer),
            refuses("AllowReassignment", Boolean),
            refuses("Ipv4Prefix.N", Address),
            refuses("Ipv4PrefixCount", Integer),
        ],
    ),
    changes(
        Action::CreateVpcPeeringConnection,
        "CreateVpcPeeringConnection",
        &join::<8>(&[
            &[
                needs("VpcId", Id),
                takes("PeerVpcId", Id),
                takes("PeerOwnerId", Id),
                takes("PeerRegion", Choice),
                // No names are resolved here.
                ignores("RequesterPeeringConnectionOptions.*", Text),
            ],
            &TAG_SPECIFICATION,
        ]),
    ),
    changes(Action::AcceptVpcPeeringConnection, "AcceptVpcPeeringConnection", &PEERING),
    changes(Action::RejectVpcPeeringConnection, "RejectVpcPeeringConnection", &PEERING),
    changes(Action::DeleteVpcPeeringConnection, "DeleteVpcPeeringConnection", &PEERING),
    reads(
        Action::DescribeVpcPeeringConnections,
        "DescribeVpcPeeringConnections",
        &join::<5>(&[&[takes("VpcPeeringConnectionId.N", Id)], &FILTER, &PARTS]),
    ),
    changes(
        Action::UnassignPrivateIpAddresses,
        "UnassignPrivateIpAddresses",
        &[needs("NetworkInterfaceId", Id), takes("PrivateIpAddress.N", Address), refuses("Ipv4Prefix.N", Address)],
    ),
    reads(Action::DescribeVpcAttribute, "DescribeVpcAttribute", &[needs("VpcId", Id), needs("Attribute", Choice)]),
    changes(
        Action::ModifyVpcAttribute,
        "ModifyVpcAttribute",
        &[
            needs("VpcId", Id),
            takes("EnableDnsHostnames.Value", Boolean),
            takes("EnableDnsSupport.Value", Boolean),
            takes("EnableNetworkAddressUsageMetrics.Value", Boolean),
        ],
    ),
    reads(Action::DescribeVpcClassicLink, "DescribeVpcClassicLink", &join::<3>(&[&[takes("VpcId.N", Id)], &FILTER])),
    reads(
        Action::DescribeVpcClassicLinkDnsSupport,
        "DescribeVpcClassicLinkDnsSupport",
        &join::<3>(&[&[takes("VpcIds.N", Id)], &PARTS]),
    ),
    reads(
        Action::DescribeRouteTables,
        "DescribeRouteTables",
        &join::<5>(&[&[takes("RouteTableId.N", Id)], &FILTER, &PARTS]),
    ),
    reads(
        Action::DescribeNetworkAcls,
        "DescribeNetworkAcls",
        &join::<5>(&[&[takes("NetworkAclId.N", Id)], &FILTER, &PARTS]),
    ),
    changes(
        Action::CreateNetworkAcl,
        "CreateNetworkAcl",
        &join::<5>(&[&[needs("VpcId", Id), takes("ClientToken", Token)], &TAG_SPECIFICATION]),
    ),
    changes(Action::DeleteNetworkAcl, "DeleteNetworkAcl", &[needs("NetworkAclId", Id)]),
    changes(Action::CreateNetworkAclEntry, "CreateNetworkAclEntry", ACL_ENTRY),
    changes(Action::ReplaceNetworkAclEntry, "ReplaceNetworkAclEntry", ACL_ENTRY),
    changes(
        Action::DeleteNetworkAclEntry,
        "DeleteNetworkAclEntry",
        &[needs("NetworkAclId", Id), needs("RuleNumber", Integer), needs("Egress", Boolean)],
    ),
    changes(
        Action::ReplaceNetworkAclAssociation,
        "ReplaceNetworkAclAssociation",
        &[needs("AssociationId", Id), needs("NetworkAclId", Id)],
    ),
    reads(
        Action::DescribeInternetGateways,
        "DescribeInternetGateways",
        &join::<5>(&[&[takes("InternetGatewayId.N", Id)], &ANY_FILTER, &ANY_PART]),
    ),
    reads(
        Action::DescribeNatGateways,
        "DescribeNatGateways",
        &join::<5>(&[&[takes("NatGatewayId.N", Id)], &ANY_FILTER, &ANY_PART]),
    ),
    reads(
        Action::DescribeVpcEndpoints,
        "DescribeVpcEndpoints",
        &join::<5>(&[&[takes("VpcEndpointId.N", Id)], &ANY_FILTER, &ANY_PART]),
    ),
    reads(
        Action::DescribeAddresses,
        "DescribeAddresses",
        &join::<4>(&[&[takes("PublicIp.N", Address), takes("AllocationId.N", Id)], &ANY_FILTER]),
    ),
    reads(
        Action::DescribeVolumes,
        "DescribeVolumes",
        &join::<6>(&[
            &[takes("VolumeId.N", Id), ignores("IncludeManagedResources", Boolean)],
            &ANY_FILTER,
            &ANY_PART,
        ]),
    ),
    reads(
        Action::DescribeSnapshots,
        "DescribeSnapshots",
        &join::<7>(&[
            &[takes("SnapshotId.N", Id), ignores("Owner.N", Id), ignores("RestorableBy.N", Id)],
            &ANY_FILTER,
            &ANY_PART,
        ]),
    ),
    reads(
        Action::DescribeImages,
        "DescribeImages",
        &join::<9>(&[
            &[
                takes("ImageId.N", Id),
                ignores("ExecutableBy.N", Id),
                ignores("Owner.N", Id),
                ignores("IncludeDeprecated", Boolean),
                ignores("IncludeDisabled", Boolean),
            ],
            &ANY_FILTER,
            &ANY_PART,
        ]),
    ),
    reads(
        Action::DescribeLaunchTemplates,
        "DescribeLaunchTemplates",
        &join::<7>(&[
            &[
                takes("LaunchTemplateId.N", Id),
                takes("LaunchTemplateName.N", Text),
                ignores("IncludeManagedResources", Boolean),
            ],
            &ANY_FILTER,
            &ANY_PART,
        ]),
    ),
    changes(
        Action::ModifyNetworkInterfaceAttribute,
        "ModifyNetworkInterfaceAttribute",
        &join::<15>(&[
            &[
                needs("NetworkInterfaceId", Id),
                takes("SecurityGroupId.N", Id),
                takes("SourceDestCheck.Value", Boolean),
                takes("Description.Value", Text),
                takes("Attachment.AttachmentId", Id),
                takes("Attachment.DeleteOnTermination", Boolean),
                ignores("Attachment.EnaQueueCount", Integer),
                ignores("Attachment.DefaultEnaQueueCount", Boolean),
                ignores("EnaSrdSpecification.*", Text),
                refuses("EnablePrimaryIpv6", Boolean),
                refuses("AssociatePublicIpAddress", Boolean),
                refuses("AssociatedSubnetId.N", Id),
            ],
            &TRACKING,
        ]),
    ),
    changes(
        Action::CreateManagedPrefixList,
        "CreateManagedPrefixList",
        &join::<9>(&[
            &[
                needs("PrefixListName", Text),
                needs("AddressFamily", Choice),
                needs("MaxEntries", Integer),
                takes("Entry.N.Cidr", Address),
                takes("Entry.N.Description", Text),
                takes("ClientToken", Token),
            ],
            &TAG_SPECIFICATION,
        ]),
    ),
    changes(
        Action::ModifyManagedPrefixList,
        "ModifyManagedPrefixList",
        &[
            needs("PrefixListId", Id),
            takes("CurrentVersion", Integer),
            takes("PrefixListName", Text),
            takes("MaxEntries", Integer),
            takes("AddEntry.N.Cidr", Address),
            takes("AddEntry.N.Description", Text),
            takes("RemoveEntry.N.Cidr", Address),
            refuses("IpamPrefixListResolverSyncEnabled", Boolean),
        ],
    ),
    changes(Action::DeleteManagedPrefixList, "DeleteManagedPrefixList", &[needs("PrefixListId", Id)]),
    changes(
        Action::RestoreManagedPrefixListVersion,
        "RestoreManagedPrefixListVersion",
        &[needs("PrefixListId", Id), needs("PreviousVersion", Integer), needs("CurrentVersion", Integer)],
    ),
    reads(
        Action::DescribeManagedPrefixLists,
        "DescribeManagedPrefixLists",
        &join::<5>(&[&[takes("PrefixListId.N", Id)], &FILTER, &PARTS]),
    ),
    reads(
        Action::GetManagedPrefixListEntries,
        "GetManagedPrefixListEntries",
        &join::<4>(&[&[needs("PrefixListId", Id), takes("TargetVersion", Integer)], &PARTS]),
    ),
    reads(
        Action::GetManagedPrefixListAssociations,
        "GetManagedPrefixListAssociations",
        &join::<3>(&[&[needs("PrefixListId", Id)], &PARTS]),
    ),
    reads(
        Action::DescribePrefixLists,
        "DescribePrefixLists",
        &join::<5>(&[&[takes("PrefixListId.N", Id)], &FILTER, &PARTS]),
    ),
    changes(
        Action::AssociateSecurityGroupVpc,
        "AssociateSecurityGroupVpc",
        &[needs("GroupId", Id), needs("VpcId", Id)],
    ),
    changes(
        Action::DisassociateSecurityGroupVpc,
        "DisassociateSecurityGroupVpc",
        &[needs("GroupId", Id), needs("VpcId", Id)],
    ),
    reads(
        Action::DescribeSecurityGroupVpcAssociations,
        "DescribeSecurityGroupVpcAssociations",
        &join::<4>(&[&FILTER, &PARTS]),
    ),
    changes(
        Action::ValidateSecurityGroupQuotasForInterface,
        "ValidateSecurityGroupQuotasForInterface",
        &[takes("SecurityGroupId.N", Id)],
    ),
    changes(
        Action::CreateFlowLogs,
        "CreateFlowLogs",
        &join::<18>(&[
            &[
                takes("ResourceId.N", Id),
                needs("ResourceType", Choice),
                takes("TrafficType", Choice),
                takes("LogDestinationType", Choice),
                takes("LogDestination", Text),
                takes("LogGroupName", Text),
                takes("DeliverLogsPermissionArn", Text),
                takes("DeliverCrossAccountRole", Text),
                takes("LogFormat", Text),
                takes("MaxAggregationInterval", Integer),
                takes("DestinationOptions.FileFormat", Choice),
                takes("DestinationOptions.HiveCompatiblePartitions", Boolean),
                takes("DestinationOptions.PerHourPartition", Boolean),
                takes("ClientToken", Token),
                refuses("TagFieldSpecification.*", Text),
            ],
            &TAG_SPECIFICATION,
        ]),
    ),
    reads(Action::DescribeFlowLogs, "DescribeFlowLogs", &join::<5>(&[&[takes("FlowLogId.N", Id)], &FILTER, &PARTS])),
    changes(Action::DeleteFlowLogs, "DeleteFlowLogs", &[takes("FlowLogId.N", Id)]),
    changes(Action::CreateNetworkInsightsPath, "CreateNetworkInsightsPath", CREATE_PATH),
    reads(
        Action::DescribeNetworkInsightsPaths,
        "DescribeNetworkInsightsPaths",
        &join::<5>(&[&[takes("NetworkInsightsPathId.N", Id)], &FILTER, &PARTS]),
    ),
    changes(Action::DeleteNetworkInsightsPath, "DeleteNetworkInsightsPath", &[needs("NetworkInsightsPathId", Id)]),
    changes(
        Action::StartNetworkInsightsAnalysis,
        "StartNetworkInsightsAnalysis",
        &join::<8>(&[
            &[
                needs("NetworkInsightsPathId", Id),
                needs("ClientToken", Token),
                refuses("AdditionalAccount.N", Id),
                refuses("FilterInArn.N", Text),
                refuses("FilterOutArn.N", Text),
            ],
            &TAG_SPECIFICATION,
        ]),
    ),
    reads(
        Action::DescribeNetworkInsightsAnalyses,
        "DescribeNetworkInsightsAnalyses",
        &join::<8>(&[
            &[
                takes("NetworkInsightsAnalysisId.N", Id),
                takes("NetworkInsightsPathId", Id),
                takes("AnalysisStartTime", Text),
                takes("AnalysisEndTime", Text),
            ],
            &FILTER,
            &PARTS,
        ]),
    ),
    changes(
        Action::DeleteNetworkInsightsAnalysis,
        "DeleteNetworkInsightsAnalysis",
        &[needs("NetworkInsightsAnalysisId", Id)],
    ),
];

/// An interface of a new instance.
const INTERFACE: [Parameter; 14] = [
    takes("NetworkInterface.N.DeviceIndex", Integer),
    takes("NetworkInterface.N.NetworkInterfaceId", Id),
    takes("NetworkInterface.N.SubnetId", Id),
    takes("NetworkInterface.N.SecurityGroupId.N", Id),
    takes("NetworkInterface.N.PrivateIpAddress", Address),
    takes("NetworkInterface.N.SecondaryPrivateIpAddressCount", Integer),
    takes("NetworkInterface.N.Ipv6AddressCount", Integer),
    takes("NetworkInterface.N.Ipv6Addresses.N.Ipv6Address", Address),
    takes("NetworkInterface.N.Description", Text),
    takes("NetworkInterface.N.DeleteOnTermination", Boolean),
    // There are no public addresses.
    ignores("NetworkInterface.N.AssociatePublicIpAddress", Boolean),
    ignores("NetworkInterface.N.InterfaceType", Choice),
    ignores("NetworkInterface.N.NetworkCardIndex", Integer),
    refuses("NetworkInterface.N.*", Text),
];

/// What decides who reaches whom is read; how a virtual machine is built, is not: an instance is a namespace.
/// Idle timeouts.
const TRACKING: [Parameter; 3] = [
    takes("ConnectionTrackingSpecification.TcpEstablishedTimeout", Integer),
    takes("ConnectionTrackingSpecification.UdpStreamTimeout", Integer),
    takes("ConnectionTrackingSpecification.UdpTimeout", Integer),
];
const CREATE_INTERFACE: &[Parameter] = &join::<24>(&[
    &[
        needs("SubnetId", Id),
        takes("ClientToken", Token),
        takes("Description", Text),
        takes("SecurityGroupId.N", Id),
        takes("PrivateIpAddress", Address),
        takes("PrivateIpAddresses.N.PrivateIpAddress", Address),
        takes("PrivateIpAddresses.N.Primary", Boolean),
        takes("SecondaryPrivateIpAddressCount", Integer),
        takes("Ipv6Addresses.N.Ipv6Address", Address),
        takes("Ipv6AddressCount", Integer),
        refuses("Ipv4Prefix.*", Text),
        refuses("Ipv4PrefixCount", Integer),
        refuses("Ipv6Prefix.*", Text),
        refuses("Ipv6PrefixCount", Integer),
        refuses("InterfaceType", Choice),
        refuses("EnablePrimaryIpv6", Boolean),
        refuses("Ipv6Addresses.N.IsPrimaryIpv6", Boolean),
        refuses("Operator.*", Text),
    ],
    &TRACKING,
    &TAG_SPECIFICATION,
]);
const CREATE_PATH: &[Parameter] = &join::<22>(&[
    &[
        needs("Source", Id),
        needs("Protocol", Choice),
        needs("ClientToken", Token),
        takes("Destination", Id),
        takes("SourceIp", Address),
        takes("DestinationIp", Address),
        takes("DestinationPort", Integer),
        takes("FilterAtSource.SourceAddress", Address),
        takes("FilterAtSource.SourcePortRange.FromPort", Integer),
        takes("FilterAtSource.SourcePortRange.ToPort", Integer),
        takes("FilterAtSource.DestinationAddress", Address),
        takes("FilterAtSource.DestinationPortRange.FromPort", Integer),
        takes("FilterAtSource.DestinationPortRange.ToPort", Integer),
        takes("FilterAtDestination.SourceAddress", Address),
        takes("FilterAtDestination.SourcePortRange.FromPort", Integer),
        takes("FilterAtDestination.SourcePortRange.ToPort", Integer),
        takes("FilterAtDestination.DestinationAddress", Address),
        takes("FilterAtDestination.DestinationPortRange.FromPort", Integer),
        takes("FilterAtDestination.DestinationPortRange.ToPort", Integer),
    ],
    &TAG_SPECIFICATION,
]);
const RUN_INSTANCES: &[Parameter] = &join::<60>(&[
    &[
        needs("MinCount", Integer),
        needs("MaxCount", Integer),
        takes("ClientToken", Token),
        takes("ImageId", Id),
        takes("InstanceType", Choice),
        takes("SubnetId", Id),
        takes("SecurityGroupId.N", Id),
        takes("SecurityGroup.N", Text),
        takes("PrivateIpAddress", Address),
        takes("Ipv6AddressCount", Integer),
        takes("Ipv6Address.N.Ipv6Address", Address),
        takes("Placement.AvailabilityZone", Choice),
        ignores("Placement.*", Text),
        ignores("BlockDeviceMapping.*", Text),
        ignores("CapacityReservationSpecification.*", Text),
        ignores("CpuOptions.*", Text),
        ignores("CreditSpecification.*", Text),
        ignores("DisableApiStop", Boolean),
        refuses("DisableApiTermination", Boolean),
        ignores("EbsOptimized", Boolean),
        ignores("EnclaveOptions.*", Text),
        ignores("HibernationOptions.*", Text),
        ignores("IamInstanceProfile.*", Text),
        ignores("InstanceInitiatedShutdownBehavior", Choice),
        ignores("KeyName", Text),
        refuses("LaunchTemplate.*", Text),
        ignores("MetadataOptions.*", Text),
        ignores("Monitoring.*", Text),
        ignores("UserData", Text),
        ignores("AdditionalInfo", Text),
        ignores("KernelId", Id),
        ignores("LicenseSpecification.*", Text),
        ignores("MaintenanceOptions.*", Text),
        ignores("NetworkPerformanceOptions.*", Text),
        ignores("PrivateDnsNameOptions.*", Text),
        ignores("RamdiskId", Id),
        refuses("ElasticGpuSpecification.*", Text),
        refuses("ElasticInferenceAccelerator.*", Text),
        refuses("EnablePrimaryIpv6", Boolean),
        refuses("InstanceMarketOptions.*", Text),
        refuses("Ipv6Address.N.IsPrimaryIpv6", Boolean),
        refuses("Operator.*", Text),
        refuses("SecondaryInterface.*", Text),
    ],
    &INTERFACE,
    &TAG_SPECIFICATION,
]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_in_a_version_and_lists_are_known_by_any_number() {
        for entry in OPERATIONS {
            let same = OPERATIONS.iter().filter(|other| other.name == entry.name && other.versions == entry.versions);
            assert_eq!(same.count(), 1, "{}", entry.name);
        }
        let authorize = Entry::find("AuthorizeSecurityGroupIngress", Version::Ec2).unwrap();
        assert!(authorize.accepts("IpPermissions.3.IpRanges.17.CidrIp") && authorize.accepts("DryRun"));
        assert!(!authorize.accepts("IpPermissions.3.IpRanges.CidrIp") && !authorize.accepts("IpPermissions"));
        let run = Entry::find("RunInstances", Version::Ec2).unwrap();
        assert!(run.accepts("BlockDeviceMapping.1.Ebs.VolumeSize") && !run.accepts("Block"));
        assert!(Entry::find("GetCallerIdentity", Version::Ec2).is_none());
    }
}
