//! Rollbacks that are due and refused, by an invariant that was set meanwhile for example: which, and why. The timer tries them again.
//!
//! Nothing here is kept: a server that starts finds out within a second.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// See the module. Bounded by the changes that are on trial.
#[derive(Debug, Default)]
pub(crate) struct Stuck {
    by_trial: Mutex<BTreeMap<String, String>>,
}

impl Stuck {
    /// A rollback was refused. Tells whether that is news.
    pub(crate) fn note(&self, trial: &str, why: &str) -> bool {
        self.reasons().insert(trial.to_owned(), why.to_owned()).is_none_or(|known| known != why)
    }

    /// Only these are due any more.
    pub(crate) fn keep(&self, due: &[&str]) {
        self.reasons().retain(|trial, _| due.contains(&trial.as_str()));
    }

    /// Why a change on trial is not rolled back though it is due.
    pub(crate) fn why(&self, trial: &str) -> Option<String> {
        self.reasons().get(trial).cloned()
    }

    /// All of them, in words.
    pub(crate) fn words(&self) -> Vec<String> {
        let reasons = self.reasons();
        let words = |(trial, why): (&String, &String)| {
            format!(
                "`{trial}` is due and cannot be rolled back: {why}; mend that, or keep it (`sekimori confirm {trial}`)"
            )
        };
        reasons.iter().map(words).collect()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.reasons().len()
    }

    fn reasons(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.by_trial.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_news_once_and_forgotten_with_its_trial() {
        let stuck = Stuck::default();
        assert!(stuck.note("trial-1", "an invariant") && !stuck.note("trial-1", "an invariant"));
        assert!(stuck.note("trial-1", "another one") && stuck.note("trial-2", "an invariant"));
        assert_eq!((stuck.count(), stuck.why("trial-1").as_deref()), (2, Some("another one")));
        stuck.keep(&["trial-2", "trial-3"]);
        assert_eq!((stuck.why("trial-1"), stuck.words().len()), (None, 1));
        assert!(stuck.words()[0].contains("`trial-2`") && stuck.words()[0].contains("an invariant"));
    }
}
