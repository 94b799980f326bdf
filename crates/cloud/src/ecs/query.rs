//! Questions: what a `Describe…` call asks, decoded and bounded.

use std::net::IpAddr;

use sekimori_core::{
    address::Family,
    flow_log::LoggedTraffic,
    ids::{AccountId, EniId, FlowLogId, GroupId, InstanceId, PortListId, PrefixListId, ReportId, SubnetId, VpcId},
    resource::ResourceKind,
    rule::Direction,
    tags::TagFilter,
    world::Flavor,
};

use super::{region::Region, token::Mark};
use crate::wildcard::Pattern;

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// `DescribeRegions`.
    Regions,
    /// `DescribeVpcs`.
    Vpcs(VpcQuery),
    /// `DescribeVSwitches`.
    VSwitches(VSwitchQuery),
    /// `DescribeInstances`.
    Instances(Box<InstanceQuery>),
    /// `DescribeSecurityGroups`.
    Groups(GroupQuery),
    /// `DescribeSecurityGroupAttribute`.
    Rules(RuleQuery),
    /// `ListTagResources`.
    Tags(TagQuery),
    /// `DescribeSecurityGroupReferences`.
    References(ReferenceQuery),
    /// `DescribePrefixLists`.
    PrefixLists(ListsQuery<PrefixListId>),
    /// `DescribePrefixListAttributes`.
    PrefixList(ListQuery<PrefixListId>),
    /// `DescribePrefixListAssociations`.
    PrefixListUsers(ListQuery<PrefixListId>),
    /// `DescribePortRangeLists`.
    PortLists(ListsQuery<PortListId>),
    /// `DescribePortRangeListEntries`.
    PortList(ListQuery<PortListId>),
    /// `DescribePortRangeListAssociations`.
    PortListUsers(ListQuery<PortListId>),
    /// `GetCallerIdentity`.
    Caller,
    /// `DescribeEndpoints`.
    Endpoints(EndpointQuery),
    /// `DescribeNetworkInterfaces`.
    Interfaces(Box<EniQuery>),
    /// `DescribeNetworkInterfaceAttribute`.
    Interface(EniId),
    /// `DescribeInstanceStatus`.
    Statuses(Box<InstanceQuery>),
    /// `DescribeInstanceAttribute`.
    Instance(InstanceId),
    /// `DescribeZones`.
    Zones(&'static Region),
    /// `DescribeInstanceTypes`.
    InstanceTypes(TypeQuery),
    /// `DescribeVpcAttribute`.
    Vpc(VpcId),
    /// `DescribeVSwitchAttributes`.
    VSwitch(SubnetId),
    /// `DescribeDisks`.
    Disks(Box<DiskQuery>),
    /// `DescribeDiagnosticReports`.
    Reports(ReportsQuery),
    /// `DescribeDiagnosticReportAttributes`.
    Report {
        /// The region.
        region: &'static Region,
        /// The report.
        id: ReportId,
    },
    /// `DescribeDiagnosticMetrics`.
    Metrics(MetricQuery),
    /// `DescribeDiagnosticMetricSets`.
    MetricSets {
        /// Whether sets are wanted that everybody has.
        wants_common: bool,
        /// Which of them.
        query: MetricQuery,
    },
    /// `DescribeFlowLogs`.
    FlowLogs(Box<FlowLogQuery>),
}

/// Which part of the result is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page {
    /// By number, counted from one.
    Number {
        /// The page.
        number: u32,
        /// Items of a page.
        size: u32,
    },
    /// By token.
    Token {
        /// The most items.
        results_max: u32,
        /// The last item of the part before, as its key; `None` starts.
        after: Option<String>,
        /// What the token of the next part is bound to.
        mark: Mark,
    },
    /// Everything.
    All,
}

/// A filter by name, in which `*` stands for any characters if the operation has it so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameFilter {
    /// The whole name.
    Exact(String),
    /// A pattern with `*`.
    Pattern(String),
}

impl NameFilter {
    /// Whether a name passes.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(wanted) => wanted == name,
            Self::Pattern(pattern) => Pattern::with_stars(pattern).matches(name),
        }
    }
}

/// Filters of `DescribeVpcs`. All that are there must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VpcQuery {
    /// The owner: the caller, or one who shares a VPC with the caller.
    pub owner: Option<AccountId>,
    /// The region.
    pub region: Option<&'static Region>,
    /// Any of these.
    pub ids: Vec<VpcId>,
    /// The name.
    pub name: Option<NameFilter>,
    /// Whether IPv6 is on.
    pub has_ipv6: Option<bool>,
    /// The resource group.
    pub resource_group: Option<String>,
    /// Tags, each with a value or any.
    pub tags: Vec<TagFilter>,
    /// A filter is set that nothing here can pass, such as a DHCP options set.
    pub is_empty: bool,
    /// Which part.
    pub page: Page,
}

