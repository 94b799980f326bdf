//! What was measured, as JSON for programs and as tables for people, with the goals and whether they are met.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde::Serialize;

use crate::{
    api::CallCost,
    beside::{Beside, BesideCost},
    compare::{Effort, Row},
    control::{self, ControlCost},
    lab::{Firewall, Variant},
    machine::Machine,
    program::{self, PathCost},
    stats::Stats,
    traffic::Metric,
    updates::{MemberCost, RuleCost},
};

/// Connect/request/close: at least this part of what there is without a firewall, at 1,000 rules.
const CONNECTIONS_RATIO_MIN: f64 = 0.94;
/// Nanoseconds of the established path, at most.
const ESTABLISHED_NS_MAX: f64 = 100.0;
/// Milliseconds from an API call to the kernel, at most, for 99 of 100.
const API_P99_MS_MAX: f64 = 20.0;
/// Durable authorize calls a second of many clients, at least.
const AUTHORIZED_PER_S_MIN: f64 = 2_000.0;
/// Milliseconds of a describe by id, at most, for 99 of 100.
const BY_ID_P99_MS_MAX: f64 = 2.0;
/// Seconds to start on a large store, at most.
const START_S_MAX: f64 = 2.0;
/// How many times as fast as moto: changes that are durable here, and descriptions of all groups.
const MOTO_TIMES_MIN: f64 = 10.0;
/// Rules of the policies that goals are about.
const FEW: usize = 1_000;
const MANY: usize = 10_000;

/// Everything that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// When, UTC.
    pub at: String,
    /// On what.
    pub machine: Machine,
    /// The core that everything ran on.
    pub core: usize,
    /// How much.
    pub effort: Effort,
    /// Firewalls against each other.
    pub traffic: Vec<Row>,
    /// The program on one packet.
    pub program: Vec<PathCost>,
    /// One rule.
    pub rule_updates: Vec<RuleCost>,
    /// One member.
    pub member_updates: Vec<MemberCost>,
    /// One call.
    pub api: Option<CallCost>,
    /// The control plane on a large estate.
    pub control: Option<ControlCost>,
    /// The control plane beside moto's.
    pub beside: Option<BesideCost>,
    /// What was to be reached.
    pub goals: Vec<Goal>,
}

/// Something to reach.
#[derive(Clone, Debug, Serialize)]
pub struct Goal {
    /// What, and how much.
    pub wanted: String,
    /// What was found.
    pub found: String,
    /// Whether that is enough.
    pub is_met: bool,
}

impl Report {
    /// Judges what was measured by the goals.
    pub fn judge(&mut self) {
        let goals = [
            self.connections_goal(),
            self.same_at_any_size_goal(),
            self.established_goal(),
            self.api_goal(),
            self.member_goal(),
        ];
        self.goals = goals.into_iter().flatten().chain(self.control_goals()).chain(self.beside_goals()).collect();
    }

    fn row(&self, metric: Metric, firewall: Firewall, rules: usize) -> Option<&Row> {
        let variant = Variant { firewall, rules };
        self.traffic.iter().find(|row| row.metric == metric && row.variant == variant)
    }

    fn connections(&self, rules: usize) -> Option<Stats> {
        self.row(Metric::Connections, Firewall::Sekimori, rules)?.ratio
    }

    fn connections_goal(&self) -> Option<Goal> {
        let ratio = self.connections(FEW)?;
        let wanted = format!("connect/request/close at {FEW} rules: at least {CONNECTIONS_RATIO_MIN} of no firewall");
        let is_met = ratio.median >= CONNECTIONS_RATIO_MIN;
        Some(Goal { wanted, found: plus_minus(&ratio, 3), is_met })
    }

    fn same_at_any_size_goal(&self) -> Option<Goal> {
        let (few, many) = (self.connections(FEW)?, self.connections(MANY)?);
        let wanted = format!("connect/request/close at {MANY} rules: as at {FEW}, within the spreads");
        let found = format!("{} against {}", plus_minus(&many, 3), plus_minus(&few, 3));
        let is_met = many.median + many.spread() + few.spread() >= few.median;
        Some(Goal { wanted, found, is_met })
    }

    fn established_goal(&self) -> Option<Goal> {
        let paths = self.program.iter().filter(|path| path.path == program::ESTABLISHED);
        let worst = paths.map(|path| path.ns.median).max_by(f64::total_cmp)?;
        let wanted = format!("established path: at most {ESTABLISHED_NS_MAX} ns in PROG_TEST_RUN");
        Some(Goal { wanted, found: format!("{worst:.0} ns"), is_met: worst <= ESTABLISHED_NS_MAX })
    }

