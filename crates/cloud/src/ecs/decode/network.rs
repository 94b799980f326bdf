//! VPCs and vSwitches.

use ipnet::{Ipv4Net, Ipv6Net};
use sekimori_core::{
    command::{Command, NetworkPatch, NewSubnet, NewVpc, VpcIpv6},
    ids::{SubnetId, VpcId},
    refusal::Kind,
};

use super::{
    scope::{Scope, invalid, is_network_name},
    tags,
};
use crate::ecs::{
    errors::{Fault, Words},
    region::Region,
};

/// The block of a VPC that names none.
const DEFAULT_VPC_BLOCK: &str = "172.16.0.0/12";

pub(super) fn create_vpc(scope: &Scope<'_>) -> Result<Command, Fault> {
    let cidr = block(scope.text("CidrBlock").unwrap_or(DEFAULT_VPC_BLOCK))?;
    Ok(Command::CreateVpc(NewVpc {
        account: scope.account.clone(),
        region: scope.needs_region()?.id.to_owned(),
        name: name(scope, "VpcName", Words::VpcName)?,
        description: scope.description(Words::VpcDescription)?,
        cidr,
        ipv6: vpc_ipv6(scope, "EnableIpv6")?,
        resource_group: scope.resource_group()?,
        tags: tags::read(scope)?,
    }))
}

pub(super) fn delete_vpc(scope: &Scope<'_>) -> Result<Command, Fault> {
    Ok(Command::DeleteVpc { account: scope.account.clone(), vpc: own_vpc(scope)? })
}

pub(super) fn create_vswitch(scope: &Scope<'_>) -> Result<Command, Fault> {
    let vpc = own_vpc(scope)?;
    Ok(Command::CreateSubnet(NewSubnet {
        account: scope.account.clone(),
        zone: zone(scope, &vpc)?,
        name: name(scope, "VSwitchName", Words::VSwitchName)?,
        description: scope.description(Words::VSwitchDescription)?,
        cidr: block(scope.required("CidrBlock")?)?,
        // A number names the /64; `u8` holds every number of the range.
        ipv6_index: scope.integer("Ipv6CidrBlock", 0..=255)?.and_then(|index| u8::try_from(index).ok()),
        tags: tags::read(scope)?,
        vpc,
    }))
}

pub(super) fn delete_vswitch(scope: &Scope<'_>) -> Result<Command, Fault> {
    Ok(Command::DeleteSubnet { account: scope.account.clone(), subnet: own_vswitch(scope)? })
}

pub(super) fn modify_vpc(scope: &Scope<'_>) -> Result<Command, Fault> {
    let patch = patch(scope, ("VpcName", Words::VpcName), Words::VpcDescription)?;
    let ipv6 = vpc_ipv6(scope, "EnableIPv6")?;
    Ok(Command::ModifyVpc { account: scope.account.clone(), vpc: own_vpc(scope)?, patch, ipv6 })
}

pub(super) fn modify_vswitch(scope: &Scope<'_>) -> Result<Command, Fault> {
    let patch = patch(scope, ("VSwitchName", Words::VSwitchName), Words::VSwitchDescription)?;
    let index = scope.integer("Ipv6CidrBlock", 0..=255)?.and_then(|index| u8::try_from(index).ok());
    let ipv6_index = match scope.boolean("EnableIPv6")? {
        Some(true) => Some(index.unwrap_or_default()),
        Some(false) => {
            return Err(invalid("EnableIPv6", "IPv6 is never taken from a vSwitch; leave it out".to_owned()));
        }
        None => index,
    };
    Ok(Command::ModifySubnet { account: scope.account.clone(), subnet: own_vswitch(scope)?, patch, ipv6_index })
}

/// The VPC that the operation is about, if it is in the request's region.
pub(super) fn own_vpc(scope: &Scope<'_>) -> Result<VpcId, Fault> {
    let vpc: VpcId = scope.required_id("VpcId")?;
    scope.check_region(Some(&vpc), Kind::Vpc, vpc.as_str())?;
    Ok(vpc)
}

/// The vSwitch that the operation is about, if it is in the request's region.
pub(super) fn own_vswitch(scope: &Scope<'_>) -> Result<SubnetId, Fault> {
    let subnet: SubnetId = scope.required_id("VSwitchId")?;
    let vpc = scope.world.subnet(&subnet).map(|subnet| &subnet.vpc);
    scope.check_region(vpc, Kind::Subnet, subnet.as_str())?;
    Ok(subnet)
}

/// What is given of name and description; what is not stays as it is.
fn patch(scope: &Scope<'_>, (parameter, fault): (&str, Words), described: Words) -> Result<NetworkPatch, Fault> {
    let given = |text: String| Some(text).filter(|text| !text.is_empty());
    let name = name(scope, parameter, fault)?;
    Ok(NetworkPatch { name: given(name), description: given(scope.description(described)?) })
}

fn vpc_ipv6(scope: &Scope<'_>, switch: &str) -> Result<VpcIpv6, Fault> {
    let is_enabled = scope.boolean(switch)?;
    let Some(text) = scope.text("Ipv6CidrBlock") else {
        return Ok(if is_enabled == Some(true) { VpcIpv6::Any } else { VpcIpv6::Off });
    };
    if is_enabled == Some(false) {
        return Err(invalid("Ipv6CidrBlock", format!("{switch} is false; set it to true")));
    }
    let block: Ipv6Net = text
        .parse()
        .map_err(|_| invalid("Ipv6CidrBlock", format!("`{text}` is not a block such as 2001:db8:1:100::/56")))?;
    Ok(VpcIpv6::Block(block))
}

fn block(text: &str) -> Result<Ipv4Net, Fault> {
    text.parse().map_err(|_| Fault::BlockFormat)
}

fn name(scope: &Scope<'_>, parameter: &str, fault: Words) -> Result<String, Fault> {
    let text = scope.text(parameter).unwrap_or_default();
    if text.is_empty() || is_network_name(text) { Ok(text.to_owned()) } else { Err(Fault::Words(fault)) }
}

/// The zone, which must be one of the VPC's region. A VPC that is not there is left to `core`.
fn zone(scope: &Scope<'_>, vpc: &VpcId) -> Result<String, Fault> {
    let zone = scope.required("ZoneId")?;
    let of_vpc = scope.world.vpc(vpc).and_then(|vpc| Region::find(&vpc.region));
    match of_vpc.or(scope.region) {
        Some(region) if !region.has_zone(zone) => Err(Fault::Zone),
        Some(_) | None => Ok(zone.to_owned()),
    }
}
