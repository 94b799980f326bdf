//! `sekimori why`: does a packet get from one end to the other, what decides at each end, and the smallest change that would turn the
//! answer around.

use clap::Args;
use comfy_table::{Cell, Row};
use sekimori_analysis::why::{self, Cost, CostLine, End, Goal, Leg, Suggestion};
use sekimori_core::rule::Action;
use sekimori_server::api::{Decided, EnforcedAt, Evidence, LiveEvidence, WhyAnswer};

use crate::{
    cli::Common,
    client::Client,
    commands::flows,
    exit::{Answer, Outcome},
    moment::{self, When},
    output::{self, NONE, Page, action, or_none},
};

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sekimori why i-web i-db tcp/5432\n  sekimori why 203.0.113.10 i-web icmp\n  \
                        sekimori why internet sg-web tcp/443\n  sekimori why sg-web sg-db tcp/5432 --stop\n  \
                        sekimori why web-1 tag:role=db tcp/5432\n  sekimori why i-web i-db tcp/5432 --at 2d\n\n\
                        An end is an instance, an interface or a group by its id or name, tag:KEY=VALUE, an address, a VPC or subnet by its \
                        id, or `internet`. A group is each of its members, a tag everyone who has it, `internet` every address outside. What would change the answer was tried \
                        before it is told. The exit code is 0 when the packet arrives, from every end to every end, and 2 when it \
                        does not.")]
pub(crate) struct WhyArgs {
    /// An instance, an interface, an address, a group, a tag or `internet`
    from: String,
    /// The same
    to: String,
    /// tcp/443, udp/53, icmp, icmp/8/0, icmpv6, or a protocol number such as 47
    service: String,
    /// The VPC that addresses are meant in, if several have them
    #[arg(long, value_name = "VPC")]
    vpc: Option<String>,
    /// The source port of TCP and UDP
    #[arg(long, value_name = "PORT")]
    source_port: Option<u16>,
    /// Tell the smallest change that would stop it, in place of the one that would allow it
    #[arg(long)]
    stop: bool,
    /// Ask about IPv6 where both ends have both
    #[arg(long)]
    ipv6: bool,
    #[command(flatten)]
    when: When,
}

/// Asks why.
pub(crate) fn run(common: &Common, args: WhyArgs) -> Outcome {
    let source_port = args.source_port.map(|port| port.to_string());
    let mut query = vec![("from", args.from.as_str()), ("to", args.to.as_str()), ("service", args.service.as_str())];
    query.extend(args.vpc.as_deref().map(|vpc| ("vpc", vpc)));
    query.extend(source_port.as_deref().map(|port| ("source_port", port)));
    query.extend(args.stop.then_some(("goal", "stop")));
    query.extend(args.ipv6.then_some(("family", "ipv6")));
    let when = args.when.query();
    query.extend(when.iter().map(|(name, value)| (*name, value.as_str())));
    let client = Client::connect(common)?;
    let answer: WhyAnswer = client.get("/v1/why", &query)?;
    // Where no kernel is watched there is nothing to be seen, and what is seen now is no evidence of the past.
    let is_watched = client.is_server() && args.when.is_now();
    output::show(common.output, &answer, |answer| if is_watched { page(answer) } else { told(&answer.explanation) })?;
    Ok(if answer.explanation.is_answered() { Answer::Yes } else { Answer::No })
}

fn page(answer: &WhyAnswer) -> Page {
    seen(told(&answer.explanation), &answer.evidence)
}

fn told(explanation: &why::Explanation) -> Page {
    let page = verdict(explanation);
    let page = answers(page, explanation);
    let page = lines(page, "everything that drops it:", &explanation.blockers, &explanation.report);
    let page = lines(page, "everything that lets it pass:", &explanation.openers, &explanation.report);
    let page = explanation.notes.iter().fold(page, |page, note| page.line(note));
    change(page, explanation)
}

