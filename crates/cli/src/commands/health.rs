//! `sekimori health`: rules that are of no use, why, and their deletion.

mod more;

use std::{
    io::{self, Write as _},
    path::PathBuf,
    time::Duration,
};

use anstream::{eprint, eprintln};
use anyhow::anyhow;
use clap::Args;
use comfy_table::{Cell, Row};
use sekimori_analysis::{
    health::{Finding, Place, Report, State, Unused},
    text,
};
use sekimori_cloud::records::read::Records;
use sekimori_core::{ids::RuleId, time::Timestamp};
use sekimori_server::api::{AskHealth, FixHealth, FixedHealth, GivenRecords};

use crate::{
    changing::Changing,
    cli::Common,
    client::Client,
    exit::{Answer, Failure, Outcome},
    flow_logs, moment,
    output::{self, NONE, Page},
};

/// How much longer than other questions one with records may take.
const RECORDS_WAIT: Duration = Duration::from_secs(120);

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sekimori health\n  sekimori health sg-web --unused-since 2026-10-01\n  \
                        sekimori health sg-web --fix --yes\n  sekimori health sg-web --merge --yes --confirm-within 60s\n  \
                        sekimori health sg-web --fix --dry-run\n  sekimori health --overlaps --too-wide\n  \
                        sekimori health --too-wide --flow-logs AWSLogs/\n\n\
                        The exit code is 0 when nothing was found and 2 when something was; with --fix and --merge it is 0 when rules \
                        were changed. A rule counts as used when it \
                        decides about the first packet of a flow or drops one; the packets of a live flow are not counted.")]
pub(crate) struct HealthArgs {
    /// A security group; all of them if absent
    group: Option<String>,
    /// Also tell rules that nothing has used since then: 2026-10-01, 2026-10-01T08:00:00Z or 30d
    #[arg(long, value_name = "DATE", value_parser = moment::parse)]
    unused_since: Option<Timestamp>,
    /// Also tell rules of one group that share packets
    #[arg(long)]
    overlaps: bool,
    /// Also tell rules that allow more than the flows that were recorded have used; begins to record if nobody has
    #[arg(long)]
    too_wide: bool,
    /// Also tell rules that allow more than these records of flow logs show: files, and directories with .log and .gz files; may be repeated
    #[arg(long, value_name = "PATH", requires = "too_wide", num_args = 1..)]
    flow_logs: Vec<PathBuf>,
    /// Put fewer rules in the place of those that they say as well
    #[arg(long, conflicts_with_all = ["fix", "rules"])]
    merge: bool,
    /// Delete what is marked removable, or the rules of --rule
    #[arg(long)]
    fix: bool,
    /// Delete this rule, whatever was found about it; may be repeated
    #[arg(long = "rule", value_name = "RULE", requires = "fix")]
    rules: Vec<String>,
    /// Do not ask before changing anything
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    changing: Changing,
}

/// Checks, and deletes if asked to.
pub(crate) fn run(common: &Common, args: HealthArgs) -> Outcome {
    let client = Client::connect(common)?;
    args.changing.check(args.fix || args.merge, "--fix or --merge")?;
    if args.fix || args.merge {
        // Also where nothing would be found that could be changed.
        if !args.changing.dry_run {
            client.can_change()?;
        }
    }
    let since = args.unused_since.map(|since| since.0.to_string());
    let mut query: Vec<(&str, &str)> = Vec::new();
    query.extend(args.group.as_deref().map(|group| ("group", group)));
    query.extend(since.as_deref().map(|since| ("unused_since", since)));
    query.extend(args.overlaps.then_some(("overlaps", "true")));
    query.extend(args.too_wide.then_some(("too_wide", "true")));
    let report: Report = match args.flow_logs.as_slice() {
        [] => client.get("/v1/health", &query)?,
        paths => client.post_patiently("/v1/health", &with_records(&args, paths)?, RECORDS_WAIT)?,
    };
    // Files without records tell of no flow, and nothing is recorded for them.
    let is_width_told = args.too_wide && (client.is_server() || !args.flow_logs.is_empty());
    if args.too_wide && !is_width_told {
        eprintln!(
            "note: files of an account tell no flows, so which rules are too wide is not known; give --flow-logs"
        );
    }
    output::show(common.output, &report, |report| page(report, is_width_told))?;
    let is_repaired = match (args.fix, args.merge) {
        (true, _) => fix(common, &client, &report, args)?,
        (false, true) => merge(common, &client, &report, args)?,
        (false, false) => false,
    };
    Ok(if is_repaired || report.is_clean() { Answer::Yes } else { Answer::No })
}

