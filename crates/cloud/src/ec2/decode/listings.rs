//! `Describe…` calls: ids, filters and parts.

use std::ops::RangeInclusive;

use sekimori_core::refusal::Kind;

use super::scope::{Scope, read_id};
use crate::{
    ec2::{
        errors::{Fault, IdKind},
        filters::Filters,
        query::{Listing, Named, Page, Query},
    },
    token::Mark,
};
use sekimori_core::ids::GroupId;

/// What most operations take as `MaxResults` (`spec/ec2.md`, appendix 3).
pub(super) const PARTS: RangeInclusive<u32> = 5..=1_000;

pub(super) fn vpcs(scope: &Scope<'_>) -> Result<Query, Fault> {
    listing(scope, "VpcId", IdKind::Vpc, "vpcIdSet").map(Query::Vpcs)
}

pub(super) fn subnets(scope: &Scope<'_>) -> Result<Query, Fault> {
    listing(scope, "SubnetId", IdKind::Subnet, "subnetIdSet").map(Query::Subnets)
}

pub(super) fn groups(scope: &Scope<'_>) -> Result<Query, Fault> {
    let listing = listing(scope, "GroupId", IdKind::Group, "securityGroupIdSet")?;
    match scope.list("GroupName")?.first() {
        // Names are those of the default VPC's groups, and there is no default VPC.
        Some(name) => Err(Fault::missing(Kind::Group, name)),
        None => Ok(Query::Groups(listing)),
    }
}

pub(super) fn rules(scope: &Scope<'_>) -> Result<Query, Fault> {
    for text in Filters::given(scope.call.params(), "group-id") {
        if !text.contains(['*', '?']) {
            read_id::<GroupId>(text, IdKind::Group)?;
        }
    }
    let has_both = !scope.list("SecurityGroupRuleId")?.is_empty() && scope.text("MaxResults").is_some();
    if has_both {
        let message = "The parameter 'securityGroupRuleIds' may not be used in combination with 'maxResults'.";
        return Err(Fault::Combination(message.to_owned()));
    }
    listing(scope, "SecurityGroupRuleId", IdKind::Rule, "securityGroupRuleIds").map(Query::Rules)
}

/// What `DescribeStaleSecurityGroups` takes as `MaxResults`.
const STALE_PARTS: RangeInclusive<u32> = 5..=255;

pub(super) fn stale_groups(scope: &Scope<'_>) -> Result<Query, Fault> {
    let page = part(scope, &STALE_PARTS)?;
    let listing = Listing { ids: Vec::new(), filters: Filters::default(), page };
    Ok(Query::StaleGroups(scope.vpc("VpcId")?, listing))
}

pub(super) fn references(scope: &Scope<'_>) -> Result<Query, Fault> {
    let groups: Vec<GroupId> = scope.ids("GroupId", IdKind::Group)?;
    if groups.is_empty() { Err(Fault::Missing { name: "GroupId".to_owned() }) } else { Ok(Query::References(groups)) }
}

pub(super) fn groups_for_vpc(scope: &Scope<'_>) -> Result<Query, Fault> {
    let filters = Filters::read(scope.call.params(), scope.call.action())?;
    let listing = Listing { ids: Vec::new(), filters, page: part(scope, &PARTS)? };
    Ok(Query::GroupsForVpc(scope.vpc("VpcId")?, listing))
}

pub(super) fn associations(scope: &Scope<'_>) -> Result<Query, Fault> {
    let filters = Filters::read(scope.call.params(), scope.call.action())?;
    Ok(Query::GroupAssociations(Listing { ids: Vec::new(), filters, page: part(scope, &PARTS)? }))
}

pub(super) fn instances(scope: &Scope<'_>) -> Result<Query, Fault> {
    listing(scope, "InstanceId", IdKind::Instance, "instancesSet").map(Query::Instances)
}

pub(super) fn interfaces(scope: &Scope<'_>) -> Result<Query, Fault> {
    listing(scope, "NetworkInterfaceId", IdKind::Interface, "NetworkInterfaceIds").map(Query::Interfaces)
}

/// What `DescribeInstanceAttribute` can be asked for.
const OF_INSTANCE: [&str; 15] = [
    "blockDeviceMapping",
    "disableApiStop",
    "disableApiTermination",
    "ebsOptimized",
    "enaSupport",
    "enclaveOptions",
    "groupSet",
    "instanceInitiatedShutdownBehavior",
    "instanceType",
    "kernel",
    "productCodes",
    "ramdisk",
    "rootDeviceName",
    "sourceDestCheck",
    "userData",
];
/// What `DescribeNetworkInterfaceAttribute` can be asked for.
const OF_INTERFACE: [&str; 4] = ["attachment", "description", "groupSet", "sourceDestCheck"];

