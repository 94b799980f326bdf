//! What the hosts have counted, added up: durable, bounded, and never twice.
//!
//! A host tells totals of *lives* ([`sekimori_core::feed::TallyReport`]). A counter's lives that may be told again are kept one by
//! one, so what is told twice is counted once; what cannot be told again is added to the rest. That is so for a life that was over
//! in a report of which the agent has heard that it is written down, and, once a new connection has told everything that a host
//! still has, for every life that it did not tell.
//!
//! The file is written when a host waits for it, every [`SAVE_EVERY`] while anything moves, and at the end. A crash of the server
//! loses nothing: agents tell their totals again. A crash of host and server together loses what moved since the last writing.

mod file;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use sekimori_core::{
    feed::{Count, Counter, CounterReport, EniCount, RuleCount, Tally, TallyReport},
    ids::{EniId, HostId},
    limits::HOST_RULES_MAX,
    rule::Direction,
    world::World,
};

pub use self::file::CountsError;
use self::file::CountsFile;
use crate::hosts::HOSTS_MAX;

/// How often the file is written while something moves.
pub const SAVE_EVERY: Duration = Duration::from_secs(10);

/// Counters of one host that are kept: of what exists, and of what was deleted lately.
pub const HOST_COUNTERS_MAX: usize = 4 * HOST_RULES_MAX as usize;

/// See the module.
#[derive(Debug, Default)]
pub struct Counts {
    /// `None` keeps everything in memory only.
    file: Option<Mutex<CountsFile>>,
    hosts: Mutex<BTreeMap<HostId, HostCounts>>,
}

/// What one host has counted.
#[derive(Debug, Default)]
struct HostCounts {
    cells: BTreeMap<Counter, Cell>,
    /// What the file does not know yet.
    moved: BTreeSet<Counter>,
    session: Session,
}

/// One counter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Cell {
    /// Of lives that will not be told again.
    past: Count,
    /// Of lives that may be told again.
    lives: BTreeMap<u64, Count>,
}

/// What was told on a host's connection.
#[derive(Debug, Default)]
struct Session {
    /// Lives that were told, until everything has been.
    told: Option<BTreeSet<u64>>,
    /// What was over, by the report that told it.
    over: BTreeMap<u64, Vec<(Counter, u64)>>,
    /// The last report that the host waits for.
    waiting: Option<u64>,
}

/// What a report has changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Noted {
    /// New totals of rules.
    pub rules: Vec<RuleCount>,
    /// Whether the host waits until something is written down.
    pub is_awaited: bool,
}

impl Counts {
    /// Opens the file of a directory, or begins one.
    ///
    /// # Errors
    /// When it cannot be read or made. One that is damaged is put aside.
    pub fn open(dir: &Path) -> Result<Self, CountsError> {
        let (file, rows) = CountsFile::open(dir)?;
        let mut hosts: BTreeMap<HostId, HostCounts> = BTreeMap::new();
        for ((host, counter), cell) in rows {
            hosts.entry(host).or_default().cells.insert(counter, cell);
        }
        Ok(Self { file: Some(Mutex::new(file)), hosts: Mutex::new(hosts) })
    }

    /// Takes in a report.
    pub fn note(&self, host: &HostId, report: &TallyReport, world: &World) -> Noted {
        let mut hosts = self.hosts();
        if !hosts.contains_key(host) && hosts.len() >= 2 * HOSTS_MAX {
            tracing::warn!(%host, "counters of more hosts than are kept; those of this one are not");
            return Noted::default();
        }
        let known = hosts.entry(host.clone()).or_default();
        let rules = known.note(report);
        known.bound(world);
        Noted { rules, is_awaited: known.session.waiting.is_some() }
    }

    /// Writes down what has moved; returns the report up to which a host may forget what is over.
    ///
    /// # Errors
    /// When it cannot be written. It is tried again the next time.
    pub fn save(&self, host: Option<&HostId>) -> Result<Option<u64>, CountsError> {
        let file = self.file.as_ref().map(|file| file.lock().unwrap_or_else(PoisonError::into_inner));
        let (moved, waiting) = self.take_moved(host);
        if let Some(mut file) = file.filter(|_| !moved.is_empty())
            && let Err(error) = file.write(&moved)
        {
            let mut hosts = self.hosts();
            for ((host, counter), _) in moved {
                hosts.entry(host).or_default().moved.insert(counter);
            }
            return Err(error);
        }
        if let Some((host, report)) = host.zip(waiting) {
            let mut hosts = self.hosts();
            let session = hosts.get_mut(host).map(|known| &mut known.session);
            if let Some(session) = session.filter(|session| session.waiting == Some(report)) {
                session.waiting = None;
            }
        }
        Ok(waiting)
    }

    fn take_moved(&self, host: Option<&HostId>) -> (Vec<file::Row>, Option<u64>) {
        let mut hosts = self.hosts();
        let mut moved = Vec::new();
        for (name, known) in hosts.iter_mut() {
            for counter in std::mem::take(&mut known.moved) {
                let cell = known.cells.get(&counter).cloned();
                moved.push(((name.clone(), counter), cell));
            }
        }
        (moved, host.and_then(|host| hosts.get(host)).and_then(|known| known.session.waiting))
    }

    /// Everything that a host has counted, without what is not added up.
    #[must_use]
    pub fn of(&self, host: &HostId) -> CounterReport {
        let hosts = self.hosts();
        hosts
            .get(host)
            .map(|known| listed(known.cells.iter().map(|(counter, cell)| (counter, cell.total()))))
            .unwrap_or_default()
    }

