//! What the hosts say about their kernels: whether they hold what was written there, and what differed.
//!
//! Kept in memory, bounded. Each host has a number that is raised to ask it; the feed passes the question on, and the answer
//! with that number or a later one is what was asked for.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use sekimori_core::{
    feed::{DIFFERENCES_MAX, Difference, ReadBack},
    ids::HostId,
    time::Timestamp,
};

/// Answers of one host that are kept for those who wait.
pub const ANSWERS_MAX: usize = 16;
/// Differences of one host that were found in the background and are kept until somebody asks.
pub const UNTOLD_MAX: usize = 4 * DIFFERENCES_MAX;

/// A difference, and when the server heard of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noted {
    /// When.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub difference: Difference,
}

/// What a host has compared since the server heard of it first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Entries that were compared.
    pub checked: u64,
    /// Differences that were found.
    pub found: u64,
    /// When everything was compared last, or something was found.
    pub last: Option<Timestamp>,
}

/// All hosts.
#[derive(Debug)]
pub struct Verifier {
    known: Mutex<BTreeMap<HostId, Record>>,
    changes: watch::Sender<u64>,
}

#[derive(Debug)]
struct Record {
    asked: watch::Sender<u64>,
    answers: VecDeque<ReadBack>,
    totals: Totals,
    untold: VecDeque<Noted>,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            asked: watch::Sender::new(0),
            answers: VecDeque::new(),
            totals: Totals::default(),
            untold: VecDeque::new(),
        }
    }
}

impl Record {
    /// The first answer that was given after a question.
    fn answer(&self, number: u64) -> Option<&ReadBack> {
        self.answers.iter().find(|answer| answer.request >= Some(number))
    }
}

impl Default for Verifier {
    fn default() -> Self {
        Self { known: Mutex::default(), changes: watch::Sender::new(0) }
    }
}

impl Verifier {
    /// Asks a host; returns the number of the question.
    pub(crate) fn ask(&self, host: &HostId) -> u64 {
        let mut known = self.lock();
        let record = known.entry(host.clone()).or_default();
        record.asked.send_modify(|number| *number += 1);
        *record.asked.borrow()
    }

    /// The questions for a host, for who passes them on. One that is not answered yet is passed on at once.
    pub(crate) fn questions(&self, host: &HostId) -> watch::Receiver<u64> {
        let mut known = self.lock();
        let record = known.entry(host.clone()).or_default();
        let mut questions = record.asked.subscribe();
        let last = *record.asked.borrow();
        if last > 0 && record.answer(last).is_none() {
            questions.mark_changed();
        }
        questions
    }

    /// Takes in what a host has compared.
    pub(crate) fn note(&self, host: &HostId, mut report: ReadBack, now: Timestamp) {
        report.differences.truncate(DIFFERENCES_MAX);
        let mut known = self.lock();
        let record = known.entry(host.clone()).or_default();
        record.totals.checked = record.totals.checked.saturating_add(report.checked);
        record.totals.found = record.totals.found.saturating_add(report.found);
        record.totals.last = Some(now);
        if report.request.is_some() {
            record.answers.push_back(report);
            record.answers.drain(..record.answers.len().saturating_sub(ANSWERS_MAX));
        } else {
            record.untold.extend(report.differences.into_iter().map(|difference| Noted { at: now, difference }));
            record.untold.drain(..record.untold.len().saturating_sub(UNTOLD_MAX));
        }
        drop(known);
        self.changes.send_modify(|change| *change = change.wrapping_add(1));
    }

    /// Waits for the answer to a question.
    pub(crate) async fn answer(&self, host: &HostId, number: u64) -> ReadBack {
        let mut changes = self.changes.subscribe();
        loop {
            let answer = self.lock().get(host).and_then(|record| record.answer(number).cloned());
            if let Some(answer) = answer {
                return answer;
            }
            // The sender lives as long as `self`.
            if changes.changed().await.is_err() {
                return ReadBack::default();
            }
        }
    }

    /// What was found in the background since this was asked last.
    pub(crate) fn take_untold(&self, host: &HostId) -> Vec<Noted> {
        self.lock().get_mut(host).map(|record| record.untold.drain(..).collect()).unwrap_or_default()
    }

    /// What a host has compared in all.
    #[must_use]
    pub fn totals(&self, host: &HostId) -> Totals {
        self.lock().get(host).map(|record| record.totals).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<HostId, Record>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sekimori_core::feed::Part;

    use super::*;

    fn report(request: Option<u64>, found: u64) -> ReadBack {
        let difference = |n| Difference {
            part: Part::Address,
            subject: format!("address {n}"),
            found: "is not in the table".to_owned(),
            failure: None,
        };
        ReadBack { request, checked: 10, found, differences: (0..found).map(difference).collect(), revision: None }
    }

    #[tokio::test]
    async fn who_asks_gets_the_first_answer_after_the_question() {
        let (verifier, host) = (Arc::new(Verifier::default()), HostId::from("one"));
        let first = verifier.ask(&host);
        let second = verifier.ask(&host);
        let questions = verifier.questions(&host);
        assert!(questions.has_changed().unwrap(), "a question from before the connection is passed on");
        let waiting = [first, second].map(|number| {
            let (verifier, host) = (Arc::clone(&verifier), host.clone());
            tokio::spawn(async move { verifier.answer(&host, number).await.found })
        });
        verifier.note(&host, report(None, 1), Timestamp(5));
        verifier.note(&host, report(Some(second), 3), Timestamp(6));
        verifier.note(&host, report(Some(second + 1), 0), Timestamp(7));
        for waiting in waiting {
            assert_eq!(waiting.await.unwrap(), 3);
        }
        assert!(!verifier.questions(&host).has_changed().unwrap());
        assert_eq!(verifier.totals(&host), Totals { checked: 30, found: 4, last: Some(Timestamp(7)) });
    }

    #[test]
    fn what_was_found_in_the_background_is_told_once_and_bounded() {
        let (verifier, host) = (Verifier::default(), HostId::from("one"));
        for _ in 0..6 {
            verifier.note(&host, report(None, DIFFERENCES_MAX as u64 + 9), Timestamp(5));
        }
        assert_eq!(verifier.take_untold(&host).len(), UNTOLD_MAX);
        assert_eq!(verifier.take_untold(&host), []);
        for number in 0..40 {
            verifier.note(&host, report(Some(number), 0), Timestamp(5));
        }
        assert_eq!(verifier.lock()[&host].answers.len(), ANSWERS_MAX);
    }
}
