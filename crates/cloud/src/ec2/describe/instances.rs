//! Instances with their interfaces, by the call that started them.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use sekimori_core::{
    command::PowerChange,
    ids::{GroupId, InstanceId},
    refusal::Kind,
    tags::Tags,
    terminated::Terminated,
    time::Timestamp,
    world::{Eni, Instance, InstanceState},
};

use super::{
    View,
    listing::{Item, named, part},
    tags,
};
use crate::{
    ec2::{Call, errors::Fault, query::Listing, words::attachment_of},
    node::{Fields, Node, list, number},
    time::to_millis,
};

pub(super) fn instances(call: &Call, listing: &Listing<InstanceId>, view: &View<'_>) -> Result<Fields, Fault> {
    let is_own = |instance: &&Arc<Instance>| view.owns(&instance.account, &instance.vpc);
    let is_ours = |gone: &&Arc<Terminated>| gone.instance.account == *view.account && gone.region == view.region.name;
    let one = |id: &InstanceId| {
        let left = view.world.instance(id).filter(is_own).map(|instance| &**instance);
        left.or_else(|| view.world.terminated().get(id).filter(is_ours).map(|gone| &gone.instance))
    };
    let all = || {
        let left = view.world.instances().filter(is_own).map(|instance| &**instance);
        left.chain(view.world.terminated().iter().filter(is_ours).map(|gone| &gone.instance)).collect()
    };
    let (wanted, next) = part(call, listing, named(&listing.ids, Kind::Instance, one, all)?, view);
    let items = by_reservation(wanted).into_iter().map(|instances| reservation(&instances, view));
    let mut fields: Fields = vec![("reservationSet", list("item", items))];
    fields.extend(next);
    Ok(fields)
}

/// What starting answers: the reservation.
pub(super) fn started(ids: &[InstanceId], view: &View<'_>) -> Fields {
    let instances: Vec<&Instance> = ids.iter().filter_map(|id| view.world.instance(id)).map(|one| &**one).collect();
    reservation(&instances, view)
}

/// What deleting answers: the state of each before and now. Those that were terminated before are still so.
pub(super) fn terminated(call: &Call, deleted: &[(InstanceId, InstanceState)]) -> Fields {
    let item =
        |(id, before): &(InstanceId, InstanceState)| passage(id, Some(State::was(*before)), State::ShuttingDown);
    let is_new = |id: &InstanceId| deleted.iter().any(|(new, _)| new == id);
    let named: BTreeSet<InstanceId> = call.params().list("InstanceId").into_iter().map(InstanceId::from).collect();
    let again =
        named.iter().filter(|id| !is_new(id)).map(|id| passage(id, Some(State::Terminated), State::Terminated));
    vec![("instancesSet", list("item", deleted.iter().map(item).chain(again)))]
}

/// What starting and stopping answer: likewise. One that was so already is as it was.
pub(super) fn switched(changes: &[PowerChange], view: &View<'_>) -> Fields {
    let item = |change: &PowerChange| {
        let instance = view.world.instance(&change.instance)?;
        Some(passage(&change.instance, change.before.map(State::was), State::of(instance, view)))
    };
    vec![("instancesSet", list("item", changes.iter().filter_map(item)))]
}

fn passage(id: &InstanceId, before: Option<State>, now: State) -> Fields {
    let mut fields: Fields = vec![("instanceId", id.as_str().into()), ("currentState", now.node())];
    fields.extend(before.map(|before| ("previousState", before.node())));
    fields
}

/// The state of an instance, as EC2 numbers them.
#[derive(Clone, Copy)]
enum State {
    Pending,
    Running,
    ShuttingDown,
    Terminated,
    Stopping,
    Stopped,
}

impl State {
    /// What the declared state and the kernels' revision come to.
    fn of(instance: &Instance, view: &View<'_>) -> Self {
        if is_terminated(instance, view) {
            return Self::Terminated;
        }
        let is_reached = view.applied >= instance.state_since;
        match (instance.state, is_reached) {
            (InstanceState::Running, true) => Self::Running,
            (InstanceState::Running, false) => Self::Pending,
            (InstanceState::Stopped, true) => Self::Stopped,
            (InstanceState::Stopped, false) => Self::Stopping,
        }
    }

    /// A state that had been reached.
    fn was(state: InstanceState) -> Self {
        match state {
            InstanceState::Running => Self::Running,
            InstanceState::Stopped => Self::Stopped,
        }
    }

    fn words(self) -> (u32, &'static str) {
        match self {
            Self::Pending => (0, "pending"),
            Self::Running => (16, "running"),
            Self::ShuttingDown => (32, "shutting-down"),
            Self::Terminated => (48, "terminated"),
            Self::Stopping => (64, "stopping"),
            Self::Stopped => (80, "stopped"),
        }
    }

