//! Packets made byte by byte, sent over a host's link, and what became of each: the reason that the data plane counted at the ENI it was
//! for, and whether it arrived there.
//!
//! Checksums of TCP are wrong, so that no host answers on its own account; where a test wants an answer it makes one.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use sekimori_compile::abi::Reason;
use sekimori_core::{address::Family, rule::Direction};

use super::{
    Lab, fail, frames,
    host::{FRAME_BYTES_MAX, Host, Link},
    must, pause,
};
use crate::frame;

/// SYN, in the flags of a TCP header.
pub const SYN: u8 = 0x02;
/// SYN and ACK.
pub const SYN_ACK: u8 = 0x12;
/// ACK.
pub const ACK: u8 = 0x10;
/// FIN and ACK.
pub const FIN: u8 = 0x11;
/// RST.
pub const RST: u8 = 0x04;

/// How long something that is counted may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long an arrival may take after its packet was counted.
const ARRIVAL: Duration = Duration::from_millis(300);
/// Where a packet lies in a frame.
const ETHERNET: usize = 14;

/// A part of a packet.
#[derive(Clone, Copy, Debug)]
pub struct Fragment {
    /// Which packet it is part of.
    pub id: u32,
    /// Where in the packet it begins, in bytes.
    pub at: u16,
    /// Whether there are parts behind it.
    pub has_more: bool,
}

/// A packet between two ends, or a part of one.
#[must_use]
pub fn packet(ends: (IpAddr, IpAddr), fragment: Option<Fragment>, protocol: u8, body: &[u8]) -> Vec<u8> {
    let Some(Fragment { id, at, has_more }) = fragment else {
        return frames::packet((SocketAddr::new(ends.0, 0), SocketAddr::new(ends.1, 0)), protocol, body);
    };
    if ends.0.is_ipv6() {
        return frame::ip(ends.0, ends.1, 44, &in_fragment(Fragment { id, at, has_more }, protocol, body));
    }
    let mut bytes = frame::ip(ends.0, ends.1, protocol, body);
    let place = (at / 8) | if has_more { 0x2000 } else { 0 };
    let words = [(id as u16).to_be_bytes(), place.to_be_bytes()].concat();
    if let Some(to) = bytes.get_mut(4..8) {
        to.copy_from_slice(&words);
    }
    frames::set_header_checksum(&mut bytes);
    bytes
}

/// What lies behind an IPv6 fragment header, with the header.
#[must_use]
pub fn in_fragment(Fragment { id, at, has_more }: Fragment, protocol: u8, body: &[u8]) -> Vec<u8> {
    let place = (at | u16::from(has_more)).to_be_bytes();
    [&[protocol, 0, place[0], place[1]], id.to_be_bytes().as_slice(), body].concat()
}

/// What lies behind an IPv6 extension header of options, with the header.
#[must_use]
pub fn behind_options(protocol: u8, body: &[u8]) -> Vec<u8> {
    // PadN of four bytes.
    [&[protocol, 0, 1, 4, 0, 0, 0, 0], body].concat()
}

/// A TCP segment that ends with some bytes of data.
#[must_use]
pub fn tcp((source, destination): (u16, u16), flags: u8, data: &[u8]) -> Vec<u8> {
    let mut bytes = [source.to_be_bytes(), destination.to_be_bytes()].concat();
    bytes.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0xba, 0xd0, 0, 0]);
    bytes.extend(data);
    bytes
}

/// A UDP header and data.
#[must_use]
pub fn udp((source, destination): (u16, u16), data: &[u8]) -> Vec<u8> {
    let length = (8 + data.len()) as u16;
    [source, destination, length, 0xbad0].into_iter().flat_map(u16::to_be_bytes).chain(data.iter().copied()).collect()
}

/// An ICMP message of a type and code, about some bytes.
#[must_use]
pub fn icmp((kind, code): (u8, u8), about: &[u8]) -> Vec<u8> {
    [&[kind, code, 0xba, 0xd0, 0, 0, 5, 0x14], about].concat()
}

/// What became of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shot {
    /// What was counted at the ENI.
    pub reason: Option<Reason>,
    /// Whether it was seen behind it.
    pub has_arrived: bool,
}