    fn api_goal(&self) -> Option<Goal> {
        let p99 = self.api.as_ref()?.kernel_ms.p99;
        let wanted = format!("API call to kernel: 99 of 100 within {API_P99_MS_MAX} ms");
        Some(Goal { wanted, found: format!("{p99:.1} ms"), is_met: p99 <= API_P99_MS_MAX })
    }

    /// The same number of writes however many ENIs refer to the group.
    fn member_goal(&self) -> Option<Goal> {
        let (first, last) = (self.member_updates.first()?, self.member_updates.last()?);
        let writes = |cost: &MemberCost| (cost.hash_writes, cost.delta_entries);
        let wanted =
            format!("a membership change writes O(1) maps, however many of {} ENIs refer to it", last.referrers);
        let found =
            format!("{} hash writes, {} entries, as with {}", last.hash_writes, last.delta_entries, first.referrers);
        Some(Goal { wanted, found, is_met: self.member_updates.iter().all(|cost| writes(cost) == writes(first)) })
    }

    fn control_goals(&self) -> Vec<Goal> {
        let Some(cost) = &self.control else { return Vec::new() };
        let estate = format!("{} groups of {} rules", count(cost.groups), control::RULES);
        vec![
            Goal {
                wanted: format!(
                    "durable authorize calls of {} clients: at least {AUTHORIZED_PER_S_MIN} a second",
                    control::MANY_CLIENTS
                ),
                found: format!("{:.0}", cost.authorized_per_s),
                is_met: cost.authorized_per_s >= AUTHORIZED_PER_S_MIN,
            },
            Goal {
                wanted: format!("describe by id among {estate}: 99 of 100 within {BY_ID_P99_MS_MAX} ms"),
                found: format!("{:.2} ms", cost.by_id_ms.p99),
                is_met: cost.by_id_ms.p99 <= BY_ID_P99_MS_MAX,
            },
            Goal {
                wanted: format!("start with {estate}: within {START_S_MAX} s"),
                found: format!("{:.2} s", cost.start_s),
                is_met: cost.start_s <= START_S_MAX,
            },
        ]
    }

    fn beside_goals(&self) -> Vec<Goal> {
        let rows = self.beside.iter().flat_map(|cost| &cost.rows);
        rows.map(|row| Goal {
            wanted: format!("EC2 {}: at least {MOTO_TIMES_MIN} times as fast as moto", name_of(row)),
            found: plus_minus(&row.times_as_fast, 1),
            is_met: row.times_as_fast.median >= MOTO_TIMES_MIN,
        })
        .collect()
    }

