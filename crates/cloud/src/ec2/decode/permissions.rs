//! The rules of a call: `IpPermissions.N`, each with any number of sources, or one flat rule.
//!
//! A rule here is one source: a permission with three ranges is three rules (`spec/ec2.md` B2).

use std::collections::BTreeSet;

use sekimori_core::{
    address::{Cidr, Family},
    command::NewRule,
    ids::{AccountId, GroupId, PrefixListId},
    refusal::Kind,
    rule::{Action, Direction, Peer, PortRange, Protocol, RuleSpec, Service, ec2::read_protocol},
};

use super::scope::{Scope, read_id};
use crate::ec2::errors::{Fault, IdKind, RuleFault, is_words};

/// What of a flat rule says that there is one.
const FLAT: [&str; 5] = ["IpProtocol", "FromPort", "ToPort", "CidrIp", "SourceSecurityGroupName"];

/// The rules of a call, in its order; none if it names none.
pub(super) fn rules(scope: &Scope<'_>, direction: Direction) -> Result<Vec<NewRule>, Fault> {
    let rules = listed(scope, direction)?;
    if rules.is_empty() && FLAT.iter().any(|name| scope.text(name).is_some()) {
        return distinct(flat(scope, direction)?);
    }
    Ok(rules)
}

/// The rules of `IpPermissions.N` alone.
pub(super) fn listed(scope: &Scope<'_>, direction: Direction) -> Result<Vec<NewRule>, Fault> {
    let mut rules = Vec::new();
    for number in scope.items("IpPermissions") {
        let permission = Permission { scope, direction, prefix: format!("IpPermissions.{number}.") };
        rules.extend(permission.rules()?);
    }
    distinct(rules)
}

fn distinct(rules: Vec<NewRule>) -> Result<Vec<NewRule>, Fault> {
    let distinct: BTreeSet<_> = rules.iter().map(|rule| &rule.spec).collect();
    if distinct.len() < rules.len() { Err(RuleFault::Twice.into()) } else { Ok(rules) }
}

/// The form of before there were lists. A group is named by its name there, which only the default VPC's groups could be.
fn flat(scope: &Scope<'_>, direction: Direction) -> Result<Vec<NewRule>, Fault> {
    if let Some(name) = scope.text("SourceSecurityGroupName") {
        return Err(RuleFault::GroupByName(name.to_owned()).into());
    }
    let permission = Permission { scope, direction, prefix: String::new() };
    let (protocol, service) = permission.what()?;
    let cidr = scope.text("CidrIp").ok_or(RuleFault::NoSource)?;
    let peer = Peer::Cidr(block(cidr, Family::V4)?);
    Ok(vec![NewRule::new(permission.spec(protocol, service, peer), "")])
}

/// The one source of a rule that is written anew. Group, protocol and ports come before it (`spec/ec2.md` B2).
pub(super) fn rewritten(scope: &Scope<'_>, direction: Direction, prefix: String) -> Result<NewRule, Fault> {
    let permission = Permission { scope, direction, prefix };
    let (protocol, service) = permission.what()?;
    let sources = ["CidrIpv4", "CidrIpv6", "PrefixListId", "ReferencedGroupId"];
    let given: Vec<(&str, &str)> =
        sources.into_iter().filter_map(|name| Some((name, permission.text(name)?))).collect();
    let peer = match given.as_slice() {
        [] => return Err(Fault::NoSource),
        [("CidrIpv4", text)] => Peer::Cidr(block(text, Family::V4)?),
        [("CidrIpv6", text)] => Peer::Cidr(block(text, Family::V6)?),
        [("PrefixListId", text)] => Peer::PrefixList(read_id(text, IdKind::PrefixList)?),
        [(_, text)] => permission.group_named(text, None)?,
        [_, _, ..] => {
            let message = "Only one of cidrIp, cidrIpv6, prefixListId, or referencedGroupId can be specified";
            return Err(Fault::Combination(message.to_owned()));
        }
    };
    let description = permission.description(&permission.prefix)?;
    Ok(NewRule::new(permission.spec(protocol, service, peer), description))
}

/// One permission of a call.
struct Permission<'a, 'b> {
    scope: &'b Scope<'a>,
    direction: Direction,
    prefix: String,
}

