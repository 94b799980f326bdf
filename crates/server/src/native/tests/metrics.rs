//! What is scraped, and that dashboard and alert rules name nothing else.

use std::{collections::BTreeSet, fs, path::Path};

use sekimori_core::{
    feed::{Count, Counter, Gauges, ReadBack, Tally, TallyReport},
    flow_event::{EventLosses, FlowReport},
    flow_room::FlowUse,
    rule::Direction,
    time::Timestamp,
};

use super::*;
use crate::testing::new_vpc;

/// A scrape of a server whose host has reported, counted, lagged and differed.
async fn scrape() -> String {
    let lab = Lab::new();
    let host = "rack-1".into();
    let session = lab.report(8, Vec::new());
    lab.bench.commit(new_vpc()).await;
    lab.bench.hosts.report(&host, session, Revision(9), Vec::new());
    let eni = |reason: &str, passed, packets| Tally {
        counter: Counter::Eni {
            eni: format!("eni-{packets}").into(),
            direction: Direction::Ingress,
            passed,
            reason: reason.to_owned(),
        },
        life: packets,
        is_over: false,
        count: Count { packets, bytes: 0 },
    };
    let tallies = vec![eni("rule", true, 3), eni("rule", true, 4), eni("default", false, 9)];
    let flow_use = FlowUse { borrowed: [0, 1], pool: 131_072, half_open: 4 };
    let gauges = Some(Gauges { flows: 5, flows_v6: 2, flow_use, shadows: Vec::new() });
    let report = TallyReport { number: 1, is_whole: true, tallies, gauges, ..TallyReport::default() };
    lab.bench.hosts.count(&host, session, report, &World::default());
    let differed = ReadBack { checked: 70, found: 2, ..ReadBack::default() };
    lab.bench.hosts.verifier.note(&host, differed, Timestamp(1));
    let lost = EventLosses { rate_limit: 11, ring_full: 1, server_slow: 0 };
    lab.bench.hosts.flows.note(&host, FlowReport { events: Vec::new(), lost }, &World::default());
    assert_eq!(lab.send(Method::GET, "/metrics", None, "").await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(lab.refused(Method::GET, "/v1/nothing", "").await.0, 404);
    lab.send(Method::GET, "/?Action=DescribeVpcs&Version=2016-11-15", None, "").await;
    let (status, text) = lab.call(Method::GET, "/metrics", "").await;
    assert_eq!(status, StatusCode::OK, "{text}");
    text
}

#[tokio::test]
async fn a_scrape_tells_what_hosts_and_clients_do() {
    let text = scrape().await;
    for line in [
        "sekimori_committed_revision 9",
        r#"sekimori_applied_revision{host="rack-1"} 9"#,
        r#"sekimori_host_connected{host="rack-1"} 1"#,
        r#"sekimori_host_silent_seconds{host="rack-1"} 0"#,
        r#"sekimori_closed_interfaces{host="rack-1"} 0"#,
        r#"sekimori_decisions_total{host="rack-1",direction="ingress",decision="allow",reason="rule"} 7"#,
        r#"sekimori_decisions_total{host="rack-1",direction="ingress",decision="deny",reason="default"} 9"#,
        r#"sekimori_conntrack_flows{host="rack-1",family="ipv4"} 3"#,
        r#"sekimori_conntrack_flows{host="rack-1",family="ipv6"} 2"#,
        r#"sekimori_conntrack_flows_max{family="ipv6"} 262144"#,
        r#"sekimori_conntrack_borrowed{host="rack-1",family="ipv6"} 1"#,
        r#"sekimori_conntrack_borrowed_max{host="rack-1"} 131072"#,
        r#"sekimori_conntrack_half_open{host="rack-1"} 4"#,
        r#"sekimori_conntrack_half_open_max 16384"#,
        r#"sekimori_capacity_limit{resource="interfaces"} 16384"#,
        r#"sekimori_read_back_entries_total{host="rack-1"} 70"#,
        r#"sekimori_read_back_differences_total{host="rack-1"} 2"#,
        r#"sekimori_flow_events_total{host="rack-1",decision="deny"} 0"#,
        r#"sekimori_flow_events_lost_total{host="rack-1",cause="rate-limit"} 11"#,
        r#"sekimori_refused_requests_total{api="native",code="unauthorized"} 1"#,
        r#"sekimori_refused_requests_total{api="native",code="not-found"} 1"#,
        r#"sekimori_update_latency_seconds_count{host="rack-1"} 1"#,
        "# EOF",
    ] {
        assert!(text.lines().any(|one| one == line), "no `{line}` in\n{text}");
    }
    assert!(text.contains(r#"sekimori_refused_requests_total{api="ec2","#), "{text}");
}

#[tokio::test]
async fn dashboard_and_alerts_name_only_what_is_scraped() {
    let text = scrape().await;
    let samples: BTreeSet<&str> =
        text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split(['{', ' ']).next()).collect();
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
    let mut named = BTreeSet::new();
    for file in ["grafana/sekimori.json", "prometheus/alerts.yml"] {
        let text = fs::read_to_string(deploy.join(file)).unwrap();
        let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        let names: Vec<String> = words.filter(|word| word.starts_with("sekimori_")).map(str::to_owned).collect();
        assert!(names.len() > 8, "{file} names {names:?}");
        for name in names {
            assert!(samples.contains(name.as_str()), "{file} names `{name}`, which no scrape has: {samples:?}");
            named.insert(name);
        }
    }
    let base =
        |name: &str| name.trim_end_matches("_bucket").trim_end_matches("_sum").trim_end_matches("_count").to_owned();
    let shown: BTreeSet<String> = named.iter().map(|name| base(name)).collect();
    let unseen: Vec<String> = samples.iter().map(|name| base(name)).filter(|name| !shown.contains(name)).collect();
    assert_eq!(unseen, Vec::<String>::new(), "the dashboard shows everything that is scraped");
}

#[test]
fn the_dashboard_is_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/grafana/sekimori.json");
    let dashboard: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() >= 8 && panels.iter().all(|panel| panel["targets"][0]["expr"].is_string()));
}
