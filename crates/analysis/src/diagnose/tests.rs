//! Questions about small worlds, and what opens a service.

use expect_test::{Expect, expect};

use super::{
    open::{Plan, Request, plan},
    *,
};
use crate::fixture;

const TIERS: &str = "
    sg web
    sg db drop
    sg wall drop
    web: in allow tcp 80 from 0.0.0.0/0
    web: in deny tcp 443 from 203.0.113.0/24 priority 10
    web: in allow tcp 443 from 0.0.0.0/0 priority 50
    db: in allow tcp 5432 from sg-web
    wall: in deny tcp 22 from 0.0.0.0/0
    eni web 10.0.0.1 fd00::1 in web
    eni db 10.0.1.1 in db wall";

fn check_text(target: &str, peer: Option<&str>, service: Option<&str>, expected: Expect) {
    let question = Question {
        target: target.to_owned(),
        direction: Direction::Ingress,
        peer: peer.map(|peer| peer.parse().unwrap()),
        service: service.map(str::to_owned),
    };
    let shown = match ask(&fixture::world(TIERS), &question) {
        Ok(report) => report.checks.iter().map(shown).collect::<Vec<_>>().join("\n"),
        Err(error) => format!("error: {error}"),
    };
    expected.assert_eq(&shown);
}

fn shown(check: &Check) -> String {
    let Check { service, peer, access, deciding, .. } = check;
    let lines: Vec<String> = deciding.iter().map(|line| format!("{}: {}", line.action, line.text)).collect();
    format!("{service} from {peer}: {access:?}\n  {}", lines.join("\n  "))
}