/// The same question with what files of records show. How much of them that is goes to the error output.
fn with_records(args: &HealthArgs, paths: &[PathBuf]) -> Result<AskHealth, Failure> {
    let Records { observed, first_s: since_s, passed, refused, answers, untyped, skipped } = flow_logs::read(paths)?;
    let uses = count(observed.len(), "use");
    eprintln!(
        "sekimori: {uses} in {passed} records of what passed; {answers} of answers, {refused} of what was refused"
    );
    if untyped > 0 {
        eprintln!("note: {untyped} records are of ICMP; they tell no type, so no rule counts as used by them");
    }
    if skipped > 0 {
        eprintln!("note: {skipped} records tell that others are missing (SKIPDATA)");
    }
    Ok(AskHealth {
        group: args.group.clone().map(Into::into),
        unused_since: args.unused_since.map(|since| since.0),
        overlaps: args.overlaps,
        too_wide: args.too_wide,
        records: Some(GivenRecords { since_s, observed }),
    })
}

/// Replaces what was shown by fewer rules; false if there is nothing to replace.
fn merge(common: &Common, client: &Client, report: &Report, args: HealthArgs) -> Result<bool, Failure> {
    let doomed: Vec<RuleId> = report.merges.iter().flat_map(|merge| merge.doomed().cloned()).collect();
    if doomed.is_empty() {
        return Ok(false);
    }
    if !args.yes && !args.changing.dry_run && !is_confirmed("replace", &doomed)? {
        return Err(Failure::Failed(anyhow!("nothing was replaced")));
    }
    let wish = FixHealth { group: args.group.map(Into::into), rules: None, merge: true };
    repair((common, client), args.changing, &wish)
}

/// Whether it was done, or only shown.
fn repair(asked: (&Common, &Client), changing: Changing, wish: &FixHealth) -> Result<bool, Failure> {
    changing.make(asked, ("POST", "/v1/health/fix"), Some(wish), |fixed: &FixedHealth| {
        let FixedHealth { revision, deleted, added } = fixed;
        let names = deleted.iter().map(RuleId::as_str).collect::<Vec<_>>().join(", ");
        let page =
            Page::default().line(format!("deleted {}, revision {revision}: {names}", count(deleted.len(), "rule")));
        added.iter().fold(page, |page, text| page.line(format!("added: {text}")))
    })
}

/// Deletes what was chosen, after it has been shown; false if there is nothing to delete.
fn fix(common: &Common, client: &Client, report: &Report, args: HealthArgs) -> Result<bool, Failure> {
    let removable = report.findings.iter().filter(|finding| finding.removable).map(|finding| finding.rule.clone());
    let chosen: Vec<RuleId> =
        if args.rules.is_empty() { removable.collect() } else { args.rules.iter().map(RuleId::from).collect() };
    if chosen.is_empty() {
        return Ok(false);
    }
    if !args.yes && !args.changing.dry_run && !is_confirmed("delete", &chosen)? {
        return Err(Failure::Failed(anyhow!("nothing was deleted")));
    }
    // Without names, the server judges again: what it deletes is redundant then, too.
    let rules = (!args.rules.is_empty()).then_some(chosen);
    let wish = FixHealth { group: args.group.map(Into::into), rules, merge: false };
    repair((common, client), args.changing, &wish)
}

