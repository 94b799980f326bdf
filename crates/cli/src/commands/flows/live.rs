//! Live flows, as the kernels hold them: what `sekimori flows --live` prints, and what other commands say of a flow.

use std::net::{IpAddr, SocketAddr};

use comfy_table::{Cell, Row};
use sekimori_core::{live_flow::LiveFlow, rule::Direction};
use sekimori_server::api::{LiveFlowList, LiveHost, LiveSight};

use crate::output::{Page, alarm};

/// The list.
pub(crate) fn page(list: &LiveFlowList) -> Page {
    let header = ["STATE", "IDLE", "FROM", "TO", "PROTOCOL", "PACKETS", "BYTES", "BEGUN BY", "AT"];
    let page = Page::default().table(&header, list.flows.iter().map(row), "no live flow that was asked for");
    let page = match list.untold {
        0 => page,
        untold => {
            page.line("").line(format!("{untold} more are not shown, those that were idle longest; see --limit"))
        }
    };
    silent(page, &list.hosts)
}

/// The hosts that have not told their flows.
pub(crate) fn silent(page: Page, hosts: &[LiveHost]) -> Page {
    let failed = hosts.iter().filter_map(|host| Some((&host.host, host.failure.as_ref()?)));
    failed.fold(page, |page, (host, failure)| page.line(format!("host {host} is missing here: it {failure}")))
}

fn row(sight: &LiveSight) -> Row {
    let LiveSight { flow, is_ending, .. } = sight;
    let (from, to) = ends(sight);
    let state = if *is_ending { format!("{}, not allowed any more", flow.state) } else { flow.state.to_string() };
    Row::from(vec![
        alarm(state, *is_ending),
        Cell::new(idle(flow)),
        Cell::new(from),
        Cell::new(to),
        Cell::new(flow.protocol()),
        Cell::new(both(flow.packets)),
        Cell::new(both(flow.bytes)),
        Cell::new(&flow.begun_by),
        Cell::new(format!("{} of {}", flow.first.direction, flow.eni)),
    ])
}

/// One flow as a line.
pub(crate) fn words(sight: &LiveSight) -> String {
    let LiveSight { flow, is_ending, .. } = sight;
    let (from, to) = ends(sight);
    let ending = if *is_ending { ", not allowed any more" } else { "" };
    let (packets, direction) = (both(flow.packets), flow.first.direction);
    format!(
        "{}{ending}, idle {}: {from} -> {to} {}, {packets} packets, by {}, {direction} of {}",
        flow.state,
        idle(flow),
        flow.protocol(),
        flow.begun_by,
        flow.eni
    )
}

/// How long it has been idle.
pub(crate) fn idle(flow: &LiveFlow) -> String {
    format!("{} s", flow.idle_s)
}

/// Numbers of both directions: that of the first packet, and the other.
pub(crate) fn both([there, back]: [u64; 2]) -> String {
    format!("{there} / {back}")
}

/// From where, and to where.
fn ends(sight: &LiveSight) -> (String, String) {
    let LiveSight { flow, instance, peer_instance, .. } = sight;
    let named = |(address, port): (IpAddr, Option<u16>), instance: &Option<_>| {
        let at = port.map_or_else(|| address.to_string(), |port| SocketAddr::new(address, port).to_string());
        instance.as_ref().map_or_else(|| at.clone(), |instance| format!("{at} ({instance})"))
    };
    let (from, to) = match flow.first.direction {
        Direction::Ingress => (peer_instance, instance),
        Direction::Egress => (instance, peer_instance),
    };
    (named(flow.source(), from), named(flow.destination(), to))
}

#[cfg(test)]
pub(crate) mod tests {
    use expect_test::expect;
    use sekimori_core::{
        live_flow::{BegunBy, FlowState},
        packet::{Packet, Transport},
        world::Revision,
    };

    use super::*;

    /// An established flow of `eni-1`.
    pub(crate) fn established(first: Packet) -> LiveFlow {
        LiveFlow {
            eni: "eni-1".into(),
            first,
            icmp_id: 0,
            begun_by: BegunBy::NoRule,
            state: FlowState::Established,
            is_untracked: false,
            packets: [12, 9],
            bytes: [900, 800],
            idle_s: 4,
        }
    }

    fn sight(edit: impl FnOnce(&mut LiveSight)) -> LiveSight {
        let mut sight = LiveSight {
            host: "rack-1".into(),
            instance: Some("i-db".into()),
            peer_instance: None,
            is_ending: false,
            flow: LiveFlow {
                eni: "eni-db".into(),
                begun_by: BegunBy::Rule { group: "sg-db".into(), rule: "sgr-1".into() },
                bytes: [1_200, 3_400],
                ..established(Packet {
                    direction: Direction::Ingress,
                    local: [10, 0, 0, 2].into(),
                    peer: [203, 0, 113, 9].into(),
                    transport: Transport::Tcp { source: 50_000, destination: 22 },
                    is_forwarded: false,
                })
            },
        };
        edit(&mut sight);
        sight
    }

    #[test]
    fn live_flows_are_told_with_how_far_they_have_come() {
        let pinged = sight(|sight| {
            let flow = &mut sight.flow;
            flow.first.direction = Direction::Egress;
            (flow.first.local, flow.first.peer) = ("fd00::2".parse().unwrap(), "fd00::1".parse().unwrap());
            flow.first.transport = Transport::Icmp { protocol: 58, kind: 128, code: 0 };
            (flow.begun_by, flow.state) = (BegunBy::NoRule, FlowState::Answered);
            sight.peer_instance = Some("i-web".into());
        });
        let ending = sight(|sight| (sight.is_ending, sight.flow.begun_by) = (true, BegunBy::Gone));
        let host = |host: &str, failure: Option<&str>| LiveHost {
            host: host.into(),
            failure: failure.map(str::to_owned),
            revision: Some(Revision(7)),
            told: 3,
            untold: 40,
        };
        let hosts = vec![host("rack-1", None), host("rack-2", Some("is not connected"))];
        let list = LiveFlowList { flows: vec![sight(|_| {}), pinged, ending], untold: 40, hosts };
        expect![[r#"
            STATE                              IDLE  FROM               TO                  PROTOCOL    PACKETS  BYTES        BEGUN BY             AT
            established                        4 s   203.0.113.9:50000  10.0.0.2:22 (i-db)  tcp         12 / 9   1200 / 3400  rule sgr-1 of sg-db  ingress of eni-db
            answered                           4 s   fd00::2 (i-db)     fd00::1 (i-web)     icmp 128.0  12 / 9   1200 / 3400  default              egress of eni-db
            established, not allowed any more  4 s   203.0.113.9:50000  10.0.0.2:22 (i-db)  tcp         12 / 9   1200 / 3400  a rule that is gone  ingress of eni-db

            40 more are not shown, those that were idle longest; see --limit
            host rack-2 is missing here: it is not connected
        "#]].assert_eq(&page(&list).plain());
        expect!["established, idle 4 s: 203.0.113.9:50000 -> 10.0.0.2:22 (i-db) tcp, 12 / 9 packets, by rule sgr-1 of sg-db, ingress of eni-db"].assert_eq(&words(&list.flows[0]));
        let text = serde_json::to_string(&list).unwrap();
        assert_eq!(serde_json::from_str::<LiveFlowList>(&text).unwrap(), list);
    }
}
