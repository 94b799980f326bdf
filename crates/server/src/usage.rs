//! When each rule was last used, as far as the hosts' counters tell: durable, bounded, a minute exact.
//!
//! A counter that moves between two reports says that its rule decided about a packet since the last one.
//! Counters count first packets and dropped ones; the packets of a live flow are not counted, so a flow that has
//! been open for a month does not use its rule in that time.
//!
//! The file `usage` is one JSON document, replaced whole every [`SAVE_EVERY`] while anything moves, and at the
//! end. A crash loses at most what moved since then: a rule looks unused for a minute longer than it was.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use sekimori_core::{
    feed::RuleCount,
    ids::{GroupId, HostId, RuleId},
    limits::HOST_RULES_MAX,
    time::Timestamp,
    world::World,
};

use crate::files;

/// How often the file is written while something moves.
pub const SAVE_EVERY: Duration = Duration::from_secs(60);

/// Counters that are remembered: of what exists, and of what was deleted lately.
pub const USAGE_RULES_MAX: usize = 2 * HOST_RULES_MAX as usize;

/// The version of the file. Another one is not read, and watching begins anew.
const VERSION: u32 = 1;

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use `{}`: {source}; check its owner, its permissions and the disk", file.display())]
pub struct UsageError {
    file: PathBuf,
    source: io::Error,
}

/// See the module.
#[derive(Debug)]
pub struct Usage {
    path: PathBuf,
    watched: Mutex<Watched>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Watched {
    version: u32,
    since: Timestamp,
    rules: Vec<Line>,
    #[serde(skip)]
    by_rule: BTreeMap<(GroupId, RuleId, HostId), Used>,
    #[serde(skip)]
    is_dirty: bool,
}

/// A line of the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Line {
    group: GroupId,
    rule: RuleId,
    host: HostId,
    packets: u64,
    last: Timestamp,
}

#[derive(Clone, Copy, Debug)]
struct Used {
    packets: u64,
    last: Timestamp,
}

impl Usage {
    /// Opens the file of a directory, or begins to watch now. A file that cannot be understood begins anew: what is
    /// lost is only how long rules have been idle.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn open(dir: &Path, now: Timestamp) -> Result<Self, UsageError> {
        let path = dir.join("usage");
        let watched = match fs::read(&path) {
            Ok(bytes) => Watched::read(&bytes, now),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Watched::new(now),
            Err(source) => return Err(UsageError { file: path, source }),
        };
        Ok(Self { path, watched: Mutex::new(watched) })
    }

    /// Takes in new totals of a host.
    pub(crate) fn note(&self, host: &HostId, totals: &[RuleCount], now: Timestamp, world: &World) {
        let mut watched = self.lock();
        for line in totals {
            let Some(rule) = &line.rule else { continue };
            watched.count((line.group.clone(), rule.clone(), host.clone()), line.count.packets, now);
        }
        if watched.by_rule.len() > USAGE_RULES_MAX {
            let exists = |group: &GroupId, rule: &RuleId| {
                world.group(group).is_some_and(|group| group.rules.contains_key(rule))
            };
            watched.by_rule.retain(|(group, rule, _), _| exists(group, rule));
        }
    }

    /// Since when the counters have been watched.
    #[must_use]
    pub fn since(&self) -> Timestamp {
        self.lock().since
    }

    /// The last use of every rule that was used.
    #[must_use]
    pub fn last_uses(&self) -> BTreeMap<(GroupId, RuleId), Timestamp> {
        let mut last = BTreeMap::new();
        for ((group, rule, _), used) in &self.lock().by_rule {
            let known = last.entry((group.clone(), rule.clone())).or_insert(used.last);
            *known = used.last.max(*known);
        }
        last
    }

    /// The last use of one rule.
    pub(crate) fn last_use(&self, group: &GroupId, rule: &RuleId) -> Option<Timestamp> {
        let first = (group.clone(), rule.clone(), HostId::from(""));
        let watched = self.lock();
        let of_rule = watched.by_rule.range(first..).take_while(|((of, id, _), _)| of == group && id == rule);
        of_rule.map(|(_, used)| used.last).max()
    }

    /// Writes the file if anything has moved since it was written.
    ///
    /// # Errors
    /// When it cannot be written; what moved is kept for the next time.
    pub fn save(&self) -> Result<(), UsageError> {
        let written = {
            let mut watched = self.lock();
            if !watched.is_dirty {
                return Ok(());
            }
            watched.is_dirty = false;
            watched.clone()
        };
        let bytes = written.write();
        let wrong = |source| {
            self.lock().is_dirty = true;
            UsageError { file: self.path.clone(), source }
        };
        files::write_durably(&self.path, &bytes).map_err(wrong)
    }

    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watched {
    fn new(since: Timestamp) -> Self {
        Self { version: VERSION, since, rules: Vec::new(), by_rule: BTreeMap::new(), is_dirty: true }
    }

    fn read(bytes: &[u8], now: Timestamp) -> Self {
        let read: Option<Self> = serde_json::from_slice(bytes).ok();
        let Some(mut watched) = read.filter(|read| read.version == VERSION) else { return Self::new(now) };
        for Line { group, rule, host, packets, last } in std::mem::take(&mut watched.rules) {
            watched.by_rule.insert((group, rule, host), Used { packets, last });
        }
        watched
    }

    fn write(mut self) -> Vec<u8> {
        let lines = std::mem::take(&mut self.by_rule).into_iter();
        self.rules = lines
            .map(|((group, rule, host), Used { packets, last })| Line { group, rule, host, packets, last })
            .collect();
        // Names and numbers always become JSON.
        serde_json::to_vec(&self).unwrap_or_default()
    }

    /// A total that differs from the last one has moved: forward, or it was set back and has counted since.
    fn count(&mut self, key: (GroupId, RuleId, HostId), packets: u64, now: Timestamp) {
        let known = self.by_rule.get(&key).map(|used| used.packets);
        if packets == 0 || known == Some(packets) {
            return;
        }
        self.by_rule.insert(key, Used { packets, last: now });
        self.is_dirty = true;
    }
}