    /// The tables.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_head(&mut text);
        let _ = self.write_goals(&mut text);
        let _ = self.write_traffic(&mut text);
        let _ = self.write_program(&mut text);
        let _ = self.write_updates(&mut text);
        let _ = self.write_control(&mut text);
        let _ = self.write_beside(&mut text);
        text
    }

    fn write_head(&self, text: &mut String) -> std::fmt::Result {
        let Machine { host, cpu, cores, kernel, memory_mib, mitigations, load, rivals, is_virtual, governor } =
            &self.machine;
        writeln!(text, "# Sekimori: what enforcement costs\n")?;
        writeln!(text, "{} UTC on `{host}`: {cpu}, {cores} cores, {memory_mib} MiB", self.at)?;
        let virtual_machine = if *is_virtual { "a virtual machine; " } else { "" };
        let governor = governor.as_deref().unwrap_or("none");
        writeln!(text, "({virtual_machine}governor: {governor}; load when it began: {load}).")?;
        writeln!(text, "Linux {kernel}; {mitigations}.\n{}.\n", rivals.join("; "))?;
        let Effort { rounds, slice_ms, .. } = &self.effort;
        writeln!(text, "Medians ± half of the middle half's range, {rounds} rounds, slices of {slice_ms} ms.\n")
    }

    fn write_goals(&self, text: &mut String) -> std::fmt::Result {
        if self.goals.is_empty() {
            return Ok(());
        }
        writeln!(text, "| goal | found | |\n|---|---|---|")?;
        for Goal { wanted, found, is_met } in &self.goals {
            writeln!(text, "| {wanted} | {found} | {} |", if *is_met { "PASS" } else { "**MISS**" })?;
        }
        writeln!(text)
    }

    fn write_traffic(&self, text: &mut String) -> std::fmt::Result {
        for metric in Metric::ALL {
            let rows: Vec<&Row> = self.traffic.iter().filter(|row| row.metric == metric).collect();
            if rows.is_empty() {
                continue;
            }
            writeln!(text, "## {}\n\n{}\n", metric.name(), explanation(metric))?;
            writeln!(text, "| firewall | rules | per second of the core | CPU µs each | CPU µs more | ratio |")?;
            writeln!(text, "|---|---:|---:|---:|---:|---:|")?;
            for row in rows {
                write_row(text, row)?;
            }
            writeln!(text)?;
        }
        Ok(())
    }

    fn write_program(&self, text: &mut String) -> std::fmt::Result {
        if self.program.is_empty() {
            return Ok(());
        }
        writeln!(text, "## One packet through the program (PROG_TEST_RUN)\n")?;
        writeln!(
            text,
            "Nanoseconds, with those of the call itself, which the first line shows alone. \"Flow inserted\""
        )?;
        writeln!(
            text,
            "is the established path plus what a first packet costs more than a second, each run once.\n"
        )?;
        writeln!(text, "| path | rules | ns |\n|---|---:|---:|")?;
        for PathCost { path, rules, ns } in &self.program {
            writeln!(text, "| {path} | {} | {} |", count(*rules), plus_minus(ns, 0))?;
        }
        writeln!(text)
    }

    fn write_updates(&self, text: &mut String) -> std::fmt::Result {
        if !self.rule_updates.is_empty() {
            writeln!(text, "## Changes\n\nMicroseconds; p99 in brackets.\n")?;
            writeln!(
                text,
                "| one rule in a policy of | command to changes | to tables | to kernel | words written |"
            )?;
            writeln!(text, "|---:|---:|---:|---:|---:|")?;
        }
        for RuleCost { rules, apply_us, tables_us, write_us, words } in &self.rule_updates {
            let times = [apply_us, tables_us, write_us].map(with_p99).join(" | ");
            writeln!(text, "| {} | {times} | {} |", count(*rules), count(*words as usize))?;
        }
        if !self.member_updates.is_empty() {
            writeln!(
                text,
                "\n| one member of a group that so many ENIs' rules name | to tables | to kernel | hash writes | delta entries |"
            )?;
            writeln!(text, "|---:|---:|---:|---:|---:|")?;
        }
        for MemberCost { referrers, tables_us, write_us, hash_writes, delta_entries } in &self.member_updates {
            let times = [tables_us, write_us].map(with_p99).join(" | ");
            writeln!(text, "| {} | {times} | {hash_writes} | {delta_entries} |", count(*referrers))?;
        }
        let Some(CallCost { rules, answer_ms, kernel_ms }) = &self.api else { return Ok(()) };
        writeln!(text, "\n| API call, group of {} rules | p50 | p99 |\n|---|---:|---:|", count(*rules))?;
        writeln!(text, "| answered: durable | {:.2} ms | {:.2} ms |", answer_ms.median, answer_ms.p99)?;
        writeln!(text, "| enforced by the kernel | {:.2} ms | {:.2} ms |", kernel_ms.median, kernel_ms.p99)
    }

    fn write_control(&self, text: &mut String) -> std::fmt::Result {
        let Some(cost) = &self.control else { return Ok(()) };
        writeln!(text, "\n## The control plane, {} groups of {} rules\n", count(cost.groups), control::RULES)?;
        writeln!(text, "Clients and server share the machine.\n\n| | |\n|---|---:|")?;
        let per_s = |what: &str, rate: f64| format!("| {what} | {} a second |", count(rate.round() as usize));
        writeln!(text, "{}", per_s("groups made, each with its rules", cost.created_per_s))?;
        writeln!(text, "{}", per_s("durable authorize calls, one client", cost.authorized_per_s_alone))?;
        let many = format!("durable authorize calls, {} clients", control::MANY_CLIENTS);
        writeln!(text, "{}", per_s(&many, cost.authorized_per_s))?;
        let times = |what: &str, ms: &Stats| format!("| {what} | {:.2} ms (p99 {:.2}) |", ms.median, ms.p99);
        writeln!(text, "{}", times("describe a group by id", &cost.by_id_ms))?;
        writeln!(text, "{}", times("describe a group's rules", &cost.attribute_ms))?;
        writeln!(text, "| describe all groups, page by page | {:.2} s |", cost.all_pages_s)?;
        writeln!(text, "| memory: server, agent | {:.0} MiB, {:.0} MiB |", cost.server_mib, cost.agent_mib)?;
        writeln!(text, "| from `sekimori up` to serving | {:.2} s |", cost.start_s)
    }

    fn write_beside(&self, text: &mut String) -> std::fmt::Result {
        let Some(cost) = &self.beside else { return Ok(()) };
        writeln!(text, "\n## The EC2 API beside moto's server, {} groups\n", count(cost.groups))?;
        writeln!(
            text,
            "The same signed requests of the same clients, in blocks that take turns, on one machine. Sekimori answers a change when\n\
             it is on the disk, and enforces it; moto (one process, the threaded server that PyPI has) keeps it in memory, checks no\n\
             signature, closes every connection, and answers with all groups however few are asked for. A client that is alone waits for two flushes of\n\
             the disk with each change; many share them.\n"
        )?;
        writeln!(text, "| | sekimori | moto | times as fast |\n|---|---:|---:|---:|")?;
        for row in &cost.rows {
            let value = |stats: &Stats| match row.is_rate {
                true => format!("{} a second", count(stats.median.round() as usize)),
                false => format!("{:.2} ms", stats.median),
            };
            let (ours, theirs) = (value(&row.sekimori), value(&row.moto));
            writeln!(text, "| {} | {ours} | {theirs} | {} |", name_of(row), plus_minus(&row.times_as_fast, 1))?;
        }
        let (ours, theirs) = cost.failures;
        writeln!(text, "| calls that the server failed at, made again | {ours} | {theirs} | |")?;
        let (server, agent) = cost.sekimori_mib;
        writeln!(text, "| memory: server, agent | {server:.0} MiB, {agent:.0} MiB | {:.0} MiB | |", cost.moto_mib)
    }

    /// Writes the report into a directory; returns the file for people.
    ///
    /// # Errors
    /// The file system's.
    pub fn save(&self, dir: &Path) -> anyhow::Result<PathBuf> {
        let save = |path: &Path, text: &str| {
            fs::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))
        };
        fs::create_dir_all(dir).with_context(|| format!("cannot create `{}`", dir.display()))?;
        let plain = |character: char| if character.is_ascii_alphanumeric() { character } else { '-' };
        let host: String = self.machine.host.chars().map(plain).collect();
        let day = self.at.split(' ').next().unwrap_or_default();
        let path = dir.join(format!("{day}-{host}.md"));
        save(&path.with_extension("json"), &(serde_json::to_string_pretty(self)? + "\n"))?;
        save(&path, &self.to_markdown())?;
        save(&dir.join("latest.md"), &self.to_markdown())?;
        Ok(path)
    }
}

