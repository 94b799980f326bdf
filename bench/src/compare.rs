//! The firewalls against each other: every slice with one is followed by a slice without, and the ratio is
//! that of neighbours in time.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use serde::Serialize;
use tokio::runtime::Runtime;

use crate::{
    core::Core,
    lab::{Firewall, Lab, Variant, Way, variants},
    stats::Stats,
    stop::Stop,
    traffic::{self, Metric, Work},
};

/// One firewall, one number of rules, one metric.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What is measured.
    pub metric: Metric,
    /// Against what.
    #[serde(flatten)]
    pub variant: Variant,
    /// Connections, transactions or packets in a second of the core.
    pub per_second: Stats,
    /// The same in a second of the clock, neighbours included.
    pub per_wall_second: Stats,
    /// Microseconds of the core for each.
    pub cpu_us: Stats,
    /// Microseconds more than without a firewall, in neighbouring slices.
    pub cpu_us_more: Option<Stats>,
    /// `per_second`, as a part of that without a firewall in the neighbouring slice.
    pub ratio: Option<Stats>,
}

/// Rules of the policies that goals are about.
pub const FEW: usize = 1_000;
/// Slices of bulk in a round: what is to be decided is a few hundredths.
const BULK_SLICES: usize = 3;

#[derive(Default)]
struct Values {
    per_second: Vec<f64>,
    per_wall_second: Vec<f64>,
    cpu_us: Vec<f64>,
    cpu_us_more: Vec<f64>,
    ratio: Vec<f64>,
}

impl Values {
    fn note(&mut self, work: &Work) {
        self.per_second.push(work.per_second());
        self.per_wall_second.push(work.units / work.spent.wall_ns * 1e9);
        self.cpu_us.push(work.cpu_us());
    }

    fn compare(&mut self, work: &Work, open: &Work) {
        self.cpu_us_more.push(work.cpu_us() - open.cpu_us());
        self.ratio.push(work.per_second() / open.per_second());
    }

    fn row(self, metric: Metric, variant: Variant) -> Option<Row> {
        Some(Row {
            metric,
            variant,
            per_second: Stats::of(self.per_second)?,
            per_wall_second: Stats::of(self.per_wall_second)?,
            cpu_us: Stats::of(self.cpu_us)?,
            cpu_us_more: Stats::of(self.cpu_us_more),
            ratio: Stats::of(self.ratio),
        })
    }
}

/// How much is measured.
#[derive(Clone, Debug, Serialize)]
pub struct Effort {
    /// Rounds over everything.
    pub rounds: usize,
    /// Milliseconds of one slice.
    pub slice_ms: u64,
    /// What is compared.
    pub firewalls: Vec<Firewall>,
    /// Numbers of rules.
    pub sizes: Vec<usize>,
    /// What is measured.
    pub metrics: Vec<Metric>,
}

/// Measures all firewalls, interleaved, round by round.
///
/// # Errors
/// What could not be made or measured; everything is removed.
pub fn measure(
    runtime: &Arc<Runtime>,
    dir: &Path,
    core: &Core,
    effort: &Effort,
    stop: &Stop,
) -> anyhow::Result<Vec<Row>> {
    let mut lab = Lab::open(runtime, dir, &variants(&effort.firewalls, &effort.sizes))?;
    let mut values: BTreeMap<(Metric, Variant), Values> = BTreeMap::new();
    for round in 0..effort.rounds {
        eprintln!("round {} of {}", round + 1, effort.rounds);
        for metric in effort.metrics.iter().copied() {
            // Whoever comes first in one round comes last in the next.
            let count = lab.ways.len();
            for place in 0..count {
                stop.check()?;
                slice(&lab, (place + round) % count, metric, core, effort, &mut values)?;
                lab.keep_house()?;
            }
        }
    }
    Ok(values.into_iter().filter_map(|((metric, variant), values)| values.row(metric, variant)).collect())
}

fn slice(
    lab: &Lab,
    at: usize,
    metric: Metric,
    core: &Core,
    effort: &Effort,
    values: &mut BTreeMap<(Metric, Variant), Values>,
) -> anyhow::Result<()> {
    let Some((variant, way)) = lab.ways.get(at) else { return Ok(()) };
    // Packets of a live connection meet no rule: one size is enough, and leaves time for more slices.
    if metric.is_bulk() && effort.sizes.contains(&FEW) && variant.rules != FEW {
        return Ok(());
    }
    let slices = if metric.is_bulk() { BULK_SLICES } else { 1 };
    (0..slices).try_for_each(|_| one_slice(lab, (variant, way), metric, core, effort, values))
}

fn one_slice(
    lab: &Lab,
    (variant, way): (&Variant, &Way),
    metric: Metric,
    core: &Core,
    effort: &Effort,
    values: &mut BTreeMap<(Metric, Variant), Values>,
) -> anyhow::Result<()> {
    let duration = Duration::from_millis(effort.slice_ms);
    let work = traffic::measure(core, way, metric, duration)?;
    let own = values.entry((metric, *variant)).or_default();
    own.note(&work);
    // Nothing is denied without a firewall.
    if metric != Metric::Denied {
        let open = traffic::measure(core, &lab.open, metric, duration)?;
        own.compare(&work, &open);
        values.entry((metric, Variant { firewall: Firewall::None, rules: 0 })).or_default().note(&open);
    }
    Ok(())
}
