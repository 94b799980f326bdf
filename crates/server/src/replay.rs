//! Requests that must not be carried out twice: the nonces of the last half hour.
//!
//! A signed request is good for 15 minutes around its timestamp, which may lie 15 minutes ahead, so a nonce is
//! remembered for 30. Every nonce is kept in memory. That of a request which changes something also goes to
//! the file `nonces` before the change is made, and is on disk before the change is acknowledged: a copy of
//! such a request is refused after a restart, too. A copy of a request that only reads may be answered
//! again after a restart; it changes nothing.
//!
//! The file is an array of slots of 24 bytes: when the slot may be used again (seconds, big-endian) and 16
//! bytes of the digest of key and nonce. It never grows beyond [`NONCES_MAX`] slots. A torn slot is one
//! nonce that was never acknowledged.

use std::{
    collections::{HashSet, VecDeque},
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use sha2::{Digest, Sha256};

use sekimori_core::time::Timestamp;

/// Nonces that are remembered at a time: 580 requests a second, all the time. More are throttled.
pub const NONCES_MAX: usize = 1_048_576;

/// How long a nonce is remembered.
const NONCE_LIFETIME_S: i64 = 30 * 60;

const SLOT_BYTES: usize = 24;

/// The name of a request: digest of access key id and nonce.
type Mark = [u8; 16];

/// Why a request is not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// Its nonce was used before.
    Used,
    /// There is no room to remember another one.
    Full,
}

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use `{}`: {source}; check its owner, its permissions and the disk", file.display())]
pub struct ReplayError {
    file: PathBuf,
    source: io::Error,
}

/// See the module.
#[derive(Debug)]
pub struct Replay {
    path: PathBuf,
    file: File,
    is_dirty: AtomicBool,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    capacity: usize,
    marks: HashSet<Mark>,
    /// In the order in which they are forgotten, with the slot of those that are on disk.
    order: VecDeque<(Timestamp, Mark, Option<u32>)>,
    free_slots: Vec<u32>,
    slots_used: u32,
}

/// A nonce that has been let through.
#[derive(Debug)]
#[must_use]
pub struct Ticket {
    mark: Mark,
}

impl Replay {
    /// Opens the file of a directory, or makes it.
    ///
    /// # Errors
    /// When the file cannot be read or made.
    pub fn open(dir: &Path, now: Timestamp) -> Result<Self, ReplayError> {
        Self::with_capacity(dir, now, NONCES_MAX)
    }

    fn with_capacity(dir: &Path, now: Timestamp, capacity: usize) -> Result<Self, ReplayError> {
        let path = dir.join("nonces");
        let wrong = |source| ReplayError { file: path.clone(), source };
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.map_err(wrong)?;
        let bytes = fs::read(&path).map_err(wrong)?;
        let seen = Mutex::new(Seen::load(&bytes, now, capacity));
        Ok(Self { path, file, is_dirty: AtomicBool::new(false), seen })
    }

    /// Lets a nonce through once.
    ///
    /// # Errors
    /// When it was used before, or cannot be remembered.
    pub fn admit(&self, key: &str, nonce: &str, now: Timestamp) -> Result<Ticket, Replayed> {
        let mark = mark(key, nonce);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.forget(now);
        seen.admit(mark, now)?;
        Ok(Ticket { mark })
    }

    /// Writes an admitted nonce down. It is on disk after the next [`Replay::flush`].
    ///
    /// # Errors
    /// When the file cannot be written; the request must not be carried out then.
    pub fn keep(&self, ticket: &Ticket, now: Timestamp) -> Result<(), ReplayError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = seen.take_slot(&ticket.mark);
        let mut bytes = [0_u8; SLOT_BYTES];
        let (until, mark) = bytes.split_at_mut(SLOT_BYTES - ticket.mark.len());
        until.copy_from_slice(&expiry(now).0.to_be_bytes());
        mark.copy_from_slice(&ticket.mark);
        let written = self.file.write_all_at(&bytes, u64::from(slot) * SLOT_BYTES as u64);
        written.map_err(|source| ReplayError { file: self.path.clone(), source })?;
        self.is_dirty.store(true, Ordering::Release);
        Ok(())
    }

    /// Waits until what was written down is on disk.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn flush(&self) -> Result<(), ReplayError> {
        if !self.is_dirty.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        self.file.sync_data().map_err(|source| ReplayError { file: self.path.clone(), source })
    }
}

impl Seen {
    fn load(bytes: &[u8], now: Timestamp, capacity: usize) -> Self {
        let mut seen =
            Self { capacity, marks: HashSet::new(), order: VecDeque::new(), free_slots: Vec::new(), slots_used: 0 };
        let (slots, _torn) = bytes.as_chunks::<SLOT_BYTES>();
        let mut live = Vec::new();
        for (slot, bytes) in (0_u32..).zip(slots.iter().take(capacity)) {
            seen.slots_used = slot + 1;
            match read_slot(bytes).filter(|(until, _)| is_live(*until, now)) {
                Some((until, mark)) => live.push((until, mark, Some(slot))),
                None => seen.free_slots.push(slot),
            }
        }
        live.sort_unstable();
        seen.marks = live.iter().map(|(_, mark, _)| *mark).collect();
        seen.order = live.into();
        seen
    }

