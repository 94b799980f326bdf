//! The durable store: one redb file in the server's directory.
//!
//! Three tables: `state` (row name to the newest fact, JSON), `log` (revision to commit, JSON) and `meta`
//! (format version and newest revision). A new file is made under another name and renamed when it is whole,
//! and the marker file `format`, written after the first commit, says from then on that a store must exist:
//! a lost, empty or older file is refused and never taken for a new one. Every page's checksum is verified
//! when the file is opened.

use std::{
    fs, io, mem,
    path::{Path, PathBuf},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{self, SyncSender},
    },
    thread,
};

use redb::{
    Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableDefinition, WriteTransaction,
};

use sekimori_core::{
    change::{Change, Commit},
    world::{Revision, World},
};

use super::{
    FORMAT_READ_MIN, FORMAT_VERSION, LOG_COMMITS_MAX, Store, StoreError, check_sequence, damaged, read_row, replay,
};
use crate::files;

const STATE: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("state");
const LOG: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("log");
const META: TableDefinition<'static, &str, u64> = TableDefinition::new("meta");
const VERSION: &str = "format";
const NEWEST: &str = "revision";

/// Memory for cached pages.
const CACHE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Facts that are handed on together while the world is read: one thread reads what another puts in its place.
const READ_BATCH_ROWS: usize = 1_024;

/// Batches that may wait to be put in their place.
const READ_BATCHES_MAX: usize = 8;

/// See the module.
#[derive(Debug)]
pub struct RedbStore {
    database: Database,
    file: PathBuf,
    marker: PathBuf,
    is_marked: AtomicBool,
}

impl RedbStore {
    /// Whether a directory holds, or must hold, a store.
    #[must_use]
    pub fn is_expected_in(dir: &Path) -> bool {
        marker_in(dir).exists() || file_in(dir).exists()
    }

    /// Opens the store of a directory, or makes a new one where none has ever been.
    ///
    /// # Errors
    /// When the file is missing, damaged, of another version, or in use.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let (file, marker) = (file_in(dir), marker_in(dir));
        let marked = read_marker(&marker)?;
        let is_marked = marked.is_some();
        match fs::metadata(&file) {
            Ok(metadata) if metadata.len() == 0 => return Err(damaged(&file, "it is empty")),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound && is_marked => {
                return Err(StoreError::Missing { file, because: marker });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(dir, &file)?,
            Err(error) => return Err(failed(&file, "open", error)),
        }
        let database = open_database(&file)?;
        let is_newest = marked == Some(FORMAT_VERSION);
        let store = Self { database, file, marker, is_marked: AtomicBool::new(is_newest) };
        let newest = store.check_meta()?;
        if is_marked && newest == Revision(0) {
            return Err(damaged(
                &store.file,
                format!("it is empty, but `{}` says otherwise", store.marker.display()),
            ));
        }
        store.raise()?;
        if newest != Revision(0) {
            store.mark()?;
        }
        Ok(store)
    }

    /// Takes a store of an earlier version over: from here on that release reads it no more. What it holds means the same.
    fn raise(&self) -> Result<(), StoreError> {
        let mut write = self.database.begin_write().map_err(|error| self.failed("write", error))?;
        write.set_two_phase_commit(true);
        let mut meta = write.open_table(META).map_err(|error| self.failed("write", error))?;
        let found = meta.get(VERSION).map_err(|error| self.failed("read", error))?.map(|found| found.value());
        if found == Some(FORMAT_VERSION) {
            drop(meta);
            return write.abort().map_err(|error| self.failed("write", error));
        }
        meta.insert(VERSION, FORMAT_VERSION).map_err(|error| self.failed("write", error))?;
        drop(meta);
        write.commit().map_err(|error| self.failed("write", error))?;
        tracing::info!(
            from = found,
            to = FORMAT_VERSION,
            "the store was written by an earlier release; it is raised"
        );
        Ok(())
    }

    /// Checks the format version, and that state and log end at the same revision.
    fn check_meta(&self) -> Result<Revision, StoreError> {
        let read = self.database.begin_read().map_err(|error| self.failed("read", error))?;
        let meta = read.open_table(META).map_err(|error| damaged(&self.file, error))?;
        let value = |key| meta.get(key).map_err(|error| self.failed("read", error));
        let version = value(VERSION)?.map(|found| found.value());
        if !version.is_some_and(is_read) {
            let found = version.map_or_else(|| "none".to_owned(), |version| version.to_string());
            return Err(StoreError::OtherVersion { file: self.file.clone(), found });
        }
        let newest = value(NEWEST)?.map_or(0, |found| found.value());
        let log = read.open_table(LOG).map_err(|error| damaged(&self.file, error))?;
        let last = log.last().map_err(|error| self.failed("read", error))?.map_or(0, |(key, _)| key.value());
        if last != newest {
            return Err(damaged(&self.file, format!("its log ends at revision {last}, its state at {newest}")));
        }
        Ok(Revision(newest))
    }