pub(super) fn instance_attribute(scope: &Scope<'_>) -> Result<Query, Fault> {
    let instance = read_id(scope.required("InstanceId")?, IdKind::Instance)?;
    scope.check_instance(&instance)?;
    let name = attribute(scope.required("Attribute")?, &OF_INSTANCE)?;
    Ok(Query::InstanceAttribute(instance, name))
}

pub(super) fn interface_attribute(scope: &Scope<'_>) -> Result<Query, Fault> {
    let eni = scope.interface(scope.required("NetworkInterfaceId")?)?;
    let name = attribute(scope.text("Attribute").ok_or_else(Fault::no_attribute)?, &OF_INTERFACE)?;
    Ok(Query::InterfaceAttribute(eni, name))
}

fn attribute(text: &str, known: &[&str]) -> Result<String, Fault> {
    if known.contains(&text) {
        return Ok(text.to_owned());
    }
    Err(Fault::Value(format!("Value ({text}) for parameter attribute is invalid. Unknown attribute.")))
}

pub(super) fn tags(scope: &Scope<'_>) -> Result<Query, Fault> {
    let filters = Filters::read(scope.call.params(), scope.call.action())?;
    Ok(Query::Tags(Listing { ids: Vec::new(), filters, page: part(scope, &PARTS)? }))
}

pub(super) fn regions(scope: &Scope<'_>) -> Result<Query, Fault> {
    scope.boolean("AllRegions")?;
    named(scope, scope.list("RegionName")?).map(Query::Regions)
}

pub(super) fn zones(scope: &Scope<'_>) -> Result<Query, Fault> {
    let (names, ids) = (scope.list("ZoneName")?, scope.list("ZoneId")?);
    named(scope, names.into_iter().chain(ids).collect()).map(Query::Zones)
}

pub(super) fn account_attributes(scope: &Scope<'_>) -> Result<Query, Fault> {
    let names = scope.list("AttributeName")?;
    Ok(Query::AccountAttributes(names.into_iter().map(str::to_owned).collect()))
}

fn named(scope: &Scope<'_>, names: Vec<&str>) -> Result<Named, Fault> {
    let filters = Filters::read(scope.call.params(), scope.call.action())?;
    Ok(Named { names: names.into_iter().map(str::to_owned).collect(), filters })
}

/// A listing by ids or filters, in parts of the common size.
pub(super) fn listing<'a, I: From<&'a str> + PartialEq>(
    scope: &Scope<'a>,
    list: &str,
    kind: IdKind,
    set: &str,
) -> Result<Listing<I>, Fault> {
    listing_in(scope, list, kind, set, &PARTS)
}

/// The same, in parts of another size. `MaxResults` is for those that name no ids.
pub(super) fn listing_in<'a, I: From<&'a str> + PartialEq>(
    scope: &Scope<'a>,
    list: &str,
    kind: IdKind,
    set: &str,
    parts: &RangeInclusive<u32>,
) -> Result<Listing<I>, Fault> {
    let ids = scope.ids(list, kind)?;
    if !ids.is_empty() && scope.text("MaxResults").is_some() {
        let message = format!("The parameter {set} cannot be used with the parameter maxResults");
        return Err(Fault::Combination(message));
    }
    let filters = Filters::read(scope.call.params(), scope.call.action())?;
    Ok(Listing { ids, filters, page: part(scope, parts)? })
}

/// Which part is wanted. Without a wish it is everything: clients that do not know parts read one reply only.
pub(super) fn part(scope: &Scope<'_>, range: &RangeInclusive<u32>) -> Result<Page, Fault> {
    let most = match scope.text("MaxResults") {
        None => usize::MAX,
        Some(text) => results_max(text, range)?,
    };
    let after = scope.text("NextToken").map(|token| after(scope, token)).transpose()?;
    Ok(Page { most, after })
}

fn results_max(text: &str, range: &RangeInclusive<u32>) -> Result<usize, Fault> {
    let (least, most) = (*range.start(), *range.end());
    let number: Option<u32> = text.parse().ok();
    let told = |what: String| Fault::Value(format!("Value ( {text} ) for parameter maxResults is invalid. {what}"));
    match number {
        Some(number) if range.contains(&number) => Ok(number as usize),
        Some(number) if number > most => Err(told(format!("Expecting a value smaller than {most}."))),
        Some(_) | None => Err(told(format!("Expecting a value greater than {least}."))),
    }
}

/// A token is good for the operation and the account that it was answered to.
fn after(scope: &Scope<'_>, token: &str) -> Result<String, Fault> {
    let mark = Mark::of(scope.call.entry().name, scope.account);
    mark.key(token).ok_or_else(|| Fault::PageToken { token: token.to_owned() })
}
