//! Traffic for the records of flow logs, put together minute by minute: what passed from the tables of flows, what was refused
//! from events.
//!
//! Time is an argument, and so are the flows. A window that has ended is kept until the server says that it is written down.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    io,
    sync::Arc,
};

use sekimori_compile::abi::{self, Flow, FlowKey, address_of};
use sekimori_core::{
    flow_event::FlowEvent,
    flow_record::{
        TRAFFIC_FACTS_MAX, TRAFFIC_FACTS_PER_MESSAGE_MAX, TRAFFIC_WINDOW_S, TrafficKey, TrafficPart, TrafficSum,
    },
    ids::EniId,
    rule::Direction,
};

use crate::bpf::clock::Moment;

/// Windows that are kept while the server does not take them; then the oldest goes.
pub const TRAFFIC_WINDOWS_MAX: usize = 15;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const SYN_ACK: u8 = 18;
/// What records tell of the flags of TCP.
const TOLD_FLAGS: u8 = FIN | SYN | RST;
const TCP: u8 = 6;

/// What was seen of the live flows, to tell what has been added.
#[derive(Debug, Default)]
pub struct Sampler {
    known: HashMap<FlowKey, Seen>,
    sample: u64,
    last_s: i64,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    packets: [u64; 2],
    bytes: [u64; 2],
    progress: u8,
    sample: u64,
}

impl Sampler {
    /// What flows have grown by since the last sample. The first one tells nothing: what was there belongs to the time before.
    /// `visit` calls what it is given for every flow.
    ///
    /// # Errors
    /// Those of `visit`.
    pub fn sample<'a>(
        &mut self,
        at: Moment,
        name: impl Fn(u32) -> Option<&'a EniId>,
        visit: impl FnOnce(&mut dyn FnMut(&FlowKey, &Flow)) -> io::Result<()>,
    ) -> io::Result<Vec<(TrafficKey, TrafficSum)>> {
        let (is_first, before_s) = (self.sample == 0, self.last_s);
        let sample = self.sample + 1;
        let mut grown = Vec::new();
        visit(&mut |key, flow| {
            let seen = Seen { packets: flow.packets, bytes: flow.bytes, progress: flow.progress, sample };
            let before = self.known.insert(*key, seen).filter(|before| is_same_flow(before, flow));
            let Some(eni) = name(key.eni).filter(|_| before.is_some() || !is_first) else { return };
            let last_s = at.seconds_at(flow.seen_ns);
            let times = (before_s.min(last_s), last_s);
            grown.extend([0, 1].into_iter().filter_map(|side| growth(eni, key, flow, before.as_ref(), side, times)));
        })?;
        self.known.retain(|_, seen| seen.sample == sample);
        (self.sample, self.last_s) = (sample, at.now_s);
        Ok(grown)
    }
}

/// A flow whose counters went back is another one in the same place.
fn is_same_flow(before: &Seen, flow: &Flow) -> bool {
    before.packets.iter().zip(flow.packets).all(|(before, now)| *before <= now)
}

fn growth(
    eni: &EniId,
    key: &FlowKey,
    flow: &Flow,
    before: Option<&Seen>,
    side: usize,
    (first_s, last_s): (i64, i64),
) -> Option<(TrafficKey, TrafficSum)> {
    let packets = flow.packets[side] - before.map_or(0, |before| before.packets[side]);
    if packets == 0 {
        return None;
    }
    let bytes = flow.bytes[side].saturating_sub(before.map_or(0, |before| before.bytes[side]));
    let is_egress = (flow.flags & abi::FLOW_EGRESS != 0) == (side == 0);
    let has_ports = matches!(key.protocol, TCP | 17);
    let own = (address_of(key.local), if has_ports { key.local_port } else { 0 });
    let other = (address_of(key.peer), if has_ports { key.peer_port } else { 0 });
    let (source, destination) = if is_egress { (own, other) } else { (other, own) };
    // A connection in the place of one that has ended counts on.
    let known = before.map(|before| before.progress).filter(|known| !abi::is_closed(*known) || flow.is_closed());
    let fresh = flow.progress & !known.unwrap_or(0);
    let tcp_flags =
        if key.protocol == TCP { flags((flow.progress, fresh), side, packets, known.is_none()) } else { 0 };
    let told = TrafficKey {
        eni: eni.clone(),
        direction: if is_egress { Direction::Egress } else { Direction::Ingress },
        passed: true,
        protocol: key.protocol,
        source: source.0,
        destination: destination.0,
        source_port: source.1,
        destination_port: destination.1,
    };
    Some((told, TrafficSum { packets, bytes, tcp_flags, first_s, last_s }))
}

