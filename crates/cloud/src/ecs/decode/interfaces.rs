//! Network interfaces: what a call wants of one, and the interfaces that new instances get.
//!
//! Trunk interfaces and delegated prefixes would decide who reaches whom and are not made here, so they are refused
//! and never ignored.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use sekimori_core::{
    command::{Command, EniPatch, EniSpec, NewAddresses},
    ids::{EniId, GroupId, InstanceId, SubnetId},
    refusal::Kind,
    world::TimeoutChoice,
};

use super::{
    scope::{IDS_MAX, Scope, invalid, is_id, is_name, missing},
    tags,
};
use crate::ecs::errors::{Fault, Words};

/// The largest number of addresses that a call can ask for; how many an interface may have is a quota of `core`.
const ADDRESSES_MAX: u32 = 100;
/// `TcpEstablishedTimeout` in seconds (`spec/ecs.md` A3).
const TCP_ESTABLISHED_S: [u32; 9] = [30, 60, 80, 100, 200, 300, 500, 700, 910];
/// `TcpClosedAndTimeWaitTimeout` in seconds.
const TCP_CLOSED_S: std::ops::RangeInclusive<u32> = 3..=15;
/// `UdpTimeout` in seconds.
const UDP_S: [u32; 6] = [10, 20, 30, 60, 80, 100];

pub(super) fn create(scope: &Scope<'_>) -> Result<Command, Fault> {
    refuse_prefixes(scope, &["Ipv4Prefix", "Ipv6Prefix"], &["Ipv4PrefixCount", "Ipv6PrefixCount"])?;
    if let Some(other) = scope.text("InstanceType").filter(|kind| !kind.eq_ignore_ascii_case("Secondary")) {
        return Err(invalid("InstanceType", format!("`{other}` is not supported; use Secondary")));
    }
    let subnet = subnet(scope, scope.required("VSwitchId")?)?;
    let here = Place { scope, prefix: String::new() };
    let groups = here.groups()?;
    if groups.is_empty() {
        return Err(missing("SecurityGroupId"));
    }
    let mut spec = here.spec(subnet, groups)?;
    spec.more.ipv4 = ipv4_list(scope, "PrivateIpAddress")?;
    if !spec.more.ipv4.is_empty() && spec.more.ipv4_count > 0 {
        return Err(either("PrivateIpAddress", "SecondaryPrivateIpAddressCount"));
    }
    if spec.primary.is_some_and(|primary| spec.more.ipv4.contains(&primary)) {
        return Err(Fault::AddressTwice);
    }
    spec.timeouts = timeouts(scope)?;
    spec.resource_group = scope.resource_group()?;
    spec.tags = tags::read(scope)?;
    Ok(Command::CreateEni { account: scope.account.clone(), spec })
}

pub(super) fn delete(scope: &Scope<'_>) -> Result<Command, Fault> {
    Ok(Command::DeleteEni { account: scope.account.clone(), eni: eni(scope)? })
}

pub(super) fn attach(scope: &Scope<'_>) -> Result<Command, Fault> {
    let (eni, instance) = eni_and_instance(scope)?;
    Ok(Command::AttachEni { account: scope.account.clone(), eni, instance })
}

pub(super) fn detach(scope: &Scope<'_>) -> Result<Command, Fault> {
    let (eni, instance) = eni_and_instance(scope)?;
    Ok(Command::DetachEni { account: scope.account.clone(), eni, instance })
}

pub(super) fn modify(scope: &Scope<'_>) -> Result<Command, Fault> {
    let groups: Vec<GroupId> = scope.id_list("SecurityGroupId")?;
    check_groups(scope, &groups)?;
    let here = Place { scope, prefix: String::new() };
    let patch = EniPatch {
        groups: (!groups.is_empty()).then_some(groups),
        name: here.interface_name()?,
        description: here.description()?,
        timeouts: timeouts(scope)?,
        source_check: scope.boolean("SourceDestCheck")?,
        delete_on_release: scope.boolean("DeleteOnRelease")?,
    };
    Ok(Command::ModifyEni { account: scope.account.clone(), eni: eni(scope)?, patch })
}

pub(super) fn assign_ipv4(scope: &Scope<'_>) -> Result<Command, Fault> {
    refuse_prefixes(scope, &["Ipv4Prefix"], &["Ipv4PrefixCount"])?;
    let ipv4 = ipv4_list(scope, "PrivateIpAddress")?;
    let ipv4_count = scope.integer("SecondaryPrivateIpAddressCount", 1..=ADDRESSES_MAX)?.unwrap_or(0);
    one_of((!ipv4.is_empty(), "PrivateIpAddress"), (ipv4_count > 0, "SecondaryPrivateIpAddressCount"))?;
    let addresses = NewAddresses { ipv4, ipv4_count, ..NewAddresses::default() };
    Ok(Command::AssignAddresses { account: scope.account.clone(), eni: eni(scope)?, addresses })
}

