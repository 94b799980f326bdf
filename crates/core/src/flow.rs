//! The meaning of live flows (design, sections 3 and 3.1): what passes because it belongs to something
//! allowed before, and what a change does to it.
//!
//! [`Tracker`] is the reference for the data plane's flow table, as [`crate::verdict`] is for its rules. It
//! judges a live flow again at every packet, which gives the same answers as judging it once after every
//! change, and needs no stamps.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    net::IpAddr,
};

use crate::{
    flow_room::FlowRoom,
    ids::EniId,
    packet::{Decision, Packet, Transport, Why},
    rule::{Action, Direction},
    verdict,
    world::{Eni, Timeouts, Treatment, World},
};

/// TCP flags that matter here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpFlags {
    /// SYN.
    pub syn: bool,
    /// ACK.
    pub ack: bool,
    /// FIN.
    pub fin: bool,
    /// RST.
    pub rst: bool,
}

/// The packet that an ICMP error quotes, as it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quoted {
    /// Its source.
    pub source: IpAddr,
    /// Its destination.
    pub destination: IpAddr,
    /// Its transport header.
    pub transport: Transport,
    /// Its identifier, when it is an ICMP query.
    pub icmp_id: u16,
}

/// A packet with what flows need to know beyond the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The packet.
    pub packet: Packet,
    /// Its TCP flags.
    pub flags: TcpFlags,
    /// The identifier of an ICMP query or its answer.
    pub icmp_id: u16,
    /// What an ICMP error quotes.
    pub quoted: Option<Quoted>,
}

/// What makes two packets parts of one flow at one ENI, whichever way they go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlowKey {
    /// The ENI.
    pub eni: EniId,
    /// The ENI's own address.
    pub local: IpAddr,
    /// The other end.
    pub peer: IpAddr,
    /// IANA protocol number.
    pub protocol: u8,
    /// Own port, or the identifier of an ICMP query; 0 without either.
    pub local_port: u16,
    /// Other port, or the type that the other end sends, and the code, of an ICMP query and its answer; 0 without either.
    pub peer_port: u16,
}

/// A live flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// The packet that began it.
    pub first: Packet,
    /// Whether it is untracked by EC2's definition.
    pub untracked: bool,
    /// Packets in the direction of the first one, and in the other.
    pub packets: [u64; 2],
    progress: Progress,
    last_s: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Progress {
    answered: bool,
    established: bool,
    fin: [bool; 2],
    rst: bool,
}

/// The live flows of any number of ENIs.
#[derive(Clone, Debug)]
pub struct Tracker {
    flows: BTreeMap<FlowKey, Flow>,
    room: FlowRoom,
}

impl Tracker {
    /// A tracker that refuses new flows beyond this room.
    #[must_use]
    pub fn new(room: FlowRoom) -> Self {
        Self { flows: BTreeMap::new(), room }
    }

    /// Shares the room out anew; no live flow is ended.
    pub fn share_out(&mut self, room: FlowRoom) {
        self.room = room;
    }

    /// The live flows.
    #[must_use]
    pub fn flows(&self) -> &BTreeMap<FlowKey, Flow> {
        &self.flows
    }

    /// An ENI that is gone takes its flows with it.
    pub fn forget(&mut self, eni: &EniId) {
        self.flows.retain(|key, _| key.eni != *eni);
    }

    /// Judges a packet at an ENI and updates its flow.
    pub fn judge(&mut self, world: &World, eni: &Eni, segment: &Segment, now_s: u64) -> Decision {
        if let Some(refused) = verdict::refused_by_acl(world, eni, &segment.packet) {
            return refused;
        }
        let decided = |action, why| Decision { action, why, revision: world.revision() };
        if let Some(key) = key_of(eni, segment)
            && let Some(decision) = self.continue_flow(world, eni, &key, segment, now_s)
        {
            return decision;
        }
        if self.is_error_of_known(world, eni, segment, now_s) {
            return decided(Action::Allow, Why::KnownFlow);
        }
        let decision = verdict::decide_by_groups(world, eni, &segment.packet);
        if decision.why == Why::Bypass {
            return decision;
        }
        if decision.why == Why::Spoofed {
            return decision;
        }
        if is_tcp(segment) && !begins_connection(segment.flags) {
            return decided(Action::Deny, Why::MidStream);
        }
        if !decision.is_allowed() {
            return decision;
        }
        self.begin_flow(world, eni, segment, now_s, decision)
    }

