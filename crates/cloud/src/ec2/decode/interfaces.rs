//! Network interfaces of their own: made, attached, changed, deleted.

use std::{
    net::{IpAddr, Ipv4Addr},
    ops::RangeInclusive,
};

use sekimori_core::{
    command::{Command, EniPatch, InstancePatch, NewAddresses},
    ids::{EniId, InstanceId},
    refusal::Kind,
    world::{Eni, TimeoutChoice},
};

use super::{
    instances::{self, ADDRESSES_MAX},
    scope::{Scope, read_id, words},
    tags,
};
use crate::ec2::{
    errors::{Fault, IdKind},
    words::interface_of_attachment,
};

/// Idle timeouts that the cloud takes, in seconds (`spec/ec2.md` A2).
const TCP_ESTABLISHED: RangeInclusive<u32> = 60..=432_000;
const UDP_STREAM: RangeInclusive<u32> = 60..=180;
const UDP: RangeInclusive<u32> = 30..=60;

pub(super) fn create(scope: &Scope<'_>) -> Result<Command, Fault> {
    let mut spec = instances::Item { scope, prefix: String::new() }.placed()?;
    for number in scope.items("PrivateIpAddresses") {
        let item = format!("PrivateIpAddresses.{number}.");
        let address = instances::ipv4(scope.required(&format!("{item}PrivateIpAddress"))?)?;
        if !scope.boolean(&format!("{item}Primary"))?.unwrap_or(false) {
            spec.more.ipv4.push(address);
        } else if spec.primary.replace(address).is_some_and(|other| other != address) {
            return Err(Fault::Combination("Only one primary private IP address can be specified".to_owned()));
        }
    }
    spec.timeouts = timeouts(scope)?;
    spec.tags = tags::specified(scope, "network-interface")?;
    // Unlike one that is made with its instance.
    spec.delete_on_release = false;
    Ok(Command::CreateEni { account: scope.account.clone(), spec })
}

pub(super) fn delete(scope: &Scope<'_>) -> Result<Command, Fault> {
    let eni = scope.interface(scope.required("NetworkInterfaceId")?)?;
    Ok(Command::DeleteEni { account: scope.account.clone(), eni })
}

/// Interfaces are numbered in the order of attachment, so of the index only that it is none of a primary one is looked at.
pub(super) fn attach(scope: &Scope<'_>) -> Result<Command, Fault> {
    let eni = scope.interface(scope.required("NetworkInterfaceId")?)?;
    let instance = read_id(scope.required("InstanceId")?, IdKind::Instance)?;
    scope.check_instance(&instance)?;
    scope.integer("DeviceIndex", 1..=u32::from(u8::MAX))?;
    Ok(Command::AttachEni { account: scope.account.clone(), eni, instance })
}

pub(super) fn detach(scope: &Scope<'_>) -> Result<Command, Fault> {
    let attachment = scope.required("AttachmentId")?;
    let eni = attached(scope, attachment)?;
    let instance = eni.instance.clone().ok_or_else(|| unknown_attachment(attachment))?;
    Ok(Command::DetachEni { account: scope.account.clone(), eni: eni.id.clone(), instance })
}

/// One kind of attribute a call (`spec/ec2.md`, operations of interfaces).
pub(super) fn modify(scope: &Scope<'_>) -> Result<Command, Fault> {
    let (account, id) = (scope.account.clone(), scope.interface(scope.required("NetworkInterfaceId")?)?);
    let eni = scope.world.eni(&id).filter(|eni| eni.account == account);
    let eni = eni.ok_or_else(|| Fault::missing(Kind::Eni, id.as_str()))?;
    let mut patches: Vec<EniPatch> = Vec::new();
    let groups = instances::groups(scope, "SecurityGroupId")?;
    if !groups.is_empty() {
        patches.push(EniPatch { groups: Some(groups), ..EniPatch::default() });
    }
    if let Some(check) = scope.boolean("SourceDestCheck.Value")? {
        patches.push(EniPatch { source_check: Some(check), ..EniPatch::default() });
    }
    // An empty text is one: it takes the words away.
    if let Some(text) = scope.call.params().get("Description.Value") {
        patches.push(EniPatch { description: Some(words(text, "A description")?), ..EniPatch::default() });
    }
    let chosen = timeouts(scope)?;
    if chosen != TimeoutChoice::default() {
        patches.push(EniPatch { timeouts: chosen, ..EniPatch::default() });
    }
    patches.extend(attachment(scope, eni)?);
    let mut patches = patches.into_iter();
    match (patches.next(), patches.next()) {
        (None, _) => Err(Fault::no_attribute()),
        (Some(_), Some(_)) => Err(Fault::several_attributes()),
        (Some(EniPatch { groups: Some(groups), .. }), None) if eni.is_primary() => {
            let instance = eni.instance.clone().ok_or_else(|| Fault::missing(Kind::Eni, id.as_str()))?;
            let patch = InstancePatch { groups: Some(groups), ..InstancePatch::default() };
            Ok(Command::ModifyInstance { account, instance, patch })
        }
        (Some(patch), None) => Ok(Command::ModifyEni { account, eni: id, patch }),
    }
}

