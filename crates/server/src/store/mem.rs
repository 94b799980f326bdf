//! A store that forgets everything when it is dropped: for tests.
//!
//! It keeps rows and log entries as the same JSON as the durable store, so that a fact which cannot be
//! written and read back fails here too. It never touches a file.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Mutex, PoisonError},
};

use sekimori_core::{
    change::Commit,
    world::{Revision, World},
};

use super::{LOG_COMMITS_MAX, Store, StoreError, check_sequence, damaged, read_row, replay};

/// See the module.
#[derive(Debug, Default)]
pub struct MemStore {
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    revision: Revision,
    rows: BTreeMap<String, Vec<u8>>,
    log: BTreeMap<Revision, Vec<u8>>,
}

impl Store for MemStore {
    fn append(&self, expected: Revision, commits: &[Commit]) -> Result<(), StoreError> {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        check_sequence(tables.revision, expected, commits)?;
        for commit in commits {
            tables.append(commit)?;
        }
        Ok(())
    }

    fn read(&self) -> Result<World, StoreError> {
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let mut world = World::default();
        for (key, json) in &tables.rows {
            let replayed = read_row(key, json).and_then(|change| replay(&mut world, &change));
            replayed.map_err(|what| damaged(Path::new("memory"), what))?;
        }
        Ok(world.at(tables.revision))
    }

    fn log(&self, after: Revision, max: usize) -> Result<Vec<Commit>, StoreError> {
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = tables.log.range(after.next()..).take(max);
        entries.map(|(_, json)| serde_json::from_slice(json).map_err(unreadable)).collect()
    }
}

impl Tables {
    fn append(&mut self, commit: &Commit) -> Result<(), StoreError> {
        for change in &commit.changes {
            let key = change.row().to_key();
            if change.is_delete() {
                self.rows.remove(&key);
            } else {
                self.rows.insert(key, serde_json::to_vec(change).map_err(unreadable)?);
            }
        }
        self.log.insert(commit.revision, serde_json::to_vec(commit).map_err(unreadable)?);
        self.revision = commit.revision;
        while self.log.len() as u64 > LOG_COMMITS_MAX {
            self.log.pop_first();
        }
        Ok(())
    }
}

fn unreadable(error: serde_json::Error) -> StoreError {
    damaged(Path::new("memory"), error)
}