    fn continue_flow(
        &mut self,
        world: &World,
        eni: &Eni,
        key: &FlowKey,
        segment: &Segment,
        now_s: u64,
    ) -> Option<Decision> {
        let Entry::Occupied(mut entry) = self.flows.entry(key.clone()) else { return None };
        let flow = entry.get_mut();
        let reopened = is_tcp(segment) && begins_connection(segment.flags) && flow.progress.is_closed();
        if reopened || flow.has_expired(key.protocol, &eni.timeouts, now_s) {
            entry.remove();
            return None;
        }
        // That is asked whatever the treatment of live flows is: they are kept when rules change, and an address that is another's is no rule.
        if !verdict::is_own(eni, &flow.first) {
            entry.remove();
            return Some(Decision { action: Action::Deny, why: Why::Spoofed, revision: world.revision() });
        }
        let again = rejudge(world, eni, flow);
        if let Some(denied) = again.filter(|decision| !decision.is_allowed()) {
            entry.remove();
            return Some(denied);
        }
        flow.advance(segment, now_s);
        Some(Decision { action: Action::Allow, why: Why::KnownFlow, revision: world.revision() })
    }

    fn begin_flow(
        &mut self,
        world: &World,
        eni: &Eni,
        segment: &Segment,
        now_s: u64,
        decision: Decision,
    ) -> Decision {
        let Some(key) = key_of(eni, segment).filter(|_| may_begin_flow(&segment.packet)) else { return decision };
        let untracked = verdict::is_untracked(world, eni, &segment.packet, &decision.why);
        let mut flow =
            Flow { first: segment.packet, untracked, packets: [0, 0], progress: Progress::default(), last_s: now_s };
        if let Some(why) = self.lacks_room(&key, &flow) {
            return Decision { action: Action::Deny, why, ..decision };
        }
        flow.advance(segment, now_s);
        self.flows.insert(key, flow);
        decision
    }

    /// Why there is no room for a flow.
    fn lacks_room(&self, key: &FlowKey, flow: &Flow) -> Option<Why> {
        let half_open = |(other, flow): &(&FlowKey, &Flow)| other.eni == key.eni && flow.is_half_open(other.protocol);
        let bound = self.room.half_open as usize;
        if flow.is_half_open(key.protocol) && self.flows.iter().filter(half_open).count() >= bound {
            return Some(Why::HalfOpen);
        }
        let mut flows_by_eni: BTreeMap<&EniId, u32> = BTreeMap::new();
        for other in self.flows.keys().filter(|other| other.peer.is_ipv4() == key.peer.is_ipv4()) {
            *flows_by_eni.entry(&other.eni).or_default() += 1;
        }
        let own = flows_by_eni.get(&key.eni).copied().unwrap_or(0);
        let borrowed = flows_by_eni.values().map(|flows| self.room.borrowed(*flows)).sum();
        (!self.room.has_room(own, borrowed)).then_some(Why::TableFull)
    }

    fn is_error_of_known(&mut self, world: &World, eni: &Eni, segment: &Segment, now_s: u64) -> bool {
        let Some(key) = quoted_key(eni, segment) else { return false };
        let Some(flow) = self.flows.get_mut(&key) else { return false };
        verdict::is_own(eni, &segment.packet)
            && verdict::is_own(eni, &flow.first)
            && !flow.has_expired(key.protocol, &eni.timeouts, now_s)
            && rejudge(world, eni, flow).is_none_or(|decision| decision.is_allowed())
    }
}

