//! The native API as a client sees it, without a socket.

mod changes;
mod console;
mod diff;
mod flows;
mod metrics;
mod refusals;

use axum::{
    body::Body,
    http::{Method, StatusCode},
};
use tower::ServiceExt;

use sekimori_core::{
    bypass::BypassSet,
    feed::{ClosedEni, CounterReport, Gauges, TallyReport},
    limits::LimitMode,
    world::{Dialect, Revision, Treatment},
};

use super::*;
use crate::{
    api::{self, ErrorBody, HealthStatus},
    http,
    testing::Bench,
};

struct Lab {
    bench: Bench,
    app: Arc<App>,
}

impl Lab {
    fn new() -> Self {
        let bench = Bench::on_small_world();
        let app = Arc::new(bench.app());
        Self { bench, app }
    }

    async fn send(&self, method: Method, path: &str, token: Option<&str>, body: &str) -> (StatusCode, String) {
        let mut request = axum::http::Request::builder().method(method).uri(path);
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = http::router(Arc::clone(&self.app)).oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn call(&self, method: Method, path: &str, body: &str) -> (StatusCode, String) {
        self.send(method, path, Some(self.app.secrets.token()), body).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        let (status, body) = self.call(Method::GET, path, "").await;
        assert_eq!(status, StatusCode::OK, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// The error that a request is answered with.
    async fn refused(&self, method: Method, path: &str, body: &str) -> (u16, ErrorCode, String) {
        let (status, body) = self.call(method, path, body).await;
        let ErrorBody { error } = serde_json::from_str(&body).unwrap();
        (status.as_u16(), error.code, error.message)
    }

    fn report(&self, revision: u64, closed: Vec<ClosedEni>) -> u64 {
        let host = "rack-1".into();
        let session = self.bench.hosts.connect(&host).unwrap();
        self.bench.hosts.report(&host, session, Revision(revision), closed);
        session
    }
}

/// The answer of a change without one of its own, which cuts nobody and is not on trial.
fn changed(revision: u64) -> String {
    format!(r#"{{"revision":{revision},"trial":null,"cuts":[],"flows":[],"unknown":[],"warnings":[],"stuck":[]}}"#)
}

#[tokio::test]
async fn everything_under_v1_needs_the_token() {
    let lab = Lab::new();
    let paths =
        ["/v1/status", "/v1/accounts", "/v1/counters", "/v1/bypass", "/v1/wait", "/v1/nothing", "/v1/", "/v1"];
    for path in paths {
        for token in [None, Some(""), Some("wrong")] {
            let (status, body) = lab.send(Method::GET, path, token, "").await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{path} {body}");
            assert!(body.contains(r#""code":"unauthorized""#), "{body}");
        }
    }
    let (status, code, message) = lab.refused(Method::GET, "/v1/nothing", "").await;
    assert_eq!((status, code), (404, ErrorCode::NotFound), "{message}");
    assert_eq!(lab.refused(Method::DELETE, "/v1/status", "").await.0, 404);
}

#[tokio::test]
async fn questions_beyond_a_short_queue_are_told_to_come_again() {
    let lab = Lab::new();
    let to = lab.bench.committer.world().instances().next().unwrap().id.clone();
    let path = format!("/v1/why?from=198.51.100.10&to={to}&service=tcp/22");
    let mut turns = Vec::new();
    for _ in 0..QUESTIONS_AT_A_TIME_MAX {
        turns.push(lab.app.questions.take().await.unwrap());
    }
    let waiting: Vec<_> = (0..QUESTIONS_WAITING_MAX)
        .map(|_| {
            let (app, path) = (Arc::clone(&lab.app), path.clone());
            let token = format!("Bearer {}", app.secrets.token());
            let request = axum::http::Request::builder().uri(path).header(AUTHORIZATION, token);
            let request = request.body(Body::empty()).unwrap();
            tokio::spawn(async move { http::router(app).oneshot(request).await.unwrap().status() })
        })
        .collect();
    while !lab.app.questions.is_full() {
        tokio::task::yield_now().await;
    }
    let (status, code, message) = lab.refused(Method::GET, &path, "").await;
    assert_eq!((status, code), (503, ErrorCode::Overloaded));
    assert!(message.contains("ask again in a moment"), "{message}");
    let (status, _) = lab.call(Method::GET, "/v1/status", "").await;
    assert_eq!(status, StatusCode::OK, "nothing else waits");
    drop(turns);
    for one in waiting {
        assert_eq!(one.await.unwrap(), StatusCode::OK);
    }
}

#[tokio::test]
async fn health_follows_what_the_hosts_report() {
    let lab = Lab::new();
    let health = async || {
        let (status, body) = lab.send(Method::GET, "/healthz", None, "").await;
        (status.as_u16(), serde_json::from_str::<api::Health>(&body).unwrap())
    };
    let (status, found) = health().await;
    assert_eq!((status, found.status, found.applied), (503, HealthStatus::Starting, None));
    let session = lab.report(8, Vec::new());
    let (status, found) = health().await;
    assert_eq!((status, found.status, found.applied), (200, HealthStatus::Ok, Some(Revision(8))));
    assert_eq!(found.committed, Revision(8));
    lab.bench.hosts.disconnect(&"rack-1".into(), session);
    let (status, found) = health().await;
    assert_eq!((status, found.status), (503, HealthStatus::Degraded));
    lab.report(8, vec![ClosedEni { eni: "eni-1".into(), reason: "no room".to_owned() }]);
    let (status, found) = health().await;
    assert_eq!((status, found.status), (503, HealthStatus::Degraded));
    assert!(found.reason.unwrap().contains("closed"));
}

#[tokio::test]
async fn status_counts_everything() {
    let lab = Lab::new();
    lab.report(7, Vec::new());
    let status: api::Status = lab.get("/v1/status").await;
    assert_eq!((status.committed, status.limits), (Revision(8), LimitMode::Cloud));
    let counts = api::Counts { accounts: 1, vpcs: 1, instances: 2, enis: 2, groups: 1, rules: 1 };
    assert_eq!(status.counts, counts);
    assert_eq!((status.hosts.len(), status.hosts[0].applied), (1, Some(Revision(7))));
    let used = |name: &str| status.capacity.iter().find(|row| row.resource == name).map(|row| row.used).unwrap();
    assert_eq!((used("interfaces"), used("addresses"), used("rules")), (2, 4, 1));
    assert!(used("policy words") > 0);
    assert!(status.capacity.iter().all(|row| row.used <= row.limit));
}

#[tokio::test(start_paused = true)]
async fn waiting_names_the_host_that_lags() {
    let lab = Lab::new();
    let (status, code, message) = lab.refused(Method::GET, "/v1/wait?timeout_s=1", "").await;
    assert_eq!((status, code), (504, ErrorCode::Timeout));
    assert!(message.contains("no host has connected"), "{message}");
    lab.report(7, Vec::new());
    let (.., message) = lab.refused(Method::GET, "/v1/wait?timeout_s=1", "").await;
    assert!(message.contains("host `rack-1` has applied revision 7, not 8"), "{message}");
    assert_eq!(lab.get::<api::Revised>("/v1/wait?revision=7").await.revision, Revision(7));
    lab.report(8, Vec::new());
    assert_eq!(lab.get::<api::Revised>("/v1/wait").await.revision, Revision(8));
    assert_eq!(lab.refused(Method::GET, "/v1/wait?timeout_s=601", "").await.0, 400);
    assert_eq!(lab.refused(Method::GET, "/v1/wait?timeout_s=soon", "").await.0, 400);
}

#[tokio::test]
async fn an_account_is_made_with_a_key_that_works() {
    let lab = Lab::new();
    let (status, body) = lab.call(Method::POST, "/v1/accounts", r#"{"dialect":"ecs","name":"shop"}"#).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let created: api::CreatedAccount = serde_json::from_str(&body).unwrap();
    assert_eq!((created.dialect, created.region.as_str()), (Dialect::Ecs, "cn-hangzhou"));
    let world = lab.bench.committer.world();
    let key = world.key(&created.access_key_id).unwrap();
    let secret = lab.app.secrets.unseal(&key.id, &key.sealed_secret).unwrap();
    assert_eq!(*secret, created.access_key_secret);
    let accounts: Vec<api::Account> = lab.get("/v1/accounts").await;
    let shop = accounts.iter().find(|account| account.name == "shop").unwrap();
    assert_eq!((&shop.id, &shop.keys), (&created.account, &vec![created.access_key_id]));
}

#[tokio::test]
async fn accounts_that_make_no_sense_are_refused_and_change_nothing() {
    let lab = Lab::new();
    let create = async |body: &str| lab.refused(Method::POST, "/v1/accounts", body).await;
    for (body, words) in [
        ("", "cannot be read"),
        (r#"{"dialect":"gcp","name":"a"}"#, "gcp"),
        (r#"{"dialect":"ecs","name":"a","colour":1}"#, "colour"),
        (r#"{"dialect":"ecs","name":""}"#, "is not a name"),
        (r#"{"dialect":"ecs","name":"a","id":"17"}"#, "`17` is not the id"),
        (r#"{"dialect":"ec2","name":"a","id":"1000000000000001"}"#, "use 12 digits"),
        (&format!(r#"{{"dialect":"ecs","name":"{}"}}"#, "x".repeat(NATIVE_BODY_BYTES_MAX)), "at most 1048576 bytes"),
    ] {
        let (status, code, message) = create(body).await;
        assert_eq!((status, code), (400, ErrorCode::Invalid), "{message}");
        assert!(message.contains(words), "{message}");
    }
    let (status, code, message) = create(r#"{"dialect":"ecs","name":"a","id":"1000000000000001"}"#).await;
    assert_eq!((status, code), (409, ErrorCode::Refused));
    assert!(message.contains("exists already"), "{message}");
    assert_eq!(lab.bench.committer.world().revision(), Revision(8));
}

#[tokio::test]
async fn questions_are_asked_of_the_newest_world() {
    let lab = Lab::new();
    let world = lab.bench.committer.world();
    let [one, other] = [0, 1].map(|index| world.instances().nth(index).unwrap().id.clone());
    let why: sekimori_analysis::why::Report = lab.get(&format!("/v1/why?from={one}&to={other}&service=tcp/22")).await;
    assert!(why.allowed && why.legs.len() == 2 && why.revision == Revision(8));
    let path = format!("/v1/why?from=198.51.100.10&to={one}&service=tcp/22&source_port=1024");
    let why: sekimori_analysis::why::Report = lab.get(&path).await;
    assert!(!why.allowed && why.legs.len() == 1);
    let policy: sekimori_analysis::effective::Report = lab.get(&format!("/v1/policy/{one}")).await;
    assert_eq!(policy.instance.as_ref(), Some(&one));
    let (status, code, message) = lab.refused(Method::GET, "/v1/policy/i-1", "").await;
    assert_eq!((status, code), (404, ErrorCode::NotFound));
    assert!(message.contains("`i-1`"), "{message}");
    assert_eq!(lab.refused(Method::GET, &format!("/v1/why?from=i-1&to={one}&service=icmp"), "").await.0, 404);
    assert_eq!(lab.refused(Method::GET, &format!("/v1/why?from={other}&to={one}&service=x"), "").await.0, 400);
    assert_eq!(lab.refused(Method::GET, "/v1/why?from=i-1", "").await.0, 400);
}

#[tokio::test]
async fn counters_come_by_host_and_in_total() {
    let lab = Lab::new();
    let session = lab.report(8, Vec::new());
    let gauges = Some(Gauges { flows: 3, ..Gauges::default() });
    let told = TallyReport { number: 1, gauges, ..TallyReport::default() };
    lab.bench.hosts.count(&"rack-1".into(), session, told, &lab.bench.committer.world());
    let report = CounterReport { flows: 3, ..CounterReport::default() };
    let counters: api::Counters = lab.get("/v1/counters").await;
    assert_eq!(counters.total, report);
    assert_eq!(counters.hosts, [api::HostCounters { host: "rack-1".into(), report }]);
}

#[tokio::test]
async fn settings_are_changes_like_any_other() {
    let lab = Lab::new();
    let eni = lab.bench.committer.world().enis().next().unwrap().id.clone();
    let (status, body) =
        lab.call(Method::PUT, "/v1/treatment", &format!(r#"{{"eni":"{eni}","treatment":"reset"}}"#)).await;
    assert_eq!((status, body), (StatusCode::OK, changed(9)));
    assert_eq!(lab.bench.committer.world().eni(&eni).unwrap().treatment, Some(Treatment::Reset));
    for body in [r#"{"treatment":"keep"}"#, r#"{"eni":"a","account":"b","treatment":"keep"}"#, r#"{"eni":"a"}x"#] {
        assert_eq!(lab.refused(Method::PUT, "/v1/treatment", body).await.0, 400, "{body}");
    }
    assert_eq!(lab.refused(Method::PUT, "/v1/treatment", r#"{"eni":"eni-0","treatment":null}"#).await.0, 404);

    let items = r#"{"items":["dhcp","udp/123@169.254.169.123"]}"#;
    let (status, body) = lab.call(Method::PUT, "/v1/bypass", items).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let bypass: api::Bypass = lab.get("/v1/bypass").await;
    assert_eq!(bypass, serde_json::from_str(&body).unwrap());
    let expected = BypassSet::from_items(["dhcp", "udp/123@169.254.169.123"]).unwrap();
    assert_eq!(bypass.entries, expected.entries());
    let (status, _, message) = lab.refused(Method::PUT, "/v1/bypass", r#"{"items":["udp/x"]}"#).await;
    assert!(status == 400 && message.contains("`udp/x`"), "{message}");
    let log = lab.bench.store.log(Revision(9), 1).unwrap().remove(0);
    assert_eq!((log.actor.who.as_str(), log.actor.operation.as_str()), ("operator", "SetBypass"));
}

#[tokio::test]
async fn groups_are_protected_handed_over_and_removed_by_the_operator() {
    let lab = Lab::new();
    let group = lab.bench.committer.world().groups().next().unwrap().id.clone();
    let found = || lab.bench.committer.world().group(&group).cloned();
    let path = |rest: &str| format!("/v1/groups/{group}{rest}");
    let put = async |rest: &str, body: &str| lab.call(Method::PUT, &path(rest), body).await;
    assert_eq!(put("/protection", r#"{"protected":true}"#).await.1, changed(9));
    assert_eq!(put("/manager", r#"{"service":42}"#).await.1, changed(10));
    let state = found().unwrap();
    assert_eq!((state.is_protected, state.managed_by), (true, Some(42)));
    let (status, code, message) = lab.refused(Method::DELETE, &path("?force=true"), "").await;
    assert_eq!((status, code), (409, ErrorCode::Refused));
    assert!(message.contains("protected from deletion"), "{message}");
    assert_eq!(put("/protection", r#"{"protected":false}"#).await.0, StatusCode::OK);
    assert_eq!(put("/manager", r#"{"service":null}"#).await.0, StatusCode::OK);
    // Two instances carry no other group.
    let (status, _, message) = lab.refused(Method::DELETE, &path("?force=true"), "").await;
    assert!(status == 409 && message.contains("only security group"), "{message}");
    assert_eq!(lab.refused(Method::DELETE, &path("?force=perhaps"), "").await.0, 400);
    for (rest, body) in [("/protection", "{}"), ("/manager", r#"{"service":"x"}"#), ("/protection", r#"{"x":1}"#)] {
        assert_eq!(lab.refused(Method::PUT, &path(rest), body).await.0, 400, "{rest} {body}");
    }
    assert_eq!(lab.refused(Method::DELETE, "/v1/groups/sg-none", "").await.0, 404);
    assert!(found().is_some());
}

#[tokio::test]
async fn interfaces_are_handed_over_by_the_operator() {
    let lab = Lab::new();
    let eni = lab.bench.committer.world().enis().next().unwrap().id.clone();
    let path = format!("/v1/interfaces/{eni}/manager");
    let managed_by = || lab.bench.committer.world().eni(&eni).unwrap().managed_by;
    assert_eq!(lab.call(Method::PUT, &path, r#"{"service":42}"#).await.1, changed(9));
    assert_eq!(managed_by(), Some(42));
    assert_eq!(lab.call(Method::PUT, &path, r#"{"service":null}"#).await.1, changed(10));
    assert_eq!(managed_by(), None);
    assert_eq!(lab.refused(Method::PUT, &path, r#"{"service":"x"}"#).await.0, 400);
    assert_eq!(lab.refused(Method::PUT, "/v1/interfaces/eni-0/manager", r#"{"service":1}"#).await.0, 404);
}

#[tokio::test]
async fn resource_groups_are_made_and_deleted_again() {
    let lab = Lab::new();
    let (_, body) = lab.call(Method::POST, "/v1/resource-groups", r#"{"name":"billing"}"#).await;
    let made: api::ResourceGroup = serde_json::from_str(&body).unwrap();
    let path = format!("/v1/resource-groups/{}", made.id);
    assert_eq!(lab.call(Method::DELETE, &path, "").await, (StatusCode::OK, r#"{"revision":10}"#.to_owned()));
    let (status, code, message) = lab.refused(Method::DELETE, &path, "").await;
    assert_eq!((status, code), (404, ErrorCode::NotFound));
    assert!(message.contains(&made.id), "{message}");
    assert_eq!(lab.refused(Method::DELETE, "/v1/resource-groups/rg-default", "").await.0, 404);
    assert!(lab.get::<Vec<api::ResourceGroup>>("/v1/resource-groups").await.is_empty());
}

#[tokio::test]
async fn a_vpc_is_shared_with_another_account() {
    let lab = Lab::new();
    let vpc = lab.bench.committer.world().vpcs().next().unwrap().id.clone();
    let (_, body) = lab.call(Method::POST, "/v1/accounts", r#"{"dialect":"ecs","name":"shop"}"#).await;
    let created: api::CreatedAccount = serde_json::from_str(&body).unwrap();
    let path = format!("/v1/vpcs/{vpc}/sharing");
    let share = |account: &str, shared: bool| format!(r#"{{"account":"{account}","shared":{shared}}}"#);
    let shared_with = || lab.bench.committer.world().vpc(&vpc).unwrap().shared_with.clone();
    assert_eq!(lab.call(Method::PUT, &path, &share(created.account.as_str(), true)).await.0, StatusCode::OK);
    assert_eq!(shared_with(), std::slice::from_ref(&created.account));
    assert_eq!(lab.call(Method::PUT, &path, &share(created.account.as_str(), false)).await.0, StatusCode::OK);
    assert_eq!(shared_with(), []);
    assert_eq!(lab.refused(Method::PUT, &path, &share("17", true)).await.0, 404);
}

#[tokio::test]
async fn hosts_are_asked_whether_their_kernels_hold_what_was_committed() {
    let lab = Lab::new();
    let verify = |body: &'static str| lab.call(Method::POST, "/v1/verify", body);
    let (status, code, message) = lab.refused(Method::POST, "/v1/verify", "{}").await;
    assert_eq!((status, code), (404, ErrorCode::NotFound), "{message}");
    let session = lab.report(8, Vec::new());
    let (host, verifier) = ("rack-1".into(), &lab.bench.hosts.verifier);
    let (status, code, message) = lab.refused(Method::POST, "/v1/verify", r#"{"host":"rack-2"}"#).await;
    assert!((status, code) == (404, ErrorCode::NotFound) && message.contains("`rack-2`"), "{message}");
    let (status, code, _) = lab.refused(Method::POST, "/v1/verify", r#"{"timeout_s":601}"#).await;
    assert_eq!((status, code), (400, ErrorCode::Invalid));
    let answering = async {
        let mut questions = verifier.questions(&host);
        questions.changed().await.unwrap();
        let request = Some(*questions.borrow_and_update());
        let report = sekimori_core::feed::ReadBack { request, checked: 7, ..Default::default() };
        verifier.note(&host, report, sekimori_core::time::Timestamp(9));
    };
    let ((status, body), ()) = tokio::join!(verify("{}"), answering);
    let answer: api::Verification = serde_json::from_str(&body).unwrap();
    assert_eq!((status, answer.hosts[0].checked, answer.has_differences()), (StatusCode::OK, 7, false));
    assert_eq!(answer.hosts[0].failure, None);
    let late: api::Verification = serde_json::from_str(&verify(r#"{"timeout_s":0}"#).await.1).unwrap();
    assert_eq!(late.hosts[0].failure.as_deref(), Some("did not answer in time"));
    lab.bench.hosts.disconnect(&host, session);
    let away: api::Verification = serde_json::from_str(&verify("{}").await.1).unwrap();
    assert_eq!(away.hosts[0].failure.as_deref(), Some("is not connected"));
}

#[tokio::test]
async fn interfaces_are_bound_listed_and_let_go() {
    let lab = Lab::new();
    let eni = lab.bench.committer.world().enis().next().unwrap().id.clone();
    let path = format!("/v1/interfaces/{eni}/binding");
    let bind = r#"{"interface":"tap0","netns":"/run/netns/vms","mac":"52:54:00:12:34:56","holder":"libvirt web"}"#;
    assert_eq!(lab.call(Method::PUT, &path, bind).await.1, r#"{"revision":9}"#);
    let listed = lab.get::<api::Interfaces>("/v1/interfaces?bound=true").await.interfaces;
    let [found] = listed.as_slice() else { panic!("{listed:?}") };
    let binding = found.binding.clone().unwrap();
    assert_eq!((found.id.clone(), found.mac.to_string(), found.state), (eni, "52:54:00:12:34:56".to_owned(), None));
    assert_eq!(binding.netns.unwrap().to_string(), "vms");
    assert!(found.notes[0].starts_with("no agent of host"), "{:?}", found.notes);
    assert!(lab.get::<api::Interfaces>("/v1/interfaces").await.interfaces.len() > 1);
    for bad in [r#"{"interface":"a/b"}"#, r#"{"interface":"tap1"}"#] {
        assert_eq!(lab.refused(Method::PUT, &path, bad).await.0, 409, "{bad}");
    }
    for bad in ["{}", r#"{"interface":"tap0","netns":"a b"}"#, r#"{"interface":"tap0","side":"x"}"#] {
        assert_eq!(lab.refused(Method::PUT, &path, bad).await.0, 400, "{bad}");
    }
    assert_eq!(lab.refused(Method::PUT, "/v1/interfaces/eni-0/binding", bind).await.0, 404);
    assert_eq!(lab.call(Method::DELETE, &format!("{path}?holder=another"), "").await.1, r#"{"revision":9}"#);
    assert_eq!(lab.call(Method::DELETE, &path, "").await.1, r#"{"revision":10}"#);
    assert_eq!(lab.refused(Method::DELETE, &path, "").await.0, 409);
}

#[tokio::test]
async fn why_tells_what_decides_what_would_help_and_what_was_seen() {
    let lab = Lab::new();
    let world = lab.bench.committer.world();
    let eni = world.enis().next().unwrap();
    let path = |goal: &str| format!("/v1/why?from=internet&to={}&service=tcp/8443&goal={goal}", eni.id);
    let answer = lab.get::<api::WhyAnswer>(&path("allow")).await;
    assert!(!answer.explanation.report.allowed);
    assert_eq!(answer.explanation.change.unwrap().steps.len(), 1);
    let [enforced] = answer.evidence.hosts.as_slice() else { panic!("{:?}", answer.evidence) };
    assert_eq!((&enforced.eni, enforced.is_current, answer.evidence.recorded_since), (&eni.id, false, None));
    let [counted] = answer.evidence.counters.as_slice() else { panic!("{:?}", answer.evidence) };
    assert_eq!((counted.reason.as_str(), counted.count.packets, counted.last_used), ("default", 0, None));
    let stop = lab.get::<api::WhyAnswer>(&path("stop")).await;
    assert_eq!((stop.explanation.change, stop.explanation.no_change), (None, None));
    assert_eq!(lab.refused(Method::GET, &path("open"), "").await.0, 400);
    assert_eq!(lab.refused(Method::GET, &format!("{}&family=ipx", path("stop")), "").await.0, 400);
    let nobody = "/v1/why?from=internet&to=internet&service=tcp/1";
    assert_eq!(lab.refused(Method::GET, nobody, "").await.0, 400);
}
