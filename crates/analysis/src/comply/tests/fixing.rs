//! Remedies: what they propose, what is lost with them, and what they refuse.

use expect_test::{Expect, expect};
use sekimori_core::limits::LimitMode;

use super::{
    fix::{FixError, Plan, Request, plan},
    network::with_acl,
    *,
};

fn planned(world: &World, request: &Request) -> Result<Plan, FixError> {
    plan(world, LimitMode::Cloud, request, Some("203.0.113.7".parse().unwrap()))
}

fn request(finding: &str) -> Request {
    Request { finding: finding.to_owned(), ..Request::default() }
}

fn restricted(finding: &str, to: &str) -> Request {
    Request { restrict_to: Some(to.to_owned()), ..request(finding) }
}

fn deleted(finding: &str) -> Request {
    Request { delete: true, ..request(finding) }
}

fn shown(plan: &Plan) -> String {
    let mut lines: Vec<String> = plan.removed.iter().map(|line| format!("- {line}")).collect();
    lines.extend(plan.added.iter().map(|line| format!("+ {line}")));
    for change in &plan.changes {
        lines.push(format!("{} of {}, {} enis", change.direction, change.place, change.enis));
        lines.extend(change.lost.iter().map(|line| format!("  lost: {line}")));
        lines.extend(change.gained.iter().map(|line| format!("  gained: {line}")));
        lines.push(format!("  {:?} {:?}", change.lost_witness, change.gained_witness));
    }
    lines.extend(plan.words.iter().cloned());
    lines.extend(plan.remaining.iter().map(|cause| format!("still: {}", cause.text)));
    lines.join("\n")
}

fn check_plan(text: &str, request: &Request, expected: Expect) {
    match planned(&fixture::world(text), request) {
        Ok(plan) => expected.assert_eq(&shown(&plan)),
        Err(error) => expected.assert_eq(&format!("error: {error}")),
    }
}

