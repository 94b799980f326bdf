//! `sekimori policy show`: everything that decides at an interface, in the order in which it decides.

use clap::{Args, Subcommand, builder::NonEmptyStringValueParser};
use comfy_table::{Cell, Row};
use sekimori_analysis::{
    effective::{GroupName, Line, LineKind, Report},
    text,
};

use crate::{
    cli::Common,
    client::{Client, path_part},
    exit::{Answer, Outcome},
    moment::When,
    output::{self, NONE, Page, action, or_none},
};

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Show the merged rules of an interface, hidden ones and defaults included
    Show(ShowArgs),
}

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sekimori policy show i-db\n  sekimori policy show i-db --at 2d")]
pub(crate) struct ShowArgs {
    /// An interface, or an instance for its primary interface; by its id, or by what one interface only has: a name, an address or
    /// tag:KEY=VALUE
    #[arg(value_name = "ENI|INSTANCE", value_parser = NonEmptyStringValueParser::new())]
    name: String,
    #[command(flatten)]
    when: When,
}

/// Shows a policy.
pub(crate) fn run(common: &Common, command: PolicyCommand) -> Outcome {
    let PolicyCommand::Show(ShowArgs { name, when }) = command;
    let when = when.query();
    let when: Vec<(&str, &str)> = when.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let report: Report = Client::connect(common)?.get(&format!("/v1/policy/{}", path_part(&name)), &when)?;
    output::show(common.output, &report, page)?;
    Ok(Answer::Yes)
}

const HEADER: [&str; 10] =
    ["#", "DECISION", "WHAT", "PRIORITY", "PROTOCOL", "PORTS", "SOURCE PORTS", "PEER", "OWN END", "FROM"];

fn page(report: &Report) -> Page {
    let Report { eni, instance, account, vpc, addresses, groups, flavor, treatment, revision, notes, .. } = report;
    let groups: Vec<String> = groups.iter().map(group).collect();
    let flavor = flavor.map_or(NONE, text::flavor);
    Page::default()
        .line(format!("{eni} of {}, account {account}, {vpc}, revision {revision}", or_none(instance.as_ref())))
        .line(format!("addresses {}", addresses.join(", ")))
        .line(format!("groups {} ({flavor}), live flows: {}", groups.join(", "), text::treatment(*treatment)))
        .lines(notes)
        .line("\ningress, towards the interface; the first line that matches decides")
        .table(&HEADER, report.ingress.iter().map(row), "")
        .line("\negress, away from the interface; the first line that matches decides")
        .table(&HEADER, report.egress.iter().map(row), "")
}

fn row(line: &Line) -> Row {
    let origin = match (&line.group, &line.rule) {
        (Some(of), Some(rule)) => format!("{rule} of {}", group(of)),
        (Some(_) | None, None) => line.description.clone(),
        (None, Some(rule)) => rule.to_string(),
    };
    Row::from(vec![
        Cell::new(line.position),
        action(line.action),
        Cell::new(kind(line.kind)),
        Cell::new(or_none(line.priority)),
        Cell::new(&line.protocol),
        Cell::new(&line.ports),
        Cell::new(&line.source_ports),
        Cell::new(&line.peer),
        Cell::new(&line.local),
        Cell::new(origin),
    ])
}

fn group(group: &GroupName) -> String {
    text::named(group.id.as_str(), &group.name)
}

fn kind(kind: LineKind) -> &'static str {
    match kind {
        LineKind::Bypass => "bypass",
        LineKind::SourceCheck => "source check",
        LineKind::Platform => "platform",
        LineKind::IntraGroup => "intra-group",
        LineKind::Rule => "rule",
        LineKind::Default => "default",
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use sekimori_core::{
        rule::Action,
        world::{Flavor, Revision, Treatment},
    };

    use super::*;

    fn line(position: u32, kind: LineKind, action: Action) -> Line {
        let all = || text::ALL.to_owned();
        Line {
            position,
            kind,
            group: None,
            rule: None,
            action,
            priority: None,
            protocol: all(),
            ports: all(),
            source_ports: all(),
            peer: all(),
            local: all(),
            description: "default: nothing above matched".to_owned(),
        }
    }

    #[test]
    fn lines_are_in_decision_order_with_their_origin() {
        let db = GroupName { id: "sg-1".into(), name: "db".to_owned() };
        let rule = Line {
            group: Some(db.clone()),
            rule: Some("sgr-1".into()),
            priority: Some(1),
            protocol: "tcp".to_owned(),
            ports: "5432".to_owned(),
            peer: "10.2.0.0/24".to_owned(),
            ..line(1, LineKind::Rule, Action::Allow)
        };
        let report = Report {
            eni: "eni-1".into(),
            instance: Some("i-db".into()),
            account: "1234567890123456".into(),
            vpc: "vpc-1".into(),
            addresses: vec!["10.1.0.1".to_owned(), "fd00::1".to_owned()],
            groups: vec![db],
            flavor: Some(Flavor::EcsBasic),
            treatment: Treatment::Reevaluate,
            revision: Revision(7),
            notes: vec!["isolated in sg-1 (db): other members are judged by the rules like everyone".to_owned()],
            ingress: vec![rule, line(2, LineKind::Default, Action::Deny)],
            egress: vec![line(1, LineKind::Default, Action::Allow)],
        };
        expect![[r#"
            eni-1 of i-db, account 1234567890123456, vpc-1, revision 7
            addresses 10.1.0.1, fd00::1
            groups sg-1 (db) (ecs basic), live flows: reevaluate
            isolated in sg-1 (db): other members are judged by the rules like everyone

            ingress, towards the interface; the first line that matches decides
            #  DECISION  WHAT     PRIORITY  PROTOCOL  PORTS  SOURCE PORTS  PEER         OWN END  FROM
            1  allow     rule     1         tcp       5432   all           10.2.0.0/24  all      sgr-1 of sg-1 (db)
            2  deny      default  -         all       all    all           all          all      default: nothing above matched

            egress, away from the interface; the first line that matches decides
            #  DECISION  WHAT     PRIORITY  PROTOCOL  PORTS  SOURCE PORTS  PEER  OWN END  FROM
            1  allow     default  -         all       all    all           all   all      default: nothing above matched
        "#]]
        .assert_eq(&page(&report).plain());
    }
}