/// The flags that a side has sent, as far as the state of the flow, and what of it is fresh, tell. If both sides have reset it, the one that answers is told.
fn flags((progress, fresh): (u8, u8), side: usize, packets: u64, is_new: bool) -> u8 {
    let is_reset_by_reply = progress & abi::FLOW_RST_REPLY != 0;
    let is_refused = is_reset_by_reply && packets == 1;
    let (fin, begin, has_reset) = match side {
        0 => (abi::FLOW_FIN_FIRST, if is_new { SYN } else { 0 }, !is_reset_by_reply),
        _ => {
            let has_accepted = fresh & abi::FLOW_ANSWERED != 0 && !is_refused;
            (abi::FLOW_FIN_REPLY, if has_accepted { SYN_ACK } else { 0 }, is_reset_by_reply)
        }
    };
    let fin = if fresh & fin != 0 { FIN } else { 0 };
    let rst = if fresh & abi::FLOW_RST != 0 && has_reset { RST } else { 0 };
    begin | fin | rst
}

/// Windows of traffic: the one that goes on, and those that wait to be written down.
#[derive(Debug, Default)]
pub struct Ledger {
    open: BTreeMap<i64, Window>,
    done: VecDeque<(i64, Arc<Window>)>,
    /// Where the next window to be closed starts.
    next_s: Option<i64>,
    /// The window that was sent and is not acknowledged.
    sent_s: Option<i64>,
    /// Windows that were dropped because the server did not take them.
    pub dropped: u64,
}

#[derive(Debug, Default)]
struct Window {
    facts: BTreeMap<TrafficKey, TrafficSum>,
    skipped: BTreeSet<EniId>,
}

fn window_of(at_s: i64) -> i64 {
    at_s.div_euclid(TRAFFIC_WINDOW_S) * TRAFFIC_WINDOW_S
}

impl Ledger {
    /// Notes what passed, from a sample; then windows that ended before it are complete.
    pub fn passed(&mut self, now_s: i64, grown: Vec<(TrafficKey, TrafficSum)>) {
        for (key, sum) in grown {
            self.add(key, sum);
        }
        let now = window_of(now_s);
        let mut next = self.next_s.unwrap_or(now);
        // A host that slept has no windows of that time to tell.
        next = next.max(now - TRAFFIC_WINDOW_S * TRAFFIC_WINDOWS_MAX as i64);
        while next < now {
            let window = self.open.remove(&next).unwrap_or_default();
            self.done.push_back((next, Arc::new(window)));
            next += TRAFFIC_WINDOW_S;
        }
        self.open.retain(|start, _| *start >= next);
        self.next_s = Some(next);
        while self.done.len() > TRAFFIC_WINDOWS_MAX {
            self.done.pop_front();
            self.dropped += 1;
        }
    }

    /// Notes what was refused.
    pub fn refused(&mut self, event: &FlowEvent) {
        let (Some(source), Some(destination)) = (event.source().0, event.destination().0) else { return };
        if event.passed {
            return;
        }
        let key = TrafficKey {
            eni: event.eni.clone(),
            direction: event.direction,
            passed: false,
            protocol: event.protocol,
            source,
            destination,
            source_port: event.source().1.unwrap_or(0),
            destination_port: event.destination().1.unwrap_or(0),
        };
        let at_s = i64::try_from(event.at_ms / 1_000).unwrap_or(i64::MAX);
        let ack = if event.tcp_flags & SYN != 0 { event.tcp_flags & (SYN_ACK & !SYN) } else { 0 };
        let tcp_flags = event.tcp_flags & TOLD_FLAGS | ack;
        let (packets, bytes) = (event.packets.into(), event.bytes.into());
        self.add(key, TrafficSum { packets, bytes, tcp_flags, first_s: at_s, last_s: at_s });
    }

