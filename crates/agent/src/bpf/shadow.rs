//! Policies that stand beside those of ENIs, and what is counted by them. None of it decides anything.
//!
//! What is counted belongs to the candidates that it was counted for, its *round*. When an ENI gets other candidates, its
//! programs stop comparing, every one that is running ends, what was counted is forgotten, and only then they begin again. A new
//! version of the policy of the same candidates goes on counting: the program compares only with the version of the live policy
//! that it was made beside, so the order of the two stores does not matter.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    mem::offset_of,
    os::fd::{AsFd, OwnedFd},
};

use sekimori_compile::{
    abi::{self, Eni, Reason, ShadowCounts, ShadowPair, ShadowSeen, ShadowWitness, address_of},
    tables::{EniEntry, RuleKey},
};
use sekimori_core::{
    feed::{self, Decider, ShadowCells, ShadowCount},
    ids::EniId,
    rule::Direction,
    time::Timestamp,
};

use super::{DataPlane, clock::Moment, maps::Maps, sys};

/// The kernel's tables of what was compared, for whoever reads or forgets.
pub(super) struct ShadowTables {
    cells: OwnedFd,
    pairs: OwnedFd,
    witnesses: OwnedFd,
    cpus: usize,
}

impl ShadowTables {
    pub(super) fn new(maps: &Maps, cpus: usize) -> io::Result<Self> {
        let own = |name| maps.fd(name)?.try_clone_to_owned();
        let (cells, pairs, witnesses) = (own("shadow_cells")?, own("shadow_pairs")?, own("shadow_witnesses")?);
        Ok(Self { cells, pairs, witnesses, cpus })
    }

    /// Forgets what was counted between deciders for which this holds.
    pub(super) fn forget_where(&self, holds: impl Fn(&ShadowPair) -> bool) -> io::Result<()> {
        let (mut pairs, mut witnesses) = (Vec::new(), Vec::new());
        sys::for_each(self.pairs.as_fd(), |pair: &ShadowPair, _: &u64| pairs.extend(holds(pair).then_some(*pair)))?;
        sys::for_each(self.witnesses.as_fd(), |witness: &ShadowWitness, _: &ShadowSeen| {
            witnesses.extend(holds(&witness.pair).then_some(*witness));
        })?;
        pairs.iter().try_for_each(|pair| sys::delete(self.pairs.as_fd(), pair))?;
        witnesses.iter().try_for_each(|witness| sys::delete(self.witnesses.as_fd(), witness))
    }

    /// Forgets everything that was counted at some ENIs.
    fn forget(&self, slots: &BTreeSet<u32>) -> io::Result<()> {
        self.forget_where(|pair| slots.contains(&pair.eni))?;
        for slot in slots {
            sys::update_per_cpu(self.cells.as_fd(), *slot, ShadowCounts::default(), self.cpus)?;
        }
        Ok(())
    }

    fn cells_of(&self, slot: u32) -> io::Result<ShadowCells> {
        let values: Vec<ShadowCounts> = sys::lookup_per_cpu(self.cells.as_fd(), slot, self.cpus)?;
        let cell = |number: u32| values.iter().filter_map(|value| value.flows.get(number as usize)).sum();
        Ok(ShadowCells {
            denied: cell(0),
            opened: cell(1),
            closed: cell(2),
            allowed: cell(3),
            skipped: cell(abi::SHADOW_SKIPPED),
        })
    }

    /// What was counted at some ENIs, each with its round; rules by their counters.
    pub(super) fn read(
        &self,
        enis: &[(EniId, u32, u64)],
        rules: &[(RuleKey, u32)],
        now: Moment,
    ) -> io::Result<Vec<ShadowCount>> {
        if enis.is_empty() {
            return Ok(Vec::new());
        }
        let rules: BTreeMap<u32, &RuleKey> = rules.iter().map(|(key, slot)| (*slot, key)).collect();
        let mut counts = BTreeMap::new();
        for (eni, slot, round) in enis {
            let (eni, cells) = (eni.clone(), self.cells_of(*slot)?);
            let count = ShadowCount { eni, round: *round, cells, pairs: Vec::new(), witnesses: Vec::new() };
            counts.insert(*slot, count);
        }
        let told = |pair: &ShadowPair| {
            let [live, candidate] = [(pair.live_reason, pair.live), (pair.candidate_reason, pair.candidate)]
                .map(|(reason, slot)| decider(reason, slot, &rules));
            Some((direction(pair), live?, candidate?))
        };
        sys::for_each(self.pairs.as_fd(), |pair: &ShadowPair, flows: &u64| {
            let Some(((direction, live, candidate), count)) = told(pair).zip(counts.get_mut(&pair.eni)) else {
                return;
            };
            count.pairs.push(feed::ShadowPair { direction, live, candidate, flows: *flows });
        })?;
        sys::for_each(self.witnesses.as_fd(), |witness: &ShadowWitness, seen: &ShadowSeen| {
            let pair = &witness.pair;
            let Some(((direction, live, candidate), count)) = told(pair).zip(counts.get_mut(&pair.eni)) else {
                return;
            };
            count.witnesses.push(feed::ShadowWitness {
                direction,
                local: address_of(witness.local),
                peer: address_of(witness.peer),
                protocol: witness.protocol,
                port: witness.port,
                live,
                candidate,
                flows: seen.flows,
                seen_at: Timestamp(now.seconds_at(seen.seen_ns)),
            });
        })?;
        Ok(counts.into_values().map(sorted).collect())
    }
}

