//! What answers cost: questions about an estate of 10,000 groups with 100,000 rules, and about all pairs of 10,000 ENIs in 2,000 policies.
//!
//! Each is asked of `analysis` itself, in one thread: what HTTP and JSON add depends on the answer's length and is measured elsewhere.

use std::time::Instant;

use anyhow::Context as _;
use sekimori_analysis::{comply, diff, health, who, why};
use sekimori_core::{
    command::{Command, NewRule},
    ids::{EniId, GroupId, HostId},
    limits::LimitMode,
    time::Timestamp,
    world::World,
};
use serde::Serialize;

use crate::{
    stats::Stats,
    stop::Stop,
    world::{Builder, filler_rule, fillers},
};

/// Rules of the policy whose change is compared.
const CHANGED_RULES: usize = 1_000;
/// One of so many groups has an ENI: an answer about who reaches one of them has a line for each, and is bounded.
const GROUPS_PER_ENI: usize = 10;
/// Policies on one host: the words of so many fit its data plane.
const HOST_POLICIES: usize = 500;
/// ENIs of one subnet.
const SUBNET_ENIS: usize = 4_000;

/// How large the estates are.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Size {
    /// Groups of the large estate.
    pub groups: usize,
    /// Rules of each.
    pub rules: usize,
    /// Policies of the estate whose pairs are asked about.
    pub policies: usize,
    /// ENIs of each.
    pub sharers: u32,
    /// How often each short question is asked.
    pub answers: usize,
}

impl Size {
    /// 100,000 rules in 10,000 groups; 10,000 ENIs in 2,000 policies.
    pub const FULL: Self = Self { groups: 10_000, rules: 10, policies: 2_000, sharers: 5, answers: 50 };
    /// A tenth.
    pub const QUICK: Self = Self { groups: 1_000, rules: 10, policies: 200, sharers: 5, answers: 10 };
}

/// Milliseconds of answers.
#[derive(Clone, Debug, Serialize)]
pub struct AnswerCost {
    /// Of what size.
    pub size: Size,
    /// `why` between two ENIs, with the smallest change.
    pub why_ms: Stats,
    /// `who` reaches one ENI.
    pub who_ms: Stats,
    /// `diff` of a rule more in a policy of 1,000.
    pub diff_ms: Stats,
    /// `health` of one group.
    pub health_ms: Stats,
    /// `health` of all groups.
    pub health_all_ms: f64,
    /// Every control, as the services read rules.
    pub comply_literal_ms: f64,
    /// Every control, by the packets that pass.
    pub comply_semantic_ms: f64,
    /// All pairs of the other estate.
    pub pairs_ms: f64,
    /// The same when all of them carry one more group, whose members reach each other.
    pub pairs_shared_ms: f64,
}

/// Measures.
///
/// # Errors
/// What a question is refused for.
pub fn measure(size: Size, stop: &Stop) -> anyhow::Result<AnswerCost> {
    let estate = Estate::of(size)?;
    let world = estate.builder.world();
    let many = |ask: &dyn Fn() -> anyhow::Result<()>| timed(size.answers, ask, stop);
    let why_ms = many(&|| estate.why(world))?;
    let who_ms = many(&|| estate.who(world))?;
    let after = estate.changed()?;
    let diff_ms = many(&|| check_difference(world, &after))?;
    let health_ms = many(&|| check_health(world, Some(&estate.changed)))?;
    let once = |ask: &dyn Fn() -> anyhow::Result<()>| Ok::<_, anyhow::Error>(timed(1, ask, stop)?.median);
    let health_all_ms = once(&|| check_health(world, None))?;
    let comply_literal_ms = once(&|| check_compliance(world, comply::Mode::Literal))?;
    let comply_semantic_ms = once(&|| check_compliance(world, comply::Mode::Semantic))?;
    let pairs = |is_shared| {
        let world = pairs_estate(size, is_shared)?;
        once(&|| check_pairs(&world))
    };
    let (pairs_ms, pairs_shared_ms) = (pairs(false)?, pairs(true)?);
    Ok(AnswerCost {
        size,
        why_ms,
        who_ms,
        diff_ms,
        health_ms,
        health_all_ms,
        comply_literal_ms,
        comply_semantic_ms,
        pairs_ms,
        pairs_shared_ms,
    })
}

fn timed(times: usize, ask: &dyn Fn() -> anyhow::Result<()>, stop: &Stop) -> anyhow::Result<Stats> {
    let mut taken = Vec::with_capacity(times);
    for _ in 0..times {
        stop.check()?;
        let begun = Instant::now();
        ask()?;
        taken.push(begun.elapsed().as_secs_f64() * 1_000.0);
    }
    Stats::of(taken).context("nothing was asked")
}

