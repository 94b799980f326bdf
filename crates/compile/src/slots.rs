//! Small numbers for named things: the index of an ENI, VPC, group or rule in the kernel's arrays.
//!
//! A number that is given back *cools* first: a program that is running may still hold it. [`Slots::mark`]
//! notes what has cooled so far; what was marked is over when no program that ran at the time of the mark runs any more.
//! [`Slots::thaw`] frees it then. A number that something is counted under stays its name's for longer, until what was
//! counted is written down elsewhere: [`Slots::end`], and later [`Slots::forget`].

use std::collections::{BTreeMap, BTreeSet};

/// Numbers for names. Number 0 is never given out.
#[derive(Clone, Debug)]
pub struct Slots<K: Ord + Clone> {
    by_name: BTreeMap<K, u32>,
    free: BTreeSet<u32>,
    /// Numbers that were given back, and whose they were.
    leaving: BTreeMap<u32, Leaving<K>>,
    /// The last number that a name gave back.
    left: BTreeMap<K, u32>,
    departures: u64,
    next: u32,
    end: u32,
}

/// A number that was given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaving<K> {
    /// Whose it was.
    pub name: K,
    /// How far it is.
    pub stage: Stage,
    /// Which time it is that a number is given back.
    pub departure: u64,
}

/// How far a number is on its way from "given back" to "free".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Programs may hold it.
    Cooling,
    /// Programs that were running when it was marked may hold it.
    Marked,
    /// No program holds it.
    Over,
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
            leaving: BTreeMap::new(),
            left: BTreeMap::new(),
            departures: 0,
            next: 1,
            end,
        }
    }

    /// Numbers that are in use already, as an earlier process left them. Of a name that has several the last one counts; the
    /// others were given back.
    #[must_use]
    pub fn adopt(end: u32, used: impl IntoIterator<Item = (K, u32)>) -> Self {
        let mut slots = Self::new(end);
        for (name, slot) in used.into_iter().filter(|(_, slot)| (1..end).contains(slot)) {
            slots.next = slots.next.max(slot + 1);
            if let Some(before) = slots.by_name.insert(name.clone(), slot) {
                slots.leave(before, name);
            }
        }
        let taken: BTreeSet<u32> = slots.by_name.values().chain(slots.leaving.keys()).copied().collect();
        slots.free = (1..slots.next).filter(|slot| !taken.contains(slot)).collect();
        slots
    }

    /// The number of a name.
    #[must_use]
    pub fn get(&self, name: &K) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    /// Names from this one on, with their numbers.
    pub(crate) fn from(&self, name: &K) -> impl Iterator<Item = (&K, u32)> {
        self.by_name.range(name..).map(|(name, slot)| (name, *slot))
    }

    /// The number of a name, and whether it was given out just now. When nothing else is left it is one whose name is still
    /// remembered: what was counted under it is lost.
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
            None => self.take_remembered().ok_or(NoSlot(self.end - 1))?,
        };
        self.by_name.insert(name.clone(), slot);
        Ok((slot, true))
    }

    fn take_remembered(&mut self) -> Option<u32> {
        let over = self.leaving.iter().find(|(_, leaving)| leaving.stage == Stage::Over);
        let slot = over.map(|(slot, _)| *slot)?;
        self.drop_leaving(slot);
        Some(slot)
    }

    /// Gives a name the number again that it had last, if that is on its way out and has come this far.
    pub fn take_back(&mut self, name: &K, least: Stage) -> Option<u32> {
        let slot = *self.left.get(name)?;
        if self.leaving.get(&slot)?.stage < least || self.by_name.contains_key(name) {
            return None;
        }
        self.drop_leaving(slot);
        self.by_name.insert(name.clone(), slot);
        Some(slot)
    }

    /// Gives a name's number back, to cool.
    pub fn release(&mut self, name: &K) -> Option<u32> {
        let slot = self.by_name.remove(name)?;
        self.leave(slot, name.clone());
        Some(slot)
    }

    fn leave(&mut self, slot: u32, name: K) {
        self.left.insert(name.clone(), slot);
        self.departures += 1;
        self.leaving.insert(slot, Leaving { name, stage: Stage::Cooling, departure: self.departures });
    }

    fn drop_leaving(&mut self, slot: u32) {
        let Some(leaving) = self.leaving.remove(&slot) else { return };
        if self.left.get(&leaving.name) == Some(&slot) {
            self.left.remove(&leaving.name);
        }
    }

    /// Marks what has been given back until now.
    pub fn mark(&mut self) {
        self.advance(Stage::Cooling, Stage::Marked);
    }

    /// What was marked.
    pub fn marked(&self) -> impl Iterator<Item = u32> + use<'_, K> {
        let marked = self.leaving.iter().filter(|(_, leaving)| leaving.stage == Stage::Marked);
        marked.map(|(slot, _)| *slot)
    }

    /// What was marked may be taken again.
    pub fn thaw(&mut self) {
        for slot in self.marked().collect::<Vec<_>>() {
            self.drop_leaving(slot);
            self.free.insert(slot);
        }
    }

    /// What was marked is over, and stays its name's until it is forgotten.
    pub fn end(&mut self) {
        self.advance(Stage::Marked, Stage::Over);
    }

    fn advance(&mut self, from: Stage, to: Stage) {
        let stages = self.leaving.values_mut().map(|leaving| &mut leaving.stage);
        stages.filter(|stage| **stage == from).for_each(|stage| *stage = to);
    }

    /// A number that is over since it was given back this time may be taken again; false for any other.
    pub fn forget(&mut self, slot: u32, departure: u64) -> bool {
        let is_meant = |left: &Leaving<K>| left.stage == Stage::Over && left.departure == departure;
        let is_over = self.leaving.get(&slot).is_some_and(is_meant);
        if is_over {
            self.drop_leaving(slot);
            self.free.insert(slot);
        }
        is_over
    }

    /// Numbers that were given back and are still remembered.
    pub fn leaving(&self) -> impl Iterator<Item = (u32, &Leaving<K>)> {
        self.leaving.iter().map(|(slot, leaving)| (*slot, leaving))
    }

    /// Whose number this is, or was.
    #[must_use]
    pub fn is_of(&self, name: &K, slot: u32) -> bool {
        self.get(name) == Some(slot) || self.leaving.get(&slot).is_some_and(|leaving| leaving.name == *name)
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

    fn left(slots: &Slots<&'static str>) -> Vec<(&'static str, u32, Stage)> {
        slots.leaving().map(|(slot, leaving)| (leaving.name, slot, leaving.stage)).collect()
    }

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

    #[test]
    fn a_number_that_is_over_stays_its_names_until_it_is_forgotten() {
        let mut slots = Slots::new(3);
        slots.take(&"a").unwrap();
        slots.take(&"b").unwrap();
        slots.release(&"a");
        assert!(!slots.forget(1, 1), "programs may hold it");
        slots.mark();
        slots.end();
        assert_eq!(left(&slots), [("a", 1, Stage::Over)]);
        assert!(!slots.forget(1, 7), "it was given back another time");
        assert!(slots.is_of(&"a", 1) && !slots.is_of(&"a", 2));
        assert!(slots.forget(1, 1));
        assert_eq!(slots.take(&"c"), Ok((1, true)));
        slots.release(&"b");
        assert_eq!(slots.take(&"d"), Err(NoSlot(2)));
        slots.mark();
        slots.end();
        assert_eq!(slots.take(&"d"), Ok((2, true)), "rather than none, one that is still remembered");
        assert!(!slots.forget(2, 2));
    }

    #[test]
    fn a_name_takes_its_number_back_as_long_as_it_is_remembered() {
        let mut slots = Slots::new(9);
        slots.take(&"a").unwrap();
        slots.release(&"a");
        slots.mark();
        assert_eq!(slots.take_back(&"a", Stage::Over), None);
        assert_eq!(slots.take_back(&"a", Stage::Cooling), Some(1));
        slots.release(&"a");
        slots.end();
        assert_eq!(left(&slots), [("a", 1, Stage::Cooling)], "an older mark does not count");
        slots.take(&"a").unwrap();
        assert_eq!(slots.take_back(&"a", Stage::Cooling), None, "it has another");
    }

    #[test]
    fn of_two_numbers_of_a_name_an_earlier_process_left_one_in_use() {
        let slots = Slots::adopt(10, [("x", 2), ("x", 5)]);
        assert_eq!(slots.get(&"x"), Some(5));
        assert_eq!(left(&slots), [("x", 2, Stage::Cooling)]);
    }
}
