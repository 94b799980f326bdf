//! What two states of the world make of flows that were seen: those that a change would end, and those that it would decide
//! otherwise if they began again.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use sekimori_core::{
    flow_event::FlowEvent,
    ids::{EniId, InstanceId},
    packet::{Decision, Packet, Transport},
    verdict,
    world::{Eni, Treatment, World},
};

use super::{around::is_parted, told::packet_words};

/// Flows of each kind that are told; the rest is counted.
pub const DIFF_FLOWS_MAX: usize = 100;

/// What becomes of a live flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// It is judged again and ends: its packets are dropped in silence.
    Ends,
    /// It is judged again, and both sides are sent a reset.
    Reset,
    /// It was never tracked, as both directions were open to the world, and is cut at once.
    Untracked,
    /// The network ACL of the subnet drops its packets, or those that answer them.
    Acl,
    /// Its interface is gone, or its instance is stopped.
    Gone,
    /// The VPCs of its ends are not peered any more.
    Parted,
}

/// A flow that the two states decide otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowChange {
    /// The interface where it was judged.
    pub eni: EniId,
    /// Its instance.
    pub instance: Option<InstanceId>,
    /// The newest packet that was seen of it.
    pub packet: Packet,
    /// The packet in words.
    pub text: String,
    /// When it was seen, in milliseconds since 1970.
    pub at_ms: u64,
    /// How many were seen that differ in their source port only.
    pub seen: usize,
    /// What becomes of it before.
    pub before: Option<Decision>,
    /// What becomes of it after; nothing where its interface is not there, or nothing leads it there.
    pub after: Option<Decision>,
    /// How it ends, of one that may be live.
    pub ending: Option<Ending>,
}

/// What was seen, and what of it would be otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowsChanged {
    /// Whether the change is still to be made, so that live flows may end by it.
    pub is_ahead: bool,
    /// Packets that were looked at: each began a flow, or was dropped.
    pub looked_at: usize,
    /// Those of them that cannot be judged again: they were not read so far, or their interface is in neither state.
    pub unjudged: usize,
    /// Flows that may be live, as their idle time has not passed since they began, and that the change would end: at interfaces whose
    /// live flows are not known by themselves.
    pub ending: Vec<FlowChange>,
    /// Those that are not told.
    pub ending_untold: usize,
    /// What would be decided otherwise if it began again.
    pub otherwise: Vec<FlowChange>,
    /// Those that are not told.
    pub otherwise_untold: usize,
}

/// What is to be known of live flows that a change may end.
#[derive(Clone, Copy, Debug)]
pub struct Ahead<'a> {
    /// The time, in milliseconds since 1970.
    pub now_ms: u64,
    /// Interfaces whose live flows are known by themselves.
    pub listed: &'a BTreeSet<EniId>,
}

/// Judges what was seen in both states, the oldest first. What is ahead is told if before is now, so that live flows may end.
pub fn flows<'a>(
    before: &World,
    after: &World,
    events: impl IntoIterator<Item = &'a FlowEvent>,
    ahead: Option<Ahead<'_>>,
) -> FlowsChanged {
    let mut changed = FlowsChanged { is_ahead: ahead.is_some(), ..FlowsChanged::default() };
    let (mut ending, mut otherwise) = (Merged::default(), Merged::default());
    for event in events {
        changed.looked_at += 1;
        let (old, new) = (before.eni(&event.eni), after.eni(&event.eni));
        let Some(packet) = packet_of(event).filter(|_| old.is_some() || new.is_some()) else {
            changed.unjudged += 1;
            continue;
        };
        let [was, is] = decided((before, old), (after, new), &packet);
        let flow = Judged { packet, event, before: was, after: is, eni: new.or(old).map(|eni| &**eni) };
        let ahead = ahead.filter(|ahead| event.passed && !ahead.listed.contains(&event.eni));
        let may_live = |eni: &&Arc<Eni>| ahead.is_some_and(|ahead| is_live(eni, event, ahead.now_ms));
        if let Some(ends) = old.filter(may_live).and_then(|old| {
            let was = flow.before.as_ref().filter(|was| was.is_allowed())?;
            let is_untracked = verdict::is_untracked(before, old, &packet, &was.why);
            ending_of((before, old), (after, new.map(|eni| &**eni)), &packet, is_untracked)
        }) {
            ending.note(&flow, Some(ends));
        }
        let passes = |decision: &Option<Decision>| decision.as_ref().is_some_and(Decision::is_allowed);
        if passes(&flow.before) != passes(&flow.after) {
            otherwise.note(&flow, None);
        }
    }
    (changed.ending, changed.ending_untold) = ending.told();
    (changed.otherwise, changed.otherwise_untold) = otherwise.told();
    changed
}

