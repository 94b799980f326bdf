//! `Describe…` calls: filters and pages.

use std::net::{IpAddr, Ipv6Addr};

use sekimori_core::{
    ids::{AccountId, GroupId},
    rule::Direction,
};

use super::{
    groups,
    scope::{IDS_MAX, Scope, invalid, is_id},
    tags,
};
use crate::ecs::{
    errors::Fault,
    query::{
        EndpointQuery, GroupQuery, InstanceQuery, NameFilter, Page, ReferenceQuery, RuleQuery, VSwitchQuery, VpcQuery,
    },
    region::Region,
    token::Mark,
};

/// The highest page number.
const PAGE_NUMBER_MAX: u32 = 1_000_000;
/// The codes of the products that are spoken here.
const SERVICES: [&str; 3] = ["ecs", "vpc", "sts"];

/// How an operation divides its results.
pub(super) struct Paging {
    pub(super) size_default: u32,
    pub(super) size_max: u32,
    pub(super) results_default: u32,
    pub(super) results_max: u32,
}

impl Paging {
    /// Parts by token only.
    pub(super) const fn by_token(results_default: u32, results_max: u32) -> Self {
        Self { size_default: results_default, size_max: results_max, results_default, results_max }
    }
}

pub(super) const PAGING: Paging = Paging { size_default: 10, size_max: 50, results_default: 10, results_max: 100 };
const INSTANCE_PAGING: Paging = Paging { size_max: 100, ..PAGING };
/// Rules have no pages by number.
const RULE_PAGING: Paging = Paging::by_token(500, 1_000);

pub(super) fn vpcs(scope: &Scope<'_>) -> Result<VpcQuery, Fault> {
    Ok(VpcQuery {
        owner: scope.text("VpcOwnerId").map(AccountId::from),
        region: scope.region,
        ids: comma_ids(scope, "VpcId")?,
        name: scope.text("VpcName").map(pattern),
        has_ipv6: scope.boolean("EnableIpv6")?,
        is_empty: is_true(scope, "IsDefault")? || is_set(scope, &["DhcpOptionsSetId"]),
        resource_group: scope.resource_group_filter()?,
        tags: tags::filters(scope)?,
        page: page(scope, &PAGING)?,
    })
}

pub(super) fn vswitches(scope: &Scope<'_>) -> Result<VSwitchQuery, Fault> {
    Ok(VSwitchQuery {
        owner: scope.text("VSwitchOwnerId").map(AccountId::from),
        region: scope.region,
        vpc: scope.id("VpcId")?,
        ids: comma_ids(scope, "VSwitchId")?,
        name: scope.text("VSwitchName").map(pattern),
        zone: scope.text("ZoneId").map(str::to_owned),
        has_ipv6: scope.boolean("EnableIpv6")?,
        is_empty: is_true(scope, "IsDefault")? || is_set(scope, &["RouteTableId"]),
        resource_group: scope.resource_group_filter()?,
        tags: tags::filters(scope)?,
        page: page(scope, &PAGING)?,
    })
}

pub(super) fn instances(scope: &Scope<'_>) -> Result<InstanceQuery, Fault> {
    let is_classic = scope.text("InstanceNetworkType").is_some_and(|kind| kind == "classic");
    Ok(InstanceQuery {
        region: scope.region,
        ids: scope.json_ids("InstanceIds")?,
        name: scope.text("InstanceName").map(pattern),
        vpc: scope.id("VpcId")?,
        subnet: scope.id("VSwitchId")?,
        zone: scope.text("ZoneId").map(str::to_owned),
        group: scope.id("SecurityGroupId")?,
        image: scope.text("ImageId").map(str::to_owned),
        instance_type: scope.text("InstanceType").map(str::to_owned),
        status: scope.text("Status").map(str::to_owned),
        addresses: addresses(scope)?,
        ipv6_addresses: ipv6_addresses(scope)?,
        resource_group: scope.resource_group_filter()?,
        tags: tags::filters(scope)?,
        is_empty: is_classic,
        page: page(scope, &INSTANCE_PAGING)?,
    })
}