#[test]
fn a_rule_is_restricted_to_ones_own_address() {
    let text =
        ec2(&["in allow tcp 22 from 0.0.0.0/0", "in allow tcp 22 from ::/0", "in allow tcp 443 from 0.0.0.0/0"]);
    let own = Request { to_caller: true, ..request("EC2.18/sg-web") };
    check_plan(
        &text,
        &own,
        expect![[r#"
            - rule r1 of sg-web (web): allow tcp 22 from 0.0.0.0/0
            - rule r2 of sg-web (web): allow tcp 22 from ::/0
            + allow tcp 22 from 203.0.113.7/32
            ingress of sg-web (web), 1 enis
              lost: tcp 22 from 0.0.0.0-203.0.113.6, 203.0.113.8-255.255.255.255
              lost: tcp 22 from ::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff
              Some("tcp/22 from 198.51.100.1") None
            aws ec2 authorize-security-group-ingress --group-id sg-web --ip-permissions '[{"FromPort":22,"IpProtocol":"tcp","IpRanges":[{"CidrIp":"203.0.113.7/32"}],"ToPort":22}]'
            aws ec2 revoke-security-group-ingress --group-id sg-web --security-group-rule-ids r1 r2"#]],
    );
}

#[test]
fn a_rule_is_restricted_to_a_range_that_is_let_in_already() {
    let text = ec2(&["in allow tcp 22 from 0.0.0.0/0", "in allow tcp 22 from 192.0.2.0/24"]);
    check_plan(
        &text,
        &restricted("EC2.13/sg-web", "192.0.2.9/24"),
        expect![[r#"
            - rule r1 of sg-web (web): allow tcp 22 from 0.0.0.0/0
            ingress of sg-web (web), 1 enis
              lost: tcp 22 from 0.0.0.0-192.0.1.255, 192.0.3.0-255.255.255.255
              Some("tcp/22 from 192.0.1.255") None
            aws ec2 revoke-security-group-ingress --group-id sg-web --security-group-rule-ids r1"#]],
    );
}

#[test]
fn a_rule_is_restricted_to_another_group() {
    let text = format!("{}\nsg app ec2\neni b 10.0.0.2 fd00::2 in app", ec2(&["in allow tcp 3306 from 0.0.0.0/0"]));
    check_plan(
        &text,
        &restricted("EC2.19/sg-web", "sg-app"),
        expect![[r#"
            - rule r1 of sg-web (web): allow tcp 3306 from 0.0.0.0/0
            + allow tcp 3306 from group sg-app (app)
            ingress of sg-web (web), 1 enis
              lost: tcp 3306 from 0.0.0.0-10.0.0.1, 10.0.0.3-255.255.255.255
              gained: tcp 3306 from fd00::2
              Some("tcp/3306 from 10.0.0.1") Some("tcp/3306 from fd00::2")
            aws ec2 authorize-security-group-ingress --group-id sg-web --ip-permissions '[{"FromPort":3306,"IpProtocol":"tcp","ToPort":3306,"UserIdGroupPairs":[{"GroupId":"sg-app","UserId":"1"}]}]'
            aws ec2 revoke-security-group-ingress --group-id sg-web --security-group-rule-ids r1"#]],
    );
}

#[test]
fn an_ecs_rule_keeps_all_else() {
    let text = ecs(&["in allow tcp 22 from 0.0.0.0/0 priority 7 source 1000-2000 at 10.0.0.0/24"]);
    check_plan(
        &text,
        &restricted("sg-risky-ports-check/sg-web", "192.0.2.0/24"),
        expect![[r#"
            - rule r1 of sg-web (web): allow tcp 22 from 0.0.0.0/0, source ports 1000-2000, own address in 10.0.0.0/24, priority 7
            + allow tcp 22 from 192.0.2.0/24, source ports 1000-2000, own address in 10.0.0.0/24, priority 7
            ingress of sg-web (web), 1 enis
              lost: tcp 22 from 0.0.0.0-10.0.0.0, 10.0.0.2-192.0.1.255, 192.0.3.0-255.255.255.255
              Some("tcp/22 from 9.255.255.255") None
            aliyun ecs AuthorizeSecurityGroup --RegionId cn-hangzhou --SecurityGroupId sg-web --Permissions.1.Policy Accept --Permissions.1.Priority 7 --Permissions.1.IpProtocol TCP --Permissions.1.PortRange 22/22 --Permissions.1.SourcePortRange 1000/2000 --Permissions.1.SourceCidrIp 192.0.2.0/24 --Permissions.1.DestCidrIp 10.0.0.0/24
            aliyun ecs RevokeSecurityGroup --RegionId cn-hangzhou --SecurityGroupId sg-web --SecurityGroupRuleId.1 r1"#]],
    );
}

#[test]
fn what_comes_to_light_behind_a_rule_goes_with_it() {
    // The deny decides before the accept only until the accept above it is gone; of two that open the same both go.
    let text = ec2(&[
        "in allow tcp 22 from 0.0.0.0/0",
        "in allow tcp 20-25 from 0.0.0.0/1",
        "in allow tcp 22 from 16.0.0.0/5",
        "in allow tcp 22 from 128.0.0.0/5",
    ]);
    check_plan(
        &text,
        &deleted("EC2.13/sg-web"),
        expect![[r#"
            - rule r1 of sg-web (web): allow tcp 22 from 0.0.0.0/0
            - rule r2 of sg-web (web): allow tcp 20-25 from 0.0.0.0/1
            - rule r3 of sg-web (web): allow tcp 22 from 16.0.0.0/5
            - rule r4 of sg-web (web): allow tcp 22 from 128.0.0.0/5
            ingress of sg-web (web), 1 enis
              lost: tcp 20-21 from 0.0.0.0-127.255.255.255
              lost: tcp 22 from 0.0.0.0-255.255.255.255
              lost: tcp 23-25 from 0.0.0.0-127.255.255.255
              Some("tcp/20 from 127.255.255.255") None
            aws ec2 revoke-security-group-ingress --group-id sg-web --security-group-rule-ids r1 r2 r3 r4"#]],
    );
}

#[test]
fn single_rules_may_be_named() {
    let text = ec2(&["in allow tcp 22 from 0.0.0.0/0", "in allow tcp 23 from ::/0"]);
    let one = Request { rules: vec!["r2".into()], ..deleted("EC2.18/sg-web") };
    check_plan(
        &text,
        &one,
        expect![[r#"
            - rule r2 of sg-web (web): allow tcp 23 from ::/0
            ingress of sg-web (web), 1 enis
              lost: tcp 23 from ::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff
              Some("tcp/23 from 2001:db8::1") None
            aws ec2 revoke-security-group-ingress --group-id sg-web --security-group-rule-ids r2
            still: rule r1 of sg-web (web): allow tcp 22 from 0.0.0.0/0"#]],
    );
    let stranger = Request { rules: vec!["r9".into()], ..deleted("EC2.18/sg-web") };
    check_plan(&text, &stranger, expect!["error: rule `r9` does not cause EC2.18/sg-web; its causes are r1, r2"]);
}

#[test]
fn groups_and_entries_can_go_as_well() {
    check_plan(
        "ec2\nsg lost ec2",
        &deleted("EC2.22/sg-lost"),
        expect![[r#"
        - group sg-lost (lost)
        aws ec2 delete-security-group --group-id sg-lost"#]],
    );
    let acl = with_acl(&["100 allow all - 0.0.0.0/0", "101 allow all - ::/0"]);
    let plan = planned(&acl, &restricted("EC2.21/acl-1", "192.0.2.0/24")).unwrap();
    expect![[r#"
        - entry 100 of acl-1: allow all from 0.0.0.0/0
        - entry 101 of acl-1: allow all from ::/0
        + entry 100 of acl-1: allow all from 192.0.2.0/24
        ingress of network ACL acl-1, 0 enis
          lost: all from 0.0.0.0-192.0.1.255, 192.0.3.0-255.255.255.255
          lost: all from ::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff
          Some("tcp/443 from 192.0.1.255") None
        aws ec2 replace-network-acl-entry --network-acl-id acl-1 --ingress --rule-number 100 --protocol -1 --rule-action allow --cidr-block 192.0.2.0/24
        aws ec2 delete-network-acl-entry --network-acl-id acl-1 --ingress --rule-number 101"#]].assert_eq(&shown(&plan));
    assert!(planned(&acl, &restricted("EC2.21/acl-1", "sg-1")).is_err());
    let acl = with_acl(&["50 deny tcp 3306 0.0.0.0/0", "100 allow all - 0.0.0.0/0"]);
    let plan = planned(&acl, &deleted("EC2.21/acl-1")).unwrap();
    expect![[r#"
        protocols 0-5, tcp/0-3305 from 0.0.0.0-255.255.255.255
        tcp/3307-65535, protocols 7-255 from 0.0.0.0-255.255.255.255"#]]
    .assert_eq(&plan.changes[0].lost.join("\n"));
}

#[test]
fn what_does_not_help_is_refused() {
    let text = ec2(&["in allow tcp 22 from 0.0.0.0/0"]);
    check_plan(
        &text,
        &request("EC2.13/sg-web"),
        expect!["error: say one of --to-address, --restrict-to and --delete"],
    );
    check_plan(
        &text,
        &deleted("EC2.13"),
        expect!["error: `EC2.13` is not a finding; write CONTROL/RESOURCE, for example EC2.18/sg-1"],
    );
    check_plan(
        &text,
        &deleted("EC2.14/sg-web"),
        expect!["error: `EC2.14/sg-web` complies, so there is nothing to fix; ask `sekimori comply` again"],
    );
    check_plan(
        &text,
        &deleted("EC2.13/sg-none"),
        expect!["error: no group, network ACL, VPC or instance `sg-none`; name one by its id"],
    );
    check_plan(
        &text,
        &restricted("EC2.13/sg-web", "0.0.0.0/0"),
        expect!["error: `0.0.0.0/0` is the whole world, which restricts nothing; name a smaller block"],
    );
    check_plan(
        &text,
        &restricted("EC2.13/sg-web", "0.0.0.0/1"),
        expect!["error: `0.0.0.0/1` does not take EC2.13/sg-web away; name fewer addresses"],
    );
    check_plan(
        &text,
        &restricted("EC2.13/sg-web", "2001:db8::/32"),
        expect![
            "error: `2001:db8::/32` is of the other family than the rule, so nobody would be let in; name an address of its family, or delete it"
        ],
    );
    check_plan(
        &text,
        &restricted("EC2.13/sg-web", "home"),
        expect!["error: `home` is no address, block or security group; write 192.0.2.0/24 or sg-1"],
    );
    check_plan(
        "ec2\nsg web ec2\neni a 10.0.0.1 in web",
        &deleted("EC2.6/vpc-1"),
        expect![
            "error: EC2.6/vpc-1 is not taken away by changing rules: make a flow log of the VPC's refused traffic: `aws ec2 create-flow-logs --resource-type VPC --traffic-type REJECT --log-destination-type s3 --log-destination arn:aws:s3:::BUCKET --resource-ids VPC`, with the finding's VPC and a bucket of yours"
        ],
    );
    let at_home = plan(
        &fixture::world(&text),
        LimitMode::Cloud,
        &Request { to_caller: true, ..request("EC2.13/sg-web") },
        Some("127.0.0.1".parse().unwrap()),
    );
    assert!(at_home.unwrap_err().to_string().contains("name it: --to-address ADDRESS"));
}
