//! What is counted while the server works, for whoever scrapes it: how long a commit takes to every host's kernel, and which
//! requests were refused. Everything else that is scraped is read from what the server knows anyway.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use prometheus_client::metrics::{counter::Counter, family::Family, histogram::Histogram};
use sekimori_core::{ids::HostId, world::Revision};

/// Commits whose time is remembered until every host has applied them; beyond these the oldest is not measured.
pub const COMMITS_MEASURED_MAX: usize = 4_096;
/// Ends of the ranges that latencies are sorted into, in seconds.
const LATENCIES_S: [f64; 14] = [0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];
/// Kinds of refusals that are told apart; further ones are counted as `other`.
pub const REFUSALS_MAX: usize = 512;

/// Labels of a sample.
pub(crate) type Labels = Vec<(&'static str, String)>;

/// How long commits take to the kernels.
pub struct Latency {
    commits: Mutex<VecDeque<(Revision, Instant)>>,
    by_host: Seconds,
}

type Seconds = Family<Labels, Histogram, fn() -> Histogram>;

impl Latency {
    /// A revision is durable.
    pub(crate) fn committed(&self, revision: Revision) {
        let mut commits = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
        commits.push_back((revision, Instant::now()));
        let surplus = commits.len().saturating_sub(COMMITS_MEASURED_MAX);
        commits.drain(..surplus);
    }

    /// A host enforces a revision, after another one. The first that it enforces tells nothing.
    pub(crate) fn applied(&self, host: &HostId, before: Option<Revision>, now: Revision) {
        let Some(before) = before else { return };
        let commits = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
        let host = self.by_host.get_or_create(&vec![("host", host.to_string())]);
        // They are in the order of their revisions.
        let first = commits.partition_point(|(revision, _)| *revision <= before);
        let reached = commits.range(first..).take_while(|(revision, _)| *revision <= now);
        reached.for_each(|(_, at)| host.observe(at.elapsed().as_secs_f64()));
    }

    /// The histogram of every host.
    pub(crate) fn seconds(&self) -> Seconds {
        self.by_host.clone()
    }
}

impl fmt::Debug for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Latency").finish_non_exhaustive()
    }
}

fn seconds() -> Histogram {
    Histogram::new(LATENCIES_S)
}

impl Default for Latency {
    fn default() -> Self {
        Self { commits: Mutex::default(), by_host: Family::new_with_constructor(seconds) }
    }
}

/// Refused requests by API and code.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    kinds: Mutex<std::collections::BTreeSet<(&'static str, String)>>,
    counted: Family<Labels, Counter>,
}

impl Refusals {
    /// Counts one.
    pub(crate) fn count(&self, api: &'static str, code: &str) {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = (api, code.to_owned());
        let is_known = kinds.contains(&kind) || kinds.len() < REFUSALS_MAX && kinds.insert(kind);
        let code = if is_known { code } else { "other" };
        self.counted.get_or_create(&vec![("api", api.to_owned()), ("code", code.to_owned())]).inc();
    }

    /// The counters.
    pub(crate) fn counted(&self) -> Family<Labels, Counter> {
        self.counted.clone()
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::{encoding::text::encode, registry::Registry};

    use super::*;

    #[test]
    fn each_commit_is_measured_once_at_each_host() {
        let (latency, host) = (Latency::default(), HostId::from("one"));
        for revision in 1..=3 {
            latency.committed(Revision(revision));
        }
        latency.applied(&host, None, Revision(1));
        latency.applied(&host, Some(Revision(1)), Revision(3));
        latency.applied(&host, Some(Revision(3)), Revision(3));
        let (mut registry, mut text) = (Registry::default(), String::new());
        registry.register("latency", "help", latency.seconds());
        encode(&mut text, &registry).unwrap();
        assert!(text.contains("latency_count{host=\"one\"} 2"), "{text}");
    }

    #[test]
    fn kinds_of_refusals_are_bounded() {
        let refusals = Refusals::default();
        for code in 0..REFUSALS_MAX + 5 {
            refusals.count("ecs", &code.to_string());
        }
        let other =
            refusals.counted().get_or_create(&vec![("api", "ecs".to_owned()), ("code", "other".to_owned())]).get();
        assert_eq!(other, 5);
    }
}
