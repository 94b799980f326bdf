//! Peering connections of VPCs, as both owners see them.

use std::sync::Arc;

use sekimori_core::{
    ids::{GroupId, PeeringId, VpcId},
    peering::{Peering, PeeringSide, PeeringStatus},
    refusal::Kind,
    tags::Tags,
    time::Timestamp,
};

use super::{
    View,
    listing::{Item, named, part},
    tags,
};
use crate::{
    ec2::{Call, errors::Fault, query::Listing},
    node::{Fields, list},
    time::to_millis,
};

pub(super) fn peerings(call: &Call, listing: &Listing<PeeringId>, view: &View<'_>) -> Result<Fields, Fault> {
    let is_seen = |one: &&Arc<Peering>| one.concerns(view.account) && one.region == view.region.name;
    let one = |id: &PeeringId| view.world.peerings().get(id).filter(is_seen).map(|one| &**one);
    let all = || view.world.peerings().iter().filter(is_seen).map(|one| &**one).collect();
    let (wanted, next) = part(call, listing, named(&listing.ids, Kind::Peering, one, all)?, view);
    let mut fields: Fields = vec![("vpcPeeringConnectionSet", list("item", wanted.into_iter().map(peering)))];
    fields.extend(next);
    Ok(fields)
}

/// What the one who asks, or accepts, is told.
pub(super) fn made(id: &PeeringId, view: &View<'_>) -> Fields {
    let made = view.world.peerings().get(id);
    made.map(|one| ("vpcPeeringConnection", peering(one).into())).into_iter().collect()
}

/// Where the group is that a rule of a VPC's group names, if it is in another VPC: the VPC, and how far the two are peered.
pub(super) fn of_peer(own: &VpcId, named: &GroupId, view: &View<'_>) -> Fields {
    let Some(other) = view.world.group(named).map(|group| &group.vpc).filter(|vpc| *vpc != own) else {
        return Vec::new();
    };
    let mut fields: Fields = vec![("vpcId", other.as_str().into())];
    let between = view.world.peerings().iter().filter(|peering| peering.is_between(own, other));
    // The one that counts: the active one, or the one that ended last.
    let newest = between.max_by_key(|peering| (peering.is_active(), peering.changed_at));
    if let Some(peering) = newest {
        fields.push(("vpcPeeringConnectionId", peering.id.as_str().into()));
    }
    let status = newest.map_or(PeeringStatus::Deleted, |peering| peering.status);
    fields.push(("peeringStatus", status.to_string().into()));
    fields
}

impl Item for Peering {
    fn place(&self) -> (Timestamp, &str) {
        (self.created_at, self.id.as_str())
    }

    fn tags(&self) -> &Tags {
        &self.tags
    }

    fn values(&self, filter: &str, _: &View<'_>) -> Vec<String> {
        let of_side = |side: &PeeringSide, name: &str| match name {
            "cidr-block" => side.cidr.iter().map(ToString::to_string).collect(),
            "owner-id" => vec![side.account.to_string()],
            "vpc-id" => vec![side.vpc.to_string()],
            _ => Vec::new(),
        };
        match filter.split_once('.') {
            Some(("requester-vpc-info", name)) => return of_side(&self.requester, name),
            Some(("accepter-vpc-info", name)) => return of_side(&self.accepter, name),
            Some(_) | None => {}
        }
        match filter {
            "vpc-peering-connection-id" => vec![self.id.to_string()],
            "status-code" => vec![self.status.to_string()],
            "status-message" => vec![message(self)],
            "expiration-time" => vec![to_millis(self.expires_at())],
            _ => Vec::new(),
        }
    }
}

fn peering(peering: &Peering) -> Fields {
    let status: Fields = vec![("code", peering.status.to_string().into()), ("message", message(peering).into())];
    let mut fields: Fields = vec![
        ("vpcPeeringConnectionId", peering.id.as_str().into()),
        ("requesterVpcInfo", side(&peering.requester, &peering.region).into()),
        ("accepterVpcInfo", side(&peering.accepter, &peering.region).into()),
        ("status", status.into()),
    ];
    if peering.status == PeeringStatus::PendingAcceptance {
        fields.push(("expirationTime", to_millis(peering.expires_at()).into()));
    }
    fields.push(tags::set(&peering.tags));
    fields
}

fn side(side: &PeeringSide, region: &str) -> Fields {
    let mut fields: Fields = vec![("ownerId", side.account.as_str().into()), ("vpcId", side.vpc.as_str().into())];
    if let Some(cidr) = side.cidr {
        let block: Fields = vec![("cidrBlock", cidr.to_string().into())];
        fields.push(("cidrBlock", cidr.to_string().into()));
        fields.push(("cidrBlockSet", list("item", [block])));
    }
    let ipv6 = side.ipv6.map(|block| -> Fields { vec![("ipv6CidrBlock", block.to_string().into())] });
    fields.push(("ipv6CidrBlockSet", list("item", ipv6)));
    fields.push(("region", region.into()));
    fields
}

fn message(peering: &Peering) -> String {
    let by = || peering.ended_by.as_ref().map(|account| format!(" by {account}")).unwrap_or_default();
    match peering.status {
        PeeringStatus::PendingAcceptance => format!("Pending Acceptance by {}", peering.accepter.account),
        PeeringStatus::Active => "Active".to_owned(),
        PeeringStatus::Failed => peering.why_failed.clone(),
        PeeringStatus::Rejected => format!("Rejected{}", by()),
        PeeringStatus::Expired => "The request expired".to_owned(),
        PeeringStatus::Deleted => format!("Deleted{}", by()),
    }
}
