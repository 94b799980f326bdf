//! What the hosts report: who is connected, what they have applied, what they have counted.
//!
//! Kept in memory only; after a restart the hosts say it again. Nothing here talks to a host.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use sekimori_core::{
    feed::{BoundInterface, ClosedEni, Count, CounterReport, EniCount, RuleCount, ShadowCount},
    flow_room::FlowUse,
    ids::{EniId, GroupId, HostId, RuleId},
    limits::{HOST_ENIS_MAX, HOST_RULES_MAX},
    rule::Direction,
    world::{Revision, World},
};

use crate::{flows::Flows, metrics::Latency, verify::Verifier};

/// Hosts that one server serves over its local socket.
pub const HOSTS_MAX: usize = 16;

/// Counters of one host that are kept: of what exists, and of what was deleted lately.
pub const HOST_COUNTERS_MAX: usize = 2 * HOST_RULES_MAX as usize;

/// The host that instances are placed on before any host has ever connected.
pub const LOCAL_HOST: &str = "local";

/// What is known about a host.
#[derive(Clone, Debug)]
pub struct HostStatus {
    /// Its name.
    pub host: HostId,
    /// Whether its agent is connected now.
    pub connected: bool,
    /// What its kernel enforces, as last reported.
    pub applied: Option<Revision>,
    /// The interfaces that drop everything for want of their policy.
    pub closed: Vec<ClosedEni>,
    /// How it stands at interfaces that others make.
    pub bound: BTreeMap<EniId, BoundInterface>,
    counters: Counters,
    session: u64,
}

#[derive(Clone, Debug, Default)]
struct Counters {
    rules: BTreeMap<(GroupId, Option<RuleId>), Count>,
    enis: BTreeMap<(EniId, Direction, bool, String), u64>,
    flows: u64,
    flows_v6: u64,
    flow_use: FlowUse,
    shadows: Vec<ShadowCount>,
}

/// More hosts than fit.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("{HOSTS_MAX} hosts are known already, and this server serves no more; restart it to forget old ones")]
pub struct TooManyHosts;

/// All hosts.
#[derive(Debug)]
pub struct Hosts {
    /// What they say about their kernels.
    pub verifier: Verifier,
    /// What they tell of flows.
    pub flows: Arc<Flows>,
    /// How long commits take to them.
    pub latency: Latency,
    known: Mutex<BTreeMap<HostId, HostStatus>>,
    changes: watch::Sender<u64>,
}

impl Default for Hosts {
    fn default() -> Self {
        Self {
            verifier: Verifier::default(),
            flows: Arc::default(),
            latency: Latency::default(),
            known: Mutex::default(),
            changes: watch::Sender::new(0),
        }
    }
}

impl Hosts {
    /// What is known about every host, by name.
    #[must_use]
    pub fn all(&self) -> Vec<HostStatus> {
        self.lock().values().cloned().collect()
    }

    /// The revision that every known host has applied; `None` while one of them has reported none, or there
    /// is none.
    #[must_use]
    pub fn applied(&self) -> Option<Revision> {
        let known = self.lock();
        // `None` sorts before every revision.
        known.values().map(|status| status.applied).min().flatten()
    }

    /// Where new instances go: to a host that is connected, else to one that has been, else where the
    /// instances of the world are, else to [`LOCAL_HOST`].
    #[must_use]
    pub fn placement(&self, world: &World) -> HostId {
        let known = self.lock();
        let connected = known.values().find(|status| status.connected).or_else(|| known.values().next());
        let known = connected.map(|status| status.host.clone());
        let placed = || world.instances().next().map(|instance| instance.host.clone());
        known.or_else(placed).unwrap_or_else(|| HostId::from(LOCAL_HOST))
    }