    /// Notes that something of an interface is missing in the window that goes on.
    pub fn skip(&mut self, now_s: i64, eni: &EniId) {
        let start = window_of(now_s).max(self.next_s.unwrap_or(i64::MIN));
        self.open.entry(start).or_default().skipped.insert(eni.clone());
    }

    /// What comes after its window was closed goes into the next one.
    fn add(&mut self, key: TrafficKey, sum: TrafficSum) {
        let start = window_of(sum.last_s).max(self.next_s.unwrap_or(i64::MIN));
        let window = self.open.entry(start).or_default();
        if let Some(known) = window.facts.get_mut(&key) {
            known.add(&sum);
        } else if window.facts.len() < TRAFFIC_FACTS_MAX {
            window.facts.insert(key, sum);
        } else {
            window.skipped.insert(key.eni);
        }
    }

    /// The oldest window that is not written down, in parts, unless it has been sent already.
    pub fn oldest(&mut self) -> Vec<TrafficPart> {
        let Some((start_s, window)) = self.done.front().filter(|(start, _)| self.sent_s != Some(*start)) else {
            return Vec::new();
        };
        self.sent_s = Some(*start_s);
        let facts: Vec<_> = window.facts.iter().map(|(key, sum)| (key.clone(), *sum)).collect();
        let part = |facts: &[(TrafficKey, TrafficSum)]| TrafficPart {
            start_s: *start_s,
            facts: facts.to_vec(),
            ..TrafficPart::default()
        };
        let mut parts: Vec<TrafficPart> = facts.chunks(TRAFFIC_FACTS_PER_MESSAGE_MAX).map(part).collect();
        let skipped = window.skipped.iter().cloned().collect();
        parts.push(TrafficPart { start_s: *start_s, facts: Vec::new(), skipped, is_last: true });
        parts
    }

    /// A new connection: what was sent on the old one is sent again.
    pub fn begin(&mut self) {
        self.sent_s = None;
    }