fn verdict(explanation: &why::Explanation) -> Page {
    let why::Report { allowed, vpc, from, to, service, legs, answer_dropped, revision, .. } = &explanation.report;
    let (from, to) = (end(from), end(to));
    let through = explanation.peering.as_ref().map(|peering| format!(" through {peering}")).unwrap_or_default();
    let place = format!("in {vpc}{through}, revision {revision}");
    let page = match explanation.pairs {
        1 => {
            let verdict = match (*allowed, answer_dropped.is_empty()) {
                (true, true) => "allowed",
                (true, false) => "allowed, but not answered",
                (false, _) => "denied",
            };
            Page::default().line(format!("{verdict}: {service} from {from} to {to} {place}"))
        }
        pairs => {
            let (passing, answered) = (explanation.pairs_allowed, explanation.pairs_answered);
            let answered = if answered == passing { String::new() } else { format!(" and {answered} answered") };
            Page::default()
                .line(format!("{service}: {passing} of {pairs} pairs of ends are allowed{answered}, {place}"))
                .line(format!("one of them, from {from} to {to}:"))
        }
    };
    let page = table(page, legs);
    if answer_dropped.is_empty() {
        return page;
    }
    table(page.line("the answer to it would be dropped:"), answer_dropped)
}

/// The pairs by what decides about them.
fn answers(page: Page, explanation: &why::Explanation) -> Page {
    if explanation.answers.is_empty() {
        return page;
    }
    let row = |answer: &why::Answer| {
        let reason = |leg: &Leg| format!("{}: {}", leg.direction, leg.reason);
        let mut reasons: Vec<String> = answer.legs.iter().map(reason).collect();
        reasons.extend(answer.answer_dropped.iter().map(|leg| format!("answer: {}", leg.reason)));
        Row::from(vec![
            action(if answer.allowed { Action::Allow } else { Action::Deny }),
            Cell::new(answer.pairs),
            Cell::new(answer.from.join("\n")),
            Cell::new(answer.to.join("\n")),
            Cell::new(reasons.join("\n")),
        ])
    };
    let header = ["DECISION", "PAIRS", "FROM", "TO", "REASON"];
    let page = page.line("").line("all of them:").table(&header, explanation.answers.iter().map(row), "");
    match explanation.answers_more {
        0 => page,
        more => page.line(format!("and {more} more answers; see --output json")),
    }
}

/// Lines that are more than what the legs tell already.
fn lines(page: Page, title: &str, lines: &[Leg], report: &why::Report) -> Page {
    let is_told = |line: &Leg| {
        let mut told = report.legs.iter().chain(&report.answer_dropped);
        told.any(|leg| leg.decision == line.decision && leg.eni == line.eni && leg.direction == line.direction)
    };
    if lines.iter().all(is_told) {
        return page;
    }
    table(page.line("").line(title), lines)
}

fn change(page: Page, explanation: &why::Explanation) -> Page {
    let goal = match explanation.goal {
        Goal::Allow => "allow",
        Goal::Stop => "stop",
    };
    match (&explanation.change, &explanation.no_change) {
        (Some(change), _) => suggestion(page, change, explanation.goal),
        (None, Some(reason)) => page.line("").line(format!("no change would {goal} it: {reason}")),
        (None, None) => page,
    }
}

fn suggestion(page: Page, change: &Suggestion, goal: Goal) -> Page {
    let verb = match goal {
        Goal::Allow => "allow",
        Goal::Stop => "stop",
    };
    let page = page.line("").line(format!("the smallest change that would {verb} it:"));
    let page = change
        .steps
        .iter()
        .fold(page, |page, step| page.line(format!("  {}", step.says)).line(format!("    {}", step.command)));
    cost(page, &change.cost, goal)
}

