//! Instances.

use std::{net::IpAddr, sync::Arc};

use sekimori_core::world::{Eni, Instance};

use super::{
    View,
    page::{Order, part},
    tags,
};
use crate::{
    ecs::{
        encode::{Fields, Node, list},
        query::InstanceQuery,
    },
    time::to_minutes,
};

pub(super) fn instances(query: &InstanceQuery, view: &View<'_>) -> Fields {
    let passes = |instance: &&Arc<Instance>| instance.account == *view.account && passes(query, view, instance);
    let all: Vec<&Arc<Instance>> = match &query.ids {
        None => view.world.instances().filter(passes).collect(),
        Some(ids) => {
            let mut named: Vec<_> = ids.iter().filter_map(|id| view.world.instance(id)).filter(passes).collect();
            named.sort_by(|one, other| one.id.cmp(&other.id));
            named.dedup_by(|one, other| one.id == other.id);
            named
        }
    };
    let (wanted, mut fields) = part(all, &query.page, Order::Ascending, |instance| instance.id.to_string());
    fields.push(("Instances", list("Instance", wanted.into_iter().map(|instance| node(instance, view)))));
    fields
}

fn passes(query: &InstanceQuery, view: &View<'_>, instance: &Instance) -> bool {
    let eni = || view.world.primary_eni(&instance.id);
    let has_one_of = |wanted: &[IpAddr]| {
        wanted.is_empty() || eni().is_some_and(|eni| eni.addresses.iter().any(|own| wanted.contains(own)))
    };
    !query.is_empty
        && view.is_in(&instance.vpc, query.region)
        && query.name.as_ref().is_none_or(|name| name.matches(&instance.name))
        && query.vpc.as_ref().is_none_or(|vpc| *vpc == instance.vpc)
        && query.subnet.as_ref().is_none_or(|subnet| *subnet == instance.subnet)
        && query.zone.as_ref().is_none_or(|zone| zone == zone_of(instance, view))
        && query.image.as_ref().is_none_or(|image| *image == instance.image)
        && query.instance_type.as_ref().is_none_or(|kind| *kind == instance.instance_type)
        && query.status.as_ref().is_none_or(|status| status == status_of(instance, view))
        && query.group.as_ref().is_none_or(|group| eni().is_some_and(|eni| eni.groups.contains(group)))
        && query.resource_group.as_ref().is_none_or(|wanted| *wanted == instance.resource_group)
        && instance.tags.pass(&query.tags)
        && has_one_of(&query.addresses)
        && has_one_of(&query.ipv6_addresses)
}

/// A new instance runs once its host enforces the revision that made it.
fn status_of(instance: &Instance, view: &View<'_>) -> &'static str {
    if instance.created_in <= view.applied { "Running" } else { "Starting" }
}

fn zone_of<'a>(instance: &Instance, view: &View<'a>) -> &'a str {
    view.world.subnet(&instance.subnet).map_or("", |subnet| &subnet.zone)
}

fn node(instance: &Instance, view: &View<'_>) -> Node {
    let enis: Vec<&Arc<Eni>> = view.world.enis_of(&instance.id).collect();
    let primary = enis.first();
    let groups = primary.map(|eni| eni.groups.as_slice()).unwrap_or_default();
    let private = primary.into_iter().flat_map(|eni| &eni.addresses).filter(|address| address.is_ipv4());
    let vpc = vec![
        ("VpcId", instance.vpc.as_str().into()),
        ("VSwitchId", instance.subnet.as_str().into()),
        ("PrivateIpAddress", list("IpAddress", private.map(ToString::to_string))),
        ("NatIpAddress", "".into()),
    ];
    let no_eip = vec![("AllocationId", "".into()), ("IpAddress", "".into()), ("InternetChargeType", "".into())];
    Node::Object(vec![
        ("InstanceId", instance.id.as_str().into()),
        ("InstanceName", instance.name.as_str().into()),
        ("Description", instance.description.as_str().into()),
        ("HostName", instance.id.as_str().into()),
        ("RegionId", view.region_of(&instance.vpc).into()),
        ("ZoneId", zone_of(instance, view).into()),
        ("Status", status_of(instance, view).into()),
        ("ImageId", instance.image.as_str().into()),
        ("InstanceType", instance.instance_type.as_str().into()),
        ("CreationTime", to_minutes(instance.created_at).into()),
        ("InstanceNetworkType", "vpc".into()),
        ("InstanceChargeType", "PostPaid".into()),
        ("InternetChargeType", "PayByTraffic".into()),
        ("IoOptimized", true.into()),
        ("DeletionProtection", false.into()),
        ("ResourceGroupId", instance.resource_group.as_str().into()),
        ("SecurityGroupIds", list("SecurityGroupId", groups.iter().map(|group| group.as_str()))),
        ("VpcAttributes", vpc.into()),
        ("NetworkInterfaces", list("NetworkInterface", enis.iter().map(|eni| eni_node(eni)))),
        ("InnerIpAddress", list::<&str>("IpAddress", [])),
        ("PublicIpAddress", list::<&str>("IpAddress", [])),
        ("EipAddress", no_eip.into()),
        ("OperationLocks", list::<&str>("LockReason", [])),
        ("Tags", tags::node(&instance.tags)),
    ])
}

fn eni_node(eni: &Eni) -> Node {
    let v4 = || eni.addresses.iter().filter(|address| address.is_ipv4());
    let v6 = eni.addresses.iter().filter(|address| address.is_ipv6());
    let primary = v4().next().map(ToString::to_string).unwrap_or_default();
    let private = v4().enumerate().map(|(place, address): (usize, &IpAddr)| {
        Node::Object(vec![("PrivateIpAddress", address.to_string().into()), ("Primary", (place == 0).into())])
    });
    let ipv6 = v6.map(|address| Node::Object(vec![("Ipv6Address", address.to_string().into())]));
    let kind = if eni.device_index == 0 { "Primary" } else { "Secondary" };
    Node::Object(vec![
        ("NetworkInterfaceId", eni.id.as_str().into()),
        ("Type", kind.into()),
        ("MacAddress", eni.mac.to_string().into()),
        ("PrimaryIpAddress", primary.into()),
        ("PrivateIpSets", list("PrivateIpSet", private)),
        ("Ipv6Sets", list("Ipv6Set", ipv6)),
    ])
}
