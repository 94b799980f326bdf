//! `sekimori shadow`: what other rules of a group would change, counted on the flows that really begin.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use comfy_table::{Cell, Color, Row};
use sekimori_analysis::{
    shadow::{Interface, Line, Report, Request, Witness},
    text,
    transfer::region_in,
};
use sekimori_core::feed::ShadowCells;
use sekimori_server::api::{PromoteShadow, Revised, ShadowAnswer};

use super::group::files::read;
use crate::{
    changing::{Changing, Trying, seconds},
    cli::Common,
    client::{Client, path_part},
    exit::{Answer, Failure, Outcome},
    moment,
    output::{self, NONE, Page, or_none},
};

/// Witnesses that are shown if the command does not say.
const WITNESSES: usize = 10;

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum ShadowCommand {
    /// Compare other rules with those of a group, on real new flows; nothing is decided by them
    Set(SetArgs),
    /// Show what the shadow would change; the exit code is 2 when it would change something
    Show(ShowArgs),
    /// Stop comparing and forget what was counted
    #[command(after_help = "Example:\n  sekimori shadow clear sg-web")]
    Clear(GroupArgs),
    /// Make the shadow the rules of the group
    Promote(PromoteArgs),
}

/// A group.
#[derive(Args, Debug)]
pub(crate) struct GroupArgs {
    /// The group (sg-…)
    group: String,
}

/// The arguments of `set`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sekimori shadow set sg-web --from-group sg-web-next\n  \
                        sekimori shadow set sg-web --file ecs_cn-hangzhou_sg-web.json --dry-run\n  \
                        sekimori shadow set sg-web --remove sgr-0a1b2c --add 'ingress allow tcp/443 from 10.0.0.0/8 priority 5'\n\n\
                        The shadow begins with the rules of the group itself, of another one, or of a file. A shadow that is there \
                        is replaced, and counting begins anew.")]
pub(crate) struct SetArgs {
    /// The group (sg-…)
    group: String,
    /// Begin with the rules of this group, for example a clone
    #[arg(long, value_name = "GROUP", conflicts_with = "file")]
    from_group: Option<String>,
    /// Begin with the rules of this file, as `group export` writes them; of an EC2 group, as `aws ec2 describe-security-groups` does
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Add a rule, in words: `ingress allow tcp/443 from 10.0.0.0/8 priority 5`
    #[arg(long, value_name = "RULE")]
    add: Vec<String>,
    /// Leave a rule out
    #[arg(long, value_name = "ID")]
    remove: Vec<String>,
    /// Show what the shadow would be, and set nothing
    #[arg(long)]
    dry_run: bool,
}

/// The arguments of `show`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sekimori shadow show sg-web\n  sekimori shadow show sg-web --output json")]
pub(crate) struct ShowArgs {
    /// The group (sg-…)
    group: String,
    /// How many flows that would be decided otherwise are shown
    #[arg(long, value_name = "NUMBER", default_value_t = WITNESSES)]
    witnesses: usize,
}

/// The arguments of `promote`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sekimori shadow promote sg-web\n  sekimori shadow promote sg-web --force\n  \
                        sekimori shadow promote sg-web --confirm-within 10m\n\n\
                        Refused when the rules of the group have changed since the shadow was set, unless --force is given.")]