pub(super) fn assign_ipv6(scope: &Scope<'_>) -> Result<Command, Fault> {
    refuse_prefixes(scope, &["Ipv6Prefix"], &["Ipv6PrefixCount"])?;
    let ipv6 = ipv6_list(scope, "Ipv6Address")?;
    let ipv6_count = scope.integer("Ipv6AddressCount", 1..=ADDRESSES_MAX)?.unwrap_or(0);
    one_of((!ipv6.is_empty(), "Ipv6Address"), (ipv6_count > 0, "Ipv6AddressCount"))?;
    let addresses = NewAddresses { ipv6, ipv6_count, ..NewAddresses::default() };
    Ok(Command::AssignAddresses { account: scope.account.clone(), eni: eni(scope)?, addresses })
}

pub(super) fn unassign_ipv4(scope: &Scope<'_>) -> Result<Command, Fault> {
    refuse_prefixes(scope, &["Ipv4Prefix"], &[])?;
    let addresses = ipv4_list(scope, "PrivateIpAddress")?.into_iter().map(IpAddr::V4).collect();
    unassign(scope, "PrivateIpAddress.1", addresses)
}

pub(super) fn unassign_ipv6(scope: &Scope<'_>) -> Result<Command, Fault> {
    refuse_prefixes(scope, &["Ipv6Prefix"], &[])?;
    let addresses = ipv6_list(scope, "Ipv6Address")?.into_iter().map(IpAddr::V6).collect();
    unassign(scope, "Ipv6Address.1", addresses)
}

fn unassign(scope: &Scope<'_>, name: &str, addresses: Vec<IpAddr>) -> Result<Command, Fault> {
    if addresses.is_empty() {
        return Err(missing(name));
    }
    Ok(Command::UnassignAddresses { account: scope.account.clone(), eni: eni(scope)?, addresses })
}

/// The interface that the operation is about, if it is in the request's region.
pub(super) fn eni(scope: &Scope<'_>) -> Result<EniId, Fault> {
    let id: EniId = scope.required_id("NetworkInterfaceId")?;
    check_eni_region(scope, &id)?;
    Ok(id)
}

fn eni_and_instance(scope: &Scope<'_>) -> Result<(EniId, InstanceId), Fault> {
    if scope.text("TrunkNetworkInstanceId").is_some() {
        return Err(invalid("TrunkNetworkInstanceId", "trunk interfaces are not supported; leave it out".to_owned()));
    }
    let instance: InstanceId = scope.required_id("InstanceId")?;
    scope.check_instance_region(&instance)?;
    Ok((eni(scope)?, instance))
}

/// An interface that is asked for: in the parameters of a call, or in an item of a list.
pub(super) struct Place<'s, 'a> {
    pub(super) scope: &'s Scope<'a>,
    /// What the names of its parameters begin with.
    pub(super) prefix: String,
}

impl<'a> Place<'_, 'a> {
    fn name(&self, field: &str) -> String {
        format!("{}{field}", self.prefix)
    }

    pub(super) fn text(&self, field: &str) -> Option<&'a str> {
        self.scope.text(&self.name(field))
    }

    /// An interface in a subnet with these groups, with everything that a new one can be given anywhere.
    pub(super) fn spec(&self, subnet: SubnetId, groups: Vec<GroupId>) -> Result<EniSpec, Fault> {
        let default = EniSpec::new(subnet, groups);
        let boolean = |field: &str| self.scope.boolean(&self.name(field));
        let count = |field: &str| self.scope.integer(&self.name(field), 0..=ADDRESSES_MAX);
        let ipv6 = ipv6_list(self.scope, &self.name("Ipv6Address"))?;
        let ipv6_count = count("Ipv6AddressCount")?.unwrap_or(0);
        if !ipv6.is_empty() && ipv6_count > 0 {
            return Err(either("Ipv6Address", "Ipv6AddressCount"));
        }
        Ok(EniSpec {
            primary: self.text("PrimaryIpAddress").map(ipv4).transpose()?,
            more: NewAddresses {
                ipv4: Vec::new(),
                ipv4_count: count("SecondaryPrivateIpAddressCount")?.unwrap_or(0),
                ipv6,
                ipv6_count,
            },
            name: self.interface_name()?.unwrap_or_default(),
            description: self.description()?.unwrap_or_default(),
            source_check: boolean("SourceDestCheck")?.unwrap_or(default.source_check),
            delete_on_release: boolean("DeleteOnRelease")?.unwrap_or(default.delete_on_release),
            ..default
        })
    }

    /// One group or a list, never both; none at all is left to the caller.
    pub(super) fn groups(&self) -> Result<Vec<GroupId>, Fault> {
        let one = self.text("SecurityGroupId");
        let many = self.scope.call.params().list(&self.name("SecurityGroupIds"));
        let ids = match one {
            Some(_) if !many.is_empty() => return Err(either("SecurityGroupId", "SecurityGroupIds")),
            Some(one) => vec![one],
            None => many,
        };
        if ids.len() > IDS_MAX || !ids.iter().all(|id| is_id(id)) {
            return Err(Fault::MalformedId { name: "SecurityGroupId" });
        }
        let groups: Vec<GroupId> = ids.into_iter().map(GroupId::from).collect();
        check_groups(self.scope, &groups)?;
        Ok(groups)
    }

    fn interface_name(&self) -> Result<Option<String>, Fault> {
        let Some(text) = self.text("NetworkInterfaceName") else { return Ok(None) };
        if is_name(text, &[]) { Ok(Some(text.to_owned())) } else { Err(Fault::Words(Words::InterfaceName)) }
    }

    fn description(&self) -> Result<Option<String>, Fault> {
        let Some(text) = self.text("Description") else { return Ok(None) };
        let fits = super::scope::is_description(text);
        if fits { Ok(Some(text.to_owned())) } else { Err(Fault::Words(Words::InterfaceDescription)) }
    }
}

