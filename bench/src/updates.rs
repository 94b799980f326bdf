//! What a change costs: from a command to the kernel's maps, without a network in between.

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use sekimori_agent::bpf::HashWrites;
use sekimori_compile::{
    abi::{AddressKey, PortKey},
    tables::Delta,
};
use sekimori_core::{
    command::{Command, NewRule},
    ids::{EniId, GroupId},
};
use serde::Serialize;

use crate::{
    plane::Plane,
    stats::Stats,
    stop::Stop,
    world::{Builder, filler_rule, fillers},
};

/// ENIs that refer to the group whose membership changes.
pub const REFERRERS: [usize; 3] = [10, 100, 1_000];
/// Rules of the policy that gets one more.
pub const SIZES: [usize; 3] = [10, 1_000, 10_000];
/// Changes between two collections of what is unused.
pub(crate) const CHANGES_UNCOLLECTED_MAX: usize = 16;

/// One rule more, or less, in a policy.
#[derive(Clone, Debug, Serialize)]
pub struct RuleCost {
    /// Rules in the policy.
    pub rules: usize,
    /// Microseconds: command to changes.
    pub apply_us: Stats,
    /// Microseconds: changes to tables.
    pub tables_us: Stats,
    /// Microseconds: tables to kernel.
    pub write_us: Stats,
    /// Words of the policy that is written.
    pub words: u64,
}

/// One member more, or less, in a group that others refer to.
#[derive(Clone, Debug, Serialize)]
pub struct MemberCost {
    /// ENIs, each with a group of its own, whose rules name the group.
    pub referrers: usize,
    /// Microseconds: changes to tables.
    pub tables_us: Stats,
    /// Microseconds: tables to kernel.
    pub write_us: Stats,
    /// System calls that write hashes, at most.
    pub hash_writes: u64,
    /// Entries of the delta, at most: names, policies, interfaces, members, retired policies.
    pub delta_entries: usize,
}

/// Measures one rule, at every size, round by round.
///
/// # Errors
/// The kernel's.
pub fn measure_rule(dir: &Path, rounds: usize, stop: &Stop) -> anyhow::Result<Vec<RuleCost>> {
    let mut builder = Builder::new(2)?;
    let pairs = SIZES.map(|rules| builder.pair(rules, false));
    let mut labs = Vec::new();
    for (rules, pair) in SIZES.into_iter().zip(pairs) {
        let group = pair?.group;
        // One that the policy does not have yet.
        let extra = fillers(rules + 1).last().map(filler_rule).into_iter().collect::<Vec<_>>();
        labs.push((rules, group, extra, Times::default()));
    }
    let mut plane = Plane::open(dir)?;
    plane.enforce(builder.world())?;
    for change in 0..rounds * 2 {
        stop.check()?;
        for (_, group, extra, times) in &mut labs {
            let command = rule_command(&builder, group, extra, change % 2 == 0);
            times.note(step(&mut builder, &mut plane, &command)?);
        }
        if change % CHANGES_UNCOLLECTED_MAX == 0 {
            plane.collect()?;
        }
    }
    Ok(labs.into_iter().filter_map(|(rules, _, _, times)| times.rule_cost(rules)).collect())
}

/// Measures one member, with more and more ENIs that refer to its group.
///
/// # Errors
/// The kernel's.
pub fn measure_member(dir: &Path, rounds: usize, stop: &Stop) -> anyhow::Result<Vec<MemberCost>> {
    let mut costs = Vec::new();
    for referrers in REFERRERS {
        let (mut builder, group, eni) = referred(referrers)?;
        let mut plane = Plane::open(&dir.join(referrers.to_string()))?;
        let counter = Arc::new(AtomicU64::new(0));
        plane.kernel.intercept(|inner| Box::new(Counting { inner, count: Arc::clone(&counter) }));
        plane.enforce(builder.world())?;
        let mut times = Times::default();
        for change in 0..rounds * 2 {
            stop.check()?;
            counter.store(0, Ordering::Relaxed);
            let command = builder.membership(&group, &eni, change % 2 == 0);
            let mut step = step(&mut builder, &mut plane, &command)?;
            step.hash_writes = counter.load(Ordering::Relaxed);
            times.note(step);
            if change % CHANGES_UNCOLLECTED_MAX == 0 {
                plane.collect()?;
            }
        }
        costs.extend(times.member_cost(referrers));
    }
    Ok(costs)
}

