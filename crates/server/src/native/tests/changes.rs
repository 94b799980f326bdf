//! Changes of the native API that are only rehearsed, that are on trial, and that would cut whoever makes them.

use serde_json::{Value, json};

use sekimori_analysis::lockout::Connection;
use sekimori_core::{
    command::{Command, TrialCommand},
    ids::GroupId,
};

use super::*;
use crate::api::DiffAnswer;

impl Lab {
    fn own_group(&self) -> GroupId {
        self.bench.committer.world().groups().next().unwrap().id.clone()
    }

    /// Every change that decides packets, as it is asked for: here each of them changes something.
    fn changes(&self) -> Vec<(Method, String, Value)> {
        let group = self.own_group();
        let world = self.bench.committer.world();
        let (eni, rule) = (world.enis().next().unwrap().id.clone(), world.groups().next().unwrap());
        let rule = rule.rules.keys().next().unwrap().clone();
        let file = json!([{ "Direction": "ingress", "IpProtocol": "TCP", "PortRange": "80/80", "Priority": 1,
                            "SourceCidrIp": "192.0.2.0/24", "Policy": "Accept" }]);
        let open = json!({ "target": eni, "direction": "Ingress", "service": "tcp/81", "peer": "192.0.2.1/32" });
        let fix = json!({ "finding": format!("ecs-security-group-white-list-port-check/{group}"), "delete": true });
        vec![
            (Method::PUT, "/v1/bypass".to_owned(), json!({ "items": ["none"] })),
            (Method::PUT, "/v1/platform".to_owned(), json!({ "policy": "mail", "on": true })),
            (Method::PUT, "/v1/treatment".to_owned(), json!({ "eni": eni, "treatment": "reset" })),
            (
                Method::PUT,
                "/v1/treatment".to_owned(),
                json!({ "account": crate::testing::ACCOUNT, "treatment": "keep" }),
            ),
            (Method::POST, "/v1/health/fix".to_owned(), json!({ "rules": [rule] })),
            (Method::POST, format!("/v1/groups/{group}/import"), json!({ "text": file.to_string() })),
            (Method::POST, format!("/v1/groups/{group}/preset"), json!({ "preset": "ssh", "from": ["192.0.2.1"] })),
            (Method::POST, format!("/v1/groups/{group}/clone"), json!({ "name": "copy", "keep_rules": true })),
            (Method::POST, "/v1/diagnose/open".to_owned(), open),
            (Method::PUT, format!("/v1/groups/{group}/protection"), json!({ "protected": true })),
            (Method::POST, "/v1/comply/fix".to_owned(), fix),
        ]
    }
}

#[tokio::test]
async fn every_change_can_be_rehearsed_and_rolls_back_by_itself() {
    let lab = Lab::new();
    let before = lab.bench.committer.world().to_changes();
    for (method, path, body) in lab.changes() {
        let body = body.to_string();
        let (status, told) = lab.call(method.clone(), &format!("{path}?dry_run=true"), &body).await;
        assert_eq!(status, StatusCode::OK, "{path}: {told}");
        let answer: DiffAnswer = serde_json::from_str(&told).unwrap();
        assert!(answer.report.after.contains(" with "), "{path}: {told}");
        assert_eq!(lab.bench.committer.world().to_changes(), before, "{path}: nothing has changed");
        let (status, told) = lab.call(method, &format!("{path}?confirm_within_s=60"), &body).await;
        assert_eq!(status, StatusCode::OK, "{path}: {told}");
        let told: Value = serde_json::from_str(&told).unwrap();
        let id = told["trial"]["id"].as_str().unwrap_or_else(|| panic!("{path}: {told}")).to_owned();
        assert_ne!(lab.bench.committer.world().to_changes(), before, "{path}");
        lab.bench.commit(Command::Trial(TrialCommand::RollBack { id })).await;
        assert_eq!(lab.bench.committer.world().to_changes(), before, "{path}");
    }
}

#[tokio::test]
async fn a_change_on_trial_says_what_it_says_at_once() {
    let lab = Lab::new();
    let group = lab.own_group();
    let ask = async |path: &str, body: Value| -> Value {
        let (status, told) = lab.call(Method::POST, path, &body.to_string()).await;
        assert_eq!(status, StatusCode::OK, "{told}");
        serde_json::from_str(&told).unwrap()
    };
    let preset = json!({ "preset": "ssh", "from": ["192.0.2.1"] });
    let told = ask(&format!("/v1/groups/{group}/preset?confirm_within_s=60"), preset).await;
    assert_eq!(told["added"].as_array().map(Vec::len), Some(1), "{told}");
    assert_eq!(told["trial"]["operations"], json!(["AddPreset"]), "{told}");
    let told = ask(&format!("/v1/groups/{group}/clone?confirm_within_s=60"), json!({ "name": "copy" })).await;
    let made = told["group"].as_str().unwrap();
    assert!(lab.bench.committer.world().group(&made.into()).is_some(), "{told}");
    for (query, said) in [
        ("confirm_within_s=0", "0 s is no time to confirm something in; give 1 to 86400 s"),
        ("confirm_within=60", "unknown field `confirm_within`"),
        ("force=maybe", "force"),
    ] {
        let (status, _, message) =
            lab.refused(Method::PUT, &format!("/v1/bypass?{query}"), r#"{"items":["none"]}"#).await;
        assert_eq!(status, 400, "{message}");
        assert!(message.contains(said), "{message}");
    }
}

#[tokio::test]
async fn a_change_that_cuts_whoever_makes_it_is_refused_whichever_it_is() {
    let lab = Lab::new();
    let world = lab.bench.committer.world();
    let server = world.enis().next().unwrap().addresses[0];
    let managing = Connection { client: "203.0.113.9:50000".parse().unwrap(), server: (server, 443).into() };
    lab.app.callers.note(managing, outside::now());
    let rule = world.groups().next().unwrap().rules.keys().next().unwrap().clone();
    let body = json!({ "rules": [rule] }).to_string();
    let (status, code, message) = lab.refused(Method::POST, "/v1/health/fix", &body).await;
    assert_eq!((status, code), (409, ErrorCode::Refused), "{message}");
    assert!(message.contains("the connection from 203.0.113.9:50000"), "{message}");
    assert_eq!(lab.bench.committer.world().revision(), world.revision());
    let (status, told) = lab.call(Method::POST, "/v1/health/fix?confirm_within_s=60", &body).await;
    assert_eq!(status, StatusCode::OK, "{told}");
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((told["cuts"].as_array().map(Vec::len), told["trial"].is_object()), (Some(1), true), "{told}");
    let (status, told) = lab.call(Method::PUT, "/v1/platform", r#"{"policy":"mail","on":true}"#).await;
    assert_eq!(status, StatusCode::OK, "it has nothing to do with it: {told}");
}
