//! Two states compared through the API: moments, a request that is not made, other rules of a group, policies, and what was seen.

use serde_json::json;

use sekimori_analysis::diff::{Effect, Ending};
use sekimori_core::{
    flow_event::{FlowEvent, FlowReport},
    rule::Direction,
    world::Eni,
};

use super::*;
use crate::{
    api::DiffAnswer,
    testing::{live_flow, live_host},
};

/// What is gained and lost, in a line each.
fn told(answer: &DiffAnswer) -> Vec<String> {
    let line = |change: &sekimori_analysis::diff::Change| {
        let rows = change.rows.iter().map(|row| format!("{} with {}", row.services.join(" "), row.peers.join(" ")));
        let rows = rows.collect::<Vec<_>>().join("; ");
        format!("{:?} {} at {}: {rows}", change.effect, change.direction, change.interfaces.count)
    };
    answer.report.changes.iter().map(line).collect()
}

fn opens(group: &str, port: u16) -> String {
    format!(
        "Action=AuthorizeSecurityGroup&RegionId=cn-hangzhou&SecurityGroupId={group}&Permissions.1.IpProtocol=TCP\
         &Permissions.1.PortRange={port}%2F{port}&Permissions.1.SourceCidrIp=192.0.2.0%2F24"
    )
}