    /// What all hosts have counted together.
    #[must_use]
    pub fn total(&self) -> CounterReport {
        let hosts = self.hosts();
        let mut sums: BTreeMap<&Counter, Count> = BTreeMap::new();
        for (counter, cell) in hosts.values().flat_map(|known| &known.cells) {
            let sum = sums.entry(counter).or_default();
            *sum = plus(*sum, cell.total());
        }
        listed(sums.into_iter())
    }

    /// What all hosts have counted of one thing.
    #[must_use]
    pub fn count_of(&self, counter: &Counter) -> Count {
        let hosts = self.hosts();
        let cells = hosts.values().filter_map(|known| known.cells.get(counter));
        cells.fold(Count::default(), |sum, cell| plus(sum, cell.total()))
    }

    /// Every host that has counted anything.
    #[must_use]
    pub fn hosts_counted(&self) -> BTreeSet<HostId> {
        self.hosts().keys().cloned().collect()
    }

    /// Packets of an ENI in one direction that had this reason, whether they passed or not.
    #[must_use]
    pub fn packets_of(&self, host: &HostId, eni: &EniId, direction: Direction, reason: &str) -> u64 {
        let hosts = self.hosts();
        let Some(known) = hosts.get(host) else { return 0 };
        let counter = |passed| Counter::Eni { eni: eni.clone(), direction, passed, reason: reason.to_owned() };
        [true, false]
            .into_iter()
            .filter_map(|passed| known.cells.get(&counter(passed)))
            .map(|cell| cell.total().packets)
            .sum()
    }

    fn hosts(&self) -> MutexGuard<'_, BTreeMap<HostId, HostCounts>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HostCounts {
    fn note(&mut self, report: &TallyReport) -> Vec<RuleCount> {
        if report.number == 1 {
            self.session = Session { told: Some(BTreeSet::new()), ..Session::default() };
        }
        let later = self.session.over.split_off(&(report.forgotten + 1));
        for (counter, life) in std::mem::replace(&mut self.session.over, later).into_values().flatten() {
            if self.cells.get_mut(&counter).is_some_and(|cell| cell.fold(|other| other == life)) {
                self.moved.insert(counter);
            }
        }
        let rules = report.tallies.iter().filter_map(|tally| self.merge(report.number, tally)).collect();
        if report.is_whole
            && let Some(told) = self.session.told.take()
        {
            for (counter, cell) in &mut self.cells {
                if cell.fold(|life| !told.contains(&life)) {
                    self.moved.insert(counter.clone());
                }
            }
        }
        rules
    }

    /// Takes in one total. Of two that are told of a life the greater one is newer.
    fn merge(&mut self, report: u64, tally: &Tally) -> Option<RuleCount> {
        let Tally { counter, life, is_over, count } = tally;
        if let Some(told) = &mut self.session.told {
            told.insert(*life);
        }
        let cell = self.cells.entry(counter.clone()).or_default();
        let known = cell.lives.entry(*life).or_default();
        let newer = Count { packets: known.packets.max(count.packets), bytes: known.bytes.max(count.bytes) };
        let has_moved = *known != newer;
        *known = newer;
        let total = cell.total();
        if has_moved {
            self.moved.insert(counter.clone());
        }
        if *is_over {
            self.session.over.entry(report).or_default().push((counter.clone(), *life));
            self.session.waiting = Some(report);
        }
        match counter {
            Counter::Rule { group, rule } if has_moved => {
                Some(RuleCount { group: group.clone(), rule: rule.clone(), count: total })
            }
            Counter::Rule { .. } | Counter::Eni { .. } => None,
        }
    }

    /// When there are too many, those of what is gone are dropped.
    fn bound(&mut self, world: &World) {
        if self.cells.len() <= HOST_COUNTERS_MAX {
            return;
        }
        let gone: Vec<Counter> = self.cells.keys().filter(|counter| !exists(world, counter)).cloned().collect();
        for counter in gone {
            self.cells.remove(&counter);
            self.moved.insert(counter);
        }
    }
}

impl Cell {
    /// Adds lives to what will not be told again; whether there were any.
    fn fold(&mut self, is_over: impl Fn(u64) -> bool) -> bool {
        let before = self.lives.len();
        let past = &mut self.past;
        self.lives.retain(|life, count| {
            if is_over(*life) {
                *past = plus(*past, *count);
            }
            !is_over(*life)
        });
        self.lives.len() < before
    }

    fn total(&self) -> Count {
        self.lives.values().fold(self.past, |sum, life| plus(sum, *life))
    }
}

fn plus(one: Count, other: Count) -> Count {
    Count { packets: one.packets.saturating_add(other.packets), bytes: one.bytes.saturating_add(other.bytes) }
}

fn listed<'a>(totals: impl Iterator<Item = (&'a Counter, Count)>) -> CounterReport {
    let mut report = CounterReport::default();
    for (counter, count) in totals {
        match counter.clone() {
            Counter::Rule { group, rule } => report.rules.push(RuleCount { group, rule, count }),
            Counter::Eni { eni, direction, passed, reason } => {
                report.enis.push(EniCount { eni, direction, passed, reason, packets: count.packets });
            }
        }
    }
    report
}

fn exists(world: &World, counter: &Counter) -> bool {
    match counter {
        Counter::Rule { group, rule } => {
            let group = world.group(group);
            group.is_some_and(|group| rule.as_ref().is_none_or(|rule| group.rules.contains_key(rule)))
        }
        Counter::Eni { eni, .. } => world.eni(eni).is_some(),
    }
}

#[cfg(test)]
mod tests;
