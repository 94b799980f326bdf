//! The past: the commits of the log, and the world as it was at one of them.
//!
//! The log is the audit log as well. Nothing that the APIs offer changes or shortens it; beyond
//! [`LOG_COMMITS_MAX`](crate::store::LOG_COMMITS_MAX) commits it forgets the oldest.

use std::sync::Arc;

use sekimori_analysis::history::{self, Entry, Filter};
use sekimori_core::{
    time::Timestamp,
    world::{Revision, World},
};
use tokio::sync::Semaphore;

use crate::store::{Store, StoreError};

/// Questions about the past that are answered at a time; whoever asks more is told to try again.
const PAST_AT_A_TIME: usize = 2;
/// Commits that are read from the log at a time.
const PAST_BATCH: usize = 1_024;
/// Commits that one question looks at for those that it asks for.
const SCANNED_MAX: usize = 65_536;

/// A moment of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// When this was the newest revision.
    Revision(Revision),
    /// At this time.
    Time(Timestamp),
}

/// Why the past is not told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PastError {
    /// Others are being answered.
    #[error("{PAST_AT_A_TIME} questions about the past are being answered; try again in a moment")]
    Busy,
    /// The moment is not there.
    #[error("revision {0} is not there yet; the newest is {1}")]
    Future(Revision, Revision),
    /// The log begins later.
    #[error("the log begins at revision {0}, so what was before it cannot be told")]
    Forgotten(Revision),
    /// The log cannot be read.
    #[error("the log cannot be read: {0}")]
    Store(#[from] StoreError),
    /// The reading thread ended.
    #[error("reading the log ended badly: {0}")]
    Thread(#[from] tokio::task::JoinError),
}

/// Commits that were asked for.
pub(crate) struct Found {
    /// The newest first.
    pub(crate) entries: Vec<Entry>,
    /// There may be older ones: ask again for those before this revision.
    pub(crate) next: Option<Revision>,
}

/// See the module.
pub(crate) struct Past {
    store: Arc<dyn Store>,
    turns: Semaphore,
}

impl Past {
    /// The past that a store knows.
    pub(crate) fn of(store: Arc<dyn Store>) -> Self {
        Self { store, turns: Semaphore::new(PAST_AT_A_TIME) }
    }

    /// The newest commits before a revision that a filter asks for, at most so many.
    pub(crate) async fn list(
        &self,
        world: World,
        before: Revision,
        filter: Filter,
        most: usize,
    ) -> Result<Found, PastError> {
        let _turn = self.turns.try_acquire().map_err(|_| PastError::Busy)?;
        let store = Arc::clone(&self.store);
        tokio::task::spawn_blocking(move || list(&*store, &world, before, &filter, most)).await?
    }

    /// The world as it was.
    pub(crate) async fn world(&self, newest: Revision, at: At) -> Result<World, PastError> {
        if let At::Revision(revision) = at
            && revision > newest
        {
            return Err(PastError::Future(revision, newest));
        }
        let _turn = self.turns.try_acquire().map_err(|_| PastError::Busy)?;
        let store = Arc::clone(&self.store);
        tokio::task::spawn_blocking(move || world(&*store, at)).await?
    }
}

fn list(
    store: &dyn Store,
    world: &World,
    before: Revision,
    filter: &Filter,
    most: usize,
) -> Result<Found, PastError> {
    let (mut end, mut scanned, mut entries) = (before.0, 0, Vec::new());
    while end > 1 {
        let start = end.saturating_sub(PAST_BATCH as u64).max(1);
        let batch = store.log(Revision(start - 1), (end - start) as usize)?;
        for commit in batch.iter().rev().filter(|commit| commit.revision.0 < end) {
            scanned += 1;
            if filter.holds(commit) {
                entries.push(history::tell(world, commit));
            }
            // What is older is not asked for.
            let is_over = filter.since.is_some_and(|since| commit.at < since);
            if is_over {
                return Ok(Found { entries, next: None });
            }
            if entries.len() >= most || scanned >= SCANNED_MAX {
                let next = Some(commit.revision).filter(|revision| revision.0 > 1);
                return Ok(Found { entries, next });
            }
        }
        // The log may begin later.
        if batch.first().is_none_or(|first| first.revision.0 > start) {
            break;
        }
        end = start;
    }
    Ok(Found { entries, next: None })
}

/// Replays the log from its first commit.
fn world(store: &dyn Store, at: At) -> Result<World, PastError> {
    let mut world = World::default();
    loop {
        let batch = store.log(world.revision(), PAST_BATCH)?;
        for commit in &batch {
            let is_later = match at {
                At::Revision(revision) => commit.revision > revision,
                At::Time(moment) => commit.at > moment,
            };
            if is_later {
                return Ok(world);
            }
            if commit.revision != world.revision().next() {
                return Err(PastError::Forgotten(commit.revision));
            }
            world.commit(commit);
        }
        if batch.is_empty() {
            return Ok(world);
        }
    }
}

#[cfg(test)]
mod tests;