fn is_confirmed(what: &str, chosen: &[RuleId]) -> Result<bool, Failure> {
    if !output::is_terminal() {
        return Err(Failure::usage("--fix and --merge change rules; say --yes where nobody can be asked"));
    }
    let names = chosen.iter().map(RuleId::as_str).collect::<Vec<_>>().join(", ");
    eprint!("{what} {}: {names}? [y/N] ", count(chosen.len(), "rule"));
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "yes"))
}

fn page(report: &Report, is_width_asked: bool) -> Page {
    let Report { revision, groups, rules, findings, .. } = report;
    let looked = format!("{} of {}, revision {revision}", count(*rules, "rule"), count(*groups, "group"));
    let mut page = Page::default();
    if report.is_clean() {
        page = page.line(format!("nothing found in {looked}"));
    }
    if !findings.is_empty() {
        let removable = findings.iter().filter(|finding| finding.removable).count();
        let header = ["GROUP", "RULE", "SAYS", "FOUND", "BECAUSE OF", "REMOVABLE"];
        let found = count(findings.len(), "finding");
        let is_passing =
            |finding: &&Finding| finding.depends_on_members && !finding.removable && is_idle(finding.state);
        let more = match findings.iter().filter(is_passing).count() {
            0 => String::new(),
            passing => format!(", {passing} more only while members stay: look before you delete"),
        };
        page = page.line(format!("{found} in {looked}; {removable} can be deleted without any effect{more}")).table(
            &header,
            findings.iter().map(row),
            "",
        );
    }
    page = more::absent(page, &report.empty_peers);
    page = more::merges(page, &report.merges);
    page = more::overlaps(page, &report.overlaps, report.more_overlaps);
    let page = if is_width_asked { more::too_wide(page, &report.too_wide, report.recorded_since) } else { page };
    page.lines(&report.notes)
}

fn row(finding: &Finding) -> Row {
    let Finding { group, rule, direction, rule_text, removable, .. } = finding;
    Row::from(vec![
        Cell::new(text::named(group.id.as_str(), &group.name)),
        Cell::new(rule),
        Cell::new(format!("{direction}: {rule_text}")),
        Cell::new(found(finding)),
        Cell::new(because(finding)),
        Cell::new(if *removable { "yes" } else { "no" }),
    ])
}

fn is_idle(state: State) -> bool {
    match state {
        State::DecidesNothing | State::ChangesNothing => true,
        State::DiffersByPolicy | State::Decides => false,
    }
}

fn found(finding: &Finding) -> String {
    let state = match finding.state {
        State::DecidesNothing => Some("decides nothing"),
        State::ChangesNothing => Some("changes nothing"),
        State::DiffersByPolicy => Some("decides nothing in some policies"),
        State::Decides => None,
    };
    let members = if finding.depends_on_members { " while members stay" } else { "" };
    let mut parts: Vec<String> = state.map(|state| format!("{state}{members}")).into_iter().collect();
    parts.extend(finding.unused.as_ref().map(unused));
    if parts.is_empty() && finding.cloud.is_some() {
        parts.push("covered by the cloud's definition, but decides".to_owned());
    }
    parts.join("; ")
}

fn unused(unused: &Unused) -> String {
    let Unused { since, last_used, watched_since, certain } = unused;
    let last = last_used.map_or_else(|| "never seen used".to_owned(), |at| format!("last used {}", moment::show(at)));
    let doubt =
        if *certain { String::new() } else { format!(", watched only since {}", moment::show(*watched_since)) };
    format!("unused since {} ({last}{doubt})", moment::show(*since))
}

