//! Events of flows through the API: listed, refused, and watched until the server stops.

use http_body_util::BodyExt as _;
use sekimori_core::{
    flow_event::{EventLosses, FlowReport},
    world::World,
};

use super::*;
use crate::{
    api::{FlowList, FlowNews, LiveFlowList, WhyAnswer},
    testing::{live_flow, live_host},
};

#[tokio::test]
async fn a_question_begins_a_recording_and_names_what_cannot_be_asked() {
    let lab = Lab::new();
    let list: FlowList = lab.get("/v1/flows?verdict=deny&protocol=tcp&peer=10.0.0.0/8&port=22").await;
    assert!(list.flows.is_empty() && list.recorded_since.is_some() && list.recorded_until > list.recorded_since);
    for (query, word) in [
        ("verdict=maybe", "`maybe`"),
        ("peer=home", "`home`"),
        ("protocol=x25", "`x25`"),
        ("reason=mood", "`mood`"),
        ("limit=10001", "`10001`"),
        ("colour=red", "colour"),
    ] {
        let (status, code, message) = lab.refused(Method::GET, &format!("/v1/flows?{query}"), "").await;
        assert_eq!((status, code), (400, ErrorCode::Invalid), "{query}");
        assert!(message.contains(word), "{query}: {message}");
    }
    for (query, word) in [("eni=eni-0", "`eni-0`"), ("instance=i-0", "`i-0`"), ("since=99999999999", "not there yet")]
    {
        let (status, code, message) = lab.refused(Method::GET, &format!("/v1/flows?{query}"), "").await;
        assert_eq!((status, code), (404, ErrorCode::NotFound), "{query}");
        assert!(message.contains(word), "{query}: {message}");
    }
    let list: FlowList = lab.get("/v1/flows?protocol=TCP").await;
    assert!(list.flows.is_empty());
}

#[tokio::test]
async fn a_watch_is_told_what_is_lost_and_ends_with_the_server() {
    let lab = Lab::new();
    let flows = Arc::clone(&lab.bench.hosts.flows);
    let token = format!("Bearer {}", lab.app.secrets.token());
    let request = axum::http::Request::builder().uri("/v1/flows/watch").header(AUTHORIZATION, token);
    let request = request.body(Body::empty()).unwrap();
    let mut body = http::router(Arc::clone(&lab.app)).oneshot(request).await.unwrap().into_body();
    let tell = |rate_limit| {
        let lost = EventLosses { rate_limit, ..EventLosses::default() };
        flows.note(&"rack-1".into(), FlowReport { events: Vec::new(), lost }, &World::default());
    };
    tell(1);
    let reading = tokio::spawn(async move {
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        (serde_json::from_slice::<FlowNews>(&first).unwrap(), body)
    });
    while !reading.is_finished() {
        tell(2 + u64::from(next_step()));
        tokio::task::yield_now().await;
    }
    let (first, mut body) = reading.await.unwrap();
    assert!(matches!(first, FlowNews::Lost(lost) if lost.rate_limit > 1), "{first:?}");
    flows.close();
    while let Some(frame) = body.frame().await {
        assert!(frame.is_ok());
    }
}

/// A number that differs from the last one.
fn next_step() -> u32 {
    static STEP: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    STEP.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

#[tokio::test]
async fn live_flows_are_told_as_their_hosts_hold_them() {
    let lab = Lab::new();
    let world = lab.bench.committer.world();
    let enis: Vec<_> = world.enis().cloned().collect();
    let peer = enis[1].addresses[0].to_string();
    let https = live_flow(&enis[0], "192.0.2.9", 443);
    let refused = live_flow(&enis[0], "192.0.2.9", 22);
    let within = live_flow(&enis[0], &peer, 443);
    live_host(&lab.bench.hosts, "rack-1", vec![https.clone(), refused.clone(), within.clone()]);
    let list: LiveFlowList = lab.get("/v1/flows/live").await;
    let told: Vec<_> = list.flows.iter().map(|sight| (&sight.flow, sight.is_ending, &sight.peer_instance)).collect();
    let neighbour = enis[1].instance.clone();
    assert_eq!(told, [(&https, false, &None), (&refused, true, &None), (&within, false, &neighbour)]);
    assert!(list.flows.iter().all(|sight| sight.instance == enis[0].instance && sight.host.as_str() == "rack-1"));
    let some = async |query: String| {
        let list: LiveFlowList = lab.get(&format!("/v1/flows/live?{query}")).await;
        (list.flows.into_iter().map(|sight| sight.flow).collect::<Vec<_>>(), list.untold)
    };
    assert_eq!(some("port=22".to_owned()).await, (vec![refused], 0));
    assert_eq!(some(format!("peer={peer}&protocol=tcp")).await, (vec![within], 0));
    assert_eq!(some(format!("eni={}", enis[1].id)).await, (Vec::new(), 0));
    assert_eq!(some("limit=1".to_owned()).await, (vec![https], 2));
    for (query, status, word) in [
        ("peer=home", 400, "`home`"),
        ("protocol=x25", 400, "`x25`"),
        ("limit=10001", 400, "`10001`"),
        ("verdict=deny", 400, "verdict"),
        ("eni=eni-0", 404, "`eni-0`"),
        ("instance=i-0", 404, "`i-0`"),
    ] {
        let (found, _, message) = lab.refused(Method::GET, &format!("/v1/flows/live?{query}"), "").await;
        assert!(found == status && message.contains(word), "{query}: {found} {message}");
    }
}

#[tokio::test]
async fn the_evidence_of_why_has_the_live_flows_of_the_question() {
    let lab = Lab::new();
    let world = lab.bench.committer.world();
    let enis: Vec<_> = world.enis().cloned().collect();
    let ask = async |from: &str| {
        let to = enis[0].instance.clone().unwrap();
        let answer: WhyAnswer = lab.get(&format!("/v1/why?from={from}&to={to}&service=tcp/443")).await;
        answer.evidence.live
    };
    let unknown = ask("192.0.2.9").await;
    assert!(unknown.count == 0 && unknown.unknown[0].contains("`rack-1`"), "{unknown:?}");
    let flows: Vec<_> = (0..30)
        .map(|_| live_flow(&enis[0], "192.0.2.9", 443))
        .chain([live_flow(&enis[0], "192.0.2.9", 22), live_flow(&enis[1], "192.0.2.9", 443)])
        .collect();
    live_host(&lab.bench.hosts, "rack-1", flows);
    let live = ask("192.0.2.9").await;
    assert_eq!((live.count, live.flows.len(), live.unknown.len()), (30, 20, 0));
    assert!(live.flows.iter().all(|sight| sight.flow.eni == enis[0].id && sight.flow.destination().1 == Some(443)));
    assert_eq!(ask("192.0.2.10").await.count, 0);
}
