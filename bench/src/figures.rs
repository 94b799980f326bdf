//! The one table: every figure, how it compares with no firewall, nftables and iptables, its goal, and whether that is met.

use std::fmt::Write as _;

use serde::Serialize;

use crate::{
    compare::{FEW, Row},
    control,
    lab::{Firewall, Variant},
    program::{self, PathCost},
    report::{Report, count, plus_minus},
    scale,
    stats::Stats,
    traffic::Metric,
};

/// Connect/request/close with both ends protected: at least this part of what there is without a firewall, at 1,000 rules.
const CONNECTIONS_RATIO_MIN: f64 = 1.05;
/// CPU for a connection, at most this part.
const CONNECTION_CPU_RATIO_MAX: f64 = 0.95;
/// Nanoseconds of the established path, at most.
const ESTABLISHED_NS_MAX: f64 = 70.0;
/// Nanoseconds of a denial, at most.
const DENIED_NS_MAX: f64 = 100.0;
/// What is flat may grow to so many times.
const FLAT_TIMES_MAX: f64 = 1.15;
/// Milliseconds from a commit to the kernel, at most, for 99 of 100: a rule that 1,000 ENIs share.
const SHARED_RULE_P99_MS_MAX: f64 = 5.0;
/// The same for a member of a group that 10,000 ENIs' rules name, whatever the percentile: the median and the p99 are told.
const NAMED_MEMBER_MS_MAX: f64 = 1.0;
/// Work for a change in an estate of 100,000 ENIs, at most so many times that in one of 1,000.
const CURVE_TIMES_MAX: f64 = 2.0;
/// Seconds until 10,000 ENIs are enforced by a new agent.
const AGENT_S_MAX: f64 = 2.0;
/// Milliseconds from an API call to the kernel, at most, for 99 of 100.
const API_P99_MS_MAX: f64 = 20.0;
/// Durable authorize calls a second of many clients, at least.
const AUTHORIZED_PER_S_MIN: f64 = 2_000.0;
/// Milliseconds of a describe by id, at most, for 99 of 100.
const BY_ID_P99_MS_MAX: f64 = 2.0;
/// Seconds to start on 10,000 groups.
const START_S_MAX: f64 = 2.0;
/// How many times as fast as moto.
const MOTO_TIMES_MIN: f64 = 10.0;
/// Milliseconds of a `diff` of a change to a policy of 1,000 rules, at most.
const DIFF_MS_MAX: f64 = 10.0;
/// Milliseconds of all pairs of 10,000 ENIs, at most.
const PAIRS_MS_MAX: f64 = 5_000.0;

/// One line.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Figure {
    /// What.
    pub what: String,
    /// What was found.
    pub found: String,
    /// As a part of what there is without a firewall, with nftables (interval set), with iptables.
    pub beside: [Option<String>; 3],
    /// What was to be reached, and whether it is.
    pub goal: Option<(String, bool)>,
}

impl Figure {
    fn new(what: impl Into<String>, found: impl Into<String>) -> Self {
        Self { what: what.into(), found: found.into(), ..Self::default() }
    }

    fn goal(mut self, wanted: impl Into<String>, is_met: bool) -> Self {
        self.goal = Some((wanted.into(), is_met));
        self
    }
}

/// Every figure of a report.
#[must_use]
pub fn of(report: &Report) -> Vec<Figure> {
    let parts = [traffic(report), packets(report), changes(report), starts(report), control(report), answers(report)];
    parts.into_iter().flatten().collect()
}

fn answers(report: &Report) -> Vec<Figure> {
    let Some(cost) = &report.answers else { return Vec::new() };
    let most = |what: &str, ms: f64, most: f64| {
        Figure::new(what, format!("{ms:.1} ms")).goal(format!("≤ {most:.0} ms"), ms <= most)
    };
    vec![
        most("diff of a change to a policy of 1,000 rules", cost.diff_ms.median, DIFF_MS_MAX),
        most("all pairs of an estate", cost.pairs_ms, PAIRS_MS_MAX),
        most("all pairs, with a group that all carry", cost.pairs_shared_ms, PAIRS_MS_MAX),
    ]
}

