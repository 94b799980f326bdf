//! What the hosts report: who is connected, what they have applied.
//!
//! Kept in memory only, except what they have counted; after a restart the hosts say it again. Nothing here talks to a host.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

use sekimori_core::{
    feed::{BoundInterface, ClosedEni, Gauges, ShadowCount, TallyReport},
    flow_room::FlowUse,
    ids::{EniId, HostId},
    limits::HOST_ENIS_MAX,
    world::{Revision, World},
};

use crate::{
    counts::{Counts, Noted},
    flows::Flows,
    live::Live,
    metrics::Latency,
    verify::Verifier,
};

/// Hosts that one server serves over its local socket.
pub const HOSTS_MAX: usize = 16;

/// An agent says every two seconds at least that it is there. One that is connected and has said nothing for so long hangs.
pub const SILENT_AFTER: Duration = Duration::from_secs(10);

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
    gauges: Gauges,
    session: u64,
    /// When its agent said something last.
    heard: Instant,
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
    /// What they are asked about live flows.
    pub live: Live,
    /// Whether there are none, as the world comes from files.
    pub(crate) is_of_files: bool,
    /// How long commits take to them.
    pub latency: Latency,
    /// What they have counted.
    pub counts: Arc<Counts>,
    known: Mutex<BTreeMap<HostId, HostStatus>>,
    changes: watch::Sender<u64>,
}

impl Default for Hosts {
    fn default() -> Self {
        Self {
            verifier: Verifier::default(),
            flows: Arc::default(),
            live: Live::default(),
            is_of_files: false,
            latency: Latency::default(),
            counts: Arc::default(),
            known: Mutex::default(),
            changes: watch::Sender::new(0),
        }
    }
}

impl Hosts {
    /// Hosts that have counted this already.
    #[must_use]
    pub fn with(counts: Counts) -> Self {
        Self { counts: Arc::new(counts), ..Self::default() }
    }

    /// No hosts, of a world that is read from files.
    #[must_use]
    pub(crate) fn of_files() -> Self {
        Self { is_of_files: true, ..Self::default() }
    }

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
            gauges: Gauges::default(),
            session: 0,
            heard: Instant::now(),
        };
        let status = known.entry(host.clone()).or_insert_with(fresh);
        status.connected = true;
        status.session += 1;
        status.heard = Instant::now();
        let session = status.session;
        drop(known);
        self.tell();
        Ok(session)
    }

    /// Notes that a connection has ended.
    pub(crate) fn disconnect(&self, host: &HostId, session: u64) {
        self.update(host, session, |status| status.connected = false);
    }

    /// Notes that an agent has said something, whatever it is.
    pub(crate) fn hear(&self, host: &HostId, session: u64) {
        if let Some(status) = self.lock().get_mut(host).filter(|status| status.session == session) {
            status.heard = Instant::now();
        }
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

    /// Adds what a host has counted to what it had counted before.
    pub(crate) fn count(&self, host: &HostId, session: u64, report: TallyReport, world: &World) -> Noted {
        let mut noted = Noted::default();
        self.update(host, session, |status| {
            noted = self.counts.note(host, &report, world);
            status.gauges = report.gauges.unwrap_or_else(|| std::mem::take(&mut status.gauges));
        });
        noted
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
    /// For how many seconds its agent has been connected without a word, if for longer than [`SILENT_AFTER`].
    #[must_use]
    pub fn silent_s(&self) -> Option<u64> {
        let silent = self.heard.elapsed();
        (self.connected && silent > SILENT_AFTER).then_some(silent.as_secs())
    }

    /// What the host has compared with candidates.
    #[must_use]
    pub fn shadows(&self) -> &[ShadowCount] {
        &self.gauges.shadows
    }

    /// Live flows on the host: of IPv4, and of IPv6.
    #[must_use]
    pub fn flows(&self) -> [u64; 2] {
        [self.gauges.flows.saturating_sub(self.gauges.flows_v6), self.gauges.flows_v6]
    }

    /// How they fill their room.
    #[must_use]
    pub fn flow_use(&self) -> FlowUse {
        self.gauges.flow_use
    }
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

    #[tokio::test(start_paused = true)]
    async fn an_agent_that_says_nothing_is_silent() {
        let hosts = Hosts::default();
        let silent = || hosts.all()[0].silent_s();
        let session = hosts.connect(&host("one")).unwrap();
        tokio::time::sleep(SILENT_AFTER).await;
        assert_eq!(silent(), None);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(silent(), Some(12));
        hosts.hear(&host("one"), session - 1);
        assert_eq!(silent(), Some(12));
        hosts.hear(&host("one"), session);
        assert_eq!(silent(), None);
        tokio::time::sleep(SILENT_AFTER * 2).await;
        hosts.disconnect(&host("one"), session);
        assert_eq!(silent(), None);
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
