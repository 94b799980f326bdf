//! `Describe…` calls about interfaces, about the state of instances, and about one thing alone.

use std::net::IpAddr;

use sekimori_core::ids::{EniId, InstanceId};

use super::{
    interfaces, network,
    queries::{PAGING, Paging, is_set, number_page, page, pattern, token_page},
    scope::{IDS_MAX, Scope, invalid},
    tags,
};
use crate::ecs::{
    errors::Fault,
    query::{EniQuery, InstanceQuery, Page, Query, TypeQuery},
};

const ENI_PAGING: Paging = Paging { size_max: 500, results_max: 500, ..PAGING };
const TYPE_PAGING: Paging = Paging { results_default: 100, results_max: 1_600, ..PAGING };

pub(super) fn interfaces(scope: &Scope<'_>) -> Result<Query, Fault> {
    let ids: Vec<EniId> = scope.id_list("NetworkInterfaceId")?;
    let addresses = interfaces::ipv4_list(scope, "PrivateIpAddress")?;
    let ipv6 = interfaces::ipv6_list(scope, "Ipv6Address")?;
    Ok(Query::Interfaces(Box::new(EniQuery {
        region: scope.region,
        ids: (!ids.is_empty()).then_some(ids),
        instance: scope.id("InstanceId")?,
        group: scope.id("SecurityGroupId")?,
        vpc: scope.id("VpcId")?,
        subnet: scope.id("VSwitchId")?,
        primary: scope.text("PrimaryIpAddress").map(interfaces::ipv4).transpose()?.map(IpAddr::V4),
        addresses: addresses.into_iter().map(IpAddr::V4).collect(),
        ipv6_addresses: ipv6.into_iter().map(IpAddr::V6).collect(),
        kind: scope.text("Type").map(str::to_owned),
        status: scope.text("Status").map(str::to_owned),
        name: scope.text("NetworkInterfaceName").map(pattern),
        resource_group: scope.resource_group_filter()?,
        tags: tags::filters(scope)?,
        is_managed: scope.boolean("ServiceManaged")?,
        page: page(scope, &ENI_PAGING)?,
    })))
}

pub(super) fn interface(scope: &Scope<'_>) -> Result<Query, Fault> {
    interfaces::eni(scope).map(Query::Interface)
}

pub(super) fn statuses(scope: &Scope<'_>) -> Result<Query, Fault> {
    let ids: Vec<InstanceId> = scope.id_list("InstanceId")?;
    Ok(Query::Statuses(Box::new(InstanceQuery {
        region: scope.region,
        ids: (!ids.is_empty()).then_some(ids),
        name: None,
        vpc: None,
        subnet: None,
        zone: scope.text("ZoneId").map(str::to_owned),
        group: None,
        image: None,
        instance_type: None,
        status: None,
        addresses: Vec::new(),
        ipv6_addresses: Vec::new(),
        resource_group: None,
        tags: Vec::new(),
        is_empty: is_set(scope, &["ClusterId"]),
        page: number_page(scope, &PAGING)?,
    })))
}

pub(super) fn instance(scope: &Scope<'_>) -> Result<Query, Fault> {
    let id: InstanceId = scope.required_id("InstanceId")?;
    scope.check_instance_region(&id)?;
    Ok(Query::Instance(id))
}

pub(super) fn zones(scope: &Scope<'_>) -> Result<Query, Fault> {
    scope.needs_region().map(Query::Zones)
}

pub(super) fn instance_types(scope: &Scope<'_>) -> Result<Query, Fault> {
    let named = |name: &'static str| label_list(scope, name);
    let mut families = named("InstanceTypeFamilies")?;
    families.extend(scope.text("InstanceTypeFamily").map(str::to_owned));
    let number = |name: &str| scope.integer(name, 0..=u32::MAX);
    let page = if is_set(scope, &["MaxResults", "NextToken"]) { token_page(scope, &TYPE_PAGING)? } else { Page::All };
    Ok(Query::InstanceTypes(TypeQuery {
        ids: named("InstanceTypes")?,
        families,
        cpus_min: number("MinimumCpuCoreCount")?,
        cpus_max: number("MaximumCpuCoreCount")?,
        enis_min: number("MinimumEniQuantity")?,
        ipv4_min: number("MinimumEniPrivateIpAddressQuantity")?,
        ipv6_min: number("MinimumEniIpv6AddressQuantity")?,
        page,
    }))
}

pub(super) fn vpc(scope: &Scope<'_>) -> Result<Query, Fault> {
    network::own_vpc(scope).map(Query::Vpc)
}

pub(super) fn vswitch(scope: &Scope<'_>) -> Result<Query, Fault> {
    network::own_vswitch(scope).map(Query::VSwitch)
}

/// Names of types and families, which have dots and so are no ids.
fn label_list(scope: &Scope<'_>, name: &str) -> Result<Vec<String>, Fault> {
    debug_assert!(scope.call.entry().accepts(&format!("{name}.1")), "`{name}.N` is not in the catalog");
    let texts = scope.call.params().list(name);
    if texts.len() > IDS_MAX {
        return Err(invalid(name, format!("it has more than {IDS_MAX} items; ask several times")));
    }
    Ok(texts.into_iter().map(str::to_owned).collect())
}
