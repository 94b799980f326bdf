//! Network interfaces, also those that no instance has.

use std::sync::Arc;

use sekimori_core::{ids::EniId, refusal::Kind, tags::Tags, time::Timestamp, world::Eni};

use super::{
    View,
    instances::{self, primary_ipv4, private_name, texts},
    listing::{Item, named, part},
    tags,
};
use crate::{
    ec2::{Call, errors::Fault, query::Listing, words::attachment_of},
    node::{Fields, list, number},
    time::to_millis,
};

pub(super) fn interfaces(call: &Call, listing: &Listing<EniId>, view: &View<'_>) -> Result<Fields, Fault> {
    let is_own = |eni: &&Arc<Eni>| view.owns(&eni.account, &eni.vpc);
    let one = |id: &EniId| view.world.eni(id).filter(is_own).map(|eni| &**eni);
    let all = || view.world.enis().filter(is_own).map(|eni| &**eni).collect();
    let (wanted, next) = part(call, listing, named(&listing.ids, Kind::Eni, one, all)?, view);
    let items = wanted.into_iter().map(|eni| interface(eni, view));
    let mut fields: Fields = vec![("networkInterfaceSet", list("item", items))];
    fields.extend(next);
    Ok(fields)
}

/// What making one answers.
pub(super) fn created(id: &EniId, view: &View<'_>) -> Fields {
    view.world.eni(id).map(|eni| ("networkInterface", interface(eni, view).into())).into_iter().collect()
}

/// What attaching answers: the attachment.
pub(super) fn attached(call: &Call) -> Fields {
    let eni = call.params().filled("NetworkInterfaceId").unwrap_or_default();
    vec![("attachmentId", attachment_of(eni).into()), ("networkCardIndex", number(0))]
}

impl Item for Eni {
    fn place(&self) -> (Timestamp, &str) {
        (self.created_at, self.id.as_str())
    }

    fn tags(&self) -> &Tags {
        &self.tags
    }

    fn values(&self, filter: &str, view: &View<'_>) -> Vec<String> {
        if let Some(filter) = filter.strip_prefix("attachment.") {
            return attachment_values(self, filter);
        }
        let zone = view.zone_of(&self.subnet);
        let of_family = |is_wanted: fn(&std::net::IpAddr) -> bool| {
            self.addresses.iter().filter(|address| is_wanted(address)).map(ToString::to_string).collect::<Vec<_>>()
        };
        match filter {
            "addresses.primary" => vec!["true".to_owned()],
            "addresses.private-ip-address" => of_family(std::net::IpAddr::is_ipv4),
            "ipv6-addresses.ipv6-address" => of_family(std::net::IpAddr::is_ipv6),
            "private-ip-address" => primary_ipv4(self).into_iter().collect(),
            "private-dns-name" => private_name(self, view).into_iter().collect(),
            "availability-zone" => vec![zone.to_owned()],
            "availability-zone-id" => view.region.zone_id(zone).into_iter().collect(),
            "description" => vec![self.description.clone()],
            "group-id" => texts(&self.groups),
            "interface-type" => vec!["interface".to_owned()],
            "mac-address" => vec![self.mac.to_string()],
            "network-interface-id" => vec![self.id.to_string()],
            "operator.managed" | "requester-managed" => vec![self.managed_by.is_some().to_string()],
            "requester-id" => self.managed_by.map(|product| product.to_string()).into_iter().collect(),
            "owner-id" => vec![self.account.to_string()],
            "source-dest-check" => vec![self.source_check.to_string()],
            "status" => vec![status(self).to_owned()],
            "subnet-id" => vec![self.subnet.to_string()],
            "vpc-id" => vec![self.vpc.to_string()],
            _ => Vec::new(),
        }
    }
}

fn attachment_values(eni: &Eni, filter: &str) -> Vec<String> {
    let Some(instance) = &eni.instance else { return Vec::new() };
    match filter {
        "attach-time" => vec![to_millis(eni.created_at)],
        "attachment-id" => vec![attachment_of(eni.id.as_str())],
        "delete-on-termination" => vec![(eni.is_primary() || eni.delete_on_release).to_string()],
        "device-index" => vec![eni.device_index.to_string()],
        "instance-id" => vec![instance.to_string()],
        "instance-owner-id" => vec![eni.account.to_string()],
        "status" => vec!["attached".to_owned()],
        _ => Vec::new(),
    }
}

fn interface(eni: &Eni, view: &View<'_>) -> Fields {
    let mut fields = instances::common(eni, view);
    fields.push(("status", status(eni).into()));
    fields.push(("availabilityZone", view.zone_of(&eni.subnet).into()));
    fields.push(("requesterManaged", eni.managed_by.is_some().into()));
    fields.extend(attachment(eni).map(|attachment| ("attachment", attachment.into())));
    let tracking: Fields = vec![
        ("tcpEstablishedTimeout", number(eni.timeouts.tcp_established_s)),
        ("udpStreamTimeout", number(eni.timeouts.udp_stream_s)),
        ("udpTimeout", number(eni.timeouts.udp_s)),
    ];
    fields.push(("connectionTrackingConfiguration", tracking.into()));
    fields.push(tags::set(&eni.tags));
    fields
}

/// The attachment of an interface, with the instance that has it.
pub(super) fn attachment(eni: &Eni) -> Option<Fields> {
    let instance = eni.instance.as_ref()?;
    let mut attachment = instances::attachment(eni);
    attachment.push(("instanceId", instance.as_str().into()));
    attachment.push(("instanceOwnerId", eni.account.as_str().into()));
    Some(attachment)
}

fn status(eni: &Eni) -> &'static str {
    if eni.instance.is_some() { "in-use" } else { "available" }
}