/// What becomes of a packet in two worlds; nothing in one that has no such interface, or no peering to lead it there.
pub(super) fn decided(
    (before, old): (&World, Option<&Arc<Eni>>),
    (after, new): (&World, Option<&Arc<Eni>>),
    packet: &Packet,
) -> [Option<Decision>; 2] {
    let decide = |(world, eni): (&World, &Eni), beside: Option<(&World, &Eni)>| {
        let is_led = beside.is_none_or(|beside| !is_parted(beside, (world, eni), packet));
        is_led.then(|| verdict::decide(world, eni, packet))
    };
    let (old, new) = (old.map(|eni| (before, &**eni)), new.map(|eni| (after, &**eni)));
    [old.and_then(|own| decide(own, new)), new.and_then(|own| decide(own, old))]
}

/// The packet of an event, if it was read so far that it can be judged again.
fn packet_of(event: &FlowEvent) -> Option<Packet> {
    let (source, destination) = (event.source().1, event.destination().1);
    let transport = match event.protocol {
        6 => Transport::Tcp { source: source?, destination: destination? },
        17 => Transport::Udp { source: source?, destination: destination? },
        protocol @ (1 | 58) => Transport::Icmp { protocol, kind: event.icmp?.kind, code: event.icmp?.code },
        protocol => Transport::Other { protocol },
    };
    let (local, peer) = (event.local?, event.peer?);
    Some(Packet { direction: event.direction, local, peer, transport, is_forwarded: false })
}

/// Whether a flow that began then may go on without having been seen again.
fn is_live(eni: &Eni, event: &FlowEvent, now_ms: u64) -> bool {
    let timeouts = &eni.timeouts;
    let idle_s = match event.protocol {
        6 => timeouts.tcp_established_s,
        17 => timeouts.udp_stream_s,
        1 | 58 => timeouts.icmp_s,
        _ => timeouts.other_s,
    };
    now_ms.saturating_sub(event.at_ms) < u64::from(idle_s) * 1_000
}

/// How the change ends a live flow, if it does: what the treatment says, and the network ACL, which every packet meets. An interface
/// that another host enforces, or none, has no flows.
pub(super) fn ending_of(
    (before, old): (&World, &Eni),
    (after, new): (&World, Option<&Eni>),
    first: &Packet,
    is_untracked: bool,
) -> Option<Ending> {
    let home = before.home_of(old);
    let stays = |new: &&Eni| home.is_none() || after.home_of(new) == home && after.stopped_with(new).is_none();
    let Some(new) = new.filter(stays) else { return Some(Ending::Gone) };
    if is_parted((before, old), (after, new), first) {
        return Some(Ending::Parted);
    }
    let is_dropped = |packet: &Packet| {
        let drops = |world: &World, eni: &Eni| verdict::refused_by_acl(world, eni, packet).is_some();
        drops(after, new) && !drops(before, old)
    };
    if is_dropped(first) || first.answer().is_some_and(|answer| is_dropped(&answer)) {
        return Some(Ending::Acl);
    }
    if verdict::decide_by_groups(after, new, first).is_allowed() {
        return None;
    }
    match after.treatment_of(new) {
        Treatment::Reevaluate => Some(Ending::Ends),
        Treatment::Reset if first.transport.protocol() == 6 => Some(Ending::Reset),
        Treatment::Reset => Some(Ending::Ends),
        Treatment::Keep => is_untracked.then_some(Ending::Untracked),
    }
}

/// A flow with what both states make of it.
struct Judged<'a> {
    packet: Packet,
    event: &'a FlowEvent,
    before: Option<Decision>,
    after: Option<Decision>,
    eni: Option<&'a Eni>,
}

/// Flows that differ in their source port only, together.
#[derive(Default)]
struct Merged(BTreeMap<(EniId, Packet, Option<Ending>), FlowChange>);

impl Merged {
    fn note(&mut self, flow: &Judged<'_>, ending: Option<Ending>) {
        let transport = match flow.packet.transport {
            Transport::Tcp { destination, .. } => Transport::Tcp { source: 0, destination },
            Transport::Udp { destination, .. } => Transport::Udp { source: 0, destination },
            other @ (Transport::Icmp { .. } | Transport::Other { .. }) => other,
        };
        let key = (flow.event.eni.clone(), Packet { transport, ..flow.packet }, ending);
        let seen = self.0.get(&key).map_or(0, |known| known.seen);
        let change = FlowChange {
            eni: flow.event.eni.clone(),
            instance: flow.eni.and_then(|eni| eni.instance.clone()),
            packet: flow.packet,
            text: packet_words(&flow.packet),
            at_ms: flow.event.at_ms,
            seen: seen + 1,
            before: flow.before.clone(),
            after: flow.after.clone(),
            ending,
        };
        self.0.insert(key, change);
    }

    /// The newest, and how many more there are.
    fn told(self) -> (Vec<FlowChange>, usize) {
        let mut all: Vec<FlowChange> = self.0.into_values().collect();
        all.sort_by_key(|change| std::cmp::Reverse(change.at_ms));
        let untold = all.len().saturating_sub(DIFF_FLOWS_MAX);
        all.truncate(DIFF_FLOWS_MAX);
        (all, untold)
    }
}
