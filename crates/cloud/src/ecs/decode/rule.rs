//! One rule, from its parameters: an item of `Permissions.N`, or the flat parameters of an older client.
//!
//! Addresses stay as the client wrote them; nothing is masked or normalised (`spec/ecs.md` A4, H2).

use sekimori_core::{
    address::{Cidr, Family},
    command::NewRule,
    ids::{AccountId, GroupId, PortListId, PrefixListId},
    rule::{Action, Direction, Peer, PortRange, Protocol, RuleSpec, Service},
};

use super::scope::{Scope, is_id, is_printable};
use crate::ecs::{
    catalog::Action as Operation,
    errors::{Address, Fault, RuleFault},
};

/// The longest description of a rule, in characters.
const DESCRIPTION_MAX: usize = 512;
/// How a port range says that it is none.
const NO_PORTS: &str = "-1/-1";

/// Where the parameters of one rule are.
pub(super) struct Item<'a> {
    pub(super) scope: &'a Scope<'a>,
    pub(super) direction: Direction,
    /// The number in `Permissions.N`; `None` for a flat rule.
    pub(super) number: Option<u32>,
}

/// The names of the parameters of one end of a flow.
pub(super) struct End {
    is_source: bool,
    cidr: &'static str,
    ipv6_cidr: &'static str,
    pub(super) group: &'static str,
    owner_account: &'static str,
    owner_id: &'static str,
    prefix_list: &'static str,
}

const SOURCE: End = End {
    is_source: true,
    cidr: "SourceCidrIp",
    ipv6_cidr: "Ipv6SourceCidrIp",
    group: "SourceGroupId",
    owner_account: "SourceGroupOwnerAccount",
    owner_id: "SourceGroupOwnerId",
    prefix_list: "SourcePrefixListId",
};

const DEST: End = End {
    is_source: false,
    cidr: "DestCidrIp",
    ipv6_cidr: "Ipv6DestCidrIp",
    group: "DestGroupId",
    owner_account: "DestGroupOwnerAccount",
    owner_id: "DestGroupOwnerId",
    prefix_list: "DestPrefixListId",
};