#[test]
fn the_quick_check_asks_for_ping_and_the_common_ports() {
    check_text(
        "i-web",
        None,
        None,
        expect![[r#"
            icmp/8/0 from 0.0.0.0/0: Closed
              deny: no rule matches; ingress default of ecs basic
            icmpv6/128/0 from ::/0: Closed
              deny: no rule matches; ingress default of ecs basic
            tcp/80 from 0.0.0.0/0: Open
              allow: rule r1 of sg-web (web): allow tcp 80 from 0.0.0.0/0, priority 1
            tcp/80 from ::/0: Closed
              deny: no rule matches; ingress default of ecs basic
            tcp/443 from 0.0.0.0/0: Partly
              deny: rule r2 of sg-web (web): deny tcp 443 from 203.0.113.0/24, priority 10
              allow: rule r3 of sg-web (web): allow tcp 443 from 0.0.0.0/0, priority 50
            tcp/443 from ::/0: Closed
              deny: no rule matches; ingress default of ecs basic
            tcp/22 from 0.0.0.0/0: Closed
              deny: no rule matches; ingress default of ecs basic
            tcp/22 from ::/0: Closed
              deny: no rule matches; ingress default of ecs basic
            tcp/3389 from 0.0.0.0/0: Closed
              deny: no rule matches; ingress default of ecs basic
            tcp/3389 from ::/0: Closed
              deny: no rule matches; ingress default of ecs basic
            tcp/8080 from 0.0.0.0/0: Closed
              deny: no rule matches; ingress default of ecs basic
            tcp/8080 from ::/0: Closed
              deny: no rule matches; ingress default of ecs basic"#]],
    );
}

#[test]
fn a_custom_check_tells_the_deciding_rule() {
    check_text(
        "i-web",
        Some("203.0.113.9"),
        Some("tcp/443"),
        expect![[r#"
        tcp/443 from 203.0.113.9: Closed
          deny: rule r2 of sg-web (web): deny tcp 443 from 203.0.113.0/24, priority 10"#]],
    );
    check_text(
        "eni-db",
        Some("10.0.0.1"),
        Some("tcp/5432"),
        expect![[r#"
        tcp/5432 from 10.0.0.1: Open
          allow: rule r4 of sg-db (db): allow tcp 5432 from group sg-web (web), priority 1"#]],
    );
    check_text(
        "eni-db",
        None,
        Some("tcp/5432"),
        expect![[r#"
        tcp/5432 from 0.0.0.0/0: Partly
          allow: rule r4 of sg-db (db): allow tcp 5432 from group sg-web (web), priority 1
          deny: no rule matches; ingress default of ecs basic"#]],
    );
}

#[test]
fn a_question_without_an_answer_says_why() {
    check_text(
        "i-none",
        None,
        None,
        expect![
            "error: no instance, interface, group, VPC or subnet has the id or the name `i-none`; DescribeInstances and DescribeSecurityGroups list what is there, and an end can also be internet, an address or block, or tag:KEY=VALUE"
        ],
    );
    check_text(
        "i-web",
        None,
        Some("tcp"),
        expect![
            "error: `tcp` is not a service yet: the question is about one packet, which has a port; write tcp/443 or another port"
        ],
    );
    check_text(
        "i-db",
        Some("fd00::9"),
        Some("tcp/1"),
        expect!["error: `i-db` has no address that can talk to `fd00::9`; ask about a peer of the other family"],
    );
}

fn request(target: &str, peer: Option<&str>, service: &str) -> Request {
    Request {
        target: target.to_owned(),
        direction: Direction::Ingress,
        service: service.to_owned(),
        peer: peer.map(|peer| peer.parse().unwrap()),
        from_world: false,
        group: None,
        dry_run: false,
    }
}

fn check_plan(request: &Request, expected: Expect) {
    let shown = match plan(&fixture::world(TIERS), request) {
        Ok(Plan { group, texts, after, .. }) => {
            let after: Vec<String> = after.iter().map(shown).collect();
            format!("{group}\n{}\n{}", texts.join("\n"), after.join("\n"))
        }
        Err(error) => format!("error: {error}"),
    };
    expected.assert_eq(&shown);
}

#[test]
fn the_narrowest_rule_names_both_ends_and_no_more_precedence_than_it_takes() {
    check_plan(
        &request("i-web", Some("198.51.100.7"), "tcp/22"),
        expect![[r#"
        sg-web
        allow tcp 22 from 198.51.100.7, own address in 10.0.0.1, priority 100
        tcp/22 from 198.51.100.7: Open
          allow: rule sgr-tried of sg-web (web): allow tcp 22 from 198.51.100.7, own address in 10.0.0.1, priority 100"#]],
    );
    check_plan(
        &request("i-web", Some("203.0.113.9"), "tcp/443"),
        expect![[r#"
        sg-web
        allow tcp 443 from 203.0.113.9, own address in 10.0.0.1, priority 9
        tcp/443 from 203.0.113.9: Open
          allow: rule sgr-tried of sg-web (web): allow tcp 443 from 203.0.113.9, own address in 10.0.0.1, priority 9"#]],
    );
    check_plan(
        &request("i-web", Some("198.51.100.7"), "tcp/80"),
        expect![[r#"
        sg-web

        tcp/80 from 198.51.100.7: Open
          allow: rule r1 of sg-web (web): allow tcp 80 from 0.0.0.0/0, priority 1"#]],
    );
    check_plan(
        &request("i-db", Some("10.0.0.0/24"), "tcp/5432"),
        expect![[r#"
        sg-db
        allow tcp 5432 from 10.0.0.0/24, own address in 10.0.1.1, priority 100
        tcp/5432 from 10.0.0.0/24: Open
          allow: rule r4 of sg-db (db): allow tcp 5432 from group sg-web (web), priority 1
          allow: rule sgr-tried of sg-db (db): allow tcp 5432 from 10.0.0.0/24, own address in 10.0.1.1, priority 100"#]],
    );
}

#[test]
fn the_world_must_be_asked_for() {
    check_plan(
        &request("i-web", None, "tcp/22"),
        expect![
            "error: to whom `tcp/22` should be opened is not said; name an address or block, or ask for the whole world"
        ],
    );
    check_plan(
        &request("i-web", Some("0.0.0.0/0"), "tcp/22"),
        expect!["error: `0.0.0.0/0` is the whole world; say so (--from-world) if it is meant"],
    );
    check_plan(
        &Request { from_world: true, ..request("i-web", None, "tcp/8080") },
        expect![[r#"
            sg-web
            allow tcp 8080 from 0.0.0.0/0, own address in 10.0.0.1, priority 100
            allow tcp 8080 from ::/0, own address in fd00::1, priority 100
            tcp/8080 from 0.0.0.0/0: Open
              allow: rule sgr-tried of sg-web (web): allow tcp 8080 from 0.0.0.0/0, own address in 10.0.0.1, priority 100
            tcp/8080 from ::/0: Open
              allow: rule sgr-tried of sg-web (web): allow tcp 8080 from ::/0, own address in fd00::1, priority 100"#]],
    );
}

#[test]
fn what_no_rule_can_open_is_told() {
    check_plan(
        &request("i-db", Some("10.0.0.1"), "tcp/22"),
        expect![
            "error: rule r5 of sg-wall (wall): deny tcp 22 from 0.0.0.0/0, priority 1 denies it with the highest priority, before any rule that could be added; change or revoke it"
        ],
    );
    check_plan(
        &Request { group: Some("sg-web".into()), ..request("i-db", Some("10.0.0.1"), "tcp/1") },
        expect!["error: `i-db` does not carry `sg-web`; name one of its groups: sg-db, sg-wall"],
    );
    check_plan(
        &request("i-db", Some("fd00::1"), "tcp/1"),
        expect!["error: `i-db` has no address that can talk to `fd00::1`; ask about a peer of the other family"],
    );
    // The rule would be one that ECS has no words for.
    check_plan(
        &request("i-db", Some("10.0.0.1"), "tcp/0"),
        expect![
            "error: a rule cannot open it: ranges of ports begin with 1 in ECS, and a rule for every port would open far more"
        ],
    );
}
