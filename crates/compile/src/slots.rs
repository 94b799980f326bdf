//! Small numbers for named things: the index of an ENI, VPC, group or rule in the kernel's arrays.
//!
//! A number that is given back *cools* first: a program that is running may still hold it. [`Slots::mark`]
//! notes what has cooled so far, and [`Slots::thaw`] frees what was marked, when no program that ran at the
//! time of the mark runs any more.

use std::collections::{BTreeMap, BTreeSet};

/// Numbers for names. Number 0 is never given out.
#[derive(Clone, Debug)]
pub struct Slots<K: Ord + Clone> {
    by_name: BTreeMap<K, u32>,
    free: BTreeSet<u32>,
    cooling: Vec<u32>,
    marked: Vec<u32>,
    next: u32,
    end: u32,
}

/// No number is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("all {0} slots are taken")]
pub struct NoSlot(pub u32);

impl<K: Ord + Clone> Slots<K> {
    /// Numbers 1 up to, and without, `end`.
    #[must_use]
    pub fn new(end: u32) -> Self {
        Self {
            by_name: BTreeMap::new(),
            free: BTreeSet::new(),
            cooling: Vec::new(),
            marked: Vec::new(),
            next: 1,
            end,
        }
    }

    /// Numbers that are in use already, as an earlier process left them.
    #[must_use]
    pub fn adopt(end: u32, used: impl IntoIterator<Item = (K, u32)>) -> Self {
        let by_name: BTreeMap<K, u32> = used.into_iter().filter(|(_, slot)| (1..end).contains(slot)).collect();
        let next = by_name.values().max().map_or(1, |slot| slot + 1);
        let taken: BTreeSet<u32> = by_name.values().copied().collect();
        let free = (1..next).filter(|slot| !taken.contains(slot)).collect();
        Self { by_name, free, cooling: Vec::new(), marked: Vec::new(), next, end }
    }

    /// The number of a name.
    #[must_use]
    pub fn get(&self, name: &K) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    /// The number of a name, and whether it was given out just now.
    ///
    /// # Errors
    /// When none is left.
    pub fn take(&mut self, name: &K) -> Result<(u32, bool), NoSlot> {
        if let Some(slot) = self.get(name) {
            return Ok((slot, false));
        }
        let slot = match self.free.pop_first() {
            Some(slot) => slot,
            None if self.next < self.end => {
                self.next += 1;
                self.next - 1
            }
            None => return Err(NoSlot(self.end - 1)),
        };
        self.by_name.insert(name.clone(), slot);
        Ok((slot, true))
    }

    /// Gives a name's number back, to cool.
    pub fn release(&mut self, name: &K) -> Option<u32> {
        let slot = self.by_name.remove(name)?;
        self.cooling.push(slot);
        Some(slot)
    }

    /// Marks what has been given back until now.
    pub fn mark(&mut self) {
        self.marked.append(&mut self.cooling);
    }

    /// What was marked.
    pub fn marked(&self) -> impl Iterator<Item = u32> + use<'_, K> {
        self.marked.iter().copied()
    }

    /// What was marked may be taken again.
    pub fn thaw(&mut self) {
        self.free.extend(self.marked.drain(..));
    }

    /// The names for which this holds.
    pub fn names_where(&self, holds: impl Fn(&K) -> bool) -> Vec<K> {
        self.by_name.keys().filter(|name| holds(name)).cloned().collect()
    }

    /// Names and numbers, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&K, u32)> {
        self.by_name.iter().map(|(name, slot)| (name, *slot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_taken_again_only_after_a_thaw() {
        let mut slots = Slots::new(3);
        assert_eq!(slots.take(&"a"), Ok((1, true)));
        assert_eq!(slots.take(&"b"), Ok((2, true)));
        assert_eq!(slots.take(&"a"), Ok((1, false)));
        assert_eq!(slots.release(&"a"), Some(1));
        assert_eq!(slots.take(&"c"), Err(NoSlot(2)));
        slots.thaw();
        assert_eq!(slots.take(&"c"), Err(NoSlot(2)), "a thaw frees only what was marked");
        slots.mark();
        slots.thaw();
        assert_eq!(slots.take(&"c"), Ok((1, true)));
    }

    #[test]
    fn adopted_numbers_stay_and_gaps_are_free() {
        let mut slots = Slots::adopt(10, [("x", 4), ("y", 2)]);
        assert_eq!(slots.get(&"x"), Some(4));
        assert_eq!(slots.take(&"z"), Ok((1, true)));
        assert_eq!(slots.take(&"w"), Ok((3, true)));
        assert_eq!(slots.take(&"v"), Ok((5, true)));
    }
}
