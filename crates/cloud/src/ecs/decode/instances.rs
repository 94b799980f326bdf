//! Instances.
//!
//! Image and type may be anything, also absent: local compute reads neither. `Force` is not needed to delete
//! a running instance, because no operation here could stop it first.

use std::net::{IpAddr, Ipv4Addr};

use sekimori_core::{
    command::{Command, NewInstances},
    ids::{GroupId, InstanceId, SubnetId},
    refusal::Kind,
    world::Dialect,
};

use super::{
    scope::{Scope, invalid, is_name, missing},
    tags,
};
use crate::ecs::errors::{Fault, Words};

/// The most instances that a request can name; what one may start is a quota of `core`.
const AMOUNT_MAX: u32 = 1_000;
/// The most IPv6 addresses of a new interface.
const IPV6_ADDRESSES_MAX: u32 = 10;
/// The longest image id or instance type.
const LABEL_MAX: usize = 256;

pub(super) fn run(scope: &Scope<'_>) -> Result<Command, Fault> {
    refuse_unsupported(scope)?;
    let amount = amount(scope)?;
    let subnet: SubnetId = scope.required_id("VSwitchId")?;
    check_subnet(scope, &subnet)?;
    let address = address(scope, &subnet)?;
    if amount > 1 && address.is_some() {
        return Err(Fault::Amount { reason: "with PrivateIpAddress it must be 1" });
    }
    Ok(Command::RunInstances(NewInstances {
        account: scope.account.clone(),
        groups: groups(scope)?,
        amount,
        name: name(scope)?,
        description: scope.description(Words::InstanceDescription)?,
        image: label(scope, "ImageId")?,
        instance_type: label(scope, "InstanceType")?,
        address,
        ipv6_count: scope.integer("Ipv6AddressCount", 0..=IPV6_ADDRESSES_MAX)?.unwrap_or(0),
        resource_group: scope.resource_group()?,
        tags: tags::read(scope)?,
        subnet,
    }))
}

pub(super) fn delete_one(scope: &Scope<'_>) -> Result<Command, Fault> {
    let instance = scope.required_id("InstanceId")?;
    delete(scope, vec![instance])
}

pub(super) fn delete_many(scope: &Scope<'_>) -> Result<Command, Fault> {
    let named: Vec<InstanceId> = scope.id_list("InstanceId")?;
    if named.is_empty() {
        return Err(missing("InstanceId.1"));
    }
    let mut instances: Vec<InstanceId> = Vec::with_capacity(named.len());
    for id in named {
        if !instances.contains(&id) {
            instances.push(id);
        }
    }
    delete(scope, instances)
}

fn delete(scope: &Scope<'_>, instances: Vec<InstanceId>) -> Result<Command, Fault> {
    for id in &instances {
        scope.check_instance_region(id)?;
    }
    Ok(Command::DeleteInstances { account: scope.account.clone(), instances })
}

/// What would change who reaches the instance must not be ignored in silence.
fn refuse_unsupported(scope: &Scope<'_>) -> Result<(), Fault> {
    let unsupported = [
        ("NetworkInterface", "use VSwitchId, SecurityGroupIds and PrivateIpAddress"),
        ("Ipv6Address", "use Ipv6AddressCount"),
    ];
    for (name, instead) in unsupported {
        if !scope.call.params().indices(name).is_empty() {
            return Err(invalid(name, format!("it is not supported; {instead}")));
        }
    }
    Ok(())
}

fn amount(scope: &Scope<'_>) -> Result<u32, Fault> {
    let amount = scope.integer("Amount", 1..=AMOUNT_MAX);
    Ok(amount.map_err(|_| Fault::Amount { reason: "it must be a positive whole number" })?.unwrap_or(1))
}

fn check_subnet(scope: &Scope<'_>, id: &SubnetId) -> Result<(), Fault> {
    let subnet = scope.world.subnet(id);
    scope.check_region(subnet.map(|subnet| &subnet.vpc), Kind::Subnet, id.as_str())?;
    let (Some(zone), Some(subnet)) = (scope.text("ZoneId"), subnet) else { return Ok(()) };
    if zone == subnet.zone { Ok(()) } else { Err(Fault::Zone) }
}

/// One group or a list, never both. Without any the cloud would take the VPC's default group, which a VPC
/// here does not have.
fn groups(scope: &Scope<'_>) -> Result<Vec<GroupId>, Fault> {
    let one: Option<GroupId> = scope.id("SecurityGroupId")?;
    let many: Vec<GroupId> = scope.id_list("SecurityGroupIds")?;
    let groups = match one {
        Some(_) if !many.is_empty() => {
            let reason = "it cannot be used together with SecurityGroupIds; give one of the two".to_owned();
            return Err(invalid("SecurityGroupId", reason));
        }
        Some(one) => vec![one],
        None if many.is_empty() => return Err(missing("SecurityGroupId")),
        None => many,
    };
    for id in &groups {
        let vpc = scope.world.group(id).map(|group| &group.vpc);
        scope.check_region(vpc, Kind::Group, id.as_str())?;
    }
    Ok(groups)
}

/// The primary address, which must be one that the vSwitch can give.
fn address(scope: &Scope<'_>, subnet: &SubnetId) -> Result<Option<Ipv4Addr>, Fault> {
    let Some(text) = scope.text("PrivateIpAddress") else { return Ok(None) };
    let Ok(IpAddr::V4(address)) = text.parse::<IpAddr>() else { return Err(Fault::AddressFormat) };
    let Some(subnet) = scope.world.subnet(subnet) else { return Ok(Some(address)) };
    let (first, last) = subnet.assignable(Dialect::Ecs);
    if (first..=last).contains(&address) { Ok(Some(address)) } else { Err(Fault::AddressOutside) }
}

fn name(scope: &Scope<'_>) -> Result<String, Fault> {
    let text = scope.text("InstanceName").unwrap_or_default();
    let fits = text.is_empty() || is_name(text, &['[', ']', ',']);
    if fits { Ok(text.to_owned()) } else { Err(Fault::Words(Words::InstanceName)) }
}

fn label(scope: &Scope<'_>, name: &str) -> Result<String, Fault> {
    let text = scope.text(name).unwrap_or_default();
    if text.len() <= LABEL_MAX && !text.contains(char::is_control) {
        return Ok(text.to_owned());
    }
    Err(invalid(name, format!("it is longer than {LABEL_MAX} bytes or has control characters")))
}
