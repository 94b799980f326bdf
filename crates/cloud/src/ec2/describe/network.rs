//! VPCs and subnets.

use std::sync::Arc;

use sekimori_core::{
    ids::{SubnetId, VpcId},
    refusal::Kind,
    tags::Tags,
    time::Timestamp,
    world::{Dialect, Subnet, Vpc},
};

use super::{
    View,
    listing::{Item, named, part},
    tags,
};
use crate::{
    ec2::{
        Call,
        errors::Fault,
        query::Listing,
        words::{arn, made_with},
    },
    node::{Fields, list, number},
};

pub(super) fn vpcs(call: &Call, listing: &Listing<VpcId>, view: &View<'_>) -> Result<Fields, Fault> {
    let one = |id: &VpcId| own_vpc(id, view);
    let (wanted, next) = part(call, listing, named(&listing.ids, Kind::Vpc, one, || own_vpcs(view))?, view);
    let mut fields: Fields = vec![("vpcSet", list("item", wanted.into_iter().map(vpc)))];
    fields.extend(next);
    Ok(fields)
}

pub(super) fn subnets(call: &Call, listing: &Listing<SubnetId>, view: &View<'_>) -> Result<Fields, Fault> {
    let is_own = |subnet: &&Arc<Subnet>| view.owns(&subnet.account, &subnet.vpc);
    let one = |id: &SubnetId| view.world.subnet(id).filter(is_own).map(|subnet| &**subnet);
    let all = || view.world.subnets().filter(is_own).map(|subnet| &**subnet).collect();
    let (wanted, next) = part(call, listing, named(&listing.ids, Kind::Subnet, one, all)?, view);
    let items = wanted.into_iter().map(|subnet| self::subnet(subnet, view));
    let mut fields: Fields = vec![("subnetSet", list("item", items))];
    fields.extend(next);
    Ok(fields)
}

/// A VPC that the caller owns, in the region of the request.
pub(super) fn own_vpc<'a>(id: &VpcId, view: &View<'a>) -> Option<&'a Vpc> {
    view.world.vpc(id).map(|vpc| &**vpc).filter(|vpc| is_own(vpc, view))
}

/// All of them.
pub(super) fn own_vpcs<'a>(view: &View<'a>) -> Vec<&'a Vpc> {
    view.world.vpcs().map(|vpc| &**vpc).filter(|vpc| is_own(vpc, view)).collect()
}

fn is_own(vpc: &Vpc, view: &View<'_>) -> bool {
    vpc.account == *view.account && vpc.region == view.region.name
}

pub(super) fn created_vpc(id: &VpcId, view: &View<'_>) -> Fields {
    view.world.vpc(id).map(|one| ("vpc", vpc(one).into())).into_iter().collect()
}

pub(super) fn created_subnet(id: &SubnetId, view: &View<'_>) -> Fields {
    view.world.subnet(id).map(|one| ("subnet", subnet(one, view).into())).into_iter().collect()
}

impl Item for Vpc {
    fn place(&self) -> (Timestamp, &str) {
        (self.created_at, self.id.as_str())
    }

    fn tags(&self) -> &Tags {
        &self.tags
    }

    fn values(&self, filter: &str, _: &View<'_>) -> Vec<String> {
        let ipv6 = self.ipv6.map(|block| block.to_string());
        match filter {
            "vpc-id" => vec![self.id.to_string()],
            "cidr" | "cidr-block-association.cidr-block" => vec![self.cidr.to_string()],
            "cidr-block-association.association-id" => vec![made_with("vpc-cidr-assoc", self.id.as_str())],
            "cidr-block-association.state" => vec!["associated".to_owned()],
            "dhcp-options-id" => vec!["default".to_owned()],
            "ipv6-cidr-block-association.ipv6-cidr-block" => ipv6.into_iter().collect(),
            "ipv6-cidr-block-association.association-id" => {
                ipv6.map(|_| made_with("vpc-cidr-assoc", self.id.as_str()) + "6").into_iter().collect()
            }
            "ipv6-cidr-block-association.ipv6-pool" => ipv6.map(|_| "Amazon".to_owned()).into_iter().collect(),
            "ipv6-cidr-block-association.state" => ipv6.map(|_| "associated".to_owned()).into_iter().collect(),
            "is-default" | "isDefault" | "is-classic-link-enabled" => vec!["false".to_owned()],
            "owner-id" => vec![self.account.to_string()],
            "state" => vec!["available".to_owned()],
            _ => Vec::new(),
        }
    }
}

impl Item for Subnet {
    fn place(&self) -> (Timestamp, &str) {
        (self.created_at, self.id.as_str())
    }

    fn tags(&self) -> &Tags {
        &self.tags
    }

