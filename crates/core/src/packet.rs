//! A packet as the rules see it, and what is decided about it.

use std::{fmt, net::IpAddr};

use serde::{Deserialize, Serialize};

use crate::{
    ids::{GroupId, NetworkAclId, RuleId},
    platform::PlatformPolicy,
    rule::{Action, Direction, Protocol},
    ways::Gap,
    world::Revision,
};

/// What a packet's transport header tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Transport {
    /// TCP.
    Tcp {
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
    },
    /// UDP.
    Udp {
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
    },
    /// ICMP (protocol 1) or ICMPv6 (protocol 58).
    Icmp {
        /// 1 or 58.
        protocol: u8,
        /// The type.
        kind: u8,
        /// The code.
        code: u8,
    },
    /// Any other protocol.
    Other {
        /// Its IANA number.
        protocol: u8,
    },
}

impl Transport {
    /// The IANA protocol number.
    #[must_use]
    pub fn protocol(self) -> u8 {
        match self {
            Self::Tcp { .. } => 6,
            Self::Udp { .. } => 17,
            Self::Icmp { protocol, .. } | Self::Other { protocol } => protocol,
        }
    }

    /// The source port, if the protocol has ports.
    #[must_use]
    pub fn source_port(self) -> Option<u16> {
        match self {
            Self::Tcp { source, .. } | Self::Udp { source, .. } => Some(source),
            Self::Icmp { .. } | Self::Other { .. } => None,
        }
    }

    /// The destination port, if the protocol has ports.
    #[must_use]
    pub fn destination_port(self) -> Option<u16> {
        match self {
            Self::Tcp { destination, .. } | Self::Udp { destination, .. } => Some(destination),
            Self::Icmp { .. } | Self::Other { .. } => None,
        }
    }
}

/// A packet at one ENI: the first of a flow, as far as rules are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Packet {
    /// `Ingress` when it goes to the ENI, `Egress` when it comes from it.
    pub direction: Direction,
    /// The ENI's own address.
    pub local: IpAddr,
    /// The other end's address.
    pub peer: IpAddr,
    /// Protocol, ports, type and code.
    pub transport: Transport,
    /// Whether the ENI that sent it had it from another: its source is none of that ENI's addresses. Only the hosts that both
    /// are on can tell (EC2; seed 002: a packet that a middlebox forwards is from no group).
    #[serde(default)]
    pub is_forwarded: bool,
}

impl Packet {
    /// The address that it comes from.
    #[must_use]
    pub fn source(&self) -> IpAddr {
        match self.direction {
            Direction::Ingress => self.peer,
            Direction::Egress => self.local,
        }
    }

    /// The address that it goes to.
    #[must_use]
    pub fn destination(&self) -> IpAddr {
        match self.direction {
            Direction::Ingress => self.local,
            Direction::Egress => self.peer,
        }
    }
}

/// Why a packet was allowed or denied.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Why {
    /// It is in the bypass set.
    Bypass,
    /// It continues or answers an allowed flow, or reports an error of one.
    KnownFlow,
    /// The peer shares a group whose inner access is Accept.
    IntraGroup {
        /// The shared group that decided; the first by id if several do.
        group: GroupId,
    },
    /// A rule matched.
    Rule {
        /// The group it is part of.
        group: GroupId,
        /// The rule.
        rule: RuleId,
    },
    /// A platform policy comes before the rules.
    Platform {
        /// The policy.
        policy: PlatformPolicy,
    },
    /// The network ACL of the ENI's subnet denies it, whatever the rules say.
    NetworkAcl {
        /// The ACL.
        acl: NetworkAclId,
        /// The number of the entry; `None` is what comes after all of them.
        entry: Option<u16>,
    },
    /// No rule matched: the flavor's default for the direction.
    Default,
    /// The ENI sent from an address or MAC that is not its own.
    Spoofed,
    /// TCP that does not begin a connection, without a known flow.
    MidStream,
    /// A fragment whose first part was not admitted.
    Fragment,
    /// The headers cannot be read.
    Malformed,
    /// The ENI has no valid policy yet.
    NoPolicy,
    /// The flow table has no room for another flow of the ENI: its share is used up, and so is the pool.
    TableFull,
    /// The ENI has as many half-open flows as it may have.
    HalfOpen,
    /// Nothing leads between the ENI and what is outside. No rule says so and no data plane: it is known of real accounts only.
    NoWay {
        /// What is missing.
        gap: Gap,
    },
}

/// What becomes of a packet at one end, and why.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Decision {
    /// Allow or deny.
    pub action: Action,
    /// The reason.
    pub why: Why,
    /// The revision of the world that decided.
    pub revision: Revision,
}

impl Decision {
    /// Whether the packet passes.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.action == Action::Allow
    }
}

impl fmt::Display for Transport {
    /// `tcp/443`, `icmp/8/0`, `gre`: the form in which a question names a service.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Protocol::Number(self.protocol()))?;
        match self {
            Self::Tcp { destination, .. } | Self::Udp { destination, .. } => write!(f, "/{destination}"),
            Self::Icmp { kind, code, .. } => write!(f, "/{kind}/{code}"),
            Self::Other { .. } => Ok(()),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bypass => f.write_str("bypass set"),
            Self::KnownFlow => f.write_str("known flow"),
            Self::IntraGroup { group } => write!(f, "intra-group accept of {group}"),
            Self::Rule { group, rule } => write!(f, "rule {rule} of {group}"),
            Self::Platform { policy } => write!(f, "platform policy {policy}"),
            Self::NetworkAcl { acl, entry: Some(number) } => write!(f, "entry {number} of network ACL {acl}"),
            Self::NetworkAcl { acl, entry: None } => write!(f, "no entry of network ACL {acl}"),
            Self::Default => f.write_str("default"),
            Self::Spoofed => f.write_str("source address is not the ENI's"),
            Self::MidStream => f.write_str("TCP without a known flow"),
            Self::Fragment => f.write_str("fragment without its first part"),
            Self::Malformed => f.write_str("unreadable headers"),
            Self::NoPolicy => f.write_str("no policy applied"),
            Self::TableFull => f.write_str("no room for another flow"),
            Self::HalfOpen => f.write_str("too many half-open flows"),
            Self::NoWay { gap } => gap.fmt(f),
        }
    }
}
