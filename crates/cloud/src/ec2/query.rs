//! Questions: what a `Describe…` call asks, decoded and bounded.

use sekimori_core::{
    ids::{
        EniId, FlowLogId, GroupId, InsightsAnalysisId, InsightsPathId, InstanceId, NetworkAclId, PeeringId,
        PrefixListId, RuleId, SubnetId, VpcId,
    },
    time::Timestamp,
    world::VpcAttribute,
};

use super::filters::Filters;

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// `GetCallerIdentity`.
    Caller,
    /// `DescribeRegions`: the names that are asked for; none are all.
    Regions(Named),
    /// `DescribeAvailabilityZones`: names or ids.
    Zones(Named),
    /// `DescribeAccountAttributes`: the attributes that are asked for; none are all.
    AccountAttributes(Vec<String>),
    /// `DescribeVpcs`.
    Vpcs(Listing<VpcId>),
    /// `DescribeSubnets`.
    Subnets(Listing<SubnetId>),
    /// `DescribeSecurityGroups`.
    Groups(Listing<GroupId>),
    /// `DescribeSecurityGroupRules`.
    Rules(Listing<RuleId>),
    /// `DescribeInstances`.
    Instances(Listing<InstanceId>),
    /// `DescribeNetworkInterfaces`.
    Interfaces(Listing<EniId>),
    /// `DescribeInstanceAttribute`.
    InstanceAttribute(InstanceId, String),
    /// `DescribeNetworkInterfaceAttribute`.
    InterfaceAttribute(EniId, String),
    /// `DescribeStaleSecurityGroups`, of a VPC.
    StaleGroups(VpcId, Listing<GroupId>),
    /// `DescribeSecurityGroupReferences`.
    References(Vec<GroupId>),
    /// `GetSecurityGroupsForVpc`.
    GroupsForVpc(VpcId, Listing<GroupId>),
    /// `DescribeSecurityGroupVpcAssociations`.
    GroupAssociations(Listing<GroupId>),
    /// `DescribeFlowLogs`.
    FlowLogs(Listing<FlowLogId>),
    /// `DescribeNetworkInsightsPaths`.
    InsightsPaths(Listing<InsightsPathId>),
    /// `DescribeNetworkInsightsAnalyses`.
    InsightsAnalyses(AnalysisQuery),
    /// `DescribeManagedPrefixLists`.
    PrefixLists(Listing<PrefixListId>),
    /// `DescribePrefixLists`: those of the cloud's own services.
    ServiceLists(Listing<PrefixListId>),
    /// `GetManagedPrefixListEntries`.
    PrefixListEntries {
        /// The list.
        list: PrefixListId,
        /// A version; `None` is the current one.
        version: Option<u64>,
        /// Which part.
        page: Page,
    },
    /// `GetManagedPrefixListAssociations`: who names a list.
    PrefixListAssociations(PrefixListId, Page),
    /// `DescribeTags`: what has tags has ids of many kinds.
    Tags(Listing<String>),
    /// `DescribeVpcAttribute`.
    VpcAttribute(VpcId, VpcAttribute),
    /// `DescribeVpcClassicLink`.
    ClassicLinks(Listing<VpcId>),
    /// `DescribeVpcClassicLinkDnsSupport`.
    ClassicLinkNames(Listing<VpcId>),
    /// `DescribeRouteTables`: of VPCs, each of which has one.
    RouteTables(Listing<VpcId>),
    /// `DescribeNetworkAcls`.
    NetworkAcls(Listing<NetworkAclId>),
    /// `DescribeVpcPeeringConnections`.
    Peerings(Listing<PeeringId>),
    /// What is `Describe…`d of a kind of things that there are none of.
    Nothing(Absent),
}

/// A kind of things that there are none of here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the cloud's")]
pub enum Absent {
    InternetGateway,
    NatGateway,
    VpcEndpoint,
    Address,
    Volume,
    Snapshot,
    Image,
    LaunchTemplate,
}

/// Things with names that are known beforehand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// These; none are all.
    pub names: Vec<String>,
    /// What must hold.
    pub filters: Filters,
}

/// A listing of things: by id, or those that pass, in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing<I> {
    /// These, each of which must exist; none are all.
    pub ids: Vec<I>,
    /// What must hold.
    pub filters: Filters,
    /// Which part.
    pub page: Page,
}

/// A listing of analyses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnalysisQuery {
    /// Which.
    pub listing: Listing<InsightsAnalysisId>,
    /// Only those of this path.
    pub path: Option<InsightsPathId>,
    /// Only those that were started at this moment or later.
    pub from: Option<Timestamp>,
    /// Only those that were started at this moment or before.
    pub until: Option<Timestamp>,
}

/// A part of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The most items.
    pub most: usize,
    /// The place of the last item of the part before.
    pub after: Option<String>,
}
