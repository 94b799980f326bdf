//! `sekimori comply`: groups, network ACLs and VPCs judged by the controls of Security Hub and Cloud Config.

mod fix;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use clap::{Args, Subcommand};
use comfy_table::{Cell, Color, Row};
use sekimori_analysis::{
    comply::{
        Asked, Cause, Cis, Finding, Mode, Question, Report, Severity, junit, sarif, standards,
        suppress::{self, FILE_BYTES_MAX, State},
    },
    text,
};

use crate::{
    cli::{Common, Format},
    client::Client,
    exit::{Answer, Failure, Outcome},
    moment,
    output::{self, NONE, Page, or_none},
};

/// How long many thousand groups may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// The arguments.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
#[command(
    after_help = "Example:\n  sekimori comply\n  sekimori comply --standard cis-aws-5.0 --output junit > comply.xml\n  \
                        sekimori comply --rule EC2.18 --parameters authorizedTcpPorts=443,8000-8100 --mode literal\n  \
                        sekimori comply --suppressions accepted.json --output sarif\n  \
                        sekimori comply fix EC2.18/sg-web --restrict-to 192.0.2.0/24\n\n\
                        The exit code is 0 when nothing was found that is not suppressed, 2 when something was, and 1 when something could \
                        not be judged. Suppressions are a JSON array of control, resource, reason and expires (2027-03-31)."
)]
pub(crate) struct ComplyArgs {
    #[command(subcommand)]
    command: Option<ComplyCommand>,
    #[command(flatten)]
    check: CheckArgs,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum ComplyCommand {
    /// Take a finding away: shown first with the packets that are lost, done with --yes
    Fix(fix::FixArgs),
}

/// What is checked.
#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    /// Only controls of this standard: security-hub, cloud-config, cloud-config-best-practices, cis-aws-1.2 to cis-aws-7.0; may be repeated
    #[arg(long = "standard", value_name = "STANDARD", value_parser = standard)]
    standards: Vec<String>,
    /// Only this control, for example EC2.18 or sg-risky-ports-check; may be repeated
    #[arg(long = "rule", value_name = "CONTROL")]
    rules: Vec<String>,
    /// Only this group, network ACL, VPC or instance
    #[arg(long, value_name = "ID")]
    resource: Option<String>,
    #[command(flatten)]
    reading: Reading,
    /// Findings that are accepted, each for a reason and until a day
    #[arg(long, value_name = "FILE")]
    suppressions: Option<PathBuf>,
}

/// How rules are read, and with which parameters.
#[derive(Args, Debug)]
pub(crate) struct Reading {
    /// How rules are read: literal, as the cloud's service does, or semantic, by the packets that pass
    #[arg(long, default_value_t, value_name = "MODE")]
    mode: Mode,
    /// A parameter of controls: NAME=VALUE, or CONTROL.NAME=VALUE for one of them; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    parameters: Vec<String>,
}

fn standard(text: &str) -> Result<String, String> {
    let known = standards();
    if known.iter().any(|standard| standard == text) {
        return Ok(text.to_owned());
    }
    Err(format!("no standard `{text}`; use one of {}", known.join(", ")))
}

/// Checks, or mends.
pub(crate) fn run(common: &Common, args: ComplyArgs) -> Outcome {
    match args.command {
        Some(ComplyCommand::Fix(args)) => fix::run(common, args),
        None => check(common, args.check),
    }
}

fn check(common: &Common, args: CheckArgs) -> Outcome {
    let CheckArgs { standards, rules, resource, reading: Reading { mode, parameters }, suppressions } = args;
    // What is wrong with the file is told before anything is asked.
    let suppressions = suppressions.map(|file| read(&file)).transpose()?.unwrap_or_default();
    let question = Question { standards, rules, mode, parameters, resource };
    let mut report: Report = Client::connect(common)?.post_patiently("/v1/comply", &question, PATIENCE)?;
    suppress::apply(&mut report, suppressions, &moment::today());
    match common.output {
        Format::Sarif => {
            output::print(&(output::json(&sarif(&report, env!("CARGO_PKG_VERSION")))? + "\n"))?;
        }
        Format::Junit => output::print(&junit(&report))?,
        Format::Table | Format::Json => output::show(common.output, &report, page)?,
    }
    if let Some(first) = report.unjudged.first() {
        let count = report.unjudged.len();
        let what = format!("{}/{}: {}", first.control, first.resource, first.reason);
        return Err(Failure::Failed(anyhow!("{count} could not be judged; the first is {what}")));
    }
    Ok(if report.open().next().is_none() { Answer::Yes } else { Answer::No })
}

