//! Instances. Image and type may be anything, also absent: local compute reads neither.

use std::net::Ipv4Addr;

use sekimori_core::{
    command::{Command, EniSpec, NewInstances, Power},
    ids::{EniId, GroupId, InstanceId, SubnetId},
    world::SystemDisk,
};

use super::{
    scope::{Scope, ipv6, words},
    tags,
};
use crate::ec2::errors::{Fault, IdKind};

/// The most instances that a request can name; what one may start is a quota of `core`.
const AMOUNT_MAX: u32 = 1_000;
/// The most interfaces that a request can describe; how many an instance may have is a quota of `core`.
const INTERFACES_MAX: usize = 64;
/// The most addresses that a request can ask for at one interface; how many it may have is a quota of `core`.
pub(super) const ADDRESSES_MAX: u32 = 256;
/// What a call makes. Volumes have no tags here.
const TAGGED: [&str; 4] = ["instance", "network-interface", "volume", "spot-instances-request"];
/// The parameters of the instance that describe its interface when no item does.
const OF_INSTANCE: [&str; 3] = ["SubnetId", "PrivateIpAddress", "Ipv6AddressCount"];

pub(super) fn run(scope: &Scope<'_>) -> Result<Command, Fault> {
    let amount = amount(scope)?;
    let mut interfaces = interfaces(scope)?;
    if amount > 1 && interfaces.are_for_one() {
        let message = "Addresses and existing network interfaces are for one instance; launch one at a time";
        return Err(Fault::Combination(message.to_owned()));
    }
    let tags_of_interfaces = tags::specified_of(scope, "network-interface", &TAGGED)?;
    for spec in interfaces.secondary.iter_mut().chain([&mut interfaces.primary]) {
        spec.tags = tags_of_interfaces.clone();
    }
    let Interfaces { primary, secondary, attached } = interfaces;
    check_zone(scope, &primary.subnet)?;
    Ok(Command::RunInstances(Box::new(NewInstances {
        account: scope.account.clone(),
        primary,
        secondary,
        attached,
        amount,
        name: String::new(),
        description: String::new(),
        image: label(scope, "ImageId")?,
        disk: SystemDisk::default(),
        instance_type: label(scope, "InstanceType")?,
        resource_group: String::new(),
        tags: tags::specified_of(scope, "instance", &TAGGED)?,
    })))
}

pub(super) fn terminate(scope: &Scope<'_>) -> Result<Command, Fault> {
    let instances = several(scope)?;
    Ok(Command::DeleteInstances { account: scope.account.clone(), instances, is_forced: true })
}

/// To start what runs, or stop what is stopped, is no error and changes nothing; to reboot what is stopped is one.
pub(super) fn switch(scope: &Scope<'_>, power: Power) -> Result<Command, Fault> {
    let is_all_or_none = match power {
        Power::Start | Power::Stop => false,
        Power::Reboot => true,
    };
    let instances = several(scope)?;
    // One that is not there is a refusal of all in any case.
    instances.iter().try_for_each(|id| scope.own_instance(id).map(drop))?;
    Ok(Command::SetPower { account: scope.account.clone(), instances, power, is_all_or_none })
}

/// The instances that a call names: one or more.
fn several(scope: &Scope<'_>) -> Result<Vec<InstanceId>, Fault> {
    let instances: Vec<InstanceId> = scope.ids("InstanceId", IdKind::Instance)?;
    if instances.is_empty() {
        return Err(Fault::Missing { name: "InstanceId".to_owned() });
    }
    instances.iter().try_for_each(|id| scope.check_instance(id))?;
    Ok(instances)
}

/// As many as may be: there is always room for all of them or the whole call is refused.
fn amount(scope: &Scope<'_>) -> Result<u32, Fault> {
    let least = scope.integer("MinCount", 1..=AMOUNT_MAX)?.unwrap_or(1);
    let most = scope.integer("MaxCount", 1..=AMOUNT_MAX)?.unwrap_or(least);
    if least <= most {
        return Ok(most);
    }
    Err(Fault::Value(format!(
        "Maximum instance count {most} must not be smaller than minimum instance count {least}"
    )))
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
        let names_addresses = |spec: &EniSpec| spec.primary.is_some() || !spec.more.ipv6.is_empty();
        !self.attached.is_empty() || names_addresses(&self.primary) || self.secondary.iter().any(names_addresses)
    }
}