/// As a table.
#[must_use]
pub fn to_markdown(figures: &[Figure]) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "| figure | found | of no firewall | of nftables | of iptables | goal | |");
    let _ = writeln!(text, "|---|---:|---:|---:|---:|---|---|");
    for Figure { what, found, beside, goal } in figures {
        let beside = beside.each_ref().map(|value| value.as_deref().unwrap_or("–")).join(" | ");
        let (wanted, met) = match goal {
            Some((wanted, true)) => (wanted.as_str(), "PASS"),
            Some((wanted, false)) => (wanted.as_str(), "**MISS**"),
            None => ("–", ""),
        };
        let _ = writeln!(text, "| {what} | {found} | {beside} | {wanted} | {met} |");
    }
    text
}

fn row(report: &Report, metric: Metric, firewall: Firewall, rules: usize) -> Option<&Row> {
    let variant = Variant { firewall, rules };
    report.traffic.iter().find(|row| row.metric == metric && row.variant == variant)
}

/// Both ends protected, at 1,000 rules, beside the others at as many.
fn traffic(report: &Report) -> Vec<Figure> {
    let mut figures = Vec::new();
    for metric in Metric::ALL {
        let Some(ours) = row(report, metric, Firewall::SekimoriBothEnds, FEW) else { continue };
        let unit = if metric.is_bulk() { "MiB" } else { "" };
        let found = format!("{} {unit} a second of the core", count(ours.per_second.median.round() as usize));
        let mut figure = Figure::new(format!("{}, both ends, {} rules", metric.name(), count(FEW)), found);
        figure.beside = beside(report, metric, ours);
        if metric == Metric::Connections
            && let Some(ratio) = ours.ratio
        {
            figure = figure.goal(
                format!("at least {CONNECTIONS_RATIO_MIN} of no firewall"),
                ratio.median >= CONNECTIONS_RATIO_MIN,
            );
        }
        figures.push(figure);
        figures.extend(cpu(metric, ours, unit));
    }
    let ratio = |rules| row(report, Metric::Connections, Firewall::SekimoriBothEnds, rules).and_then(|row| row.ratio);
    if let (Some(few), Some(many)) = (ratio(FEW), ratio(10 * FEW)) {
        let is_met = many.median + many.margin() + few.margin() >= few.median;
        let what = format!("{}, both ends, {} rules", Metric::Connections.name(), count(10 * FEW));
        let mut figure =
            Figure::new(what, String::new()).goal(format!("as at {}, within the margins", count(FEW)), is_met);
        figure.beside[0] = Some(with_margin(&many));
        figures.push(figure);
    }
    figures
}

fn beside(report: &Report, metric: Metric, ours: &Row) -> [Option<String>; 3] {
    let of = |firewall| {
        let other = row(report, metric, firewall, FEW)?;
        // Each was measured beside no firewall, slice by slice; nothing is denied there.
        let times = match (ours.ratio, other.ratio) {
            (Some(ours), Some(other)) => ours.median / other.median,
            _ => ours.per_second.median / other.per_second.median,
        };
        Some(format!("{times:.2}"))
    };
    let none = ours.ratio.map(|ratio| with_margin(&ratio));
    [none, of(Firewall::NftSet), of(Firewall::Iptables)]
}

/// CPU time for one of them.
fn cpu(metric: Metric, ours: &Row, unit: &str) -> Option<Figure> {
    let ratio = ours.ratio?;
    let each = if unit.is_empty() { "" } else { " a MiB" };
    let mut figure =
        Figure::new(format!("{}: CPU{each}", metric.name()), format!("{} µs", plus_minus(&ours.cpu_us, 2)));
    let part = 1.0 / ratio.median;
    figure.beside[0] = Some(format!("{part:.3}"));
    if metric == Metric::Connections {
        figure = figure
            .goal(format!("at most {CONNECTION_CPU_RATIO_MAX} of no firewall"), part <= CONNECTION_CPU_RATIO_MAX);
    }
    Some(figure)
}

fn with_margin(stats: &Stats) -> String {
    format!("{:.3} ± {:.3}", stats.median, stats.margin())
}

fn path<'a>(report: &'a Report, name: &str, size: usize) -> Option<&'a PathCost> {
    report.program.as_ref()?.paths.iter().find(|path| path.path == name && path.rules == size)
}