fn read(file: &Path) -> Result<Vec<suppress::Suppression>, Failure> {
    let wrong = || format!("cannot read `{}`", file.display());
    let length = fs::metadata(file).with_context(wrong)?.len();
    if length > FILE_BYTES_MAX {
        let message =
            format!("`{}` has {length} bytes, more than the {FILE_BYTES_MAX} that are read", file.display());
        return Err(Failure::Failed(anyhow!("{message}; keep fewer suppressions")));
    }
    let text = fs::read_to_string(file).with_context(wrong)?;
    Ok(suppress::read(&text).map_err(|error| anyhow!("`{}`: {error}", file.display()))?)
}

fn page(report: &Report) -> Page {
    let Report { revision, mode, controls, findings, unjudged, notes, .. } = report;
    let open = report.open().count();
    let checked: usize = controls.iter().map(|asked| asked.checked).sum();
    let suppressed = findings.len() - open;
    let head = format!(
        "{} in {} of {}, {mode}, revision {revision}; {suppressed} suppressed",
        counted(open, "finding"),
        counted(checked, "judgement"),
        counted(controls.len(), "control")
    );
    let header = ["SEVERITY", "FINDING", "RESOURCE", "CAUSE", "OPENS", "WITNESS"];
    let rows = report.open().flat_map(|finding| finding.causes.iter().map(move |cause| row(finding, cause)));
    let mut page = Page::default().line(head).table(&header, rows, "every control is complied with");
    for asked in controls.iter().filter(|asked| report.open().any(|finding| finding.control == asked.id)) {
        page = page.line(explained(report, asked));
    }
    for told in report.suppressions.iter() {
        let suppress::Suppression { control, resource, reason, expires } = &told.suppression;
        let alarm = if told.state == State::Expired { "; it is not applied any more" } else { "" };
        page =
            page.line(format!("suppression {control}/{resource} until {expires} ({reason}): {}{alarm}", told.state));
    }
    for one in unjudged {
        page = page.line(format!("not judged: {}/{}: {}", one.control, one.resource, one.reason));
    }
    page.lines(notes)
}

/// `EC2.18: title. Parameters … CIS … What to do.`
fn explained(report: &Report, asked: &Asked) -> String {
    let mut line = format!("{}: {}", asked.id, asked.title);
    for (name, value) in &asked.parameters {
        line.push_str(&format!("; {name} {}", if value.is_empty() { "none" } else { value }));
    }
    let mut cis = report.cis_of(asked);
    if !report.is_of_cis() {
        // Of no edition in particular the newest stands for all.
        cis.drain(..cis.len().saturating_sub(1));
    }
    for Cis { version, number } in cis {
        line.push_str(&format!("; CIS AWS {version} {number}"));
    }
    format!("{line}\n  to do: {}", asked.remediation)
}

fn row(finding: &Finding, cause: &Cause) -> Row {
    let colour = match finding.severity {
        Severity::Critical | Severity::High => Color::Red,
        Severity::Medium | Severity::Low => Color::Yellow,
    };
    let opens = if cause.opens.is_empty() { NONE.to_owned() } else { cause.opens.join("\n") };
    Row::from(vec![
        Cell::new(finding.severity).fg(colour),
        Cell::new(&finding.id),
        Cell::new(text::named(&finding.resource.id, &finding.resource.name)),
        Cell::new(&cause.text),
        Cell::new(opens),
        Cell::new(or_none(cause.witness.as_ref())),
    ])
}

/// `1 finding`, `2 findings`.
fn counted(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

#[cfg(test)]
mod tests;
