//! What hosts tell of flows that begin and of drops: the newest of each host, for who lists and for who watches.
//!
//! Kept in memory only, and bounded; nothing here keeps whoever tells waiting. Hosts tell events only while somebody reads them:
//! while a watcher is connected, and for [`RECORDED_S`] after somebody has listed them.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sekimori_core::{
    address::Cidr,
    flow_event::{EventLosses, FlowEvent, FlowInterest, FlowReport},
    flow_log::LoggedTraffic,
    ids::{EniId, HostId, InstanceId},
    time::Timestamp,
    world::World,
};
use tokio::sync::watch;

use crate::{api::FlowSight, commit::Committer, outside};

/// Events of one host that are kept.
pub const FLOW_EVENTS_PER_HOST_MAX: usize = 16_384;
/// How long events are recorded after somebody has listed them, in seconds.
pub const RECORDED_S: i64 = 600;
/// Those who may watch at a time.
pub const FLOW_WATCHERS_MAX: usize = 32;
/// How often it is looked whether anybody still wants events.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// All hosts.
#[derive(Debug)]
pub struct Flows {
    known: Mutex<Known>,
    news: watch::Sender<u64>,
    interest: watch::Sender<FlowInterest>,
    open: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Known {
    hosts: BTreeMap<HostId, HostFlows>,
    watchers: usize,
    asked_until: Option<Timestamp>,
    since: Option<Timestamp>,
    has_logs: bool,
    logs_refused: bool,
}

/// What one host has told.
#[derive(Clone, Debug, Default)]
struct HostFlows {
    recent: VecDeque<Arc<FlowSight>>,
    told: [u64; 2],
    lost: EventLosses,
}

/// What a host has told and lost, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FlowTotals {
    /// Events of flows that began.
    pub(crate) allowed: u64,
    /// Events of drops.
    pub(crate) denied: u64,
    /// What it did not tell.
    pub(crate) lost: EventLosses,
}

/// Which events are meant; what is not given is not asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct FlowFilter {
    pub(crate) passed: Option<bool>,
    pub(crate) eni: Option<EniId>,
    pub(crate) instance: Option<InstanceId>,
    pub(crate) peer: Option<Cidr>,
    pub(crate) port: Option<u16>,
    pub(crate) protocol: Option<u8>,
    pub(crate) reason: Option<String>,
    pub(crate) since_ms: Option<u64>,
}

impl FlowFilter {
    fn matches(&self, sight: &FlowSight) -> bool {
        let event = &sight.event;
        let is_peer = |cidr: &Cidr| event.peer.is_some_and(|peer| cidr.contains(peer));
        self.passed.is_none_or(|passed| event.passed == passed)
            && self.eni.as_ref().is_none_or(|eni| event.eni == *eni)
            && self.instance.as_ref().is_none_or(|one| sight.instance.as_ref() == Some(one))
            && self.peer.as_ref().is_none_or(is_peer)
            && self.port.is_none_or(|port| event.destination().1 == Some(port))
            && self.protocol.is_none_or(|protocol| event.protocol == protocol)
            && self.reason.as_ref().is_none_or(|reason| event.reason == *reason)
            && self.since_ms.is_none_or(|since| event.at_ms >= since)
    }
}

/// Where somebody who watches has come to: the next number of each host.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cursor(BTreeMap<HostId, u64>);

/// Somebody who watches; events are told while there is one.
#[derive(Debug)]
pub(crate) struct Watcher {
    flows: Arc<Flows>,
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.flows.lock().watchers -= 1;
        self.flows.look(outside::now());
    }
}

/// What has been recorded, and for how long that goes on.
pub(crate) type Recording = (Option<Timestamp>, Option<Timestamp>);

impl Default for Flows {
    fn default() -> Self {
        Self {
            known: Mutex::default(),
            news: watch::Sender::new(0),
            interest: watch::Sender::new(FlowInterest::default()),
            open: watch::Sender::new(true),
        }
    }
}

impl Flows {
    /// Takes in what a host tells.
    pub(crate) fn note(&self, host: &HostId, report: FlowReport, world: &World) {
        let mut known = self.lock();
        let flows = known.hosts.entry(host.clone()).or_default();
        flows.lost = report.lost;
        for event in report.events {
            let kind = usize::from(!event.passed);
            flows.told[kind] += 1;
            let number = flows.told.iter().sum();
            flows.recent.push_back(Arc::new(sight(host, number, event, world)));
        }
        flows.recent.drain(..flows.recent.len().saturating_sub(FLOW_EVENTS_PER_HOST_MAX));
        drop(known);
        self.news.send_modify(|news| *news = news.wrapping_add(1));
    }

    /// The newest events that are meant, at most so many and the oldest first; whether there are more; what was lost in all.
    pub(crate) fn list(&self, filter: &FlowFilter, most: usize) -> (Vec<Arc<FlowSight>>, bool, EventLosses) {
        let known = self.lock();
        let all = known.hosts.values().flat_map(|flows| flows.recent.iter());
        let mut found: Vec<Arc<FlowSight>> = all.filter(|sight| filter.matches(sight)).cloned().collect();
        let lost = known.hosts.values().fold(EventLosses::default(), |sum, flows| add(sum, flows.lost));
        drop(known);
        found.sort_by_key(|sight| sight.event.at_ms);
        let surplus = found.len().saturating_sub(most);
        found.drain(..surplus);
        (found, surplus > 0, lost)
    }

    /// Where the end is now.
    pub(crate) fn end(&self) -> Cursor {
        let known = self.lock();
        Cursor(known.hosts.iter().map(|(host, flows)| (host.clone(), flows.told.iter().sum::<u64>() + 1)).collect())
    }