fn packets(report: &Report) -> Vec<Figure> {
    let mut figures = Vec::new();
    let goals = [
        (program::ESTABLISHED, ESTABLISHED_NS_MAX),
        (program::DENIED, DENIED_NS_MAX),
        (program::DENIED_STRANGER, DENIED_NS_MAX),
    ];
    for (name, most) in goals {
        let Some(worst) = worst(report, name, &program::SIZES) else { continue };
        let figure =
            Figure::new(format!("PROG_TEST_RUN, {name}, slowest of 10 to 10,000 rules"), format!("{worst:.0} ns"));
        figures.push(figure.goal(format!("at most {most} ns"), worst <= most));
        let Some(least) = path(report, name, program::SIZES[0]).map(|path| path.ns.median) else { continue };
        let times = worst / least;
        let figure = Figure::new(format!("{name}: slowest size as a part of 10 rules"), format!("{times:.2}"));
        figures.push(figure.goal("flat", times <= FLAT_TIMES_MAX));
        let listed = format!("{name}, addresses in lists");
        let most = program::LIST_SIZES.into_iter().rev().find_map(|size| Some((size, path(report, &listed, size)?)));
        if let Some((size, path)) = most {
            let times = path.ns.median / least;
            let found = format!("{:.0} ns with {}", path.ns.median, count(size));
            let is_met = times <= FLAT_TIMES_MAX && size == 1_000_000;
            figures.push(
                Figure::new(format!("{name}: most entries of prefix lists"), found).goal("flat to 1,000,000", is_met),
            );
        }
    }
    figures.extend(added(report));
    figures
}

fn worst(report: &Report, name: &str, sizes: &[usize]) -> Option<f64> {
    sizes.iter().filter_map(|size| path(report, name, *size)).map(|path| path.ns.median).max_by(f64::total_cmp)
}

/// What something beside the policy adds.
fn added(report: &Report) -> Vec<Figure> {
    let names = [program::ESTABLISHED, program::DENIED, program::BEGUN];
    let more = |name: &str, with: &str, without: &str| {
        let (with, without) = (format!("{name}{with}"), format!("{name}{without}"));
        let (with, without) = (path(report, &with, FEW)?, path(report, &without, FEW)?);
        let more = with.ns.median - without.ns.median;
        Some(Figure::new(format!("{} adds", with.path), format!("{more:+.0} ns")))
    };
    let both = [(", beside a candidate", ""), (", EC2 behind a network ACL", ", EC2")];
    let mut figures: Vec<Figure> = both
        .into_iter()
        .flat_map(|(with, without)| names.into_iter().filter_map(move |name| more(name, with, without)))
        .collect();
    figures.extend(more(program::DENIED, ", events told", ""));
    figures
}

fn changes(report: &Report) -> Vec<Figure> {
    let mut figures = Vec::new();
    if let Some(many) = &report.many {
        let p99 = many.shared_rule.kernel_us.p99 / 1e3;
        let what = format!(
            "a rule of {} that {} ENIs share: commit to kernel, p99",
            count(FEW),
            count(scale::SHARERS as usize)
        );
        let mut figure = Figure::new(what, format!("{p99:.2} ms"))
            .goal(format!("at most {SHARED_RULE_P99_MS_MAX} ms"), p99 <= SHARED_RULE_P99_MS_MAX);
        if let Some((nft, iptables)) = &report.rivals {
            let of = |other: &Stats| Some(format!("{:.2}", many.shared_rule.kernel_us.median / other.median));
            figure.beside = [None, of(nft), of(iptables)];
        }
        figures.push(figure);
        let (median, p99) = (many.named_member.kernel_us.median / 1e3, many.named_member.kernel_us.p99 / 1e3);
        let what = format!("a member of a group that {} ENIs' rules name: commit to kernel", count(scale::REFERRERS));
        figures.push(
            Figure::new(what, format!("{median:.3} ms, p99 {p99:.3}"))
                .goal(format!("at most {NAMED_MEMBER_MS_MAX} ms"), p99 <= NAMED_MEMBER_MS_MAX),
        );
    }
    if let (Some(first), Some(last)) = (report.curve.first(), report.curve.last()) {
        for (what, of) in [
            ("a rule", (|point| &point.rule) as fn(&scale::CurvePoint) -> &scale::ChangeCost),
            ("a member", |point| &point.member),
        ] {
            let whole = |point| of(point).apply_us.median + of(point).kernel_us.median;
            let times = whole(last) / whole(first);
            let name = format!("{what}: work with {} ENIs as a part of {}", count(last.enis), count(first.enis));
            figures.push(
                Figure::new(name, format!("{times:.2}"))
                    .goal(format!("at most {CURVE_TIMES_MAX}"), times <= CURVE_TIMES_MAX),
            );
        }
    }
    if let (Some(first), Some(last)) = (report.member_updates.first(), report.member_updates.last()) {
        let writes = |cost: &crate::updates::MemberCost| (cost.hash_writes, cost.delta_entries);
        let is_met = report.member_updates.iter().all(|cost| writes(cost) == writes(first));
        let found = format!("{} hash writes, {} entries", last.hash_writes, last.delta_entries);
        let what = format!("a membership change, {} ENIs refer to the group", count(last.referrers));
        figures.push(Figure::new(what, found).goal(format!("as with {}", first.referrers), is_met));
    }
    if let Some(api) = &report.api {
        let what = format!("API call to kernel, {} rules, {} ENIs, p99", count(api.rules), count(api.enis));
        let p99 = api.kernel_ms.p99;
        figures.push(
            Figure::new(what, format!("{p99:.1} ms"))
                .goal(format!("at most {API_P99_MS_MAX} ms"), p99 <= API_P99_MS_MAX),
        );
        let p99 = api.after_ms.p99;
        let what = "of it, from the answer on: the change is durable then".to_owned();
        figures.push(
            Figure::new(what, format!("{p99:.1} ms"))
                .goal(format!("at most {SHARED_RULE_P99_MS_MAX} ms"), p99 <= SHARED_RULE_P99_MS_MAX),
        );
    }
    figures
}

