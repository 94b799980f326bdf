//! Traffic that passes before any rule (design, section 3, step 1).
//!
//! ARP and IPv6 neighbour and router discovery always pass and are not listed. The listed part starts
//! with DHCP and is the operator's to change (`sekimori up --bypass`). Amazon's own list (DNS, metadata,
//! time; `spec/ec2.md` A1) is not a default: behind those addresses stands a service only in their cloud.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{
    address::{Cidr, Family},
    limits::BYPASS_ENTRIES_MAX,
    packet::Packet,
    rule::{Action, Direction, Peer, PortRange, Protocol, RuleSpec, Service},
};

/// The listed part of the bypass set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BypassSet {
    entries: Vec<BypassEntry>,
}

/// Traffic that passes before any rule. It makes no flow: the answer needs an entry of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BypassEntry {
    /// Towards or away from the ENI.
    pub direction: Direction,
    /// The protocol.
    pub protocol: Protocol,
    /// Destination ports; `None` is every port.
    pub ports: Option<PortRange>,
    /// Source ports; `None` is every port.
    pub source_ports: Option<PortRange>,
    /// The other end. The family of the block is the family of the entry.
    pub peer: Cidr,
}

impl Default for BypassSet {
    /// DHCP and DHCPv6: clients ask from 68 (546) to 67 (547), servers answer the other way; those of IPv6, and relays, from their
    /// address on the link (RFC 8415).
    fn default() -> Self {
        Self { entries: dhcp().to_vec() }
    }
}

fn dhcp() -> [BypassEntry; 4] {
    let entry = |direction, source, destination, peer| BypassEntry {
        direction,
        protocol: Protocol::UDP,
        ports: Some(PortRange::one(destination)),
        source_ports: Some(PortRange::one(source)),
        peer,
    };
    [
        entry(Direction::Egress, 68, 67, Cidr::WORLD_V4),
        entry(Direction::Ingress, 67, 68, Cidr::WORLD_V4),
        entry(Direction::Egress, 546, 547, Cidr::WORLD_V6),
        entry(Direction::Ingress, 547, 546, Cidr::LINK_V6),
    ]
}

impl BypassSet {
    /// A set of these entries, at most [`BYPASS_ENTRIES_MAX`].
    ///
    /// # Errors
    /// Says how many entries there may be.
    pub fn new(entries: Vec<BypassEntry>) -> Result<Self, String> {
        if entries.len() > BYPASS_ENTRIES_MAX {
            return Err(format!(
                "{} bypass entries are more than the {BYPASS_ENTRIES_MAX} that fit; remove some",
                entries.len()
            ));
        }
        Ok(Self { entries })
    }

    /// Reads the operator's list: `none`, or items of [`BypassEntry`]'s text form and the word `dhcp`.
    ///
    /// # Errors
    /// Names the item that cannot be read, and the form it should have.
    pub fn from_items<'a>(items: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut entries = Vec::new();
        for item in items {
            match item {
                "none" => {}
                "dhcp" => entries.extend(dhcp()),
                other => entries.extend(parse_both_ways(other)?),
            }
        }
        Self::new(entries)
    }

    /// The entries.
    #[must_use]
    pub fn entries(&self) -> &[BypassEntry] {
        &self.entries
    }

    /// Whether a packet is in the set.
    #[must_use]
    pub fn holds(&self, packet: &Packet) -> bool {
        self.entries.iter().any(|entry| entry.matches(packet))
    }
}

impl BypassEntry {
    /// The family of the traffic.
    #[must_use]
    pub fn family(&self) -> Family {
        self.peer.family()
    }

    /// Whether it is one of the four for DHCP, which every set begins with.
    #[must_use]
    pub fn is_dhcp(&self) -> bool {
        dhcp().contains(self)
    }

    /// The entry as a rule that speaks about the same packets.
    #[must_use]
    pub fn as_rule(&self) -> RuleSpec {
        let Self { direction, protocol, ports, source_ports, peer } = self.clone();
        let what = (protocol, ports.map_or(Service::Any, Service::Ports));
        RuleSpec { source_ports, ..RuleSpec::plain(direction, Action::Allow, what, Peer::Cidr(peer)) }
    }

    fn matches(&self, packet: &Packet) -> bool {
        let within = |range: Option<PortRange>, port: Option<u16>| {
            range.is_none_or(|range| port.is_some_and(|port| range.contains(port)))
        };
        self.direction == packet.direction
            && self.protocol.matches(packet.transport.protocol())
            && self.peer.contains(packet.peer)
            && within(self.ports, packet.transport.destination_port())
            && within(self.source_ports, packet.transport.source_port())
    }
}

/// `udp/123@169.254.169.123`: the ENI may ask that service, and the answer comes back.
fn parse_both_ways(text: &str) -> Result<[BypassEntry; 2], String> {
    let bad =
        || format!("`{text}` is not a bypass entry; write PROTOCOL/PORT@CIDR, for example udp/123@169.254.169.123");
    let (service, peer) = text.split_once('@').ok_or_else(bad)?;
    let (protocol, port) = service.split_once('/').ok_or_else(bad)?;
    let protocol = match protocol {
        "tcp" => Protocol::TCP,
        "udp" => Protocol::UDP,
        _ => return Err(bad()),
    };
    let range = Some(PortRange::one(u16::from_str(port).map_err(|_| bad())?));
    let peer = Cidr::from_str(peer).map_err(|_| bad())?;
    let ask = BypassEntry { direction: Direction::Egress, protocol, ports: range, source_ports: None, peer };
    let answer = BypassEntry { direction: Direction::Ingress, ports: None, source_ports: range, ..ask.clone() };
    Ok([ask, answer])
}