    fn node(self) -> Node {
        let (code, name) = self.words();
        Node::Object(vec![("code", number(code)), ("name", name.into())])
    }
}

/// Whether it is only shown still. Ids are never given twice.
fn is_terminated(instance: &Instance, view: &View<'_>) -> bool {
    view.world.instance(&instance.id).is_none()
}

impl Item for Instance {
    fn place(&self) -> (Timestamp, &str) {
        (self.created_at, self.id.as_str())
    }

    fn tags(&self) -> &Tags {
        &self.tags
    }

    fn values(&self, filter: &str, view: &View<'_>) -> Vec<String> {
        if let Some(filter) = filter.strip_prefix("network-interface.") {
            return view.world.enis_of(&self.id).flat_map(|eni| interface_values(eni, filter, view)).collect();
        }
        let eni = view.world.primary_eni(&self.id);
        let (code, state) = State::of(self, view).words();
        match filter {
            "instance-id" => vec![self.id.to_string()],
            "instance-state-name" => vec![state.to_owned()],
            "instance-state-code" => vec![code.to_string()],
            "instance-type" => vec![self.instance_type.clone()],
            "image-id" => vec![self.image.clone()],
            "availability-zone" => vec![view.zone_of(&self.subnet).to_owned()],
            // A terminated one is nowhere.
            "subnet-id" | "vpc-id" if is_terminated(self, view) => Vec::new(),
            "subnet-id" => vec![self.subnet.to_string()],
            "vpc-id" => vec![self.vpc.to_string()],
            "owner-id" => vec![self.account.to_string()],
            "tenancy" => vec!["default".to_owned()],
            "reservation-id" => vec![reservation_id(self)],
            "launch-index" => vec![launch_index(self).to_string()],
            "private-ip-address" => eni.and_then(|eni| primary_ipv4(eni)).into_iter().collect(),
            "private-dns-name" => eni.and_then(|eni| private_name(eni, view)).into_iter().collect(),
            "source-dest-check" => eni.map(|eni| eni.source_check.to_string()).into_iter().collect(),
            "instance.group-id" => eni.map(|eni| texts(&eni.groups)).unwrap_or_default(),
            "instance.group-name" => eni.map(|eni| names(&eni.groups, view)).unwrap_or_default(),
            _ => Vec::new(),
        }
    }
}

fn interface_values(eni: &Eni, filter: &str, view: &View<'_>) -> Vec<String> {
    match filter {
        "group-id" => texts(&eni.groups),
        "group-name" => names(&eni.groups, view),
        "network-interface-id" => vec![eni.id.to_string()],
        "subnet-id" => vec![eni.subnet.to_string()],
        "vpc-id" => vec![eni.vpc.to_string()],
        "mac-address" => vec![eni.mac.to_string()],
        "addresses.private-ip-address" => {
            eni.addresses.iter().filter(|address| address.is_ipv4()).map(ToString::to_string).collect()
        }
        _ => Vec::new(),
    }
}

pub(super) fn texts(groups: &[GroupId]) -> Vec<String> {
    groups.iter().map(ToString::to_string).collect()
}

fn names(groups: &[GroupId], view: &View<'_>) -> Vec<String> {
    groups.iter().filter_map(|id| view.world.group(id)).map(|group| group.name.clone()).collect()
}

/// Those that one call started, together, in the order of the first of each.
fn by_reservation(instances: Vec<&Instance>) -> Vec<Vec<&Instance>> {
    let mut all: Vec<Vec<&Instance>> = Vec::new();
    for instance in instances {
        let id = reservation_id(instance);
        match all.iter_mut().find(|known| known.first().is_some_and(|first| reservation_id(first) == id)) {
            Some(known) => known.push(instance),
            None => all.push(vec![instance]),
        }
    }
    all.iter_mut().for_each(|instances| instances.sort_by_key(|instance| launch_index(instance)));
    all
}

fn reservation(instances: &[&Instance], view: &View<'_>) -> Fields {
    let id = instances.first().map(|first| reservation_id(first)).unwrap_or_default();
    vec![
        ("reservationId", id.into()),
        ("ownerId", view.account.as_str().into()),
        ("groupSet", list::<&str>("item", [])),
        ("instancesSet", list("item", instances.iter().map(|instance| self::instance(instance, view)))),
    ]
}

fn reservation_id(instance: &Instance) -> String {
    instance.launch.as_ref().map(|launch| launch.reservation.clone()).unwrap_or_default()
}

fn launch_index(instance: &Instance) -> u32 {
    instance.launch.as_ref().map_or(0, |launch| launch.index)
}

