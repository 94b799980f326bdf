//! `sekimori why`: does a packet get from one end to the other, and what decides at each end?

use clap::Args;
use comfy_table::{Cell, Row};
use sekimori_analysis::why::{End, Leg, Report};

use crate::{
    cli::Common,
    client::Client,
    exit::{Answer, Outcome},
    output::{self, Page, action, or_none},
};

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sekimori why i-web i-db tcp/5432\n  sekimori why 203.0.113.10 i-web icmp\n\n\
                        The exit code is 0 when the packet arrives and 2 when it does not.")]
pub(crate) struct WhyArgs {
    /// An instance, an interface or an address
    from: String,
    /// An instance, an interface or an address
    to: String,
    /// tcp/443, udp/53, icmp, icmp/8/0, icmpv6, or a protocol number such as 47
    service: String,
    /// The VPC that addresses are meant in, if several have them
    #[arg(long, value_name = "VPC")]
    vpc: Option<String>,
    /// The source port of TCP and UDP
    #[arg(long, value_name = "PORT")]
    source_port: Option<u16>,
}

/// Asks why.
pub(crate) fn run(common: &Common, args: WhyArgs) -> Outcome {
    let source_port = args.source_port.map(|port| port.to_string());
    let mut query = vec![("from", args.from.as_str()), ("to", args.to.as_str()), ("service", args.service.as_str())];
    query.extend(args.vpc.as_deref().map(|vpc| ("vpc", vpc)));
    query.extend(source_port.as_deref().map(|port| ("source_port", port)));
    let report: Report = Client::connect(common)?.get("/v1/why", &query)?;
    output::show(common.output, &report, page)?;
    Ok(if report.allowed { Answer::Yes } else { Answer::No })
}

fn page(report: &Report) -> Page {
    let verdict = if report.allowed { "allowed" } else { "denied" };
    let Report { vpc, from, to, service, revision, .. } = report;
    let (from, to) = (end(from), end(to));
    let verdict = format!("{verdict}: {service} from {from} to {to} in {vpc}, revision {revision}");
    let page = legs(Page::default().line(verdict), &report.legs);
    if report.answer_dropped.is_empty() {
        return page;
    }
    legs(page.line("the answer to it would be dropped:"), &report.answer_dropped)
}

fn legs(page: Page, legs: &[Leg]) -> Page {
    page.table(&["AT", "INTERFACE", "INSTANCE", "DECISION", "REASON"], legs.iter().map(leg), "")
}

fn end(end: &End) -> String {
    let outside = if end.eni.is_none() { ", outside every interface" } else { "" };
    let address = end.address.to_string();
    match (end.name == address, outside) {
        (true, "") => address,
        (true, outside) => format!("{address}{outside}"),
        (false, outside) => format!("{} ({address}{outside})", end.name),
    }
}

fn leg(leg: &Leg) -> Row {
    Row::from(vec![
        Cell::new(leg.direction),
        Cell::new(&leg.eni),
        Cell::new(or_none(leg.instance.as_ref())),
        action(leg.decision.action),
        Cell::new(&leg.reason),
    ])
}

#[cfg(test)]
pub(crate) mod tests {
    use expect_test::expect;
    use sekimori_analysis::effective::GroupName;
    use sekimori_core::{
        packet::{Decision, Transport, Why},
        rule::{Action, Direction},
        world::{Flavor, Revision},
    };

    use super::*;

    pub(crate) fn report() -> Report {
        let end = |name: &str, address: &str, known: bool| End {
            name: name.to_owned(),
            address: address.parse().unwrap(),
            eni: known.then(|| "eni-1".into()),
            instance: known.then(|| name.into()),
        };
        let why = Why::Rule { group: "sg-1".into(), rule: "sgr-1".into() };
        Report {
            answer_dropped: Vec::new(),
            allowed: false,
            vpc: "vpc-1".into(),
            from: end("203.0.113.10", "203.0.113.10", false),
            to: end("i-db", "10.1.0.1", true),
            service: "tcp/22".to_owned(),
            transport: Transport::Tcp { source: 50_000, destination: 22 },
            legs: vec![Leg {
                direction: Direction::Ingress,
                eni: "eni-1".into(),
                instance: Some("i-db".into()),
                flavor: Some(Flavor::EcsBasic),
                decision: Decision { action: Action::Deny, why, revision: Revision(7) },
                group: Some(GroupName { id: "sg-1".into(), name: "db".to_owned() }),
                rule: Some("sgr-1".into()),
                rule_text: Some("deny tcp 22 from 0.0.0.0/0, priority 1".to_owned()),
                default: Action::Deny,
                reason: "rule sgr-1 of sg-1 (db): deny tcp 22 from 0.0.0.0/0, priority 1".to_owned(),
            }],
            revision: Revision(7),
        }
    }

    #[test]
    fn both_ends_and_the_deciding_rule_are_shown() {
        expect![[r#"
            denied: tcp/22 from 203.0.113.10, outside every interface to i-db (10.1.0.1) in vpc-1, revision 7
            AT       INTERFACE  INSTANCE  DECISION  REASON
            ingress  eni-1      i-db      deny      rule sgr-1 of sg-1 (db): deny tcp 22 from 0.0.0.0/0, priority 1
        "#]]
        .assert_eq(&page(&report()).plain());
    }
}