/// Filters of `DescribeVSwitches`. All that are there must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VSwitchQuery {
    /// The owner: the caller, or one who shares a VPC with the caller.
    pub owner: Option<AccountId>,
    /// The region.
    pub region: Option<&'static Region>,
    /// The VPC.
    pub vpc: Option<VpcId>,
    /// Any of these.
    pub ids: Vec<SubnetId>,
    /// The name.
    pub name: Option<NameFilter>,
    /// The zone.
    pub zone: Option<String>,
    /// Whether IPv6 is on.
    pub has_ipv6: Option<bool>,
    /// The resource group.
    pub resource_group: Option<String>,
    /// Tags, each with a value or any.
    pub tags: Vec<TagFilter>,
    /// A filter is set that nothing here can pass.
    pub is_empty: bool,
    /// Which part.
    pub page: Page,
}

/// Filters of `DescribeInstances`. All that are there must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceQuery {
    /// The region.
    pub region: Option<&'static Region>,
    /// Any of these; `None` is all, an empty list is none.
    pub ids: Option<Vec<InstanceId>>,
    /// The name.
    pub name: Option<NameFilter>,
    /// The VPC.
    pub vpc: Option<VpcId>,
    /// The vSwitch.
    pub subnet: Option<SubnetId>,
    /// The zone.
    pub zone: Option<String>,
    /// A group of the primary interface.
    pub group: Option<GroupId>,
    /// The image.
    pub image: Option<String>,
    /// The instance type.
    pub instance_type: Option<String>,
    /// The status, `Running` or `Starting`.
    pub status: Option<String>,
    /// Any of these private IPv4 addresses.
    pub addresses: Vec<IpAddr>,
    /// Any of these IPv6 addresses.
    pub ipv6_addresses: Vec<IpAddr>,
    /// The resource group.
    pub resource_group: Option<String>,
    /// Tags, each with a value or any.
    pub tags: Vec<TagFilter>,
    /// A filter is set that nothing here can pass.
    pub is_empty: bool,
    /// Which part.
    pub page: Page,
}

/// Filters of `DescribeSecurityGroups`. All that are there must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupQuery {
    /// The region.
    pub region: Option<&'static Region>,
    /// Any of these; `None` is all, an empty list is none.
    pub ids: Option<Vec<GroupId>>,
    /// The name.
    pub name: Option<NameFilter>,
    /// The VPC.
    pub vpc: Option<VpcId>,
    /// The kind.
    pub flavor: Option<Flavor>,
    /// The resource group.
    pub resource_group: Option<String>,
    /// Tags, each with a value or any.
    pub tags: Vec<TagFilter>,
    /// Whether a cloud product manages it.
    pub is_managed: Option<bool>,
    /// Whether the numbers of members are wanted.
    pub counts: bool,
    /// A filter is set that nothing here can pass.
    pub is_empty: bool,
    /// Which part.
    pub page: Page,
}

/// `DescribeSecurityGroupAttribute`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleQuery {
    /// The region.
    pub region: Option<&'static Region>,
    /// The group.
    pub group: GroupId,
    /// Rules of one direction only.
    pub direction: Option<Direction>,
    /// Which part.
    pub page: Page,
}

/// `ListTagResources`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagQuery {
    /// The region.
    pub region: Option<&'static Region>,
    /// The type as the client wrote it, which the answer repeats.
    pub type_name: String,
    /// The type.
    pub kind: ResourceKind,
    /// Any of these; empty is all.
    pub ids: Vec<String>,
    /// Tags, each with a value or any.
    pub tags: Vec<TagFilter>,
    /// Which part.
    pub page: Page,
}

/// Filters of `DescribeNetworkInterfaces`. All that are there must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EniQuery {
    /// The region.
    pub region: Option<&'static Region>,
    /// Any of these; `None` is all.
    pub ids: Option<Vec<EniId>>,
    /// The instance.
    pub instance: Option<InstanceId>,
    /// One of its groups.
    pub group: Option<GroupId>,
    /// The VPC.
    pub vpc: Option<VpcId>,
    /// The vSwitch.
    pub subnet: Option<SubnetId>,
    /// The primary address.
    pub primary: Option<IpAddr>,
    /// Any of these private IPv4 addresses.
    pub addresses: Vec<IpAddr>,
    /// Any of these IPv6 addresses.
    pub ipv6_addresses: Vec<IpAddr>,
    /// `Primary` or `Secondary`.
    pub kind: Option<String>,
    /// The status.
    pub status: Option<String>,
    /// The name.
    pub name: Option<NameFilter>,
    /// The resource group.
    pub resource_group: Option<String>,
    /// Tags, each with a value or any.
    pub tags: Vec<TagFilter>,
    /// Whether a cloud product manages it.
    pub is_managed: Option<bool>,
    /// Which part.
    pub page: Page,
}