#[cfg(test)]
mod tests {
    use sekimori_core::feed::Count;

    use super::*;

    fn report(rule: &str, packets: u64) -> [RuleCount; 1] {
        [RuleCount { group: "sg".into(), rule: Some(rule.into()), count: Count { packets, bytes: packets } }]
    }

    fn last(usage: &Usage, rule: &str) -> Option<Timestamp> {
        usage.last_uses().get(&("sg".into(), rule.into())).copied()
    }

    #[test]
    fn a_rule_was_used_when_its_counter_moved_and_a_restart_remembers() {
        let dir = tempfile::tempdir().unwrap();
        let (world, host) = (World::default(), HostId::from("one"));
        let usage = Usage::open(dir.path(), Timestamp(10)).unwrap();
        for (packets, at) in [(1, 20), (1, 30), (2, 40), (2, 50)] {
            usage.note(&host, &report("r", packets), Timestamp(at), &world);
        }
        assert_eq!(last(&usage, "r"), Some(Timestamp(40)));
        usage.save().unwrap();
        let again = Usage::open(dir.path(), Timestamp(90)).unwrap();
        again.note(&host, &report("r", 2), Timestamp(95), &world);
        assert_eq!((again.since(), last(&again, "r")), (Timestamp(10), Some(Timestamp(40))));
        again.note(&host, &report("r", 1), Timestamp(99), &world);
        assert_eq!(last(&again, "r"), Some(Timestamp(99)), "a counter that was set back has counted since");
        assert_eq!(last(&again, "other"), None);
        let one = |rule: &str| again.last_use(&"sg".into(), &rule.into());
        assert_eq!((one("r"), one("other"), one("")), (Some(Timestamp(99)), None, None));
    }

    #[test]
    fn a_file_that_cannot_be_understood_begins_anew() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["", "{}", r#"{"version":9,"since":1,"rules":[]}"#] {
            fs::write(dir.path().join("usage"), text).unwrap();
            assert_eq!(Usage::open(dir.path(), Timestamp(5)).unwrap().since(), Timestamp(5), "{text}");
        }
    }
}
