//! What is kept, what is found, and who wants it.

use sekimori_core::{change::Change, flow_log::FlowLog, resource::Resource, rule::Direction};

use super::*;
use crate::testing::{flow_log, small_world};

fn event(at_ms: u64, edit: impl FnOnce(&mut FlowEvent)) -> FlowEvent {
    let mut event = FlowEvent {
        at_ms,
        eni: "eni-1".into(),
        direction: Direction::Ingress,
        passed: false,
        reason: "default".to_owned(),
        group: None,
        rule: None,
        policy: 3,
        revision: None,
        protocol: 6,
        local: "10.1.0.1".parse().ok(),
        peer: "192.0.2.7".parse().ok(),
        local_port: Some(22),
        peer_port: Some(40_000),
        icmp: None,
        tcp_flags: 2,
        bytes: 60,
        packets: 1,
    };
    edit(&mut event);
    event
}

fn report(events: Vec<FlowEvent>) -> FlowReport {
    FlowReport { events, lost: EventLosses { rate_limit: 5, ..EventLosses::default() } }
}

fn times(found: &[Arc<FlowSight>]) -> Vec<u64> {
    found.iter().map(|sight| sight.event.at_ms).collect()
}

#[test]
fn events_are_found_by_what_is_asked() {
    let (flows, (_, world)) = (Flows::default(), small_world());
    let own = world.enis().next().unwrap();
    let other = world.enis().nth(1).unwrap();
    let within = event(3, |event| {
        (event.eni, event.peer, event.passed) = (own.id.clone(), other.addresses.first().copied(), true);
        (event.reason, event.direction) = ("rule".to_owned(), Direction::Egress);
        (event.local_port, event.peer_port, event.protocol) = (Some(50_000), Some(443), 17);
    });
    flows.note(&"two".into(), report(vec![within, event(9, |_| {})]), &world);
    flows.note(&"one".into(), report(vec![event(5, |_| {}), event(7, |event| event.eni = "eni-2".into())]), &world);
    let ask = |edit: fn(&mut FlowFilter)| {
        let mut filter = FlowFilter::default();
        edit(&mut filter);
        times(&flows.list(&filter, 100).0)
    };
    assert_eq!(ask(|_| {}), [3, 5, 7, 9], "by time, of every host");
    assert_eq!(ask(|filter| filter.passed = Some(true)), [3]);
    assert_eq!(ask(|filter| filter.eni = Some("eni-2".into())), [7]);
    assert_eq!(ask(|filter| filter.peer = "192.0.2.0/24".parse().ok()), [5, 7, 9]);
    assert_eq!(ask(|filter| filter.port = Some(443)), [3], "the port that it goes to");
    assert_eq!(ask(|filter| filter.port = Some(22)), [5, 7, 9]);
    assert_eq!(ask(|filter| filter.protocol = Some(17)), [3]);
    assert_eq!(ask(|filter| filter.reason = Some("rule".to_owned())), [3]);
    assert_eq!(ask(|filter| filter.since_ms = Some(7)), [7, 9]);
    let filter = FlowFilter { instance: own.instance.clone(), ..FlowFilter::default() };
    let (found, ..) = flows.list(&filter, 100);
    assert_eq!((times(&found), &found[0].peer_instance), (vec![3], &other.instance));
    let (newest, is_cut, lost) = flows.list(&FlowFilter::default(), 2);
    assert_eq!((times(&newest), is_cut, lost.rate_limit), (vec![7, 9], true, 10));
}

#[test]
fn a_watcher_sees_each_event_once_and_is_told_what_it_missed() {
    let (flows, world, host) = (Flows::default(), World::default(), HostId::from("one"));
    let everything = FlowFilter::default();
    let tell =
        |range: std::ops::Range<u64>| flows.note(&host, report(range.map(|n| event(n, |_| {})).collect()), &world);
    tell(0..3);
    let mut cursor = flows.end();
    assert!(flows.is_at_end(&cursor));
    tell(3..8);
    assert!(!flows.is_at_end(&cursor));
    let (first, missed) = flows.next(&mut cursor, &everything, 3);
    assert_eq!((times(&first), missed), (vec![3, 4, 5], 0));
    let none = FlowFilter { passed: Some(true), ..FlowFilter::default() };
    assert_eq!(flows.next(&mut cursor, &none, 1).0.len(), 0, "what is not meant is passed over");
    assert_eq!(times(&flows.next(&mut cursor, &everything, 9).0), [7]);
    tell(8..8 + FLOW_EVENTS_PER_HOST_MAX as u64 + 5);
    let (rest, missed) = flows.next(&mut cursor, &everything, usize::MAX);
    assert_eq!((rest.len(), missed), (FLOW_EVENTS_PER_HOST_MAX, 5));
    assert!(flows.is_at_end(&cursor));
    assert_eq!(flows.totals(&host).denied, 8 + FLOW_EVENTS_PER_HOST_MAX as u64 + 5);
}

#[test]
fn events_are_wanted_while_somebody_watches_and_for_a_while_after_a_question() {
    let flows = Arc::new(Flows::default());
    let wanted = |flows: &Flows| flows.interest.borrow().denied;
    assert!(!wanted(&flows));
    assert_eq!(flows.ask(Timestamp(100)), (Some(Timestamp(100)), Some(Timestamp(100 + RECORDED_S))));
    assert_eq!(flows.ask(Timestamp(200)).0, Some(Timestamp(100)));
    assert!(wanted(&flows));
    flows.look(Timestamp(199 + RECORDED_S));
    assert!(wanted(&flows));
    flows.look(Timestamp(200 + RECORDED_S));
    assert!(!wanted(&flows));
    let watchers: Vec<_> = (0..FLOW_WATCHERS_MAX).map(|_| flows.watch().unwrap()).collect();
    assert!(wanted(&flows) && flows.watch().is_none());
    drop(watchers);
    assert!(!wanted(&flows) && flows.watch().is_some());
}

#[test]
fn traffic_is_wanted_by_flow_logs_that_are_active() {
    let flows = Flows::default();
    let (_, mut world) = small_world();
    let records = |flows: &Flows| (flows.interest.borrow().records, flows.interest.borrow().denied);
    for (traffic, active_since, expected) in [
        (LoggedTraffic::Accepted, Some(Timestamp(0)), (true, false)),
        (LoggedTraffic::Rejected, Some(Timestamp(0)), (true, true)),
        (LoggedTraffic::Rejected, None, (false, false)),
    ] {
        let log = FlowLog { active_since, ..flow_log(traffic, 60, Resource::Vpc("vpc-1".into())) };
        world.apply(&Change::PutFlowLog(Arc::new(log)));
        flows.look_at(&world);
        assert_eq!(records(&flows), expected, "{traffic:?} {active_since:?}");
    }
}