    /// Reads every fact, in batches, as long as somebody takes them.
    fn read_rows(&self, batches: &SyncSender<Vec<Change>>) -> Result<(), StoreError> {
        let read = self.database.begin_read().map_err(|error| self.failed("read", error))?;
        let state = read.open_table(STATE).map_err(|error| damaged(&self.file, error))?;
        let mut batch = Vec::with_capacity(READ_BATCH_ROWS);
        for row in state.iter().map_err(|error| self.failed("read", error))? {
            let (key, json) = row.map_err(|error| self.failed("read", error))?;
            batch.push(read_row(key.value(), json.value()).map_err(|what| damaged(&self.file, what))?);
            if batch.len() == READ_BATCH_ROWS
                && batches.send(mem::replace(&mut batch, Vec::with_capacity(READ_BATCH_ROWS))).is_err()
            {
                return Ok(());
            }
        }
        // Nobody takes the last batch when the world has been found to be damaged.
        drop(batches.send(batch));
        Ok(())
    }

    fn write(&self, expected: Revision, commits: &[Commit]) -> Result<(), StoreError> {
        let mut write = self.database.begin_write().map_err(|error| self.failed("write", error))?;
        // Not quick repair: a start checks every page in any case, and would not look at what that writes.
        write.set_two_phase_commit(true);
        self.check_expected(&write, expected, commits)?;
        self.write_rows(&write, commits)?;
        self.write_log(&write, commits)?;
        write.commit().map_err(|error| self.failed("write", error))
    }

    fn check_expected(
        &self,
        write: &WriteTransaction,
        expected: Revision,
        commits: &[Commit],
    ) -> Result<(), StoreError> {
        let mut meta = write.open_table(META).map_err(|error| self.failed("write", error))?;
        let newest = meta.get(NEWEST).map_err(|error| self.failed("read", error))?.map_or(0, |found| found.value());
        check_sequence(Revision(newest), expected, commits)?;
        let last = commits.last().map_or(newest, |commit| commit.revision.0);
        meta.insert(NEWEST, last).map_err(|error| self.failed("write", error))?;
        Ok(())
    }

    fn write_rows(&self, write: &WriteTransaction, commits: &[Commit]) -> Result<(), StoreError> {
        let mut state = write.open_table(STATE).map_err(|error| self.failed("write", error))?;
        for change in commits.iter().flat_map(|commit| &commit.changes) {
            let key = change.row().to_key();
            if change.is_delete() {
                state.remove(key.as_str()).map_err(|error| self.failed("write", error))?;
            } else {
                let json = serde_json::to_vec(change).map_err(|error| self.failed("write", error))?;
                state.insert(key.as_str(), json.as_slice()).map_err(|error| self.failed("write", error))?;
            }
        }
        Ok(())
    }

    fn write_log(&self, write: &WriteTransaction, commits: &[Commit]) -> Result<(), StoreError> {
        let mut log = write.open_table(LOG).map_err(|error| self.failed("write", error))?;
        for commit in commits {
            let json = serde_json::to_vec(commit).map_err(|error| self.failed("write", error))?;
            log.insert(commit.revision.0, json.as_slice()).map_err(|error| self.failed("write", error))?;
            if let Some(oldest) = commit.revision.0.checked_sub(LOG_COMMITS_MAX) {
                log.remove(oldest).map_err(|error| self.failed("write", error))?;
            }
        }
        Ok(())
    }

    /// Writes the marker, once.
    fn mark(&self) -> Result<(), StoreError> {
        if self.is_marked.load(Ordering::Acquire) {
            return Ok(());
        }
        let text = format!("{FORMAT_VERSION}\n");
        files::write_durably(&self.marker, text.as_bytes()).map_err(|error| failed(&self.marker, "write", error))?;
        self.is_marked.store(true, Ordering::Release);
        Ok(())
    }

    fn failed(&self, doing: &'static str, error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
        failed(&self.file, doing, error)
    }
}

impl Store for RedbStore {
    fn append(&self, expected: Revision, commits: &[Commit]) -> Result<(), StoreError> {
        self.write(expected, commits)?;
        if commits.is_empty() { Ok(()) } else { self.mark() }
    }

