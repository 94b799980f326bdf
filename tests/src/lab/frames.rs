//! Frames made by hand, for what no ordinary socket sends. Every frame carries a mark at its end.

use std::net::{IpAddr, SocketAddr};

use sekimori_core::packet::Transport;

use crate::frame;

/// The router's Ethernet address on every link.
const ROUTER: [u8; 6] = [0xee, 0xff, 0xff, 0xff, 0xff, 0xff];
/// The end of every frame.
const MARK: [u8; 8] = *b"sekimori";
/// Where a packet lies in a frame.
const ETHERNET: usize = 14;

/// A kind of frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The first segment of a TCP connection.
    Syn(u16),
    /// A segment from the middle of a TCP connection.
    Ack(u16),
    /// A UDP datagram.
    Datagram(u16),
    /// A later fragment of a protocol's packet, without the first.
    Fragment(u8),
    /// An ICMP error: a datagram of the receiver, from this port, did not arrive.
    Unreachable(u16),
    /// A packet of a protocol.
    Protocol(u8),
}

impl Frame {
    /// The port that it goes to, if any.
    #[must_use]
    pub fn port(self) -> u16 {
        match self {
            Self::Syn(port) | Self::Ack(port) | Self::Datagram(port) => port,
            Self::Fragment(_) | Self::Unreachable(_) | Self::Protocol(_) => 0,
        }
    }
}

/// The bytes of a frame from one end to the other, through the router.
#[must_use]
pub fn frame(kind: Frame, mac: [u8; 6], ends: (SocketAddr, SocketAddr)) -> Vec<u8> {
    let (from, to) = ends;
    let packet = match kind {
        Frame::Syn(_) => packet(ends, 6, &tcp(from.port(), to.port(), 0x02)),
        Frame::Ack(_) => packet(ends, 6, &tcp(from.port(), to.port(), 0x10)),
        Frame::Datagram(_) => packet(ends, 17, &udp(from.port(), to.port())),
        Frame::Protocol(number) => packet(ends, number, &MARK),
        Frame::Fragment(number) => later_fragment(ends, number),
        Frame::Unreachable(port) => unreachable(ends, port),
    };
    [head(from.is_ipv4(), mac), packet].concat()
}

/// What comes before a packet to the router.
pub(super) fn head(is_v4: bool, mac: [u8; 6]) -> Vec<u8> {
    let kind = if is_v4 { [0x08, 0x00] } else { [0x86, 0xdd] };
    [ROUTER.as_slice(), &mac, &kind].concat()
}

/// Whether a frame was made here.
#[must_use]
pub fn is_marked(frame: &[u8]) -> bool {
    // The frame of a short packet may have been padded.
    frame.get(ETHERNET..).is_some_and(|packet| packet.windows(MARK.len()).any(|part| part == MARK))
}

/// Addresses, protocol and the first bytes of the transport of a frame.
#[must_use]
pub fn describe(frame: &[u8]) -> String {
    let is_v4 = frame.get(12) == Some(&0x08);
    let (protocol, source, transport) = if is_v4 { (23, 26..34, 34..38) } else { (20, 22..54, 54..58) };
    let bytes = |range: std::ops::Range<usize>| frame.get(range).unwrap_or_default().to_vec();
    format!(
        "protocol {:?}, addresses {:02x?}, transport {:02x?}",
        frame.get(protocol),
        bytes(source),
        bytes(transport)
    )
}

/// An ICMP or ICMPv6 echo request.
#[must_use]
pub fn echo_request(is_v4: bool, id: u16, sequence: u16) -> Vec<u8> {
    let mut bytes = vec![if is_v4 { 8 } else { 128 }, 0, 0, 0];
    bytes.extend(id.to_be_bytes());
    bytes.extend(sequence.to_be_bytes());
    // The kernel completes the checksum of ICMPv6.
    if is_v4 {
        set_checksum(&mut bytes, 2);
    }
    bytes
}

/// The identifier and sequence number of an echo reply, as a raw socket receives it.
#[must_use]
pub fn echo_reply(is_v4: bool, bytes: &[u8]) -> Option<(u16, u16)> {
    let message = bytes.get(if is_v4 { 20 } else { 0 }..)?;
    let number = |at: usize| Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]));
    let reply = if is_v4 { 0 } else { 129 };
    if *message.first()? == reply { Some((number(4)?, number(6)?)) } else { None }
}