/// Groups, or whether addresses are checked, of an instance's only interface: with several, each is changed by itself.
pub(super) fn modify_instance(scope: &Scope<'_>) -> Result<Command, Fault> {
    let (account, text) = (scope.account.clone(), scope.required("InstanceId")?);
    let instance: InstanceId = read_id(text, IdKind::Instance)?;
    scope.own_instance(&instance)?;
    let groups = instances::groups(scope, "GroupId")?;
    let check = scope.boolean("SourceDestCheck.Value")?;
    let mut enis = scope.world.enis_of(&instance);
    let (Some(eni), None) = (enis.next(), enis.next()) else {
        return Err(Fault::SeveralInterfaces(text.to_owned()));
    };
    match (groups.is_empty(), check) {
        (false, None) => {
            let patch = InstancePatch { groups: Some(groups), ..InstancePatch::default() };
            Ok(Command::ModifyInstance { account, instance, patch })
        }
        (true, Some(check)) => {
            let patch = EniPatch { source_check: Some(check), ..EniPatch::default() };
            Ok(Command::ModifyEni { account, eni: eni.id.clone(), patch })
        }
        (true, None) => Err(Fault::no_attribute()),
        (false, Some(_)) => Err(Fault::several_attributes()),
    }
}

/// Further addresses: these, or so many free ones.
pub(super) fn assign(scope: &Scope<'_>) -> Result<Command, Fault> {
    let eni = scope.interface(scope.required("NetworkInterfaceId")?)?;
    let ipv4 = addresses(scope)?;
    let ipv4_count = scope.integer("SecondaryPrivateIpAddressCount", 1..=ADDRESSES_MAX)?.unwrap_or(0);
    if ipv4.is_empty() == (ipv4_count == 0) {
        let message = "Specify either private IP addresses or their number";
        return Err(Fault::Combination(message.to_owned()));
    }
    let addresses = NewAddresses { ipv4, ipv4_count, ..NewAddresses::default() };
    Ok(Command::AssignAddresses { account: scope.account.clone(), eni, addresses })
}

pub(super) fn unassign(scope: &Scope<'_>) -> Result<Command, Fault> {
    let eni = scope.interface(scope.required("NetworkInterfaceId")?)?;
    let addresses: Vec<IpAddr> = addresses(scope)?.into_iter().map(IpAddr::V4).collect();
    if addresses.is_empty() {
        return Err(Fault::Missing { name: "PrivateIpAddress".to_owned() });
    }
    Ok(Command::UnassignAddresses { account: scope.account.clone(), eni, addresses })
}

fn addresses(scope: &Scope<'_>) -> Result<Vec<Ipv4Addr>, Fault> {
    scope.list("PrivateIpAddress")?.into_iter().map(instances::ipv4).collect()
}

/// Whether an attached interface goes with its instance.
fn attachment(scope: &Scope<'_>, eni: &Eni) -> Result<Option<EniPatch>, Fault> {
    let is_deleted = scope.boolean("Attachment.DeleteOnTermination")?;
    let Some(text) = scope.text("Attachment.AttachmentId") else {
        return match is_deleted {
            Some(_) => Err(Fault::Missing { name: "Attachment.AttachmentId".to_owned() }),
            None => Ok(None),
        };
    };
    if attached(scope, text)?.id != eni.id {
        return Err(unknown_attachment(text));
    }
    Ok(is_deleted.map(|is_deleted| EniPatch { delete_on_release: Some(is_deleted), ..EniPatch::default() }))
}

/// The interface of the caller that an attachment is of.
fn attached<'a>(scope: &Scope<'a>, text: &str) -> Result<&'a Eni, Fault> {
    let id: EniId = interface_of_attachment(text).ok_or_else(|| Fault::MalformedAttachment(text.to_owned()))?.into();
    let eni = scope.world.eni(&id).filter(|eni| eni.account == *scope.account && eni.instance.is_some());
    let eni = eni.ok_or_else(|| unknown_attachment(text))?;
    scope.check_region(Some(&eni.vpc), Kind::Eni, id.as_str())?;
    Ok(eni)
}

fn unknown_attachment(text: &str) -> Fault {
    Fault::UnknownAttachment(text.to_owned())
}

fn timeouts(scope: &Scope<'_>) -> Result<TimeoutChoice, Fault> {
    let value = |name: &str, range| scope.integer(&format!("ConnectionTrackingSpecification.{name}"), range);
    Ok(TimeoutChoice {
        tcp_established_s: value("TcpEstablishedTimeout", TCP_ESTABLISHED)?,
        udp_stream_s: value("UdpStreamTimeout", UDP_STREAM)?,
        udp_s: value("UdpTimeout", UDP)?,
        ..TimeoutChoice::default()
    })
}
