//! Instances.

use std::{net::IpAddr, sync::Arc};

use sekimori_core::{
    command::PowerChange,
    ids::InstanceId,
    refusal::{Kind, Refusal},
    world::{Eni, Instance, InstanceState, Revision, World},
};

use super::{
    View,
    interfaces::{ipv4_sets, ipv6_sets, type_of},
    page::{Order, part},
    tags,
};
use crate::{
    ecs::{
        catalog::Action,
        encode::{Fields, Node, list, number},
        errors::Fault,
        query::InstanceQuery,
        refusals::of_refusal,
    },
    time::to_minutes,
};

pub(super) fn instances(query: &InstanceQuery, view: &View<'_>) -> Fields {
    let (wanted, mut fields) = wanted(query, view);
    fields.push(("Instances", list("Instance", wanted.into_iter().map(|instance| node(instance, view)))));
    fields
}

/// What `DescribeInstanceStatus` answers.
pub(super) fn statuses(query: &InstanceQuery, view: &View<'_>) -> Fields {
    let (wanted, mut fields) = wanted(query, view);
    let status = |instance: &Arc<Instance>| {
        let status = status_of(instance, view.applied);
        Node::Object(vec![("InstanceId", instance.id.as_str().into()), ("Status", status.into())])
    };
    fields.push(("InstanceStatuses", list("InstanceStatus", wanted.into_iter().map(status))));
    fields
}

/// What `DescribeInstanceAttribute` answers.
pub(super) fn instance(id: &InstanceId, view: &View<'_>) -> Result<Fields, Fault> {
    let found = view.world.instance(id).filter(|instance| instance.account == *view.account);
    let missing = || Fault::Refused(Refusal::Missing { kind: Kind::Instance, id: id.to_string() });
    let mut fields = instance_fields(found.ok_or_else(missing)?, view);
    fields.retain(|(name, _)| !matches!(*name, "NetworkInterfaces" | "Tags" | "DeletionProtection"));
    fields.extend([
        ("ClusterId", Node::from("")),
        ("SerialNumber", id.as_str().into()),
        ("VlanId", "".into()),
        ("InternetMaxBandwidthIn", number(0)),
        ("InternetMaxBandwidthOut", number(0)),
    ]);
    Ok(fields)
}

/// What starting, stopping and rebooting answer: nothing for one instance, a line for each of several.
pub(super) fn switched(action: Action, changes: &[PowerChange], world: &World, applied: Revision) -> Fields {
    if matches!(action, Action::StartInstances | Action::StopInstances | Action::RebootInstances) {
        let lines = changes.iter().map(|change| line(action, change, world, applied));
        return vec![("InstanceResponses", list("InstanceResponse", lines))];
    }
    Vec::new()
}

fn line(action: Action, change: &PowerChange, world: &World, applied: Revision) -> Node {
    let name = |state: InstanceState| match state {
        InstanceState::Running => "Running",
        InstanceState::Stopped => "Stopped",
    };
    let (code, message) = match &change.refused {
        None => ("200", "success".to_owned()),
        Some(refusal) => {
            let failure = of_refusal(Some(action), refusal);
            (failure.code, failure.message)
        }
    };
    let owned = world.instance(&change.instance).filter(|_| change.before.is_some());
    Node::Object(vec![
        ("InstanceId", change.instance.as_str().into()),
        ("PreviousStatus", change.before.map(name).unwrap_or_default().into()),
        ("CurrentStatus", owned.map(|instance| status_of(instance, applied)).unwrap_or_default().into()),
        ("Code", code.into()),
        ("Message", message.into()),
    ])
}

fn wanted<'a>(query: &InstanceQuery, view: &View<'a>) -> (Vec<&'a Arc<Instance>>, Fields) {
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
    part(all, &query.page, Order::Ascending, |instance| instance.id.to_string())
}

fn passes(query: &InstanceQuery, view: &View<'_>, instance: &Instance) -> bool {
    let eni = || view.world.primary_eni(&instance.id);
    let enis = || view.world.enis_of(&instance.id);
    let has_one_of = |wanted: &[IpAddr]| {
        wanted.is_empty() || enis().any(|eni| eni.addresses.iter().any(|own| wanted.contains(own)))
    };
    !query.is_empty
        && view.is_in(&instance.vpc, query.region)
        && query.name.as_ref().is_none_or(|name| name.matches(&instance.name))
        && query.vpc.as_ref().is_none_or(|vpc| *vpc == instance.vpc)
        && query.subnet.as_ref().is_none_or(|subnet| *subnet == instance.subnet)
        && query.zone.as_ref().is_none_or(|zone| zone == zone_of(instance, view))
        && query.image.as_ref().is_none_or(|image| *image == instance.image)
        && query.instance_type.as_ref().is_none_or(|kind| *kind == instance.instance_type)
        && query.status.as_ref().is_none_or(|status| status == status_of(instance, view.applied))
        && query.group.as_ref().is_none_or(|group| eni().is_some_and(|eni| eni.groups.contains(group)))
        && query.resource_group.as_ref().is_none_or(|wanted| *wanted == instance.resource_group)
        && instance.tags.pass(&query.tags)
        && has_one_of(&query.addresses)
        && has_one_of(&query.ipv6_addresses)
}

/// An instance is what it is meant to be once its host enforces the revision that says so.
fn status_of(instance: &Instance, applied: Revision) -> &'static str {
    match (instance.state, instance.state_since <= applied) {
        (InstanceState::Running, true) => "Running",
        (InstanceState::Running, false) => "Starting",
        (InstanceState::Stopped, true) => "Stopped",
        (InstanceState::Stopped, false) => "Stopping",
    }
}

pub(super) fn zone_of<'a>(instance: &Instance, view: &View<'a>) -> &'a str {
    view.world.subnet(&instance.subnet).map_or("", |subnet| &subnet.zone)
}

fn node(instance: &Instance, view: &View<'_>) -> Node {
    Node::Object(instance_fields(instance, view))
}

fn instance_fields(instance: &Instance, view: &View<'_>) -> Fields {
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
    vec![
        ("InstanceId", instance.id.as_str().into()),
        ("InstanceName", instance.name.as_str().into()),
        ("Description", instance.description.as_str().into()),
        ("HostName", instance.id.as_str().into()),
        ("RegionId", view.region_of(&instance.vpc).into()),
        ("ZoneId", zone_of(instance, view).into()),
        ("Status", status_of(instance, view.applied).into()),
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
    ]
}

fn eni_node(eni: &Eni) -> Node {
    let primary = eni.addresses.first().map(ToString::to_string).unwrap_or_default();
    Node::Object(vec![
        ("NetworkInterfaceId", eni.id.as_str().into()),
        ("Type", type_of(eni).into()),
        ("MacAddress", eni.mac.to_string().into()),
        ("PrimaryIpAddress", primary.into()),
        ("PrivateIpSets", ipv4_sets(eni)),
        ("Ipv6Sets", ipv6_sets(eni)),
    ])
}
