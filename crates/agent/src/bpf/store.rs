//! Where policies lie in the policy store: an allocator of runs of words that knows nothing of kernels.

use std::collections::BTreeMap;

/// Free and used runs of a store of a fixed number of words.
#[derive(Clone, Debug)]
pub struct Space {
    free: BTreeMap<u32, u32>,
    used: BTreeMap<u32, u32>,
}

/// The first word that is given out: position 0 means "no policy".
const FIRST: u32 = 64;

impl Space {
    /// A store in which these runs are in use.
    #[must_use]
    pub fn new(words: u32, used: impl IntoIterator<Item = (u32, u32)>) -> Self {
        let used: BTreeMap<u32, u32> = used.into_iter().filter(|(at, length)| *at >= FIRST && *length > 0).collect();
        let mut free = BTreeMap::new();
        let mut next = FIRST;
        for (at, length) in &used {
            if *at > next {
                free.insert(next, at - next);
            }
            next = next.max(at + length);
        }
        if words > next {
            free.insert(next, words - next);
        }
        Self { free, used }
    }

    /// Takes a run of words: the first that is large enough.
    pub fn take(&mut self, words: u32) -> Option<u32> {
        let (at, length) =
            self.free.iter().find(|(_, length)| **length >= words).map(|(at, length)| (*at, *length))?;
        self.free.remove(&at);
        if length > words {
            self.free.insert(at + words, length - words);
        }
        self.used.insert(at, words);
        Some(at)
    }

    /// Gives a run back.
    pub fn give_back(&mut self, at: u32) {
        let Some(mut length) = self.used.remove(&at) else { return };
        let mut start = at;
        if let Some(after) = self.free.remove(&(at + length)) {
            length += after;
        }
        let before = self.free.range(..at).next_back().map(|(at, length)| (*at, *length));
        if let Some((before_at, before_length)) = before.filter(|(at, length)| at + length == start) {
            self.free.remove(&before_at);
            start = before_at;
            length += before_length;
        }
        self.free.insert(start, length);
    }

    /// Words in use.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used.values().map(|length| u64::from(*length)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_that_are_given_back_become_one_run() {
        let mut space = Space::new(1_000, []);
        let runs: Vec<u32> = (0..4).filter_map(|_| space.take(100)).collect();
        assert_eq!(runs, [64, 164, 264, 364]);
        space.give_back(164);
        space.give_back(364);
        space.give_back(264);
        assert_eq!(space.take(800), Some(164));
        assert_eq!(space.take(100), None);
        assert_eq!(space.used(), 900);
    }

    #[test]
    fn runs_that_an_earlier_process_left_are_in_use() {
        let mut space = Space::new(500, [(100, 50), (64, 10)]);
        assert_eq!(space.take(26), Some(74));
        assert_eq!(space.take(26), Some(150));
    }
}
