//! Where commits are kept: a narrow trait, and what may go wrong behind it.
//!
//! A store keeps two things in step: the newest fact of every row, from which the world is rebuilt, and the
//! log of commits, from which agents resume. It never judges a command and never invents a revision; the
//! commit thread is its only writer.

mod mem;
mod redb;
#[cfg(test)]
mod suite;

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use sekimori_core::{
    change::{Change, Commit},
    world::{Revision, World},
};

pub use self::{mem::MemStore, redb::RedbStore};

/// The version of the stored format. A change to what a row or a log entry means raises it.
pub const FORMAT_VERSION: u64 = 8;

/// The oldest version that is read, and raised when it is opened: its rows and log entries mean the same in the newest.
const FORMAT_READ_MIN: u64 = 7;

/// Commits that the log keeps; older ones are dropped. An agent that is further behind gets a snapshot.
pub const LOG_COMMITS_MAX: u64 = 1_000_000;

/// A store of commits. Reading never waits for writing, so feeds read the log while the writer appends.
pub trait Store: Send + Sync {
    /// Appends commits, all or none; they are durable when this returns.
    ///
    /// # Errors
    /// When the newest revision is not `expected`, the commits do not follow it one by one, or the storage
    /// fails. After a failure of the storage it is not known whether the commits were kept.
    fn append(&self, expected: Revision, commits: &[Commit]) -> Result<(), StoreError>;

    /// Rebuilds the world of the newest revision.
    ///
    /// # Errors
    /// When a row cannot be read or contradicts another.
    fn read(&self) -> Result<World, StoreError>;

    /// The commits after a revision, oldest first, at most `max`. The first one is not `after + 1` when
    /// the log no longer reaches back that far.
    ///
    /// # Errors
    /// When an entry cannot be read.
    fn log(&self, after: Revision, max: usize) -> Result<Vec<Commit>, StoreError>;
}

/// What goes wrong with a store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file is of another version.
    #[error(
        "`{}` has format version {found}; this sekimori reads version {FORMAT_VERSION}; start the release that \
         wrote it, or give `up` another data directory", file.display()
    )]
    OtherVersion {
        /// The file.
        file: PathBuf,
        /// Its version.
        found: String,
    },
    /// The file is not what was written.
    #[error("`{}` is damaged: {what}; restore the data directory from a backup", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What was found, naming the row where there is one.
        what: String,
    },
    /// A file that must be there is not.
    #[error("`{}` is missing, but `{}` says that it must exist; restore the data directory from a backup",
        file.display(), because.display())]
    Missing {
        /// The file.
        file: PathBuf,
        /// The file that tells.
        because: PathBuf,
    },
    /// Another process has it open.
    #[error("`{}` is in use by another sekimori; stop that one, or use another data directory", file.display())]
    InUse {
        /// The file.
        file: PathBuf,
    },
    /// The storage failed.
    #[error("cannot {doing} `{}`: {source}; check the disk and the file's permissions", file.display())]
    Failed {
        /// The file.
        file: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// The failure.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Somebody else has written.
    #[error("the store is at revision {found}, not {expected}; only one server may write to it")]
    Conflict {
        /// The revision that the writer believed to be the newest.
        expected: Revision,
        /// The newest revision.
        found: Revision,
    },
}

/// A directory that cannot be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("`{}` is in use by another sekimori; stop that one, or use another data directory", .0.display())]
    InUse(PathBuf),
    /// The lock file cannot be used.
    #[error("cannot lock `{}`: {source}; check its owner and permissions", file.display())]
    Failed {
        /// The lock file.
        file: PathBuf,
        /// The failure.
        source: io::Error,
    },
}

/// Locks a directory for as long as the file is open. A process that dies leaves no lock behind.
///
/// # Errors
/// [`LockError::InUse`] when another process has the lock.
pub fn lock(dir: &Path) -> Result<File, LockError> {
    let file = dir.join("lock");
    let failed = |source| LockError::Failed { file: file.clone(), source };
    let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&file).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(LockError::InUse(dir.to_owned())),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Checks that commits follow the newest revision without a gap.
fn check_sequence(newest: Revision, expected: Revision, commits: &[Commit]) -> Result<(), StoreError> {
    let mut next = newest;
    if newest != expected {
        return Err(StoreError::Conflict { expected, found: newest });
    }
    for commit in commits {
        if commit.revision != next.next() {
            return Err(StoreError::Conflict { expected: commit.revision, found: next });
        }
        next = commit.revision;
    }
    Ok(())
}

/// Reads a stored fact, or says what is wrong with it.
fn read_row(key: &str, json: &[u8]) -> Result<Change, String> {
    let change: Change =
        serde_json::from_slice(json).map_err(|error| format!("row `{key}` cannot be read: {error}"))?;
    if change.is_delete() || change.row().to_key() != key {
        return Err(format!("row `{key}` holds a fact about `{}`", change.row().to_key()));
    }
    Ok(change)
}

/// Adds a stored fact to a world that is being rebuilt, or says why it does not belong there.
fn replay(world: &mut World, change: &Change) -> Result<(), String> {
    if let Change::PutRule { group, .. } = change
        && world.group(group).is_none()
    {
        return Err(format!("row `{}` belongs to a group that is not there", change.row().to_key()));
    }
    world.apply(change);
    Ok(())
}

/// Makes the error of a damaged file.
fn damaged(file: &Path, what: impl ToString) -> StoreError {
    StoreError::Damaged { file: file.to_owned(), what: what.to_string() }
}
