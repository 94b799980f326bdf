//! How findings look.

use std::collections::BTreeMap;

use expect_test::expect;
use sekimori_analysis::comply::{ResourceName, Service, Suppression, Told};
use sekimori_core::world::Revision;

use super::*;

fn finding(id: &str, suppression: Option<Suppression>) -> Finding {
    let resource = ResourceName {
        kind: "AWS::EC2::SecurityGroup".to_owned(),
        id: id.to_owned(),
        name: "web".to_owned(),
        account: "1".into(),
        region: "us-east-1".to_owned(),
    };
    let cause = Cause {
        rule: Some("sgr-1".into()),
        entry: None,
        text: "rule sgr-1 of sg-1 (web): allow tcp 22 from 0.0.0.0/0".to_owned(),
        opens: vec!["tcp 22 from every public IPv4 address".to_owned()],
        witness: Some("tcp/22 from 1.0.0.0".to_owned()),
    };
    Finding {
        id: format!("EC2.18/{id}"),
        control: "EC2.18".to_owned(),
        severity: Severity::High,
        resource,
        causes: vec![cause],
        suppression,
    }
}

fn report() -> Report {
    let asked = Asked {
        id: "EC2.18".to_owned(),
        title: "only authorized ports".to_owned(),
        severity: Severity::High,
        service: Service::SecurityHub,
        config_rule: "vpc-sg-open-only-to-authorized-ports".to_owned(),
        cis: vec![Cis { version: "5.0".to_owned(), number: "5.3".to_owned() }],
        parameters: BTreeMap::from([
            ("authorizedTcpPorts".to_owned(), "80,443".to_owned()),
            ("authorizedUdpPorts".to_owned(), String::new()),
        ]),
        remediation: "restrict it".to_owned(),
        checked: 3,
        failed: 2,
    };
    let accepted = |resource: &str, expires: &str| Suppression {
        control: "EC2.18".to_owned(),
        resource: resource.to_owned(),
        reason: "a jump host".to_owned(),
        expires: expires.to_owned(),
    };
    let told = |suppression: Suppression, state| Told { suppression, state };
    let (applied, expired) = (accepted("sg-2", "2027-01-01"), accepted("sg-1", "2026-01-01"));
    Report {
        revision: Revision(7),
        mode: Mode::Semantic,
        standards: vec![],
        controls: vec![asked],
        findings: vec![finding("sg-1", None), finding("sg-2", Some(applied.clone()))],
        unjudged: vec![],
        notes: vec!["a note".to_owned()],
        suppressions: vec![told(applied, State::Applied), told(expired, State::Expired)],
    }
}

#[test]
fn findings_say_what_is_open_and_what_to_do() {
    expect![[r#"
        1 finding in 3 judgements of 1 control, semantic, revision 7; 1 suppressed
        SEVERITY  FINDING      RESOURCE    CAUSE                                                  OPENS                                  WITNESS
        high      EC2.18/sg-1  sg-1 (web)  rule sgr-1 of sg-1 (web): allow tcp 22 from 0.0.0.0/0  tcp 22 from every public IPv4 address  tcp/22 from 1.0.0.0
        EC2.18: only authorized ports; authorizedTcpPorts 80,443; authorizedUdpPorts none; CIS AWS 5.0 5.3
          to do: restrict it
        suppression EC2.18/sg-2 until 2027-01-01 (a jump host): applied
        suppression EC2.18/sg-1 until 2026-01-01 (a jump host): expired; it is not applied any more
        a note
    "#]].assert_eq(&page(&report()).plain());
}

#[test]
fn the_number_is_that_of_the_edition_that_was_asked_about() {
    let numbered = |standards: &[&str]| {
        let mut report = report();
        let cis = |version: &str, number: &str| Cis { version: version.to_owned(), number: number.to_owned() };
        report.controls[0].cis = vec![cis("1.2", "4.3"), cis("5.0", "5.5"), cis("7.0", "6.5")];
        report.standards = standards.iter().map(|standard| (*standard).to_owned()).collect();
        let (page, mut tags) = (page(&report).plain(), sarif(&report, "1")["runs"][0].take());
        let told = page.lines().find(|line| line.starts_with("EC2.18: ")).unwrap();
        let told: Vec<String> = told.split("; ").filter(|part| part.starts_with("CIS")).map(str::to_owned).collect();
        let tags = tags["tool"]["driver"]["rules"][0]["properties"]["tags"].take();
        let tags: Vec<String> = serde_json::from_value(tags).unwrap();
        (told, tags)
    };
    let [old, middle, new] = ["CIS AWS 1.2 4.3", "CIS AWS 5.0 5.5", "CIS AWS 7.0 6.5"].map(str::to_owned);
    let (told, tags) = numbered(&["cis-aws-1.2"]);
    assert_eq!((told, tags), (vec![old.clone()], vec!["security".to_owned(), old.clone()]));
    let (told, _) = numbered(&["cis-aws-5.0", "security-hub", "cis-aws-1.2"]);
    assert_eq!(told, [old.clone(), middle.clone()]);
    assert_eq!(numbered(&["cis-aws-3.0"]).0, Vec::<String>::new());
    for standards in [&[][..], &["security-hub"]] {
        let (told, tags) = numbered(standards);
        assert_eq!(told, std::slice::from_ref(&new));
        assert_eq!(tags[1..], [old.clone(), middle.clone(), new.clone()]);
    }
}

#[test]
fn nothing_found_is_told() {
    let clean = Report { findings: vec![], notes: vec![], suppressions: vec![], ..report() };
    assert!(page(&clean).plain().contains("every control is complied with"));
}

#[test]
fn standards_are_checked_before_anything_is_asked() {
    assert!(standard("cis-aws-5.0").is_ok());
    assert!(standard("cis-aws-9.9").unwrap_err().contains("use one of security-hub"));
}
