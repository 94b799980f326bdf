//! VPCs and subnets.

use ipnet::{Ipv4Net, Ipv6Net};
use sekimori_core::{
    command::{Command, NewSubnet, NewVpc, VpcIpv6},
    ids::VpcId,
};

use super::{scope::Scope, tags};
use crate::ec2::errors::Fault;

pub(super) fn create_vpc(scope: &Scope<'_>) -> Result<Command, Fault> {
    let cidr = block(scope.required("CidrBlock")?, false)?;
    let ipv6 = match scope.boolean("AmazonProvidedIpv6CidrBlock")? {
        Some(true) => VpcIpv6::Any,
        Some(false) | None => VpcIpv6::Off,
    };
    Ok(Command::CreateVpc(NewVpc {
        account: scope.account.clone(),
        region: scope.region.name.to_owned(),
        name: String::new(),
        description: String::new(),
        cidr,
        ipv6,
        resource_group: String::new(),
        tags: tags::specified(scope, "vpc")?,
    }))
}

pub(super) fn delete_vpc(scope: &Scope<'_>) -> Result<Command, Fault> {
    Ok(Command::DeleteVpc { account: scope.account.clone(), vpc: scope.vpc("VpcId")? })
}

pub(super) fn create_subnet(scope: &Scope<'_>) -> Result<Command, Fault> {
    let vpc = scope.vpc("VpcId")?;
    Ok(Command::CreateSubnet(NewSubnet {
        account: scope.account.clone(),
        zone: zone(scope)?,
        name: String::new(),
        description: String::new(),
        cidr: block(scope.required("CidrBlock")?, true)?,
        ipv6_index: scope.text("Ipv6CidrBlock").map(|text| ipv6_index(scope, &vpc, text)).transpose()?,
        tags: tags::specified(scope, "subnet")?,
        vpc,
    }))
}

pub(super) fn delete_subnet(scope: &Scope<'_>) -> Result<Command, Fault> {
    let subnet = scope.subnet(scope.required("SubnetId")?)?;
    Ok(Command::DeleteSubnet { account: scope.account.clone(), subnet })
}

/// A block without host bits: the cloud clears them (`spec/ec2.md` A1).
fn block(text: &str, is_subnet: bool) -> Result<Ipv4Net, Fault> {
    let block: Result<Ipv4Net, _> = text.parse();
    block.map(|block| block.trunc()).map_err(|_| Fault::Block { is_subnet, text: text.to_owned() })
}

/// Which /64 of its VPC's block a subnet's block is. A VPC that is not there, or has none, is left to `core`.
fn ipv6_index(scope: &Scope<'_>, vpc: &VpcId, text: &str) -> Result<u8, Fault> {
    let wrong = || Fault::Block { is_subnet: true, text: text.to_owned() };
    let block: Ipv6Net = text.parse().map_err(|_| wrong())?;
    let whole = scope.world.vpc(vpc).and_then(|vpc| vpc.ipv6);
    let is_part = whole.is_none_or(|whole| whole.contains(&block.network()));
    if block.prefix_len() != 64 || !is_part {
        return Err(wrong());
    }
    let [_, _, _, _, _, _, _, index, ..] = block.network().octets();
    Ok(index)
}

/// The zone that is named, by name or id; without one the first of the region.
fn zone(scope: &Scope<'_>) -> Result<String, Fault> {
    let (name, id) = (scope.text("AvailabilityZone"), scope.text("AvailabilityZoneId"));
    if let (Some(_), Some(_)) = (name, id) {
        let message = "The parameter availabilityZone cannot be used with the parameter availabilityZoneId";
        return Err(Fault::Combination(message.to_owned()));
    }
    let mut zones = scope.region.zones();
    let is_it = |zone: &crate::ec2::region::Zone| {
        name.is_none_or(|name| name == zone.name) && id.is_none_or(|id| id == zone.id)
    };
    let wanted = name.or(id).unwrap_or_default();
    let wrong = || {
        let region = scope.region.name;
        Fault::Value(format!(
            "Value ({wanted}) for parameter availabilityZone is invalid. It is no zone of {region}."
        ))
    };
    zones.find(is_it).map(|zone| zone.name).ok_or_else(wrong)
}
