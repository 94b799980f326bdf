//! One rule of a security group, in either dialect, and the order in which rules decide.

pub mod ec2;

use std::{fmt, ops::RangeInclusive};

use serde::{Deserialize, Serialize};

use crate::{
    address::{Cidr, Family},
    ids::{AccountId, GroupId, PortListId, PrefixListId, RuleId},
    tags::Tags,
    time::Timestamp,
    world::Flavor,
};

/// Which way a rule looks: `Ingress` towards the ENI, `Egress` away from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Direction {
    /// Towards the ENI.
    Ingress,
    /// Away from the ENI.
    Egress,
}

impl Direction {
    /// The other direction.
    #[must_use]
    pub fn reverse(self) -> Self {
        match self {
            Self::Ingress => Self::Egress,
            Self::Egress => Self::Ingress,
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        })
    }
}

/// What a rule, or a default, does with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Action {
    /// Drop in silence. Sorts before `Allow`: at equal priority deny decides (`spec/ecs.md` A2).
    Deny,
    /// Pass.
    Allow,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deny => "deny",
            Self::Allow => "allow",
        })
    }
}

/// An IP protocol, or all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Protocol {
    /// Every protocol.
    Any,
    /// One IANA protocol number.
    Number(u8),
}

impl Protocol {
    /// ICMP for IPv4, protocol 1.
    pub const ICMP: Self = Self::Number(1);
    /// TCP, protocol 6.
    pub const TCP: Self = Self::Number(6);
    /// UDP, protocol 17.
    pub const UDP: Self = Self::Number(17);
    /// GRE, protocol 47.
    pub const GRE: Self = Self::Number(47);
    /// ICMP for IPv6, protocol 58.
    pub const ICMPV6: Self = Self::Number(58);