/// The primary interface is described by the parameters of the instance, or by the item of device 0; never by both.
fn interfaces(scope: &Scope<'_>) -> Result<Interfaces, Fault> {
    let numbers = scope.items("NetworkInterface");
    if numbers.len() > INTERFACES_MAX {
        return Err(Fault::Interfaces(format!("More than {INTERFACES_MAX} network interfaces; describe fewer.")));
    }
    if numbers.is_empty() {
        let primary = top_level(scope)?;
        return Ok(Interfaces { primary, secondary: Vec::new(), attached: Vec::new() });
    }
    let has_groups = !scope.list("SecurityGroupId")?.is_empty() || !scope.list("SecurityGroup")?.is_empty();
    if has_groups || OF_INSTANCE.iter().any(|name| scope.text(name).is_some()) {
        let message = "Network interfaces and an instance-level subnet ID, security groups or private IP address may not \
                       be specified on the same request";
        return Err(Fault::Combination(message.to_owned()));
    }
    let (mut primary, mut secondary, mut attached) = (None, Vec::new(), Vec::new());
    for number in numbers {
        let item = Item { scope, prefix: format!("NetworkInterface.{number}.") };
        let index = item.integer("DeviceIndex", u32::from(u8::MAX))?;
        let index = index.ok_or_else(|| Fault::Missing { name: format!("NetworkInterface.{number}.DeviceIndex") })?;
        match (index, item.text("NetworkInterfaceId")) {
            (0, Some(_)) => {
                let message =
                    "A primary network interface is made with its instance; describe it instead of naming one";
                return Err(Fault::Interfaces(message.to_owned()));
            }
            (0, None) if primary.is_some() => {
                let message = "Each network interface requires a unique device index.";
                return Err(Fault::Interfaces(message.to_owned()));
            }
            (0, None) => primary = Some(item.spec()?),
            (_, Some(id)) => attached.push(scope.interface(id)?),
            (_, None) => secondary.push(item.spec()?),
        }
    }
    let none = || Fault::Interfaces("A network interface of device index 0 is needed.".to_owned());
    Ok(Interfaces { primary: primary.ok_or_else(none)?, secondary, attached })
}

fn top_level(scope: &Scope<'_>) -> Result<EniSpec, Fault> {
    if let Some(name) = scope.list("SecurityGroup")?.first() {
        let message = format!("The parameter groupName ('{name}') cannot be used with the parameter subnet");
        return Err(Fault::Combination(message));
    }
    let subnet = scope.subnet(scope.text("SubnetId").ok_or(Fault::NoDefaultVpc)?)?;
    let mut spec = EniSpec::new(subnet, groups(scope, "SecurityGroupId")?);
    spec.primary = scope.text("PrivateIpAddress").map(ipv4).transpose()?;
    spec.more.ipv6_count = scope.integer("Ipv6AddressCount", 0..=ADDRESSES_MAX)?.unwrap_or(0);
    for number in scope.items("Ipv6Address") {
        let text = scope.required(&format!("Ipv6Address.{number}.Ipv6Address"))?;
        spec.more.ipv6.push(ipv6(text)?);
    }
    Ok(spec)
}

pub(super) fn groups(scope: &Scope<'_>, list: &str) -> Result<Vec<GroupId>, Fault> {
    scope.list(list)?.into_iter().map(|id| scope.group_of(id)).collect()
}

/// One interface, described under a prefix.
pub(super) struct Item<'a, 'b> {
    pub(super) scope: &'b Scope<'a>,
    pub(super) prefix: String,
}

impl<'a> Item<'a, '_> {
    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        self.scope.text(&self.name(name))
    }

    fn integer(&self, name: &str, most: u32) -> Result<Option<u32>, Fault> {
        self.scope.integer(&self.name(name), 0..=most)
    }

    fn spec(&self) -> Result<EniSpec, Fault> {
        let mut spec = self.placed()?;
        spec.delete_on_release = self.scope.boolean(&self.name("DeleteOnTermination"))?.unwrap_or(true);
        Ok(spec)
    }

    /// An interface in its subnet, with groups, addresses and words.
    pub(super) fn placed(&self) -> Result<EniSpec, Fault> {
        let subnet = self.text("SubnetId").ok_or(Fault::NoDefaultVpc)?;
        let groups = groups(self.scope, &self.name("SecurityGroupId"))?;
        let mut spec = EniSpec::new(self.scope.subnet(subnet)?, groups);
        spec.primary = self.text("PrivateIpAddress").map(ipv4).transpose()?;
        spec.more.ipv4_count = self.integer("SecondaryPrivateIpAddressCount", ADDRESSES_MAX)?.unwrap_or(0);
        spec.more.ipv6_count = self.integer("Ipv6AddressCount", ADDRESSES_MAX)?.unwrap_or(0);
        for number in self.scope.items(&self.name("Ipv6Addresses")) {
            let text = self.scope.required(&self.name(&format!("Ipv6Addresses.{number}.Ipv6Address")))?;
            spec.more.ipv6.push(ipv6(text)?);
        }
        spec.description = words(self.text("Description").unwrap_or_default(), "A description")?;
        Ok(spec)
    }
}

pub(super) fn ipv4(text: &str) -> Result<Ipv4Addr, Fault> {
    text.parse().map_err(|_| Fault::Value(format!("Invalid value '{text}' for private IP address.")))
}

fn check_zone(scope: &Scope<'_>, subnet: &SubnetId) -> Result<(), Fault> {
    let (Some(zone), Some(subnet)) = (scope.text("Placement.AvailabilityZone"), scope.world.subnet(subnet)) else {
        return Ok(());
    };
    if zone == subnet.zone {
        return Ok(());
    }
    let message = format!("The availability zone {zone} is not that of the subnet '{}'", subnet.id);
    Err(Fault::Value(message))
}

fn label(scope: &Scope<'_>, name: &str) -> Result<String, Fault> {
    words(scope.text(name).unwrap_or_default(), &format!("The parameter {name}"))
}
