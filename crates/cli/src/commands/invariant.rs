//! `sekimori invariant`: named assertions about who reaches whom, which every change is held to.

use std::time::Duration;

use clap::{Args, Subcommand};
use comfy_table::{Cell, Color, Row};
use sekimori_analysis::invariant::{Judged, Report};
use sekimori_core::invariant::{INVARIANT_NAME_CHARACTERS_MAX, Mode, Written, is_name};
use sekimori_server::api::{InvariantAnswer, Revised, SetInvariant};

use crate::{
    cli::Common,
    client::Client,
    exit::{Answer, Failure, Outcome},
    output::{self, NONE, Page, or_none},
};

/// How long many interfaces may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum InvariantCommand {
    /// Set an invariant, in place of the one that has the name
    Add(AddArgs),
    /// List the invariants, and which do not hold since when
    #[command(after_help = "Example:\n  sekimori invariant list")]
    List,
    /// Look at every invariant now; the exit code is 2 when one does not hold
    #[command(after_help = "Example:\n  sekimori invariant check --output json")]
    Check,
    /// Remove an invariant
    Remove(RemoveArgs),
}

/// The arguments of `add`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sekimori invariant add db-closed internet must-not reach tag:role=db\n  \
                  sekimori invariant add no-ssh --warn internet must-not reach tag:role=db tcp/22\n  \
                  sekimori invariant add web-db tag:role=web may reach tag:role=db tcp/5432\n\n\
                  An end is internet, an address or block, tag:KEY=VALUE[,KEY=VALUE…], an instance, interface or group by its id or name, or a \
                  VPC or subnet by its id. Services are tcp/443, tcp/8000-8010, udp, icmp/8, gre, 47 …; none is any.")]
pub(crate) struct AddArgs {
    /// Its name
    #[arg(value_name = "NAME")]
    name: String,
    /// Let changes that violate it be committed, and tell of them; without it they are refused
    #[arg(long)]
    warn: bool,
    /// FROM must-not reach TO, or FROM may reach TO, and services
    #[arg(required = true, value_name = "STATEMENT")]
    statement: Vec<String>,
}

/// The arguments of `remove`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sekimori invariant remove db-closed")]
pub(crate) struct RemoveArgs {
    /// Its name
    #[arg(value_name = "NAME")]
    name: String,
}

/// Sets, lists, checks or removes.
pub(crate) fn run(common: &Common, command: InvariantCommand) -> Outcome {
    match command {
        InvariantCommand::Add(args) => add(common, args),
        InvariantCommand::List => {
            let report: Report = Client::connect(common)?.get("/v1/invariants", &[])?;
            output::show(common.output, &report, page)?;
            Ok(Answer::Yes)
        }
        InvariantCommand::Check => {
            let report: Report = Client::connect(common)?.post_patiently("/v1/invariants/check", &(), PATIENCE)?;
            output::show(common.output, &report, page)?;
            Ok(if report.invariants.iter().all(|one| one.holds) { Answer::Yes } else { Answer::No })
        }
        InvariantCommand::Remove(RemoveArgs { name }) => {
            let done: Revised = Client::connect(common)?.delete(&path_of(&name)?, &[])?;
            let said = |done: &Revised| Page::default().line(format!("removed `{name}`, revision {}", done.revision));
            output::show(common.output, &done, said)?;
            Ok(Answer::Yes)
        }
    }
}

fn path_of(name: &str) -> Result<String, Failure> {
    if is_name(name) {
        return Ok(format!("/v1/invariants/{name}"));
    }
    let what = format!("`{name}` cannot be the name of an invariant");
    Err(Failure::usage(format!("{what}; use 1 to {INVARIANT_NAME_CHARACTERS_MAX} letters, digits, -, _ and .")))
}

