//! The two clouds' APIs, from the bytes of a request to the bytes of the reply.
//!
//! An input is written as the requests in `crates/cloud/tests/recorded`: `METHOD target`, headers, an empty
//! line, the body. A wrong signature is noticed and overlooked, or nothing behind it would ever be reached.

use std::sync::LazyLock;

use sekimori_cloud::{
    RawRequest, Reply,
    api::{self, Api, Operation, Trouble},
    ec2, ecs,
};
use sekimori_core::{
    apply::{State, apply},
    command::Context,
    ids::{AccountId, HostId, IdSource},
    limits::LimitMode,
    time::Timestamp,
    world::Revision,
};

use super::WORLD;
use crate::generate::HOST;

/// Who calls the ECS API.
const ECS_ACCOUNT: &str = "1234567890123456";
/// Who calls the EC2 API.
const EC2_ACCOUNT: &str = "123456789012";
/// The secret of the recorded requests.
const SECRET: &[u8] = b"invented-secret-for-sekimori-tests";
/// 2026-11-23T18:32:41Z: when they were recorded.
const THEN: Timestamp = Timestamp(1_795_458_761);
/// Headers of one input.
const HEADERS_MAX: usize = 64;

static STATE: LazyLock<State> = LazyLock::new(|| State::new(WORLD.clone()));

/// A request of the ECS API, in both formats of the reply.
pub fn ecs_call(bytes: &[u8]) {
    call::<ecs::Call>(bytes, ECS_ACCOUNT);
}

/// A request of the EC2 or STS API.
pub fn ec2_call(bytes: &[u8]) {
    call::<ec2::Call>(bytes, EC2_ACCOUNT);
}

fn call<C: Api>(bytes: &[u8], account: &str) {
    let (head, body) = split(bytes);
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines();
    let (method, target) = lines.next().and_then(|line| line.split_once(' ')).unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let pairs = lines.take(HEADERS_MAX).filter_map(|line| line.split_once(':'));
    let headers: Vec<(String, String)> =
        pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
    let raw = RawRequest { method, path, query, headers: &headers, body };
    check(&api::early_fault(&raw, "R-1", Trouble::BodyTooLarge { bytes_max: 1 }));
    check(&answer::<C>(&raw, account));
}

fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.windows(2).position(|pair| pair == b"\n\n") {
        Some(at) => (&bytes[..at], &bytes[at + 2..]),
        None => (bytes, &[]),
    }
}

fn answer<C: Api>(raw: &RawRequest<'_>, account: &str) -> Reply {
    let call = match C::parse(raw, "R-1") {
        Ok(call) => call,
        Err(reply) => return *reply,
    };
    if let Err(fault) = call.verify(SECRET, THEN) {
        check(&call.fault(&fault));
    }
    let account = AccountId::from(account);
    match call.decode(&WORLD, &account) {
        Err(fault) => call.fault(&fault),
        Ok(Operation::Query(query)) => call.answer(&query, &WORLD, &account, Revision(1)),
        Ok(Operation::Command(command) | Operation::DryRun(command)) => {
            let (ids, host) = (IdSource::new(7), HostId::from(HOST));
            let mut context = Context { now: THEN, ids, limits: LimitMode::Cloud, host };
            match apply(&STATE, &command, &mut context) {
                Err(refusal) => call.fault(&Trouble::Refused(refusal).into()),
                Ok(applied) => call.outcome(&applied.outcome, applied.state.world(), &account, Revision(1)),
            }
        }
    }
}

/// A reply is a success or the client's fault, and can be read.
fn check(reply: &Reply) {
    assert!(reply.status == 200 || (400..500).contains(&reply.status), "{reply:?}");
    let text = String::from_utf8_lossy(&reply.body);
    match reply.content_type {
        // Services that are not spoken here are answered without an id in the body.
        "application/json" => assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{text}"),
        kind if kind.starts_with("application/json") => {
            let value: Option<serde_json::Value> = serde_json::from_slice(&reply.body).ok();
            let request_id = value.as_ref().and_then(|value| value["RequestId"].as_str());
            assert_eq!(request_id, Some("R-1"), "{text}");
        }
        _ => assert!(is_well_formed(&text) && text.contains("R-1"), "{text}"),
    }
}

fn is_well_formed(text: &str) -> bool {
    let mut reader = quick_xml::Reader::from_str(text);
    loop {
        match reader.read_event() {
            Ok(quick_xml::events::Event::Eof) => return true,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
}
