//! Network interfaces.

use std::{net::IpAddr, sync::Arc};

use sekimori_core::{
    ids::EniId,
    refusal::{Kind, Refusal},
    world::{Eni, Revision, World},
};

use super::{
    View,
    page::{Order, part},
    tags,
};
use crate::{
    ecs::{
        catalog::Action,
        encode::{Fields, Node, list, number},
        errors::Fault,
        query::EniQuery,
    },
    time::to_seconds,
};

/// What `DescribeNetworkInterfaces` answers.
pub(super) fn interfaces(query: &EniQuery, view: &View<'_>) -> Fields {
    let passes = |eni: &&Arc<Eni>| passes(query, view, eni);
    let all: Vec<&Arc<Eni>> = match (&query.ids, &query.instance) {
        (Some(ids), _) => {
            let mut named: Vec<_> = ids.iter().filter_map(|id| view.world.eni(id)).filter(passes).collect();
            named.sort_by(|one, other| one.id.cmp(&other.id));
            named.dedup_by(|one, other| one.id == other.id);
            named
        }
        (None, Some(instance)) => {
            let mut attached: Vec<_> = view.world.enis_of(instance).filter(passes).collect();
            attached.sort_by(|one, other| one.id.cmp(&other.id));
            attached
        }
        (None, None) => view.world.enis().filter(passes).collect(),
    };
    let (wanted, mut fields) = part(all, &query.page, Order::Ascending, |eni| eni.id.to_string());
    let nodes = wanted.into_iter().map(|eni| Node::Object(eni_fields(eni, view.world, view.applied)));
    fields.push(("NetworkInterfaceSets", list("NetworkInterfaceSet", nodes)));
    fields
}

/// What `DescribeNetworkInterfaceAttribute` answers.
pub(super) fn interface(id: &EniId, view: &View<'_>) -> Result<Fields, Fault> {
    let eni = view.world.eni(id).filter(|eni| eni.account == *view.account);
    let eni = eni.ok_or_else(|| Fault::Refused(Refusal::Missing { kind: Kind::Eni, id: id.to_string() }))?;
    let mut fields = eni_fields(eni, view.world, view.applied);
    let timeouts = vec![
        ("TcpEstablishedTimeout", number(eni.timeouts.tcp_established_s)),
        ("TcpClosedAndTimeWaitTimeout", number(eni.timeouts.tcp_closed_s)),
        ("UdpTimeout", number(eni.timeouts.udp_s)),
    ];
    fields.push(("ConnectionTrackingConfiguration", timeouts.into()));
    Ok(fields)
}

/// What `CreateNetworkInterface` answers.
pub(super) fn created(id: &EniId, world: &World, applied: Revision) -> Fields {
    let Some(eni) = world.eni(id) else { return vec![("NetworkInterfaceId", id.as_str().into())] };
    let shown = eni_fields(eni, world, applied).into_iter();
    shown.filter(|(name, _)| !matches!(*name, "Attachment" | "InstanceId" | "AssociatedPublicIp")).collect()
}

/// What `AssignPrivateIpAddresses` and `AssignIpv6Addresses` answer.
pub(super) fn assigned(action: Action, eni: &EniId, addresses: &[IpAddr]) -> Fields {
    let texts = || addresses.iter().map(ToString::to_string);
    if action == Action::AssignIpv6Addresses {
        return vec![
            ("NetworkInterfaceId", eni.as_str().into()),
            ("Ipv6Sets", list("Ipv6Address", texts())),
            ("Ipv6PrefixSets", list::<&str>("Ipv6Prefix", [])),
        ];
    }
    let set = vec![
        ("NetworkInterfaceId", eni.as_str().into()),
        ("PrivateIpSet", list("PrivateIpAddress", texts())),
        ("Ipv4PrefixSet", list::<&str>("Ipv4Prefixes", [])),
    ];
    vec![("AssignedPrivateIpAddressesSet", set.into())]
}