/// What decides in its stead, with the policy where that is not the group by itself.
fn because(finding: &Finding) -> String {
    let told = finding.places.iter().filter(|place| !place.covered_by.is_empty());
    let mut parts: Vec<String> = Vec::new();
    for place in told {
        let covers = place.covered_by.iter().map(|cover| cover.text.as_str()).collect::<Vec<_>>().join(" and ");
        let told_already = parts.first().is_some_and(|first| *first == covers);
        if !told_already {
            parts.push(format!("{}{covers}", merged(place)));
        }
    }
    if parts.is_empty() {
        return finding.cloud.as_ref().map_or_else(|| NONE.to_owned(), |cover| cover.text.clone());
    }
    parts.join("; ")
}

fn merged(place: &Place) -> String {
    if place.groups.len() < 2 {
        return String::new();
    }
    let groups = place.groups.iter().map(|group| text::named(group.id.as_str(), &group.name));
    format!("merged as {} at {}: ", groups.collect::<Vec<_>>().join(" + "), count(place.enis, "interface"))
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use sekimori_analysis::{effective::GroupName, health::Cover};
    use sekimori_core::{rule::Direction, world::Revision};

    use super::*;

    fn report(rules: usize, findings: Vec<Finding>) -> Report {
        let groups = if findings.is_empty() { 1 } else { 2 };
        Report {
            revision: Revision(7),
            groups,
            rules,
            findings,
            empty_peers: vec![],
            merges: vec![],
            overlaps: vec![],
            more_overlaps: 0,
            too_wide: vec![],
            recorded_since: None,
            notes: vec![],
        }
    }

    fn group(name: &str) -> GroupName {
        GroupName { id: format!("sg-{name}").into(), name: name.to_owned() }
    }

    fn finding() -> Finding {
        let cover = Cover {
            group: Some(group("wall")),
            rule: Some("sgr-9".into()),
            text: "rule sgr-9 of sg-wall (wall): deny tcp 22 from 0.0.0.0/0, priority 1".to_owned(),
        };
        let alone = Place { groups: vec![group("web")], enis: 0, state: State::Decides, covered_by: vec![] };
        let merged = Place {
            groups: vec![group("wall"), group("web")],
            enis: 2,
            state: State::DecidesNothing,
            covered_by: vec![cover],
        };
        Finding {
            group: group("web"),
            rule: "sgr-1".into(),
            direction: Direction::Ingress,
            rule_text: "allow tcp 22 from 10.0.0.0/8, priority 2".to_owned(),
            state: State::DecidesNothing,
            places: vec![alone, merged],
            cloud: None,
            unused: None,
            depends_on_members: false,
            removable: true,
        }
    }

    #[test]
    fn findings_say_what_decides_instead_and_where() {
        let unused = Unused {
            since: Timestamp(1_760_000_000),
            last_used: None,
            watched_since: Timestamp(1_765_000_000),
            certain: false,
        };
        let idle = Finding {
            state: State::Decides,
            places: vec![],
            unused: Some(unused),
            removable: false,
            rule: "sgr-2".into(),
            ..finding()
        };
        let report = report(9, vec![finding(), idle]);
        expect![[r#"
            2 findings in 9 rules of 2 groups, revision 7; 1 can be deleted without any effect
            GROUP         RULE   SAYS                                               FOUND                                                                                         BECAUSE OF                                                                                                                     REMOVABLE
            sg-web (web)  sgr-1  ingress: allow tcp 22 from 10.0.0.0/8, priority 2  decides nothing                                                                               merged as sg-wall (wall) + sg-web (web) at 2 interfaces: rule sgr-9 of sg-wall (wall): deny tcp 22 from 0.0.0.0/0, priority 1  yes
            sg-web (web)  sgr-2  ingress: allow tcp 22 from 10.0.0.0/8, priority 2  unused since 2025-10-09T08:53:20Z (never seen used, watched only since 2025-12-06T05:46:40Z)  -                                                                                                                              no
        "#]].assert_eq(&page(&report, false).plain());
    }

    #[test]
    fn nothing_found_is_a_line() {
        let report = report(1, vec![]);
        assert_eq!(page(&report, false).plain(), "nothing found in 1 rule of 1 group, revision 7\n");
    }
}
