//! `sekimori diagnose`: is a service open at an interface, to whom, what decides, and how to open it.

use clap::{Args, ValueEnum, builder::NonEmptyStringValueParser};
use comfy_table::{Cell, Color, Row};
use sekimori_analysis::{
    diagnose::{Access, Check, Deciding, Report, open::Request},
    text,
};
use sekimori_core::{address::Cidr, ids::RuleId, rule::Direction};
use sekimori_server::api::{Changed, OpenAnswer};

use crate::{
    changing::{self, Trying},
    cli::Common,
    client::Client,
    exit::{Answer, Failure, Outcome},
    output::{self, Page, or_none},
};

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sekimori diagnose i-web\n  \
                        sekimori diagnose i-db --source 10.0.0.7 --port 5432\n  \
                        sekimori diagnose i-db --source 10.0.0.7 --port 5432 --open\n\n\
                        Without a port, ping and TCP 80, 443, 22, 3389 and 8080 are checked. The exit code is 0 when everything \
                        that was asked about is open and 2 when it is not.")]
pub(crate) struct DiagnoseArgs {
    /// An interface, or an instance for its primary interface; by its id, or by what one interface only has: a name, an address or
    /// tag:KEY=VALUE
    #[arg(value_name = "ENI|INSTANCE", value_parser = NonEmptyStringValueParser::new())]
    target: String,
    /// The other end, an address or a block; every address if absent
    #[arg(long, alias = "peer", value_name = "ADDRESS")]
    source: Option<Cidr>,
    /// The destination port of TCP or UDP
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// The protocol: tcp (default), udp, icmp, icmpv6, gre or a number
    #[arg(long, value_name = "PROTOCOL")]
    protocol: Option<String>,
    /// Towards the interface or away from it
    #[arg(long, value_enum, default_value_t = Way::Ingress)]
    direction: Way,
    /// Add the narrowest rule that opens it to --source
    #[arg(long)]
    open: bool,
    /// Open it to every address; never done unless it is asked for
    #[arg(long, requires = "open", conflicts_with = "source")]
    from_world: bool,
    /// The group that gets the rule; else the one that the fewest interfaces carry
    #[arg(long, value_name = "GROUP", requires = "open")]
    group: Option<String>,
    #[command(flatten)]
    trying: Trying,
    /// Show the rule and add nothing
    #[arg(long, requires = "open")]
    dry_run: bool,
}

/// A direction, as an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Way {
    /// Towards the interface.
    Ingress,
    /// Away from it.
    Egress,
}

impl From<Way> for Direction {
    fn from(way: Way) -> Self {
        match way {
            Way::Ingress => Self::Ingress,
            Way::Egress => Self::Egress,
        }
    }
}

/// Checks, or opens.
pub(crate) fn run(common: &Common, args: DiagnoseArgs) -> Outcome {
    let service = service(args.protocol.as_deref(), args.port)?;
    let client = Client::connect(common)?;
    args.trying.check(args.open, "--open")?;
    if args.open {
        return open(common, &client, args, service);
    }
    let (peer, direction) = (args.source.map(|peer| peer.to_string()), Direction::from(args.direction).to_string());
    let mut query = vec![("target", args.target.as_str()), ("direction", direction.as_str())];
    query.extend(peer.as_deref().map(|peer| ("peer", peer)));
    query.extend(service.as_deref().map(|service| ("service", service)));
    let report: Report = client.get("/v1/diagnose", &query)?;
    output::show(common.output, &report, page)?;
    Ok(if report.is_open() { Answer::Yes } else { Answer::No })
}

/// `tcp/443` and its kin; nothing for the quick check.
fn service(protocol: Option<&str>, port: Option<u16>) -> Result<Option<String>, Failure> {
    match (protocol, port) {
        (None, None) => Ok(None),
        (protocol, Some(port)) => Ok(Some(format!("{}/{port}", protocol.unwrap_or("tcp")))),
        (Some(protocol @ ("tcp" | "udp" | "6" | "17")), None) => {
            Err(Failure::usage(format!("`{protocol}` needs a port; give --port")))
        }
        (Some(protocol), None) => Ok(Some(protocol.to_owned())),
    }
}

fn open(common: &Common, client: &Client, args: DiagnoseArgs, service: Option<String>) -> Outcome {
    let Some(service) = service else {
        return Err(Failure::usage("what to open is not said; give --port, or --protocol icmp"));
    };
    if args.source.is_none() && !args.from_world {
        return Err(Failure::usage("to whom is not said; give --source, or --from-world if everyone is meant"));
    }
    let request = Request {
        target: args.target,
        direction: args.direction.into(),
        service,
        peer: args.source,
        from_world: args.from_world,
        group: args.group.map(Into::into),
        dry_run: args.dry_run,
    };
    let changed: Changed<OpenAnswer> = args.trying.ask(client, ("POST", "/v1/diagnose/open"), Some(&request))?;
    changing::show(common, &changed, |answer| opened(answer, request.dry_run))?;
    Ok(Answer::Yes)
}

