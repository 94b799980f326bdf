//! Network ACLs: made, filled entry by entry, and given to subnets.

use sekimori_core::{
    address::Family,
    command::{AclCommand, Command},
    ids::{AclAssociationId, NetworkAclId},
    network_acl::{ACL_NUMBER_MAX, AclEntry},
    refusal::Kind,
    rule::{Action, Direction, Peer, PortRange, Protocol, RuleSpec, Service, ec2::read_protocol},
};

use super::{
    listings::listing,
    permissions::block,
    scope::{Scope, read_id},
    tags,
};
use crate::ec2::{
    errors::{Fault, IdKind},
    query::Query,
};

pub(super) fn list(scope: &Scope<'_>) -> Result<Query, Fault> {
    listing(scope, "NetworkAclId", IdKind::NetworkAcl, "networkAclIdSet").map(Query::NetworkAcls)
}

pub(super) fn create(scope: &Scope<'_>) -> Result<Command, Fault> {
    let vpc = scope.vpc("VpcId")?;
    Ok(of(scope, AclCommand::Create { vpc, tags: tags::specified(scope, "network-acl")? }))
}

pub(super) fn delete(scope: &Scope<'_>) -> Result<Command, Fault> {
    Ok(of(scope, AclCommand::Delete { acl: acl(scope)? }))
}

pub(super) fn create_entry(scope: &Scope<'_>) -> Result<Command, Fault> {
    put_entry(scope, true)
}

pub(super) fn replace_entry(scope: &Scope<'_>) -> Result<Command, Fault> {
    put_entry(scope, false)
}

pub(super) fn delete_entry(scope: &Scope<'_>) -> Result<Command, Fault> {
    let (direction, number) = place(scope)?;
    Ok(of(scope, AclCommand::DeleteEntry { acl: acl(scope)?, direction, number }))
}

pub(super) fn replace_association(scope: &Scope<'_>) -> Result<Command, Fault> {
    let association: AclAssociationId = read_id(scope.required("AssociationId")?, IdKind::AclAssociation)?;
    Ok(of(scope, AclCommand::Associate { association, acl: acl(scope)? }))
}

fn of(scope: &Scope<'_>, command: AclCommand) -> Command {
    Command::NetworkAcl { account: scope.account.clone(), command }
}

/// The ACL that a required parameter names, if it is in the request's region.
fn acl(scope: &Scope<'_>) -> Result<NetworkAclId, Fault> {
    let text = scope.required("NetworkAclId")?;
    let acl: NetworkAclId = read_id(text, IdKind::NetworkAcl)?;
    scope.check_region(scope.world.network_acl(&acl).map(|acl| &acl.vpc), Kind::NetworkAcl, text)?;
    Ok(acl)
}

fn put_entry(scope: &Scope<'_>, is_new: bool) -> Result<Command, Fault> {
    let (direction, number) = place(scope)?;
    let action = match scope.required("RuleAction")? {
        "allow" => Action::Allow,
        "deny" => Action::Deny,
        other => {
            let message = format!("Value ({other}) for parameter ruleAction is invalid. Use allow or deny.");
            return Err(Fault::Value(message));
        }
    };
    let text = scope.required("Protocol")?;
    let unknown = || Fault::Value(format!("Value ({text}) for parameter protocol is invalid. Unknown protocol."));
    let protocol = read_protocol(text).ok_or_else(unknown)?;
    let (service, peer) = (service(scope, protocol)?, Peer::Cidr(cidr(scope)?));
    let spec = RuleSpec::plain(direction, action, (protocol, service), peer);
    let entry = AclEntry { number, spec };
    Ok(of(scope, AclCommand::PutEntry { acl: acl(scope)?, entry, is_new }))
}

/// The direction of an entry, and its number.
fn place(scope: &Scope<'_>) -> Result<(Direction, u16), Fault> {
    let missing = |name: &str| Fault::Missing { name: name.to_owned() };
    let is_egress = scope.boolean("Egress")?.ok_or_else(|| missing("egress"))?;
    let number = scope.integer("RuleNumber", 1..=u32::from(ACL_NUMBER_MAX))?;
    let number = number.and_then(|number| u16::try_from(number).ok()).ok_or_else(|| missing("ruleNumber"))?;
    Ok((if is_egress { Direction::Egress } else { Direction::Ingress }, number))
}

/// One block, of either family.
fn cidr(scope: &Scope<'_>) -> Result<sekimori_core::address::Cidr, Fault> {
    match (scope.text("CidrBlock"), scope.text("Ipv6CidrBlock")) {
        (Some(text), None) => Ok(block(text, Family::V4)?),
        (None, Some(text)) => Ok(block(text, Family::V6)?),
        (None, None) => Err(Fault::Missing { name: "cidrBlock or ipv6CidrBlock".to_owned() }),
        (Some(_), Some(_)) => {
            Err(Fault::Combination("Only one of cidrBlock and ipv6CidrBlock can be specified".to_owned()))
        }
    }
}

/// Ports of TCP and UDP, type and code of ICMP; other protocols have neither.
fn service(scope: &Scope<'_>, protocol: Protocol) -> Result<Service, Fault> {
    match protocol {
        Protocol::TCP | Protocol::UDP => ports(scope),
        Protocol::ICMP | Protocol::ICMPV6 => icmp(scope),
        Protocol::Any | Protocol::Number(_) => Ok(Service::Any),
    }
}

fn ports(scope: &Scope<'_>) -> Result<Service, Fault> {
    let port = |name: &str, wire: &str| {
        let text = scope.text(name).ok_or_else(|| Fault::Missing { name: wire.to_owned() })?;
        let bad = || Fault::Value(format!("Value ({text}) for parameter {wire} is invalid. Use a port: 0 to 65535."));
        text.parse::<u16>().map_err(|_| bad())
    };
    let (from, to) = (port("PortRange.From", "portRange.from")?, port("PortRange.To", "portRange.to")?);
    let inverted = || Fault::Value(format!("Invalid port range {from}-{to}: the first port is above the last."));
    PortRange::new(from, to).map(Service::Ports).ok_or_else(inverted)
}

/// `-1` is every one; without a type, all of them.
fn icmp(scope: &Scope<'_>) -> Result<Service, Fault> {
    let byte = |name: &str, wire: &str| match scope.text(name) {
        None | Some("-1") => Ok(None),
        Some(text) => {
            let bad = || Fault::Value(format!("Value ({text}) for parameter {wire} is invalid. Use -1 to 255."));
            text.parse::<u8>().map(Some).map_err(|_| bad())
        }
    };
    match (byte("Icmp.Type", "icmp.type")?, byte("Icmp.Code", "icmp.code")?) {
        (None, None) => Ok(Service::Any),
        (None, Some(code)) => Err(Fault::Value(format!("ICMP code {code} needs a type; give icmp.type as well."))),
        (Some(kind), code) => Ok(Service::Icmp { kind, code }),
    }
}