impl Item<'_> {
    /// The rule that the parameters say.
    pub(super) fn rule(&self) -> Result<NewRule, Fault> {
        self.read().map_err(Fault::Rule)
    }

    fn read(&self) -> Result<NewRule, RuleFault> {
        let protocol = self.protocol()?.ok_or_else(|| RuleFault::Protocol { item: self.name("IpProtocol") })?;
        let (peer_end, local_end) = self.ends();
        let peer_cidr = self.cidr(&peer_end)?;
        let local = self.cidr(&local_end)?;
        check_families(Some(protocol), peer_cidr, local)?;
        let spec = RuleSpec {
            direction: self.direction,
            action: self.policy()?.unwrap_or(Action::Allow),
            priority: self.priority()?.unwrap_or(1),
            protocol,
            service: self.service(Some(protocol))?.ok_or(RuleFault::PortsMissing)?,
            source_ports: self.source_ports(Some(protocol))?,
            peer: self.peer(&peer_end, peer_cidr)?.ok_or_else(|| self.peer_missing())?,
            local,
        };
        Ok(NewRule::new(spec, self.description()?.unwrap_or_default()))
    }

    /// The other end, and the group's own.
    pub(super) fn ends(&self) -> (End, End) {
        match self.direction {
            Direction::Ingress => (SOURCE, DEST),
            Direction::Egress => (DEST, SOURCE),
        }
    }

    fn name(&self, field: &str) -> String {
        self.number.map_or_else(|| field.to_owned(), |number| format!("Permissions.{number}.{field}"))
    }

    pub(super) fn text(&self, field: &str) -> Option<&str> {
        self.scope.text(&self.name(field))
    }

    pub(super) fn protocol(&self) -> Result<Option<Protocol>, RuleFault> {
        let Some(text) = self.text("IpProtocol") else { return Ok(None) };
        let bad = || RuleFault::Protocol { item: self.name("IpProtocol") };
        protocol_of(text).map(Some).ok_or_else(bad)
    }

    pub(super) fn policy(&self) -> Result<Option<Action>, RuleFault> {
        match self.text("Policy") {
            None => Ok(None),
            Some(text) if text.eq_ignore_ascii_case("accept") => Ok(Some(Action::Allow)),
            Some(text) if text.eq_ignore_ascii_case("drop") => Ok(Some(Action::Deny)),
            Some(_) => Err(RuleFault::Policy { item: self.name("Policy") }),
        }
    }

    pub(super) fn priority(&self) -> Result<Option<u8>, RuleFault> {
        let Some(text) = self.text("Priority") else { return Ok(None) };
        let number: i64 = text.parse().map_err(|_| RuleFault::PriorityFormat)?;
        let priority = u8::try_from(number).ok().filter(|priority| (1..=100).contains(priority));
        priority.map(Some).ok_or_else(|| RuleFault::PriorityRange { item: self.name("Priority") })
    }

    /// The port range, or the port list.
    pub(super) fn service(&self, protocol: Option<Protocol>) -> Result<Option<Service>, RuleFault> {
        let Some(text) = self.text("PortRange") else { return self.port_list(protocol) };
        if text == NO_PORTS {
            return Ok(Some(Service::Any));
        }
        if !may_have_ports(protocol) {
            return Err(RuleFault::ProtocolAndPorts);
        }
        let ports = ports_of(text).ok_or_else(|| RuleFault::Ports { item: self.name("PortRange") })?;
        Ok(Some(Service::Ports(ports)))
    }

    /// The port list, which the flat rules of `Authorize…` and `Revoke…` cannot name.
    fn port_list(&self, protocol: Option<Protocol>) -> Result<Option<Service>, RuleFault> {
        let modifies = [Operation::ModifySecurityGroupRule, Operation::ModifySecurityGroupEgressRule];
        let may_name = self.number.is_some() || modifies.contains(&self.scope.call.action());
        let Some(list) = self.text("PortRangeListId").filter(|_| may_name) else { return Ok(None) };
        if !may_have_ports(protocol) {
            return Err(RuleFault::PortListProtocol);
        }
        if is_id(list) { Ok(Some(Service::PortList(PortListId::from(list)))) } else { Err(RuleFault::PortList) }
    }

    pub(super) fn source_ports(&self, protocol: Option<Protocol>) -> Result<Option<PortRange>, RuleFault> {
        let Some(text) = self.text("SourcePortRange").filter(|text| *text != NO_PORTS) else { return Ok(None) };
        if !may_have_ports(protocol) {
            return Err(RuleFault::SourcePorts);
        }
        ports_of(text).map(Some).ok_or(RuleFault::SourcePorts)
    }

    /// The address block of one end.
    pub(super) fn cidr(&self, end: &End) -> Result<Option<Cidr>, RuleFault> {
        let v4 = self.family_cidr(end, end.cidr, Family::V4)?;
        let v6 = self.family_cidr(end, end.ipv6_cidr, Family::V6)?;
        if v4.is_some() && v6.is_some() {
            let item = self.number.map_or_else(|| "the request".to_owned(), |number| format!("Permissions.{number}"));
            return Err(RuleFault::BothFamilies { is_source: end.is_source, item });
        }
        Ok(v4.or(v6))
    }

    fn family_cidr(&self, end: &End, field: &str, family: Family) -> Result<Option<Cidr>, RuleFault> {
        let Some(text) = self.text(field) else { return Ok(None) };
        let cidr = text.parse::<Cidr>().ok().filter(|cidr| cidr.family() == family);
        let at = match (family, end.is_source, self.number) {
            (Family::V4, true, None) => Address::FlatSourceCidrIp,
            (Family::V4, false, None) => Address::FlatDestCidrIp,
            (Family::V4, true, Some(_)) => Address::SourceCidrIp,
            (Family::V4, false, Some(_)) => Address::DestCidrIp,
            (Family::V6, true, _) => Address::Ipv6SourceCidrIp,
            (Family::V6, false, _) => Address::Ipv6DestCidrIp,
        };
        cidr.map(Some).ok_or_else(|| RuleFault::Address { at, item: self.name(field) })
    }

    /// The peer. An address wins over a group, a group over a prefix list; what loses is not looked at.
    pub(super) fn peer(&self, end: &End, cidr: Option<Cidr>) -> Result<Option<Peer>, RuleFault> {
        if let Some(cidr) = cidr {
            return Ok(Some(Peer::Cidr(cidr)));
        }
        if let Some(group) = self.text(end.group) {
            if !is_id(group) {
                return Err(RuleFault::PeerGroup { direction: self.direction });
            }
            return Ok(Some(Peer::Group { group: GroupId::from(group), account: self.owner(end) }));
        }
        let Some(list) = self.text(end.prefix_list) else { return Ok(None) };
        if is_id(list) { Ok(Some(Peer::PrefixList(PrefixListId::from(list)))) } else { Err(RuleFault::PrefixList) }
    }

    fn peer_missing(&self) -> RuleFault {
        let item = self.number.map(|number| format!("Permissions.{number}"));
        RuleFault::PeerMissing { direction: self.direction, item }
    }

    /// The account that a peer group belongs to: named by number, by name, or the caller's own. One that is
    /// not known owns no group, so `core` will not find the peer.
    fn owner(&self, end: &End) -> AccountId {
        if let Some(id) = self.text(end.owner_id) {
            return AccountId::from(id);
        }
        let Some(name) = self.text(end.owner_account) else { return self.scope.account.clone() };
        let known = self.scope.world.accounts().find(|account| account.name == name);
        known.map_or_else(|| AccountId::from(name), |account| account.id.clone())
    }

    pub(super) fn description(&self) -> Result<Option<String>, RuleFault> {
        let Some(text) = self.text("Description") else { return Ok(None) };
        if text.chars().count() <= DESCRIPTION_MAX && is_printable(text) {
            return Ok(Some(text.to_owned()));
        }
        Err(RuleFault::Description { item: self.name("Description") })
    }
}