fn starts(report: &Report) -> Vec<Figure> {
    let Some(cost) = &report.start else { return Vec::new() };
    let estate = format!("{} ENIs, {} groups", count(cost.enis), count(cost.groups));
    let loss = format!("of {} packets of a live flow lost, denied that passed", count(cost.sent as usize));
    vec![
        Figure::new(
            format!("start from the store: {estate}, {} ENIs here", count(cost.here)),
            format!("{:.2} s", cost.start_s),
        ),
        Figure::new(
            format!("start after a kill, {} ENIs here", count(cost.here)),
            format!("{:.2} s", cost.restart_s),
        ),
        Figure::new("of that, the agent's own part", format!("{:.2} s", cost.agent_s))
            .goal(format!("at most {AGENT_S_MAX} s"), cost.agent_s <= AGENT_S_MAX),
        Figure::new(loss, format!("{}, {}", cost.lost, cost.passed)).goal("0, 0", cost.lost == 0 && cost.passed == 0),
        Figure::new(
            format!("{} agents get everything at the same time", cost.agents),
            format!("{:.2} s", cost.agents_s),
        ),
        Figure::new(
            "an agent at rest: read-back, looks, sweep",
            format!("{:.1} ms of CPU a second", cost.idle_ms_per_s),
        ),
    ]
}

fn control(report: &Report) -> Vec<Figure> {
    let mut figures = Vec::new();
    if let Some(cost) = &report.control {
        let estate = format!("{} groups of {} rules", count(cost.groups), control::RULES);
        figures.push(
            Figure::new(
                format!("durable authorize calls of {} clients", control::MANY_CLIENTS),
                format!("{:.0} a second", cost.authorized_per_s),
            )
            .goal(format!("at least {AUTHORIZED_PER_S_MIN}"), cost.authorized_per_s >= AUTHORIZED_PER_S_MIN),
        );
        figures.push(
            Figure::new(format!("describe by id among {estate}, p99"), format!("{:.2} ms", cost.by_id_ms.p99))
                .goal(format!("at most {BY_ID_P99_MS_MAX} ms"), cost.by_id_ms.p99 <= BY_ID_P99_MS_MAX),
        );
        figures.push(
            Figure::new(format!("start with {estate}"), format!("{:.2} s", cost.start_s))
                .goal(format!("at most {START_S_MAX} s"), cost.start_s <= START_S_MAX),
        );
    }
    let rows = report.beside.iter().flat_map(|cost| &cost.rows);
    figures.extend(rows.map(|row| {
        let what = format!("EC2 {}: times as fast as moto", crate::report::name_of(row));
        Figure::new(what, plus_minus(&row.times_as_fast, 1))
            .goal(format!("at least {MOTO_TIMES_MIN}"), row.times_as_fast.median >= MOTO_TIMES_MIN)
    }));
    figures
}