fn passes(query: &EniQuery, view: &View<'_>, eni: &Eni) -> bool {
    let has_one_of = |wanted: &[IpAddr]| wanted.is_empty() || eni.addresses.iter().any(|own| wanted.contains(own));
    eni.account == *view.account
        && query.is_managed.is_none_or(|wanted| wanted == eni.managed_by.is_some())
        && view.is_in(&eni.vpc, query.region)
        && query.instance.as_ref().is_none_or(|instance| Some(instance) == eni.instance.as_ref())
        && query.group.as_ref().is_none_or(|group| eni.groups.contains(group))
        && query.vpc.as_ref().is_none_or(|vpc| *vpc == eni.vpc)
        && query.subnet.as_ref().is_none_or(|subnet| *subnet == eni.subnet)
        && query.primary.is_none_or(|primary| eni.addresses.first() == Some(&primary))
        && query.kind.as_ref().is_none_or(|kind| kind == type_of(eni))
        && query.status.as_ref().is_none_or(|status| status == status_of(eni, view.applied))
        && query.name.as_ref().is_none_or(|name| name.matches(&eni.name))
        && query.resource_group.as_ref().is_none_or(|wanted| *wanted == eni.resource_group)
        && eni.tags.pass(&query.tags)
        && has_one_of(&query.addresses)
        && has_one_of(&query.ipv6_addresses)
}

fn eni_fields(eni: &Eni, world: &World, applied: Revision) -> Fields {
    let primary = eni.addresses.first().map(ToString::to_string).unwrap_or_default();
    let zone = world.subnet(&eni.subnet).map_or("", |subnet| subnet.zone.as_str());
    let instance = eni.instance.as_ref().map_or("", |instance| instance.as_str());
    let groups = eni.groups.iter().map(|group| group.as_str());
    let mut fields = vec![
        ("NetworkInterfaceId", eni.id.as_str().into()),
        ("NetworkInterfaceName", eni.name.as_str().into()),
        ("Description", eni.description.as_str().into()),
        ("Status", status_of(eni, applied).into()),
        ("Type", type_of(eni).into()),
        ("VpcId", eni.vpc.as_str().into()),
        ("VSwitchId", eni.subnet.as_str().into()),
        ("ZoneId", zone.into()),
        ("MacAddress", eni.mac.to_string().into()),
        ("PrivateIpAddress", primary.into()),
        ("PrivateIpSets", ipv4_sets(eni)),
        ("Ipv6Sets", ipv6_sets(eni)),
        ("Ipv4PrefixSets", list::<&str>("Ipv4PrefixSet", [])),
        ("Ipv6PrefixSets", list::<&str>("Ipv6PrefixSet", [])),
        ("SecurityGroupIds", list("SecurityGroupId", groups)),
        ("InstanceId", instance.into()),
        ("Attachment", attachment(eni).into()),
        ("AssociatedPublicIp", Fields::new().into()),
        ("SourceDestCheck", eni.source_check.into()),
        ("DeleteOnRelease", (eni.is_primary() || eni.delete_on_release).into()),
        ("ServiceManaged", eni.managed_by.is_some().into()),
        ("NetworkInterfaceTrafficMode", "Standard".into()),
        ("QueueNumber", number(1)),
        ("ResourceGroupId", eni.resource_group.as_str().into()),
        ("CreationTime", to_seconds(eni.created_at).into()),
        ("Tags", tags::node(&eni.tags)),
    ];
    fields.extend(eni.managed_by.map(|service| ("ServiceID", number(service))));
    fields
}

fn attachment(eni: &Eni) -> Fields {
    let Some(instance) = &eni.instance else { return Fields::new() };
    vec![
        ("InstanceId", instance.as_str().into()),
        ("DeviceIndex", number(eni.device_index)),
        ("NetworkCardIndex", number(0)),
        ("TrunkNetworkInterfaceId", "".into()),
    ]
}

/// `Primary` or `Secondary`.
pub(super) fn type_of(eni: &Eni) -> &'static str {
    if eni.is_primary() { "Primary" } else { "Secondary" }
}

/// An interface has moved once its host enforces the revision that says so.
fn status_of(eni: &Eni, applied: Revision) -> &'static str {
    match (&eni.instance, eni.moved_in <= applied) {
        (Some(_), true) => "InUse",
        (Some(_), false) => "Attaching",
        (None, true) => "Available",
        (None, false) => "Detaching",
    }
}

/// Private IPv4 addresses, the primary first.
pub(super) fn ipv4_sets(eni: &Eni) -> Node {
    let v4 = eni.addresses.iter().filter(|address| address.is_ipv4());
    let sets = v4.enumerate().map(|(place, address)| {
        Node::Object(vec![("PrivateIpAddress", address.to_string().into()), ("Primary", (place == 0).into())])
    });
    list("PrivateIpSet", sets)
}

/// IPv6 addresses.
pub(super) fn ipv6_sets(eni: &Eni) -> Node {
    let v6 = eni.addresses.iter().filter(|address| address.is_ipv6());
    list("Ipv6Set", v6.map(|address| Node::Object(vec![("Ipv6Address", address.to_string().into())])))
}
