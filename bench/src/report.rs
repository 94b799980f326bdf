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
    figures::{self, Figure},
    lab::Firewall,
    machine::Machine,
    program::{PathCost, ProgramCost},
    questions::AnswerCost,
    scale::{self, ChangeCost, CurvePoint, ManyCost},
    search::SearchCost,
    start::StartCost,
    stats::Stats,
    traffic::Metric,
    updates::{MemberCost, RuleCost},
};

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
    pub program: Option<ProgramCost>,
    /// Ways to search a list.
    pub search: Vec<SearchCost>,
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
    /// Changes against the size of the estate.
    pub curve: Vec<CurvePoint>,
    /// Changes that concern many ENIs.
    pub many: Option<ManyCost>,
    /// One rule of as many, with the start of the program: nftables (interval set), iptables.
    pub rivals: Option<(Stats, Stats)>,
    /// Starts on a large store.
    pub start: Option<StartCost>,
    /// Questions about large estates.
    pub answers: Option<AnswerCost>,
    /// The one table.
    pub figures: Vec<Figure>,
}

impl Report {
    /// The tables.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_head(&mut text);
        text.push_str(&figures::to_markdown(&self.figures));
        text.push('\n');
        let _ = self.write_traffic(&mut text);
        let _ = self.write_program(&mut text);
        let _ = self.write_search(&mut text);
        let _ = self.write_updates(&mut text);
        let _ = self.write_scale(&mut text);
        let _ = self.write_control(&mut text);
        let _ = self.write_beside(&mut text);
        let _ = self.write_answers(&mut text);
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
        writeln!(
            text,
            "Medians ± half of the middle half's range, {rounds} rounds, slices of {slice_ms} ms. In the first table ratios are"
        )?;
        writeln!(text, "to what was measured beside it, ± what the median may be off by (95 of 100 times).\n")
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
        let Some(ProgramCost { paths, refused }) = &self.program else { return Ok(()) };
        writeln!(text, "## One packet through the program (PROG_TEST_RUN)\n")?;
        writeln!(
            text,
            "Nanoseconds, with those of the call itself, which the first line shows alone. \"Flow inserted\""
        )?;
        writeln!(
            text,
            "is the established path plus what a first packet costs more than a second, each run once.\n"
        )?;
        writeln!(text, "| path | rules, or entries | ns |\n|---|---:|---:|")?;
        for PathCost { path, rules, ns } in paths {
            writeln!(text, "| {path} | {} | {} |", count(*rules), plus_minus(ns, 0))?;
        }
        for (entries, why) in refused {
            writeln!(text, "\n{} entries do not fit one policy: {why}.", count(*entries))?;
        }
        writeln!(text)
    }

    fn write_search(&self, text: &mut String) -> std::fmt::Result {
        if self.search.is_empty() {
            return Ok(());
        }
        writeln!(text, "## Ways to search a list of prefixes\n")?;
        writeln!(text, "Nanoseconds for a random address, without drawing it and without the call.\n")?;
        writeln!(text, "| way | prefixes | ns |\n|---|---:|---:|")?;
        for SearchCost { way, prefixes, ns } in &self.search {
            writeln!(text, "| {way} | {} | {} |", count(*prefixes as usize), plus_minus(ns, 0))?;
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
        let Some(CallCost { rules, enis, answer_ms, after_ms, kernel_ms }) = &self.api else { return Ok(()) };
        let (rules, enis) = (count(*rules), count(*enis));
        writeln!(text, "\n| API call, group of {rules} rules, {enis} ENIs | p50 | p99 |\n|---|---:|---:|")?;
        writeln!(text, "| from the answer to the kernel | {:.2} ms | {:.2} ms |", after_ms.median, after_ms.p99)?;
        writeln!(text, "| answered: durable | {:.2} ms | {:.2} ms |", answer_ms.median, answer_ms.p99)?;
        writeln!(text, "| enforced by the kernel | {:.2} ms | {:.2} ms |", kernel_ms.median, kernel_ms.p99)
    }

    fn write_scale(&self, text: &mut String) -> std::fmt::Result {
        if !self.curve.is_empty() {
            writeln!(text, "\n## Changes against the size of the estate\n")?;
            writeln!(
                text,
                "{} ENIs on each host, of which one is here; its maps are the kernel's, its interfaces are not there. Microseconds; p99 in\n\
                 brackets. One rule of 20 that 10 ENIs have; one member of a group that their rules name.\n",
                count(scale::HOST_ENIS)
            )?;
            writeln!(
                text,
                "| ENIs | groups | rule: command | rule: to kernel | member: command | member: to kernel |"
            )?;
            writeln!(text, "|---:|---:|---:|---:|---:|---:|")?;
        }
        for CurvePoint { enis, groups, rule, member } in &self.curve {
            let times =
                [&rule.apply_us, &rule.kernel_us, &member.apply_us, &member.kernel_us].map(with_p99).join(" | ");
            writeln!(text, "| {} | {} | {times} |", count(*enis), count(*groups))?;
        }
        if let Some(ManyCost { shared_rule, named_member }) = &self.many {
            writeln!(text, "\n| on one host | command | to kernel |\n|---|---:|---:|")?;
            let line = |cost: &ChangeCost| [&cost.apply_us, &cost.kernel_us].map(with_p99).join(" | ");
            writeln!(text, "| a rule of 1,000 that 1,000 ENIs share | {} |", line(shared_rule))?;
            writeln!(text, "| a member of a group that 10,000 ENIs' rules name | {} |", line(named_member))?;
        }
        if let Some((nft, iptables)) = &self.rivals {
            let [nft, iptables] = [nft, iptables].map(with_p99);
            writeln!(
                text,
                "| one of 1,000 rules, `nft add element` and `delete`, the program's start included | – | {nft} |"
            )?;
            writeln!(
                text,
                "| one of 1,000 rules, `iptables -A` and `-D`, the program's start included | – | {iptables} |"
            )?;
        }
        let Some(start) = &self.start else { return Ok(()) };
        let (server, agent) = start.memory_mib;
        writeln!(
            text,
            "\nThe start is of the real processes on a store of {:.0} MiB; the ENIs of this host are bound to interfaces that nobody has made. Memory: \
             server {server:.0} MiB, agent {agent:.0} MiB.",
            start.store_mib
        )
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

    fn write_answers(&self, text: &mut String) -> std::fmt::Result {
        let Some(cost) = &self.answers else { return Ok(()) };
        let size = cost.size;
        let (groups, rules) = (count(size.groups), count(size.groups * size.rules));
        writeln!(text, "\n## Questions, {rules} rules in {groups} groups\n")?;
        writeln!(text, "Milliseconds in one thread, without HTTP; p99 in brackets.\n\n| | |\n|---|---:|")?;
        let times = |what: &str, ms: &Stats| format!("| {what} | {:.2} ({:.2}) |", ms.median, ms.p99);
        writeln!(text, "{}", times("`why`, with the smallest change", &cost.why_ms))?;
        writeln!(text, "{}", times("`who --to` one interface", &cost.who_ms))?;
        writeln!(text, "{}", times("`diff` of a rule more in a policy of 1,000", &cost.diff_ms))?;
        writeln!(text, "{}", times("`health` of a group of 1,000 rules", &cost.health_ms))?;
        let once = |what: &str, ms: f64| format!("| {what} | {ms:.0} |");
        writeln!(text, "{}", once("`health` of all groups", cost.health_all_ms))?;
        writeln!(text, "{}", once("`comply`, all controls, literal", cost.comply_literal_ms))?;
        writeln!(text, "{}", once("`comply`, all controls, semantic", cost.comply_semantic_ms))?;
        let (enis, policies) = (count(size.policies * size.sharers as usize), count(size.policies));
        let pairs = format!("`who --all`, {enis} ENIs in {policies} policies");
        writeln!(text, "{}", once(&pairs, cost.pairs_ms))?;
        writeln!(
            text,
            "{}",
            once("the same, all with one more group whose members reach each other", cost.pairs_shared_ms)
        )
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
        Metric::BulkV4 | Metric::BulkV6 => {
            "MiB on one connection, client and server on one core; CPU for each. Nothing here depends on the rules."
        }
    }
}

pub(crate) fn name_of(row: &Beside) -> String {
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

pub(crate) fn plus_minus(stats: &Stats, digits: usize) -> String {
    format!("{:.digits$} ± {:.digits$}", stats.median, stats.spread())
}

fn with_p99(stats: &Stats) -> String {
    format!("{:.0} ({:.0})", stats.median, stats.p99)
}

/// A number with its thousands apart.
pub(crate) fn count(number: usize) -> String {
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