impl<'a> Permission<'a, '_> {
    fn rules(&self) -> Result<Vec<NewRule>, Fault> {
        let (protocol, service) = self.what()?;
        let mut peers = Vec::new();
        for (item, text) in self.sources("IpRanges", "CidrIp") {
            peers.push((Peer::Cidr(block(text, Family::V4)?), item));
        }
        for (item, text) in self.sources("Ipv6Ranges", "CidrIpv6") {
            peers.push((Peer::Cidr(block(text, Family::V6)?), item));
        }
        for (item, text) in self.sources("PrefixListIds", "PrefixListId") {
            let list: PrefixListId = read_id(text, IdKind::PrefixList)?;
            peers.push((Peer::PrefixList(list), item));
        }
        for number in self.scope.items(&format!("{}Groups", self.prefix)) {
            let item = format!("{}Groups.{number}.", self.prefix);
            peers.push((self.group(&item)?, item));
        }
        if peers.is_empty() {
            return Err(RuleFault::NoSource.into());
        }
        let rule = |(peer, item): (Peer, String)| {
            let description = self.description(&item)?;
            Ok(NewRule::new(self.spec(protocol, service.clone(), peer), description))
        };
        peers.into_iter().map(rule).collect()
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        self.scope.text(&format!("{}{name}", self.prefix))
    }

    /// The items of one list of sources, each as its prefix and its text.
    fn sources(&self, list: &str, name: &str) -> Vec<(String, &'a str)> {
        let numbers = self.scope.items(&format!("{}{list}", self.prefix)).into_iter();
        let items = numbers.map(|number| format!("{}{list}.{number}.", self.prefix));
        items.filter_map(|item| Some((item.clone(), self.scope.text(&format!("{item}{name}"))?))).collect()
    }

    fn description(&self, item: &str) -> Result<String, Fault> {
        description(self.scope, item)
    }

    /// A group, with the account that owns it: the one that is named, or the caller's.
    fn group(&self, item: &str) -> Result<Peer, Fault> {
        let text = |name: &str| self.scope.text(&format!("{item}{name}"));
        let Some(id) = text("GroupId") else {
            return Err(text("GroupName")
                .map_or(RuleFault::NoSource, |name| RuleFault::GroupByName(name.into()))
                .into());
        };
        self.group_named(id, text("UserId"))
    }

    fn group_named(&self, id: &str, account: Option<&str>) -> Result<Peer, Fault> {
        let group: GroupId = read_id(id, IdKind::Group)?;
        let vpc = self.scope.world.group(&group).map(|group| &group.vpc);
        self.scope.check_region(vpc, Kind::PeerGroup, id)?;
        let account = account.map_or_else(|| self.scope.account.clone(), AccountId::from);
        if self.scope.world.group(&group).is_some_and(|group| group.account != account) {
            return Err(Fault::missing(Kind::PeerGroup, id));
        }
        Ok(Peer::Group { group, account })
    }

    /// Protocol and ports.
    fn what(&self) -> Result<(Protocol, Service), Fault> {
        let text = self.text("IpProtocol").ok_or(RuleFault::NoProtocol)?;
        let protocol = read_protocol(text).ok_or_else(|| RuleFault::Protocol(text.to_owned()))?;
        let service = match protocol {
            Protocol::TCP | Protocol::UDP => self.ports()?,
            Protocol::ICMP | Protocol::ICMPV6 => self.icmp(protocol)?,
            // Ports of other protocols are no error and mean nothing.
            Protocol::Any | Protocol::Number(_) => Service::Any,
        };
        Ok((protocol, service))
    }

    fn ports(&self) -> Result<Service, RuleFault> {
        let port = |name: &str, is_from: bool| {
            let text = self.text(name).ok_or(RuleFault::NoPorts { is_icmp: false })?;
            text.parse::<u16>().map_err(|_| RuleFault::Port { is_from, text: text.to_owned() })
        };
        let (from, to) = (port("FromPort", true)?, port("ToPort", false)?);
        let inverted = RuleFault::InvertedPorts { from: from.into(), to: to.into() };
        PortRange::new(from, to).map(Service::Ports).ok_or(inverted)
    }

    /// Type and code; `-1` is every one. ICMPv6 may leave both out.
    fn icmp(&self, protocol: Protocol) -> Result<Service, RuleFault> {
        let (kind, code) = match (self.text("FromPort"), self.text("ToPort")) {
            (None, None) if protocol == Protocol::ICMPV6 => return Ok(Service::Any),
            (Some(kind), Some(code)) => (kind, code),
            (None, _) | (_, None) => return Err(RuleFault::NoPorts { is_icmp: true }),
        };
        let byte = |text: &str| match text {
            "-1" => Some(None),
            number => number.parse::<u8>().ok().map(Some),
        };
        let kind_number = byte(kind).ok_or_else(|| RuleFault::IcmpType(kind.to_owned()))?;
        let code_number = byte(code).ok_or_else(|| RuleFault::IcmpCode(code.to_owned()))?;
        match (kind_number, code_number) {
            (None, None) => Ok(Service::Any),
            (None, Some(_)) => Err(RuleFault::IcmpCode(code.to_owned())),
            (Some(kind), code) => Ok(Service::Icmp { kind, code }),
        }
    }

    fn spec(&self, protocol: Protocol, service: Service, peer: Peer) -> RuleSpec {
        RuleSpec::plain(self.direction, Action::Allow, (protocol, service), peer)
    }
}

/// The words about a rule, which may be left out.
pub(super) fn description(scope: &Scope<'_>, item: &str) -> Result<String, Fault> {
    let text = scope.text(&format!("{item}Description")).unwrap_or_default();
    if is_words(text) { Ok(text.to_owned()) } else { Err(RuleFault::Description.into()) }
}

/// A block of a family, without host bits.
pub(super) fn block(text: &str, family: Family) -> Result<Cidr, RuleFault> {
    let cidr = text.parse::<Cidr>().ok().filter(|cidr| text.contains('/') && cidr.family() == family);
    cidr.map(|cidr| cidr.canonical()).ok_or_else(|| RuleFault::Block(text.to_owned()))
}