fn explanation(metric: Metric) -> &'static str {
    match metric {
        Metric::Connections => {
            "Client and server are two processes on one core. \"Per second of the core\" leaves out what other processes took."
        }
        Metric::Transactions => "64 bytes each way on one connection, one at a time.",
        Metric::Datagrams => "64 bytes; only what arrives counts. One thread sends and receives in turn.",
        Metric::Denied => {
            "Datagrams to ports that rules open to others. The CPU time is the sender's, drop included."
        }
    }
}

fn name_of(row: &Beside) -> String {
    match row.clients {
        1 => format!("{}, one client", row.what),
        many => format!("{}, {many} clients", row.what),
    }
}

fn write_row(text: &mut String, row: &Row) -> std::fmt::Result {
    let Row { variant, per_second, cpu_us, cpu_us_more, ratio, .. } = row;
    let rules = if variant.firewall == Firewall::None { "–".to_owned() } else { count(variant.rules) };
    let more = cpu_us_more.map_or("–".to_owned(), |more| format!("{:+.2} ± {:.2}", more.median, more.spread()));
    let ratio = ratio.map_or("–".to_owned(), |ratio| plus_minus(&ratio, 3));
    let per_second = count(per_second.median.round() as usize);
    writeln!(text, "| {} | {rules} | {per_second} | {} | {more} | {ratio} |", variant.firewall, plus_minus(cpu_us, 2))
}

fn plus_minus(stats: &Stats, digits: usize) -> String {
    format!("{:.digits$} ± {:.digits$}", stats.median, stats.spread())
}

fn with_p99(stats: &Stats) -> String {
    format!("{:.0} ({:.0})", stats.median, stats.p99)
}

/// A number with its thousands apart.
fn count(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn thousands_are_apart() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
    }
}
