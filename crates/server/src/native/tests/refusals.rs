//! What the native API refuses, and what it says then.

use super::*;

/// The year 2100.
const AHEAD: i64 = 4_102_444_800;

#[tokio::test]
async fn a_moment_that_has_not_come_is_refused() {
    let lab = Lab::new();
    let ends = "from=i-1&to=i-2&service=icmp";
    let asked = [
        (Method::GET, format!("/v1/why?{ends}&at_time={AHEAD}"), String::new()),
        (Method::GET, format!("/v1/who?to=i-1&at_time={AHEAD}"), String::new()),
        (Method::GET, format!("/v1/policy/i-1?at_time={AHEAD}"), String::new()),
        (Method::GET, format!("/v1/health?unused_since={AHEAD}"), String::new()),
        (Method::POST, "/v1/health".to_owned(), format!(r#"{{"unused_since":{AHEAD}}}"#)),
        (Method::POST, "/v1/diff".to_owned(), format!(r#"{{"moments":{{"from":{{"at_time":{AHEAD}}}}}}}"#)),
        (
            Method::POST,
            "/v1/diff".to_owned(),
            format!(r#"{{"moments":{{"from":{{"at":1}},"to":{{"at_time":{AHEAD}}}}}}}"#),
        ),
    ];
    for (method, path, body) in asked {
        let (status, code, message) = lab.refused(method, &path, &body).await;
        assert_eq!((status, code), (404, ErrorCode::NotFound), "{path}: {message}");
        let said = "the moment 2100-01-01T00:00:00Z is not there yet; the server's clock says 2";
        assert!(message.starts_with(said), "{path}: {message}");
    }
    let (_, _, message) = lab.refused(Method::GET, &format!("/v1/who?to=i-1&at_time={}", i64::MAX), "").await;
    assert!(message.starts_with(&format!("the moment second {} is not there yet", i64::MAX)), "{message}");
    let now = outside::now().0;
    let (status, body) = lab.call(Method::GET, &format!("/v1/health?unused_since={now}"), "").await;
    assert_eq!(status, StatusCode::OK, "{body}");
}

#[tokio::test]
async fn a_body_that_is_json_is_told_what_it_lacks() {
    let lab = Lab::new();
    let which = "the request's body cannot be read: give one of the fields `moments` (`from`, `to`), `request` (`parameters`), `group` \
                 (`group`, and one of `with_group`, `file` and `shadow`), `policies` (`one`, `other`) and `account` (`files`, `is_before`)";
    let two = r#"{"policies":{"one":"i-1","other":"i-2"},"moments":{"from":{}}}"#;
    for (path, body, said) in [
        ("/v1/diff", "{}", which),
        ("/v1/diff", two, which),
        (
            "/v1/diff",
            r#"{"moment":{}}"#,
            "unknown field `moment`, expected one of `moments`, `request`, `group`, `policies`, `account`",
        ),
        ("/v1/diff", r#"{"moments":{}}"#, "missing field `from`"),
        ("/v1/diff", r#"{"account":{"files":[]}}"#, "the files describe no security group"),
        ("/v1/diff", r#"{"account":{"files":[{"name":"a.json","text":"{"}]}}"#, "`a.json` cannot be read"),
        ("/v1/apply", "{}", "missing field `requests`"),
        ("/v1/diagnose/open", "[]", "invalid length 0"),
    ] {
        let (status, code, message) = lab.refused(Method::POST, path, body).await;
        assert_eq!((status, code), (400, ErrorCode::Invalid), "{path}: {message}");
        assert!(message.contains(said) && !message.contains("send JSON"), "{path} {body}: {message}");
    }
    for body in ["", "{", "moments", "{}{}"] {
        let (_, _, message) = lab.refused(Method::POST, "/v1/diff", body).await;
        assert!(message.ends_with("; send JSON"), "{body}: {message}");
    }
}

#[tokio::test]
async fn a_parameter_that_no_question_has_is_refused_by_name() {
    let lab = Lab::new();
    for (method, path) in [
        (Method::GET, "/v1/why?from=i-1&to=i-2&service=icmp"),
        (Method::GET, "/v1/who?to=i-1"),
        (Method::GET, "/v1/policy/i-1?at=1"),
        (Method::GET, "/v1/nft/i-1?forwarded=true"),
        (Method::GET, "/v1/health?group=sg-1"),
        (Method::GET, "/v1/diagnose?target=i-1"),
        (Method::GET, "/v1/groups/sg-1/export?format=json"),
        (Method::GET, "/v1/history?limit=1"),
        (Method::GET, "/v1/flows?limit=1"),
        (Method::GET, "/v1/flows/live?limit=1"),
        (Method::GET, "/v1/wait?timeout_s=1"),
        (Method::GET, "/v1/interfaces?bound=true"),
        (Method::GET, "/v1/snapshots?group=sg-1"),
        (Method::GET, "/v1/snapshot-policies?account=1"),
        (Method::DELETE, "/v1/groups/sg-1?force=true"),
        (Method::DELETE, "/v1/interfaces/eni-1/binding?holder=me"),
    ] {
        let (status, code, message) = lab.refused(method, &format!("{path}&unexpected=1"), "").await;
        assert_eq!((status, code), (400, ErrorCode::Invalid), "{path}: {message}");
        assert!(message.contains("unknown field `unexpected`"), "{path}: {message}");
    }
}

#[tokio::test]
async fn a_question_without_parameters_refuses_each_by_name() {
    let lab = Lab::new();
    for path in [
        "/metrics",
        "/v1/status",
        "/v1/counters",
        "/v1/accounts",
        "/v1/resource-groups",
        "/v1/trials",
        "/v1/invariants",
        "/v1/who/all",
        "/v1/groups/sg-1/shadow",
        "/v1/snapshots/1",
        "/v1/snapshots/1/difference",
        "/v1/bypass",
        "/v1/platform",
    ] {
        let (status, code, message) = lab.refused(Method::GET, &format!("{path}?unexpected=1"), "").await;
        assert_eq!((status, code), (400, ErrorCode::Invalid), "{path}: {message}");
        assert!(message.contains("unknown field `unexpected`, there are no fields"), "{path}: {message}");
        // Nobody without the token is told which parameters there are.
        let (status, _) = lab.send(Method::GET, &format!("{path}?unexpected=1"), None, "").await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}");
    }
    for path in ["/v1/status?", "/v1/status", "/v1/who/all", "/v1/platform?"] {
        let (status, body) = lab.call(Method::GET, path, "").await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
    }
    for (method, path) in [(Method::GET, "/v1/nothing?at=1"), (Method::PATCH, "/v1/status?at=1")] {
        let (status, code, _) = lab.refused(method, path, "").await;
        assert_eq!((status, code), (404, ErrorCode::NotFound), "{path}");
    }
}