    fn read(&self) -> Result<World, StoreError> {
        let newest = self.check_meta()?;
        let (sender, batches) = mpsc::sync_channel(READ_BATCHES_MAX);
        let world = thread::scope(|scope| {
            let reading = scope.spawn(move || self.read_rows(&sender));
            let mut world = World::default();
            for change in batches.into_iter().flatten() {
                replay(&mut world, &change).map_err(|what| damaged(&self.file, what))?;
            }
            // What went wrong while reading is the cause of whatever is missing.
            reading.join().map_err(|_| damaged(&self.file, "reading it failed"))??;
            Ok(world)
        })?;
        Ok(world.at(newest))
    }

    fn log(&self, after: Revision, max: usize) -> Result<Vec<Commit>, StoreError> {
        let read = self.database.begin_read().map_err(|error| self.failed("read", error))?;
        let log = read.open_table(LOG).map_err(|error| self.failed("read", error))?;
        let mut commits = Vec::new();
        for entry in log.range(after.next().0..).map_err(|error| self.failed("read", error))?.take(max) {
            let (revision, json) = entry.map_err(|error| self.failed("read", error))?;
            let unreadable = |error| format!("log entry {} cannot be read: {error}", revision.value());
            let commit = serde_json::from_slice(json.value()).map_err(unreadable);
            commits.push(commit.map_err(|what| damaged(&self.file, what))?);
        }
        Ok(commits)
    }
}

fn file_in(dir: &Path) -> PathBuf {
    dir.join("store.redb")
}

fn marker_in(dir: &Path) -> PathBuf {
    dir.join("format")
}

fn is_read(version: u64) -> bool {
    (FORMAT_READ_MIN..=FORMAT_VERSION).contains(&version)
}

/// The version that the marker names, if there is one.
fn read_marker(marker: &Path) -> Result<Option<u64>, StoreError> {
    match fs::read_to_string(marker) {
        Ok(text) => match text.trim().parse::<u64>() {
            Ok(version) if is_read(version) => Ok(Some(version)),
            Ok(_) => Err(StoreError::OtherVersion { file: marker.to_owned(), found: text.trim().to_owned() }),
            Err(_) => Err(damaged(marker, "it does not hold a version number")),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(damaged(marker, error)),
        Err(error) => Err(failed(marker, "read", error)),
    }
}

/// Makes an empty store under another name, so that a file of the right name is always whole.
fn create(dir: &Path, file: &Path) -> Result<(), StoreError> {
    let unfinished = dir.join("store.redb.new");
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&unfinished, "remove", error)),
        Ok(()) | Err(_) => {}
    }
    let wrong = |error: redb::Error| failed(&unfinished, "create", error);
    files::create_private(&unfinished).map_err(|error| failed(&unfinished, "create", error))?;
    let database = Database::builder().create(&unfinished).map_err(|error| wrong(error.into()))?;
    let mut write = database.begin_write().map_err(|error| wrong(error.into()))?;
    write.set_two_phase_commit(true);
    write.open_table(STATE).map_err(|error| wrong(error.into()))?;
    write.open_table(LOG).map_err(|error| wrong(error.into()))?;
    let mut meta = write.open_table(META).map_err(|error| wrong(error.into()))?;
    meta.insert(VERSION, FORMAT_VERSION).map_err(|error| wrong(error.into()))?;
    meta.insert(NEWEST, 0).map_err(|error| wrong(error.into()))?;
    drop(meta);
    write.commit().map_err(|error| wrong(error.into()))?;
    drop(database);
    files::rename_durably(&unfinished, file).map_err(|error| failed(file, "create", error))
}

fn open_database(file: &Path) -> Result<Database, StoreError> {
    let mut builder = Database::builder();
    builder.set_check_integrity_on_open(true).set_cache_size(CACHE_BYTES_MAX);
    let error = match builder.open(file) {
        Ok(database) => return Ok(database),
        Err(error) => error,
    };
    if let DatabaseError::DatabaseAlreadyOpen = error {
        return Err(StoreError::InUse { file: file.to_owned() });
    }
    if let DatabaseError::Storage(StorageError::Io(error)) = &error
        && !is_content(error)
    {
        return Err(failed(file, "open", error.to_string()));
    }
    // Every commit is made in two phases, so the newest one is whole after any crash. A
    // file that says otherwise has been altered, and redb refuses to fall back to an older commit.
    Err(damaged(file, error))
}

/// Whether an I/O error tells about what is in the file, not about the disk.
fn is_content(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

fn failed(
    file: &Path,
    doing: &'static str,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> StoreError {
    StoreError::Failed { file: file.to_owned(), doing, source: error.into() }
}
