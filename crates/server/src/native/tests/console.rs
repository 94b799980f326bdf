//! Health, diagnosis and the handling of groups: each call as a client makes it, and what it leaves behind.

use serde_json::json;

use sekimori_analysis::{
    diagnose::{self, Access},
    health,
    snapshot::{Contents, Difference, Effect, Entry, Policy},
    transfer::{self, Verdict},
};
use sekimori_core::{
    feed::{Count, RuleCount},
    flow_event::{FlowEvent, FlowReport},
    ids::GroupId,
    limits::OBSERVED_MAX,
    platform::PlatformPolicy,
    rule::{Action, Direction},
    time::Timestamp,
    world::Group,
};

use super::*;
use crate::api::{CloneAnswer, FixedHealth, ImportAnswer, OpenAnswer, PresetAnswer, RestoreAnswer};

impl Lab {
    fn group(&self) -> Group {
        let world = self.bench.committer.world();
        Group::clone(world.groups().next().unwrap())
    }

    pub(super) async fn post<T: DeserializeOwned>(&self, path: &str, body: serde_json::Value) -> T {
        let (status, body) = self.call(Method::POST, path, &body.to_string()).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Adds rules from a file: `in,tcp,443,10.0.0.0/8`.
    async fn add(&self, id: &GroupId, rows: &str) -> ImportAnswer {
        let text = format!("Direction,Protocol,Port,Peer,Priority\n{rows}");
        self.post(&format!("/v1/groups/{id}/import"), json!({ "text": text })).await
    }
}

#[tokio::test]
async fn health_finds_and_fixes_what_is_redundant() {
    let lab = Lab::new();
    let id = lab.group().id;
    let healthy: health::Report = lab.get("/v1/health").await;
    assert_eq!((healthy.findings, healthy.rules), (vec![], 1));
    lab.add(&id, "in,tcp,443,10.0.0.0/8,5\nout,all,-1/-1,0.0.0.0/0,1\n").await;
    let found: health::Report = lab.get(&format!("/v1/health?group={id}")).await;
    let removable = found.findings.iter().filter(|finding| finding.removable).count();
    assert_eq!((found.findings.len(), removable), (2, 2), "{found:#?}");
    let before = lab.bench.committer.world().revision();
    let fixed: FixedHealth = lab.post("/v1/health/fix", json!({ "group": id })).await;
    assert_eq!((fixed.deleted.len(), fixed.revision), (2, before.next()));
    assert_eq!(lab.group().rules.len(), 1);
    let (status, _, message) = lab.refused(Method::POST, "/v1/health/fix", r#"{"rules":["sgr-0"]}"#).await;
    assert!(status == 404 && message.contains("`sgr-0`"), "{message}");
    assert_eq!(lab.refused(Method::GET, "/v1/health?group=sg-0", "").await.0, 404);
}

#[tokio::test]
async fn fewer_rules_come_in_the_place_of_those_that_they_say_as_well() {
    let lab = Lab::new();
    let id = lab.group().id;
    lab.add(
        &id,
        "in,tcp,8080/8084,10.1.0.0/17,5\nin,tcp,8085/8090,10.1.0.0/17,5\nin,tcp,8080/8090,10.1.128.0/17,5\n",
    )
    .await;
    let found: health::Report = lab.get(&format!("/v1/health?group={id}&overlaps=true")).await;
    let [merge] = found.merges.as_slice() else { panic!("{found:#?}") };
    assert_eq!((merge.rules.len(), &merge.kept, found.overlaps.len()), (3, &None, 0));
    let before = lab.bench.committer.world().revision();
    let fixed: FixedHealth = lab.post("/v1/health/fix", json!({ "group": id, "merge": true })).await;
    assert_eq!((fixed.deleted.len(), fixed.revision), (3, before.next()));
    assert!(fixed.added[0].contains("tcp 8080-8090 from 10.1.0.0/16"), "{:?}", fixed.added);
    assert_eq!(lab.group().rules.len(), 2);
    let healthy: health::Report = lab.get("/v1/health").await;
    assert_eq!((healthy.merges, healthy.empty_peers), (vec![], vec![]));
    assert_eq!(lab.refused(Method::GET, "/v1/health?overlaps=maybe", "").await.0, 400);
}

#[tokio::test]
async fn what_is_too_wide_is_told_by_the_flows_that_were_seen() {
    let lab = Lab::new();
    let id = lab.group().id;
    lab.add(&id, "in,tcp,9000/9999,10.1.0.0/16,5\n").await;
    let group = lab.group();
    let rule = group.rules.values().find(|rule| rule.spec.priority == 5).unwrap().id.clone();
    let nothing: health::Report = lab.get("/v1/health?too_wide=true").await;
    assert_eq!((nothing.too_wide, nothing.recorded_since), (vec![], None), "it begins now");
    let event = FlowEvent {
        at_ms: 1,
        eni: "eni-1".into(),
        direction: Direction::Ingress,
        passed: true,
        reason: "rule".to_owned(),
        group: Some(id.clone()),
        rule: Some(rule.clone()),
        policy: 1,
        revision: None,
        protocol: 6,
        local: "10.1.0.1".parse().ok(),
        peer: "10.1.7.7".parse().ok(),
        local_port: Some(9_001),
        peer_port: Some(40_000),
        icmp: None,
        tcp_flags: 2,
        bytes: 60,
        packets: 1,
    };
    let report = FlowReport { events: vec![event], ..FlowReport::default() };
    lab.bench.hosts.flows.note(&"rack-1".into(), report, &lab.bench.committer.world());
    let found: health::Report = lab.get("/v1/health?too_wide=true").await;
    let [wide] = found.too_wide.as_slice() else { panic!("{found:#?}") };
    assert_eq!((&wide.rule, wide.seen), (&rule, 1));
    assert!(wide.narrower_texts[0].contains("tcp 9001 from 10.1.7.7/32"), "{:?}", wide.narrower_texts);
}

#[tokio::test]
async fn a_rule_whose_counter_moved_is_used() {
    let lab = Lab::new();
    let group = lab.group();
    let rule = group.rules.keys().next().unwrap().clone();
    let path = format!("/v1/health?unused_since={}", outside::now().0 - 10);
    let unused: health::Report = lab.get(&path).await;
    assert_eq!(unused.findings.len(), 1);
    let count = Count { packets: 3, bytes: 180 };
    let rules = vec![RuleCount { group: group.id.clone(), rule: Some(rule), count }];
    let world = lab.bench.committer.world();
    lab.bench.usage.note(&"rack-1".into(), &rules, outside::now(), &world);
    let used: health::Report = lab.get(&path).await;
    assert_eq!(used.findings, vec![]);
}

#[tokio::test]
async fn a_port_is_opened_as_narrowly_as_it_was_asked_for() {
    let lab = Lab::new();
    let world = lab.bench.committer.world();
    let instance = world.instances().next().unwrap().id.clone();
    let quick: diagnose::Report = lab.get(&format!("/v1/diagnose?target={instance}")).await;
    assert_eq!(quick.checks.len(), 12, "ping and five ports, for both families");
    let asked = format!("/v1/diagnose?target={instance}&service=tcp/5432&peer=198.51.100.7");
    let closed: diagnose::Report = lab.get(&asked).await;
    assert_eq!(closed.checks[0].access, Access::Closed);
    let request = json!({
        "target": instance, "direction": "Ingress", "service": "tcp/5432", "peer": "198.51.100.7", "dry_run": true
    });
    let proposed: OpenAnswer = lab.post("/v1/diagnose/open", request.clone()).await;
    assert_eq!((proposed.plan.rules.len(), proposed.added.len()), (1, 0));
    let mut request = request;
    request["dry_run"] = json!(false);
    let opened: OpenAnswer = lab.post("/v1/diagnose/open", request.clone()).await;
    assert_eq!(opened.added.len(), 1);
    let open: diagnose::Report = lab.get(&asked).await;
    assert_eq!(open.checks[0].access, Access::Open);
    let neighbour: diagnose::Report = lab.get(&asked.replace("198.51.100.7", "198.51.100.8")).await;
    assert_eq!(neighbour.checks[0].access, Access::Closed);
    let again: OpenAnswer = lab.post("/v1/diagnose/open", request).await;
    assert_eq!((again.added.len(), again.revision), (0, opened.revision));
    let nobody = format!(r#"{{"target":"{instance}","direction":"Ingress","service":"tcp/1"}}"#);
    assert_eq!(lab.refused(Method::POST, "/v1/diagnose/open", &nobody).await.0, 400);
    assert_eq!(lab.refused(Method::GET, "/v1/diagnose?target=i-0", "").await.0, 404);
    assert_eq!(lab.refused(Method::GET, &format!("/v1/diagnose?target={instance}&direction=up"), "").await.0, 400);
}

#[tokio::test]
async fn rules_go_out_as_a_file_and_come_in_again() {
    let lab = Lab::new();
    let group = lab.group();
    let path = format!("/v1/groups/{}", group.id);
    for format in ["json", "csv"] {
        let export: transfer::Export = lab.get(&format!("{path}/export?format={format}")).await;
        assert_eq!((export.rules, export.region.as_str()), (1, "cn-hangzhou"));
        let again: ImportAnswer = lab.post(&format!("{path}/import"), json!({ "text": export.text })).await;
        assert_eq!((again.preview.count(Verdict::Exists), again.added.len()), (1, 0), "{again:?}");
    }
    let rows = "Direction,Protocol,Port,Peer\nin,tcp,80,10.0.0.1\nin,tcp,81,sg-none\n";
    let strict = json!({ "text": rows, "all_or_nothing": true });
    let nothing: ImportAnswer = lab.post(&format!("{path}/import"), strict).await;
    assert_eq!((nothing.preview.count(Verdict::Refuse), nothing.added.len()), (1, 0));
    let preview: ImportAnswer = lab.post(&format!("{path}/import"), json!({ "text": rows, "dry_run": true })).await;
    assert_eq!((preview.preview.count(Verdict::Add), preview.added.len()), (1, 0));
    let added: ImportAnswer = lab.post(&format!("{path}/import"), json!({ "text": rows })).await;
    assert_eq!((added.added.len(), lab.group().rules.len()), (1, 2));
    assert_eq!(lab.refused(Method::POST, &format!("{path}/import"), r#"{"text":"x"}"#).await.0, 400);
    assert_eq!(lab.refused(Method::GET, "/v1/groups/sg-0/export", "").await.0, 404);
    assert_eq!(lab.refused(Method::GET, &format!("{path}/export?format=xml"), "").await.0, 400);
}

#[tokio::test]
async fn a_clone_is_made_with_its_rules_in_one_revision() {
    let lab = Lab::new();
    let group = lab.group();
    let before = lab.bench.committer.world().revision();
    let request = json!({ "name": "copy", "keep_rules": true });
    let clone: CloneAnswer = lab.post(&format!("/v1/groups/{}/clone", group.id), request).await;
    assert_eq!(clone.revision, before.next());
    let world = lab.bench.committer.world();
    let made = world.group(&clone.group.unwrap()).unwrap();
    let specs = |group: &Group| group.rules.values().map(|rule| rule.spec.clone()).collect::<Vec<_>>();
    assert_eq!((made.name.as_str(), specs(made)), ("copy", specs(&group)));
    let path = format!("/v1/groups/{}/clone", group.id);
    assert_eq!(lab.refused(Method::POST, &path, r#"{"name":""}"#).await.0, 400);
    assert_eq!(lab.refused(Method::POST, &path, r#"{"name":"a","vpc":"vpc-0"}"#).await.0, 404);
    assert_eq!(lab.refused(Method::POST, "/v1/groups/sg-0/clone", r#"{"name":"a"}"#).await.0, 404);
}

#[tokio::test]
async fn a_preset_adds_its_rules_once() {
    let lab = Lab::new();
    let path = format!("/v1/groups/{}/preset", lab.group().id);
    let proposed: PresetAnswer = lab.post(&path, json!({ "preset": "web", "dry_run": true })).await;
    assert_eq!((proposed.plan.rules.len(), proposed.added.len()), (4, 0), "both families: the VPC has IPv6");
    let _: PresetAnswer = lab.post(&path, json!({ "preset": "dns", "from": ["10.0.0.0/8"] })).await;
    let again: PresetAnswer = lab.post(&path, json!({ "preset": "dns", "from": ["10.0.0.0/8"] })).await;
    assert_eq!((again.added.len(), lab.group().rules.len()), (2, 3));
    let allowed = |group: &Group| {
        group
            .rules
            .values()
            .all(|rule| rule.spec.action == Action::Allow && rule.spec.direction == Direction::Ingress)
    };
    assert!(allowed(&lab.group()));
    assert_eq!(lab.refused(Method::POST, &path, r#"{"preset":"ssh"}"#).await.0, 400);
    assert_eq!(lab.refused(Method::POST, &path, r#"{"preset":"telnet"}"#).await.0, 400);
}

#[tokio::test]
async fn a_plan_that_is_only_shown_is_refused_where_the_change_is() {
    let lab = Lab::new();
    let group = lab.group().id;
    let closed = format!("internet must-not reach {group} tcp/2049");
    lab.bench.commit(crate::testing::set_invariant("closed", &closed)).await;
    let instance = lab.bench.committer.world().instances().next().unwrap().id.clone();
    let path = |what: &str| format!("/v1/groups/{group}/{what}");
    let open = json!({
        "target": instance, "direction": "Ingress", "service": "tcp/2049", "peer": "198.51.100.7"
    });
    let asked = [
        (path("preset"), json!({ "preset": "web", "from": ["sg-nosuch"] }), "sg-nosuch"),
        (path("preset"), json!({ "preset": "nfs", "from": ["203.0.113.0/24"] }), "`closed`"),
        ("/v1/diagnose/open".to_owned(), open, "`closed`"),
    ];
    for (path, mut body, why) in asked {
        let real = lab.refused(Method::POST, &path, &body.to_string()).await;
        body["dry_run"] = json!(true);
        let shown = lab.refused(Method::POST, &path, &body.to_string()).await;
        assert_eq!(shown, real);
        assert!(real.2.contains(why), "{}", real.2);
    }
}

#[tokio::test]
async fn platform_policies_are_turned_on_and_off() {
    let lab = Lab::new();
    let before: api::Platform = lab.get("/v1/platform").await;
    let on: Vec<PlatformPolicy> =
        before.policies.iter().filter(|policy| policy.on).map(|policy| policy.policy).collect();
    assert_eq!((before.policies.len(), on), (3, vec![PlatformPolicy::DhcpServers]));
    let (status, body) = lab.call(Method::PUT, "/v1/platform", r#"{"policy":"mail","on":true}"#).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let after: api::Platform = lab.get("/v1/platform").await;
    assert_eq!((after.policies[0].on, after.revision), (true, before.revision.next()));
    let from = lab.bench.committer.world().instances().next().unwrap().id.clone();
    let path = format!("/v1/why?from={from}&to=198.51.100.10&service=tcp/25");
    let why: sekimori_analysis::why::Report = lab.get(&path).await;
    assert!(!why.allowed && why.legs[0].reason.starts_with("platform policy mail"), "{}", why.legs[0].reason);
    assert_eq!(lab.refused(Method::PUT, "/v1/platform", r#"{"policy":"spam","on":true}"#).await.0, 400);
}

#[tokio::test]
async fn instances_are_attached_by_tag_and_plans_are_checked() {
    let lab = Lab::new();
    let request = json!({ "key": "app", "apply": true });
    let nothing: api::AttachAnswer = lab.post("/v1/groups/attach-by-tag", request).await;
    assert_eq!((nothing.plan.pairs.len(), nothing.attached), (0, 0));
    let checked: sekimori_analysis::planning::Report = lab.post("/v1/plan-check", json!({})).await;
    assert_eq!(checked.findings.len(), 1, "the group is called `web`: {checked:?}");
    let advice = json!({ "advice": { "name_pattern": "{name}" } });
    let content: sekimori_analysis::planning::Report = lab.post("/v1/plan-check", advice).await;
    assert_eq!(content.findings, vec![]);
    assert_eq!(lab.refused(Method::POST, "/v1/plan-check", r#"{"group":"sg-0"}"#).await.0, 404);
    assert_eq!(lab.refused(Method::POST, "/v1/groups/attach-by-tag", "{}").await.0, 400);
}

#[tokio::test]
async fn rules_go_back_to_what_they_were_in_a_snapshot() {
    let lab = Lab::new();
    let group = lab.group();
    let policy: Policy = lab.post("/v1/snapshot-policies", json!({ "name": "daily" })).await;
    assert_eq!((policy.retention_days.days(), policy.enabled, policy.groups.len()), (1, true, 0));
    let path = format!("/v1/snapshot-policies/{}", policy.id);
    let put = async |path: &str, body: serde_json::Value| lab.call(Method::PUT, path, &body.to_string()).await;
    let (status, body) = put(&path, json!({ "retention_days": 3, "name": "three" })).await;
    assert!(status == StatusCode::OK && body.contains(r#""retention_days":3"#) && body.contains("three"), "{body}");
    let groups = format!("{path}/groups");
    assert_eq!(put(&groups, json!({ "groups": [group.id], "attached": true })).await.0, StatusCode::OK);
    lab.add(&group.id, "in,tcp,8080,0.0.0.0/0,5").await;
    let listed: Vec<Entry> = lab.get(&format!("/v1/snapshots?group={}", group.id)).await;
    assert_eq!((listed.len(), listed.iter().filter(|one| one.taken_at.is_some()).count()), (2, 1));
    let snapshot = format!("/v1/snapshots/{}", listed[1].id);
    let held: Contents = lab.get(&snapshot).await;
    assert_eq!((held.rules.len(), held.snapshot.policies), (1, vec![policy.id.clone()]));
    let shown: Difference = lab.get(&format!("{snapshot}/difference")).await;
    assert_eq!(shown.lines.iter().map(|line| line.effect).collect::<Vec<_>>(), [Effect::Keep, Effect::Remove]);
    let dry: RestoreAnswer = lab.post(&format!("{snapshot}/restore"), json!({ "dry_run": true })).await;
    assert_eq!((dry.restored, dry.difference, lab.group().rules.len()), (false, shown, 2));
    let done: RestoreAnswer = lab.post(&format!("{snapshot}/restore"), json!({})).await;
    assert_eq!((done.restored, lab.group().rules), (true, group.rules));
    let again: Difference = lab.get(&format!("{snapshot}/difference")).await;
    assert!(again.is_empty());
    assert_eq!(put(&groups, json!({ "groups": [group.id], "attached": false })).await.0, StatusCode::OK);
    let policies: Vec<Policy> = lab.get("/v1/snapshot-policies").await;
    assert!(policies.len() == 1 && policies[0].groups.is_empty());
    assert_eq!(lab.call(Method::DELETE, &path, "").await.0, StatusCode::OK);
    assert_eq!(lab.get::<Vec<Policy>>("/v1/snapshot-policies").await, []);
    assert_eq!(lab.get::<Vec<Entry>>("/v1/snapshots").await.len(), 2, "snapshots outlive their policy");
}

#[tokio::test]
async fn snapshots_that_make_no_sense_are_refused_and_change_nothing() {
    let lab = Lab::new();
    let revision = lab.bench.committer.world().revision();
    let policies = "/v1/snapshot-policies";
    for (method, path, body, status) in [
        (Method::POST, policies, r#"{"name":""}"#, 400),
        (Method::POST, policies, r#"{"name":"a","retention_days":0}"#, 400),
        (Method::POST, policies, r#"{"name":"a","retention_days":31}"#, 400),
        (Method::POST, policies, r#"{"name":"a","account":"17"}"#, 404),
        (Method::PUT, "/v1/snapshot-policies/sgsp-0", r#"{"name":"b"}"#, 404),
        (Method::PUT, "/v1/snapshot-policies/sgsp-0", r#"{"name":""}"#, 400),
        (Method::PUT, "/v1/snapshot-policies/sgsp-0/groups", r#"{"groups":[],"attached":true}"#, 404),
        (Method::DELETE, "/v1/snapshot-policies/sgsp-0", "", 404),
        (Method::GET, "/v1/snapshots?group=sg-0", "", 404),
        (Method::GET, "/v1/snapshots/sgss-0", "", 404),
        (Method::GET, "/v1/snapshots/sgss-0/difference", "", 404),
        (Method::POST, "/v1/snapshots/sgss-0/restore", "{}", 404),
        (Method::POST, "/v1/snapshots/sgss-0/restore", r#"{"force":true}"#, 400),
    ] {
        let (found, _, message) = lab.refused(method, path, body).await;
        assert_eq!(found, status, "{path} {body}: {message}");
    }
    assert_eq!(lab.bench.committer.world().revision(), revision);
}

#[tokio::test]
async fn records_of_flow_logs_are_evidence_as_well() {
    let lab = Lab::new();
    let id = lab.group().id;
    lab.add(&id, "in,tcp,9000/9999,10.1.0.0/16,5\n").await;
    let world = lab.bench.committer.world();
    let eni = world.members(&id).next().unwrap().clone();
    let one = json!({ "eni": eni.id, "direction": null, "protocol": 6, "source": "10.1.7.7",
        "destination": eni.addresses[0], "port": 9001, "records": 4 });
    let records = json!({ "since_s": 50, "observed": [one] });
    let found: health::Report =
        lab.post("/v1/health", json!({ "group": id, "too_wide": true, "records": records })).await;
    let [wide] = found.too_wide.as_slice() else { panic!("{found:#?}") };
    assert_eq!((wide.seen, found.recorded_since, found.notes.len()), (4, Some(Timestamp(50)), 0));
    assert!(wide.narrower_texts[0].contains("tcp 9001 from 10.1.7.7/32"), "{:?}", wide.narrower_texts);
    let body = format!(
        r#"{{"records":{{"since_s":1,"observed":[{}]}}}}"#,
        vec![one.to_string(); OBSERVED_MAX + 1].join(",")
    );
    let (status, _, message) = lab.refused(Method::POST, "/v1/health", &body).await;
    assert!(status == 400 && message.contains("more than 65536 uses"), "{message}");
}