    /// Waits until every host has applied a revision. Never returns while there is no host.
    pub async fn wait_for(&self, revision: Revision) {
        let mut changes = self.changes.subscribe();
        while self.applied().is_none_or(|applied| applied < revision) {
            // The sender lives as long as `self`, so this ends with a change only.
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Notes that a host has connected, and gives the connection a number. A newer connection of the same
    /// host takes the place of the older one.
    pub(crate) fn connect(&self, host: &HostId) -> Result<u64, TooManyHosts> {
        let mut known = self.lock();
        if known.len() >= HOSTS_MAX && !known.contains_key(host) {
            return Err(TooManyHosts);
        }
        let fresh = || HostStatus {
            host: host.clone(),
            connected: false,
            applied: None,
            closed: Vec::new(),
            bound: BTreeMap::new(),
            counters: Counters::default(),
            session: 0,
        };
        let status = known.entry(host.clone()).or_insert_with(fresh);
        status.connected = true;
        status.session += 1;
        let session = status.session;
        drop(known);
        self.tell();
        Ok(session)
    }

    /// Notes that a connection has ended.
    pub(crate) fn disconnect(&self, host: &HostId, session: u64) {
        self.update(host, session, |status| status.connected = false);
    }

    /// Notes what a host's kernel enforces.
    pub(crate) fn report(&self, host: &HostId, session: u64, revision: Revision, mut closed: Vec<ClosedEni>) {
        closed.truncate(HOST_ENIS_MAX as usize);
        self.update(host, session, |status| {
            self.latency.applied(host, status.applied, revision);
            status.applied = Some(revision);
            status.closed = closed;
        });
    }

    /// Notes how it stands at a host's bound interfaces.
    pub(crate) fn report_bound(&self, host: &HostId, session: u64, mut bound: Vec<BoundInterface>) {
        bound.truncate(HOST_ENIS_MAX as usize);
        let by_eni = bound.into_iter().map(|found| (found.eni.clone(), found)).collect();
        self.update(host, session, |status| status.bound = by_eni);
    }

    /// Adds counters to what a host has counted before.
    pub(crate) fn count(&self, host: &HostId, session: u64, report: CounterReport, world: &World) {
        self.update(host, session, |status| status.counters.merge(report, world));
    }

    fn update(&self, host: &HostId, session: u64, change: impl FnOnce(&mut HostStatus)) {
        let mut known = self.lock();
        if let Some(status) = known.get_mut(host).filter(|status| status.session == session) {
            change(status);
        }
        drop(known);
        self.tell();
    }

    fn tell(&self) {
        self.changes.send_modify(|change| *change = change.wrapping_add(1));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<HostId, HostStatus>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HostStatus {
    /// Everything that the host has counted since its maps were made, but for what it has compared.
    #[must_use]
    pub fn counters(&self) -> CounterReport {
        let rules = self.counters.rules.iter();
        let enis = self.counters.enis.iter();
        CounterReport {
            rules: rules
                .map(|((group, rule), count)| RuleCount { group: group.clone(), rule: rule.clone(), count: *count })
                .collect(),
            enis: enis.map(|(key, packets)| eni_count(key, *packets)).collect(),
            flows: self.counters.flows,
            flows_v6: self.counters.flows_v6,
            flow_use: self.counters.flow_use,
            shadows: Vec::new(),
        }
    }

    /// What the host has compared with candidates.
    #[must_use]
    pub fn shadows(&self) -> &[ShadowCount] {
        &self.counters.shadows
    }

    /// Packets of an ENI in one direction that had this reason, whether they passed or not.
    #[must_use]
    pub fn packets_of(&self, eni: &EniId, direction: Direction, reason: &str) -> u64 {
        let count = |passed| self.counters.enis.get(&(eni.clone(), direction, passed, reason.to_owned()));
        [true, false].into_iter().filter_map(count).sum()
    }

    /// Live flows on the host: of IPv4, and of IPv6.
    #[must_use]
    pub fn flows(&self) -> [u64; 2] {
        [self.counters.flows.saturating_sub(self.counters.flows_v6), self.counters.flows_v6]
    }

    /// How they fill their room.
    #[must_use]
    pub fn flow_use(&self) -> FlowUse {
        self.counters.flow_use
    }
}

impl Counters {
    /// Takes in totals, the newest of each. When there are too many, those of what is gone are dropped.
    fn merge(&mut self, report: CounterReport, world: &World) {
        let CounterReport { rules, enis, flows, flows_v6, flow_use, shadows } = report;
        (self.flows, self.flows_v6, self.flow_use) = (flows, flows_v6, flow_use);
        self.shadows = shadows;
        self.rules.extend(rules.into_iter().map(|line| ((line.group, line.rule), line.count)));
        let eni = |line: EniCount| ((line.eni, line.direction, line.passed, line.reason), line.packets);
        self.enis.extend(enis.into_iter().map(eni));
        if self.rules.len() > HOST_COUNTERS_MAX {
            self.rules.retain(|(group, rule), _| exists(world, group, rule.as_ref()));
        }
        if self.enis.len() > HOST_COUNTERS_MAX {
            self.enis.retain(|(eni, ..), _| world.eni(eni).is_some());
        }
    }
}

/// The sum of what several hosts have counted.
#[must_use]
pub fn total(hosts: &[HostStatus]) -> CounterReport {
    let mut sum = Counters::default();
    for counters in hosts.iter().map(|status| &status.counters) {
        sum.flows = sum.flows.saturating_add(counters.flows);
        sum.flows_v6 = sum.flows_v6.saturating_add(counters.flows_v6);
        sum.flow_use = sum.flow_use.with(&counters.flow_use);
        for (key, count) in &counters.rules {
            let total = sum.rules.entry(key.clone()).or_default();
            total.packets = total.packets.saturating_add(count.packets);
            total.bytes = total.bytes.saturating_add(count.bytes);
        }
        for (key, packets) in &counters.enis {
            let total = sum.enis.entry(key.clone()).or_default();
            *total = total.saturating_add(*packets);
        }
    }
    let host = HostId::from("all");
    let (closed, bound) = (Vec::new(), BTreeMap::new());
    HostStatus { host, connected: true, applied: None, closed, bound, counters: sum, session: 0 }.counters()
}

fn exists(world: &World, group: &GroupId, rule: Option<&RuleId>) -> bool {
    let group = world.group(group);
    group.is_some_and(|group| rule.is_none_or(|rule| group.rules.contains_key(rule)))
}

fn eni_count(key: &(EniId, Direction, bool, String), packets: u64) -> EniCount {
    let (eni, direction, passed, reason) = key.clone();
    EniCount { eni, direction, passed, reason, packets }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn host(name: &str) -> HostId {
        HostId::from(name)
    }

    #[test]
    fn every_host_counts_for_the_applied_revision() {
        let hosts = Hosts::default();
        assert_eq!(hosts.applied(), None);
        let one = hosts.connect(&host("one")).unwrap();
        hosts.report(&host("one"), one, Revision(5), Vec::new());
        assert_eq!(hosts.applied(), Some(Revision(5)));
        let two = hosts.connect(&host("two")).unwrap();
        assert_eq!(hosts.applied(), None);
        hosts.report(&host("two"), two, Revision(3), Vec::new());
        assert_eq!(hosts.applied(), Some(Revision(3)));
    }

    #[test]
    fn an_older_connection_cannot_speak_for_a_newer_one() {
        let hosts = Hosts::default();
        let old = hosts.connect(&host("one")).unwrap();
        let new = hosts.connect(&host("one")).unwrap();
        hosts.report(&host("one"), new, Revision(9), Vec::new());
        hosts.report(&host("one"), old, Revision(1), Vec::new());
        hosts.disconnect(&host("one"), old);
        let status = hosts.all().remove(0);
        assert_eq!((status.applied, status.connected), (Some(Revision(9)), true));
    }

    #[test]
    fn instances_go_to_a_connected_host() {
        let (hosts, world) = (Hosts::default(), World::default());
        assert_eq!(hosts.placement(&world), host(LOCAL_HOST));
        let (_, filled) = crate::testing::small_world();
        let used = filled.instances().next().unwrap().host.clone();
        assert_eq!(hosts.placement(&filled), used);
        let away = hosts.connect(&host("away")).unwrap();
        hosts.disconnect(&host("away"), away);
        assert_eq!(hosts.placement(&world), host("away"));
        hosts.connect(&host("here")).unwrap();
        assert_eq!(hosts.placement(&world), host("here"));
    }

    #[test]
    fn the_number_of_hosts_is_bounded() {
        let hosts = Hosts::default();
        for index in 0..HOSTS_MAX {
            hosts.connect(&host(&index.to_string())).unwrap();
        }
        assert!(hosts.connect(&host("one-more")).is_err());
        assert!(hosts.connect(&host("0")).is_ok());
    }

    #[test]
    fn the_newest_total_of_a_counter_is_kept_and_hosts_are_summed() {
        let hosts = Hosts::default();
        let line = |packets| RuleCount { group: "sg".into(), rule: None, count: Count { packets, bytes: 1 } };
        let eni = |packets| EniCount {
            eni: "eni".into(),
            direction: Direction::Ingress,
            passed: false,
            reason: "default".to_owned(),
            packets,
        };
        for (name, packets) in [("one", 1), ("one", 4), ("two", 8)] {
            let session = hosts.connect(&host(name)).unwrap();
            let report = CounterReport {
                rules: vec![line(packets)],
                enis: vec![eni(packets)],
                flows: packets,
                ..CounterReport::default()
            };
            hosts.count(&host(name), session, report, &World::default());
        }
        let all = hosts.all();
        assert_eq!(all[0].counters().rules[0].count.packets, 4);
        let sum = total(&all);
        assert_eq!((sum.rules[0].count.packets, sum.enis[0].packets, sum.flows), (12, 12, 12));
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_with_the_last_host() {
        let hosts = Arc::new(Hosts::default());
        let session = hosts.connect(&host("one")).unwrap();
        let waiting = tokio::spawn({
            let hosts = Arc::clone(&hosts);
            async move { hosts.wait_for(Revision(2)).await }
        });
        hosts.report(&host("one"), session, Revision(1), Vec::new());
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!waiting.is_finished());
        hosts.report(&host("one"), session, Revision(2), Vec::new());
        waiting.await.unwrap();
    }
}
