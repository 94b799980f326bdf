//! Groups and rules that are changed, and who names whom.

use crate::{ecs::check, estate::Estate};
use expect_test::expect;

const ID: &str = "SecurityGroupRuleId=$7";

/// An estate whose group `$5` has the rule `$7`, TCP 22 from 10.0.0.0/8.
fn estate() -> Estate {
    let mut estate = Estate::furnished();
    let rule = "Permissions.1.IpProtocol=tcp&Permissions.1.PortRange=22/22&Permissions.1.SourceCidrIp=10.0.0.0/8";
    check(&mut estate, &format!("AuthorizeSecurityGroup&SecurityGroupId=$5&{rule}"), &expect!["{}"]);
    assert!(shown(&mut estate).contains("$7"));
    estate
}

fn shown(estate: &mut Estate) -> String {
    estate.call("DescribeSecurityGroupAttribute&SecurityGroupId=$5")
}

fn modify(estate: &mut Estate, parameters: &str, expected: &str) {
    let reply = estate.call(&format!("ModifySecurityGroupRule&SecurityGroupId=$5&{parameters}"));
    assert!(reply.starts_with(expected), "{parameters}: {reply}");
}

#[test]
fn a_group_is_renamed_and_described() {
    let mut estate = Estate::furnished();
    let edit = "ModifySecurityGroupAttribute&SecurityGroupId=$5";
    check(&mut estate, &format!("{edit}&Description=front%20ends"), &expect!["{}"]);
    check(&mut estate, &format!("{edit}&SecurityGroupName=edge&Description="), &expect!["{}"]);
    assert!(shown(&mut estate).contains(r#""SecurityGroupName":"edge","Description":"front ends""#));
    let cases = [
        ("SecurityGroupName=1", "400 InvalidSecurityGroupName.Malformed "),
        ("Description=x", "400 InvalidSecurityGroupDiscription.Malformed "),
    ];
    for (parameters, expected) in cases {
        assert!(estate.call(&format!("{edit}&{parameters}")).starts_with(expected));
    }
    let reply = estate.call("ModifySecurityGroupAttribute&SecurityGroupId=sg-no&SecurityGroupName=ab");
    assert!(reply.starts_with("404 InvalidSecurityGroupId.NotFound "), "{reply}");
}

#[test]
fn a_rule_that_is_named_by_id_changes_in_what_is_given() {
    let mut estate = estate();
    modify(&mut estate, &format!("{ID}&PortRange=22/23&Priority=7&Policy=drop&Description=shells"), "{}");
    modify(&mut estate, &format!("{ID}&IpProtocol=UDP&SourceCidrIp=192.168.0.0/16&DestCidrIp=10.1.0.0/24"), "{}");
    modify(&mut estate, &format!("{ID}&SourcePortRange=1024/65535&Description=&PortRange="), "{}");
    let text = shown(&mut estate);
    for part in [
        r#""SecurityGroupRuleId":"$7","Direction":"ingress","IpProtocol":"UDP","PortRange":"22/23""#,
        r#""SourcePortRange":"1024/65535","SourceCidrIp":"192.168.0.0/16""#,
        r#""DestCidrIp":"10.1.0.0/24""#,
        r#""Policy":"Drop","Priority":7,"Description":"shells""#,
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn a_rule_that_is_named_by_what_it_says_changes_its_description_only() {
    let mut estate = estate();
    let tuple = "IpProtocol=TCP&PortRange=22/22&SourceCidrIp=10.0.0.0/8&NicType=internet";
    for description in ["ssh", "ssh", ""] {
        modify(&mut estate, &format!("{tuple}&Description={description}"), "{}");
        assert!(shown(&mut estate).contains(&format!(r#""Description":"{description}","CreateTime""#)));
    }
    modify(&mut estate, tuple, "{}");
    modify(&mut estate, &format!("{tuple}&Priority=2&Description=x"), "404 SecurityGroupRule.NotFound ");
    modify(&mut estate, "IpProtocol=TCP&PortRange=22/22", "403 MissingParameter ");
    let reply = estate.call(
        "ModifySecurityGroupEgressRule&SecurityGroupId=$5&IpProtocol=tcp&PortRange=22/22\
        &DestCidrIp=10.0.0.0/8",
    );
    assert!(reply.starts_with("404 SecurityGroupRule.NotFound "), "{reply}");
}

#[test]
fn what_a_rule_cannot_become() {
    let mut estate = estate();
    let other = "Permissions.1.IpProtocol=tcp&Permissions.1.PortRange=80/80&Permissions.1.SourceCidrIp=10.0.0.0/8";
    check(&mut estate, &format!("AuthorizeSecurityGroup&SecurityGroupId=$5&{other}"), &expect!["{}"]);
    let cases = [
        ("", "400 InvalidParam.InvalidModifyRuleRequest "),
        ("Ipv6SourceCidrIp=::/0", "400 InvalidOperation.ModifySgRuleEntityType "),
        ("SourcePrefixListId=pl-1", "400 InvalidOperation.ModifySgRuleEntityType "),
        ("SourceGroupId=$6", "400 InvalidOperation.ModifySgRuleEntityType "),
        ("PortRangeListId=prl-1", "400 InvalidOperation.ModifyPortRangeType "),
        ("IpProtocol=icmp", "400 InvalidParam.ProtocolAndPortRangeMismatch "),
        ("IpProtocol=icmpv6&PortRange=-1/-1", "400 InvalidParam.ProtocolAndAddressFamilyMismatch "),
        ("Ipv6DestCidrIp=::/0", "400 InvalidParam.ProtocolAndAddressFamilyMismatch "),
        ("IpProtocol=icmp&PortRange=1/2", "400 OperationDenied "),
        ("PortRange=80/80", "400 InvalidOperation.RuleDuplicate "),
        ("PortRange=80", "400 InvalidParam.PortRange "),
        ("DestGroupId=$6", "400 InvalidSourceOrDestGroupId.DirectionMissmatch "),
        ("Priority=0", "400 InvalidPriority.ValueNotSupported "),
        ("Policy=maybe", "400 InvalidPolicy.Malformed "),
        ("SourceCidrIp=ten", "400 InvalidSourceCidrIp.Malformed "),
    ];
    for (parameters, expected) in cases {
        modify(&mut estate, &format!("{ID}&{parameters}"), expected);
    }
    modify(&mut estate, "SecurityGroupRuleId=sgr-no&Priority=2", "404 InvalidSecurityGroupRuleId.NotFound ");
    modify(&mut estate, "SecurityGroupRuleId=sgr%20no&Priority=2", "400 InvalidParam.SecurityGroupRuleId ");
    let reply = estate.call(&format!("ModifySecurityGroupEgressRule&SecurityGroupId=$5&{ID}&Priority=2"));
    assert!(reply.starts_with("404 InvalidSecurityGroupRuleId.NotFound "), "{reply}");
}

#[test]
fn references_are_told_in_both_directions() {
    let mut estate = Estate::furnished();
    estate.call("CreateSecurityGroup&VpcId=$1&SecurityGroupName=one");
    estate.call("CreateSecurityGroup&VpcId=$1&SecurityGroupName=two");
    let rule = "Permissions.1.IpProtocol=all&Permissions.1.PortRange=-1/-1";
    let named = |group: &str, peer: &str| {
        format!("AuthorizeSecurityGroup&SecurityGroupId={group}&{rule}&Permissions.1.SourceGroupId={peer}")
    };
    check(&mut estate, &named("$5", "$7"), &expect!["{}"]);
    check(&mut estate, &named("$8", "$5"), &expect!["{}"]);
    check(
        &mut estate,
        "DescribeSecurityGroupReferences&SecurityGroupId.1=$7&SecurityGroupId.2=$7",
        &expect![[
            r#"{"SecurityGroupReferences":{"SecurityGroupReference":[{"SecurityGroupId":"$7","ReferencingSecurityGroups":{"ReferencingSecurityGroup":[{"AliUid":"1234567890123456","SecurityGroupId":"$5"}]}}]}}"#
        ]],
    );
    let both = estate.call("DescribeSecurityGroupReferences&SecurityGroupId.1=$5&SecurityGroupId.2=$6");
    assert_eq!(both.matches("AliUid").count(), 2, "{both}");
    assert!(both.contains(r#"{"SecurityGroupId":"$6","ReferencingSecurityGroups":{"ReferencingSecurityGroup":[]}}"#));
    check(
        &mut estate,
        "DescribeSecurityGroupReferences&SecurityGroupId.1=sg-no",
        &expect!["404 InvalidSecurityGroupId.NotFound The SecurityGroupId provided does not exist in our records."],
    );
    let eleven: String = (1..=11).map(|number| format!("&SecurityGroupId.{number}=sg-{number}")).collect();
    for query in ["DescribeSecurityGroupReferences".to_owned(), format!("DescribeSecurityGroupReferences{eleven}")] {
        check(
            &mut estate,
            &query,
            &expect![
                "400 InvalidSecurityGroupId.Malformed The specified parameter SecurityGroupId is essential and size should less than 10"
            ],
        );
    }
}

#[test]
fn a_managed_group_is_shown_and_not_changed() {
    let mut estate = Estate::furnished();
    check(
        &mut estate,
        "CreateSecurityGroup&VpcId=$1&SecurityGroupName=lb&ServiceManaged=true",
        &expect![[r#"{"SecurityGroupId":"$7"}"#]],
    );
    let managed = estate.call("DescribeSecurityGroups&ServiceManaged=true");
    assert!(managed.contains(r#""TotalCount":1"#), "{managed}");
    assert!(managed.contains(r#""ServiceManaged":true"#) && managed.contains(r#""ServiceID":1234567890123456"#));
    let own = estate.call("DescribeSecurityGroups&ServiceManaged=false");
    assert!(own.contains(r#""TotalCount":2"#) && !own.contains("ServiceID"), "{own}");
    let rule = "Permissions.1.IpProtocol=all&Permissions.1.PortRange=-1/-1&Permissions.1.SourceCidrIp=10.0.0.0/8";
    for query in [
        "DeleteSecurityGroup&SecurityGroupId=$7".to_owned(),
        "ModifySecurityGroupAttribute&SecurityGroupId=$7&SecurityGroupName=ab".to_owned(),
        "ModifySecurityGroupPolicy&SecurityGroupId=$7&InnerAccessPolicy=Drop".to_owned(),
        "RunInstances&VSwitchId=$4&SecurityGroupId=$7".to_owned(),
        format!("AuthorizeSecurityGroup&SecurityGroupId=$7&{rule}"),
        format!("RevokeSecurityGroup&SecurityGroupId=$7&{rule}"),
        "ModifySecurityGroupRule&SecurityGroupId=$7&SecurityGroupRuleId=sgr-1&Priority=2".to_owned(),
    ] {
        let reply = estate.call(&query);
        assert!(reply.starts_with("403 InvalidOperation.ResourceManagedByCloudProduct "), "{query}: {reply}");
    }
    assert!(!estate.call("DescribeSecurityGroupAttribute&SecurityGroupId=$7").starts_with('4'));
}

#[test]
fn a_fuzzy_query_finds_parts_of_names() {
    let mut estate = Estate::furnished();
    assert!(estate.call("DescribeSecurityGroups&SecurityGroupName=or").contains(r#""TotalCount":0"#));
    assert!(estate.call("DescribeSecurityGroups&SecurityGroupName=or&FuzzyQuery=true").contains(r#""TotalCount":1"#));
}