pub(super) fn groups(scope: &Scope<'_>) -> Result<GroupQuery, Fault> {
    let one: Option<GroupId> = scope.id("SecurityGroupId")?;
    let many: Option<Vec<GroupId>> = scope.json_ids("SecurityGroupIds")?;
    let ids = match (one, many) {
        (None, many) => many,
        (Some(one), None) => Some(vec![one]),
        (Some(one), Some(many)) => Some(many.into_iter().filter(|id| *id == one).collect()),
    };
    let is_fuzzy = is_true(scope, "FuzzyQuery")?;
    let name = |text: &str| {
        if is_fuzzy { NameFilter::Pattern(format!("*{text}*")) } else { NameFilter::Exact(text.to_owned()) }
    };
    Ok(GroupQuery {
        region: scope.region,
        ids,
        name: scope.text("SecurityGroupName").map(name),
        vpc: scope.id("VpcId")?,
        flavor: scope.text("SecurityGroupType").map(groups::flavor).transpose()?,
        resource_group: scope.resource_group_filter()?,
        tags: tags::filters(scope)?,
        is_managed: scope.boolean("ServiceManaged")?,
        counts: is_true(scope, "IsQueryEcsCount")?,
        is_empty: scope.text("NetworkType").is_some_and(|kind| kind.eq_ignore_ascii_case("classic")),
        page: page(scope, &PAGING)?,
    })
}

pub(super) fn rules(scope: &Scope<'_>) -> Result<RuleQuery, Fault> {
    let direction = match scope.text("Direction").map(str::to_ascii_lowercase).as_deref() {
        None | Some("all") => None,
        Some("ingress") => Some(Direction::Ingress),
        Some("egress") => Some(Direction::Egress),
        Some(other) => return Err(invalid("Direction", format!("`{other}` is not ingress, egress or all"))),
    };
    if let Some(other) = scope.text("Attribute").filter(|name| *name != "snapshotPolicyIds") {
        return Err(Fault::Attribute { name: other.to_owned() });
    }
    // Clients that do not know parts read one reply only, so without a wish for parts they get everything.
    let wants_parts = is_set(scope, &["MaxResults", "NextToken"]);
    let page = if wants_parts { token_page(scope, &RULE_PAGING)? } else { Page::All };
    Ok(RuleQuery { region: scope.region, group: scope.required_id("SecurityGroupId")?, direction, page })
}

/// Groups whose references are asked for, at most ten.
const REFERENCES_MAX: usize = 10;

pub(super) fn references(scope: &Scope<'_>) -> Result<ReferenceQuery, Fault> {
    let texts = scope.call.params().list("SecurityGroupId");
    if texts.is_empty() || texts.len() > REFERENCES_MAX || !texts.iter().all(|text| is_id(text)) {
        return Err(Fault::References);
    }
    let mut groups: Vec<GroupId> = Vec::with_capacity(texts.len());
    for id in texts.into_iter().map(GroupId::from) {
        if !groups.contains(&id) {
            groups.push(id);
        }
    }
    Ok(ReferenceQuery { region: scope.region, groups })
}

/// A part of something that has no pages by number.
pub(super) fn part(scope: &Scope<'_>) -> Result<Page, Fault> {
    token_page(scope, &PAGING)
}

/// Every product that is spoken here is where the client has asked.
pub(super) fn endpoints(scope: &Scope<'_>) -> Result<EndpointQuery, Fault> {
    let region = scope.required("Id")?;
    let service = scope.required("ServiceCode")?;
    let is_known = Region::find(region).is_some() && SERVICES.iter().any(|known| known.eq_ignore_ascii_case(service));
    let kind = scope.text("Type").unwrap_or("openAPI");
    let (region, service, kind) = (region.to_owned(), service.to_owned(), kind.to_owned());
    Ok(EndpointQuery { region, service, kind, endpoint: is_known.then(|| scope.call.host().to_owned()) })
}