/// A vSwitch that is in the request's region, if it is there at all.
pub(super) fn subnet(scope: &Scope<'_>, id: &str) -> Result<SubnetId, Fault> {
    if !is_id(id) {
        return Err(Fault::MalformedId { name: "VSwitchId" });
    }
    let vpc = scope.world.subnet(&SubnetId::from(id)).map(|subnet| &subnet.vpc);
    scope.check_region(vpc, Kind::Subnet, id)?;
    Ok(SubnetId::from(id))
}

pub(super) fn check_groups(scope: &Scope<'_>, groups: &[GroupId]) -> Result<(), Fault> {
    for id in groups {
        let vpc = scope.world.group(id).map(|group| &group.vpc);
        scope.check_region(vpc, Kind::Group, id.as_str())?;
    }
    Ok(())
}

pub(super) fn check_eni_region(scope: &Scope<'_>, id: &EniId) -> Result<(), Fault> {
    let vpc = scope.world.eni(id).map(|eni| &eni.vpc);
    scope.check_region(vpc, Kind::Eni, id.as_str())
}

pub(super) fn ipv4(text: &str) -> Result<Ipv4Addr, Fault> {
    text.parse().map_err(|_| Fault::AddressFormat)
}

/// The IPv4 addresses of a list, each once.
pub(super) fn ipv4_list(scope: &Scope<'_>, name: &str) -> Result<Vec<Ipv4Addr>, Fault> {
    distinct(scope, name, ipv4)
}

/// The IPv6 addresses of a list, each once.
pub(super) fn ipv6_list(scope: &Scope<'_>, name: &str) -> Result<Vec<Ipv6Addr>, Fault> {
    distinct(scope, name, |text| text.parse().map_err(|_| Fault::Ipv6Format))
}

fn distinct<T: Ord + Copy>(
    scope: &Scope<'_>,
    name: &str,
    read: impl Fn(&str) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    debug_assert!(scope.call.entry().accepts(&format!("{name}.1")), "`{name}.N` is not in the catalog");
    let texts = scope.call.params().list(name);
    if texts.len() > ADDRESSES_MAX as usize {
        return Err(invalid(name, format!("it has more than {ADDRESSES_MAX} items; send several requests")));
    }
    let all: Vec<T> = texts.into_iter().map(read).collect::<Result<_, _>>()?;
    let once: BTreeSet<T> = all.iter().copied().collect();
    if once.len() == all.len() { Ok(all) } else { Err(Fault::AddressTwice) }
}

/// Idle timeouts. `UdpTimeout` is that of every UDP flow: the cloud does not tell streams apart.
fn timeouts(scope: &Scope<'_>) -> Result<TimeoutChoice, Fault> {
    let read = |field: &str| {
        let name = format!("ConnectionTrackingConfiguration.{field}");
        scope.integer(&name, 0..=u32::MAX).map(|value| (name, value))
    };
    let closed: Vec<u32> = TCP_CLOSED_S.collect();
    let one_of = |(name, value): (String, Option<u32>), allowed: &[u32]| match value {
        Some(other) if !allowed.contains(&other) => {
            let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
            Err(invalid(&name, format!("`{other}` is not one of {}", allowed.join(", "))))
        }
        value => Ok(value),
    };
    let udp_s = one_of(read("UdpTimeout")?, &UDP_S)?;
    Ok(TimeoutChoice {
        tcp_established_s: one_of(read("TcpEstablishedTimeout")?, &TCP_ESTABLISHED_S)?,
        tcp_closed_s: one_of(read("TcpClosedAndTimeWaitTimeout")?, &closed)?,
        udp_s,
        udp_stream_s: udp_s,
    })
}

fn refuse_prefixes(scope: &Scope<'_>, lists: &[&str], counts: &[&str]) -> Result<(), Fault> {
    let listed = lists.iter().find(|name| !scope.call.params().list(name).is_empty());
    let counted = counts.iter().find(|name| scope.text(name).is_some());
    match listed.or(counted) {
        Some(name) => Err(invalid(name, "delegated prefixes are not supported; use addresses".to_owned())),
        None => Ok(()),
    }
}

fn one_of(one: (bool, &str), other: (bool, &str)) -> Result<(), Fault> {
    match (one, other) {
        ((true, one), (true, other)) => Err(either(one, other)),
        ((false, one), (false, _)) => Err(missing(one)),
        ((true, _), (false, _)) | ((false, _), (true, _)) => Ok(()),
    }
}

fn either(one: &str, other: &str) -> Fault {
    invalid(one, format!("it cannot be used together with {other}; give one of the two"))
}
