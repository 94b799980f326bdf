//! Instances.
//!
//! Image and type may be anything, also absent: local compute reads neither.

use std::ops::Not as _;

use sekimori_core::{
    command::{Command, EniSpec, InstancePatch, NewInstances, Power},
    ids::{EniId, GroupId, InstanceId, SubnetId},
};

use super::{
    disks,
    interfaces::{self, Place, check_groups},
    scope::{Scope, invalid, is_id, is_name, missing},
    tags,
};
use crate::ecs::errors::{Fault, Words};

/// The most instances that a request can name; what one may start is a quota of `core`.
const AMOUNT_MAX: u32 = 1_000;
/// The most IPv6 addresses of a new interface.
const IPV6_ADDRESSES_MAX: u32 = 10;
/// The most interfaces that a request can describe; how many an instance may have is a quota of `core`.
const INTERFACES_MAX: usize = 64;
/// The longest image id, instance type or disk category.
const LABEL_MAX: usize = 256;

pub(super) fn run(scope: &Scope<'_>) -> Result<Command, Fault> {
    let amount = amount(scope)?;
    let interfaces = wanted_interfaces(scope)?;
    if amount > 1 && interfaces.are_for_one() {
        return Err(Fault::Amount { reason: "with addresses or interfaces that exist it must be 1" });
    }
    let Interfaces { mut primary, mut secondary, attached } = interfaces;
    let resource_group = scope.resource_group()?;
    for spec in secondary.iter_mut().chain([&mut primary]) {
        spec.resource_group.clone_from(&resource_group);
    }
    Ok(Command::RunInstances(Box::new(NewInstances {
        account: scope.account.clone(),
        primary,
        secondary,
        attached,
        amount,
        name: name(scope)?.unwrap_or_default(),
        description: scope.description(Words::InstanceDescription)?,
        image: label(scope, "ImageId")?,
        instance_type: label(scope, "InstanceType")?,
        disk: disks::system(scope)?,
        resource_group,
        tags: tags::read(scope)?,
    })))
}

pub(super) fn delete_one(scope: &Scope<'_>) -> Result<Command, Fault> {
    let instance = instance(scope)?;
    delete(scope, vec![instance])
}

pub(super) fn delete_many(scope: &Scope<'_>) -> Result<Command, Fault> {
    let instances = several(scope)?;
    delete(scope, instances)
}

fn delete(scope: &Scope<'_>, instances: Vec<InstanceId>) -> Result<Command, Fault> {
    let is_forced = scope.boolean("Force")?.unwrap_or(false);
    Ok(Command::DeleteInstances { account: scope.account.clone(), instances, is_forced })
}

pub(super) fn modify(scope: &Scope<'_>) -> Result<Command, Fault> {
    if scope.boolean("DeletionProtection")? == Some(true) {
        return Err(invalid("DeletionProtection", "instances are not protected here; leave it out".to_owned()));
    }
    let groups: Vec<GroupId> = scope.id_list("SecurityGroupIds")?;
    check_groups(scope, &groups)?;
    let description = scope.description(Words::InstanceDescription)?;
    let patch = InstancePatch {
        groups: groups.is_empty().not().then_some(groups),
        name: name(scope)?,
        description: description.is_empty().not().then_some(description),
    };
    Ok(Command::ModifyInstance { account: scope.account.clone(), instance: instance(scope)?, patch })
}

pub(super) fn switch_one(scope: &Scope<'_>, power: Power) -> Result<Command, Fault> {
    let instances = vec![instance(scope)?];
    Ok(Command::SetPower { account: scope.account.clone(), instances, power, is_all_or_none: true })
}

pub(super) fn switch_many(scope: &Scope<'_>, power: Power) -> Result<Command, Fault> {
    let is_all_or_none = match scope.text("BatchOptimization") {
        None => true,
        Some(text) if text.eq_ignore_ascii_case("AllTogether") => true,
        Some(text) if text.eq_ignore_ascii_case("SuccessFirst") => false,
        Some(other) => {
            return Err(invalid("BatchOptimization", format!("`{other}` is neither AllTogether nor SuccessFirst")));
        }
    };
    let instances = several(scope)?;
    Ok(Command::SetPower { account: scope.account.clone(), instances, power, is_all_or_none })
}

fn instance(scope: &Scope<'_>) -> Result<InstanceId, Fault> {
    let id: InstanceId = scope.required_id("InstanceId")?;
    scope.check_instance_region(&id)?;
    Ok(id)
}

/// The instances of a list, each once. One of another region is refused with all others.
fn several(scope: &Scope<'_>) -> Result<Vec<InstanceId>, Fault> {
    let named: Vec<InstanceId> = scope.id_list("InstanceId")?;
    if named.is_empty() {
        return Err(missing("InstanceId.1"));
    }
    let mut instances: Vec<InstanceId> = Vec::with_capacity(named.len());
    for id in named {
        scope.check_instance_region(&id)?;
        if !instances.contains(&id) {
            instances.push(id);
        }
    }
    Ok(instances)
}

fn amount(scope: &Scope<'_>) -> Result<u32, Fault> {
    let amount = scope.integer("Amount", 1..=AMOUNT_MAX);
    Ok(amount.map_err(|_| Fault::Amount { reason: "it must be a positive whole number" })?.unwrap_or(1))
}

/// The interfaces of each new instance.
struct Interfaces {
    primary: EniSpec,
    secondary: Vec<EniSpec>,
    attached: Vec<EniId>,
}