/// The fields that make a flat rule: when one of them is there, the request has a flat rule.
pub(super) const FLAT_FIELDS: [&str; 19] = [
    "Policy",
    "Priority",
    "IpProtocol",
    "PortRange",
    "SourcePortRange",
    "SourceCidrIp",
    "Ipv6SourceCidrIp",
    "SourceGroupId",
    "SourceGroupOwnerAccount",
    "SourceGroupOwnerId",
    "SourcePrefixListId",
    "DestCidrIp",
    "Ipv6DestCidrIp",
    "DestGroupId",
    "DestGroupOwnerAccount",
    "DestGroupOwnerId",
    "DestPrefixListId",
    "Description",
    "PortRangeListId",
];

fn protocol_of(text: &str) -> Option<Protocol> {
    if let Ok(number) = text.parse::<u8>() {
        return Some(Protocol::Number(number));
    }
    Protocol::of_name(&text.to_ascii_lowercase())
}

/// Whether ports can be meant; the protocol of a rule that is to be changed is not known here.
fn may_have_ports(protocol: Option<Protocol>) -> bool {
    protocol.is_none_or(Protocol::has_ports)
}

/// `first/last`, both 1 to 65535, in order.
pub(super) fn ports_of(text: &str) -> Option<PortRange> {
    let (first, last) = text.split_once('/')?;
    let port = |text: &str| {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|port| is_plain && *port > 0)
    };
    PortRange::new(port(first)?, port(last)?)
}

pub(super) fn check_families(
    protocol: Option<Protocol>,
    peer: Option<Cidr>,
    local: Option<Cidr>,
) -> Result<(), RuleFault> {
    let family = protocol.and_then(Protocol::family);
    for cidr in [peer, local].into_iter().flatten() {
        match (family, cidr.family()) {
            (Some(Family::V4), Family::V6) => return Err(RuleFault::Ipv4Protocol),
            (Some(Family::V6), Family::V4) => return Err(RuleFault::Ipv6Protocol),
            (None, _) | (Some(Family::V4), Family::V4) | (Some(Family::V6), Family::V6) => {}
        }
    }
    let (Some(peer), Some(local)) = (peer, local) else { return Ok(()) };
    if peer.family() != local.family() {
        return Err(RuleFault::FamiliesDiffer);
    }
    if peer == local { Err(RuleFault::SameAddress) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_are_words_in_any_case_or_numbers() {
        let pairs =
            [("TCP", Protocol::TCP), ("icmpV6", Protocol::ICMPV6), ("47", Protocol::GRE), ("All", Protocol::Any)];
        for (text, protocol) in pairs {
            assert_eq!(protocol_of(text), Some(protocol));
        }
        assert_eq!(protocol_of("256").or(protocol_of("-1")).or(protocol_of("tcp ")), None);
    }

    #[test]
    fn port_ranges_are_two_ports_in_order() {
        assert_eq!(ports_of("22/22"), PortRange::new(22, 22));
        assert_eq!(ports_of("1/65535"), PortRange::new(1, 65535));
        for text in ["", "22", "200/1", "0/1", "1/65536", "-1/22", "1/2/3", "+1/2", "a/b", " 1/2"] {
            assert_eq!(ports_of(text), None, "{text}");
        }
    }
}