/// A group that so many ENIs refer to, each with a group of its own, and an ENI that is not in it.
fn referred(referrers: usize) -> anyhow::Result<(Builder, GroupId, EniId)> {
    let mut builder = Builder::new(3)?;
    let (vpc, subnet) = builder.network(true)?;
    let peers = builder.group(&vpc)?;
    for _ in 0..referrers {
        let group = builder.group(&vpc)?;
        builder.refer(&group, &peers)?;
        builder.host(&subnet, &group, true)?;
    }
    let own = builder.group(&vpc)?;
    let host = builder.host(&subnet, &own, true)?;
    Ok((builder, peers, host.eni))
}

pub(crate) fn rule_command(builder: &Builder, group: &GroupId, extra: &[NewRule], is_added: bool) -> Command {
    if is_added { builder.authorization(group, extra.to_vec()) } else { builder.revocation(group, extra) }
}

/// What one change took.
pub(crate) struct Step {
    pub(crate) apply_us: f64,
    pub(crate) tables_us: f64,
    pub(crate) write_us: f64,
    hash_writes: u64,
    delta_entries: usize,
    words: u64,
}

pub(crate) fn step(builder: &mut Builder, plane: &mut Plane, command: &Command) -> anyhow::Result<Step> {
    let started = Instant::now();
    let applied = builder.attempt(command)?;
    let changes = applied.changes.clone();
    builder.keep(applied);
    let applied_at = Instant::now();
    let delta = plane.tables.update(builder.world(), &changes);
    let updated_at = Instant::now();
    let closed = plane.kernel.write(&delta)?;
    let written_at = Instant::now();
    anyhow::ensure!(closed.is_empty() && !changes.is_empty(), "a change did not get through: {closed:?}");
    Ok(Step {
        apply_us: us(started, applied_at),
        tables_us: us(applied_at, updated_at),
        write_us: us(updated_at, written_at),
        hash_writes: 0,
        delta_entries: entries(&delta),
        words: delta.policies.iter().map(|(_, words)| words.len() as u64).sum(),
    })
}

fn us(from: Instant, to: Instant) -> f64 {
    to.duration_since(from).as_nanos() as f64 / 1e3
}

fn entries(delta: &Delta) -> usize {
    let Delta { names, policies, enis, members, retired, failures } = delta;
    names.len() + policies.len() + enis.len() + members.len() + retired.len() + failures.len()
}

#[derive(Default)]
struct Times {
    steps: Vec<Step>,
}

impl Times {
    fn note(&mut self, step: Step) {
        self.steps.push(step);
    }

    fn stats(&self, field: fn(&Step) -> f64) -> Option<Stats> {
        Stats::of(self.steps.iter().map(field))
    }

    fn rule_cost(&self, rules: usize) -> Option<RuleCost> {
        Some(RuleCost {
            rules,
            apply_us: self.stats(|step| step.apply_us)?,
            tables_us: self.stats(|step| step.tables_us)?,
            write_us: self.stats(|step| step.write_us)?,
            words: self.steps.iter().map(|step| step.words).max()?,
        })
    }

    fn member_cost(&self, referrers: usize) -> Option<MemberCost> {
        Some(MemberCost {
            referrers,
            tables_us: self.stats(|step| step.tables_us)?,
            write_us: self.stats(|step| step.write_us)?,
            hash_writes: self.steps.iter().map(|step| step.hash_writes).max()?,
            delta_entries: self.steps.iter().map(|step| step.delta_entries).max()?,
        })
    }
}

/// Counts the system calls that write to the kernel's hashes.
struct Counting {
    inner: Box<dyn HashWrites>,
    count: Arc<AtomicU64>,
}

impl Counting {
    fn counted(&mut self) -> &mut dyn HashWrites {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.inner.as_mut()
    }
}

impl HashWrites for Counting {
    fn update_address(&mut self, key: &AddressKey, member: u32) -> io::Result<()> {
        self.counted().update_address(key, member)
    }

    fn delete_address(&mut self, key: &AddressKey) -> io::Result<()> {
        self.counted().delete_address(key)
    }

    fn update_port(&mut self, key: &PortKey, eni: u32) -> io::Result<()> {
        self.counted().update_port(key, eni)
    }

    fn delete_port(&mut self, key: &PortKey) -> io::Result<()> {
        self.counted().delete_port(key)
    }
}