    /// Forgets the nonces whose time is over, and frees their slots.
    fn forget(&mut self, now: Timestamp) {
        while let Some((until, mark, slot)) = self.order.front().copied()
            && until < now
        {
            self.order.pop_front();
            self.marks.remove(&mark);
            self.free_slots.extend(slot);
        }
    }

    fn admit(&mut self, mark: Mark, now: Timestamp) -> Result<(), Replayed> {
        if self.marks.contains(&mark) {
            return Err(Replayed::Used);
        }
        if self.order.len() >= self.capacity {
            return Err(Replayed::Full);
        }
        self.marks.insert(mark);
        self.order.push_back((expiry(now), mark, None));
        Ok(())
    }

    /// A slot for a nonce. There are never more nonces than slots.
    fn take_slot(&mut self, mark: &Mark) -> u32 {
        let slot = self.free_slots.pop().unwrap_or_else(|| {
            self.slots_used += 1;
            self.slots_used - 1
        });
        // The nonce was admitted a moment ago, so it is near the end.
        if let Some(entry) = self.order.iter_mut().rev().find(|(_, own, _)| own == mark) {
            entry.2 = Some(slot);
        }
        slot
    }
}

fn mark(key: &str, nonce: &str) -> Mark {
    let mut digest = Sha256::new();
    digest.update((key.len() as u64).to_be_bytes());
    digest.update(key);
    digest.update(nonce);
    let digest: [u8; 32] = digest.finalize().into();
    let mut mark = Mark::default();
    mark.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    mark
}

fn expiry(now: Timestamp) -> Timestamp {
    Timestamp(now.0.saturating_add(NONCE_LIFETIME_S))
}

fn is_live(until: Timestamp, now: Timestamp) -> bool {
    (now..=expiry(now)).contains(&until)
}

fn read_slot(bytes: &[u8; SLOT_BYTES]) -> Option<(Timestamp, Mark)> {
    let (until, mark) = bytes.split_first_chunk::<8>()?;
    Some((Timestamp(i64::from_be_bytes(*until)), Mark::try_from(mark).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn later(seconds: i64) -> Timestamp {
        Timestamp(NOW.0 + seconds)
    }

    #[test]
    fn a_nonce_passes_once_for_each_key() {
        let dir = tempfile::tempdir().unwrap();
        let replay = Replay::open(dir.path(), NOW).unwrap();
        assert!(replay.admit("key", "nonce", NOW).is_ok());
        assert_eq!(replay.admit("key", "nonce", later(NONCE_LIFETIME_S)).err(), Some(Replayed::Used));
        assert!(replay.admit("other", "nonce", NOW).is_ok());
        assert!(replay.admit("ke", "ynonce", NOW).is_ok());
        assert!(replay.admit("key", "nonce", later(NONCE_LIFETIME_S + 1)).is_ok());
    }

    #[test]
    fn what_was_kept_is_refused_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let replay = Replay::open(dir.path(), NOW).unwrap();
        let kept = replay.admit("key", "change", NOW).unwrap();
        replay.keep(&kept, NOW).unwrap();
        replay.flush().unwrap();
        let _ = replay.admit("key", "read", NOW).unwrap();
        drop(replay);
        let replay = Replay::open(dir.path(), later(60)).unwrap();
        assert_eq!(replay.admit("key", "change", later(60)).err(), Some(Replayed::Used));
        assert!(replay.admit("key", "read", later(60)).is_ok());
        drop(replay);
        let replay = Replay::open(dir.path(), later(NONCE_LIFETIME_S + 1)).unwrap();
        assert!(replay.admit("key", "change", later(NONCE_LIFETIME_S + 1)).is_ok());
    }

    #[test]
    fn memory_and_file_are_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let replay = Replay::with_capacity(dir.path(), NOW, 3).unwrap();
        for round in 0..4 {
            let now = later(round * (NONCE_LIFETIME_S + 1));
            for nonce in ["a", "b", "c"] {
                let ticket = replay.admit("key", nonce, now).unwrap();
                replay.keep(&ticket, now).unwrap();
            }
            assert_eq!(replay.admit("key", "d", now).err(), Some(Replayed::Full));
        }
        assert_eq!(fs::metadata(dir.path().join("nonces")).unwrap().len(), 3 * SLOT_BYTES as u64);
    }

    #[test]
    fn a_torn_end_and_a_foreign_slot_are_no_nonces() {
        let dir = tempfile::tempdir().unwrap();
        let far = expiry(later(1)).0.to_be_bytes();
        let bytes = [far.as_slice(), &[1; 16], &[9; 7]].concat();
        fs::write(dir.path().join("nonces"), bytes).unwrap();
        let replay = Replay::open(dir.path(), NOW).unwrap();
        let ticket = replay.admit("key", "nonce", NOW).unwrap();
        replay.keep(&ticket, NOW).unwrap();
        drop(replay);
        let replay = Replay::open(dir.path(), NOW).unwrap();
        assert_eq!(replay.admit("key", "nonce", NOW).err(), Some(Replayed::Used));
    }
}
