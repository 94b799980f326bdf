//! `sekimori flows`: which flows began and which packets were dropped, who wanted to whom, and what decided.

pub(crate) mod live;

use std::io::{BufRead as _, BufReader};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use comfy_table::{Cell, Row};
use sekimori_core::{flow_event::EventLosses, rule::Action, time::Timestamp};
use sekimori_server::{
    FLOWS_LISTED_MAX,
    api::{FlowList, FlowNews, FlowSight, LiveFlowList},
};

use crate::{
    cli::{Common, Format},
    client::Client,
    exit::{Answer, Failure, Outcome},
    moment,
    output::{self, NONE, Page, action},
};

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sekimori flows --verdict deny --since 10m\n  \
                        sekimori flows --watch --instance i-db --port 5432\n  \
                        sekimori flows --live --instance i-db --peer 10.0.0.0/8")]
pub(crate) struct FlowsArgs {
    /// Print what comes from now on, until interrupted
    #[arg(long, conflicts_with_all = ["since", "limit"])]
    watch: bool,
    /// List the flows that the kernels hold now, in place of those that were seen to begin
    #[arg(long, conflicts_with_all = ["watch", "since", "verdict", "reason"])]
    live: bool,
    /// Only what was allowed, or denied
    #[arg(long, value_enum)]
    verdict: Option<Verdict>,
    /// Only at this network interface
    #[arg(long, value_name = "ENI")]
    eni: Option<String>,
    /// Only at the interfaces of this instance
    #[arg(long, value_name = "INSTANCE")]
    instance: Option<String>,
    /// Only with the other end in this block
    #[arg(long, value_name = "CIDR")]
    peer: Option<String>,
    /// Only to this port
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Only of this protocol: tcp, udp, icmp, icmpv6 or a number
    #[arg(long, value_name = "PROTOCOL")]
    protocol: Option<String>,
    /// Only for this reason, as `sekimori counters` names it
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,
    /// Only since then: 30s, 10m, 2h, 1d or a moment
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    since: Option<Timestamp>,
    /// At most so many, the newest
    #[arg(long, value_name = "N", default_value_t = 100,
          value_parser = clap::value_parser!(u64).range(1..=FLOWS_LISTED_MAX as u64))]
    limit: u64,
    /// The same as --output json
    #[arg(long)]
    json: bool,
}

/// A decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Verdict {
    /// It passed.
    Allow,
    /// It was dropped.
    Deny,
}