impl fmt::Display for Shot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            Some(reason) => write!(f, "{reason:?}")?,
            None => f.write_str("not counted")?,
        }
        if self.has_arrived { f.write_str(", arrived") } else { Ok(()) }
    }
}

/// The way of packets from one host to another, watched at one ENI.
pub struct Range {
    from: Host,
    link: Link,
    at: String,
    direction: Direction,
    seen: Option<Link>,
    /// Their addresses.
    pub ends: (IpAddr, IpAddr),
}

impl Lab {
    /// Packets from a host to an instance, watched where they come in.
    #[must_use]
    pub fn range(&self, from: &str, to: &str, family: Family) -> Range {
        let (from, to) = (self.host(from), self.host(to));
        let ends = (from.address(family), to.address(family));
        let (link, seen) = (from.link(), Some(to.link()));
        Range { from, link, at: to.name, direction: Direction::Ingress, seen, ends }
    }

    /// Packets from an instance to a host, watched where they come out.
    #[must_use]
    pub fn range_out(&self, from: &str, to: &str, family: Family) -> Range {
        let (from, to) = (self.host(from), self.host(to));
        let ends = (from.address(family), to.address(family));
        let (at, link) = (from.name.clone(), from.link());
        Range { from, link, at, direction: Direction::Egress, seen: None, ends }
    }

    /// How many packets each way of an interface had each reason, but for what passes unasked.
    pub fn reasons(&mut self, at: &str, direction: Direction) -> BTreeMap<Reason, u64> {
        let eni = self.eni(at).id.clone();
        let Some(slot) = self.enforcer().tables().eni_slot(&eni) else { fail(&format!("`{at}` has no number")) };
        let counts = must("read the counters", self.enforcer().plane().reason_counts(slot));
        // The hosts look for each other now and then.
        let is_ours = |side, reason| side == direction && reason != Reason::Bypass;
        let counts = counts.into_iter().filter(|(side, reason, _)| is_ours(*side, *reason));
        counts.map(|(_, reason, count)| (reason, count)).collect()
    }

    /// Sends a packet, and says what became of it. Nothing else may go the same way meanwhile.
    pub fn shoot(&mut self, range: &Range, packet: &[u8]) -> Shot {
        self.shoot_framed(range, packet, &[])
    }

    /// The same with bytes behind the packet in its frame.
    pub fn shoot_framed(&mut self, range: &Range, packet: &[u8], behind: &[u8]) -> Shot {
        let mut room = vec![0; FRAME_BYTES_MAX];
        if let Some(link) = &range.seen {
            while link.receive(&mut room).is_some() {}
        }
        let before = self.reasons(&range.at, range.direction);
        range.link.try_send(&[&frames::head(range.ends.0.is_ipv4(), range.from.mac), packet, behind].concat());
        let began = Instant::now();
        let reason = loop {
            let now = self.reasons(&range.at, range.direction);
            let grown = now.into_iter().find(|(reason, count)| before.get(reason) != Some(count));
            match grown {
                Some((reason, _)) => break Some(reason),
                None if began.elapsed() > PATIENCE => break None,
                None => pause(Duration::from_millis(1)),
            }
        };
        let began = Instant::now();
        let mut has_arrived = false;
        let patience = if reason.is_some_and(Reason::passes) { PATIENCE } else { ARRIVAL };
        while let Some(link) = range.seen.as_ref().filter(|_| !has_arrived && began.elapsed() < patience) {
            match link.receive(&mut room) {
                Some(frame) => has_arrived = is_in(frame, packet),
                None => pause(Duration::from_millis(1)),
            }
        }
        Shot { reason, has_arrived }
    }
}

/// Whether a frame carries a packet that was on its way: the IP header has changed.
fn is_in(frame: &[u8], packet: &[u8]) -> bool {
    let Some(carried) = frame.get(ETHERNET..ETHERNET + packet.len()) else { return false };
    let header = if packet.first().is_some_and(|first| first >> 4 == 4) { 20 } else { 40 };
    carried.get(header..) == packet.get(header..) && carried.get(12..20) == packet.get(12..20)
}
