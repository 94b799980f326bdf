//! What has happened, and what should not have: the last events are told with what was found.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::{self, Write as _},
    sync::{Mutex, PoisonError},
    time::Instant,
};

use super::Plan;

/// Events that are remembered.
const EVENTS_MAX: usize = 60;
/// Findings that are remembered: the first is the one to look at.
const FINDINGS_MAX: usize = 10;
/// Lines of the server's log that are told.
const LOG_LINES_MAX: usize = 40;

/// Events and findings, with their times.
#[derive(Debug)]
pub struct Journal {
    started: Instant,
    tells: bool,
    pages: Mutex<Pages>,
}

#[derive(Debug, Default)]
struct Pages {
    events: VecDeque<String>,
    findings: Vec<String>,
    troubles: BTreeMap<&'static str, u64>,
}

impl Journal {
    /// An empty one, which tells everything at once, or not.
    #[must_use]
    pub fn new(tells: bool) -> Self {
        Self { started: Instant::now(), tells, pages: Mutex::default() }
    }

    /// Seconds since the beginning.
    #[must_use]
    pub fn seconds(&self) -> u64 {
        self.started.elapsed().as_secs()
    }

    /// An event.
    pub fn note(&self, what: impl fmt::Display) {
        self.write(&what, |pages, line| {
            if pages.events.len() == EVENTS_MAX {
                pages.events.pop_front();
            }
            pages.events.push_back(line);
        });
    }

    /// A trouble, which is an event and is counted.
    pub fn trouble(&self, what: &'static str) {
        self.note(what);
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        *pages.troubles.entry(what).or_default() += 1;
    }

    /// Something that should not be.
    pub fn find(&self, what: &dyn fmt::Display) {
        self.write(what, |pages, line| {
            if pages.findings.len() < FINDINGS_MAX {
                pages.findings.push(line);
            }
        });
    }

    fn write(&self, what: &dyn fmt::Display, keep: impl FnOnce(&mut Pages, String)) {
        let line = format!("{:8.3} s  {what}", self.started.elapsed().as_secs_f64());
        if self.tells {
            eprintln!("{line}");
        }
        keep(&mut self.pages.lock().unwrap_or_else(PoisonError::into_inner), line);
    }

    /// Whether there is anything that should not be.
    #[must_use]
    pub fn has_found(&self) -> bool {
        !self.pages.lock().unwrap_or_else(PoisonError::into_inner).findings.is_empty()
    }

    /// How often which trouble was made.
    #[must_use]
    pub fn troubles(&self) -> String {
        let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        let each = pages.troubles.iter().map(|(what, count)| format!("{count} × {what}"));
        each.collect::<Vec<_>>().join(", ")
    }

    /// What was found, what had happened before, and what the server said.
    #[must_use]
    pub fn to_report(&self, plan: &Plan, log: &str) -> String {
        let Plan { duration, seed } = plan;
        let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = format!("the soak has found, with `--seconds {} --seed {seed}`:\n", duration.as_secs());
        let log: Vec<&str> = log.lines().collect();
        let log = log.get(log.len().saturating_sub(LOG_LINES_MAX)..).unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", pages.findings.join("\n"));
        let _ = writeln!(text, "before that:");
        let _ = pages.events.iter().try_for_each(|event| writeln!(text, "{event}"));
        let _ = write!(text, "the end of the server's log:\n{}", log.join("\n"));
        text
    }
}