impl FlowsArgs {
    fn query(&self) -> Vec<(&'static str, String)> {
        let verdict = self.verdict.map(|verdict| match verdict {
            Verdict::Allow => "allow".to_owned(),
            Verdict::Deny => "deny".to_owned(),
        });
        let named = [
            ("verdict", verdict),
            ("eni", self.eni.clone()),
            ("instance", self.instance.clone()),
            ("peer", self.peer.clone()),
            ("port", self.port.map(|port| port.to_string())),
            ("protocol", self.protocol.clone()),
            ("reason", self.reason.clone()),
            ("since", self.since.map(|since| since.0.to_string())),
            ("limit", (!self.watch).then(|| self.limit.to_string())),
        ];
        named.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

/// Lists or watches.
pub(crate) fn run(common: &Common, args: FlowsArgs) -> Outcome {
    let client = Client::connect(common)?;
    let format = if args.json { Format::Json } else { common.output };
    let query = args.query();
    let query: Vec<(&str, &str)> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
    if args.live {
        let list: LiveFlowList = client.get("/v1/flows/live", &query)?;
        output::show(format, &list, live::page)?;
        return Ok(Answer::Yes);
    }
    if args.watch {
        return watch(&client, format, &query);
    }
    let list: FlowList = client.get("/v1/flows", &query)?;
    output::show(format, &list, page)?;
    Ok(Answer::Yes)
}

/// Prints line by line until the server or the reader ends.
fn watch(client: &Client, format: Format, query: &[(&str, &str)]) -> Outcome {
    let lines = BufReader::new(client.follow("/v1/flows/watch", query)?).lines();
    for line in lines {
        let line = line.context("the server has ended the watch; ask again")?;
        let news: FlowNews =
            serde_json::from_str(&line).context("the server sent what this command does not know")?;
        match (format.is_json(), &news) {
            (_, FlowNews::Quiet) => {}
            (true, _) => output::print(&(line + "\n"))?,
            (false, FlowNews::Flow(sight)) => output::print(&(words(sight) + "\n"))?,
            (false, FlowNews::Lost(lost)) => output::print(&(losses(lost) + "\n"))?,
            (false, FlowNews::Missed(missed)) => {
                output::print(&format!("{missed} events were not read in time and are missing here\n"))?;
            }
        }
    }
    Err(Failure::Failed(anyhow::anyhow!("the server has ended the watch; ask again")))
}

fn page(list: &FlowList) -> Page {
    let since = list.recorded_since.map_or_else(|| "now".to_owned(), moment::show);
    let until = list.recorded_until.map_or_else(|| "then".to_owned(), moment::show);
    let header = ["TIME", "VERDICT", "FROM", "TO", "PROTOCOL", "DECIDED BY", "AT"];
    let page = Page::default()
        .line(format!("new flows and dropped packets, recorded since {since} and, unless asked again, until {until}"))
        .line("")
        .table(&header, list.flows.iter().map(row), "nothing was seen that was asked for");
    let page = if list.has_more { page.line("").line("there are older ones; see --limit") } else { page };
    if list.lost.total() == 0 { page } else { page.line("").line(losses(&list.lost)) }
}

fn row(sight: &FlowSight) -> Row {
    let event = &sight.event;
    let (from, to) = ends(sight);
    Row::from(vec![
        Cell::new(moment::show_ms(event.at_ms)),
        action(if event.passed { Action::Allow } else { Action::Deny }),
        Cell::new(from),
        Cell::new(to),
        Cell::new(protocol(sight)),
        Cell::new(decided_by(sight)),
        Cell::new(format!("{} of {}", event.direction, event.eni)),
    ])
}

/// One event as a line.
pub(crate) fn words(sight: &FlowSight) -> String {
    let event = &sight.event;
    let (from, to) = ends(sight);
    let verdict = if event.passed { "allow" } else { "deny " };
    format!(
        "{} {verdict} {from} -> {to} {} by {}, {} of {}",
        moment::show_ms(event.at_ms),
        protocol(sight),
        decided_by(sight),
        event.direction,
        event.eni
    )
}

/// From where, and to where.
fn ends(sight: &FlowSight) -> (String, String) {
    use sekimori_core::rule::Direction;
    let FlowSight { event, instance, peer_instance, .. } = sight;
    let named = |(address, port): (Option<std::net::IpAddr>, Option<u16>), instance: Option<String>| {
        let at = match (address, port) {
            (Some(address), Some(port)) => std::net::SocketAddr::new(address, port).to_string(),
            (Some(address), None) => address.to_string(),
            (None, _) => NONE.to_owned(),
        };
        instance.map_or_else(|| at.clone(), |instance| format!("{at} ({instance})"))
    };
    let (own, other) = (instance.as_ref().map(ToString::to_string), peer_instance.as_ref().map(ToString::to_string));
    let (from, to) = match event.direction {
        Direction::Ingress => (other, own),
        Direction::Egress => (own, other),
    };
    (named(event.source(), from), named(event.destination(), to))
}

fn protocol(sight: &FlowSight) -> String {
    let event = &sight.event;
    match (event.protocol, event.icmp) {
        (_, Some(icmp)) => format!("icmp {}.{}", icmp.kind, icmp.code),
        (6, None) => "tcp".to_owned(),
        (17, None) => "udp".to_owned(),
        (0, None) if event.local.is_none() => NONE.to_owned(),
        (other, None) => other.to_string(),
    }
}

fn decided_by(sight: &FlowSight) -> String {
    let event = &sight.event;
    match (&event.group, &event.rule) {
        (Some(group), Some(rule)) => format!("rule {rule} of {group}"),
        (Some(group), None) => format!("intra-group accept of {group}"),
        (None, _) => event.reason.clone(),
    }
}

fn losses(lost: &EventLosses) -> String {
    let causes = lost.by_cause().map(|(cause, lost)| format!("{lost} {cause}"));
    format!("not shown since the agents started: {}", causes.join(", "))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use sekimori_core::{
        flow_event::{FlowEvent, IcmpKind},
        rule::Direction,
        world::Revision,
    };

    use super::*;

    fn sight(edit: impl FnOnce(&mut FlowSight)) -> FlowSight {
        let mut sight = FlowSight {
            host: "one".into(),
            number: 1,
            instance: Some("i-db".into()),
            peer_instance: Some("i-web".into()),
            event: FlowEvent {
                at_ms: 1_700_000_000_120,
                eni: "eni-db".into(),
                direction: Direction::Ingress,
                passed: true,
                reason: "rule".to_owned(),
                group: Some("sg-db".into()),
                rule: Some("sgr-1".into()),
                policy: 3,
                revision: Some(Revision(9)),
                protocol: 6,
                local: "10.0.0.2".parse().ok(),
                peer: "10.0.0.1".parse().ok(),
                local_port: Some(5432),
                peer_port: Some(41_000),
                icmp: None,
                tcp_flags: 2,
                bytes: 74,
                packets: 1,
            },
        };
        edit(&mut sight);
        sight
    }

    #[test]
    fn a_flow_is_told_in_plain_words() {
        let denied = sight(|sight| {
            (sight.instance, sight.peer_instance) = (Some("i-db".into()), None);
            let event = &mut sight.event;
            (event.passed, event.reason, event.group, event.rule) = (false, "default".to_owned(), None, None);
            (event.direction, event.protocol) = (Direction::Egress, 58);
            (event.local, event.peer) = ("fd00::2".parse().ok(), "2001:db8::1".parse().ok());
            (event.local_port, event.peer_port, event.icmp) = (None, None, Some(IcmpKind { kind: 128, code: 0 }));
        });
        let intra = sight(|sight| sight.event.rule = None);
        let unread = sight(|sight| {
            let event = &mut sight.event;
            (event.local, event.peer, event.local_port, event.peer_port) = (None, None, None, None);
            (event.passed, event.group, event.protocol, event.reason) = (false, None, 0, "not-ip".to_owned());
            (sight.instance, sight.peer_instance) = (None, None);
        });
        let list = FlowList {
            flows: vec![sight(|_| {}), denied, intra, unread],
            has_more: true,
            recorded_since: Some(Timestamp(1_700_000_000)),
            recorded_until: Some(Timestamp(1_700_000_600)),
            lost: EventLosses { rate_limit: 90, ring_full: 0, server_slow: 2 },
        };
        expect![[r#"
            new flows and dropped packets, recorded since 2023-11-14T22:13:20Z and, unless asked again, until 2023-11-14T22:23:20Z

            TIME                      VERDICT  FROM                    TO                    PROTOCOL    DECIDED BY                   AT
            2023-11-14T22:13:20.120Z  allow    10.0.0.1:41000 (i-web)  10.0.0.2:5432 (i-db)  tcp         rule sgr-1 of sg-db          ingress of eni-db
            2023-11-14T22:13:20.120Z  deny     fd00::2 (i-db)          2001:db8::1           icmp 128.0  default                      egress of eni-db
            2023-11-14T22:13:20.120Z  allow    10.0.0.1:41000 (i-web)  10.0.0.2:5432 (i-db)  tcp         intra-group accept of sg-db  ingress of eni-db
            2023-11-14T22:13:20.120Z  deny     -                       -                     -           not-ip                       ingress of eni-db

            there are older ones; see --limit

            not shown since the agents started: 90 rate-limit, 0 ring-full, 2 server-slow
        "#]].assert_eq(&page(&list).plain());
        expect!["2023-11-14T22:13:20.120Z allow 10.0.0.1:41000 (i-web) -> 10.0.0.2:5432 (i-db) tcp by rule sgr-1 of sg-db, ingress of eni-db"].assert_eq(&words(&list.flows[0]));
    }
}
