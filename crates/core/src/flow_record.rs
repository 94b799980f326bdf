//! Traffic put together for records of flow logs: what one interface let pass or refused of one tuple, in one minute.
//!
//! Agents make these facts and servers write records of them. Nothing here knows a record's format.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{ids::EniId, rule::Direction};

/// Seconds of a window; every flow log's interval is a multiple of it.
pub const TRAFFIC_WINDOW_S: i64 = 60;
/// Facts of one window of a host; beyond these an interface's traffic is told to be incomplete.
pub const TRAFFIC_FACTS_MAX: usize = 131_072;
/// Facts in one message.
pub const TRAFFIC_FACTS_PER_MESSAGE_MAX: usize = 4_096;

/// What a fact is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TrafficKey {
    /// The interface.
    pub eni: EniId,
    /// Towards or away from it.
    pub direction: Direction,
    /// Whether it passed.
    pub passed: bool,
    /// IANA number.
    pub protocol: u8,
    /// Where the packets came from.
    pub source: IpAddr,
    /// Where they went.
    pub destination: IpAddr,
    /// Zero without ports.
    pub source_port: u16,
    /// Zero without ports.
    pub destination_port: u16,
}

/// How much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrafficSum {
    /// Packets; a GSO packet counts its segments.
    pub packets: u64,
    /// Bytes at the interface, Ethernet headers included.
    pub bytes: u64,
    /// FIN 1, SYN 2, RST 4, SYN-ACK 18: all that were seen.
    pub tcp_flags: u8,
    /// Seconds since 1970 of the first packet, as far as it is known.
    pub first_s: i64,
    /// Of the last one.
    pub last_s: i64,
}

impl TrafficSum {
    /// Adds what was seen of the same.
    pub fn add(&mut self, other: &Self) {
        self.packets = self.packets.saturating_add(other.packets);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.tcp_flags |= other.tcp_flags;
        self.first_s = self.first_s.min(other.first_s);
        self.last_s = self.last_s.max(other.last_s);
    }
}

/// A part of what a host has seen in one window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrafficPart {
    /// Where the window starts, in seconds since 1970: a multiple of [`TRAFFIC_WINDOW_S`].
    pub start_s: i64,
    /// Each key once in all parts of a window.
    pub facts: Vec<(TrafficKey, TrafficSum)>,
    /// Interfaces of which something is missing.
    pub skipped: Vec<EniId>,
    /// Whether the window ends with this part.
    pub is_last: bool,
}

/// A use of an interface that records of flow logs show: what was let pass of one kind, whoever's port it came from. Answers are none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observed {
    /// The interface.
    pub eni: EniId,
    /// Towards or away from it; `None` where the records do not say so.
    pub direction: Option<Direction>,
    /// IANA number.
    pub protocol: u8,
    /// Where the packets came from.
    pub source: IpAddr,
    /// Where they went.
    pub destination: IpAddr,
    /// The destination port, of what has ports.
    pub port: Option<u16>,
    /// In how many records it was seen.
    pub records: u64,
}