fn cost(page: Page, cost: &Cost, goal: Goal) -> Page {
    let (opens, opened) = match goal {
        Goal::Allow => ("opens", "what else it opens"),
        Goal::Stop => ("closes", "what else it closes"),
    };
    let bearers = match cost.bearers {
        1 => "1 interface has what it changes".to_owned(),
        many => format!("{many} interfaces have what it changes"),
    };
    match (cost.packets.as_deref(), &cost.unknown) {
        (Some("0"), _) => page.line(format!("  it {opens} nothing else; {bearers}")),
        (Some(packets), _) => {
            let others = match cost.interfaces {
                0 => String::new(),
                1 => ", also at 1 other interface".to_owned(),
                others => format!(", also at {others} other interfaces"),
            };
            let packets = match packets {
                "1" => "1 other packet".to_owned(),
                // Where counting ends.
                most if most == u128::MAX.to_string() => format!("at least {most} other packets"),
                many => format!("{many} other packets"),
            };
            page.line(format!("  it {opens} {packets} (protocol, ports and addresses){others}; {bearers}")).table(
                &["WAY", "INTERFACES", "SERVICES", "WITH", "OWN ADDRESS"],
                cost.lines.iter().map(cost_row),
                "",
            )
        }
        (None, Some(reason)) => page.line(format!("  {opened} is not known: {reason}; {bearers}")),
        (None, None) => page,
    }
}

fn cost_row(line: &CostLine) -> Row {
    let CostLine { direction, interfaces, services, peers, own } = line;
    let all = || "all".to_owned();
    Row::from(vec![
        direction.to_string(),
        interfaces.join("\n"),
        services.join("\n"),
        peers.join("\n"),
        own.clone().unwrap_or_else(all),
    ])
}

fn seen(page: Page, evidence: &Evidence) -> Page {
    let Evidence { hosts, counters, flows, .. } = evidence;
    let header = ["COUNTED AT", "OF", "PACKETS", "BYTES", "LAST USED"];
    let page = page.line("");
    let page = if counters.is_empty() { page } else { page.table(&header, counters.iter().map(counted), "") };
    let behind = |enforced: &&EnforcedAt| !enforced.is_current;
    let page = hosts.iter().filter(behind).fold(page, |page, enforced| {
        let host = or_none(enforced.host.as_ref());
        let applied =
            enforced.applied.map_or_else(|| "nothing yet".to_owned(), |applied| format!("revision {applied}"));
        page.line(format!("{} is not enforced so yet: host {host} has applied {applied}", enforced.eni))
    });
    let page = live_flows(page, &evidence.live);
    match (flows.is_empty(), evidence.recorded_since) {
        (false, _) => flows.iter().fold(page.line("seen:"), |page, sight| page.line(flows::words(sight))),
        (true, Some(since)) => page.line(format!("no such packet was seen since {}", moment::show(since))),
        (true, None) => page.line("single packets are not recorded at the moment; `sekimori flows` begins it"),
    }
}

/// The live flows; nothing is said of them where nobody was asked, as of the past.
fn live_flows(page: Page, LiveEvidence { count, flows, unknown }: &LiveEvidence) -> Page {
    let page = match count {
        0 => page,
        1 => page.line("1 live flow:"),
        count => page.line(format!("{count} live flows:")),
    };
    let page = flows.iter().fold(page, |page, sight| page.line(format!("  {}", flows::live::words(sight))));
    let untold = count.saturating_sub(flows.len() as u64);
    let page = if untold == 0 {
        page
    } else {
        page.line(format!("  and {untold} more; `sekimori flows --live` lists them"))
    };
    unknown.iter().fold(page, |page, what| page.line(what))
}

fn counted(decided: &Decided) -> Row {
    let Decided { eni, direction, group, rule, reason, count, last_used } = decided;
    let what = match (group, rule) {
        (Some(group), Some(rule)) => format!("rule {rule} of {group}, at all its interfaces"),
        (Some(group), None) => format!("intra-group accept of {group}, at all its interfaces"),
        (None, _) => format!("{reason} at {eni}"),
    };
    let is_rule = group.is_some();
    Row::from(vec![
        format!("{direction} of {eni}"),
        what,
        count.packets.to_string(),
        if is_rule { count.bytes.to_string() } else { NONE.to_owned() },
        or_none(last_used.map(moment::show)),
    ])
}

