//! `sekimori group snapshot`: what the rules of groups were, and going back to it.

mod policy;

use clap::{Args, Subcommand};
use comfy_table::{Cell, Color, Row};
use sekimori_analysis::{
    snapshot::{Contents, Difference, Effect, Entry, Held, Line},
    text,
};
use sekimori_server::api::{Changed, RestoreAnswer, RestoreSnapshot};

use crate::{
    changing::{self, Trying},
    cli::Common,
    client::{Client, path_part},
    exit::{Answer, Outcome},
    moment,
    output::{self, Page, or_none},
};

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotCommand {
    /// Choose of which groups snapshots are taken, and for how long they are kept
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// List snapshots, the newest first
    List(ListArgs),
    /// Show the rules that a snapshot holds
    #[command(after_help = "Example:\n  sekimori group snapshot show sgss-0a1b2c")]
    Show(SnapshotArgs),
    /// Show what a restore would change; the exit code is 2 when it would change something
    #[command(after_help = "Example:\n  sekimori group snapshot diff sgss-0a1b2c")]
    Diff(SnapshotArgs),
    /// Make the rules of a group what they were, all of them or none
    Restore(RestoreArgs),
}

/// The arguments of `list`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sekimori group snapshot list sg-web")]
pub(crate) struct ListArgs {
    /// One group only
    group: Option<String>,
}

/// A snapshot.
#[derive(Args, Debug)]
pub(crate) struct SnapshotArgs {
    /// The snapshot (sgss-…)
    snapshot: String,
}

/// The arguments of `restore`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sekimori group snapshot restore sgss-0a1b2c\n  \
                        sekimori group snapshot restore sgss-0a1b2c --apply --confirm-within 60s\n\n\
                        Shows what would change unless --apply is given. The exit code is 2 when the snapshot cannot be \
                        restored: a rule names something that is gone, or a quota is full.")]
pub(crate) struct RestoreArgs {
    /// The snapshot (sgss-…)
    snapshot: String,
    /// Restore
    #[arg(long)]
    apply: bool,
    #[command(flatten)]
    trying: Trying,
}

/// Does what is ordered.
pub(crate) fn run(common: &Common, client: &Client, command: SnapshotCommand) -> Outcome {
    match command {
        SnapshotCommand::Policy(command) => policy::run(common, client, command),
        SnapshotCommand::List(args) => list(common, client, &args),
        SnapshotCommand::Show(args) => {
            let contents: Contents = client.get(&path(&args.snapshot, ""), &[])?;
            output::show(common.output, &contents, contents_page)?;
            Ok(Answer::Yes)
        }
        SnapshotCommand::Diff(args) => {
            let difference: Difference = client.get(&path(&args.snapshot, "/difference"), &[])?;
            output::show(common.output, &difference, difference_page)?;
            Ok(if difference.is_empty() { Answer::Yes } else { Answer::No })
        }
        SnapshotCommand::Restore(args) => restore(common, client, &args),
    }
}

fn path(snapshot: &str, rest: &str) -> String {
    format!("/v1/snapshots/{}{rest}", path_part(snapshot))
}

fn list(common: &Common, client: &Client, args: &ListArgs) -> Outcome {
    let query: Vec<(&str, &str)> = args.group.iter().map(|group| ("group", group.as_str())).collect();
    let entries: Vec<Entry> = client.get("/v1/snapshots", &query)?;
    output::show(common.output, &entries, |entries| list_page(entries))?;
    Ok(Answer::Yes)
}

fn restore(common: &Common, client: &Client, args: &RestoreArgs) -> Outcome {
    let (trying, request) = (args.trying.check(args.apply, "--apply")?, RestoreSnapshot { dry_run: !args.apply });
    let changed: Changed<RestoreAnswer> =
        trying.ask(client, ("POST", &path(&args.snapshot, "/restore")), Some(&request))?;
    changing::show(common, &changed, restore_page)?;
    Ok(if changed.answer.difference.problem.is_none() { Answer::Yes } else { Answer::No })
}

fn list_page(entries: &[Entry]) -> Page {
    let row = |entry: &Entry| {
        let state = if entry.taken_at.is_some() { "kept until" } else { "to be taken" };
        Row::from(vec![
            Cell::new(&entry.id),
            Cell::new(text::named(entry.group.id.as_str(), &entry.group.name)),
            Cell::new(moment::show(entry.of)),
            Cell::new(entry.rules),
            Cell::new(format!("{state} {}", moment::show(entry.due_at))),
        ])
    };
    let if_empty = "no snapshots; a policy that is attached to a group has them taken";
    Page::default().table(&["SNAPSHOT", "GROUP", "RULES OF", "RULES", "STATE"], entries.iter().map(row), if_empty)
}

