//! `sekimori history`: what was changed, by whom, from where and when.

use clap::Args;
use comfy_table::{Cell, Row};
use sekimori_analysis::history::{Entry, Told};
use sekimori_core::time::Timestamp;
use sekimori_server::{HISTORY_LISTED_MAX, api::History};

use crate::{
    cli::Common,
    client::Client,
    exit::{Answer, Outcome},
    moment,
    output::{self, Page, or_none},
};

/// Changes of one commit in the table.
const CHANGES_SHOWN: usize = 6;

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sekimori history --about sg-web --since 7d\n  \
                        sekimori history --who operator --limit 20 --output json")]
pub(crate) struct HistoryArgs {
    /// Only by this access key, `operator` or `system`
    #[arg(long, value_name = "WHO")]
    who: Option<String>,
    /// Only this operation, for example AuthorizeSecurityGroup
    #[arg(long, value_name = "NAME")]
    operation: Option<String>,
    /// Only what changed this group, rule, instance, interface or list
    #[arg(long, value_name = "ID")]
    about: Option<String>,
    /// Only since then: 30s, 10m, 2h, 1d or a moment
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    since: Option<Timestamp>,
    /// Only until then
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    until: Option<Timestamp>,
    /// Only before this revision
    #[arg(long, value_name = "REVISION")]
    before: Option<u64>,
    /// At most so many, the newest
    #[arg(long, value_name = "N", default_value_t = 100,
          value_parser = clap::value_parser!(u64).range(1..=HISTORY_LISTED_MAX as u64))]
    limit: u64,
}

/// Lists changes.
pub(crate) fn run(common: &Common, args: HistoryArgs) -> Outcome {
    let seconds = |moment: Option<Timestamp>| moment.map(|moment| moment.0.to_string());
    let named = [
        ("who", args.who),
        ("operation", args.operation),
        ("about", args.about),
        ("since", seconds(args.since)),
        ("until", seconds(args.until)),
        ("before", args.before.map(|before| before.to_string())),
        ("limit", Some(args.limit.to_string())),
    ];
    let query: Vec<(&str, &str)> =
        named.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
    let history: History = Client::connect(common)?.get("/v1/history", &query)?;
    output::show(common.output, &history, page)?;
    Ok(Answer::Yes)
}

fn page(history: &History) -> Page {
    let header = ["REVISION", "TIME", "WHO", "FROM", "OPERATION", "WHAT"];
    let page = Page::default().line(format!("changes, the newest first; revision {} is the newest", history.newest));
    let page =
        page.line("").table(&header, history.entries.iter().map(row), "nothing was changed that was asked for");
    match history.next {
        Some(next) => page.line("").line(format!("there may be older ones; see --before {next}")),
        None => page,
    }
}

fn row(entry: &Entry) -> Row {
    let mut what: Vec<String> = entry.changes.iter().take(CHANGES_SHOWN).map(words).collect();
    let more = entry.changes.len().saturating_sub(CHANGES_SHOWN);
    if more > 0 {
        what.push(format!("and {more} more"));
    }
    Row::from(vec![
        Cell::new(entry.revision),
        Cell::new(moment::show(entry.at)),
        Cell::new(&entry.who),
        Cell::new(or_none(entry.from.as_ref())),
        Cell::new(&entry.operation),
        Cell::new(what.join("\n")),
    ])
}

fn words(told: &Told) -> String {
    match (&told.words, told.is_gone) {
        (_, true) => format!("- {}", told.about),
        (None, false) => format!("+ {}", told.about),
        (Some(words), false) => format!("+ {} {words}", told.about),
    }
}
