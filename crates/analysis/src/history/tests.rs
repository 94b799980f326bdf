//! Commits in words.

use std::sync::Arc;

use sekimori_core::{
    change::Actor,
    rule::{Action, Direction, Peer, PortRange, Protocol, Rule, RuleSpec, Service},
    tags::Tags,
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
