//! Commits in words.

use std::sync::Arc;

use sekimori_core::{
    bypass::BypassSet,
    change::Actor,
    network_acl::{AclEntry, NetworkAcl},
    platform::{Platform, PlatformPolicy},
    rule::{Action, Direction, Peer, PortRange, Protocol, Rule, RuleSpec, Service},
    tags::Tags,
    world::{Account, Eni, Instance, InstanceState, Treatment},
};

use super::*;
use crate::fixture;

fn commit(changes: Vec<Change>) -> Commit {
    let actor = Actor {
        who: "LTAI1".to_owned(),
        operation: "AuthorizeSecurityGroup".to_owned(),
        from: Some("192.0.2.1".to_owned()),
        request_id: "r".to_owned(),
    };
    Commit { revision: Revision(8), at: Timestamp(100), actor, changes }
}

fn rule() -> Arc<Rule> {
    let spec = RuleSpec {
        direction: Direction::Ingress,
        action: Action::Allow,
        priority: 1,
        protocol: Protocol::Number(6),
        service: Service::Ports(PortRange::new(443, 443).unwrap()),
        source_ports: None,
        peer: Peer::Cidr("0.0.0.0/0".parse().unwrap()),
        local: None,
    };
    let (description, tags) = (String::new(), Tags::default());
    Arc::new(Rule { id: "r9".into(), spec, description, tags, created_at: Timestamp(0) })
}

#[test]
fn a_rule_is_told_in_words_and_what_is_gone_by_its_name() {
    let world = fixture::world("sg web\n sg cloud ec2");
    let put = |group: &str| Change::PutRule { group: group.into(), rule: rule() };
    let gone = Change::DeleteRule { group: "sg-web".into(), rule: "r1".into() };
    let entry = tell(&world, &commit(vec![put("sg-web"), put("sg-cloud"), put("sg-gone"), gone]));
    let told: Vec<(&str, bool, Option<&str>)> =
        entry.changes.iter().map(|told| (told.about.as_str(), told.is_gone, told.words.as_deref())).collect();
    let allow = "ingress: allow tcp 443 from 0.0.0.0/0";
    assert_eq!(
        told,
        [
            ("rule/sg-web/r9", false, Some(format!("{allow}, priority 1").as_str())),
            ("rule/sg-cloud/r9", false, Some(allow)),
            ("rule/sg-gone/r9", false, Some(allow)),
            ("rule/sg-web/r1", true, None),
        ]
    );
    assert_eq!(
        (entry.revision, entry.who.as_str(), entry.from.as_deref()),
        (Revision(8), "LTAI1", Some("192.0.2.1"))
    );
}

#[test]
fn every_condition_of_a_filter_holds() {
    let commit = commit(vec![Change::DeleteRule { group: "sg-web".into(), rule: "r1".into() }]);
    let all = Filter {
        who: Some("LTAI1".to_owned()),
        operation: Some("authorizesecuritygroup".to_owned()),
        about: Some("r1".to_owned()),
        since: Some(Timestamp(100)),
        until: Some(Timestamp(100)),
    };
    assert!(all.holds(&commit) && Filter::default().holds(&commit));
    assert!(Filter { about: Some("sg-web".to_owned()), ..Filter::default() }.holds(&commit));
    let others = [
        Filter { who: Some("operator".to_owned()), ..all.clone() },
        Filter { operation: Some("RevokeSecurityGroup".to_owned()), ..all.clone() },
        Filter { about: Some("rule".to_owned()), ..all.clone() },
        Filter { about: Some("sg-we".to_owned()), ..all.clone() },
        Filter { since: Some(Timestamp(101)), ..all.clone() },
        Filter { until: Some(Timestamp(99)), ..all.clone() },
    ];
    for other in others {
        assert!(!other.holds(&commit), "{other:?}");
    }
}

#[test]
fn a_fact_is_told_with_what_people_decide_by() {
    let world = fixture::world("sg web drop\n eni a 10.0.0.1 fd00::1 in web tag role=web\n list office 192.0.2.0/24");
    let stopped =
        Instance { state: InstanceState::Stopped, ..Instance::clone(world.instance(&"i-a".into()).unwrap()) };
    let routing = Eni { source_check: false, ..Eni::clone(world.eni(&"eni-a".into()).unwrap()) };
    let spec = RuleSpec::plain(
        Direction::Egress,
        Action::Deny,
        (Protocol::TCP, Service::Ports(PortRange::one(25))),
        Peer::Cidr(sekimori_core::address::Cidr::WORLD_V4),
    );
    let acl = NetworkAcl {
        id: "acl-1".into(),
        account: "1".into(),
        vpc: "vpc-1".into(),
        is_default: false,
        entries: vec![AclEntry { number: 90, spec }],
        tags: Tags::default(),
        created_at: Timestamp(0),
    };
    let changes = vec![
        Change::PutPlatform(Platform::default().with(PlatformPolicy::Mail, true)),
        Change::PutBypass(Arc::new(BypassSet::from_items(["udp/53@10.0.0.2"]).unwrap())),
        Change::PutBypass(Arc::new(BypassSet::new(Vec::new()).unwrap())),
        Change::PutGroup(Arc::clone(world.group(&"sg-web".into()).unwrap())),
        Change::PutInstance(Arc::new(stopped)),
        Change::PutEni(Arc::new(routing)),
        Change::PutPrefixList(Arc::clone(world.prefix_list(&"pl-office".into()).unwrap())),
        Change::PutNetworkAcl(Arc::new(acl)),
        Change::PutAccount(Arc::new(Account {
            treatment: Some(Treatment::Keep),
            ..Account::clone(world.account(&"1".into()).unwrap())
        })),
    ];
    let told: Vec<String> = tell(&world, &commit(changes))
        .changes
        .into_iter()
        .map(|told| format!("{}: {}", told.about, told.words.unwrap_or_default()))
        .collect();
    expect_test::expect![[r#"
        platform: mail on, cloud-services off, dhcp-servers on
        bypass: egress: udp 53 to 10.0.0.2, source ports all; ingress: udp all from 10.0.0.2, source ports 53
        bypass: no entries
        group/sg-web: web, members do not accept each other
        instance/i-a: a, stopped, tags role=web
        eni/eni-a: in sg-web, at 10.0.0.1 fd00::1, of i-a, source check off
        prefix-list/pl-office: office, 192.0.2.0/24
        network-acl/acl-1: egress 90 deny tcp 25 to 0.0.0.0/0
        account/1: default, treatment keep"#]]
    .assert_eq(&told.join("\n"));
}
