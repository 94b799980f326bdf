//! VPCs and vSwitches.
//!
//! A VPC has one router and one route table, named after it.

use std::{collections::BTreeMap, sync::Arc};

use sekimori_core::{
    ids::{SubnetId, VpcId},
    refusal::{Kind, Refusal},
    world::{Dialect, Eni, Subnet, Vpc},
};

use super::{
    View,
    page::{Order, part},
    tags,
};
use crate::{
    ecs::{
        encode::{Fields, Node, list, number},
        errors::Fault,
        query::{VSwitchQuery, VpcQuery},
    },
    time::to_seconds,
};

/// What `CreateVpc` answers.
pub(super) fn new_vpc(id: &VpcId) -> Fields {
    vec![
        ("VpcId", id.as_str().into()),
        ("VRouterId", named_after("vrt", id).into()),
        ("RouteTableId", named_after("vtb", id).into()),
        ("ResourceGroupId", "".into()),
    ]
}

pub(super) fn vpcs(query: &VpcQuery, view: &View<'_>) -> Fields {
    let passes = |vpc: &&Arc<Vpc>| {
        vpc.is_open_to(view.account)
            && !query.is_empty
            && query.owner.as_ref().is_none_or(|owner| *owner == vpc.account)
            && query.region.is_none_or(|region| region.id == vpc.region)
            && (query.ids.is_empty() || query.ids.contains(&vpc.id))
            && query.name.as_ref().is_none_or(|name| name.matches(&vpc.name))
            && query.has_ipv6.is_none_or(|wanted| wanted == vpc.ipv6.is_some())
            && query.resource_group.as_ref().is_none_or(|wanted| *wanted == vpc.resource_group)
            && vpc.tags.pass(&query.tags)
    };
    let all: Vec<&Arc<Vpc>> = view.world.vpcs().filter(passes).collect();
    let (wanted, mut fields) = part(all, &query.page, Order::Ascending, |vpc| vpc.id.to_string());
    let mut subnets: BTreeMap<&VpcId, Vec<&str>> = BTreeMap::new();
    for subnet in view.world.subnets() {
        subnets.entry(&subnet.vpc).or_default().push(subnet.id.as_str());
    }
    let vpcs = wanted.into_iter().map(|vpc| vpc_node(vpc, subnets.remove(&vpc.id).unwrap_or_default()));
    fields.push(("Vpcs", list("Vpc", vpcs)));
    fields
}

pub(super) fn vswitches(query: &VSwitchQuery, view: &View<'_>) -> Fields {
    let passes = |subnet: &&Arc<Subnet>| {
        view.world.vpc(&subnet.vpc).is_some_and(|vpc| vpc.is_open_to(view.account))
            && !query.is_empty
            && query.owner.as_ref().is_none_or(|owner| *owner == subnet.account)
            && view.is_in(&subnet.vpc, query.region)
            && query.vpc.as_ref().is_none_or(|vpc| *vpc == subnet.vpc)
            && (query.ids.is_empty() || query.ids.contains(&subnet.id))
            && query.name.as_ref().is_none_or(|name| name.matches(&subnet.name))
            && query.zone.as_ref().is_none_or(|zone| *zone == subnet.zone)
            && query.has_ipv6.is_none_or(|wanted| wanted == subnet.ipv6.is_some())
            && query.resource_group.as_ref().is_none_or(|wanted| *wanted == subnet.resource_group)
            && subnet.tags.pass(&query.tags)
    };
    let all: Vec<&Arc<Subnet>> = view.world.subnets().filter(passes).collect();
    let (wanted, mut fields) = part(all, &query.page, Order::Ascending, |subnet| subnet.id.to_string());
    let mut taken: BTreeMap<&SubnetId, u64> = BTreeMap::new();
    for eni in view.world.enis() {
        *taken.entry(&eni.subnet).or_default() += ipv4_count(eni);
    }
    let vswitches =
        wanted.into_iter().map(|subnet| vswitch_node(subnet, taken.get(&subnet.id).copied().unwrap_or(0)));
    fields.push(("VSwitches", list("VSwitch", vswitches)));
    fields
}

/// What `DescribeVpcAttribute` answers.
pub(super) fn vpc(id: &VpcId, view: &View<'_>) -> Result<Fields, Fault> {
    let vpc = view.world.vpc(id).filter(|vpc| vpc.account == *view.account);
    let vpc = vpc.ok_or_else(|| missing(Kind::Vpc, id.as_str()))?;
    let subnets = view.world.subnets().filter(|subnet| subnet.vpc == *id).map(|subnet| subnet.id.as_str());
    let mut fields = vpc_fields(vpc, subnets.collect());
    fields.push(("ClassicLinkEnabled", false.into()));
    fields.push(("AssociatedCens", list::<&str>("AssociatedCen", [])));
    fields.push(("CloudResources", list::<&str>("CloudResourceSetType", [])));
    Ok(fields)
}