fn table(page: Page, legs: &[Leg]) -> Page {
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
mod tests {
    use expect_test::expect;
    use sekimori_analysis::{
        effective::GroupName,
        why::{Explanation, Report, SuggestedStep},
    };
    use sekimori_core::{
        feed::Count,
        packet::{Decision, Transport, Why},
        rule::Direction,
        time::Timestamp,
        world::{Flavor, Revision},
    };

    use super::*;

    fn report() -> Report {
        let end = |name: &str, address: &str, known: bool| End {
            name: name.to_owned(),
            address: address.parse().unwrap(),
            eni: known.then(|| "eni-1".into()),
            instance: known.then(|| name.into()),
        };
        Report {
            answer_dropped: Vec::new(),
            allowed: false,
            vpc: "vpc-1".into(),
            from: end("203.0.113.10", "203.0.113.10", false),
            to: end("i-db", "10.1.0.1", true),
            service: "tcp/22".to_owned(),
            transport: Transport::Tcp { source: 50_000, destination: 22 },
            legs: vec![rule("sgr-1", 1)],
            revision: Revision(7),
        }
    }

    fn rule(rule: &str, priority: u8) -> Leg {
        let said = format!("deny tcp 22 from 0.0.0.0/0, priority {priority}");
        let why = Why::Rule { group: "sg-1".into(), rule: rule.into() };
        Leg {
            direction: Direction::Ingress,
            eni: "eni-1".into(),
            instance: Some("i-db".into()),
            flavor: Some(Flavor::EcsBasic),
            decision: Decision { action: Action::Deny, why, revision: Revision(7) },
            group: Some(GroupName { id: "sg-1".into(), name: "db".to_owned() }),
            rule: Some(rule.into()),
            reason: format!("rule {rule} of sg-1 (db): {said}"),
            rule_text: Some(said),
            default: Action::Deny,
        }
    }

    fn answer() -> WhyAnswer {
        let step = SuggestedStep {
            says: "revoke rule sgr-1 of sg-1 (db)".to_owned(),
            command: "aliyun ecs RevokeSecurityGroup --SecurityGroupRuleId.1 sgr-1".to_owned(),
        };
        let line = CostLine {
            direction: Direction::Ingress,
            interfaces: vec!["eni-2".to_owned(), "eni-3".to_owned()],
            services: vec!["tcp/22".to_owned()],
            peers: vec!["0.0.0.0/0".to_owned()],
            own: None,
        };
        let others = vec!["eni-2".into(), "eni-3".into()];
        let (packets, unknown) = (Some("131072".to_owned()), None);
        let cost = Cost { packets, lines: vec![line], interfaces: 2, others, bearers: 3, unknown };
        let explanation = Explanation {
            report: report(),
            pairs: 1,
            pairs_allowed: 0,
            pairs_answered: 0,
            answers: Vec::new(),
            answers_more: 0,
            blockers: vec![rule("sgr-1", 1), rule("sgr-2", 5)],
            openers: Vec::new(),
            peering: None,
            notes: Vec::new(),
            goal: Goal::Allow,
            change: Some(Suggestion { steps: vec![step], cost, legs: Vec::new() }),
            no_change: None,
        };
        let (eni, host) = ("eni-1".into(), Some("rack-1".into()));
        let count = Count { packets: 3, bytes: 180 };
        let (group, rule) = (Some("sg-1".into()), Some("sgr-1".into()));
        let decided = Decided {
            eni: "eni-1".into(),
            direction: Direction::Ingress,
            group,
            rule,
            reason: "rule".to_owned(),
            count,
            last_used: Some(Timestamp(0)),
        };
        let evidence = Evidence {
            hosts: vec![EnforcedAt { eni, host, applied: Some(Revision(6)), is_current: false }],
            counters: vec![decided],
            watched_since: Timestamp(0),
            live: LiveEvidence {
                count: 0,
                flows: Vec::new(),
                unknown: vec!["the live flows of host `rack-1` are not known: it is not connected".to_owned()],
            },
            flows: Vec::new(),
            recorded_since: None,
        };
        WhyAnswer { explanation, evidence }
    }

    #[test]
    fn what_decides_what_else_is_in_the_way_and_what_would_help_are_shown() {
        expect![[r#"
            denied: tcp/22 from 203.0.113.10, outside every interface to i-db (10.1.0.1) in vpc-1, revision 7
            AT       INTERFACE  INSTANCE  DECISION  REASON
            ingress  eni-1      i-db      deny      rule sgr-1 of sg-1 (db): deny tcp 22 from 0.0.0.0/0, priority 1

            everything that drops it:
            AT       INTERFACE  INSTANCE  DECISION  REASON
            ingress  eni-1      i-db      deny      rule sgr-1 of sg-1 (db): deny tcp 22 from 0.0.0.0/0, priority 1
            ingress  eni-1      i-db      deny      rule sgr-2 of sg-1 (db): deny tcp 22 from 0.0.0.0/0, priority 5

            the smallest change that would allow it:
              revoke rule sgr-1 of sg-1 (db)
                aliyun ecs RevokeSecurityGroup --SecurityGroupRuleId.1 sgr-1
              it opens 131072 other packets (protocol, ports and addresses), also at 2 other interfaces; 3 interfaces have what it changes
            WAY      INTERFACES  SERVICES  WITH       OWN ADDRESS
            ingress  eni-2       tcp/22    0.0.0.0/0  all
                     eni-3

            COUNTED AT        OF                                         PACKETS  BYTES  LAST USED
            ingress of eni-1  rule sgr-1 of sg-1, at all its interfaces  3        180    1970-01-01T00:00:00Z
            eni-1 is not enforced so yet: host rack-1 has applied revision 6
            the live flows of host `rack-1` are not known: it is not connected
            single packets are not recorded at the moment; `sekimori flows` begins it
        "#]].assert_eq(&page(&answer()).plain());
    }

    #[test]
    fn several_pairs_are_told_by_what_decides_about_them() {
        let mut answer = answer();
        let of = |allowed, from: &str, legs| why::Answer {
            allowed,
            pairs: 2,
            from: vec![from.to_owned()],
            to: vec!["i-db".to_owned()],
            legs,
            answer_dropped: Vec::new(),
        };
        answer.explanation.answers =
            vec![of(false, "0.0.0.0-9.255.255.255", vec![rule("sgr-1", 1)]), of(true, "11.0.0.0/8", Vec::new())];
        answer.explanation.pairs = 4;
        answer.explanation.pairs_allowed = 2;
        answer.explanation.pairs_answered = 1;
        answer.explanation.change = None;
        answer.explanation.no_change = Some("nothing helps".to_owned());
        answer.evidence.counters.clear();
        answer.evidence.hosts.clear();
        expect![[r#"
            tcp/22: 2 of 4 pairs of ends are allowed and 1 answered, in vpc-1, revision 7
            one of them, from 203.0.113.10, outside every interface to i-db (10.1.0.1):
            AT       INTERFACE  INSTANCE  DECISION  REASON
            ingress  eni-1      i-db      deny      rule sgr-1 of sg-1 (db): deny tcp 22 from 0.0.0.0/0, priority 1

            all of them:
            DECISION  PAIRS  FROM                   TO    REASON
            deny      2      0.0.0.0-9.255.255.255  i-db  ingress: rule sgr-1 of sg-1 (db): deny tcp 22 from 0.0.0.0/0, priority 1
            allow     2      11.0.0.0/8             i-db

            everything that drops it:
            AT       INTERFACE  INSTANCE  DECISION  REASON
            ingress  eni-1      i-db      deny      rule sgr-1 of sg-1 (db): deny tcp 22 from 0.0.0.0/0, priority 1
            ingress  eni-1      i-db      deny      rule sgr-2 of sg-1 (db): deny tcp 22 from 0.0.0.0/0, priority 5

            no change would allow it: nothing helps

            the live flows of host `rack-1` are not known: it is not connected
            single packets are not recorded at the moment; `sekimori flows` begins it
        "#]].assert_eq(&page(&answer).plain());
    }

    #[test]
    fn an_answer_is_read_as_it_was_written() {
        let answer = answer();
        let text = serde_json::to_string(&answer).unwrap();
        assert_eq!(serde_json::from_str::<WhyAnswer>(&text).unwrap(), answer);
    }
}