    fn values(&self, filter: &str, view: &View<'_>) -> Vec<String> {
        let ipv6 = self.ipv6.map(|block| block.to_string());
        match filter {
            "subnet-id" | "subnetId" => vec![self.id.to_string()],
            "vpc-id" | "vpcId" => vec![self.vpc.to_string()],
            "cidr" | "cidr-block" | "cidrBlock" => vec![self.cidr.to_string()],
            "availability-zone" | "availabilityZone" => vec![self.zone.clone()],
            "availability-zone-id" | "availabilityZoneId" => view.region.zone_id(&self.zone).into_iter().collect(),
            "available-ip-address-count" => vec![free(self, view).to_string()],
            "ipv6-cidr-block-association.ipv6-cidr-block" => ipv6.into_iter().collect(),
            "ipv6-cidr-block-association.association-id" => {
                ipv6.map(|_| made_with("subnet-cidr-assoc", self.id.as_str())).into_iter().collect()
            }
            "ipv6-cidr-block-association.state" => ipv6.map(|_| "associated".to_owned()).into_iter().collect(),
            "default-for-az"
            | "defaultForAz"
            | "enable-dns64"
            | "ipv6-native"
            | "map-public-ip-on-launch"
            | "map-customer-owned-ip-on-launch" => vec!["false".to_owned()],
            "owner-id" => vec![self.account.to_string()],
            "state" => vec!["available".to_owned()],
            "subnet-arn" => vec![arn(view.region.name, &self.account, "subnet", self.id.as_str())],
            _ => Vec::new(),
        }
    }
}

fn vpc(vpc: &Vpc) -> Fields {
    let association = made_with("vpc-cidr-assoc", vpc.id.as_str());
    let block: Fields = vec![
        ("associationId", association.clone().into()),
        ("cidrBlock", vpc.cidr.to_string().into()),
        ("cidrBlockState", associated().into()),
    ];
    let ipv6 = vpc.ipv6.map(|block| -> Fields {
        vec![
            ("associationId", (association + "6").into()),
            ("ipv6CidrBlock", block.to_string().into()),
            ("ipv6CidrBlockState", associated().into()),
            ("networkBorderGroup", vpc.region.as_str().into()),
            ("ipv6Pool", "Amazon".into()),
        ]
    });
    let mut fields: Fields = vec![
        ("vpcId", vpc.id.as_str().into()),
        ("ownerId", vpc.account.as_str().into()),
        ("state", "available".into()),
        ("cidrBlock", vpc.cidr.to_string().into()),
        ("cidrBlockAssociationSet", list("item", [block])),
        ("ipv6CidrBlockAssociationSet", list("item", ipv6)),
        ("dhcpOptionsId", "default".into()),
        ("instanceTenancy", "default".into()),
        ("isDefault", false.into()),
    ];
    fields.push(tags::set(&vpc.tags));
    fields
}

fn subnet(subnet: &Subnet, view: &View<'_>) -> Fields {
    let ipv6 = subnet.ipv6.map(|block| -> Fields {
        vec![
            ("associationId", made_with("subnet-cidr-assoc", subnet.id.as_str()).into()),
            ("ipv6CidrBlock", block.to_string().into()),
            ("ipv6CidrBlockState", associated().into()),
        ]
    });
    let mut fields: Fields = vec![
        ("subnetId", subnet.id.as_str().into()),
        ("subnetArn", arn(view.region.name, &subnet.account, "subnet", subnet.id.as_str()).into()),
        ("state", "available".into()),
        ("ownerId", subnet.account.as_str().into()),
        ("vpcId", subnet.vpc.as_str().into()),
        ("cidrBlock", subnet.cidr.to_string().into()),
        ("ipv6CidrBlockAssociationSet", list("item", ipv6)),
        ("availableIpAddressCount", number(free(subnet, view))),
        ("availabilityZone", subnet.zone.as_str().into()),
        ("availabilityZoneId", view.region.zone_id(&subnet.zone).unwrap_or_default().into()),
        ("defaultForAz", false.into()),
        ("mapPublicIpOnLaunch", false.into()),
        ("mapCustomerOwnedIpOnLaunch", false.into()),
        ("assignIpv6AddressOnCreation", false.into()),
        ("enableDns64", false.into()),
        ("ipv6Native", false.into()),
    ];
    fields.push(tags::set(&subnet.tags));
    fields
}

fn associated() -> Fields {
    vec![("state", "associated".into())]
}

/// Addresses that an interface can still get.
fn free(subnet: &Subnet, view: &View<'_>) -> u64 {
    let (first, last) = subnet.assignable(Dialect::Ec2);
    let total = u64::from(u32::from(last).saturating_sub(u32::from(first))) + 1;
    let inside = view.world.enis().filter(|eni| eni.subnet == subnet.id);
    let taken: usize = inside.map(|eni| eni.addresses.iter().filter(|address| address.is_ipv4()).count()).sum();
    total.saturating_sub(taken as u64)
}
