//! What a change costs against the size of the estate: from a command to the kernel's maps, on one of many hosts.
//!
//! The maps are the kernel's own, and so is every write. Interfaces have none behind them: whole numbers of them would measure the
//! making of namespaces. What is on other hosts is in the world, and its addresses are in the maps, as on a real host.

use std::path::Path;

use anyhow::Context as _;
use sekimori_core::{
    command::NewRule,
    ids::{EniId, GroupId, HostId},
};
use serde::Serialize;

use crate::{
    plane::Plane,
    stats::Stats,
    stop::Stop,
    updates::{CHANGES_UNCOLLECTED_MAX, Step, rule_command, step},
    world::{Builder, HOST, filler_rule, fillers},
};

/// Sizes of the estate, in ENIs.
pub const ESTATES: [usize; 3] = [1_000, 10_000, 100_000];
/// ENIs of one host.
pub const HOST_ENIS: usize = 1_000;
/// ENIs of one subnet.
pub const SUBNET_ENIS: usize = 4_000;
/// An estate has one group for so many ENIs.
pub const ENIS_PER_GROUP: usize = 5;
/// Groups that the ENIs of one host have. The next host has half of them as well, so that a group's ENIs are on two hosts.
const HOST_GROUPS: usize = 2 * HOST_ENIS / ENIS_PER_GROUP;
/// Rules of the group that is changed, in every estate.
const RULES: usize = 20;
/// ENIs that have it, in every estate.
const OWNERS: u32 = 10;
/// Rules of the policy that many ENIs share.
const SHARED_RULES: usize = 1_000;
/// How many ENIs share it.
pub const SHARERS: u32 = 1_000;
/// ENIs whose rules name the group that gets a member.
pub const REFERRERS: usize = 10_000;
/// ENIs with the same policy among them.
const REFERRERS_PER_GROUP: u32 = 10;

/// What one change costs.
#[derive(Clone, Debug, Serialize)]
pub struct ChangeCost {
    /// Microseconds: command to changes, which are then committed.
    pub apply_us: Stats,
    /// Microseconds: from the commit to the kernel.
    pub kernel_us: Stats,
}

/// What changes cost in an estate of one size.
#[derive(Clone, Debug, Serialize)]
pub struct CurvePoint {
    /// ENIs, on hosts of [`HOST_ENIS`].
    pub enis: usize,
    /// Groups.
    pub groups: usize,
    /// One rule of a group of 20, which 10 ENIs of this host have.
    pub rule: ChangeCost,
    /// One member of a group that a rule of 10 ENIs names.
    pub member: ChangeCost,
}

/// What changes cost that concern many ENIs of one host.
#[derive(Clone, Debug, Serialize)]
pub struct ManyCost {
    /// One rule of a policy of 1,000 that 1,000 ENIs share.
    pub shared_rule: ChangeCost,
    /// One member of a group that the rules of 10,000 ENIs name.
    pub named_member: ChangeCost,
}

/// Measures estates of these sizes.
///
/// # Errors
/// The kernel's.
pub fn measure_curve(dir: &Path, sizes: &[usize], rounds: usize, stop: &Stop) -> anyhow::Result<Vec<CurvePoint>> {
    let point = |enis: &usize| {
        stop.check()?;
        let mut builder = Builder::new(*enis as u64)?;
        let watched = furnish(&mut builder, *enis, &HostId::from(HOST))?;
        let mut plane = Plane::open(&dir.join(enis.to_string()))?;
        plane.enforce(builder.world())?;
        let groups = builder.world().groups().count();
        let mut lab = Lab { builder, plane, stop };
        let extra: Vec<NewRule> = fillers(RULES + 1).last().map(filler_rule).into_iter().collect();
        let rule = lab.rule(&watched.changed, &extra, rounds)?;
        let member = lab.member(&watched.named, &watched.member, rounds)?;
        Ok(CurvePoint { enis: *enis, groups, rule, member })
    };
    sizes.iter().map(point).collect()
}

/// Measures changes that concern many ENIs.
///
/// # Errors
/// The kernel's.
pub fn measure_many(dir: &Path, rounds: usize, stop: &Stop) -> anyhow::Result<ManyCost> {
    let mut lab = Lab { builder: Builder::new(5)?, plane: Plane::open(&dir.join("shared"))?, stop };
    let (vpc, subnets) = lab.builder.wide_network(1)?;
    let shared = lab.builder.group(&vpc)?;
    lab.builder.fill(&shared, SHARED_RULES)?;
    lab.builder.hosts(subnets.first().context("there is no subnet")?, &shared, SHARERS)?;
    lab.plane.enforce(lab.builder.world())?;
    let extra: Vec<NewRule> = fillers(SHARED_RULES + 1).last().map(filler_rule).into_iter().collect();
    let shared_rule = lab.rule(&shared, &extra, rounds)?;

    let mut lab = Lab { builder: Builder::new(6)?, plane: Plane::open(&dir.join("named"))?, stop };
    let watched = referred(&mut lab.builder, REFERRERS)?;
    lab.plane.enforce(lab.builder.world())?;
    let named_member = lab.member(&watched.0, &watched.1, rounds)?;
    Ok(ManyCost { shared_rule, named_member })
}