/// `DescribeSecurityGroupReferences`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferenceQuery {
    /// The region.
    pub region: Option<&'static Region>,
    /// The groups, each once.
    pub groups: Vec<GroupId>,
}

/// Filters of `DescribePrefixLists` and `DescribePortRangeLists`. All that are there must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListsQuery<Id> {
    /// The region.
    pub region: Option<&'static Region>,
    /// Any of these; empty is all.
    pub ids: Vec<Id>,
    /// The name.
    pub name: Option<NameFilter>,
    /// The family, of prefix lists.
    pub family: Option<Family>,
    /// The resource group.
    pub resource_group: Option<String>,
    /// Tags, each with a value or any.
    pub tags: Vec<TagFilter>,
    /// Which part.
    pub page: Page,
}

/// A question about one list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListQuery<Id> {
    /// The region.
    pub region: Option<&'static Region>,
    /// The list.
    pub list: Id,
    /// Which part.
    pub page: Page,
}

/// `DescribeEndpoints`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointQuery {
    /// The region.
    pub region: String,
    /// The product.
    pub service: String,
    /// The kind of endpoint.
    pub kind: String,
    /// Where it is; `None` is nowhere here.
    pub endpoint: Option<String>,
}

/// Filters of `DescribeInstanceTypes`. All that are there must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeQuery {
    /// Any of these; empty is all.
    pub ids: Vec<String>,
    /// Any of these families; empty is all.
    pub families: Vec<String>,
    /// The fewest processors.
    pub cpus_min: Option<u32>,
    /// The most processors.
    pub cpus_max: Option<u32>,
    /// The fewest interfaces.
    pub enis_min: Option<u32>,
    /// The fewest private IPv4 addresses of an interface.
    pub ipv4_min: Option<u32>,
    /// The fewest IPv6 addresses of an interface.
    pub ipv6_min: Option<u32>,
    /// Which part.
    pub page: Page,
}

/// Filters of `DescribeDisks`. All that are there must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskQuery {
    /// The region.
    pub region: &'static Region,
    /// Any of these; `None` is all, an empty list is none.
    pub ids: Option<Vec<String>>,
    /// The instance.
    pub instance: Option<InstanceId>,
    /// The zone.
    pub zone: Option<String>,
    /// The category.
    pub category: Option<String>,
    /// The performance level.
    pub performance_level: Option<String>,
    /// The name.
    pub name: Option<NameFilter>,
    /// The resource group of the instance.
    pub resource_group: Option<String>,
    /// Tags of the instance, each with a value or any.
    pub tags: Vec<TagFilter>,
    /// A filter is set that nothing here can pass.
    pub is_empty: bool,
    /// Which part.
    pub page: Page,
}

/// Filters of `DescribeDiagnosticReports`. All that are there must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportsQuery {
    /// The region.
    pub region: &'static Region,
    /// Any of these; empty is all.
    pub ids: Vec<ReportId>,
    /// About any of these; empty is all.
    pub instances: Vec<InstanceId>,
    /// The state.
    pub status: Option<&'static str>,
    /// The gravest of what was found.
    pub severity: Option<&'static str>,
    /// Which part.
    pub page: Page,
}

/// Filters of `DescribeDiagnosticMetrics` and `DescribeDiagnosticMetricSets`. All that are there must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricQuery {
    /// Any of these; empty is all.
    pub ids: Vec<String>,
    /// What they are about.
    pub resource_type: Option<String>,
    /// Which part.
    pub page: Page,
}

/// Filters of `DescribeFlowLogs`. All that are there must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowLogQuery {
    /// The region.
    pub region: &'static Region,
    /// The flow log.
    pub id: Option<FlowLogId>,
    /// The name.
    pub name: Option<String>,
    /// The words about it.
    pub description: Option<String>,
    /// The kind of thing that it is about.
    pub kind: Option<ResourceKind>,
    /// The thing that it is about.
    pub resource: Option<String>,
    /// The VPC that this thing is, or is in.
    pub vpc: Option<VpcId>,
    /// Which traffic.
    pub traffic: Option<LoggedTraffic>,
    /// The project.
    pub project: Option<String>,
    /// The store.
    pub store: Option<String>,
    /// The status, `Active` or `Inactive`.
    pub status: Option<String>,
    /// The resource group.
    pub resource_group: Option<String>,
    /// Tags, each with a value or any.
    pub tags: Vec<TagFilter>,
    /// Which part.
    pub page: Page,
}