/// What `DescribeVSwitchAttributes` answers.
pub(super) fn vswitch(id: &SubnetId, view: &View<'_>) -> Result<Fields, Fault> {
    let subnet = view.world.subnet(id).filter(|subnet| subnet.account == *view.account);
    let subnet = subnet.ok_or_else(|| missing(Kind::Subnet, id.as_str()))?;
    let inside = view.world.enis().filter(|eni| eni.subnet == *id);
    let taken = inside.map(|eni| ipv4_count(eni)).sum();
    let mut fields = vswitch_fields(subnet, taken);
    fields.push(("CloudResources", list::<&str>("CloudResourceSetType", [])));
    Ok(fields)
}

fn missing(kind: Kind, id: &str) -> Fault {
    Fault::Refused(Refusal::Missing { kind, id: id.to_owned() })
}

fn ipv4_count(eni: &Eni) -> u64 {
    eni.addresses.iter().filter(|address| address.is_ipv4()).count() as u64
}

fn vpc_node(vpc: &Vpc, subnets: Vec<&str>) -> Node {
    Node::Object(vpc_fields(vpc, subnets))
}

fn vpc_fields(vpc: &Vpc, subnets: Vec<&str>) -> Fields {
    let ipv6 = vpc.ipv6.map(|block| block.to_string()).unwrap_or_default();
    let ipv6_blocks = vpc
        .ipv6
        .map(|block| Node::Object(vec![("Ipv6CidrBlock", block.to_string().into()), ("Ipv6Isp", "BGP".into())]));
    vec![
        ("VpcId", vpc.id.as_str().into()),
        ("VpcName", vpc.name.as_str().into()),
        ("Description", vpc.description.as_str().into()),
        ("RegionId", vpc.region.as_str().into()),
        ("Status", "Available".into()),
        ("CidrBlock", vpc.cidr.to_string().into()),
        ("EnabledIpv6", vpc.ipv6.is_some().into()),
        ("Ipv6CidrBlock", ipv6.into()),
        ("Ipv6CidrBlocks", list("Ipv6CidrBlock", ipv6_blocks)),
        ("CreationTime", to_seconds(vpc.created_at).into()),
        ("IsDefault", false.into()),
        ("OwnerId", owner(vpc.account.as_str())),
        ("ResourceGroupId", vpc.resource_group.as_str().into()),
        ("VRouterId", named_after("vrt", &vpc.id).into()),
        ("RouterTableIds", list("RouterTableIds", [named_after("vtb", &vpc.id)])),
        ("VSwitchIds", list("VSwitchId", subnets)),
        ("UserCidrs", list::<&str>("UserCidr", [])),
        ("SecondaryCidrBlocks", list::<&str>("SecondaryCidrBlock", [])),
        ("NatGatewayIds", list::<&str>("NatGatewayIds", [])),
        ("Tags", tags::node(&vpc.tags)),
    ]
}

fn vswitch_node(subnet: &Subnet, taken: u64) -> Node {
    Node::Object(vswitch_fields(subnet, taken))
}

fn vswitch_fields(subnet: &Subnet, taken: u64) -> Fields {
    let (first, last) = subnet.assignable(Dialect::Ecs);
    let total = u64::from(u32::from(last).saturating_sub(u32::from(first))) + 1;
    let table = vec![("RouteTableId", named_after("vtb", &subnet.vpc).into()), ("RouteTableType", "System".into())];
    vec![
        ("VSwitchId", subnet.id.as_str().into()),
        ("VpcId", subnet.vpc.as_str().into()),
        ("VSwitchName", subnet.name.as_str().into()),
        ("Description", subnet.description.as_str().into()),
        ("ZoneId", subnet.zone.as_str().into()),
        ("Status", "Available".into()),
        ("CidrBlock", subnet.cidr.to_string().into()),
        ("EnabledIpv6", subnet.ipv6.is_some().into()),
        ("Ipv6CidrBlock", subnet.ipv6.map(|block| block.to_string()).unwrap_or_default().into()),
        ("AvailableIpAddressCount", number(total.saturating_sub(taken))),
        ("CreationTime", to_seconds(subnet.created_at).into()),
        ("IsDefault", false.into()),
        ("OwnerId", owner(subnet.account.as_str())),
        ("ResourceGroupId", subnet.resource_group.as_str().into()),
        ("NetworkAclId", "".into()),
        ("RouteTable", table.into()),
        ("Tags", tags::node(&subnet.tags)),
    ]
}

/// `vrt-…` or `vtb-…` of `vpc-…`.
fn named_after(prefix: &str, vpc: &VpcId) -> String {
    let tail = vpc.as_str().split_once('-').map_or(vpc.as_str(), |(_, tail)| tail);
    format!("{prefix}-{tail}")
}

/// Account numbers are JSON numbers here.
fn owner(account: &str) -> Node {
    account.parse().map_or_else(|_| account.into(), Node::Number)
}