    /// The protocol of a name, as [`Display`](fmt::Display) writes it; a number is no name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        match name {
            "all" => Some(Self::Any),
            "icmp" => Some(Self::ICMP),
            "tcp" => Some(Self::TCP),
            "udp" => Some(Self::UDP),
            "gre" => Some(Self::GRE),
            "icmpv6" => Some(Self::ICMPV6),
            _ => None,
        }
    }

    /// Whether the protocol's packets carry ports that rules may name.
    #[must_use]
    pub fn has_ports(self) -> bool {
        matches!(self, Self::TCP | Self::UDP)
    }

    /// The only family that the protocol runs over, if there is just one.
    #[must_use]
    pub fn family(self) -> Option<Family> {
        match self {
            Self::ICMP => Some(Family::V4),
            Self::ICMPV6 => Some(Family::V6),
            Self::Any | Self::Number(_) => None,
        }
    }

    /// Whether a packet of protocol `number` is covered.
    #[must_use]
    pub fn matches(self, number: u8) -> bool {
        match self {
            Self::Any => true,
            Self::Number(own) => own == number,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Any => f.write_str("all"),
            Self::ICMP => f.write_str("icmp"),
            Self::TCP => f.write_str("tcp"),
            Self::UDP => f.write_str("udp"),
            Self::GRE => f.write_str("gre"),
            Self::ICMPV6 => f.write_str("icmpv6"),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

/// An inclusive range of ports, `first <= last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// Every port.
    pub const ALL: Self = Self { first: 0, last: u16::MAX };

    /// A range, or `None` when it is inverted.
    #[must_use]
    pub fn new(first: u16, last: u16) -> Option<Self> {
        (first <= last).then_some(Self { first, last })
    }

    /// A range of one port.
    #[must_use]
    pub fn one(port: u16) -> Self {
        Self { first: port, last: port }
    }

    /// The lowest port.
    #[must_use]
    pub fn first(self) -> u16 {
        self.first
    }

    /// The highest port.
    #[must_use]
    pub fn last(self) -> u16 {
        self.last
    }

    /// Whether a port lies in the range.
    #[must_use]
    pub fn contains(self, port: u16) -> bool {
        RangeInclusive::new(self.first, self.last).contains(&port)
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last { write!(f, "{}", self.first) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

/// What a rule asks of the packet's service: destination port, or ICMP type and code.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Service {
    /// Every service of the protocol.
    Any,
    /// Destination ports (TCP and UDP).
    Ports(PortRange),
    /// The destination ports of a port list (TCP and UDP).
    PortList(PortListId),
    /// An ICMP or ICMPv6 type, with one code or all (EC2).
    Icmp {
        /// The type.
        kind: u8,
        /// The code; `None` is every code.
        code: Option<u8>,
    },
}

/// Who may be at the other end of the flow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Peer {
    /// An address block.
    Cidr(Cidr),
    /// The entries of a prefix list, as they are now.
    PrefixList(PrefixListId),
    /// The private addresses of the ENIs that carry a group now.
    Group {
        /// The group.
        group: GroupId,
        /// The account that owns it.
        account: AccountId,
    },
}

impl Peer {
    /// Whether the peer is the whole of an address family.
    #[must_use]
    pub fn is_world(&self) -> bool {
        match self {
            Self::Cidr(cidr) => cidr.is_world(),
            Self::PrefixList(_) | Self::Group { .. } => false,
        }
    }
}

/// What a rule says, without its name: two equal specs in one group are the same rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RuleSpec {
    /// Which way the rule looks.
    pub direction: Direction,
    /// Allow or deny. `Ec2` groups hold allow rules only.
    pub action: Action,
    /// 1 (decides first) to 100. `Ec2` groups do not use it; their rules carry 1.
    pub priority: u8,
    /// The protocol.
    pub protocol: Protocol,
    /// Destination port or ICMP type.
    pub service: Service,
    /// Source ports (ECS five-tuple rules).
    pub source_ports: Option<PortRange>,
    /// The other end.
    pub peer: Peer,
    /// Narrows the ENI's own addresses (ECS five-tuple rules).
    pub local: Option<Cidr>,
}

impl RuleSpec {
    /// A rule for every address of the ENI and every source port, of the highest priority: all that an EC2 rule can say.
    #[must_use]
    pub fn plain(direction: Direction, action: Action, what: (Protocol, Service), peer: Peer) -> Self {
        let (protocol, service) = what;
        Self { direction, action, priority: 1, protocol, service, source_ports: None, peer, local: None }
    }
}

/// A rule of a security group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Its name.
    pub id: RuleId,
    /// What it says.
    pub spec: RuleSpec,
    /// The owner's words about it; not part of its identity.
    pub description: String,
    /// The owner's tags (EC2); not part of its identity.
    pub tags: Tags,
    /// When it was authorized.
    pub created_at: Timestamp,
}

/// The place of a rule in the decision order of a policy set: lower decides first.
///
/// `Ecs*`: priority, then deny before allow (`spec/ecs.md` A2). `Ec2` rules are a union, so order cannot
/// change the outcome; rules for the whole world come last, so that a flow which a narrower rule also
/// allows counts as tracked (`spec/ec2.md` A2). Ties are broken by group and rule id, so that the deciding
/// rule is the same on every host.
pub type Order<'a> = (u8, Action, bool, &'a GroupId, &'a RuleId);

/// The place of a rule but for its name: rules of equal rank come by group and rule id.
pub type Rank = (u8, Action, bool);

/// See [`Rank`].
#[must_use]
pub fn rank(flavor: Flavor, rule: &Rule) -> Rank {
    let spec = &rule.spec;
    let world_last = match flavor {
        Flavor::EcsBasic | Flavor::EcsEnterprise => false,
        Flavor::Ec2 => spec.peer.is_world(),
    };
    (spec.priority, spec.action, world_last)
}

/// See [`Order`].
#[must_use]
pub fn order<'a>(flavor: Flavor, group: &'a GroupId, rule: &'a Rule) -> Order<'a> {
    let (priority, action, world_last) = rank(flavor, rule);
    (priority, action, world_last, group, &rule.id)
}