fn head(entry: &Entry) -> String {
    let group = text::named(entry.group.id.as_str(), &entry.group.name);
    format!("{}: {group} as of {}", entry.id, moment::show(entry.of))
}

fn contents_page(contents: &Contents) -> Page {
    let row = |held: &Held| Row::from(vec![held.direction.to_string(), held.rule.to_string(), held.text.clone()]);
    let rows = contents.rules.iter().map(row);
    Page::default().line(head(&contents.snapshot)).table(&["DIRECTION", "RULE", "SAYS"], rows, "it holds no rules")
}

fn difference_page(difference: &Difference) -> Page {
    let page = Page::default().line(head(&difference.snapshot));
    let header = ["EFFECT", "DIRECTION", "RULE", "NOW", "SNAPSHOT"];
    let page = page.table(&header, difference.lines.iter().map(line), "no rules, then and now");
    match &difference.problem {
        Some(problem) => page.line(format!("it cannot be restored: {problem}")),
        None => page,
    }
}

fn line(line: &Line) -> Row {
    let (word, colour) = match line.effect {
        Effect::Keep => ("keep", Color::Grey),
        Effect::Add => ("add", Color::Green),
        Effect::Change => ("change", Color::Yellow),
        Effect::Remove => ("remove", Color::Red),
    };
    Row::from(vec![
        Cell::new(word).fg(colour),
        Cell::new(line.direction),
        Cell::new(&line.rule),
        Cell::new(or_none(line.now.as_ref())),
        Cell::new(or_none(line.then.as_ref())),
    ])
}

fn restore_page(answer: &RestoreAnswer) -> Page {
    let RestoreAnswer { difference, restored, revision } = answer;
    let done = match (restored, difference.is_empty()) {
        (true, false) => format!("restored, revision {revision}"),
        (_, true) => "the rules are these already".to_owned(),
        (false, false) => "nothing was restored: say --apply".to_owned(),
    };
    difference_page(difference).line(done)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use sekimori_analysis::effective::GroupName;
    use sekimori_core::{rule::Direction, time::Timestamp, world::Revision};

    use super::*;

    fn entry(taken_at: Option<Timestamp>) -> Entry {
        Entry {
            id: "sgss-1".into(),
            group: GroupName { id: "sg-1".into(), name: "web".to_owned() },
            policies: vec!["sgsp-1".into()],
            of: Timestamp(1_790_000_000),
            taken_at,
            due_at: Timestamp(1_790_000_300),
            rules: 2,
        }
    }

    #[test]
    fn what_is_to_be_taken_says_when() {
        expect![[r#"
            SNAPSHOT  GROUP       RULES OF              RULES  STATE
            sgss-1    sg-1 (web)  2026-09-21T14:13:20Z  2      to be taken 2026-09-21T14:18:20Z
            sgss-1    sg-1 (web)  2026-09-21T14:13:20Z  2      kept until 2026-09-21T14:18:20Z
        "#]]
        .assert_eq(&list_page(&[entry(None), entry(Some(Timestamp(1)))]).plain());
    }

    #[test]
    fn both_sides_of_a_restore_are_shown() {
        let line = |effect, rule: &str, now: Option<&str>, then: Option<&str>| Line {
            effect,
            rule: rule.into(),
            direction: Direction::Ingress,
            now: now.map(str::to_owned),
            then: then.map(str::to_owned),
        };
        let lines = vec![
            line(Effect::Add, "sgr-1", None, Some("allow tcp 22 from 10.0.0.0/8, priority 1")),
            line(Effect::Remove, "sgr-2", Some("allow tcp 23 from 0.0.0.0/0, priority 1"), None),
        ];
        let difference = Difference { snapshot: entry(None), lines, problem: None, revision: Revision(7) };
        let mut answer = RestoreAnswer { difference, restored: false, revision: Revision(7) };
        expect![[r#"
            sgss-1: sg-1 (web) as of 2026-09-21T14:13:20Z
            EFFECT  DIRECTION  RULE   NOW                                      SNAPSHOT
            add     ingress    sgr-1  -                                        allow tcp 22 from 10.0.0.0/8, priority 1
            remove  ingress    sgr-2  allow tcp 23 from 0.0.0.0/0, priority 1  -
            nothing was restored: say --apply
        "#]]
        .assert_eq(&restore_page(&answer).plain());
        answer.restored = true;
        assert!(restore_page(&answer).plain().ends_with("restored, revision 7\n"));
        answer.difference.problem = Some("peer security group `sg-2` does not exist".to_owned());
        assert!(restore_page(&answer).plain().contains("it cannot be restored: peer security group `sg-2`"));
    }
}