pub(super) fn packet((from, to): (SocketAddr, SocketAddr), protocol: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = frame::ip(from.ip(), to.ip(), protocol, body);
    if from.is_ipv4() {
        set_header_checksum(&mut bytes);
    }
    bytes
}

pub(super) fn set_header_checksum(packet: &mut [u8]) {
    if let Some(header) = packet.get_mut(..20) {
        set_checksum(header, 10);
    }
}

/// Sets the Internet checksum of some bytes, which lies within them (RFC 1071).
fn set_checksum(bytes: &mut [u8], at: usize) {
    let words = bytes.chunks(2).map(|two| u32::from_be_bytes([0, 0, two[0], *two.get(1).unwrap_or(&0)]));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let check = !((folded & 0xffff) + (folded >> 16)) as u16;
    if let Some(place) = bytes.get_mut(at..at + 2) {
        place.copy_from_slice(&check.to_be_bytes());
    }
}

fn tcp(source: u16, destination: u16, flags: u8) -> Vec<u8> {
    let mut bytes = [source.to_be_bytes(), destination.to_be_bytes()].concat();
    bytes.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    bytes.extend(MARK);
    bytes
}

fn udp(source: u16, destination: u16) -> Vec<u8> {
    let mut bytes = [source.to_be_bytes(), destination.to_be_bytes()].concat();
    bytes.extend([0, 16, 0, 0]);
    bytes.extend(MARK);
    bytes
}

/// The part of a packet from byte 1,480 on, the last.
fn later_fragment(ends: (SocketAddr, SocketAddr), protocol: u8) -> Vec<u8> {
    const OFFSET: u16 = 1_480 / 8;
    if ends.0.is_ipv6() {
        let offset = (OFFSET << 3).to_be_bytes();
        let header = [protocol, 0, offset[0], offset[1], 0, 0, 0x5e, 0x71];
        return packet(ends, 44, &[header.as_slice(), &MARK].concat());
    }
    let mut bytes = frame::ip(ends.0.ip(), ends.1.ip(), protocol, &MARK);
    if let Some(place) = bytes.get_mut(6..8) {
        place.copy_from_slice(&OFFSET.to_be_bytes());
    }
    set_header_checksum(&mut bytes);
    bytes
}

/// Quotes a datagram that the receiver is said to have sent to the sender.
fn unreachable(ends: (SocketAddr, SocketAddr), port: u16) -> Vec<u8> {
    let (protocol, head) = if ends.0.is_ipv4() { (1, [3, 3]) } else { (58, [1, 4]) };
    let quoted = packet((ends.1, ends.0), 17, &udp(port, ends.0.port()));
    packet(ends, protocol, &[head.as_slice(), &[0; 6], &quoted].concat())
}

/// The bytes of an ARP request, or of a neighbour solicitation, for the router.
#[must_use]
pub fn who_is_the_router(mac: [u8; 6], own: IpAddr, router: IpAddr) -> Vec<u8> {
    match (own, router) {
        (IpAddr::V4(own), IpAddr::V4(router)) => {
            let head = [0, 1, 8, 0, 6, 4, 0, 1];
            let parts: [&[u8]; 8] =
                [&[0xff; 6], &mac, &[0x08, 0x06], &head, &mac, &own.octets(), &[0; 6], &router.octets()];
            parts.concat()
        }
        (own, router) => {
            let IpAddr::V6(target) = router else { return Vec::new() };
            let kind = Transport::Icmp { protocol: 58, kind: 135, code: 0 };
            let body = [&[135, 0, 0, 0, 0, 0, 0, 0], target.octets().as_slice(), &[1, 1], &mac].concat();
            let mut packet = frame::ip(own, router, kind.protocol(), &body);
            set_icmpv6_checksum(&mut packet);
            [ROUTER.as_slice(), &mac, &[0x86, 0xdd], &packet].concat()
        }
    }
}

/// ICMPv6 counts the addresses, its length and its number as well (RFC 4443, 2.3).
fn set_icmpv6_checksum(packet: &mut [u8]) {
    let (Some(addresses), Some(message)) = (packet.get(8..40), packet.get(40..)) else { return };
    let length = (message.len() as u32).to_be_bytes();
    let mut counted = [addresses, &length, &[0, 0, 0, 58], message].concat();
    set_checksum(&mut counted, 42);
    if let (Some(place), Some(check)) = (packet.get_mut(42..44), counted.get(42..44)) {
        place.copy_from_slice(check);
    }
}
