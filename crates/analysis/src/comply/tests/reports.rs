//! Reports in the forms that other programs read, and suppressions.

use serde_json::Value;

use super::*;

fn report() -> Report {
    let text = "ec2\nsg web ec2 named a<b>&\"c\"\nsg db ec2\nweb: in allow tcp 22 from 0.0.0.0/0\ndb: in allow tcp 3306 from ::/0
        eni a 10.0.0.1 fd00::1 in web\neni b 10.0.0.2 fd00::2 in db";
    let question = Question { standards: vec!["security-hub".to_owned()], ..Question::default() };
    check(&fixture::world(text), &question).unwrap()
}

fn accepted(resource: &str, expires: &str) -> Suppression {
    Suppression {
        control: "EC2.18".to_owned(),
        resource: resource.to_owned(),
        reason: "a jump host".to_owned(),
        expires: expires.to_owned(),
    }
}

#[test]
fn a_suppression_is_applied_until_its_day_and_then_told() {
    let mut report = report();
    let open = report.open().count();
    let all = vec![accepted("sg-web", "2027-03-31"), accepted("sg-db", "2027-03-30"), accepted("sg-x", "2030-01-01")];
    suppress::apply(&mut report, all, "2027-03-31");
    assert_eq!(report.open().count(), open - 1);
    let states: Vec<suppress::State> = report.suppressions.iter().map(|told| told.state).collect();
    assert_eq!(states, [suppress::State::Applied, suppress::State::Expired, suppress::State::Unused]);
}

/// The fields that SARIF 2.1.0 requires, object by object, and those whose values it restricts.
#[test]
fn sarif_has_what_its_schema_requires() {
    let mut report = report();
    suppress::apply(&mut report, vec![accepted("sg-web", "2027-03-31")], "2027-01-01");
    let log = sarif(&report, "1.0");
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    let driver = &run["tool"]["driver"];
    assert!(driver["name"].is_string());
    let rules = driver["rules"].as_array().unwrap();
    assert_eq!(rules.len(), 10);
    let levels = ["none", "note", "warning", "error"];
    for rule in rules {
        assert!(
            rule["id"].is_string()
                && rule["shortDescription"]["text"].is_string()
                && rule["help"]["text"].is_string()
        );
        assert!(levels.contains(&rule["defaultConfiguration"]["level"].as_str().unwrap()));
    }
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), report.findings.len());
    for result in results {
        assert!(!result["message"]["text"].as_str().unwrap().is_empty());
        assert!(levels.contains(&result["level"].as_str().unwrap()));
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        let place = &result["locations"][0];
        let uri = place["physicalLocation"]["artifactLocation"]["uri"].as_str().unwrap();
        assert!(
            !uri.contains(|character: char| character.is_whitespace() || "<>\"{}|\\^`:".contains(character)),
            "{uri}"
        );
        assert!(place["logicalLocations"][0]["fullyQualifiedName"].is_string());
        assert!(result["partialFingerprints"].as_object().unwrap().values().all(Value::is_string));
        for suppression in result["suppressions"].as_array().unwrap() {
            assert_eq!((&suppression["kind"], &suppression["status"]), (&"external".into(), &"accepted".into()));
        }
    }
    let suppressed = results.iter().filter(|result| !result["suppressions"].as_array().unwrap().is_empty());
    assert_eq!(suppressed.count(), 1);
    assert_eq!(run["invocations"][0]["executionSuccessful"], true);
}

#[test]
fn junit_counts_what_it_lists() {
    let mut report = report();
    suppress::apply(&mut report, vec![accepted("sg-web", "2027-03-31")], "2027-01-01");
    let text = junit(&report);
    let count = |what: &str| text.matches(what).count();
    assert_eq!(count("<failure"), report.open().count());
    assert_eq!(count("<skipped"), 1);
    assert_eq!(count("<testsuite "), 10);
    let head = text.lines().nth(1).unwrap();
    let tests = count("<testcase");
    assert!(head.contains(&format!("tests=\"{tests}\" failures=\"{}\"", report.open().count())), "{head}");
    assert!(!text.contains("a<b>") && text.contains("&lt;b&gt;&amp;"));
}

#[test]
fn a_report_survives_the_wire() {
    let report = report();
    let text = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
}