fn instance(instance: &Instance, view: &View<'_>) -> Fields {
    let state = State::of(instance, view);
    let placement: Fields = vec![
        ("availabilityZone", view.zone_of(&instance.subnet).into()),
        ("groupName", "".into()),
        ("tenancy", "default".into()),
    ];
    let monitoring: Fields = vec![("state", "disabled".into())];
    let mut fields: Fields = vec![
        ("instanceId", instance.id.as_str().into()),
        ("imageId", instance.image.as_str().into()),
        ("instanceState", state.node()),
        ("dnsName", "".into()),
        ("reason", "".into()),
        ("amiLaunchIndex", number(launch_index(instance))),
        ("productCodes", list::<&str>("item", [])),
        ("instanceType", instance.instance_type.as_str().into()),
        ("launchTime", to_millis(instance.created_at).into()),
        ("placement", placement.into()),
        ("monitoring", monitoring.into()),
        ("architecture", "x86_64".into()),
        ("rootDeviceType", "ebs".into()),
        ("blockDeviceMapping", list::<&str>("item", [])),
        ("virtualizationType", "hvm".into()),
        ("clientToken", "".into()),
        ("hypervisor", "xen".into()),
        ("ebsOptimized", false.into()),
        ("enaSupport", true.into()),
    ];
    if !is_terminated(instance, view) {
        fields.push(("subnetId", instance.subnet.as_str().into()));
        fields.push(("vpcId", instance.vpc.as_str().into()));
    }
    if let Some(eni) = view.world.primary_eni(&instance.id) {
        fields.push(("privateDnsName", private_name(eni, view).unwrap_or_default().into()));
        fields.push(("privateIpAddress", primary_ipv4(eni).unwrap_or_default().into()));
        fields.push(("sourceDestCheck", eni.source_check.into()));
        fields.push(("groupSet", group_set(&eni.groups, view)));
    }
    let interfaces = view.world.enis_of(&instance.id).map(|eni| interface(eni, view));
    fields.push(("networkInterfaceSet", list("item", interfaces)));
    fields.push(tags::set(&instance.tags));
    fields
}

/// An interface as an instance shows it.
fn interface(eni: &Eni, view: &View<'_>) -> Fields {
    let mut fields = common(eni, view);
    fields.push(("status", "in-use".into()));
    fields.push(("attachment", attachment(eni).into()));
    fields
}

pub(super) fn attachment(eni: &Eni) -> Fields {
    vec![
        ("attachmentId", attachment_of(eni.id.as_str()).into()),
        ("deviceIndex", number(eni.device_index)),
        ("status", "attached".into()),
        ("attachTime", to_millis(eni.created_at).into()),
        ("deleteOnTermination", (eni.is_primary() || eni.delete_on_release).into()),
        ("networkCardIndex", number(0)),
    ]
}

/// What an interface shows wherever it is shown.
pub(super) fn common(eni: &Eni, view: &View<'_>) -> Fields {
    let ipv4 = eni.addresses.iter().filter(|address| address.is_ipv4()).enumerate();
    let ipv4 = ipv4.map(|(place, address)| -> Fields {
        vec![("privateIpAddress", address.to_string().into()), ("primary", (place == 0).into())]
    });
    let ipv6 = eni.addresses.iter().filter(|address| address.is_ipv6());
    let ipv6 = ipv6.map(|address| -> Fields { vec![("ipv6Address", address.to_string().into())] });
    vec![
        ("networkInterfaceId", eni.id.as_str().into()),
        ("subnetId", eni.subnet.as_str().into()),
        ("vpcId", eni.vpc.as_str().into()),
        ("description", eni.description.as_str().into()),
        ("ownerId", eni.account.as_str().into()),
        ("macAddress", eni.mac.to_string().into()),
        ("privateIpAddress", primary_ipv4(eni).unwrap_or_default().into()),
        ("privateDnsName", private_name(eni, view).unwrap_or_default().into()),
        ("sourceDestCheck", eni.source_check.into()),
        ("groupSet", group_set(&eni.groups, view)),
        ("privateIpAddressesSet", list("item", ipv4)),
        ("ipv6AddressesSet", list("item", ipv6)),
        ("interfaceType", "interface".into()),
    ]
}

/// The id and name of each group of an interface.
pub(super) fn group_set(groups: &[GroupId], view: &View<'_>) -> Node {
    let item = |id: &GroupId| -> Fields {
        let name = view.world.group(id).map_or("", |group| &group.name);
        vec![("groupId", id.as_str().into()), ("groupName", name.into())]
    };
    list("item", groups.iter().map(item))
}

pub(super) fn primary_ipv4(eni: &Eni) -> Option<String> {
    eni.addresses.iter().find(|address| address.is_ipv4()).map(ToString::to_string)
}

/// `ip-10-0-0-5.ec2.internal`.
pub(super) fn private_name(eni: &Eni, view: &View<'_>) -> Option<String> {
    let IpAddr::V4(address) = eni.addresses.iter().find(|address| address.is_ipv4())? else { return None };
    let [a, b, c, d] = address.octets();
    Some(format!("ip-{a}-{b}-{c}-{d}.{}", view.region.internal_domain()))
}