/// Groups of rules, of which some have an ENI each, and a group of 1,000 rules with two ENIs.
struct Estate {
    builder: Builder,
    changed: GroupId,
    ends: [EniId; 2],
}

impl Estate {
    fn of(size: Size) -> anyhow::Result<Self> {
        let mut builder = Builder::new(21)?;
        let (vpc, subnets) = builder.wide_network((size.groups / SUBNET_ENIS + 2) as u8)?;
        for number in 0..size.groups {
            let group = builder.group(&vpc)?;
            builder.fill(&group, size.rules)?;
            if number.is_multiple_of(GROUPS_PER_ENI) {
                let subnet = subnets.get(1 + number / SUBNET_ENIS).context("there is no subnet")?;
                builder.settle_on(&host_of(number));
                builder.hosts(subnet, &group, 1)?;
            }
        }
        builder.settle_on(&host_of(0));
        let changed = builder.group(&vpc)?;
        builder.fill(&changed, CHANGED_RULES)?;
        let enis = builder.hosts(subnets.first().context("there is no subnet")?, &changed, 2)?;
        let ends = <[EniId; 2]>::try_from(enis).map_err(|_| anyhow::anyhow!("there are not two ENIs"))?;
        Ok(Self { builder, changed, ends })
    }

    /// The world with one rule more.
    fn changed(&self) -> anyhow::Result<World> {
        let rules: Vec<NewRule> = fillers(CHANGED_RULES + 1).last().map(filler_rule).into_iter().collect();
        let command: Command = self.builder.authorization(&self.changed, rules);
        let mut copy = Builder::of(self.builder.world().clone(), host_of(0), 22)?;
        let applied = copy.attempt(&command)?;
        copy.keep(applied);
        Ok(copy.world().clone())
    }

    fn why(&self, world: &World) -> anyhow::Result<()> {
        let [from, to] = self.ends.each_ref().map(ToString::to_string);
        let question = why::Question { from, to, service: "tcp/1".to_owned(), ..why::Question::default() };
        why::explain(world, &question, why::Goal::Allow, LimitMode::Host)?;
        Ok(())
    }

    fn who(&self, world: &World) -> anyhow::Result<()> {
        let [_, to] = self.ends.each_ref().map(ToString::to_string);
        who::ask(world, &who::Question { to: Some(to), ..who::Question::default() })?;
        Ok(())
    }
}

/// Where the ENIs of a policy are.
fn host_of(policy: usize) -> HostId {
    HostId::from(format!("simulated-{}", policy / HOST_POLICIES))
}

fn check_health(world: &World, group: Option<&GroupId>) -> anyhow::Result<()> {
    let question = health::Question { group: group.cloned(), ..health::Question::default() };
    let uses = health::Uses { watched_since: Timestamp(0), last: &|_, _| None, evidence: None };
    health::check(world, &question, &uses)?;
    Ok(())
}

fn check_difference(before: &World, after: &World) -> anyhow::Result<()> {
    let report = diff::worlds((before, "before"), (after, "after"))?;
    anyhow::ensure!(!report.changes.is_empty(), "a rule more makes no difference");
    Ok(())
}

fn check_pairs(world: &World) -> anyhow::Result<()> {
    let matrix = who::all_pairs(world)?;
    anyhow::ensure!(matrix.pairs > 0, "nobody reaches anybody");
    Ok(())
}

fn check_compliance(world: &World, mode: comply::Mode) -> anyhow::Result<()> {
    comply::check(world, &comply::Question { mode, ..comply::Question::default() })?;
    Ok(())
}

/// ENIs in policies that let in the one before; with one group that all of them carry, whose members reach each other, or without.
fn pairs_estate(size: Size, is_shared: bool) -> anyhow::Result<World> {
    let mut builder = Builder::new(23)?;
    let enis = size.policies * size.sharers as usize;
    let (vpc, subnets) = builder.wide_network((enis / SUBNET_ENIS + 1) as u8)?;
    let shared = builder.group(&vpc)?;
    let mut before = shared.clone();
    for number in 0..size.policies {
        let group = builder.group(&vpc)?;
        builder.refer(&group, &before)?;
        builder.settle_on(&host_of(number));
        let subnet = subnets.get(number * size.sharers as usize / SUBNET_ENIS).context("there is no subnet")?;
        for eni in builder.hosts(subnet, &group, size.sharers)? {
            if is_shared {
                let applied = builder.attempt(&builder.membership(&shared, &eni, true))?;
                builder.keep(applied);
            }
        }
        before = group;
    }
    Ok(builder.world().clone())
}
