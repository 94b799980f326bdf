//! What is around groups and interfaces: attributes of a VPC, what is made with one, and kinds of things that there are
//! none of here.

use sekimori_core::{command::Command, ids::VpcId, world::VpcAttribute};

use super::{listings::listing, scope::Scope};
use crate::ec2::{
    errors::{Fault, IdKind},
    filters::Filters,
    query::{Absent, Listing, Page, Query},
    words::made_with,
};

/// The attributes of a VPC: as they are asked for, and as they are set.
const ATTRIBUTES: [(&str, &str, VpcAttribute); 3] = [
    ("enableDnsHostnames", "EnableDnsHostnames.Value", VpcAttribute::DnsHostnames),
    ("enableDnsSupport", "EnableDnsSupport.Value", VpcAttribute::DnsSupport),
    ("enableNetworkAddressUsageMetrics", "EnableNetworkAddressUsageMetrics.Value", VpcAttribute::AddressUsageMetrics),
];

pub(super) fn vpc_attribute(scope: &Scope<'_>) -> Result<Query, Fault> {
    let (vpc, text) = (scope.vpc("VpcId")?, scope.required("Attribute")?);
    let known = ATTRIBUTES.iter().find(|(name, ..)| *name == text);
    let unknown = || Fault::Value(format!("Value ({text}) for parameter attribute is invalid. Unknown attribute."));
    known.map(|(.., attribute)| Query::VpcAttribute(vpc, *attribute)).ok_or_else(unknown)
}

/// One attribute a call.
pub(super) fn set_vpc_attribute(scope: &Scope<'_>) -> Result<Command, Fault> {
    let (account, vpc) = (scope.account.clone(), scope.vpc("VpcId")?);
    let mut chosen = None;
    for (_, parameter, attribute) in ATTRIBUTES {
        let Some(is_on) = scope.boolean(parameter)? else { continue };
        if chosen.replace((attribute, is_on)).is_some() {
            return Err(Fault::several_attributes());
        }
    }
    let (attribute, is_on) = chosen.ok_or_else(Fault::no_attribute)?;
    Ok(Command::SetVpcAttribute { account, vpc, attribute, is_on })
}

pub(super) fn classic_links(scope: &Scope<'_>) -> Result<Query, Fault> {
    let filters = Filters::read(scope.call.params(), scope.call.action())?;
    // This one has no parts.
    let page = Page { most: usize::MAX, after: None };
    Ok(Query::ClassicLinks(Listing { ids: scope.ids("VpcId", IdKind::Vpc)?, filters, page }))
}

pub(super) fn classic_link_names(scope: &Scope<'_>) -> Result<Query, Fault> {
    listing(scope, "VpcIds", IdKind::Vpc, "vpcIdSet").map(Query::ClassicLinkNames)
}

/// Route tables are named after their VPCs.
pub(super) fn route_tables(scope: &Scope<'_>) -> Result<Query, Fault> {
    let Listing { ids, filters, page } =
        listing::<String>(scope, "RouteTableId", IdKind::RouteTable, "routeTableIdSet")?;
    let ids = ids.iter().map(|id| VpcId::from(made_with(IdKind::Vpc.prefix(), id))).collect();
    Ok(Query::RouteTables(Listing { ids, filters, page }))
}

/// Nothing, unless something is named.
pub(super) fn nothing(scope: &Scope<'_>, kind: Absent) -> Result<Query, Fault> {
    for list in kind.lists() {
        if let Some(id) = scope.list(list)?.first() {
            return Err(Fault::Absent { kind, id: (*id).to_owned() });
        }
    }
    Ok(Query::Nothing(kind))
}

impl Absent {
    /// The parameters that name one.
    fn lists(self) -> &'static [&'static str] {
        match self {
            Self::InternetGateway => &["InternetGatewayId"],
            Self::NatGateway => &["NatGatewayId"],
            Self::VpcEndpoint => &["VpcEndpointId"],
            Self::Address => &["PublicIp", "AllocationId"],
            Self::Volume => &["VolumeId"],
            Self::Snapshot => &["SnapshotId"],
            Self::Image => &["ImageId"],
            Self::LaunchTemplate => &["LaunchTemplateId", "LaunchTemplateName"],
        }
    }
}
