//! Questions about a small world of two tiers, and a second VPC with the same addresses.

use expect_test::{Expect, expect};

use super::*;
use crate::fixture;

/// `i-web` (10.1.0.2) and `i-db` (10.1.0.1, fd00::1) in `vpc-1`; `i-far` (10.1.0.1) in `vpc-2`.
const TWO_TIERS: &str = "
    sg web
    sg db
    sg far vpc-2
    db: in allow tcp 5432 from sg-web
    db: in allow tcp 22 from 0.0.0.0/0
    db: in deny tcp 22 from 0.0.0.0/0
    eni web 10.1.0.2 in web
    eni db 10.1.0.1 fd00::1 in db
    eni far 10.1.0.1 in far";

/// That world.
pub(crate) fn two_tiers() -> World {
    fixture::world(TWO_TIERS)
}

fn question(from: &str, to: &str, service: &str) -> Question {
    Question { from: from.to_owned(), to: to.to_owned(), service: service.to_owned(), ..Question::default() }
}

fn check(from: &str, to: &str, service: &str, expected: Expect) {
    check_question(&question(from, to, service), expected);
}

fn check_question(question: &Question, expected: Expect) {
    let shown = match ask(&two_tiers(), question) {
        Ok(report) => shown(&report),
        Err(error) => format!("error: {error}"),
    };
    expected.assert_eq(&shown);
}

fn shown(report: &Report) -> String {
    let verdict = if report.allowed { "allowed" } else { "denied" };
    let leg = |leg: &Leg| format!("{} at {}: {}, {}", leg.direction, leg.eni, leg.decision.action, leg.reason);
    let first = format!("{verdict} {} -> {} {}", report.from.address, report.to.address, report.service);
    [first].into_iter().chain(report.legs.iter().map(leg)).collect::<Vec<_>>().join("\n")
}

