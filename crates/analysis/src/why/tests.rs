//! Questions about a small world of two tiers, and a second VPC with the same addresses.

mod answers;

use expect_test::{Expect, expect};

use sekimori_core::{
    change::Change,
    limits::LimitMode,
    world::{Instance, InstanceState},
};

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
    let named = Question { vpc: Some("vpc-2".to_owned()), ..question("10.1.0.1", "198.51.100.9", "47") };
    check_question(
        &named,
        expect![[r#"
        allowed 10.1.0.1 -> 198.51.100.9 gre
        egress at eni-far: allow, no rule matches; egress default of ecs basic"#]],
    );
}

#[test]
fn from_who_is_stopped_and_from_nobody_nothing_comes() {
    let ask = |world: &World, from: &str| {
        let explanation = explain(world, &question(from, "i-db", "tcp/22"), Goal::Allow, LimitMode::Cloud).unwrap();
        let reasons = explanation.report.legs.iter().map(|leg| leg.reason.clone()).collect::<Vec<_>>().join("; ");
        (explanation.report.allowed, reasons, explanation.no_change)
    };
    let rules = "sg db
                 db: in allow tcp 22 from 0.0.0.0/0
                 eni db 10.1.0.1 in db";
    let world = fixture::world(rules);
    let (allowed, reasons, no_change) = ask(&world, "10.1.0.77");
    assert!(!allowed && reasons.starts_with("10.1.0.77 is inside of the VPC, and no interface has it; rule r1"));
    let expected = "no rule helps where nothing leads: 10.1.0.77 is inside of the VPC, and no interface has it";
    assert_eq!(no_change.as_deref(), Some(expected));
    assert!(ask(&world, "203.0.113.9").0);
    // An instance that sends for others may send for it.
    let routed = fixture::world(&format!("{rules}\nsg nat\nrouter nat 10.1.0.254 in nat"));
    assert!(ask(&routed, "10.1.0.77").0);
    let mut stopped = world.clone();
    let db = stopped.instance(&"i-db".into()).unwrap();
    let db = Instance { state: InstanceState::Stopped, ..Instance::clone(db) };
    stopped.apply(&Change::PutInstance(Arc::new(db)));
    let (allowed, reasons, _) = ask(&stopped, "203.0.113.9");
    assert!(!allowed && reasons.starts_with("i-db is stopped, so it sends and takes nothing"), "{reasons}");
}

#[test]
fn port_0_is_said_as_every_port_where_a_range_begins_with_1() {
    let enterprise = "sg db enterprise
                      db: in allow tcp 1-65535 from 0.0.0.0/0
                      eni db 10.1.0.1 in db";
    let ask = |source_port| {
        let question = Question { source_port, ..question("203.0.113.9", "i-db", "tcp/0") };
        let explanation = explain(&fixture::world(enterprise), &question, Goal::Allow, LimitMode::Cloud).unwrap();
        explanation.change.unwrap().steps.into_iter().map(|step| step.command).collect::<Vec<_>>()
    };
    let rule =
        "--Permissions.1.IpProtocol TCP --Permissions.1.PortRange -1/-1 --Permissions.1.SourceCidrIp 203.0.113.9/32";
    for source_port in [None, Some(0)] {
        let commands = ask(source_port);
        assert!(commands.len() == 1 && commands[0].contains(rule), "{commands:?}");
    }
    assert!(ask(Some(7))[0].contains("--Permissions.1.PortRange -1/-1 --Permissions.1.SourcePortRange 7/7"));
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
        expect![
            "error: no instance, interface, group, VPC or subnet has the id or the name `i-x`; DescribeInstances and DescribeSecurityGroups list what is there, and an end can also be internet, an address or block, or tag:KEY=VALUE"
        ],
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

/// The whole answer, as far as it is about what to do.
fn explained(world: &str, (from, to, service): (&str, &str, &str), goal: Goal) -> String {
    let world = fixture::world(world);
    let answer = explain(&world, &question(from, to, service), goal, LimitMode::Cloud).unwrap();
    let mut lines = vec![format!("{} of {} pairs pass", answer.pairs_allowed, answer.pairs)];
    for Answer { allowed, pairs, from, to, .. } in &answer.answers {
        lines.push(format!("{allowed} {pairs}: {} -> {}", from.join(" "), to.join(" ")));
    }
    lines.extend(answer.blockers.iter().map(|leg| format!("drops at {}: {}", leg.eni, leg.reason)));
    lines.extend(answer.openers.iter().map(|leg| format!("passes at {}: {}", leg.eni, leg.reason)));
    lines.extend(answer.no_change);
    if let Some(Suggestion { steps, cost, .. }) = &answer.change {
        lines.extend(steps.iter().map(|step| step.command.clone()));
        lines.push(format!("{:?} others at {} interfaces of {}", cost.packets, cost.interfaces, cost.bearers));
        for CostLine { direction, interfaces, services, peers, own } in &cost.lines {
            let own = own.as_ref().map(|own| format!(" at {own}")).unwrap_or_default();
            let (at, what, who) = (interfaces.join(" "), services.join(" "), peers.join(" "));
            lines.push(format!("{direction} at {at}: {what} with {who}{own}"));
        }
    }
    lines.join("\n")
}

fn check_explained(world: &str, asked: (&str, &str, &str), goal: Goal, expected: Expect) {
    expected.assert_eq(&explained(world, asked, goal));
}

/// Two members of one group, a client, and rules that deny in several ways.
const DENYING: &str = "
    sg db
    sg web
    db: in deny tcp 5432 from 10.0.0.0/8 priority 20
    db: in deny tcp 1-6000 from 0.0.0.0/0 priority 30
    db: in allow tcp 5432 from 0.0.0.0/0 priority 40
    db: in deny tcp 22 from 0.0.0.0/0
    eni web 10.1.0.2 fd00::2 in web
    eni db 10.1.0.1 fd00::1 in db
    eni db2 10.1.0.3 in db";

#[test]
fn a_rule_goes_before_all_that_deny_and_is_for_one_address_of_a_shared_group() {
    check_explained(
        DENYING,
        ("i-web", "i-db", "tcp/5432"),
        Goal::Allow,
        expect![[r#"
        0 of 1 pairs pass
        drops at eni-db: rule r1 of sg-db (db): deny tcp 5432 from 10.0.0.0/8, priority 20
        drops at eni-db: rule r2 of sg-db (db): deny tcp 1-6000 from 0.0.0.0/0, priority 30
        aliyun ecs AuthorizeSecurityGroup --RegionId cn-hangzhou --SecurityGroupId sg-db --Permissions.1.IpProtocol TCP --Permissions.1.PortRange 5432/5432 --Permissions.1.SourceCidrIp 10.1.0.2/32 --Permissions.1.DestCidrIp 10.1.0.1/32 --Permissions.1.Policy accept --Permissions.1.Priority 19
        Some("0") others at 0 interfaces of 2"#]],
    );
}

#[test]
fn what_denies_with_the_highest_priority_is_revoked_and_the_cost_told() {
    check_explained(
        DENYING,
        ("i-web", "i-db", "tcp/22"),
        Goal::Allow,
        expect![[r#"
            0 of 1 pairs pass
            drops at eni-db: rule r4 of sg-db (db): deny tcp 22 from 0.0.0.0/0, priority 1
            drops at eni-db: rule r2 of sg-db (db): deny tcp 1-6000 from 0.0.0.0/0, priority 30
            drops at eni-db: no rule matches; ingress default of ecs basic
            aliyun ecs ModifySecurityGroupRule --RegionId cn-hangzhou --SecurityGroupId sg-db --SecurityGroupRuleId r4 --Priority 2
            aliyun ecs AuthorizeSecurityGroup --RegionId cn-hangzhou --SecurityGroupId sg-db --Permissions.1.IpProtocol TCP --Permissions.1.PortRange 22/22 --Permissions.1.SourceCidrIp 10.1.0.2/32 --Permissions.1.DestCidrIp 10.1.0.1/32 --Permissions.1.Policy accept --Permissions.1.Priority 1
            Some("0") others at 0 interfaces of 2"#]],
    );
}

#[test]
fn ecs_stops_a_flow_by_a_rule_that_closes_nothing_else() {
    check_explained(
        DENYING,
        ("i-db2", "i-db", "tcp/443"),
        Goal::Stop,
        expect![[r#"
            1 of 1 pairs pass
            passes at eni-db2: intra-group accept of sg-db (db)
            passes at eni-db2: no rule matches; egress default of ecs basic
            passes at eni-db: intra-group accept of sg-db (db)
            aliyun ecs ModifySecurityGroupPolicy --RegionId cn-hangzhou --SecurityGroupId sg-db --InnerAccessPolicy Drop
            Some("17180066294") others at 0 interfaces of 2
            ingress at eni-db: protocols 0-5 tcp/0-442 tcp/444-65535 protocols 7-16 udp/0-67 udp/68 from ports 0-66 udp/68 from ports 68-65535 udp/69-65535 protocols 18-255 with 10.1.0.3 at 10.1.0.1
            ingress at eni-db2: protocols 0-16 udp/0-67 udp/68 from ports 0-66 udp/68 from ports 68-65535 udp/69-65535 protocols 18-255 with 10.1.0.1 at 10.1.0.3"#]],
    );
    check_explained(
        DENYING,
        ("203.0.113.1", "i-db", "tcp/7000"),
        Goal::Stop,
        expect![[r#"
        0 of 1 pairs pass
        drops at eni-db: no rule matches; ingress default of ecs basic"#]],
    );
    check_explained(
        DENYING,
        ("i-web", "203.0.113.1", "udp/53"),
        Goal::Stop,
        expect![[r#"
        1 of 1 pairs pass
        passes at eni-web: no rule matches; egress default of ecs basic
        aliyun ecs AuthorizeSecurityGroupEgress --RegionId cn-hangzhou --SecurityGroupId sg-web --Permissions.1.IpProtocol UDP --Permissions.1.PortRange 53/53 --Permissions.1.DestCidrIp 203.0.113.1/32 --Permissions.1.Policy drop --Permissions.1.Priority 100
        Some("0") others at 0 interfaces of 1"#]],
    );
}

/// What a wide rule lets in is kept out by narrower ones, one of which nothing can go before.
const SHADOWED: &str = "
    sg db drop
    sg web
    db: in deny tcp 5432 from 10.1.0.0/24 priority 10
    db: in allow tcp 5432 from 10.1.0.2/32 priority 40
    db: in allow tcp 1-65535 from 10.0.0.0/8 priority 50
    db: in deny tcp 22 from 10.0.0.0/8
    db: in deny tcp 8000-8010 from 0.0.0.0/0 priority 60
    db: in deny udp 53 from 10.1.0.9/32 priority 7
    db: in allow udp 53 from 10.1.0.0/24 priority 3
    eni web 10.1.0.2 in web
    eni db 10.1.0.1 in db
    sg nat
    router nat 10.1.0.254 in nat";

#[test]
fn a_rule_that_says_so_already_goes_before_what_denies() {
    check_explained(
        SHADOWED,
        ("i-web", "i-db", "tcp/5432"),
        Goal::Allow,
        expect![[r#"
        0 of 1 pairs pass
        drops at eni-db: rule r1 of sg-db (db): deny tcp 5432 from 10.1.0.0/24, priority 10
        aliyun ecs ModifySecurityGroupRule --RegionId cn-hangzhou --SecurityGroupId sg-db --SecurityGroupRuleId r2 --Priority 9
        Some("0") others at 0 interfaces of 1"#]],
    );
}

#[test]
fn a_rule_that_nothing_can_go_before_makes_room_and_still_denies() {
    check_explained(
        SHADOWED,
        ("i-web", "i-db", "tcp/22"),
        Goal::Allow,
        expect![[r#"
        0 of 1 pairs pass
        drops at eni-db: rule r4 of sg-db (db): deny tcp 22 from 10.0.0.0/8, priority 1
        aliyun ecs ModifySecurityGroupRule --RegionId cn-hangzhou --SecurityGroupId sg-db --SecurityGroupRuleId r4 --Priority 2
        aliyun ecs AuthorizeSecurityGroup --RegionId cn-hangzhou --SecurityGroupId sg-db --Permissions.1.IpProtocol TCP --Permissions.1.PortRange 22/22 --Permissions.1.SourceCidrIp 10.1.0.2/32 --Permissions.1.Policy accept --Permissions.1.Priority 1
        Some("0") others at 0 interfaces of 1"#]],
    );
}

#[test]
fn a_rule_that_denies_goes_before_what_allows() {
    check_explained(
        SHADOWED,
        ("10.1.0.9", "i-db", "udp/53"),
        Goal::Stop,
        expect![[r#"
            1 of 1 pairs pass
            passes at eni-db: rule r7 of sg-db (db): allow udp 53 from 10.1.0.0/24, priority 3
            aliyun ecs ModifySecurityGroupRule --RegionId cn-hangzhou --SecurityGroupId sg-db --SecurityGroupRuleId r6 --Priority 3
            Some("0") others at 0 interfaces of 1"#]],
    );
}

#[test]
fn a_rule_is_moved_as_far_as_it_must_where_no_other_fits() {
    // The group has as many rules as it may, so nothing is added to it.
    let full = |count: usize| {
        let mut world = SHADOWED.to_owned();
        for port in 0..count {
            world.push_str(&format!("\ndb: in allow tcp {} from 192.0.2.0/24 priority 90", 10_000 + port));
        }
        world
    };
    check_explained(
        &full(993),
        ("i-web", "i-db", "tcp/22"),
        Goal::Allow,
        expect![[r#"
        0 of 1 pairs pass
        drops at eni-db: rule r4 of sg-db (db): deny tcp 22 from 10.0.0.0/8, priority 1
        aliyun ecs ModifySecurityGroupRule --RegionId cn-hangzhou --SecurityGroupId sg-db --SecurityGroupRuleId r4 --Priority 51
        Some("1099511496704") others at 0 interfaces of 1
        ingress at eni-db: tcp/22 with 10.0.0.0-10.1.0.0 10.1.0.3-10.255.255.255 at 10.1.0.1"#]],
    );
    check_explained(
        &full(993),
        ("10.1.0.9", "i-db", "tcp/8005"),
        Goal::Stop,
        expect![[r#"
            1 of 1 pairs pass
            passes at eni-db: rule r3 of sg-db (db): allow tcp 1-65535 from 10.0.0.0/8, priority 50
            aliyun ecs ModifySecurityGroupRule --RegionId cn-hangzhou --SecurityGroupId sg-db --SecurityGroupRuleId r5 --Priority 50
            Some("12094627119104") others at 0 interfaces of 1
            ingress at eni-db: tcp/8000-8004 tcp/8006-8010 with 10.1.0.2-10.255.255.255 at 10.1.0.1
            ingress at eni-db: tcp/8000-8010 with 10.0.0.0-10.1.0.0 at 10.1.0.1
            ingress at eni-db: tcp/8005 with 10.1.0.2-10.1.0.8 10.1.0.10-10.255.255.255 at 10.1.0.1"#]],
    );
}

/// EC2 groups, which only allow.
const ALLOWING: &str = "
    ec2
    sg app ec2
    sg db ec2
    app: out allow all to 0.0.0.0/0
    db: in allow tcp 5000-6000 from sg-app
    db: in allow tcp 5432 from 10.0.0.0/8
    eni app1 10.1.0.2 fd00::2 in app
    eni app2 10.1.0.3 fd00::3 in app
    eni db 10.1.0.1 fd00::1 in db";

#[test]
fn ec2_stops_a_flow_by_revoking_every_rule_that_allows_it() {
    check_explained(
        ALLOWING,
        ("i-app1", "i-db", "tcp/5432"),
        Goal::Stop,
        expect![[r#"
            1 of 1 pairs pass
            passes at eni-app1: rule r1 of sg-app (app): allow all to 0.0.0.0/0
            passes at eni-db: rule r2 of sg-db (db): allow tcp 5000-6000 from group sg-app (app)
            passes at eni-db: rule r3 of sg-db (db): allow tcp 5432 from 10.0.0.0/8
            aws ec2 revoke-security-group-ingress --group-id sg-db --security-group-rule-ids r2
            aws ec2 revoke-security-group-ingress --group-id sg-db --security-group-rule-ids r3
            Some("1099773771776") others at 0 interfaces of 1
            ingress at eni-db: tcp/5000-5431 tcp/5433-6000 with 10.1.0.2/31 at 10.1.0.1
            ingress at eni-db: tcp/5432 with 10.0.0.0-10.1.0.0 10.1.0.3-10.255.255.255 at 10.1.0.1
            ingress at eni-db: tcp/5000-6000 with fd00::2/127 at fd00::1"#]],
    );
}

#[test]
fn a_group_is_each_of_its_members_and_is_named_in_the_rule() {
    check_explained(
        ALLOWING,
        ("sg-app", "i-db", "icmp"),
        Goal::Allow,
        expect![[r#"
            0 of 2 pairs pass
            false 2: i-app1 i-app2 -> i-db
            drops at eni-db: no rule matches; ingress default of ec2
            aws ec2 authorize-security-group-ingress --group-id sg-db --ip-permissions 'IpProtocol=icmp,FromPort=8,ToPort=0,UserIdGroupPairs=[{GroupId=sg-app}]'
            Some("2") others at 0 interfaces of 1
            ingress at eni-db: icmp/8/0 with fd00::2/127 at fd00::1"#]],
    );
    check_explained(
        ALLOWING,
        ("sg-app", "sg-app", "tcp/80"),
        Goal::Allow,
        expect![[r#"
            0 of 2 pairs pass
            false 2: i-app1 i-app2 -> i-app1 i-app2
            drops at eni-app2: no rule matches; ingress default of ec2
            aws ec2 authorize-security-group-ingress --group-id sg-app --ip-permissions 'IpProtocol=tcp,FromPort=80,ToPort=80,UserIdGroupPairs=[{GroupId=sg-app}]'
            Some("131072") others at 0 interfaces of 2
            ingress at eni-app1: tcp/80 with fd00::3 at fd00::2
            ingress at eni-app2: tcp/80 with fd00::2 at fd00::3"#]],
    );
}

#[test]
fn the_internet_is_told_part_by_part() {
    let world = "
        ec2
        sg web ec2
        web: in allow tcp 443 from 0.0.0.0/1
        eni web 10.1.0.2 in web";
    check_explained(
        world,
        ("internet", "i-web", "tcp/443"),
        Goal::Allow,
        expect![[r#"
            4 of 5 pairs pass
            false 1: 128.0.0.0/1 -> i-web
            true 4: 0.0.0.0-9.255.255.255 11.0.0.0-127.255.255.255 -> i-web
            drops at eni-web: no rule matches; ingress default of ec2
            aws ec2 authorize-security-group-ingress --group-id sg-web --ip-permissions 'IpProtocol=tcp,FromPort=443,ToPort=443,IpRanges=[{CidrIp=0.0.0.0/0}]'
            Some("0") others at 0 interfaces of 1"#]],
    );
    check_explained(
        world,
        ("internet", "sg-web", "tcp/443"),
        Goal::Stop,
        expect![[r#"
            4 of 5 pairs pass
            false 1: 128.0.0.0/1 -> i-web
            true 4: 0.0.0.0-9.255.255.255 11.0.0.0-127.255.255.255 -> i-web
            drops at eni-web: no rule matches; ingress default of ec2
            passes at eni-web: rule r1 of sg-web (web): allow tcp 443 from 0.0.0.0/1
            aws ec2 revoke-security-group-ingress --group-id sg-web --security-group-rule-ids r1
            Some("1099511562240") others at 0 interfaces of 1
            ingress at eni-web: tcp/443 with 10.0.0.0-10.1.0.1 10.1.0.3-10.255.255.255 at 10.1.0.2"#]],
    );
}

/// Two tiers that tags tell apart; one group is for the whole of its tag, the other is not.
const TAGGED: &str = "
    sg web named web-sg
    sg db
    sg all drop
    db: in deny tcp 22 from 10.0.0.0/8
    eni w1 10.1.0.2 in web all tag role=web
    eni w2 10.1.0.3 in web all tag role=web
    eni d1 10.1.0.10 in db all tag role=db
    eni d2 10.1.0.11 in db all tag role=db tag env=prod";

#[test]
fn a_tag_is_everyone_who_has_it_and_a_group_that_is_for_them_alone_is_named_in_the_rule() {
    check_explained(
        TAGGED,
        ("tag:role=web", "tag:role=db", "tcp/5432"),
        Goal::Allow,
        expect![[r#"
        0 of 4 pairs pass
        false 4: i-w1 i-w2 -> i-d1 i-d2
        drops at eni-d1: no rule matches; ingress default of ecs basic
        aliyun ecs AuthorizeSecurityGroup --RegionId cn-hangzhou --SecurityGroupId sg-db --Permissions.1.IpProtocol TCP --Permissions.1.PortRange 5432/5432 --Permissions.1.SourceGroupId sg-web --Permissions.1.Policy accept --Permissions.1.Priority 100
        Some("0") others at 0 interfaces of 2"#]],
    );
    check_explained(
        TAGGED,
        ("tag:role=db,env=prod", "w1", "tcp/443"),
        Goal::Allow,
        expect![[r#"
        0 of 1 pairs pass
        drops at eni-w1: no rule matches; ingress default of ecs basic
        aliyun ecs AuthorizeSecurityGroup --RegionId cn-hangzhou --SecurityGroupId sg-web --Permissions.1.IpProtocol TCP --Permissions.1.PortRange 443/443 --Permissions.1.SourceCidrIp 10.1.0.11/32 --Permissions.1.DestCidrIp 10.1.0.2/32 --Permissions.1.Policy accept --Permissions.1.Priority 100
        Some("0") others at 0 interfaces of 2"#]],
    );
}

#[test]
fn a_block_is_no_end_of_a_packet() {
    check(
        "10.1.0.0/24",
        "i-db",
        "tcp/22",
        expect![
            "error: `10.1.0.0/24` is a block, and the question is about packets between single ends; name an address, or ask `sekimori who` about the block"
        ],
    );
}

#[test]
fn ends_that_are_too_many_or_nobody_are_refused() {
    let error = |world: &str, from: &str, to: &str| {
        explain(&fixture::world(world), &question(from, to, "tcp/1"), Goal::Allow, LimitMode::Cloud).unwrap_err()
    };
    assert_eq!(
        error("sg web\n sg db\n eni web 10.0.0.1 in web", "sg-db", "i-web"),
        WhyError::NoMembers("sg-db".to_owned())
    );
    assert!(matches!(error(DENYING, "internet", "internet"), WhyError::BothOutside { .. }));
    let nonsense = explain(&fixture::world(DENYING), &question("i-x", "i-y", "x/y"), Goal::Allow, LimitMode::Cloud);
    assert_eq!(nonsense.unwrap_err(), WhyError::BadService("x/y".to_owned()));
    let mut crowd = "sg web\n".to_owned();
    for index in 0..101 {
        crowd.push_str(&format!("eni e{index} 10.0.1.{index} in web\n"));
    }
    assert_eq!(error(&crowd, "sg-web", "sg-web"), WhyError::TooMany { pairs: 101 * 101 });
    assert_eq!(error(&crowd, "vpc-1", "sg-web"), WhyError::TooMany { pairs: 101 * 101 });
}

#[test]
fn a_step_that_later_ones_make_needless_is_not_proposed() {
    let world = fixture::world(
        "
        sg web
        web: out allow all to 0.0.0.0/0
        eni a 10.1.0.2 in web
        eni b 10.1.0.3 in web",
    );
    let explanation =
        explain(&world, &question("sg-web", "internet", "udp/123"), Goal::Stop, LimitMode::Cloud).unwrap();
    let change = explanation.change.unwrap();
    assert_eq!(change.steps.len(), 1, "{change:#?}");
    let question = question("sg-web", "internet", "udp/123");
    let (after, _) = tried(&world, &question, Goal::Stop, LimitMode::Cloud).unwrap().unwrap();
    assert_eq!(explain(&after, &question, Goal::Stop, LimitMode::Cloud).unwrap().pairs_allowed, 0);
}