    /// The next events after a cursor, at most so many of each host; how many were dropped before they could be read.
    pub(crate) fn next(&self, cursor: &mut Cursor, filter: &FlowFilter, most: usize) -> (Vec<Arc<FlowSight>>, u64) {
        let known = self.lock();
        let (mut found, mut missed) = (Vec::new(), 0);
        for (host, flows) in &known.hosts {
            let next = cursor.0.entry(host.clone()).or_insert(1);
            if let Some(first) = flows.recent.front().map(|sight| sight.number).filter(|first| first > next) {
                missed += first - *next;
                *next = first;
            }
            let from = flows.recent.partition_point(|sight| sight.number < *next);
            let seen: Vec<_> = flows.recent.range(from..).take(most).collect();
            *next += seen.len() as u64;
            found.extend(seen.into_iter().filter(|sight| filter.matches(sight)).cloned());
        }
        drop(known);
        found.sort_by_key(|sight| sight.event.at_ms);
        (found, missed)
    }

    /// Whether there is nothing after a cursor.
    pub(crate) fn is_at_end(&self, cursor: &Cursor) -> bool {
        let known = self.lock();
        let is_read = |(host, flows): (&HostId, &HostFlows)| {
            cursor.0.get(host).copied().unwrap_or(1) > flows.told.iter().sum::<u64>()
        };
        known.hosts.iter().all(is_read)
    }

    /// What was lost in all.
    pub(crate) fn lost(&self) -> EventLosses {
        self.lock().hosts.values().fold(EventLosses::default(), |sum, flows| add(sum, flows.lost))
    }

    /// What a host has told and lost.
    pub(crate) fn totals(&self, host: &HostId) -> FlowTotals {
        let known = self.lock();
        let Some(flows) = known.hosts.get(host) else { return FlowTotals::default() };
        FlowTotals { allowed: flows.told[0], denied: flows.told[1], lost: flows.lost }
    }

    /// Somebody lists events: they are recorded for a while. Returns since when, and until when.
    pub(crate) fn ask(&self, now: Timestamp) -> Recording {
        let until = Timestamp(now.0.saturating_add(RECORDED_S));
        self.lock().asked_until = Some(until);
        self.look(now);
        (self.lock().since, Some(until))
    }

    /// Since when events are recorded; `None` while they are not.
    pub(crate) fn recorded_since(&self) -> Option<Timestamp> {
        self.lock().since
    }

    /// Somebody begins to watch; `None` when too many do.
    pub(crate) fn watch(self: &Arc<Self>) -> Option<Watcher> {
        let mut known = self.lock();
        if known.watchers >= FLOW_WATCHERS_MAX {
            return None;
        }
        known.watchers += 1;
        drop(known);
        self.look(outside::now());
        Some(Watcher { flows: Arc::clone(self) })
    }

    /// Tells of events as they come.
    pub(crate) fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// Which events hosts are to tell, now and later. The first look is news.
    pub(crate) fn interest(&self) -> watch::Receiver<FlowInterest> {
        let mut interest = self.interest.subscribe();
        interest.mark_changed();
        interest
    }

    /// Ends every watch: the server stops.
    pub(crate) fn close(&self) {
        self.open.send_replace(false);
    }

    /// Becomes false when the server stops.
    pub(crate) fn is_open(&self) -> watch::Receiver<bool> {
        self.open.subscribe()
    }

    /// Flow logs that are active want traffic, and drops if they are about what is refused.
    pub(crate) fn look_at(&self, world: &World) {
        let mut known = self.lock();
        let mut active = world.flow_logs().filter(|log| log.active_since.is_some()).peekable();
        known.has_logs = active.peek().is_some();
        known.logs_refused = active.any(|log| log.config.traffic != LoggedTraffic::Accepted);
        drop(known);
        self.look(outside::now());
    }

    /// Looks whether anybody wants events.
    fn look(&self, now: Timestamp) {
        let mut known = self.lock();
        let is_wanted = known.watchers > 0 || known.asked_until.is_some_and(|until| now < until);
        match (is_wanted, known.since) {
            (true, None) => known.since = Some(now),
            (true, Some(_)) => {}
            (false, _) => known.since = None,
        }
        let wanted =
            FlowInterest { allowed: is_wanted, denied: is_wanted || known.logs_refused, records: known.has_logs };
        drop(known);
        self.interest.send_if_modified(|interest| std::mem::replace(interest, wanted) != wanted);
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets go of events that nobody wants any more.
pub(crate) async fn keep(flows: Arc<Flows>, committer: Committer) {
    loop {
        flows.look_at(&committer.world());
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// An event with what the world knows about its ends.
fn sight(host: &HostId, number: u64, event: FlowEvent, world: &World) -> FlowSight {
    let eni = world.eni(&event.eni);
    let peer = eni.zip(event.peer).and_then(|(eni, peer)| world.eni_seen_from(&eni.vpc, peer));
    FlowSight {
        host: host.clone(),
        number,
        instance: eni.and_then(|eni| eni.instance.clone()),
        peer_instance: peer.and_then(|peer| peer.instance.clone()),
        event,
    }
}

fn add(one: EventLosses, other: EventLosses) -> EventLosses {
    EventLosses {
        rate_limit: one.rate_limit.saturating_add(other.rate_limit),
        ring_full: one.ring_full.saturating_add(other.ring_full),
        server_slow: one.server_slow.saturating_add(other.server_slow),
    }
}

#[cfg(test)]
mod tests;
