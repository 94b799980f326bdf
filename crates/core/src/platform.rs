//! Platform policies: what a cloud does to traffic before its customers' groups are asked.
//!
//! On one's own hosts there is no platform to defend, so these are off until the operator turns them on (`sekimori platform`); but
//! the one that defends instances from each other is on until it is turned off. A policy that is on comes before every rule and before intra-group accepts; no group can
//! undo it, and every decision that it makes says so. What an ENI sends from a foreign address is dropped before.

use std::{fmt, net::IpAddr, str::FromStr};

use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};

use crate::{
    address::Cidr,
    packet::{Packet, Transport},
    rule::{Action, Direction, Peer, PortRange, Protocol, RuleSpec, Service},
    world::Vpc,
};

/// Where a cloud's own services and health checks come from (RFC 6598, shared address space).
pub const CLOUD_SERVICES: Ipv4Net = Ipv4Net::new_assert(std::net::Ipv4Addr::new(100, 64, 0, 0), 10);
/// The port of mail between servers.
pub const MAIL_PORT: u16 = 25;
/// What servers of DHCP send, by source port, destination port and whom to.
const DHCP_ANSWERS: [(u16, u16, Cidr); 2] = [(67, 68, Cidr::WORLD_V4), (547, 546, Cidr::WORLD_V6)];
/// Rules that the policies add to each direction of a policy, at most.
pub const PLATFORM_RULES_MAX: usize = 3;

/// A policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlatformPolicy {
    /// TCP to port 25 leaves no VPC ("port 25 of ECS instances is restricted"; rules cannot open it).
    Mail,
    /// What comes from 100.64.0.0/10 is let in ("Alibaba Cloud uses this reserved block for health checks"); without the
    /// policy, groups that deny everything need a rule for it.
    CloudServices,
    /// Instances do not hand out addresses: an answer of DHCP that one sends to nobody's question, or to everybody, is dropped. Answers come in
    /// unasked by the bypass set, so whoever shares a link with others could tell them who their router is. In a cloud nobody shares
    /// one; OpenStack Neutron drops it as well.
    DhcpServers,
}

impl PlatformPolicy {
    /// Every policy.
    pub const ALL: [Self; 3] = [Self::Mail, Self::CloudServices, Self::DhcpServers];

    /// Its name, as it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::CloudServices => "cloud-services",
            Self::DhcpServers => "dhcp-servers",
        }
    }

    /// What it does.
    #[must_use]
    pub fn action(self) -> Action {
        match self {
            Self::Mail | Self::DhcpServers => Action::Deny,
            Self::CloudServices => Action::Allow,
        }
    }

    /// The direction that it looks at.
    #[must_use]
    pub fn direction(self) -> Direction {
        match self {
            Self::Mail | Self::DhcpServers => Direction::Egress,
            Self::CloudServices => Direction::Ingress,
        }
    }

    /// What it does, in words.
    #[must_use]
    pub fn purpose(self) -> &'static str {
        match self {
            Self::Mail => "drops TCP to port 25 of every address outside the VPC",
            Self::CloudServices => "lets everything from 100.64.0.0/10 in, where a cloud's health checks come from",
            Self::DhcpServers => "drops what instances send as servers of DHCP, unless it answers a question to them",
        }
    }

    /// The packets that it is about as rules, if it looks at the same everywhere.
    #[must_use]
    pub fn rules(self) -> Vec<RuleSpec> {
        let rule = |what, source_ports, peer| RuleSpec {
            source_ports,
            ..RuleSpec::plain(self.direction(), self.action(), what, Peer::Cidr(peer))
        };
        match self {
            Self::Mail => Vec::new(),
            Self::CloudServices => {
                vec![rule((Protocol::Any, Service::Any), None, Cidr::from(IpNet::V4(CLOUD_SERVICES)))]
            }
            Self::DhcpServers => DHCP_ANSWERS
                .map(|(source, destination, peer)| {
                    let what = (Protocol::UDP, Service::Ports(PortRange::one(destination)));
                    rule(what, Some(PortRange::one(source)), peer)
                })
                .to_vec(),
        }
    }

    fn speaks_about(self, vpc: Option<&Vpc>, packet: &Packet) -> bool {
        packet.direction == self.direction()
            && match (self, packet.transport, packet.peer) {
                (Self::Mail, Transport::Tcp { destination, .. }, peer) => {
                    destination == MAIL_PORT && !holds(vpc, peer)
                }
                (Self::Mail, Transport::Udp { .. } | Transport::Icmp { .. } | Transport::Other { .. }, _) => false,
                (Self::CloudServices, _, IpAddr::V4(peer)) => CLOUD_SERVICES.contains(&peer),
                (Self::CloudServices, _, IpAddr::V6(_)) => false,
                (Self::DhcpServers, Transport::Udp { source, destination }, peer) => DHCP_ANSWERS
                    .iter()
                    .any(|(from, to, to_whom)| (*from, *to) == (source, destination) && to_whom.contains(peer)),
                (Self::DhcpServers, Transport::Tcp { .. } | Transport::Icmp { .. } | Transport::Other { .. }, _) => {
                    false
                }
            }
    }
}

/// The blocks of a VPC.
pub fn blocks(vpc: Option<&Vpc>) -> impl Iterator<Item = IpNet> + use<> {
    let v4 = vpc.map(|vpc| IpNet::V4(vpc.cidr.trunc()));
    let v6 = vpc.and_then(|vpc| vpc.ipv6).map(|net| IpNet::V6(net.trunc()));
    let further: Vec<IpNet> = vpc.into_iter().flat_map(|vpc| &vpc.further).map(IpNet::trunc).collect();
    v4.into_iter().chain(v6).chain(further)
}

fn holds(vpc: Option<&Vpc>, address: IpAddr) -> bool {
    blocks(vpc).any(|block| block.contains(&address))
}

impl fmt::Display for PlatformPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for PlatformPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|policy| policy.to_string() == text);
        known.ok_or_else(|| format!("`{text}` is not a platform policy; use mail, cloud-services or dhcp-servers"))
    }
}

/// Which policies are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Platform {
    mail: bool,
    cloud_services: bool,
    dhcp_servers: bool,
}

impl Default for Platform {
    fn default() -> Self {
        Self { mail: false, cloud_services: false, dhcp_servers: true }
    }
}

impl Platform {
    /// Whether a policy is on.
    #[must_use]
    pub fn has(self, policy: PlatformPolicy) -> bool {
        match policy {
            PlatformPolicy::Mail => self.mail,
            PlatformPolicy::CloudServices => self.cloud_services,
            PlatformPolicy::DhcpServers => self.dhcp_servers,
        }
    }

    /// The same with a policy turned on or off.
    #[must_use]
    pub fn with(mut self, policy: PlatformPolicy, is_on: bool) -> Self {
        match policy {
            PlatformPolicy::Mail => self.mail = is_on,
            PlatformPolicy::CloudServices => self.cloud_services = is_on,
            PlatformPolicy::DhcpServers => self.dhcp_servers = is_on,
        }
        self
    }

    /// The policies that are on and look at a direction.
    pub fn active(self, direction: Direction) -> impl Iterator<Item = PlatformPolicy> {
        let all = PlatformPolicy::ALL.into_iter();
        all.filter(move |policy| self.has(*policy) && policy.direction() == direction)
    }

    /// The policy that decides about a packet at an ENI of a VPC.
    #[must_use]
    pub fn decides(self, vpc: Option<&Vpc>, packet: &Packet) -> Option<PlatformPolicy> {
        self.active(packet.direction).find(|policy| policy.speaks_about(vpc, packet))
    }
}