/// Judges a live flow again where its ENI's treatment asks for that. One that goes on is tracked or untracked by
/// the rules of now (`spec/ec2.md` A2: without the open egress rule everything is tracked).
fn rejudge(world: &World, eni: &Eni, flow: &mut Flow) -> Option<Decision> {
    if !is_judged_again(world, eni, flow.untracked) {
        return None;
    }
    let again = verdict::decide_by_groups(world, eni, &flow.first);
    if again.is_allowed() {
        flow.untracked = verdict::is_untracked(world, eni, &flow.first, &again.why);
    }
    Some(again)
}

fn is_judged_again(world: &World, eni: &Eni, untracked: bool) -> bool {
    match world.treatment_of(eni) {
        Treatment::Keep => untracked,
        Treatment::Reevaluate | Treatment::Reset => true,
    }
}

/// Whether a live flow that this packet began goes on: it is not judged again, or is still allowed. The network ACL is asked about each
/// packet, not here.
#[must_use]
pub fn goes_on(world: &World, eni: &Eni, first: &Packet, untracked: bool) -> bool {
    verdict::is_own(eni, first)
        && (!is_judged_again(world, eni, untracked) || verdict::decide_by_groups(world, eni, first).is_allowed())
}

impl Flow {
    fn advance(&mut self, segment: &Segment, now_s: u64) {
        let is_reply = segment.packet.direction != self.first.direction;
        self.last_s = now_s;
        self.packets[usize::from(is_reply)] += 1;
        self.progress.advance(is_reply, segment.flags);
    }

    /// Whether somebody has begun to connect to the ENI, and has not shown yet to hear the answer.
    fn is_half_open(&self, protocol: u8) -> bool {
        let is_begun_here = self.first.direction == Direction::Egress;
        protocol == 6 && !is_begun_here && !self.progress.established && !self.progress.is_closed()
    }

    fn has_expired(&self, protocol: u8, timeouts: &Timeouts, now_s: u64) -> bool {
        now_s.saturating_sub(self.last_s) >= u64::from(self.timeout_s(protocol, timeouts))
    }

    fn timeout_s(&self, protocol: u8, timeouts: &Timeouts) -> u32 {
        match protocol {
            6 if self.progress.is_closed() => timeouts.tcp_closed_s,
            6 if self.progress.established => timeouts.tcp_established_s,
            6 => timeouts.tcp_opening_s,
            17 if self.packets.iter().all(|count| *count >= 2) => timeouts.udp_stream_s,
            17 => timeouts.udp_s,
            1 | 58 => timeouts.icmp_s,
            _ => timeouts.other_s,
        }
    }
}

impl Progress {
    fn advance(&mut self, is_reply: bool, flags: TcpFlags) {
        self.established |= self.answered && !is_reply && flags.ack;
        self.answered |= is_reply;
        self.fin[usize::from(is_reply)] |= flags.fin;
        self.rst |= flags.rst;
    }

    fn is_closed(self) -> bool {
        self.rst || self.fin == [true, true]
    }
}

fn is_tcp(segment: &Segment) -> bool {
    segment.packet.transport.protocol() == 6
}

fn begins_connection(flags: TcpFlags) -> bool {
    flags.syn && !flags.ack && !flags.rst && !flags.fin
}