/// In an order that does not depend on the kernel's.
fn sorted(mut count: ShadowCount) -> ShadowCount {
    count.pairs.sort_by(|a, b| (a.direction, &a.live, &a.candidate).cmp(&(b.direction, &b.live, &b.candidate)));
    count.witnesses.sort_by(|a, b| {
        let key = |it: &feed::ShadowWitness| (it.direction, it.local, it.peer, it.protocol, it.port);
        (key(a), &a.live, &a.candidate).cmp(&(key(b), &b.live, &b.candidate))
    });
    count
}

fn direction(pair: &ShadowPair) -> Direction {
    if pair.direction == 0 { Direction::Ingress } else { Direction::Egress }
}

/// Who decided; `None` for a rule that is gone.
fn decider(reason: u8, slot: u32, rules: &BTreeMap<u32, &RuleKey>) -> Option<Decider> {
    let reason = Reason::of(reason)?;
    let rule = match slot {
        0 => None,
        slot => Some((*rules.get(&slot)?).clone()),
    };
    Some(Decider { passes: reason.passes(), reason: reason.name().to_owned(), rule })
}

impl DataPlane {
    /// What stands beside the policy of an ENI, as it should be. Without room for it nothing is compared.
    pub(super) fn wanted_shadow(&self, entry: Option<&EniEntry>) -> abi::Shadow {
        let Some((entry, shadow)) = entry.and_then(|entry| Some((entry, entry.shadow?))) else {
            return abi::Shadow::default();
        };
        let policy = self.policy_word(shadow.policy);
        let beside = policy.map_or(0, |_| entry.policy.0);
        abi::Shadow { policy: policy.unwrap_or(0), round: shadow.round, beside, reserved: 0 }
    }

    /// Before anything moves: ENIs get what is to stand beside their next policy. Nothing is compared with it until they have
    /// that.
    pub(super) fn prepare_shadows(&mut self, enis: &[(u32, Option<&EniEntry>)]) -> io::Result<()> {
        let wanted: Vec<(u32, abi::Shadow)> =
            enis.iter().map(|(slot, entry)| (*slot, self.wanted_shadow(*entry))).collect();
        let is_other =
            |(slot, wanted): &&(u32, abi::Shadow)| self.maps.shadows.get(*slot as usize).round != wanted.round;
        let begun: BTreeSet<u32> = wanted.iter().filter(is_other).map(|(slot, _)| *slot).collect();
        for slot in &begun {
            self.maps.shadows.store_u32(*slot as usize, offset_of!(abi::Shadow, beside), 0);
            let flags = self.maps.enis.get(*slot as usize).flags & !abi::ENI_SHADOW;
            self.maps.enis.store_u16(*slot as usize, offset_of!(Eni, flags), flags);
        }
        if !begun.is_empty() {
            sys::wait_for_running_programs()?;
            ShadowTables::new(&self.maps, self.cpus)?.forget(&begun)?;
        }
        for (slot, wanted) in wanted {
            let (at, found) = (slot as usize, self.maps.shadows.get(slot as usize));
            if found != wanted {
                self.maps.shadows.store_u32(at, offset_of!(abi::Shadow, beside), 0);
                self.maps.shadows.store_u64(at, offset_of!(abi::Shadow, policy), wanted.policy);
                self.maps.shadows.store_u64(at, offset_of!(abi::Shadow, round), wanted.round);
            }
        }
        Ok(())
    }

    /// An ENI has the policy that its shadow stands beside.
    pub(super) fn begin_comparing(&mut self, slot: u32, entry: &EniEntry) {
        let beside = self.wanted_shadow(Some(entry)).beside;
        self.maps.shadows.store_u32(slot as usize, offset_of!(abi::Shadow, beside), beside);
    }

    /// Nothing is compared at an ENI any more.
    pub(super) fn end_comparing(&mut self, slot: usize) {
        self.maps.shadows.store_u32(slot, offset_of!(abi::Shadow, beside), 0);
        self.maps.shadows.store_u64(slot, offset_of!(abi::Shadow, policy), 0);
    }
}
