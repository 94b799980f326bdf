//! What the program tells of single packets: the twins of bpf/events.h. A test compares both.

use crate::abi::Reason;

/// Bytes of the ring `events`.
pub const EVENT_BYTES: u32 = 1 << 20;
/// A window of time is so many nanoseconds, as a power of two.
pub const EVENT_WINDOW_SHIFT: u32 = 27;
/// Events of one CPU in a window.
pub const EVENTS_PER_CPU: u32 = 512;
/// Events of one kind of an ENI in a window, on one CPU.
pub const EVENTS_PER_ENI: u32 = 64;
/// Of those, the ones that are told beside the CPU's sum.
pub const EVENTS_ASSURED: u32 = 4;

/// In `events_wanted`: somebody reads of flows that began.
pub const EVENTS_ALLOWED: u32 = 1;
/// In `events_wanted`: somebody reads of drops.
pub const EVENTS_DENIED: u32 = 2;

/// Event flag: the packet came from the ENI.
pub const EVENT_EGRESS: u8 = 1;
/// Event flag: its ports are ports.
pub const EVENT_HAS_PORTS: u8 = 1 << 1;
/// Event flag: its addresses could be read.
pub const EVENT_HAS_ADDRESSES: u8 = 1 << 2;

/// An element of the ring `events`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The kernel's coarse clock.
    pub time_ns: u64,
    /// Own address; IPv4 is mapped.
    pub local: [u8; 16],
    /// The other address; IPv4 is mapped.
    pub peer: [u8; 16],
    /// The ENI's number.
    pub eni: u32,
    /// Counter slot of the rule that decided; 0 is none.
    pub rule: u32,
    /// The version of the policy that decided.
    pub policy: u32,
    /// Length of the packet as the interface has it.
    pub bytes: u32,
    /// Its segments.
    pub packets: u32,
    /// Source port, or `type << 8 | code` of an ICMP message.
    pub source_port: u16,
    /// Destination port, or the same as before.
    pub destination_port: u16,
    /// IANA number.
    pub protocol: u8,
    /// A [`Reason`].
    pub reason: u8,
    /// `EVENT_*`.
    pub flags: u8,
    /// Flags of its TCP header.
    pub tcp_flags: u8,
    /// Zero.
    pub reserved: u32,
}

impl Event {
    /// The event of an element; `None` for an element of another size.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; size_of::<Self>()] = bytes.try_into().ok()?;
        Some(Self {
            time_ns: u64::from_ne_bytes(part(bytes, 0)),
            local: part(bytes, 8),
            peer: part(bytes, 24),
            eni: u32::from_ne_bytes(part(bytes, 40)),
            rule: u32::from_ne_bytes(part(bytes, 44)),
            policy: u32::from_ne_bytes(part(bytes, 48)),
            bytes: u32::from_ne_bytes(part(bytes, 52)),
            packets: u32::from_ne_bytes(part(bytes, 56)),
            source_port: u16::from_ne_bytes(part(bytes, 60)),
            destination_port: u16::from_ne_bytes(part(bytes, 62)),
            protocol: bytes[64],
            reason: bytes[65],
            flags: bytes[66],
            tcp_flags: bytes[67],
            reserved: u32::from_ne_bytes(part(bytes, 68)),
        })
    }

    /// Why the packet passed or was dropped.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        Reason::of(self.reason)
    }
}

fn part<const N: usize>(bytes: &[u8; size_of::<Event>()], from: usize) -> [u8; N] {
    std::array::from_fn(|at| bytes[from + at])
}

/// What an ENI has of the events, in the per-CPU array `event_shares`; number 0 is the CPU's sum. By kind: allowed, denied.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventShare {
    /// The window of time.
    pub window: u32,
    /// Events that were told in it.
    pub used: [u16; 2],
    /// Events beyond the share or the sum, ever.
    pub limited: [u64; 2],
    /// Events that found no room in the ring, ever.
    pub unroomed: [u64; 2],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_name_that_can_be_asked_for() {
        for reason in Reason::ALL {
            assert!(sekimori_core::flow_event::REASON_NAMES.contains(&reason.name()), "{reason:?}");
        }
    }

    #[test]
    fn an_event_is_read_from_its_bytes_and_nothing_else_is() {
        let bytes: Vec<u8> = (0..72).collect();
        let event = Event::read(&bytes).unwrap();
        assert_eq!((event.local[0], event.peer[15], event.flags, event.tcp_flags), (8, 39, 66, 67));
        assert_eq!(event.eni.to_ne_bytes(), [40, 41, 42, 43]);
        assert_eq!(event.destination_port.to_ne_bytes(), [62, 63]);
        assert_eq!(event.reason(), None, "65 is no reason");
        assert_eq!(Event { reason: 7, ..event }.reason(), Some(Reason::RuleDeny));
        assert_eq!((Event::read(&bytes[1..]), Event::read(&[])), (None, None));
    }
}