/// Pages by token when the request names the parameters of that style, else by number.
pub(super) fn page(scope: &Scope<'_>, paging: &Paging) -> Result<Page, Fault> {
    if is_set(scope, &["MaxResults", "NextToken"]) {
        return token_page(scope, paging);
    }
    number_page(scope, paging)
}

pub(super) fn number_page(scope: &Scope<'_>, paging: &Paging) -> Result<Page, Fault> {
    let number = scope.integer("PageNumber", 1..=PAGE_NUMBER_MAX)?.unwrap_or(1);
    let size = scope.integer("PageSize", 1..=paging.size_max)?.unwrap_or(paging.size_default);
    Ok(Page::Number { number, size })
}

pub(super) fn token_page(scope: &Scope<'_>, paging: &Paging) -> Result<Page, Fault> {
    part_of(scope, scope.integer("MaxResults", 1..=paging.results_max)?.unwrap_or(paging.results_default))
}

/// The same, of an operation that gives the largest part to whom asks for a larger one.
pub(super) fn page_up_to(scope: &Scope<'_>, paging: &Paging) -> Result<Page, Fault> {
    let wanted = scope.integer("MaxResults", 1..=u32::MAX)?.unwrap_or(paging.results_default);
    part_of(scope, wanted.min(paging.results_max))
}

fn part_of(scope: &Scope<'_>, results_max: u32) -> Result<Page, Fault> {
    let mark = Mark::of(scope.call.entry().name, scope.account);
    let after = scope.text("NextToken").map(|token| {
        let unknown = || invalid("NextToken", "this operation has not returned it to this account".to_owned());
        mark.key(token).ok_or_else(unknown)
    });
    Ok(Page::Token { results_max, after: after.transpose()?, mark })
}

/// Ids with commas between them, as the VPC product takes them.
fn comma_ids<'a, T: From<&'a str>>(scope: &Scope<'a>, name: &'static str) -> Result<Vec<T>, Fault> {
    let Some(text) = scope.text(name) else { return Ok(Vec::new()) };
    let ids: Vec<&str> = text.split(',').map(str::trim).collect();
    if ids.len() > IDS_MAX || !ids.iter().all(|id| is_id(id)) {
        return Err(Fault::MalformedId { name });
    }
    Ok(ids.into_iter().map(T::from).collect())
}

fn addresses(scope: &Scope<'_>) -> Result<Vec<IpAddr>, Fault> {
    let Some(text) = scope.text("PrivateIpAddresses") else { return Ok(Vec::new()) };
    let texts: Vec<String> = serde_json::from_str(text).map_err(|_| Fault::AddressFormat)?;
    if texts.len() > IDS_MAX {
        return Err(Fault::AddressFormat);
    }
    texts.iter().map(|text| text.parse().map_err(|_| Fault::AddressFormat)).collect()
}

fn ipv6_addresses(scope: &Scope<'_>) -> Result<Vec<IpAddr>, Fault> {
    let texts = scope.call.params().list("Ipv6Address");
    if texts.len() > IDS_MAX {
        return Err(invalid("Ipv6Address", format!("it has more than {IDS_MAX} items; ask several times")));
    }
    let address = |text: &&str| text.parse::<Ipv6Addr>().map(IpAddr::V6);
    let bad = |text: &str| invalid("Ipv6Address", format!("`{text}` is not an IPv6 address"));
    texts.iter().map(|text| address(text).map_err(|_| bad(text))).collect()
}

pub(super) fn pattern(text: &str) -> NameFilter {
    if text.contains('*') { NameFilter::Pattern(text.to_owned()) } else { NameFilter::Exact(text.to_owned()) }
}

pub(super) fn is_true(scope: &Scope<'_>, name: &str) -> Result<bool, Fault> {
    Ok(scope.boolean(name)?.unwrap_or(false))
}

pub(super) fn is_set(scope: &Scope<'_>, names: &[&str]) -> bool {
    names.iter().any(|name| scope.text(name).is_some())
}
