//! What is told of single packets: those that began a flow, and those that were dropped.
//!
//! An event is a sight, not a count: under a flood the kernel tells of some packets only and counts the rest as lost. Nothing
//! here reads a packet.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{
    ids::{EniId, GroupId, RuleId},
    rule::Direction,
    world::Revision,
};

/// Events in one message of an agent.
pub const FLOW_EVENTS_PER_MESSAGE_MAX: usize = 512;

/// Every reason that an event may have, as counters name them.
pub const REASON_NAMES: [&str; 19] = [
    "bypass",
    "known-flow",
    "known-flow-error",
    "known-fragment",
    "rule",
    "intra-group",
    "default",
    "flow-ended-by-change",
    "spoofed",
    "mid-stream",
    "fragment",
    "malformed",
    "no-policy",
    "table-full",
    "changing",
    "not-ip",
    "platform",
    "network-acl",
    "half-open",
];

/// Type and code of an ICMP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IcmpKind {
    /// The type.
    #[serde(rename = "type")]
    pub kind: u8,
    /// The code.
    pub code: u8,
}

/// A packet that began a flow, or was dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowEvent {
    /// Milliseconds since 1970, by the clock of the host.
    pub at_ms: u64,
    /// The interface where it was judged.
    pub eni: EniId,
    /// Towards or away from it.
    pub direction: Direction,
    /// Whether it passed.
    pub passed: bool,
    /// The reason, as counters name it.
    pub reason: String,
    /// The group whose rule decided; for an intra-group accept, the group whose policy it is.
    pub group: Option<GroupId>,
    /// The rule that decided; with a group and without this it is the group's intra-group accept.
    pub rule: Option<RuleId>,
    /// The version of the interface's policy, as its host numbers them.
    pub policy: u32,
    /// The revision that was enforced; `None` for what an agent finds that has just started.
    pub revision: Option<Revision>,
    /// IANA number.
    pub protocol: u8,
    /// The interface's end; `None` where the packet could not be read so far.
    pub local: Option<IpAddr>,
    /// The other end.
    pub peer: Option<IpAddr>,
    /// The port of the interface's end, if the protocol has ports.
    pub local_port: Option<u16>,
    /// The port of the other end.
    pub peer_port: Option<u16>,
    /// What an ICMP message says.
    pub icmp: Option<IcmpKind>,
    /// Flags of its TCP header.
    pub tcp_flags: u8,
    /// Its length at the interface, Ethernet header included.
    pub bytes: u32,
    /// Its segments.
    pub packets: u32,
}

impl FlowEvent {
    /// Where it came from: address and port.
    #[must_use]
    pub fn source(&self) -> (Option<IpAddr>, Option<u16>) {
        match self.direction {
            Direction::Ingress => (self.peer, self.peer_port),
            Direction::Egress => (self.local, self.local_port),
        }
    }

    /// Where it was going.
    #[must_use]
    pub fn destination(&self) -> (Option<IpAddr>, Option<u16>) {
        match self.direction {
            Direction::Ingress => (self.local, self.local_port),
            Direction::Egress => (self.peer, self.peer_port),
        }
    }
}

/// Events that were not told, by cause: totals since the host's maps were made, the last since its agent started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventLosses {
    /// Beyond the share of their interface, or the sum of their CPU.
    pub rate_limit: u64,
    /// No room in the kernel's ring: the agent was late.
    pub ring_full: u64,
    /// The server did not take them, or was away.
    pub server_slow: u64,
}

impl EventLosses {
    /// Each cause with its name.
    #[must_use]
    pub fn by_cause(&self) -> [(&'static str, u64); 3] {
        [("rate-limit", self.rate_limit), ("ring-full", self.ring_full), ("server-slow", self.server_slow)]
    }

    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.by_cause().iter().fold(0, |sum, (_, lost)| sum.saturating_add(*lost))
    }
}

/// What an agent has seen since its last report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowReport {
    /// In the order in which they were seen, at most [`FLOW_EVENTS_PER_MESSAGE_MAX`].
    pub events: Vec<FlowEvent>,
    /// What was not told.
    pub lost: EventLosses,
}

/// Which events somebody reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowInterest {
    /// Of flows that begin.
    pub allowed: bool,
    /// Of drops.
    pub denied: bool,
    /// Whether traffic is to be put together for records of flow logs.
    pub records: bool,
}
