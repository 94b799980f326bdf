//! The room for flows: how many each ENI has, and how many it may have. See `core::flow_room`.
//!
//! The programs count what they begin and end, the sweep what it ends. A process that is killed between ending flows and counting them, or
//! somebody else who ends flows, leaves counts wrong; every sweep compares them with what is in the tables and corrects what
//! stays wrong from one sweep to the next, since counts change while the tables are read.

use std::{
    collections::BTreeSet,
    io,
    mem::{offset_of, size_of},
};

use sekimori_compile::{
    abi::{self, Budget},
    tables::EniEntry,
};
use sekimori_core::flow_room::{FlowRoom, FlowUse};

use super::{DataPlane, check::NOBODY, flows::FlowTables, maps::Maps, sys::Shared};

/// Flows of IPv4 and IPv6, and half-open ones, by ENI number.
type Counts = Vec<[i32; 3]>;

/// The counts of every ENI.
pub(super) struct Budgets {
    array: Shared<Budget>,
}

/// What was found in the tables.
pub(super) struct Tally(Counts);

/// How far counts were off at the last sweep.
#[derive(Default)]
pub(super) struct Drift(Counts);

impl Budgets {
    /// Those of these maps.
    pub(super) fn new(maps: &Maps) -> io::Result<Self> {
        let array = Shared::map(maps.fd("budgets")?, abi::ENI_SLOTS as usize)?;
        Ok(Self { array })
    }

    /// Every count, as it is now.
    pub(super) fn all(&self) -> Vec<Budget> {
        self.array.get_run(0, self.array.len())
    }

    /// Live flows of each IP version, and how they fill their room.
    pub(super) fn used(&self) -> ([u64; 2], FlowUse) {
        let all = self.all();
        let (pool, own) = all.split_first().map_or((Budget::default(), [].as_slice()), |(pool, own)| (*pool, own));
        let count = |count: i32| u64::try_from(count).unwrap_or(0);
        let flows = [0, 1].map(|version| count(own.iter().map(|budget| budget.flows[version]).sum()));
        let half_open = count(own.iter().map(|budget| budget.half_open).max().unwrap_or(0));
        (flows, FlowUse { borrowed: pool.flows.map(count), pool: count(pool.room), half_open })
    }

    /// Notes that flows of an ENI are gone.
    pub(super) fn give_back(&self, eni: u32, gone: [i32; 3]) {
        let slot = self.place(eni);
        let [_, _, half_open] = gone;
        if half_open != 0 {
            self.array.add_i32(slot, offset_of!(Budget, half_open), -half_open);
        }
        for version in [0, 1] {
            if gone[version] != 0 {
                self.add(slot, version, -gone[version]);
            }
        }
    }

    /// What lies beyond the share moves with the pool's count, as in the program.
    fn add(&self, slot: usize, version: usize, flows: i32) {
        let before = self.array.add_i32(slot, flows_at(version), flows);
        let room = self.array.get(slot).room;
        let beyond = |flows: i32| flows.saturating_sub(room).max(0);
        let borrowed = beyond(before.saturating_add(flows)) - beyond(before);
        if borrowed != 0 {
            self.array.add_i32(NOBODY, flows_at(version), borrowed);
        }
    }

    fn place(&self, eni: u32) -> usize {
        (eni as usize).min(self.array.len() - 1)
    }

    /// An empty tally.
    pub(super) fn tally(&self) -> Tally {
        Tally(vec![[0; 3]; self.array.len()])
    }

    /// Counts what is in the tables, if nothing has been counted yet: they may have been filled from those of an earlier layout.
    pub(super) fn begin(&self, flows: &FlowTables) -> io::Result<()> {
        if self.all().iter().any(|budget| counts(budget) != [0; 3]) {
            return Ok(());
        }
        let found = flows.end_where(self, |_, _| false)?;
        found.iter().for_each(|(eni, found)| self.give_back(eni, found.map(|count| -count)));
        Ok(())
    }

    /// Corrects what a sweep found off that the one before had found off as well. `before` is what was counted when it began.
    pub(super) fn correct(&self, before: &[Budget], tally: &Tally, last: &mut Drift) {
        let now = self.all();
        last.0.resize(now.len(), [0; 3]);
        let ends = before.iter().zip(&now);
        for (slot, (((before, now), found), last)) in ends.zip(&tally.0).zip(&mut last.0).enumerate().skip(1) {
            let off = off([counts(before), counts(now)], *found);
            self.give_back(slot as u32, persistent(off, *last).map(|off| -off));
            *last = off;
        }
        let borrowed = borrowed(&self.all());
        let pool = self.array.get(NOBODY).flows;
        let off = [borrowed[0] - pool[0], borrowed[1] - pool[1], 0];
        if let Some(last) = last.0.first_mut() {
            let [v4, v6, _] = persistent(off, *last);
            for (version, off) in [v4, v6].into_iter().enumerate().filter(|(_, off)| *off != 0) {
                self.array.add_i32(NOBODY, flows_at(version), off);
            }
            *last = off;
        }
    }
}

impl Tally {
    /// Notes a flow.
    pub(super) fn note(&mut self, eni: u32, version: usize, is_half_open: bool) {
        let last = self.0.len() - 1;
        if let Some(counts) = self.0.get_mut((eni as usize).min(last)) {
            counts[version] += 1;
            counts[2] += i32::from(is_half_open);
        }
    }

