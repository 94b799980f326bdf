//! `sekimori counters`: what the kernels have passed and dropped, by rule and by interface.

use std::{thread, time::Duration};

use clap::Args;
use comfy_table::{Cell, Row};
use sekimori_core::{
    feed::{EniCount, RuleCount},
    rule::Action,
};
use sekimori_server::api::Counters;

use crate::{
    cli::{Common, Format},
    client::Client,
    exit::{Answer, Failure, Outcome},
    output::{self, Page, action},
};

/// Moves the cursor home and clears a terminal.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sekimori counters --watch --interval-s 5")]
pub(crate) struct CountersArgs {
    /// Print again and again until interrupted
    #[arg(long)]
    watch: bool,
    /// The time between two prints, in seconds
    #[arg(long, default_value_t = 2, value_name = "N", requires = "watch",
          value_parser = clap::value_parser!(u64).range(1..=3_600))]
    interval_s: u64,
}

/// Shows the counters.
pub(crate) fn run(common: &Common, args: CountersArgs) -> Outcome {
    let client = Client::connect(common)?;
    loop {
        let counters: Counters = client.get("/v1/counters", &[])?;
        if args.watch && common.output == Format::Table && output::is_terminal() {
            output::print(CLEAR)?;
        }
        show(common.output, args.watch, &counters)?;
        if !args.watch {
            return Ok(Answer::Yes);
        }
        thread::park_timeout(Duration::from_secs(args.interval_s));
    }
}

/// Watched JSON is one document a line, so that a program can tell them apart.
fn show(format: Format, is_watched: bool, counters: &Counters) -> Result<(), Failure> {
    if format.is_json() && is_watched {
        let line = serde_json::to_string(counters).map_err(|error| Failure::Failed(error.into()))?;
        return output::print(&(line + "\n"));
    }
    output::show(format, counters, page)
}

fn page(counters: &Counters) -> Page {
    let total = &counters.total;
    Page::default()
        .line(format!(
            "live flows {} on {} hosts; new flows and dropped packets since counting began",
            total.flows,
            counters.hosts.len()
        ))
        .line("")
        .table(&["GROUP", "RULE", "PACKETS", "BYTES"], total.rules.iter().map(rule), "no rule has decided yet")
        .line("")
        .table(
            &["INTERFACE", "DIRECTION", "DECISION", "REASON", "PACKETS"],
            total.enis.iter().map(eni),
            "no interface has passed or dropped a packet yet",
        )
}

fn rule(count: &RuleCount) -> Row {
    let rule = count.rule.as_ref().map_or("intra-group accept", |rule| rule.as_str());
    Row::from(vec![
        Cell::new(&count.group),
        Cell::new(rule),
        Cell::new(count.count.packets),
        Cell::new(count.count.bytes),
    ])
}

fn eni(count: &EniCount) -> Row {
    let decision = if count.passed { Action::Allow } else { Action::Deny };
    Row::from(vec![
        Cell::new(&count.eni),
        Cell::new(count.direction),
        action(decision),
        Cell::new(&count.reason),
        Cell::new(count.packets),
    ])
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use sekimori_core::{
        feed::{Count, CounterReport},
        rule::Direction,
    };

    use super::*;

    #[test]
    fn counters_are_shown_by_rule_and_by_interface() {
        let rule = |rule: Option<&str>, packets| RuleCount {
            group: "sg-1".into(),
            rule: rule.map(Into::into),
            count: Count { packets, bytes: packets * 60 },
        };
        let enis = vec![EniCount {
            eni: "eni-1".into(),
            direction: Direction::Ingress,
            passed: false,
            reason: "default".to_owned(),
            packets: 9,
        }];
        let total = CounterReport {
            rules: vec![rule(Some("sgr-1"), 3), rule(None, 1)],
            enis,
            flows: 2,
            flows_v6: 1,
            ..CounterReport::default()
        };
        expect![[r#"
            live flows 2 on 0 hosts; new flows and dropped packets since counting began

            GROUP  RULE                PACKETS  BYTES
            sg-1   sgr-1               3        180
            sg-1   intra-group accept  1        60

            INTERFACE  DIRECTION  DECISION  REASON   PACKETS
            eni-1      ingress    deny      default  9
        "#]]
        .assert_eq(&page(&Counters { hosts: Vec::new(), total }).plain());
    }
}