#[tokio::test]
async fn a_request_is_compared_without_being_made_and_refused_in_the_clouds_words() {
    let lab = Lab::new();
    let world = lab.bench.committer.world();
    let group = world.groups().next().unwrap().id.to_string();
    let request = |parameters: &str| json!({ "request": { "parameters": parameters } });
    let answer: DiffAnswer = lab.post("/v1/diff", request(&opens(&group, 22))).await;
    assert_eq!(told(&answer), ["Gained ingress at 2: tcp/22 with 192.0.2.0/24"]);
    assert_eq!(answer.report.after, "revision 8 with AuthorizeSecurityGroup");
    let witness = answer.report.changes[0].witness.as_ref().unwrap();
    assert!(!witness.before.as_ref().unwrap().is_allowed() && witness.after.as_ref().unwrap().is_allowed());
    assert_eq!(answer.report.interfaces.len(), 2);
    let flows = answer.flows.unwrap();
    assert_eq!((flows.changed.looked_at, flows.recorded_since), (0, None));
    assert_eq!(lab.bench.committer.world().revision(), world.revision(), "nothing was changed");
    let deletes = format!("Action=DeleteSecurityGroup&RegionId=cn-hangzhou&SecurityGroupId={group}");
    let (status, body) = lab.call(Method::POST, "/v1/diff", &request(&deletes).to_string()).await;
    assert!(
        status.is_client_error() && body.contains(r#""cloud":{"status":"#) && body.contains("DependencyViolation"),
        "{body}"
    );
    let set = json!({ "statement": format!("internet must-not reach {group} tcp/22") }).to_string();
    let (status, body) = lab.call(Method::PUT, "/v1/invariants/no-ssh", &set).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let answer: DiffAnswer = lab.post("/v1/diff", request(&opens(&group, 22))).await;
    let forbidden = answer.forbidden.unwrap();
    assert!(answer.report.changes.len() == 1 && forbidden.contains("`no-ssh`"), "{forbidden}");
    let answer: DiffAnswer = lab.post("/v1/diff", request(&opens(&group, 23))).await;
    assert_eq!(answer.forbidden, None);
    let runs = world.instances().next().unwrap().id.clone();
    let stops = format!("Action=DeleteInstance&RegionId=cn-hangzhou&InstanceId={runs}&Force=true");
    let answer: DiffAnswer = lab.post("/v1/diff", request(&stops)).await;
    assert_eq!((answer.report.gone.len(), answer.report.gone[0].instance.as_ref()), (1, Some(&runs)));
}

#[tokio::test]
async fn moments_policies_and_other_rules_of_a_group_are_compared() {
    let lab = Lab::new();
    let world = lab.bench.committer.world();
    let (group, instance) = (world.groups().next().unwrap().id.clone(), world.instances().next().unwrap().id.clone());
    lab.bench.commit(crate::testing::authorize(&group, 8080)).await;
    let answer: DiffAnswer = lab.post("/v1/diff", json!({ "moments": { "from": { "at": 8 } } })).await;
    assert_eq!(told(&answer), ["Gained ingress at 2: tcp/8080 with 0.0.0.0-10.1.0.0 10.1.0.3-255.255.255.255"]);
    let back = json!({ "moments": { "from": {}, "to": { "at": 8 } } });
    assert_eq!(
        told(&lab.post("/v1/diff", back).await),
        ["Lost ingress at 2: tcp/8080 with 0.0.0.0-10.1.0.0 10.1.0.3-255.255.255.255"]
    );
    let rows = "Direction,Protocol,Port,Peer,Priority\nin,tcp,443,0.0.0.0/0,1\nin,tcp,9000,10.0.0.0/8,1\n";
    let file = json!({ "group": { "group": group, "file": rows } });
    let answer: DiffAnswer = lab.post("/v1/diff", file).await;
    assert!(answer.report.changes.iter().any(|change| change.effect == Effect::Lost), "{answer:#?}");
    assert_eq!(
        told(&answer).last().unwrap(),
        "Lost ingress at 2: tcp/8080 with 0.0.0.0-10.1.0.0 10.1.0.3-255.255.255.255"
    );
    let clone: api::CloneAnswer =
        lab.post(&format!("/v1/groups/{group}/clone"), json!({ "name": "again", "keep_rules": true })).await;
    let same = json!({ "group": { "group": group, "with_group": clone.group.unwrap() } });
    assert_eq!(told(&lab.post("/v1/diff", same).await), [""; 0]);
    let policies = json!({ "policies": { "one": instance, "other": group } });
    let answer: DiffAnswer = lab.post("/v1/diff", policies).await;
    assert!(told(&answer).is_empty() && answer.flows.is_none());
    for (body, status, word) in [
        (json!({ "policies": { "one": "i-0", "other": group } }), 404, "`i-0`"),
        (json!({ "moments": { "from": { "at": 99 } } }), 404, "99"),
        (json!({ "group": { "group": group } }), 400, "which rules"),
        (json!({ "group": { "group": group, "shadow": true } }), 404, "no shadow"),
        (json!({ "group": { "group": "sg-0", "with_group": group } }), 404, "`sg-0`"),
        (json!({ "nothing": 1 }), 400, "moments"),
    ] {
        let (found, _, message) = lab.refused(Method::POST, "/v1/diff", &body.to_string()).await;
        assert!(found == status && message.contains(word), "{body}: {found} {message}");
    }
}

fn event(eni: &Eni, at_ms: u64, port: u16, passed: bool) -> FlowEvent {
    FlowEvent {
        at_ms,
        eni: eni.id.clone(),
        direction: Direction::Ingress,
        passed,
        reason: "rule".to_owned(),
        group: None,
        rule: None,
        policy: 1,
        revision: None,
        protocol: 6,
        local: eni.addresses.first().copied(),
        peer: Some("192.0.2.9".parse().unwrap()),
        local_port: Some(port),
        peer_port: Some(40_000),
        icmp: None,
        tcp_flags: 2,
        bytes: 60,
        packets: 1,
    }
}

#[tokio::test]
async fn flows_that_were_seen_are_judged_in_both_states() {
    let lab = Lab::new();
    let world = lab.bench.committer.world();
    let (group, eni) = (world.groups().next().unwrap(), world.enis().next().unwrap());
    let at_ms = outside::now().0.unsigned_abs() * 1_000;
    let events =
        [(443, true), (22, false), (25, false)].map(|(port, passed)| event(eni, at_ms, port, passed)).to_vec();
    lab.bench.hosts.flows.note(&"rack-1".into(), FlowReport { events, ..FlowReport::default() }, &world);
    let asks = |parameters: String| json!({ "request": { "parameters": parameters } });
    let rule = group.rules.keys().next().unwrap();
    let closes = format!(
        "Action=RevokeSecurityGroup&RegionId=cn-hangzhou&SecurityGroupId={}&SecurityGroupRuleId.1={rule}",
        group.id
    );
    let answer: DiffAnswer = lab.post("/v1/diff", asks(closes)).await;
    let flows = answer.flows.unwrap().changed;
    assert_eq!(flows.looked_at, 3);
    let live = answer.live.unwrap();
    assert_eq!(live.hosts[0].failure.as_deref(), Some("has not connected since the server started"));
    assert!(!live.has_told_all());
    assert_eq!(flows.ending.iter().map(|flow| flow.ending).collect::<Vec<_>>(), [Some(Ending::Ends)]);
    assert_eq!(flows.otherwise.len(), 1);
    let answer: DiffAnswer = lab.post("/v1/diff", asks(opens(group.id.as_str(), 22))).await;
    let flows = answer.flows.unwrap().changed;
    assert!(flows.ending.is_empty() && flows.otherwise.len() == 1 && flows.otherwise[0].text.starts_with("tcp/22 "));
}

#[tokio::test]
async fn live_flows_take_the_place_of_what_was_seen_where_their_hosts_tell_them() {
    let lab = Lab::new();
    let world = lab.bench.committer.world();
    let (group, eni) = (world.groups().next().unwrap(), world.enis().next().unwrap());
    let at_ms = outside::now().0.unsigned_abs() * 1_000;
    let seen = event(eni, at_ms, 443, true);
    lab.bench.hosts.flows.note(&"rack-1".into(), FlowReport { events: vec![seen], ..FlowReport::default() }, &world);
    let (https, other) = (live_flow(eni, "192.0.2.9", 443), live_flow(eni, "192.0.2.9", 22));
    let session = live_host(&lab.bench.hosts, "rack-1", vec![https.clone(), other]);
    let rule = group.rules.keys().next().unwrap();
    let closes = format!(
        "Action=RevokeSecurityGroup&RegionId=cn-hangzhou&SecurityGroupId={}&SecurityGroupRuleId.1={rule}",
        group.id
    );
    let question = json!({ "request": { "parameters": closes } });
    let answer: DiffAnswer = lab.post("/v1/diff", question.clone()).await;
    let live = answer.live.unwrap();
    assert!(live.has_told_all() && live.untold == 0, "{live:#?}");
    assert_eq!(live.changed.looked_at, 2);
    let ending: Vec<_> = live.changed.ending.iter().map(|one| (&one.flow, one.ending)).collect();
    assert_eq!(ending, [(&https, Ending::Ends)]);
    assert_eq!(answer.flows.unwrap().changed.ending, [], "what was seen is not told beside it");
    // Opening something ends nothing, and two moments of the past end nothing any more.
    let opens = json!({ "request": { "parameters": opens(group.id.as_str(), 22) } });
    let answer: DiffAnswer = lab.post("/v1/diff", opens).await;
    assert_eq!(answer.live.unwrap().changed.ending, []);
    let past: DiffAnswer =
        lab.post("/v1/diff", json!({ "moments": { "from": { "at": 6 }, "to": { "at": 8 } } })).await;
    assert_eq!(past.live, None);
    // Going back from now is ahead: there were no instances yet.
    let back: DiffAnswer = lab.post("/v1/diff", json!({ "moments": { "from": {}, "to": { "at": 7 } } })).await;
    assert!(
        back.live.is_some_and(|live| live.changed.ending.len() == 1 && live.changed.ending[0].ending == Ending::Gone)
    );
    lab.bench.hosts.disconnect(&"rack-1".into(), session);
    let answer: DiffAnswer = lab.post("/v1/diff", question).await;
    let live = answer.live.unwrap();
    assert_eq!((live.changed.looked_at, live.hosts[0].failure.as_deref()), (0, Some("is not connected")));
    assert_eq!(answer.flows.unwrap().changed.ending.len(), 1, "what was seen stands for it");
}