    /// What was noted, by ENI number, where that is anything.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, [i32; 3])> {
        let all = self.0.iter().enumerate();
        all.filter(|(_, counts)| **counts != [0; 3]).map(|(eni, counts)| (eni as u32, *counts))
    }
}

fn counts(budget: &Budget) -> [i32; 3] {
    [budget.flows[0], budget.flows[1], budget.half_open]
}

/// How far what was found lies beyond what was counted at the beginning and at the end.
fn off(counted: [[i32; 3]; 2], found: [i32; 3]) -> [i32; 3] {
    let [before, now] = counted;
    [0, 1, 2].map(|at| {
        let (low, high) = (before[at].min(now[at]), before[at].max(now[at]));
        found[at] - found[at].clamp(low, high)
    })
}

/// What two sweeps agree about.
fn persistent(now: [i32; 3], last: [i32; 3]) -> [i32; 3] {
    [0, 1, 2].map(|at| if now[at] > 0 { now[at].min(last[at]).max(0) } else { now[at].max(last[at]).min(0) })
}

fn borrowed(all: &[Budget]) -> [i32; 2] {
    [0, 1].map(|version| all.iter().skip(1).map(|budget| beyond(budget, version)).sum())
}

/// An ENI's flows beyond its share.
fn beyond(budget: &Budget, version: usize) -> i32 {
    budget.flows[version].saturating_sub(budget.room).max(0)
}

/// Where the flows of an IP version are counted.
fn flows_at(version: usize) -> usize {
    offset_of!(Budget, flows) + version * size_of::<i32>()
}

impl DataPlane {
    /// Makes the flow tables as small as this, for tests.
    pub fn set_flows_max(&mut self, flows_max: u32) {
        self.flows_max = flows_max;
        self.share_out();
    }

    /// The room of the flow tables, for the ENIs that are here now.
    #[must_use]
    pub fn flow_room(&self) -> FlowRoom {
        FlowRoom::of(self.flows_max, u32::try_from(self.slots.len()).unwrap_or(u32::MAX))
    }

    /// Whether an ENI's element says what its room is, and whether the pool's does.
    pub(super) fn has_its_room(&self, slot: u32) -> bool {
        let FlowRoom { share, pool, .. } = self.flow_room();
        let wanted = if slot as usize == NOBODY { pool } else { share };
        self.maps.budgets.get(slot as usize).room.cast_unsigned() == wanted
    }

    /// Shares the tables out anew among all ENIs.
    pub(super) fn share_out(&mut self) {
        let FlowRoom { share, pool, .. } = self.flow_room();
        let used: BTreeSet<usize> = self.slots.values().map(|slot| *slot as usize).collect();
        for slot in 1..self.maps.budgets.len() {
            self.set_room(slot, if used.contains(&slot) { share } else { 0 });
        }
        self.set_pool(pool);
    }

    fn set_pool(&mut self, pool: u32) {
        self.maps.budgets.store_u32(NOBODY, offset_of!(Budget, room), pool);
    }

    /// Flows that were within a share and are so no longer are borrowed from here on, or the other way round.
    fn set_room(&mut self, slot: usize, room: u32) {
        let before = self.maps.budgets.get(slot);
        if before.room.cast_unsigned() == room {
            return;
        }
        self.maps.budgets.store_u32(slot, offset_of!(Budget, room), room);
        let now = Budget { room: room.cast_signed(), ..before };
        for version in [0, 1] {
            let more = beyond(&now, version) - beyond(&before, version);
            if more != 0 {
                self.maps.budgets.add_i32(NOBODY, flows_at(version), more);
            }
        }
    }

    /// Follows a change of some ENIs: as long as a share is what it was, no other's is touched.
    pub(super) fn share_out_to(&mut self, enis: &[(u32, Option<&EniEntry>)], before: FlowRoom) {
        let now = self.flow_room();
        if now.share != before.share {
            return self.share_out();
        }
        // One that is gone has flows until the next sweep, all of them borrowed.
        for (slot, entry) in enis {
            let is_here = entry.is_some_and(|entry| self.slots.get(&entry.id) == Some(slot));
            self.set_room(*slot as usize, if is_here { now.share } else { 0 });
        }
        self.set_pool(now.pool);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_between_two_counts_is_not_off() {
        let off = |before, now, found| off([[before, 0, 0], [now, 0, 0]], [found, 0, 0])[0];
        assert_eq!([off(5, 9, 7), off(9, 5, 5), off(5, 5, 5)], [0, 0, 0]);
        assert_eq!([off(5, 9, 12), off(9, 5, 1), off(5, 5, 4)], [3, -4, -1]);
    }

    #[test]
    fn only_what_stays_off_is_corrected() {
        let persistent = |now, last| persistent([now, 0, 0], [last, 0, 0])[0];
        assert_eq!([persistent(5, 3), persistent(3, 5), persistent(-5, -2)], [3, 3, -2]);
        assert_eq!([persistent(5, -3), persistent(-5, 3), persistent(5, 0), persistent(0, 4)], [0; 4]);
    }
}