#[test]
fn both_ends_are_judged_and_both_must_allow() {
    check(
        "i-web",
        "i-db",
        "tcp/5432",
        expect![[r#"
        allowed 10.1.0.2 -> 10.1.0.1 tcp/5432
        egress at eni-web: allow, no rule matches; egress default of ecs basic
        ingress at eni-db: allow, rule r1 of sg-db (db): allow tcp 5432 from group sg-web (web), priority 1"#]],
    );
    check(
        "i-web",
        "eni-db",
        "tcp/22",
        expect![[r#"
        denied 10.1.0.2 -> 10.1.0.1 tcp/22
        egress at eni-web: allow, no rule matches; egress default of ecs basic
        ingress at eni-db: deny, rule r3 of sg-db (db): deny tcp 22 from 0.0.0.0/0, priority 1"#]],
    );
}

#[test]
fn an_address_outside_is_judged_at_one_end_only() {
    check(
        "198.51.100.10",
        "i-web",
        "icmp",
        expect![[r#"
        denied 198.51.100.10 -> 10.1.0.2 icmp/8/0
        ingress at eni-web: deny, no rule matches; ingress default of ecs basic"#]],
    );
    check(
        "i-web",
        "198.51.100.10",
        "udp/53",
        expect![[r#"
        allowed 10.1.0.2 -> 198.51.100.10 udp/53
        egress at eni-web: allow, no rule matches; egress default of ecs basic"#]],
    );
}

#[test]
fn an_address_is_looked_up_in_the_vpc_of_the_other_end() {
    check(
        "i-web",
        "10.1.0.1",
        "tcp/5432",
        expect![[r#"
        allowed 10.1.0.2 -> 10.1.0.1 tcp/5432
        egress at eni-web: allow, no rule matches; egress default of ecs basic
        ingress at eni-db: allow, rule r1 of sg-db (db): allow tcp 5432 from group sg-web (web), priority 1"#]],
    );
    let named = Question { vpc: Some("vpc-2".to_owned()), ..question("10.1.0.1", "10.1.0.9", "47") };
    check_question(
        &named,
        expect![[r#"
        allowed 10.1.0.1 -> 10.1.0.9 gre
        egress at eni-far: allow, no rule matches; egress default of ecs basic"#]],
    );
}

#[test]
fn the_family_follows_the_protocol_and_the_addresses() {
    check(
        "i-db",
        "2001:db8:ffff::10",
        "tcp/443",
        expect![[r#"
        allowed fd00::1 -> 2001:db8:ffff::10 tcp/443
        egress at eni-db: allow, no rule matches; egress default of ecs basic"#]],
    );
    check(
        "i-web",
        "i-db",
        "icmpv6",
        expect!["error: `icmpv6` does not run over the addresses of `i-web` and `i-db`; use icmp"],
    );
    check(
        "i-db",
        "2001:db8::1",
        "icmp",
        expect!["error: `icmp` does not run over the addresses of `i-db` and `2001:db8::1`; use icmpv6"],
    );
    check(
        "i-web",
        "2001:db8::1",
        "tcp/1",
        expect![
            "error: `i-web` and `2001:db8::1` have no address family in common; name two IPv4 or two IPv6 addresses"
        ],
    );
}

#[test]
fn a_question_without_an_answer_says_which_part_is_wrong() {
    check(
        "i-x",
        "i-db",
        "tcp/1",
        expect!["error: no instance, interface or address `i-x`; list instances with DescribeInstances"],
    );
    check(
        "i-far",
        "i-db",
        "tcp/1",
        expect![
            "error: `i-far` is in vpc-2 and `i-db` in vpc-1; ask about two ends in one VPC, or in two that are peered"
        ],
    );
    check(
        "198.51.100.1",
        "198.51.100.2",
        "tcp/1",
        expect![
            "error: neither `198.51.100.1` nor `198.51.100.2` belongs to an interface, so no group judges it; name at least one instance"
        ],
    );
    check(
        "10.1.0.1",
        "198.51.100.2",
        "tcp/1",
        expect![
            "error: `10.1.0.1` and `198.51.100.2` are addresses in more than one VPC; name one of vpc-1, vpc-2 as the VPC"
        ],
    );
    check(
        "i-db",
        "10.1.0.1",
        "tcp/1",
        expect!["error: `i-db` and `10.1.0.1` are the same interface; traffic to itself never leaves it"],
    );
    let unknown = Question { vpc: Some("vpc-9".to_owned()), ..question("i-web", "i-db", "tcp/1") };
    check_question(&unknown, expect!["error: no VPC `vpc-9`; list them with DescribeVpcs"]);
    let other = Question { vpc: Some("vpc-2".to_owned()), ..question("i-web", "1.1.1.1", "tcp/1") };
    check_question(
        &other,
        expect![
            "error: `vpc-2` is in vpc-2 and `i-web` in vpc-1; ask about two ends in one VPC, or in two that are peered"
        ],
    );
}

#[test]
fn services_are_read_in_every_form_and_nothing_else() {
    let icmp = |protocol, kind, code| Transport::Icmp { protocol, kind, code };
    let read = |text: &str| parse_service(text, 7).ok();
    assert_eq!(read("tcp/443"), Some(Transport::Tcp { source: 7, destination: 443 }));
    assert_eq!(read("udp/53"), Some(Transport::Udp { source: 7, destination: 53 }));
    assert_eq!(read("icmp"), Some(icmp(1, 8, 0)));
    assert_eq!(read("icmp/3/4"), Some(icmp(1, 3, 4)));
    assert_eq!(read("icmp/11"), Some(icmp(1, 11, 0)));
    assert_eq!(read("icmpv6"), Some(icmp(58, 128, 0)));
    assert_eq!(read("47"), Some(Transport::Other { protocol: 47 }));
    let bad =
        ["", "tcp", "6", "tcp/", "tcp/65536", "tcp/+1", "tcp/1/2", "icmp/256", "icmp/1/2/3", "256", "ipsec", "/"];
    for text in bad {
        let error = parse_service(text, 7).unwrap_err().to_string();
        assert!(error.starts_with(&format!("`{text}` is not a service")), "{error}");
    }
}
