//! `sekimori plan-check`: groups compared with the cloud's advice for production.

use clap::Args;
use comfy_table::Row;
use sekimori_analysis::{
    planning::{Advice, Check, Finding, Report},
    text,
};
use sekimori_server::api::PlanCheck;

use crate::{
    cli::Common,
    client::Client,
    exit::{Answer, Outcome},
    output::{self, Page},
};

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sekimori plan-check\n  sekimori plan-check sg-web --rules-max 20\n  \
                        sekimori plan-check --name-pattern {environment}-{application}-{purpose}-sg\n\n\
                        The exit code is 0 when nothing was found and 2 when something was.")]
pub(crate) struct PlanCheckArgs {
    /// A security group; all of them if absent
    group: Option<String>,
    /// The form of names: parts with hyphens between them, a part in braces is any word
    #[arg(long, value_name = "PATTERN", default_value_t = Advice::default().name_pattern)]
    name_pattern: String,
    /// The tag that tells the environment of an instance
    #[arg(long, value_name = "KEY", default_value_t = Advice::default().environment_tag)]
    environment_tag: String,
    /// A port that only administrators need; may be repeated
    #[arg(long = "management-port", value_name = "PORT", default_values_t = Advice::default().management_ports)]
    management_ports: Vec<u16>,
    /// The most rules of one group
    #[arg(long, value_name = "N", default_value_t = Advice::default().rules_max)]
    rules_max: usize,
}

/// Checks.
pub(crate) fn run(common: &Common, args: PlanCheckArgs) -> Outcome {
    let PlanCheckArgs { group, name_pattern, environment_tag, management_ports, rules_max } = args;
    let management_ports = management_ports.into_iter().collect();
    let advice = Advice { name_pattern, environment_tag, management_ports, rules_max };
    let request = PlanCheck { group: group.map(Into::into), advice };
    let report: Report = Client::connect(common)?.post("/v1/plan-check", &request)?;
    output::show(common.output, &report, page)?;
    Ok(if report.findings.is_empty() { Answer::Yes } else { Answer::No })
}

fn page(report: &Report) -> Page {
    let Report { revision, groups, findings } = report;
    let head = format!("{} findings in {groups} groups, revision {revision}", findings.len());
    let rows = findings.iter().map(|finding| {
        let Finding { group, check, what, advice } = finding;
        let named = text::named(group.id.as_str(), &group.name);
        Row::from(vec![named.as_str(), word(*check), what, advice])
    });
    Page::default().line(head).table(&["GROUP", "CHECK", "FOUND", "BETTER"], rows, "every group follows the advice")
}

fn word(check: Check) -> &'static str {
    match check {
        Check::Name => "name",
        Check::Environment => "environment",
        Check::Purpose => "purpose",
        Check::Management => "management",
        Check::Rules => "rules",
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use sekimori_analysis::effective::GroupName;
    use sekimori_core::world::Revision;

    use super::*;

    #[test]
    fn findings_come_with_what_would_be_better() {
        let finding = Finding {
            group: GroupName { id: "sg-1".into(), name: "servers".to_owned() },
            check: Check::Rules,
            what: "it has 60 rules, more than 50".to_owned(),
            advice: "divide it by purpose".to_owned(),
        };
        let report = Report { revision: Revision(7), groups: 1, findings: vec![finding] };
        expect![[r#"
            1 findings in 1 groups, revision 7
            GROUP           CHECK  FOUND                          BETTER
            sg-1 (servers)  rules  it has 60 rules, more than 50  divide it by purpose
        "#]]
        .assert_eq(&page(&report).plain());
    }
}
