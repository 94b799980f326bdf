//! Events of flows through the API: listed, refused, and watched until the server stops.

use http_body_util::BodyExt as _;
use sekimori_core::{
    flow_event::{EventLosses, FlowReport},
    world::World,
};

use super::*;
use crate::api::{FlowList, FlowNews};

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
