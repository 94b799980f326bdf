//! `sekimori comply fix`: a finding taken away, after the packets that are lost with it have been shown.

use std::io::{self, Write as _};

use anstream::eprint;
use anyhow::anyhow;
use clap::{ArgGroup, Args};
use sekimori_analysis::comply::fix::{Change, Plan, Request};
use sekimori_core::rule::Direction;
use sekimori_server::api::{Changed, FixedCompliance};

use super::{Reading, counted};
use crate::{
    changing::{self, Trying},
    cli::Common,
    client::Client,
    exit::{Answer, Failure, Outcome},
    output::{self, Page},
};

/// What `--to-address` means without an address.
const CALLER: &str = "own";

/// The arguments.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("remedy").required(true))]
#[command(after_help = "Example:\n  sekimori comply fix EC2.18/sg-web --to-address --yes\n  \
                        sekimori comply fix EC2.18/sg-web --restrict-to 192.0.2.0/24\n  \
                        sekimori comply fix EC2.19/sg-db --restrict-to sg-app --yes\n  \
                        sekimori comply fix EC2.2/sg-default --delete --dry-run\n  \
                        sekimori comply fix EC2.18/sg-web --restrict-to 192.0.2.0/24 --confirm-within 60s\n\n\
                        All that causes the finding is changed in one commit, or nothing. The difference is exact: every packet that \
                        passes no longer is told. --to-address without an address is the one that the server sees the request come from.")]
pub(crate) struct FixArgs {
    /// The finding, as `sekimori comply` tells it
    #[arg(value_name = "CONTROL/RESOURCE")]
    finding: String,
    /// Let in this address, block or security group instead of everyone
    #[arg(long, value_name = "RANGE|GROUP", group = "remedy")]
    restrict_to: Option<String>,
    /// Let in your own address instead of everyone
    #[arg(long, value_name = "ADDRESS", group = "remedy", num_args = 0..=1, default_missing_value = CALLER)]
    to_address: Option<String>,
    /// Delete what causes it
    #[arg(long, group = "remedy")]
    delete: bool,
    /// Change only this rule; may be repeated
    #[arg(long = "only", value_name = "RULE")]
    rules: Vec<String>,
    #[command(flatten)]
    reading: Reading,
    /// Also if packets would pass that do not pass now
    #[arg(long)]
    accept_gain: bool,
    #[command(flatten)]
    trying: Trying,
    /// Do not ask before changing
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
    /// Show it and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// Shows, asks, and mends.
pub(super) fn run(common: &Common, args: FixArgs) -> Outcome {
    if common.output.is_for_findings() {
        return Err(Failure::usage("a remedy is no finding; use --output table or json"));
    }
    let to_caller = args.to_address.as_deref() == Some(CALLER);
    let shown = Request {
        finding: args.finding,
        mode: args.reading.mode,
        parameters: args.reading.parameters,
        rules: args.rules.into_iter().map(Into::into).collect(),
        delete: args.delete,
        restrict_to: args.restrict_to.or(args.to_address.filter(|_| !to_caller)),
        to_caller,
        accept_gain: args.accept_gain,
        dry_run: true,
        at: None,
    };
    let client = Client::connect(common)?;
    let answer: FixedCompliance = client.post("/v1/comply/fix", &shown)?;
    if args.dry_run || !common.output.is_json() {
        output::show(common.output, &answer, |answer| page(&answer.plan))?;
    }
    if args.dry_run {
        return Ok(Answer::Yes);
    }
    if !args.yes && !is_confirmed(&answer.plan)? {
        return Err(Failure::Failed(anyhow!("nothing was changed")));
    }
    let request = Request { dry_run: false, at: Some(answer.revision), ..shown };
    let done: Changed<FixedCompliance> = args.trying.ask(&client, ("POST", "/v1/comply/fix"), Some(&request))?;
    changing::show(common, &done, |done| {
        let page = Page::default().line(format!("done, revision {}", done.revision));
        still_wrong(page, &done.plan)
    })?;
    Ok(Answer::Yes)
}

fn is_confirmed(plan: &Plan) -> Result<bool, Failure> {
    if !output::is_terminal() {
        return Err(Failure::usage("a remedy changes rules; say --yes where nobody can be asked, or --dry-run"));
    }
    eprint!("take {} away? [y/N] ", plan.finding.id);
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "yes"))
}

fn page(plan: &Plan) -> Page {
    let Plan { finding, removed, added, changes, words, .. } = plan;
    let mut page = Page::default().line(format!("{} of {}", finding.id, finding.resource.account));
    for line in removed {
        page = page.line(format!("  - {line}"));
    }
    for line in added {
        page = page.line(format!("  + {line}"));
    }
    if changes.is_empty() {
        page = page.line("no packet is decided otherwise");
    }
    for change in changes {
        page = difference(page, change);
    }
    page = page.line("the same by the cloud's API:");
    for line in words {
        page = page.line(format!("  {line}"));
    }
    still_wrong(page, plan)
}

fn difference(page: Page, change: &Change) -> Page {
    let Change { place, enis, direction, lost, gained, lost_witness, gained_witness } = change;
    let way = match direction {
        Direction::Ingress => "towards",
        Direction::Egress => "from",
    };
    let mut page = page.line(format!("packets {way} {place}, {}", counted(*enis, "interface")));
    for (what, lines, witness) in [("lost", lost, lost_witness), ("gained", gained, gained_witness)] {
        for line in lines {
            page = page.line(format!("  {what}: {line}"));
        }
        if let Some(witness) = witness {
            page = page.line(format!("  {what}, for example: {witness}"));
        }
    }
    page
}

fn still_wrong(mut page: Page, plan: &Plan) -> Page {
    for cause in &plan.remaining {
        page = page.line(format!("still wrong: {}", cause.text));
    }
    page
}
