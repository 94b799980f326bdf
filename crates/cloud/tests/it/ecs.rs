//! The ECS API from query to reply, over the real meaning in `core`.

use crate::estate::Estate;
use expect_test::{Expect, expect};

fn check(estate: &mut Estate, call: &str, expected: &Expect) {
    expected.assert_eq(&estate.call(call));
}

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
fn networks_are_created_shown_and_deleted() {
    let mut estate = Estate::new();
    check(
        &mut estate,
        "CreateVpc&Version=2016-04-28&CidrBlock=10.0.0.0/8&VpcName=prod&EnableIpv6=True&Ipv6CidrBlock=2001:db8:1:100::/56",
        &expect![[r#"{"VpcId":"$1","VRouterId":"$2","RouteTableId":"$3","ResourceGroupId":""}"#]],
    );
    check(
        &mut estate,
        "CreateVSwitch&Version=2016-04-28&VpcId=$1&ZoneId=cn-hangzhou-b&CidrBlock=10.1.0.0/24&Ipv6CidrBlock=16",
        &expect![[r#"{"VSwitchId":"$4"}"#]],
    );
    check(
        &mut estate,
        "DescribeVpcs&Version=2016-04-28",
        &expect![[
            r#"{"PageNumber":1,"PageSize":10,"TotalCount":1,"NextToken":"","Vpcs":{"Vpc":[{"VpcId":"$1","VpcName":"prod","Description":"","RegionId":"cn-hangzhou","Status":"Available","CidrBlock":"10.0.0.0/8","EnabledIpv6":true,"Ipv6CidrBlock":"2001:db8:1:100::/56","Ipv6CidrBlocks":{"Ipv6CidrBlock":[{"Ipv6CidrBlock":"2001:db8:1:100::/56","Ipv6Isp":"BGP"}]},"CreationTime":"2018-12-12T07:28:38Z","IsDefault":false,"OwnerId":1234567890123456,"ResourceGroupId":"","VRouterId":"$2","RouterTableIds":{"RouterTableIds":["$3"]},"VSwitchIds":{"VSwitchId":["$4"]},"UserCidrs":{"UserCidr":[]},"SecondaryCidrBlocks":{"SecondaryCidrBlock":[]},"NatGatewayIds":{"NatGatewayIds":[]},"Tags":{"Tag":[]}}]}}"#
        ]],
    );
    check(
        &mut estate,
        "DescribeVSwitches&Version=2016-04-28&VpcId=$1",
        &expect![[
            r#"{"PageNumber":1,"PageSize":10,"TotalCount":1,"NextToken":"","VSwitches":{"VSwitch":[{"VSwitchId":"$4","VpcId":"$1","VSwitchName":"","Description":"","ZoneId":"cn-hangzhou-b","Status":"Available","CidrBlock":"10.1.0.0/24","EnabledIpv6":true,"Ipv6CidrBlock":"2001:db8:1:110::/64","AvailableIpAddressCount":252,"CreationTime":"2018-12-12T07:28:38Z","IsDefault":false,"OwnerId":1234567890123456,"ResourceGroupId":"","NetworkAclId":"","RouteTable":{"RouteTableId":"$3","RouteTableType":"System"},"Tags":{"Tag":[]}}]}}"#
        ]],
    );
    check(
        &mut estate,
        "DeleteVpc&Version=2016-04-28&VpcId=$1",
        &expect!["400 DependencyViolation.VSwitch Specified object has dependent resources."],
    );
    check(&mut estate, "DeleteVSwitch&VSwitchId=$4", &expect!["{}"]);
    check(&mut estate, "DeleteVpc&VpcId=$1", &expect!["{}"]);
    check(
        &mut estate,
        "DescribeVpcs&Version=2016-04-28",
        &expect![[r#"{"PageNumber":1,"PageSize":10,"TotalCount":0,"NextToken":"","Vpcs":{"Vpc":[]}}"#]],
    );
}

#[test]
fn vpcs_are_refused() {
    let mut estate = Estate::furnished();
    check(
        &mut estate,
        "CreateVpc&CidrBlock=10.0.0.0/40",
        &expect!["400 InvalidParameter Specified CIDR block is not valid."],
    );
    check(
        &mut estate,
        "CreateVpc&CidrBlock=127.0.0.0/8",
        &expect![
            "400 InvalidParameter Specified CIDR block is not valid. (it is reserved; use a block of 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16)"
        ],
    );
    check(
        &mut estate,
        "CreateVpc&Ipv6CidrBlock=2001:db8::/48",
        &expect![
            "400 InvalidParameter Specified CIDR block is not valid. (the IPv6 block of a VPC is a /56 whose host bits are zero)"
        ],
    );
    check(
        &mut estate,
        "CreateVpc&RegionId=",
        &expect![[
            r#"400 MissingParameter The input parameter "RegionId" that is required for processing this request is not supplied."#
        ]],
    );
    check(
        &mut estate,
        "CreateVpc&RegionId=mars-1",
        &expect!["404 InvalidRegionId.NotFound The specified RegionId does not exist."],
    );
}

#[test]
fn vswitches_are_refused() {
    let mut estate = Estate::furnished();
    let vswitch = "CreateVSwitch&Version=2016-04-28&VpcId=$1&ZoneId=cn-hangzhou-b";
    check(
        &mut estate,
        &format!("{vswitch}&CidrBlock=10.1.0.128/25"),
        &expect!["400 InvalidCidrBlock.Overlapped Specified CIDR block overlapped with other subnets."],
    );
    check(
        &mut estate,
        &format!("{vswitch}&CidrBlock=192.168.0.0/24"),
        &expect![
            "400 InvalidParameter Specified CIDR block is not valid in VPC. (it is not within 10.0.0.0/8 of its VPC)"
        ],
    );
    check(
        &mut estate,
        &format!("{vswitch}&CidrBlock=10.2.0.0/24&Ipv6CidrBlock=256"),
        &expect![[
            r#"400 InvalidParameter The specified parameter "Ipv6CidrBlock" is not valid: `256` is not a whole number from 0 to 255."#
        ]],
    );
    check(
        &mut estate,
        "CreateVSwitch&VpcId=$1&ZoneId=cn-beijing-b&CidrBlock=10.2.0.0/24",
        &expect!["404 InvalidZoneId.NotFound Specified zone does not exist."],
    );
    check(
        &mut estate,
        "CreateVSwitch&VpcId=vpc-no&ZoneId=cn-hangzhou-b&CidrBlock=10.2.0.0/24",
        &expect!["404 InvalidVpcId.NotFound Specified VPC does not exist."],
    );
    check(
        &mut estate,
        "DeleteVSwitch&VSwitchId=vsw-no",
        &expect!["404 InvalidVSwitchId.NotFound Specified virtual switch does not exist."],
    );
    check(
        &mut estate,
        "DeleteVpc&VpcId=$1&RegionId=cn-beijing",
        &expect!["404 InvalidVpcId.NotFound Specified VPC does not exist."],
    );
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
            r#"400 InvalidParameter The specified parameter "NextToken" is not valid: it was not returned by this operation."#
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
fn instances_start_run_and_go() {
    let mut estate = Estate::furnished();
    check(
        &mut estate,
        "RunInstances&VSwitchId=$4&SecurityGroupIds.1=$5&ImageId=any&InstanceType=ecs.any&Amount=2&Ipv6AddressCount=1&InstanceName=db",
        &expect![[r#"{"InstanceIdSets":{"InstanceIdSet":["$7","$8"]}}"#]],
    );
    let one = "DescribeInstances&InstanceIds=[\"$7\"]";
    assert!(estate.call(one).contains("\"Status\":\"Starting\""));
    estate.catch_up();
    check(
        &mut estate,
        one,
        &expect![[
            r#"{"PageNumber":1,"PageSize":10,"TotalCount":1,"NextToken":"","Instances":{"Instance":[{"InstanceId":"$7","InstanceName":"db","Description":"","HostName":"$7","RegionId":"cn-hangzhou","ZoneId":"cn-hangzhou-b","Status":"Running","ImageId":"any","InstanceType":"ecs.any","CreationTime":"2018-12-12T07:28Z","InstanceNetworkType":"vpc","InstanceChargeType":"PostPaid","InternetChargeType":"PayByTraffic","IoOptimized":true,"DeletionProtection":false,"ResourceGroupId":"","SecurityGroupIds":{"SecurityGroupId":["$5"]},"VpcAttributes":{"VpcId":"$1","VSwitchId":"$4","PrivateIpAddress":{"IpAddress":["10.1.0.1"]},"NatIpAddress":""},"NetworkInterfaces":{"NetworkInterface":[{"NetworkInterfaceId":"$9","Type":"Primary","MacAddress":"9e:54:fe:5c:61:63","PrimaryIpAddress":"10.1.0.1","PrivateIpSets":{"PrivateIpSet":[{"PrivateIpAddress":"10.1.0.1","Primary":true}]},"Ipv6Sets":{"Ipv6Set":[{"Ipv6Address":"fd63:cbe1:e459:3201::10"}]}}]},"InnerIpAddress":{"IpAddress":[]},"PublicIpAddress":{"IpAddress":[]},"EipAddress":{"AllocationId":"","IpAddress":"","InternetChargeType":""},"OperationLocks":{"LockReason":[]},"Tags":{"Tag":[]}}]}}"#
        ]],
    );
    assert!(estate.call("DescribeInstances&SecurityGroupId=$5").contains("\"TotalCount\":2"));
    assert!(estate.call("DescribeInstances&PrivateIpAddresses=[\"10.1.0.2\"]").contains("\"TotalCount\":1"));
    assert!(estate.call("DescribeInstances&InstanceIds=[]").contains("\"TotalCount\":0"));
    check(
        &mut estate,
        "DeleteSecurityGroup&SecurityGroupId=$5",
        &expect!["403 DependencyViolation There is still instance(s) in the specified security group."],
    );
    check(
        &mut estate,
        "DeleteVSwitch&VSwitchId=$4",
        &expect!["400 DependencyViolation Specified object has dependent resources."],
    );
    check(&mut estate, "DeleteInstances&InstanceId.1=$7&InstanceId.2=$8&InstanceId.3=$7", &expect!["{}"]);
    check(
        &mut estate,
        "DeleteInstance&InstanceId=$7",
        &expect!["404 InvalidInstanceId.NotFound The specified InstanceId does not exist."],
    );
}

#[test]
fn instances_are_refused() {
    let mut estate = Estate::furnished();
    let mut told = String::new();
    for rest in [
        "SecurityGroupId=$5",
        "VSwitchId=$4",
        "VSwitchId=vsw-no&SecurityGroupId=$5",
        "VSwitchId=$4&SecurityGroupId=sg-no",
        "VSwitchId=$4&SecurityGroupId=$5&SecurityGroupIds.1=$5",
        "VSwitchId=$4&SecurityGroupIds.1=$5&SecurityGroupIds.2=$6",
        "VSwitchId=$4&SecurityGroupId=$5&Amount=0",
        "VSwitchId=$4&SecurityGroupId=$5&Amount=101",
        "VSwitchId=$4&SecurityGroupId=$5&Amount=2&PrivateIpAddress=10.1.0.9",
        "VSwitchId=$4&SecurityGroupId=$5&PrivateIpAddress=10.1.0.254",
        "VSwitchId=$4&SecurityGroupId=$5&PrivateIpAddress=here",
        "VSwitchId=$4&SecurityGroupId=$5&ZoneId=cn-hangzhou-c",
        "VSwitchId=$4&SecurityGroupId=$5&InstanceName=1",
        "VSwitchId=$4&SecurityGroupId=$5&NetworkInterface.1.VSwitchId=$4",
    ] {
        told.push_str(&estate.call(&format!("RunInstances&{rest}")));
        told.push('\n');
    }
    expect![[r#"
        400 MissingParameter The input parameter "VSwitchId" that is required for processing this request is not supplied.
        400 MissingParameter The input parameter "SecurityGroupId" that is required for processing this request is not supplied.
        404 InvalidVSwitchId.NotFound Specified virtual switch does not exist.
        404 InvalidSecurityGroupId.NotFound The specified SecurityGroupId does not exist.
        400 InvalidParameter The specified parameter "SecurityGroupId" is not valid: it cannot be used together with SecurityGroupIds; give one of the two.
        400 InvalidOperation.MultiGroupType The specified instance can't join different types of security group.
        403 InvalidParam.Amount The specified parameter Amount is not valid: it must be a positive whole number.
        403 InvalidParam.Amount at most 100 instances in one call; this request would make it 101.
        403 InvalidParam.Amount The specified parameter Amount is not valid: with PrivateIpAddress it must be 1.
        400 InvalidPrivateIpAddress Specified private IP address is not in the CIDR block of virtual switch.
        400 InvalidPrivateIpAddress.Malformed Specified private IP address is malformed.
        404 InvalidZoneId.NotFound Specified zone does not exist.
        400 InvalidInstanceName.Malformed The specified parameter "InstanceName" is not valid.
        400 InvalidParameter The specified parameter "NetworkInterface" is not valid: it is not supported; use VSwitchId, SecurityGroupIds and PrivateIpAddress.
    "#]].assert_eq(&told);
    check(
        &mut estate,
        "DeleteInstances&Force=true",
        &expect![[
            r#"400 MissingParameter The input parameter "InstanceId.1" that is required for processing this request is not supplied."#
        ]],
    );
}

#[test]
fn members_join_and_leave() {
    let mut estate = Estate::furnished();
    estate.call("CreateSecurityGroup&VpcId=$1&SecurityGroupName=second");
    estate.call("RunInstances&VSwitchId=$4&SecurityGroupId=$5&PrivateIpAddress=10.1.0.9");
    check(
        &mut estate,
        "RunInstances&VSwitchId=$4&SecurityGroupId=$5&PrivateIpAddress=10.1.0.9",
        &expect!["400 InvalidPrivateIpAddress.Duplicated Specified private IP address is duplicated."],
    );
    check(&mut estate, "JoinSecurityGroup&RegionId=&SecurityGroupId=$7&InstanceId=$8", &expect!["{}"]);
    check(
        &mut estate,
        "JoinSecurityGroup&SecurityGroupId=$7&InstanceId=$8",
        &expect![
            "403 InvalidInstanceId.AlreadyExists The specified instance already exists in the specified security group."
        ],
    );
    check(
        &mut estate,
        "JoinSecurityGroup&SecurityGroupId=$6&InstanceId=$8",
        &expect![
            "400 InvalidOperation.MultiGroupType The specified instance can't join different types of security group."
        ],
    );
    check(
        &mut estate,
        "JoinSecurityGroup&SecurityGroupId=$5",
        &expect![[
            r#"400 MissingParameter The input parameter "InstanceId" that is required for processing this request is not supplied."#
        ]],
    );
    check(
        &mut estate,
        "JoinSecurityGroup&SecurityGroupId=$5&InstanceId=$8&NetworkInterfaceId=eni-1",
        &expect![
            "403 InvalidParam.EniIdAndInstanceId.Conflict The parameters NetworkInterfaceId and InstanceId cannot be specified at the same time."
        ],
    );
    check(
        &mut estate,
        "JoinSecurityGroup&RegionId=&SecurityGroupId=$5&NetworkInterfaceId=eni-1",
        &expect!["400 MissingParameter.RegionId The specified RegionId should not be null."],
    );
    check(
        &mut estate,
        "JoinSecurityGroup&SecurityGroupId=$5&NetworkInterfaceId=eni-1",
        &expect!["404 InvalidEniId.NotFound The specified EniId is not found."],
    );
    check(&mut estate, "LeaveSecurityGroup&SecurityGroupId=$5&InstanceId=$8", &expect!["{}"]);
    check(
        &mut estate,
        "LeaveSecurityGroup&SecurityGroupId=$5&InstanceId=$8",
        &expect!["400 InvalidSecurityGroupAssociation.NotFound `$8` is not in `$5`."],
    );
    check(
        &mut estate,
        "LeaveSecurityGroup&SecurityGroupId=$7&InstanceId=$8",
        &expect![
            "403 InstanceLastSecurityGroup The specified security group is the last security group for the instance."
        ],
    );
    check(
        &mut estate,
        "LeaveSecurityGroup&SecurityGroupId=$7&InstanceId=i-no",
        &expect!["404 InvalidInstanceId.NotFound The specified InstanceId does not exist."],
    );
}

#[test]
fn the_other_dialect_and_other_accounts_see_nothing() {
    let mut estate = Estate::furnished();
    check(
        estate.as_account("2"),
        "DescribeSecurityGroups",
        &expect!["404 InvalidAccessKeyId.NotFound Specified access key is not found."],
    );
    estate.as_account("3");
    check(
        &mut estate,
        "DescribeSecurityGroups",
        &expect![[
            r#"{"RegionId":"cn-hangzhou","PageNumber":1,"PageSize":10,"TotalCount":0,"NextToken":"","SecurityGroups":{"SecurityGroup":[]}}"#
        ]],
    );
    check(
        &mut estate,
        "DescribeSecurityGroupAttribute&SecurityGroupId=$5",
        &expect!["404 InvalidSecurityGroupId.NotFound The specified SecurityGroupId does not exist."],
    );
    check(
        &mut estate,
        "DeleteSecurityGroup&SecurityGroupId=$5",
        &expect!["404 InvalidSecurityGroup.NotFound The specified security group is not found."],
    );
    check(&mut estate, "DeleteVpc&VpcId=$1", &expect!["404 InvalidVpcId.NotFound Specified VPC does not exist."]);
}

#[test]
fn xml_is_the_default_of_rpc_version_1() {
    let mut estate = Estate::furnished();
    let group = "DescribeSecurityGroupAttribute&SecurityGroupId=$5&Format=XML";
    estate.call("AuthorizeSecurityGroup&SecurityGroupId=$5&IpProtocol=tcp&PortRange=22/22&SourceCidrIp=10.0.0.1");
    check(
        &mut estate,
        group,
        &expect![[
            r#"<?xml version="1.0" encoding="UTF-8"?><DescribeSecurityGroupAttributeResponse><RequestId>R</RequestId><SecurityGroupId>$5</SecurityGroupId><SecurityGroupName>web</SecurityGroupName><Description></Description><VpcId>$1</VpcId><RegionId>cn-hangzhou</RegionId><InnerAccessPolicy>Accept</InnerAccessPolicy><SnapshotPolicyIds></SnapshotPolicyIds><NextToken></NextToken><Permissions><Permission><SecurityGroupRuleId>$7</SecurityGroupRuleId><Direction>ingress</Direction><IpProtocol>TCP</IpProtocol><PortRange>22/22</PortRange><PortRangeListId></PortRangeListId><PortRangeListName></PortRangeListName><SourcePortRange></SourcePortRange><SourceCidrIp>10.0.0.1</SourceCidrIp><Ipv6SourceCidrIp></Ipv6SourceCidrIp><SourceGroupId></SourceGroupId><SourceGroupName></SourceGroupName><SourceGroupOwnerAccount></SourceGroupOwnerAccount><SourcePrefixListId></SourcePrefixListId><SourcePrefixListName></SourcePrefixListName><DestCidrIp></DestCidrIp><Ipv6DestCidrIp></Ipv6DestCidrIp><DestGroupId></DestGroupId><DestGroupName></DestGroupName><DestGroupOwnerAccount></DestGroupOwnerAccount><DestPrefixListId></DestPrefixListId><DestPrefixListName></DestPrefixListName><NicType>intranet</NicType><Policy>Accept</Policy><Priority>1</Priority><Description></Description><CreateTime>2018-12-12T07:28:38Z</CreateTime></Permission></Permissions></DescribeSecurityGroupAttributeResponse>"#
        ]],
    );
    check(
        &mut estate,
        "DescribeSecurityGroups&Format=&PageSize=1&SecurityGroupName=none",
        &expect![[
            r#"<?xml version="1.0" encoding="UTF-8"?><DescribeSecurityGroupsResponse><RequestId>R</RequestId><RegionId>cn-hangzhou</RegionId><PageNumber>1</PageNumber><PageSize>1</PageSize><TotalCount>0</TotalCount><NextToken></NextToken><SecurityGroups></SecurityGroups></DescribeSecurityGroupsResponse>"#
        ]],
    );
    let regions = estate.call("DescribeRegions");
    assert!(regions.contains(r#"{"RegionId":"cn-hangzhou","LocalName":"China (Hangzhou)","RegionEndpoint":"ecs.cn-hangzhou.aliyuncs.com","Status":"available"}"#));
}