fn opened(answer: &OpenAnswer, dry_run: bool) -> Page {
    let OpenAnswer { plan, added, revision } = answer;
    let group = text::named(plan.group.as_str(), &plan.group_name);
    let page = Page::default();
    if plan.rules.is_empty() {
        return page.line("it is open already; nothing was added").table(&HEADER, plan.after.iter().map(row), "");
    }
    let head = if dry_run { format!("{group} would get") } else { format!("{group} got, revision {revision}") };
    let names = added.iter().map(|rule| Some(RuleId::to_string(rule))).chain(std::iter::repeat(None));
    let rules = plan.texts.iter().zip(names).map(|(text, name)| Row::from(vec![or_none(name), text.clone()]));
    page.line(head).table(&["RULE", "SAYS"], rules, "")
}

const HEADER: [&str; 5] = ["SERVICE", "WITH", "OWN ADDRESS", "ANSWER", "DECIDED BY"];

fn page(report: &Report) -> Page {
    let Report { eni, instance, vpc, groups, direction, revision, checks, cut_off } = report;
    let groups: Vec<String> = groups.iter().map(|group| text::named(group.id.as_str(), &group.name)).collect();
    let page = Page::default()
        .line(format!("{direction} of {eni} of {}, {vpc}, revision {revision}", or_none(instance.as_ref())))
        .line(format!("groups {}", groups.join(", ")))
        .table(&HEADER, checks.iter().map(row), "");
    cut_off.iter().fold(page, |page, why| page.line("").line(why))
}

fn row(check: &Check) -> Row {
    let Check { service, local, peer, access, deciding, .. } = check;
    let (word, colour) = match access {
        Access::Open => ("open", Color::Green),
        Access::Partly => ("partly", Color::Yellow),
        Access::Closed => ("closed", Color::Red),
    };
    let lines: Vec<String> =
        deciding.iter().map(|Deciding { action, text, .. }| format!("{action}: {text}")).collect();
    Row::from(vec![
        Cell::new(service),
        Cell::new(if peer.is_world() { "everyone".to_owned() } else { peer.to_string() }),
        Cell::new(local),
        Cell::new(word).fg(colour),
        Cell::new(lines.join("\n")),
    ])
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use sekimori_analysis::effective::GroupName;
    use sekimori_core::{address::Family, rule::Action, world::Revision};

    use super::*;

    #[test]
    fn every_deciding_line_is_shown() {
        let deciding = |action, text: &str| Deciding { action, group: None, rule: None, text: text.to_owned() };
        let check = |service: &str, peer: &str, access, deciding| Check {
            service: service.to_owned(),
            family: Family::V4,
            local: "10.0.0.1".parse().unwrap(),
            peer: peer.parse().unwrap(),
            access,
            deciding,
        };
        let default = || deciding(Action::Deny, "no rule matches; ingress default of ecs basic");
        let rule = || deciding(Action::Allow, "rule sgr-1 of sg-1 (web): allow tcp 80 from 10.0.0.0/8, priority 1");
        let report = Report {
            eni: "eni-1".into(),
            instance: Some("i-web".into()),
            vpc: "vpc-1".into(),
            groups: vec![GroupName { id: "sg-1".into(), name: "web".to_owned() }],
            direction: Direction::Ingress,
            revision: Revision(7),
            cut_off: Some("nothing outside leads to it as things are: 10.0.0.5 has no public address".to_owned()),
            checks: vec![
                check("tcp/80", "0.0.0.0/0", Access::Partly, vec![rule(), default()]),
                check("tcp/22", "10.0.0.7", Access::Closed, vec![default()]),
            ],
        };
        expect![[r#"
            ingress of eni-1 of i-web, vpc-1, revision 7
            groups sg-1 (web)
            SERVICE  WITH      OWN ADDRESS  ANSWER  DECIDED BY
            tcp/80   everyone  10.0.0.1     partly  allow: rule sgr-1 of sg-1 (web): allow tcp 80 from 10.0.0.0/8, priority 1
                                                    deny: no rule matches; ingress default of ecs basic
            tcp/22   10.0.0.7  10.0.0.1     closed  deny: no rule matches; ingress default of ecs basic

            nothing outside leads to it as things are: 10.0.0.5 has no public address
        "#]].assert_eq(&page(&report).plain());
    }

    #[test]
    fn a_service_is_a_port_or_a_protocol_without_one() {
        assert_eq!(service(None, None).unwrap(), None);
        assert_eq!(service(None, Some(80)).unwrap().as_deref(), Some("tcp/80"));
        assert_eq!(service(Some("udp"), Some(53)).unwrap().as_deref(), Some("udp/53"));
        assert_eq!(service(Some("icmp"), None).unwrap().as_deref(), Some("icmp"));
        assert!(service(Some("udp"), None).is_err());
    }
}