/// A group that so many ENIs' rules name, and an ENI that is not in it.
fn referred(builder: &mut Builder, enis: usize) -> anyhow::Result<(GroupId, EniId)> {
    let (vpc, subnets) = builder.wide_network((enis / SUBNET_ENIS + 2) as u8)?;
    let named = builder.group(&vpc)?;
    for number in 0..enis / REFERRERS_PER_GROUP as usize {
        let subnet =
            subnets.get(1 + number * REFERRERS_PER_GROUP as usize / SUBNET_ENIS).context("there is no subnet")?;
        let group = builder.group(&vpc)?;
        builder.refer(&group, &named)?;
        builder.hosts(subnet, &group, REFERRERS_PER_GROUP)?;
    }
    let own = builder.group(&vpc)?;
    let member = builder.host(subnets.first().context("there is no subnet")?, &own, false)?;
    Ok((named, member.eni))
}

/// What of an estate is changed.
pub struct Watched {
    /// A group that some ENIs of this host have.
    pub changed: GroupId,
    /// A group that their rules name.
    pub named: GroupId,
    /// An ENI of this host that joins it.
    pub member: EniId,
}

/// Makes an estate: so many ENIs, [`HOST_ENIS`] on each host, one group for five of them. On `here` is what is changed.
///
/// # Errors
/// The refusal of a command.
pub fn furnish(builder: &mut Builder, enis: usize, here: &HostId) -> anyhow::Result<Watched> {
    let (vpc, subnets) = builder.wide_network((enis / SUBNET_ENIS + 2) as u8)?;
    let first = subnets.first().context("there is no subnet")?;
    let (changed, named) = (builder.group(&vpc)?, builder.group(&vpc)?);
    builder.fill(&changed, RULES)?;
    builder.refer(&changed, &named)?;
    builder.settle_on(here);
    builder.hosts(first, &changed, OWNERS)?;
    let mut groups = Vec::new();
    for _ in 0..enis / ENIS_PER_GROUP {
        let group = builder.group(&vpc)?;
        builder.refer(&group, &named)?;
        groups.push(group);
    }
    let per_host = HOST_ENIS.min(enis);
    let mut left = enis - OWNERS as usize;
    let mut number = 0_usize;
    while left > 0 {
        let host = if number == 0 { here.clone() } else { HostId::from(format!("simulated-{number}").as_str()) };
        builder.settle_on(&host);
        let own = if number == 0 { per_host - OWNERS as usize } else { per_host }.min(left);
        let subnet = subnets.get(1 + number * per_host / SUBNET_ENIS).context("there is no subnet")?;
        left -= own;
        let mut owed = own;
        for place in 0..HOST_GROUPS {
            let group = (number * HOST_GROUPS / 2 + place) % groups.len().max(1);
            let group = groups.get(group).context("there are no groups")?;
            let amount = owed.div_ceil(HOST_GROUPS - place);
            owed -= amount;
            if amount > 0 {
                builder.hosts(subnet, group, amount as u32)?;
            }
        }
        number += 1;
    }
    builder.settle_on(here);
    let own = builder.group(&vpc)?;
    let member = builder.host(first, &own, false)?;
    Ok(Watched { changed, named, member: member.eni })
}

/// A world, and the kernel that follows it.
struct Lab<'a> {
    builder: Builder,
    plane: Plane,
    stop: &'a Stop,
}

impl Lab<'_> {
    fn rule(&mut self, group: &GroupId, extra: &[NewRule], rounds: usize) -> anyhow::Result<ChangeCost> {
        self.measure(rounds, |builder, is_added| rule_command(builder, group, extra, is_added))
    }

    fn member(&mut self, group: &GroupId, eni: &EniId, rounds: usize) -> anyhow::Result<ChangeCost> {
        self.measure(rounds, |builder, is_added| builder.membership(group, eni, is_added))
    }

    fn measure(
        &mut self,
        rounds: usize,
        command: impl Fn(&Builder, bool) -> sekimori_core::command::Command,
    ) -> anyhow::Result<ChangeCost> {
        let mut steps: Vec<Step> = Vec::new();
        for change in 0..rounds * 2 {
            self.stop.check()?;
            let command = command(&self.builder, change % 2 == 0);
            steps.push(step(&mut self.builder, &mut self.plane, &command)?);
            if change % CHANGES_UNCOLLECTED_MAX == 0 {
                self.plane.collect()?;
            }
        }
        let stats = |of: fn(&Step) -> f64| Stats::of(steps.iter().map(of)).context("nothing was changed");
        let (apply_us, kernel_us) = (stats(|step| step.apply_us)?, stats(|step| step.tables_us + step.write_us)?);
        Ok(ChangeCost { apply_us, kernel_us })
    }
}

impl Builder {
    /// Gives a group so many rules that let nobody in who is measured.
    ///
    /// # Errors
    /// The refusal of the command.
    pub fn fill(&mut self, group: &GroupId, rules: usize) -> anyhow::Result<()> {
        self.authorize(group, fillers(rules).map(filler_rule).collect())
    }
}