pub(crate) struct PromoteArgs {
    /// The group (sg-…)
    group: String,
    /// Also undo what has changed since the shadow was set, and even if that cuts the connection to the server
    #[arg(long)]
    force: bool,
    /// Roll it back unless it is confirmed in time: 60s, 10m, 2h
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    confirm_within: Option<u32>,
    /// Show what passes and is dropped otherwise, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// Does what is ordered.
pub(crate) fn run(common: &Common, command: ShadowCommand) -> Outcome {
    let client = Client::connect(common)?;
    match command {
        ShadowCommand::Set(args) => set(common, &client, args),
        ShadowCommand::Show(args) => {
            let report: Report = client.get(&path(&args.group, ""), &[])?;
            output::show(common.output, &report, |report| report_page(report, args.witnesses))?;
            let ShadowCells { opened, closed, .. } = report.flows;
            Ok(if opened + closed == 0 { Answer::Yes } else { Answer::No })
        }
        ShadowCommand::Clear(args) => {
            let revised: Revised = client.delete(&path(&args.group, ""), &[])?;
            output::state(common.output, &args.group, "without a shadow", &revised)?;
            Ok(Answer::Yes)
        }
        ShadowCommand::Promote(args) => {
            let PromoteArgs { group, force, confirm_within, dry_run } = args;
            let changing = Changing { trying: Trying { confirm_within, force }, dry_run };
            let (path, wish) = (path(&group, "/promote"), PromoteShadow { force });
            changing.make((common, &client), ("POST", &path), Some(&wish), |revised| {
                output::state_page(&group, "what its shadow was", revised)
            })?;
            Ok(Answer::Yes)
        }
    }
}

fn path(group: &str, rest: &str) -> String {
    format!("/v1/groups/{}/shadow{rest}", path_part(group))
}

fn set(common: &Common, client: &Client, args: SetArgs) -> Outcome {
    let group = args.group.clone();
    let answer: ShadowAnswer = client.put(&path(&group, ""), &request(args)?)?;
    output::show(common.output, &answer, set_page)?;
    Ok(Answer::Yes)
}

fn request(args: SetArgs) -> Result<Request, Failure> {
    let SetArgs { group: _, from_group, file, add, remove, dry_run } = args;
    let from_region = file.as_deref().and_then(|file| region_in(file.to_str()?)).map(str::to_owned);
    let file = file.as_deref().map(|file: &Path| read(file)).transpose()?;
    let remove = remove.into_iter().map(Into::into).collect();
    Ok(Request { from_group: from_group.map(Into::into), file, from_region, remove, add, dry_run })
}

fn set_page(answer: &ShadowAnswer) -> Page {
    let ShadowAnswer { plan, set, revision } = answer;
    let row =
        |(word, colour, said): (&str, Color, &String)| Row::from(vec![Cell::new(word).fg(colour), Cell::new(said)]);
    let added = plan.added.iter().map(|said| ("add", Color::Green, said));
    let removed = plan.removed.iter().map(|said| ("leave out", Color::Red, said));
    let done = if *set {
        format!("the shadow of {} is set, revision {revision}", plan.group)
    } else {
        "nothing was set: this was a preview".to_owned()
    };
    Page::default()
        .table(&["EFFECT", "RULE"], added.chain(removed).map(row), "it says what the group says")
        .line(format!("rules that stay: {}", plan.kept))
        .line(done)
}

fn report_page(report: &Report, witnesses: usize) -> Page {
    let ShadowCells { allowed, denied, opened, closed, skipped } = report.flows;
    let group = text::named(report.group.id.as_str(), &report.group.name);
    let mut page = Page::default()
        .line(format!("the shadow of {group}, compared since {}", moment::show(report.set_at)))
        .line(format!(
            "new flows: {} decided alike ({allowed} allowed, {denied} denied), {opened} would be opened, {closed} would be closed",
            allowed + denied
        ));
    if skipped > 0 {
        page = page.line(format!("not compared, for they began while something was being changed: {skipped}"));
    }
    if report.untold > 0 {
        page = page.line(format!("in no line below, for their rules are gone or too many: {}", report.untold));
    }
    if report.is_outdated {
        page = page.line("the rules of the group have changed since the shadow was set");
    }
    let header = ["RULE", "DIRECTION", "SAYS", "SAME", "OPENED", "CLOSED"];
    let shown = report.witnesses.iter().take(witnesses);
    page.line("now:")
        .table(&header, report.live.iter().map(|line| line_row(line, "goes")), "nothing")
        .line("shadow:")
        .table(&header, report.candidate.iter().map(|line| line_row(line, "new")), "nothing")
        .table(
            &["FLOW", "INTERFACE", "COUNT", "LAST", "NOW", "SHADOW"],
            shown.map(witness_row),
            "no flow would be decided otherwise",
        )
        .table(
            &["INTERFACE", "ALIKE", "OPENED", "CLOSED", "TOGETHER WITH"],
            report.interfaces.iter().map(interface_row),
            "no interface carries the group",
        )
}

fn line_row(line: &Line, word: &str) -> Row {
    let Line { rule, direction, text, is_on_both_sides, same, opened, closed } = line;
    let said = if *is_on_both_sides { text.clone() } else { format!("{text} ({word})") };
    Row::from(vec![
        Cell::new(or_none(rule.as_ref())),
        Cell::new(direction),
        Cell::new(said),
        Cell::new(same),
        coloured(*opened, Color::Yellow),
        coloured(*closed, Color::Red),
    ])
}

fn coloured(count: u64, colour: Color) -> Cell {
    if count == 0 { Cell::new(count) } else { Cell::new(count).fg(colour) }
}

fn witness_row(witness: &Witness) -> Row {
    let flows = &witness.flows;
    let (from, to) = match flows.direction {
        sekimori_core::rule::Direction::Ingress => (flows.peer, flows.local),
        sekimori_core::rule::Direction::Egress => (flows.local, flows.peer),
    };
    Row::from(vec![
        Cell::new(format!("{from} to {to}, {}", witness.service)),
        Cell::new(&witness.eni),
        Cell::new(flows.flows),
        Cell::new(moment::show(flows.seen_at)),
        Cell::new(&witness.live_text),
        Cell::new(&witness.candidate_text),
    ])
}

fn interface_row(interface: &Interface) -> Row {
    let Interface { eni, flows, together_with } = interface;
    let count = |of: fn(&ShadowCells) -> u64| or_none(flows.as_ref().map(of));
    let others: Vec<&str> = together_with.iter().map(|group| group.as_str()).collect();
    let others = if others.is_empty() { NONE.to_owned() } else { others.join(" ") };
    Row::from(vec![
        eni.to_string(),
        count(|cells| cells.allowed + cells.denied),
        count(|cells| cells.opened),
        count(|cells| cells.closed),
        others,
    ])
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use sekimori_analysis::{effective::GroupName, shadow::Plan};
    use sekimori_core::{
        feed::{Decider, ShadowWitness},
        rule::Direction,
        time::Timestamp,
        world::Revision,
    };

    use super::*;

    #[test]
    fn what_a_shadow_is_made_of_is_told() {
        let plan = Plan {
            group: "sg-web".into(),
            rules: Vec::new(),
            added: vec!["ingress: allow tcp 443 from 10.0.0.0/8, priority 5".to_owned()],
            removed: vec!["ingress: allow tcp 22 from 0.0.0.0/0, priority 1".to_owned()],
            kept: 3,
        };
        expect![[r#"
            EFFECT     RULE
            add        ingress: allow tcp 443 from 10.0.0.0/8, priority 5
            leave out  ingress: allow tcp 22 from 0.0.0.0/0, priority 1
            rules that stay: 3
            the shadow of sg-web is set, revision 9
        "#]]
        .assert_eq(&set_page(&ShadowAnswer { plan, set: true, revision: Revision(9) }).plain());
    }

    #[test]
    fn what_would_change_is_told_by_rule_and_by_flow() {
        let decider = |passes| Decider { passes, reason: "rule".to_owned(), rule: None };
        let line = |rule: Option<&str>, text: &str, opened, closed| Line {
            rule: rule.map(Into::into),
            direction: Direction::Ingress,
            text: text.to_owned(),
            is_on_both_sides: rule.is_none(),
            same: 2,
            opened,
            closed,
        };
        let flows = ShadowWitness {
            direction: Direction::Ingress,
            local: "10.0.0.1".parse().unwrap(),
            peer: "10.9.9.9".parse().unwrap(),
            protocol: 6,
            port: 22,
            live: decider(true),
            candidate: decider(false),
            flows: 4,
            seen_at: Timestamp(1_790_000_300),
        };
        let witness = Witness {
            eni: "eni-a".into(),
            flows,
            service: "tcp/22".to_owned(),
            live_text: "sgr-1: allow tcp 22 from 0.0.0.0/0, priority 1".to_owned(),
            candidate_text: "default deny".to_owned(),
        };
        let cells = ShadowCells { allowed: 2, denied: 1, opened: 0, closed: 4, skipped: 1 };
        let report = Report {
            group: GroupName { id: "sg-web".into(), name: "web".to_owned() },
            set_at: Timestamp(1_790_000_000),
            is_outdated: true,
            flows: cells,
            untold: 1,
            live: vec![line(Some("sgr-1"), "allow tcp 22 from 0.0.0.0/0, priority 1", 0, 4)],
            candidate: vec![line(None, "default deny", 0, 4)],
            witnesses: vec![witness],
            interfaces: vec![
                Interface { eni: "eni-a".into(), flows: Some(cells), together_with: vec!["sg-db".into()] },
                Interface { eni: "eni-b".into(), flows: None, together_with: Vec::new() },
            ],
            revision: Revision(9),
        };
        expect![[r#"
            the shadow of sg-web (web), compared since 2026-09-21T14:13:20Z
            new flows: 3 decided alike (2 allowed, 1 denied), 0 would be opened, 4 would be closed
            not compared, for they began while something was being changed: 1
            in no line below, for their rules are gone or too many: 1
            the rules of the group have changed since the shadow was set
            now:
            RULE   DIRECTION  SAYS                                            SAME  OPENED  CLOSED
            sgr-1  ingress    allow tcp 22 from 0.0.0.0/0, priority 1 (goes)  2     0       4
            shadow:
            RULE  DIRECTION  SAYS          SAME  OPENED  CLOSED
            -     ingress    default deny  2     0       4
            FLOW                          INTERFACE  COUNT  LAST                  NOW                                             SHADOW
            10.9.9.9 to 10.0.0.1, tcp/22  eni-a      4      2026-09-21T14:18:20Z  sgr-1: allow tcp 22 from 0.0.0.0/0, priority 1  default deny
            INTERFACE  ALIKE  OPENED  CLOSED  TOGETHER WITH
            eni-a      3      0       4       sg-db
            eni-b      -      -       -       -
        "#]].assert_eq(&report_page(&report, 10).plain());
    }
}