impl Interfaces {
    /// Whether no two instances can have them.
    fn are_for_one(&self) -> bool {
        let names_addresses =
            |spec: &EniSpec| spec.primary.is_some() || !spec.more.ipv4.is_empty() || !spec.more.ipv6.is_empty();
        !self.attached.is_empty() || names_addresses(&self.primary) || self.secondary.iter().any(names_addresses)
    }
}

/// The primary interface is described by the parameters of the instance, or by an item; never by both.
fn wanted_interfaces(scope: &Scope<'_>) -> Result<Interfaces, Fault> {
    let numbers = scope.call.params().indices("NetworkInterface");
    if numbers.len() > INTERFACES_MAX {
        return Err(invalid("NetworkInterface", format!("it has more than {INTERFACES_MAX} items")));
    }
    let items = numbers.into_iter().map(|number| Place { scope, prefix: format!("NetworkInterface.{number}.") });
    let (mut primaries, mut others) = (Vec::new(), Vec::new());
    for item in items {
        match item.text("InstanceType") {
            Some(kind) if kind.eq_ignore_ascii_case("Primary") => primaries.push(item),
            None => others.push(item),
            Some(kind) if kind.eq_ignore_ascii_case("Secondary") => others.push(item),
            Some(kind) => {
                let reason = format!("`{kind}` is neither Primary nor Secondary");
                return Err(invalid("NetworkInterface.N.InstanceType", reason));
            }
        }
    }
    let primary = match primaries.as_slice() {
        [] => top_level(scope)?,
        [item] => from_item(scope, item)?,
        [_, _, ..] => {
            return Err(invalid("NetworkInterface.N.InstanceType", "only one item can be Primary".to_owned()));
        }
    };
    check_zone(scope, &primary.subnet)?;
    let mut all = Interfaces { primary, secondary: Vec::new(), attached: Vec::new() };
    for item in &others {
        all.add(item)?;
    }
    Ok(all)
}

impl Interfaces {
    /// A secondary interface: one that exists, or a new one, by default beside the primary and in its groups.
    fn add(&mut self, item: &Place<'_, '_>) -> Result<(), Fault> {
        if let Some(id) = item.text("NetworkInterfaceId") {
            let id = is_id(id).then(|| EniId::from(id)).ok_or(Fault::MalformedId { name: "NetworkInterfaceId" })?;
            interfaces::check_eni_region(item.scope, &id)?;
            self.attached.push(id);
            return Ok(());
        }
        let subnet = match item.text("VSwitchId") {
            Some(id) => interfaces::subnet(item.scope, id)?,
            None => self.primary.subnet.clone(),
        };
        let groups = item.groups()?;
        let groups = if groups.is_empty() { self.primary.groups.clone() } else { groups };
        self.secondary.push(item.spec(subnet, groups)?);
        Ok(())
    }
}

fn top_level(scope: &Scope<'_>) -> Result<EniSpec, Fault> {
    let subnet = interfaces::subnet(scope, scope.required("VSwitchId")?)?;
    let groups = Place { scope, prefix: String::new() }.groups()?;
    let mut spec = EniSpec::new(subnet, groups);
    spec.primary = scope.text("PrivateIpAddress").map(interfaces::ipv4).transpose()?;
    spec.more.ipv6 = interfaces::ipv6_list(scope, "Ipv6Address")?;
    spec.more.ipv6_count = scope.integer("Ipv6AddressCount", 0..=IPV6_ADDRESSES_MAX)?.unwrap_or(0);
    if !spec.more.ipv6.is_empty() && spec.more.ipv6_count > 0 {
        let reason = "it cannot be used together with Ipv6AddressCount; give one of the two".to_owned();
        return Err(invalid("Ipv6Address", reason));
    }
    Ok(spec)
}

fn from_item(scope: &Scope<'_>, item: &Place<'_, '_>) -> Result<EniSpec, Fault> {
    let same = ["VSwitchId", "SecurityGroupId", "PrivateIpAddress", "Ipv6AddressCount"];
    let listed = ["SecurityGroupIds", "Ipv6Address"];
    let twice = same.iter().find(|name| scope.text(name).is_some());
    let twice = twice.or_else(|| listed.iter().find(|name| !scope.call.params().list(name).is_empty()));
    if let Some(name) = twice {
        let reason = "it cannot be used together with a Primary item of NetworkInterface; say it in the item";
        return Err(invalid(name, reason.to_owned()));
    }
    let subnet = item.text("VSwitchId").ok_or_else(|| missing("NetworkInterface.N.VSwitchId"))?;
    let subnet = interfaces::subnet(scope, subnet)?;
    let groups = item.groups()?;
    item.spec(subnet, groups)
}

fn check_zone(scope: &Scope<'_>, subnet: &SubnetId) -> Result<(), Fault> {
    let subnet = scope.world.subnet(subnet);
    let (Some(zone), Some(subnet)) = (scope.text("ZoneId"), subnet) else { return Ok(()) };
    if zone == subnet.zone { Ok(()) } else { Err(Fault::Zone) }
}

fn name(scope: &Scope<'_>) -> Result<Option<String>, Fault> {
    let Some(text) = scope.text("InstanceName") else { return Ok(None) };
    if is_name(text, &['[', ']', ',']) { Ok(Some(text.to_owned())) } else { Err(Fault::Words(Words::InstanceName)) }
}

/// A word that is kept as given.
pub(super) fn label(scope: &Scope<'_>, name: &str) -> Result<String, Fault> {
    let text = scope.text(name).unwrap_or_default();
    if text.len() <= LABEL_MAX && !text.contains(char::is_control) {
        return Ok(text.to_owned());
    }
    Err(invalid(name, format!("it is longer than {LABEL_MAX} bytes or has control characters")))
}