/// The key of the flow that a packet is part of, or `None` when it can be part of none: ICMP that is
/// neither a query nor the answer to one.
#[must_use]
pub fn key_of(eni: &Eni, segment: &Segment) -> Option<FlowKey> {
    let Packet { direction, local, peer, transport, is_forwarded: _ } = segment.packet;
    let (local_port, peer_port) = match (transport, direction) {
        (Transport::Tcp { source, destination } | Transport::Udp { source, destination }, Direction::Ingress) => {
            (destination, source)
        }
        (Transport::Tcp { source, destination } | Transport::Udp { source, destination }, Direction::Egress) => {
            (source, destination)
        }
        (Transport::Icmp { protocol, kind, code }, _) => {
            // Who asks is part of what a flow is: whoever was asked may answer, and not ask by the same.
            let query = query_of(protocol, kind)?;
            let is_asked_here = (kind == query) == (direction == Direction::Egress);
            let kind = if is_asked_here { answer_of(protocol, query)? } else { query };
            (segment.icmp_id, u16::from_be_bytes([kind, code]))
        }
        (Transport::Other { .. }, _) => (0, 0),
    };
    let protocol = transport.protocol();
    Some(FlowKey { eni: eni.id.clone(), local, peer, protocol, local_port, peer_port })
}

/// The key of the flow that an ICMP error is about.
fn quoted_key(eni: &Eni, segment: &Segment) -> Option<FlowKey> {
    let quoted = segment.quoted?;
    let Transport::Icmp { protocol, kind, .. } = segment.packet.transport else { return None };
    if !is_error(protocol, kind) {
        return None;
    }
    // An error that goes to the ENI is about a packet that the ENI sent, and the other way round.
    let (direction, local, peer) = match segment.packet.direction {
        Direction::Ingress => (Direction::Egress, quoted.source, quoted.destination),
        Direction::Egress => (Direction::Ingress, quoted.destination, quoted.source),
    };
    let packet = Packet { direction, local, peer, transport: quoted.transport, is_forwarded: false };
    key_of(eni, &Segment { packet, flags: TcpFlags::default(), icmp_id: quoted.icmp_id, quoted: None })
}

/// The query that an ICMP message asks or answers: echo, timestamp and address mask (RFC 792, 950), and
/// the echo of ICMPv6 (RFC 4443).
#[must_use]
pub fn query_of(protocol: u8, kind: u8) -> Option<u8> {
    match (protocol, kind) {
        (1, 8 | 0) => Some(8),
        (1, 13 | 14) => Some(13),
        (1, 17 | 18) => Some(17),
        (58, 128 | 129) => Some(128),
        _ => None,
    }
}

/// The answer to an ICMP query.
fn answer_of(protocol: u8, query: u8) -> Option<u8> {
    match (protocol, query) {
        (1, 8) => Some(0),
        (1, 13) => Some(14),
        (1, 17) => Some(18),
        (58, 128) => Some(129),
        _ => None,
    }
}

/// What is sent back for a first packet, if anything is.
#[must_use]
pub fn answer_to(transport: Transport) -> Option<Transport> {
    match transport {
        Transport::Tcp { source, destination } => Some(Transport::Tcp { source: destination, destination: source }),
        Transport::Udp { source, destination } => Some(Transport::Udp { source: destination, destination: source }),
        Transport::Icmp { protocol, kind, code } => {
            Some(Transport::Icmp { protocol, kind: answer_of(protocol, kind)?, code })
        }
        Transport::Other { .. } => Some(transport),
    }
}

impl Packet {
    /// What is sent back for it, if it is the first of a flow and anything is, as the same interface sees it.
    #[must_use]
    pub fn answer(&self) -> Option<Self> {
        Some(Self { direction: self.direction.reverse(), transport: answer_to(self.transport)?, ..*self })
    }
}

/// Whether an ICMP message reports an error and quotes the packet that caused it.
#[must_use]
pub fn is_error(protocol: u8, kind: u8) -> bool {
    matches!((protocol, kind), (1, 3 | 11 | 12) | (58, 1..=4))
}

/// An ICMP message begins a flow when it asks; an answer that nobody asked for begins none.
fn may_begin_flow(packet: &Packet) -> bool {
    match packet.transport {
        Transport::Icmp { protocol, kind, .. } => query_of(protocol, kind) == Some(kind),
        Transport::Tcp { .. } | Transport::Udp { .. } | Transport::Other { .. } => true,
    }
}