fn add(common: &Common, AddArgs { name, warn, statement }: AddArgs) -> Outcome {
    // What cannot be read is told before anything is asked.
    let statement = statement.join(" ");
    let _: Written = statement.parse().map_err(|error| Failure::usage(format!("{error}")))?;
    let mode = if warn { Mode::Warn } else { Mode::Enforce };
    let wanted = SetInvariant { statement, mode };
    let answer: InvariantAnswer = Client::connect(common)?.put(&path_of(&name)?, &wanted)?;
    output::show(common.output, &answer, |InvariantAnswer { invariant, forbids, revision }| {
        let page =
            Page::default().line(format!("set `{}`: {}, revision {revision}", invariant.name, invariant.statement));
        let page = match &invariant.shown {
            Some(shown) => page.line(format!("it does not hold now: {shown}")),
            None => page.line("it holds"),
        };
        let forbids = forbids.iter().map(|why| format!("warning: a change on trial could not be rolled back: {why}"));
        page.lines(&forbids.collect::<Vec<_>>())
    })?;
    Ok(Answer::Yes)
}

fn page(report: &Report) -> Page {
    let header = ["NAME", "INVARIANT", "MODE", "HOLDS", "SINCE", "WITNESS"];
    let rows = report.invariants.iter().map(row);
    Page::default().line(format!("revision {}", report.revision)).table(&header, rows, "no invariant is set")
}

fn row(judged: &Judged) -> Row {
    let Judged { name, statement, mode, holds, since, shown, nobody, witness: _ } = judged;
    let about_nobody = (!nobody.is_empty()).then(|| format!("nobody is {}", nobody.join(" or ")));
    let holds = if *holds && about_nobody.is_some() {
        Cell::new("yes, of nobody").fg(Color::Yellow)
    } else if *holds {
        Cell::new("yes").fg(Color::Green)
    } else {
        Cell::new("no").fg(Color::Red)
    };
    let since = since.map_or_else(|| NONE.to_owned(), |since| format!("revision {since}"));
    Row::from(vec![
        Cell::new(name),
        Cell::new(statement),
        Cell::new(mode),
        holds,
        Cell::new(since),
        Cell::new(or_none(shown.as_ref().or(about_nobody.as_ref()))),
    ])
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use sekimori_core::{
        invariant::{Sight, Witness},
        packet::Transport,
        world::Revision,
    };

    use super::*;

    #[test]
    fn what_holds_and_what_does_not_is_shown_with_its_witness() {
        let judged = |name: &str, statement: &str, witness: Option<Witness>| Judged {
            name: name.to_owned(),
            statement: statement.parse().unwrap(),
            mode: if witness.is_some() { Mode::Warn } else { Mode::Enforce },
            holds: witness.is_none(),
            since: witness.as_ref().map(|_| Revision(7)),
            shown: witness.as_ref().map(ToString::to_string),
            witness,
            nobody: Vec::new(),
        };
        let transport = Transport::Tcp { source: 50_000, destination: 22 };
        let ends = ("203.0.113.1".parse().unwrap(), "10.0.0.5".parse().unwrap());
        let sight = Sight::between((ends.0, None), (ends.1, Some("eni-1".into())), transport);
        let unanswered = Sight { answer_dropped_at: Some("eni-1".into()), ..sight.clone() };
        let report = Report {
            invariants: vec![
                judged("no-ssh", "internet must-not reach sg-1 tcp/22", Some(Witness::Passes(sight))),
                judged("web-db", "tag:role=web may reach tag:role=db tcp/5432", None),
                Judged {
                    nobody: vec!["i-gone".to_owned()],
                    ..judged("web-gone", "i-gone may reach tag:role=db tcp/5432", None)
                },
                judged("web-in", "internet may reach sg-1 tcp/22", Some(Witness::Dropped(unanswered))),
            ],
            revision: Revision(9),
        };
        expect![[r#"
            revision 9
            NAME      INVARIANT                                    MODE     HOLDS           SINCE       WITNESS
            no-ssh    internet must-not reach sg-1 tcp/22          warn     no              revision 7  tcp/22 (source port 50000) from 203.0.113.1 to 10.0.0.5 (eni-1) passes
            web-db    tag:role=web may reach tag:role=db tcp/5432  enforce  yes             -           -
            web-gone  i-gone may reach tag:role=db tcp/5432        enforce  yes, of nobody  -           nobody is i-gone
            web-in    internet may reach sg-1 tcp/22               warn     no              revision 7  the answer to tcp/22 (source port 50000) from 203.0.113.1 to 10.0.0.5 (eni-1) is dropped by the network ACL at eni-1
        "#]].assert_eq(&page(&report).plain());
    }
}
