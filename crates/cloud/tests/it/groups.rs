//! Security groups and their rules from query to reply.

use crate::{ecs::check, estate::Estate};
use expect_test::expect;
use sekimori_core::{
    command::{Command, NewSnapshotPolicy, Outcome},
    snapshot::Retention,
};

/// The rules of a group, one a line: the fields that are not empty.
fn rules(estate: &mut Estate, group: &str) -> String {
    let text = estate.call(&format!("DescribeSecurityGroupAttribute&SecurityGroupId={group}"));
    let reply: serde_json::Value =
        serde_json::from_str(&format!("{{\"x\":0,{}", text.trim_start_matches('{'))).unwrap();
    let mut lines = String::new();
    for rule in reply["Permissions"]["Permission"].as_array().unwrap() {
        let fields = rule.as_object().unwrap().iter();
        let hidden = ["SecurityGroupRuleId", "CreateTime", "NicType"];
        let shown = fields.filter(|(name, value)| !hidden.contains(&name.as_str()) && value.as_str() != Some(""));
        let shown: Vec<String> = shown.map(|(name, value)| format!("{name}={value}")).collect();
        lines.push_str(&shown.join(" ").replace('"', ""));
        lines.push('\n');
    }
    lines
}

#[test]
fn groups_are_created_shown_and_deleted() {
    let mut estate = Estate::furnished();
    check(
        &mut estate,
        "CreateSecurityGroup&VpcId=$1&Description=a%20b&Tag.1.key=env&Tag.1.value=x",
        &expect![[r#"{"SecurityGroupId":"$7"}"#]],
    );
    check(
        &mut estate,
        "DescribeSecurityGroups&Tag.1.Key=env",
        &expect![[
            r#"{"RegionId":"cn-hangzhou","PageNumber":1,"PageSize":10,"TotalCount":1,"NextToken":"","SecurityGroups":{"SecurityGroup":[{"SecurityGroupId":"$7","SecurityGroupName":"","Description":"a b","SecurityGroupType":"normal","VpcId":"$1","CreationTime":"2018-12-12T07:28:38Z","ResourceGroupId":"","ServiceManaged":false,"RuleCount":0,"GroupToGroupRuleCount":0,"Tags":{"Tag":[{"TagKey":"env","TagValue":"x"}]}}]}}"#
        ]],
    );
    check(
        &mut estate,
        "DescribeSecurityGroups&SecurityGroupId=$6&IsQueryEcsCount=true",
        &expect![[
            r#"{"RegionId":"cn-hangzhou","PageNumber":1,"PageSize":10,"TotalCount":1,"NextToken":"","SecurityGroups":{"SecurityGroup":[{"SecurityGroupId":"$6","SecurityGroupName":"fort","Description":"","SecurityGroupType":"enterprise","VpcId":"$1","CreationTime":"2018-12-12T07:28:38Z","ResourceGroupId":"","ServiceManaged":false,"RuleCount":0,"GroupToGroupRuleCount":0,"Tags":{"Tag":[]},"EcsCount":0,"AvailableInstanceAmount":65536}]}}"#
        ]],
    );
    check(
        &mut estate,
        "DescribeSecurityGroups&SecurityGroupId=sg-no",
        &expect![[
            r#"{"RegionId":"cn-hangzhou","PageNumber":1,"PageSize":10,"TotalCount":0,"NextToken":"","SecurityGroups":{"SecurityGroup":[]}}"#
        ]],
    );
    check(&mut estate, "DeleteSecurityGroup&SecurityGroupId=$7", &expect!["{}"]);
    check(
        &mut estate,
        "DeleteSecurityGroup&SecurityGroupId=$7",
        &expect!["404 InvalidSecurityGroup.NotFound The specified security group is not found."],
    );
}

#[test]
fn groups_are_divided_into_parts_in_both_styles() {
    let mut estate = Estate::furnished();
    let ids = |text: String| text.matches("\"SecurityGroupId\"").count();
    assert_eq!(ids(estate.call("DescribeSecurityGroups&PageSize=1&PageNumber=2")), 1);
    assert!(estate.call("DescribeSecurityGroups&PageSize=1").contains("\"TotalCount\":2"));
    let first = estate.call("DescribeSecurityGroups&MaxResults=1");
    let token = first.split("\"NextToken\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert!(!token.is_empty() && !first.contains("TotalCount"));
    let second = estate.call(&format!("DescribeSecurityGroups&MaxResults=1&NextToken={token}"));
    assert!(ids(second.clone()) == 1 && second.contains("\"NextToken\":\"\"") && second != first);
    check(
        &mut estate,
        "DescribeSecurityGroups&PageSize=51",
        &expect![[
            r#"400 InvalidParameter The specified parameter "PageSize" is not valid: `51` is not a whole number from 1 to 50."#
        ]],
    );
    check(
        &mut estate,
        "DescribeSecurityGroups&NextToken=%",
        &expect![[
            r#"400 InvalidParameter The specified parameter "NextToken" is not valid: this operation has not returned it to this account."#
        ]],
    );
}

#[test]
fn groups_are_refused() {
    let mut estate = Estate::furnished();
    check(
        &mut estate,
        "CreateSecurityGroup&SecurityGroupName=web",
        &expect!["403 InvalidVpcId.NotFound The VpcId must not empty when only support vpc vm."],
    );
    check(
        &mut estate,
        "CreateSecurityGroup&VpcId=vpc-no",
        &expect!["404 InvalidVpcId.NotFound Specified VPC does not exist."],
    );
    check(
        &mut estate,
        "CreateSecurityGroup&VpcId=$1&SecurityGroupName=1web",
        &expect!["400 InvalidSecurityGroupName.Malformed The specified parameter SecurityGroupName is not valid."],
    );
    check(
        &mut estate,
        "CreateSecurityGroup&VpcId=$1&Description=http://x",
        &expect!["400 InvalidSecurityGroupDiscription.Malformed Specified security group description is not valid."],
    );
    check(
        &mut estate,
        "CreateSecurityGroup&VpcId=$1&SecurityGroupType=big",
        &expect!["400 InvalidParams.GroupType The specified security group type is not valid."],
    );
    check(
        &mut estate,
        "CreateSecurityGroup&VpcId=$1&Tag.1.Key=acs:x",
        &expect!["400 InvalidTagKey.Malformed Specified tag key is not valid."],
    );
    check(
        &mut estate,
        "CreateSecurityGroup&VpcId=$1&Tag.1.Key=a&Tag.2.Key=a",
        &expect!["400 Duplicate.TagKey The Tag.N.Key contain duplicate key."],
    );
}

#[test]
fn group_parameters_are_refused() {
    let mut estate = Estate::furnished();
    check(
        &mut estate,
        &format!("CreateSecurityGroup&VpcId=$1&ClientToken={}", "t".repeat(65)),
        &expect!["400 InvalidClientToken.ValueNotSupported The ClientToken provided is invalid."],
    );
    check(
        &mut estate,
        "CreateSecurityGroup&VpcId=$1&DryRun=true",
        &expect!["400 DryRunOperation Request validation has been passed with DryRun flag set."],
    );
    check(
        &mut estate,
        "DeleteSecurityGroup&SecurityGroupId=sg*",
        &expect!["400 InvalidSecurityGroupId.Malformed The specified parameter SecurityGroupId is not valid."],
    );
    check(
        &mut estate,
        "DeleteSecurityGroup&SecurityGroupId=$5&RegionId=",
        &expect![[r#"400 MissingParameter.RegionId The parameter "RegionId" should not be null."#]],
    );
    check(
        &mut estate,
        "DescribeSecurityGroupAttribute&SecurityGroupId=sg-no",
        &expect!["404 InvalidSecurityGroupId.NotFound The specified SecurityGroupId does not exist."],
    );
    check(
        &mut estate,
        "DescribeSecurityGroupAttribute&SecurityGroupId=$5&RegionId=cn-beijing",
        &expect!["404 InvalidSecurityGroupId.NotFound The specified SecurityGroupId does not exist."],
    );
    check(
        &mut estate,
        "DescribeSecurityGroupAttribute&SecurityGroupId=$5&Direction=up",
        &expect![[
            r#"400 InvalidParameter The specified parameter "Direction" is not valid: `up` is not ingress, egress or all."#
        ]],
    );
}

#[test]
fn inner_access_is_set_for_basic_groups_only() {
    let mut estate = Estate::furnished();
    let policy = "ModifySecurityGroupPolicy&InnerAccessPolicy";
    check(&mut estate, &format!("{policy}=DROP&SecurityGroupId=$5"), &expect!["{}"]);
    check(
        &mut estate,
        "DescribeSecurityGroupAttribute&SecurityGroupId=$5",
        &expect![[
            r#"{"SecurityGroupId":"$5","SecurityGroupName":"web","Description":"","VpcId":"$1","RegionId":"cn-hangzhou","InnerAccessPolicy":"Drop","SnapshotPolicyIds":{"SnapshotPolicyId":[]},"NextToken":"","Permissions":{"Permission":[]}}"#
        ]],
    );
    check(
        &mut estate,
        &format!("{policy}=open&SecurityGroupId=$5"),
        &expect![
            "400 InvalidPolicy.Malformed The Policy is invalid. Only 'Accept' and 'Drop' are supported. Ignore case."
        ],
    );
    check(
        &mut estate,
        &format!("{policy}=Accept&SecurityGroupId=$6"),
        &expect![
            "404 InvalidParameter.InnerAccessPolicy The InnerAccessPolicy attribute of enterprise level security group can't be modified."
        ],
    );
    check(
        &mut estate,
        &format!("{policy}=Accept&SecurityGroupId={}", "s".repeat(101)),
        &expect![
            "400 InvalidSecurityGroupId.Malformed The SecurityGroupId is invalid. Only letters, numbers and underscores are supported. Maximum length is 100 characters."
        ],
    );
}

#[test]
fn rules_are_shown_as_they_were_written() {
    let mut estate = Estate::furnished();
    estate.call("CreateSecurityGroup&VpcId=$1&SecurityGroupName=peer");
    let ingress = "AuthorizeSecurityGroup&SecurityGroupId=$5";
    for rule in [
        "IpProtocol=TCP&PortRange=22/22&SourceCidrIp=10.159.6.18/12&Priority=7&Description=ssh",
        "IpProtocol=icmp&PortRange=-1/-1&SourceCidrIp=10.0.0.1&Policy=DROP&NicType=internet",
        "Permissions.3.IpProtocol=icmpv6&Permissions.3.PortRange=-1/-1&Permissions.3.Ipv6SourceCidrIp=2001:0db8:0000::/32",
        "Permissions.1.IpProtocol=all&Permissions.1.PortRange=-1/-1&Permissions.1.SourceGroupId=$7",
        "Permissions.1.IpProtocol=udp&Permissions.1.PortRange=53/54&Permissions.1.SourceCidrIp=0.0.0.0/0&Permissions.1.DestCidrIp=10.1.0.5&Permissions.1.SourcePortRange=1024/2048",
        "IpProtocol=47&PortRange=-1/-1&SourceCidrIp=0.0.0.0/0",
        "IpProtocol=132&PortRange=-1/-1&SourceCidrIp=0.0.0.0/0",
    ] {
        assert_eq!(estate.call(&format!("{ingress}&{rule}")), "{}", "{rule}");
    }
    let egress = "AuthorizeSecurityGroupEgress&SecurityGroupId=$5&IpProtocol=tcp&PortRange=-1/-1";
    assert_eq!(estate.call(&format!("{egress}&DestCidrIp=0.0.0.0/0&SourceCidrIp=10.1.0.0/24")), "{}");
    let mut lines: Vec<String> = rules(&mut estate, "$5").lines().map(str::to_owned).collect();
    lines.sort();
    expect![[r#"
        Description=ssh Direction=ingress IpProtocol=TCP Policy=Accept PortRange=22/22 Priority=7 SourceCidrIp=10.159.6.18/12
        DestCidrIp=0.0.0.0/0 Direction=egress IpProtocol=TCP Policy=Accept PortRange=-1/-1 Priority=1 SourceCidrIp=10.1.0.0/24
        DestCidrIp=10.1.0.5 Direction=ingress IpProtocol=UDP Policy=Accept PortRange=53/54 Priority=1 SourceCidrIp=0.0.0.0/0 SourcePortRange=1024/2048
        Direction=ingress IpProtocol=132 Policy=Accept PortRange=-1/-1 Priority=1 SourceCidrIp=0.0.0.0/0 SourcePortRange=-1/-1
        Direction=ingress IpProtocol=ALL Policy=Accept PortRange=-1/-1 Priority=1 SourceGroupId=$7 SourceGroupName=peer SourcePortRange=-1/-1
        Direction=ingress IpProtocol=GRE Policy=Accept PortRange=-1/-1 Priority=1 SourceCidrIp=0.0.0.0/0 SourcePortRange=-1/-1
        Direction=ingress IpProtocol=ICMP Policy=Drop PortRange=-1/-1 Priority=1 SourceCidrIp=10.0.0.1 SourcePortRange=-1/-1
        Direction=ingress IpProtocol=ICMPv6 Ipv6SourceCidrIp=2001:db8::/32 Policy=Accept PortRange=-1/-1 Priority=1 SourcePortRange=-1/-1"#]].assert_eq(&lines.join("\n"));
}

#[test]
fn a_repeated_rule_is_one_rule_and_a_missing_one_is_revoked_with_success() {
    let mut estate = Estate::furnished();
    let rule = "SecurityGroupId=$5&IpProtocol=tcp&PortRange=80/80&SourceCidrIp=0.0.0.0/0";
    check(&mut estate, &format!("AuthorizeSecurityGroup&{rule}"), &expect!["{}"]);
    check(&mut estate, &format!("AuthorizeSecurityGroup&{rule}&Description=again"), &expect!["{}"]);
    assert_eq!(rules(&mut estate, "$5").lines().count(), 1);
    check(&mut estate, &format!("RevokeSecurityGroup&{rule}&Priority=2"), &expect!["{}"]);
    assert_eq!(rules(&mut estate, "$5").lines().count(), 1);
    check(
        &mut estate,
        "RevokeSecurityGroupEgress&SecurityGroupId=$5&SecurityGroupRuleId.1=$7",
        &expect!["404 InvalidSecurityGroupRuleId.NotFound The specified SecurityGroupRuleId is not exists."],
    );
    check(&mut estate, "RevokeSecurityGroup&SecurityGroupId=$5&SecurityGroupRuleId.1=$7", &expect!["{}"]);
    assert_eq!(rules(&mut estate, "$5"), "");
    check(
        &mut estate,
        "RevokeSecurityGroup&SecurityGroupId=$5&SecurityGroupRuleId.1=$7",
        &expect!["404 InvalidSecurityGroupRuleId.NotFound The specified SecurityGroupRuleId is not exists."],
    );
}

#[test]
fn rules_are_refused() {
    let mut estate = Estate::furnished();
    let mut told = String::new();
    let flat = "AuthorizeSecurityGroup&SecurityGroupId=$5";
    for rule in [
        "",
        "IpProtocol=tcp&PortRange=22/22",
        "IpProtocol=sctp&PortRange=22/22&SourceCidrIp=0.0.0.0/0",
        "IpProtocol=tcp&SourceCidrIp=0.0.0.0/0",
        "IpProtocol=tcp&PortRange=200/1&SourceCidrIp=0.0.0.0/0",
        "IpProtocol=all&PortRange=1/2&SourceCidrIp=0.0.0.0/0",
        "IpProtocol=icmp&PortRange=-1/-1&SourcePortRange=1/2&SourceCidrIp=0.0.0.0/0",
        "IpProtocol=tcp&PortRange=22/22&SourceCidrIp=::/0",
        "IpProtocol=tcp&PortRange=22/22&Ipv6SourceCidrIp=10.0.0.0/8",
        "IpProtocol=tcp&PortRange=22/22&Ipv6SourceCidrIp=::/0&SourceCidrIp=0.0.0.0/0",
        "IpProtocol=tcp&PortRange=22/22&SourceCidrIp=0.0.0.0/0&Ipv6DestCidrIp=::1",
        "IpProtocol=tcp&PortRange=22/22&SourceCidrIp=10.0.0.1&DestCidrIp=10.0.0.1",
        "IpProtocol=icmp&PortRange=-1/-1&Ipv6SourceCidrIp=::/0",
        "IpProtocol=icmpv6&PortRange=-1/-1&SourceCidrIp=0.0.0.0/0",
        "IpProtocol=tcp&PortRange=22/22&SourceCidrIp=0.0.0.0/0&Policy=allow",
        "IpProtocol=tcp&PortRange=22/22&SourceCidrIp=0.0.0.0/0&Priority=high",
        "IpProtocol=tcp&PortRange=22/22&SourceCidrIp=0.0.0.0/0&Priority=101",
        "IpProtocol=tcp&PortRange=22/22&SourceGroupId=$5",
        "IpProtocol=tcp&PortRange=22/22&SourceGroupId=$6",
        "IpProtocol=tcp&PortRange=22/22&SourceGroupId=sg-no",
        "IpProtocol=tcp&PortRange=22/22&SourcePrefixListId=pl-no",
        "Permissions.1.IpProtocol=tcp&Policy=accept",
        "Permissions.1.IpProtocol=tcp&Permissions.1.PortRange=1/2",
        "Permissions.1.IpProtocol=tcp&Permissions.1.PortRange=1/2&Permissions.1.SourceCidrIp=x",
        "Permissions.1.IpProtocol=x&Permissions.1.PortRange=1/2&Permissions.1.SourceCidrIp=0.0.0.0/0",
        "Permissions.1.IpProtocol=icmp&Permissions.1.PortRangeListId=prl-1&Permissions.1.SourceCidrIp=0.0.0.0/0",
        "Permissions.1.IpProtocol=all&Permissions.1.PortRange=-1/-1&Permissions.1.SourceCidrIp=0.0.0.0/0\
         &Permissions.2.IpProtocol=ALL&Permissions.2.PortRange=-1/-1&Permissions.2.SourceCidrIp=0.0.0.0/0",
    ] {
        told.push_str(&estate.call(&format!("{flat}&{rule}")));
        told.push('\n');
    }
    expect![[r#"
        400 InvalidIpProtocol.ValueNotSupported The parameter IpProtocol must be specified with case insensitive TCP, UDP, ICMP, GRE or All.
        403 MissingParameter The input parameter SourceGroupId or SourceCidrIp cannot be both blank.
        400 InvalidIpProtocol.ValueNotSupported The parameter IpProtocol must be specified with case insensitive TCP, UDP, ICMP, GRE or All.
        400 InvalidPortRange.Malformed The specified parameter PortRange must set.
        400 InvalidParam.PortRange The specified parameter PortRange is not valid. It should be two integers less than 65535 in ?/? format.
        400 OperationDenied The specified IpProtocol does not exist or IpProtocol and PortRange do not match.
        400 InvalidSourcePortRange.Malformed The specified parameter SourcePortRange is not valid.
        400 InvalidSourceCidrIp.Malformed The specified parameter SourceCidrIp is not valid.
        400 InvalidParam.Ipv6SourceCidrIp The specified parameter Ipv6SourceCidrIp is not valid.
        400 InvalidParam.SourceIp The Parameters SourceCidrIp and Ipv6SourceCidrIp in the request cannot be set at the same time.
        400 InvalidParameter.Conflict IPv6 and IPv4 addresses cannot exist at the same time.
        400 InvalidParamter.Conflict The specified SourceCidrIp should be different from the DestCidrIp.
        400 InvalidParam.Ipv4ProtocolConflictWithIpv6Address IPv6 address cannot be specified for IPv4-specific protocol.
        400 InvalidParam.Ipv6ProtocolConflictWithIpv4Address IPv4 address cannot be specified for IPv6-specific protocol.
        400 InvalidPolicy.Malformed The specified parameter Policy is not valid.
        400 InvalidPriority.Malformed The parameter Priority is invalid.
        400 InvalidPriority.ValueNotSupported The specified parameter Priority is invalid.
        403 InvalidParamter.Conflict The specified SecurityGroupId should be different from the SourceGroupId.
        400 InvalidGroupAuthParameter.OperationDenied The security group can not authorize to enterprise level security group.
        404 InvalidSourceGroupId.NotFound The SourceGroupId provided does not exist in our records.
        404 InvalidPrefixListId.NotFound The specified prefix list was not found.
        400 InvalidParam.Permissions The specified parameter Permissions cannot coexist with other parameters.
        400 MissingParameter.Source One of the parameters SourceCidrIp, Ipv6SourceCidrIp, SourceGroupId or SourcePrefixListId in Permissions.1 must be specified.
        400 InvalidParam.SourceCidrIp The specified parameter Permissions.1.SourceCidrIp is not valid.
        400 InvalidIpProtocol.ValueNotSupported The parameter Permissions.1.IpProtocol must be specified with case insensitive TCP, UDP, ICMP, GRE or All.
        400 InvalidParam.ProtocolNotSupportPortRangeList The specified protocol does not support the port range list.
        400 InvalidParam.DuplicatePermissions There are duplicate permissions in the specified parameter Permissions.
    "#]].assert_eq(&told);
    assert_eq!(rules(&mut estate, "$5"), "");
}

#[test]
fn enterprise_groups_name_no_groups_and_revocations_have_codes_of_their_own() {
    let mut estate = Estate::furnished();
    let rule = "IpProtocol=tcp&PortRange=22/22";
    check(
        &mut estate,
        &format!("AuthorizeSecurityGroup&SecurityGroupId=$6&{rule}&SourceGroupId=$5"),
        &expect![
            "400 InvalidGroupParameter.OperationDenied The attributes Policy, SourceGroupId, DestGroupId of enterprise level security groups are not allowed to be set or modified."
        ],
    );
    check(
        &mut estate,
        &format!("AuthorizeSecurityGroupEgress&SecurityGroupId=$5&{rule}&DestGroupId=$5"),
        &expect![
            "403 InvalidSecurityGroup.IsSame The authorized SecurityGroupId should be different from the DestGroupId."
        ],
    );
    check(
        &mut estate,
        &format!("AuthorizeSecurityGroupEgress&SecurityGroupId=$5&{rule}"),
        &expect!["403 MissingParameter The input parameter DestGroupId or DestCidrIp cannot be both blank."],
    );
    check(
        &mut estate,
        &format!("RevokeSecurityGroup&SecurityGroupId=$5&{rule}"),
        &expect!["400 MissingParameter The input parameter SourceGroupId or SourceCidrIp cannot be both blank."],
    );
    check(
        &mut estate,
        "RevokeSecurityGroup&SecurityGroupId=$5&SecurityGroupRuleId.1=a&SecurityGroupRuleId.2=a",
        &expect![
            "400 InvalidParam.SecurityGroupRuleIdRepeated The specified parameter SecurityGroupRuleId is repeated."
        ],
    );
    check(
        &mut estate,
        "RevokeSecurityGroup&SecurityGroupId=$5&SecurityGroupRuleId.1=a*",
        &expect!["400 InvalidParam.SecurityGroupRuleId The specified parameter SecurityGroupRuleId is not valid."],
    );
    check(
        &mut estate,
        "RevokeSecurityGroup&SecurityGroupId=sg-no&SecurityGroupRuleId.1=a",
        &expect!["404 InvalidSecurityGroupId.NotFound The specified SecurityGroupId does not exist."],
    );
}

#[test]
fn the_snapshot_policies_of_a_group_are_told() {
    let mut estate = Estate::furnished();
    let groups = vec![estate.id(5).into()];
    for name in ["daily", "monthly"] {
        let (account, name) = ("1234567890123456".into(), name.to_owned());
        let new = NewSnapshotPolicy { account, name, is_enabled: true, retention: Retention::default() };
        let Outcome::SnapshotPolicy(policy) = estate.run(&Command::CreateSnapshotPolicy(new)) else { panic!() };
        estate.run(&Command::AttachSnapshotPolicy { policy, groups: groups.clone() });
    }
    check(
        &mut estate,
        "DescribeSecurityGroupAttribute&SecurityGroupId=$5&Attribute=snapshotPolicyIds",
        &expect![[
            r#"{"SecurityGroupId":"$5","SecurityGroupName":"web","Description":"","VpcId":"$1","RegionId":"cn-hangzhou","InnerAccessPolicy":"Accept","SnapshotPolicyIds":{"SnapshotPolicyId":["$7","$8"]},"NextToken":"","Permissions":{"Permission":[]}}"#
        ]],
    );
}
