//! Bytes of packets, for programs that read bytes. Checksums are zero: the data plane does not look.

use std::net::IpAddr;

use sekimori_core::{
    flow::{Quoted, Segment, TcpFlags},
    packet::{Packet, Transport},
    rule::Direction,
};

/// The Ethernet address of whoever is not the ENI.
pub const ROUTER_MAC: [u8; 6] = [0xee, 0xff, 0xff, 0xff, 0xff, 0xfe];

/// A frame as it passes the host side of an ENI's interface.
#[must_use]
pub fn frame(segment: &Segment, eni_mac: [u8; 6]) -> Vec<u8> {
    let Packet { direction, local, peer, transport, is_forwarded: _ } = segment.packet;
    let (from, to, source, destination) = match direction {
        Direction::Ingress => (ROUTER_MAC, eni_mac, peer, local),
        Direction::Egress => (eni_mac, ROUTER_MAC, local, peer),
    };
    let body = transport_bytes(transport, segment.flags, segment.icmp_id, segment.quoted.as_ref());
    let mut bytes = [to, from].concat();
    bytes.extend(if source.is_ipv4() { [0x08, 0x00] } else { [0x86, 0xdd] });
    bytes.extend(ip(source, destination, transport.protocol(), &body));
    bytes
}

/// The Ethernet types of VLAN tags (IEEE 802.1Q, 802.1ad).
pub const VLAN_KINDS: [u16; 2] = [0x8100, 0x88a8];

/// The frame with tags around what it carries, the outermost first.
#[must_use]
pub fn tagged(frame: &[u8], kinds: &[u16]) -> Vec<u8> {
    let (ends, rest) = frame.split_at(frame.len().min(12));
    let tags = kinds.iter().flat_map(|kind| [kind.to_be_bytes(), [0, 100]].concat());
    ends.iter().copied().chain(tags).chain(rest.iter().copied()).collect()
}

/// An IP packet around a body.
#[must_use]
pub fn ip(source: IpAddr, destination: IpAddr, protocol: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let length = (20 + body.len()) as u16;
            bytes.extend([0x45, 0]);
            bytes.extend(length.to_be_bytes());
            bytes.extend([0, 1, 0, 0, 64, protocol, 0, 0]);
            bytes.extend(source.octets());
            bytes.extend(destination.octets());
        }
        (source, destination) => {
            let octets = |address: IpAddr| match address {
                IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
                IpAddr::V6(v6) => v6.octets(),
            };
            bytes.extend([0x60, 0, 0, 0]);
            bytes.extend((body.len() as u16).to_be_bytes());
            // Discovery is believed only with hop limit 255.
            bytes.extend([protocol, 255]);
            bytes.extend(octets(source));
            bytes.extend(octets(destination));
        }
    }
    bytes.extend(body);
    bytes
}

fn transport_bytes(transport: Transport, flags: TcpFlags, icmp_id: u16, quoted: Option<&Quoted>) -> Vec<u8> {
    match transport {
        Transport::Tcp { source, destination } => tcp(source, destination, flags),
        Transport::Udp { source, destination } => {
            let mut bytes = [source.to_be_bytes(), destination.to_be_bytes()].concat();
            bytes.extend([0, 8, 0, 0]);
            bytes
        }
        Transport::Icmp { kind, code, .. } => {
            let mut bytes = vec![kind, code, 0, 0];
            match quoted {
                None => {
                    bytes.extend(icmp_id.to_be_bytes());
                    bytes.extend([0, 1]);
                }
                Some(quoted) => {
                    bytes.extend([0; 4]);
                    let body = transport_bytes(quoted.transport, TcpFlags::default(), quoted.icmp_id, None);
                    bytes.extend(ip(quoted.source, quoted.destination, quoted.transport.protocol(), &body));
                }
            }
            bytes
        }
        Transport::Other { .. } => vec![0; 8],
    }
}

fn tcp(source: u16, destination: u16, flags: TcpFlags) -> Vec<u8> {
    let bit = |set: bool, bit: u8| if set { bit } else { 0 };
    let flags = bit(flags.fin, 1) | bit(flags.syn, 2) | bit(flags.rst, 4) | bit(flags.ack, 16);
    let mut bytes = [source.to_be_bytes(), destination.to_be_bytes()].concat();
    bytes.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    bytes
}
