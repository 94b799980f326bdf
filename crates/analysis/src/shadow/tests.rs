//! Candidates are made of what there is, and reports tell who decides what otherwise.

use std::sync::Arc;

use expect_test::expect;
use sekimori_core::{change::Change, command::NewRule, feed::ShadowPair, limits::LimitMode, shadow::Shadow};

use super::*;
use crate::fixture;

const WORLD: &str = "
    sg web
    sg other
    sg cloud ec2
    web: in allow tcp 443 from 0.0.0.0/0 priority 5
    web: in allow tcp 22 from 10.0.0.0/8
    other: in allow tcp 80 from 0.0.0.0/0
    eni a 10.0.0.1 in web
    eni b 10.0.0.2 in web other";

fn planned(request: &Request) -> String {
    match plan(&fixture::world(WORLD), LimitMode::Host, &"sg-web".into(), request) {
        Ok(plan) => format!("kept {}, added {:?}, removed {:?}", plan.kept, plan.added, plan.removed),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_candidate_begins_with_a_group_or_a_file_and_is_edited() {
    let edits = Request {
        remove: vec!["r2".into()],
        add: vec!["ingress allow tcp/22 from 10.1.0.0/16".to_owned()],
        ..Request::default()
    };
    let other = Request { from_group: Some("sg-other".into()), ..Request::default() };
    let file = r#"[{"Direction":"ingress","Policy":"Accept","Priority":5,"IpProtocol":"TCP","PortRange":"443/443","SourceCidrIp":"0.0.0.0/0"}]"#;
    let file = Request { file: Some(file.to_owned()), ..Request::default() };
    let wrong = [
        Request { from_group: Some("sg-cloud".into()), ..Request::default() },
        Request { from_group: Some("sg-none".into()), ..Request::default() },
        Request { file: Some("nothing".to_owned()), ..Request::default() },
        Request { from_group: Some("sg-other".into()), file: Some(String::new()), ..Request::default() },
        Request { remove: vec!["r3".into()], ..Request::default() },
        Request { add: vec!["ingress allow udp/53 from 10.9.0.0/16".to_owned(); 2], ..Request::default() },
        Request { add: vec![String::new(); EDITS_MAX + 1], ..Request::default() },
    ];
    let lines: Vec<String> = [edits, other, file].iter().chain(&wrong).map(planned).collect();
    expect![[r#"
        kept 1, added ["ingress: allow tcp 22 from 10.1.0.0/16, priority 1"], removed ["ingress: allow tcp 22 from 10.0.0.0/8, priority 1"]
        kept 0, added ["ingress: allow tcp 80 from 0.0.0.0/0, priority 1"], removed ["ingress: allow tcp 443 from 0.0.0.0/0, priority 5", "ingress: allow tcp 22 from 10.0.0.0/8, priority 1"]
        kept 1, added [], removed ["ingress: allow tcp 22 from 10.0.0.0/8, priority 1"]
        `sg-cloud` is another kind of group than `sg-web`; name one of the same kind
        no security group `sg-none`; list them with DescribeSecurityGroups
        the file is not a list of rules: the first row names no column `Direction`; export a group to see one
        a shadow begins with the rules of another group or of a file; name one of them
        `sg-web` has no rule `r3` to leave out; DescribeSecurityGroupAttribute (ECS) and DescribeSecurityGroupRules (EC2) list them
        `ingress allow udp/53 from 10.9.0.0/16` is a rule of the candidate already; leave it out
        1001 rules to add and to leave out are more than the 1000 of one request; use a file"#]].assert_eq(&lines.join("\n"));
}

fn shadowed() -> World {
    let mut world = fixture::world(WORLD);
    let request = Request {
        remove: vec!["r2".into()],
        add: vec!["ingress allow udp/53 from 10.0.0.0/8".to_owned()],
        ..Request::default()
    };
    let plan = plan(&world, LimitMode::Host, &"sg-web".into(), &request).unwrap();
    let live = world.group(&"sg-web".into()).unwrap().rules.clone();
    let named = |(index, new): (usize, &NewRule)| {
        let live = live.values().find(|rule| rule.spec == new.spec).cloned();
        live.unwrap_or_else(|| {
            let (id, spec) = (RuleId::from(format!("c{index}")), new.spec.clone());
            Arc::new(Rule {
                id,
                spec,
                description: String::new(),
                tags: Default::default(),
                created_at: Timestamp(0),
            })
        })
    };
    let rules = plan.rules.iter().enumerate().map(named).collect();
    let base = live.values().cloned().collect();
    let shadow = Shadow { group: "sg-web".into(), rules, base, number: 9, set_at: Timestamp(5) };
    world.apply(&Change::PutShadow(Arc::new(shadow)));
    world
}

fn by(passes: bool, rule: Option<&str>) -> Decider {
    let reason = if rule.is_some() { "rule" } else { "default" };
    Decider { passes, reason: reason.to_owned(), rule: rule.map(|rule| ("sg-web".into(), Some(rule.into()))) }
}

#[test]
fn flows_are_told_by_who_decided_and_who_would_have() {
    let world = shadowed();
    let pair = |live: Decider, candidate: Decider, flows| ShadowPair {
        direction: Direction::Ingress,
        live,
        candidate,
        flows,
    };
    let witness = ShadowWitness {
        direction: Direction::Ingress,
        local: "10.0.0.1".parse().unwrap(),
        peer: "10.9.9.9".parse().unwrap(),
        protocol: 6,
        port: 22,
        live: by(true, Some("r2")),
        candidate: by(false, None),
        flows: 3,
        seen_at: Timestamp(7),
    };
    let cells = ShadowCells { allowed: 5, denied: 1, opened: 2, closed: 4, skipped: 1 };
    let pairs = vec![
        pair(by(true, Some("r1")), by(true, Some("r1")), 5),
        pair(by(false, None), by(false, None), 1),
        pair(by(false, None), by(true, Some("c1")), 2),
        pair(by(true, Some("r2")), by(false, None), 3),
    ];
    let count = ShadowCount { eni: "eni-a".into(), round: 9, cells, pairs, witnesses: vec![witness] };
    let stale = ShadowCount { eni: "eni-b".into(), round: 8, ..count.clone() };
    let report = report(&world, &"sg-web".into(), &[count, stale]).unwrap();
    let line = |line: &Line| {
        let Line { rule, text, is_on_both_sides, same, opened, closed, .. } = line;
        format!("{rule:?} {text} both={is_on_both_sides} same={same} opened={opened} closed={closed}\n")
    };
    let mut told: String = report.live.iter().map(line).chain(["--\n".to_owned()]).collect();
    told.extend(report.candidate.iter().map(line));
    told.extend(report.witnesses.iter().map(|it| {
        format!(
            "{} {} from {}: {} / {} x{}\n",
            it.eni, it.service, it.flows.peer, it.live_text, it.candidate_text, it.flows.flows
        )
    }));
    let counted: Vec<(&str, bool)> =
        report.interfaces.iter().map(|it| (it.eni.as_str(), it.flows.is_some())).collect();
    told.push_str(&format!("{counted:?} untold {} outdated {}\n", report.untold, report.is_outdated));
    expect![[r#"
        Some(r2) allow tcp 22 from 10.0.0.0/8, priority 1 both=false same=0 opened=0 closed=3
        Some(r1) allow tcp 443 from 0.0.0.0/0, priority 5 both=true same=5 opened=0 closed=0
        None default deny both=true same=1 opened=2 closed=0
        --
        Some(c1) allow udp 53 from 10.0.0.0/8, priority 1 both=false same=0 opened=2 closed=0
        Some(r1) allow tcp 443 from 0.0.0.0/0, priority 5 both=true same=5 opened=0 closed=0
        None default deny both=true same=1 opened=0 closed=3
        eni-a tcp/22 from 10.9.9.9: r2: allow tcp 22 from 10.0.0.0/8, priority 1 / default deny x3
        [("eni-b", false), ("eni-a", true)] untold 1 outdated false
    "#]]
    .assert_eq(&told);
    assert_eq!(super::report(&world, &"sg-other".into(), &[]).unwrap_err(), ShadowError::Absent("sg-other".into()));
}

#[test]
fn rules_of_an_ec2_group_are_read_as_the_cloud_describes_them() {
    let world = fixture::world(
        "
        ec2
        sg web ec2
        sg app ec2
        web: in allow tcp 22 from 10.0.0.0/8",
    );
    let described = |group: &str, peers: &str| {
        format!(
            r#"{{"GroupId":"{group}","GroupName":"g","VpcId":"vpc-1","OwnerId":"1","IpPermissions":[{{"IpProtocol":"tcp","FromPort":443,"ToPort":443,{peers}}}],"IpPermissionsEgress":[]}}"#
        )
    };
    let everyone = r#""IpRanges":[{"CidrIp":"0.0.0.0/0","Description":"all"}]"#;
    let of_app = r#""UserIdGroupPairs":[{"GroupId":"sg-app","UserId":"1"}]"#;
    let planned = |groups: &[String]| {
        let file = Some(format!(r#"{{"SecurityGroups":[{}]}}"#, groups.join(",")));
        match plan(&world, LimitMode::Host, &"sg-web".into(), &Request { file, ..Request::default() }) {
            Ok(plan) => format!("kept {}, added {:?}, removed {:?}", plan.kept, plan.added, plan.removed),
            Err(error) => error.to_string(),
        }
    };
    let told = [
        planned(&[described("sg-elsewhere", everyone)]),
        planned(&[described("sg-elsewhere", of_app)]),
        planned(&[described("sg-app", everyone), described("sg-web", of_app)]),
        planned(&[described("sg-app", everyone), described("sg-db", everyone)]),
        planned(&[described("sg-web", r#""UserIdGroupPairs":[{"GroupId":"sg-gone","UserId":"1"}]"#)]),
        planned(&[]),
    ];
    expect![[r#"
        kept 0, added ["ingress: allow tcp 443 from 0.0.0.0/0"], removed ["ingress: allow tcp 22 from 10.0.0.0/8"]
        kept 0, added ["ingress: allow tcp 443 from group sg-app (app)"], removed ["ingress: allow tcp 22 from 10.0.0.0/8"]
        kept 0, added ["ingress: allow tcp 443 from group sg-app (app)"], removed ["ingress: allow tcp 22 from 10.0.0.0/8"]
        the file describes neither `sg-web` nor the rules of one group only; describe that group by itself
        rule 1 of the file: peer security group `sg-gone` does not exist in this account and region; check the id
        the files describe no security group and nothing else that is asked about; give what `aws ec2 describe-security-groups` or `aliyun ecs DescribeSecurityGroupAttribute` printed; rules of an EC2 group are read as `aws ec2 describe-security-groups` prints them"#]].assert_eq(&told.join("\n"));
}