    /// A window is written down.
    pub fn written(&mut self, start_s: i64) {
        self.done.retain(|(start, _)| *start > start_s);
        self.sent_s = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(packets: [u64; 2], progress: u8, seen_s: u64) -> (FlowKey, Flow) {
        let mapped = |last: u8| [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, last];
        let key = FlowKey {
            eni: 1,
            local: mapped(1),
            peer: mapped(2),
            local_port: 443,
            peer_port: 50_000,
            protocol: TCP,
            reserved: [0; 3],
        };
        let bytes = packets.map(|count| count * 100);
        (key, Flow { seen_ns: seen_s * 1_000_000_000, progress, packets, bytes, ..Flow::default() })
    }

    /// Seconds of both clocks: they are 1,000,020 apart, so that a window starts at 40 of the coarse one.
    fn at(coarse_s: u64) -> Moment {
        Moment { now_s: 1_000_020 - 40 + coarse_s as i64, coarse_ns: coarse_s * 1_000_000_000 }
    }

    fn take(ledger: &mut Ledger) -> Vec<(i64, Direction, u64, u64, u8)> {
        let mut lines = Vec::new();
        loop {
            let parts = ledger.oldest();
            let Some(last) = parts.last() else { return lines };
            let start = last.start_s;
            let facts = parts.iter().flat_map(|part| part.facts.clone());
            lines.extend(facts.map(|(key, sum)| (start, key.direction, sum.packets, sum.bytes, sum.tcp_flags)));
            ledger.written(start);
        }
    }

    #[test]
    fn growth_of_both_directions_is_told_in_the_window_of_its_last_packet_and_adds_up() {
        let (mut sampler, mut ledger, eni) = (Sampler::default(), Ledger::default(), EniId::from("eni"));
        let mut see = |ledger: &mut Ledger, now: u64, flows: Vec<(FlowKey, Flow)>| {
            let visit = |each: &mut dyn FnMut(&FlowKey, &Flow)| {
                flows.iter().for_each(|(key, flow)| each(key, flow));
                Ok(())
            };
            ledger.passed(at(now).now_s, sampler.sample(at(now), |_| Some(&eni), visit).unwrap());
        };
        see(&mut ledger, 50, vec![]);
        see(&mut ledger, 60, vec![flow([2, 1], abi::FLOW_ANSWERED, 59)]);
        see(&mut ledger, 70, vec![flow([5, 4], abi::FLOW_ANSWERED, 69)]);
        assert_eq!(take(&mut ledger), []);
        // Its last packet is of the window that has just ended.
        see(&mut ledger, 101, vec![flow([6, 5], abi::FLOW_ANSWERED | abi::FLOW_FIN_FIRST, 99)]);
        let start = at(40).now_s;
        assert_eq!(
            take(&mut ledger),
            [(start, Direction::Ingress, 6, 600, SYN | FIN), (start, Direction::Egress, 5, 500, SYN_ACK)]
        );
        see(&mut ledger, 110, vec![flow([7, 5], abi::FLOW_ANSWERED | abi::FLOW_FIN_FIRST | abi::FLOW_RST, 109)]);
        // The flow has ended, and another one has its place.
        see(&mut ledger, 120, vec![flow([1, 0], 0, 119)]);
        see(&mut ledger, 161, vec![]);
        assert_eq!(take(&mut ledger), [(start + 60, Direction::Ingress, 2, 200, SYN | RST)]);
        see(&mut ledger, 300, vec![]);
        let starts: Vec<i64> = std::iter::from_fn(|| {
            let start = ledger.oldest().last()?.start_s;
            ledger.written(start);
            Some(start)
        })
        .collect();
        assert_eq!(starts, [start + 120, start + 180], "windows without traffic are told too");
    }

    #[test]
    fn who_refuses_has_accepted_nothing_and_the_next_connection_counts_on() {
        let (mut sampler, mut ledger, eni) = (Sampler::default(), Ledger::default(), EniId::from("eni"));
        let mut see = |ledger: &mut Ledger, now: u64, flow: (FlowKey, Flow)| {
            let visit = |each: &mut dyn FnMut(&FlowKey, &Flow)| {
                each(&flow.0, &flow.1);
                Ok(())
            };
            ledger.passed(at(now).now_s, sampler.sample(at(now), |_| Some(&eni), visit).unwrap());
        };
        let refused = abi::FLOW_ANSWERED | abi::FLOW_RST | abi::FLOW_RST_REPLY;
        let mut other = flow([1, 1], 0, 49);
        other.0.peer_port = 1;
        see(&mut ledger, 50, other);
        see(&mut ledger, 60, flow([1, 1], refused, 59));
        see(&mut ledger, 101, flow([1, 1], refused, 59));
        let start = at(40).now_s;
        assert_eq!(
            take(&mut ledger),
            [(start, Direction::Ingress, 1, 100, SYN), (start, Direction::Egress, 1, 100, RST)]
        );
        see(&mut ledger, 110, flow([3, 2], abi::FLOW_ANSWERED, 109));
        see(&mut ledger, 161, flow([3, 2], abi::FLOW_ANSWERED, 109));
        assert_eq!(
            take(&mut ledger),
            [(start + 60, Direction::Ingress, 2, 200, SYN), (start + 60, Direction::Egress, 1, 100, SYN_ACK)]
        );
    }

    #[test]
    fn a_window_is_kept_until_it_is_written_and_not_for_ever() {
        let mut ledger = Ledger::default();
        (0..5).for_each(|minute| ledger.passed(minute * 60, Vec::new()));
        ledger.skip(250, &"eni".into());
        assert_eq!(ledger.oldest()[0].start_s, 0);
        assert!(ledger.oldest().is_empty(), "it is on its way");
        ledger.begin();
        assert_eq!(ledger.oldest()[0].start_s, 0, "a new connection");
        ledger.written(0);
        assert_eq!(ledger.oldest()[0].start_s, 60);
        ledger.passed(300, Vec::new());
        ledger.written(180);
        assert_eq!(ledger.oldest().pop().unwrap().skipped, [EniId::from("eni")]);
        (5..60).for_each(|minute| ledger.passed(minute * 60, Vec::new()));
        assert_eq!(
            (ledger.done.len(), ledger.done[0].0),
            (TRAFFIC_WINDOWS_MAX, (59 - TRAFFIC_WINDOWS_MAX as i64) * 60)
        );
        assert!(ledger.dropped > 0);
    }
}
