//! Rules written anew, and what else is asked about groups.

use expect_test::expect;

use super::Estate;

/// An estate whose group `$3` has two rules of TCP, `$5` of port 22 and `$6` of port 80.
fn with_rules() -> Estate {
    let mut estate = Estate::furnished();
    for port in [22, 80] {
        estate.succeed(&format!(
            "Action=AuthorizeSecurityGroupIngress&GroupId=$3&IpPermissions.1.IpProtocol=tcp&IpPermissions.1.FromPort={port}\
             &IpPermissions.1.ToPort={port}&IpPermissions.1.IpRanges.1.CidrIp=10.0.0.0/8\
             &IpPermissions.1.IpRanges.1.Description=old"
        ));
    }
    estate
}

fn update(number: u32, rule: &str, fields: &str) -> String {
    let item = format!("&SecurityGroupRule.{number}");
    let fields: String = fields.split('&').map(|field| format!("{item}.SecurityGroupRule.{field}")).collect();
    format!("{item}.SecurityGroupRuleId={rule}{fields}")
}

#[test]
fn rules_are_modified_and_may_swap() {
    let mut estate = with_rules();
    let swap = [
        update(1, "$5", "IpProtocol=tcp&FromPort=80&ToPort=80&CidrIpv4=10.0.0.0/8&Description=new"),
        update(2, "$6", "IpProtocol=tcp&FromPort=22&ToPort=22&CidrIpv4=10.0.0.1/8"),
    ];
    estate.check(
        &format!("Action=ModifySecurityGroupRules&GroupId=$3{}", swap.concat()),
        &expect!["200 <ModifySecurityGroupRulesResponse><return>true</return></ModifySecurityGroupRulesResponse>"],
    );
    estate
        .check("Action=DescribeSecurityGroupRules&SecurityGroupRuleId.1=$5&SecurityGroupRuleId.2=$6", &expect!["200 <DescribeSecurityGroupRulesResponse><securityGroupRuleSet><item><securityGroupRuleId>$5</securityGroupRuleId><groupId>$3</groupId><groupOwnerId>123456789012</groupOwnerId><isEgress>false</isEgress><ipProtocol>tcp</ipProtocol><fromPort>80</fromPort><toPort>80</toPort><cidrIpv4>10.0.0.0/8</cidrIpv4><description>new</description><securityGroupRuleArn>arn:aws:ec2:us-east-1:123456789012:security-group-rule/$5</securityGroupRuleArn><tagSet></tagSet></item><item><securityGroupRuleId>$6</securityGroupRuleId><groupId>$3</groupId><groupOwnerId>123456789012</groupOwnerId><isEgress>false</isEgress><ipProtocol>tcp</ipProtocol><fromPort>22</fromPort><toPort>22</toPort><cidrIpv4>10.0.0.0/8</cidrIpv4><securityGroupRuleArn>arn:aws:ec2:us-east-1:123456789012:security-group-rule/$6</securityGroupRuleArn><tagSet></tagSet></item></securityGroupRuleSet></DescribeSecurityGroupRulesResponse>"]);
}

#[test]
fn modifications_are_refused() {
    let mut estate = with_rules();
    let modify = "Action=ModifySecurityGroupRules&GroupId=$3";
    let ssh = "IpProtocol=tcp&FromPort=22&ToPort=22";
    let calls = [
        modify.to_owned(),
        format!("{modify}{}", update(1, "$6", &format!("{ssh}&CidrIpv4=10.0.0.0/8"))),
        format!("{modify}{}", update(1, "$5", "FromPort=22&ToPort=22&CidrIpv4=10.0.0.0/8")),
        format!("{modify}{}", update(1, "$5", "IpProtocol=tcp&FromPort=22&CidrIpv4=10.0.0.0/8")),
        format!("{modify}{}", update(1, "$5", ssh)),
        format!("{modify}{}", update(1, "$5", &format!("{ssh}&CidrIpv4=10.0.0.0/8&CidrIpv6=::/0"))),
        format!("{modify}{}", update(1, "$5", &format!("{ssh}&CidrIpv6=::/0"))),
        format!("{modify}{}", update(1, "$5", &format!("{ssh}&ReferencedGroupId=$3"))),
        format!("{modify}{}", update(1, "$5", &format!("{ssh}&PrefixListId=pl-0123"))),
        format!("{modify}{}", update(1, "sgr-0123", &format!("{ssh}&CidrIpv4=10.0.0.0/8"))),
        format!("{modify}{}", update(1, "$5", &format!("{ssh}&CidrIpv4=11.0.0.0/8")))
            + &update(2, "$5", &format!("{ssh}&CidrIpv4=12.0.0.0/8")),
        format!("{modify}{}", update(1, "$5", &format!("{ssh}&CidrIpv4=11.0.0.0/8")))
            + &update(2, "$6", &format!("{ssh}&CidrIpv4=11.0.0.0/8")),
        format!("Action=ModifySecurityGroupRules&GroupId=sg-0123{}", update(1, "$5", ssh)),
    ];
    estate.refused(&calls.join("\n"), &expect![[r#"
        400 MissingParameter: The request must contain the parameter SecurityGroupRule
        400 InvalidPermission.Duplicate: the specified rule &quot;peer: 10.0.0.0/8, TCP, from port: 22, to port: 22, ALLOW&quot; already exists
        400 InvalidParameterValue: Invalid value &apos;null&apos; for protocol. VPC security group rules must specify protocols explicitly.
        400 InvalidParameterValue: Invalid value for portRange. Must specify both from and to ports with TCP/UDP.
        400 MissingParameter: The request must contain exactly one of: cidrIp, cidrIpv6, prefixListId, or referencedGroupId
        400 InvalidParameterCombination: Only one of cidrIp, cidrIpv6, prefixListId, or referencedGroupId can be specified
        400 InvalidParameterValue: Invalid rule type for security group rule &apos;$5&apos;.
        400 InvalidParameterValue: Invalid rule type for security group rule &apos;$5&apos;.
        400 InvalidParameterValue: Invalid rule type for security group rule &apos;$5&apos;.
        400 InvalidSecurityGroupRuleId.NotFound: The security group rule ID &apos;sgr-0123&apos; does not exist
        400 InvalidParameterValue: Duplicated security group rule ID &apos;$5&apos;. The same security group rule ID must not appear multiple times.
        400 InvalidParameterValue: The same permission must not appear multiple times
        400 InvalidSecurityGroupRuleId.NotFound: The security group rule ID &apos;$5&apos; does not exist
    "#]]);
}

#[test]
fn words_about_rules_change_by_what_they_say_or_by_id() {
    let mut estate = with_rules();
    let said = "&IpPermissions.1.IpProtocol=tcp&IpPermissions.1.FromPort=22&IpPermissions.1.ToPort=22\
        &IpPermissions.1.IpRanges.1.CidrIp=10.0.0.0/8";
    let to = "Action=UpdateSecurityGroupRuleDescriptionsIngress&GroupId=$3";
    estate.check(&format!("{to}{said}&IpPermissions.1.IpRanges.1.Description=ssh"), &expect!["200 <UpdateSecurityGroupRuleDescriptionsIngressResponse><return>true</return></UpdateSecurityGroupRuleDescriptionsIngressResponse>"]);
    estate.succeed(&format!("{to}&SecurityGroupRuleDescription.1.SecurityGroupRuleId=$6"));
    let told = estate.succeed("Action=DescribeSecurityGroupRules&SecurityGroupRuleId.1=$5&SecurityGroupRuleId.2=$6");
    assert_eq!(told.matches("<description>").count(), 1);
    assert!(told.contains("<description>ssh</description>"));
    estate.refused(
        &format!(
            "{to}
             Action=UpdateSecurityGroupRuleDescriptionsEgress&GroupId=$3{said}
             Action=UpdateSecurityGroupRuleDescriptionsEgress&GroupId=$3&SecurityGroupRuleDescription.1.SecurityGroupRuleId=$5
             {to}&SecurityGroupRuleDescription.1.SecurityGroupRuleId=sgr-0123
             {to}&SecurityGroupRuleDescription.1.SecurityGroupRuleId=$5&SecurityGroupRuleDescription.1.Description=a|b
             {to}&SecurityGroupRuleDescription.1.SecurityGroupRuleId=$5{said}"
        ),
        &expect![[r#"
            400 MissingParameter: The request must contain the parameter ipPermissions or securityGroupRuleDescriptions
            400 InvalidPermission.NotFound: The specified rule does not exist in this security group.
            400 InvalidSecurityGroupRuleId.NotFound: The security group rule ID &apos;$5&apos; does not exist
            400 InvalidSecurityGroupRuleId.NotFound: The security group rule ID &apos;sgr-0123&apos; does not exist
            400 InvalidParameterValue: Invalid rule description. Valid descriptions are strings less than 256 characters from the following set:  a-zA-Z0-9. _-:/()#,@[]+=&amp;;{}!$*
            400 InvalidParameterCombination: The parameter securityGroupRuleDescriptions cannot be used with the parameter ipPermissions
        "#]],
    );
}

#[test]
fn rules_of_every_source_are_described() {
    let mut estate = Estate::furnished();
    let rule = "&IpPermissions.1.IpProtocol=tcp&IpPermissions.1.FromPort=22&IpPermissions.1.ToPort=22";
    let sources = "&IpPermissions.1.Ipv6Ranges.1.CidrIpv6=fd00::/8&IpPermissions.1.Groups.1.GroupId=$3\
        &IpPermissions.1.Groups.1.UserId=123456789012";
    let words = "&IpPermissions.1.Ipv6Ranges.1.Description=six&IpPermissions.1.Groups.1.Description=web";
    for (direction, describe) in [
        ("Ingress", "Action=UpdateSecurityGroupRuleDescriptionsIngress"),
        ("Egress", "Action=UpdateSecurityGroupRuleDescriptionsEgress"),
    ] {
        estate.succeed(&format!("Action=AuthorizeSecurityGroup{direction}&GroupId=$3{rule}{sources}"));
        estate.succeed(&format!("{describe}&GroupId=$3{rule}{sources}{words}"));
        estate.refused(
            &format!(
                "{describe}&GroupName=web{rule}{sources}{words}
                 {describe}&GroupId=$3{rule}&IpPermissions.1.Groups.1.GroupName=web
                 {describe}&GroupId=$3{rule}&IpPermissions.1.PrefixListIds.1.PrefixListId=pl-0123"
            ),
            &expect![[r#"
                400 InvalidGroup.NotFound: The security group &apos;web&apos; does not exist
                400 InvalidParameterValue: Invalid value &apos;web&apos; for groupName. You may not reference Amazon VPC security groups by name. Please use the corresponding id for this operation.
                400 InvalidPermission.NotFound: The specified rule does not exist in this security group.
            "#]],
        );
    }
    let told = estate.succeed("Action=DescribeSecurityGroupRules&Filter.1.Name=group-id&Filter.1.Value.1=$3");
    for word in ["six", "web"] {
        assert_eq!(told.matches(&format!("<description>{word}</description>")).count(), 2, "{told}");
    }
}

#[test]
fn groups_of_a_vpc_and_who_names_them() {
    let mut estate = Estate::furnished();
    let filters = "Filter.1.Name=group-name&Filter.1.Value.1=w*&Filter.2.Name=primary-vpc-id&Filter.2.Value.1=$1";
    estate.check(&format!("Action=GetSecurityGroupsForVpc&VpcId=$1&{filters}"), &expect!["200 <GetSecurityGroupsForVpcResponse><securityGroupForVpcSet><item><groupId>$3</groupId><groupName>web</groupName><description>w</description><ownerId>123456789012</ownerId><primaryVpcId>$1</primaryVpcId><tagSet></tagSet></item></securityGroupForVpcSet></GetSecurityGroupsForVpcResponse>"]);
    let by_id = "Filter.1.Name=group-id&Filter.1.Value.1=$3&Filter.2.Name=owner-id&Filter.2.Value.1=123456789012";
    let told = estate.succeed(&format!("Action=GetSecurityGroupsForVpc&VpcId=$1&{by_id}"));
    assert_eq!(told.matches("<groupId>").count(), 1);
    estate.check("Action=DescribeStaleSecurityGroups&VpcId=$1", &expect!["200 <DescribeStaleSecurityGroupsResponse><staleSecurityGroupSet></staleSecurityGroupSet></DescribeStaleSecurityGroupsResponse>"]);
    estate.check("Action=DescribeSecurityGroupReferences&GroupId.1=$3", &expect!["200 <DescribeSecurityGroupReferencesResponse><securityGroupReferenceSet></securityGroupReferenceSet></DescribeSecurityGroupReferencesResponse>"]);
    estate.refused(
        "Action=GetSecurityGroupsForVpc&VpcId=vpc-0123
         Action=GetSecurityGroupsForVpc
         Action=DescribeStaleSecurityGroups&VpcId=vpc-0123
         Action=DescribeStaleSecurityGroups&VpcId=$1&MaxResults=256
         Action=DescribeStaleSecurityGroups&VpcId=$1&NextToken=garbage
         Action=GetSecurityGroupsForVpc&VpcId=$1&NextToken=garbage
         Action=DescribeSecurityGroupReferences
         Action=DescribeSecurityGroupReferences&GroupId.1=sg-0123",
        &expect![[r#"
            400 InvalidVpcID.NotFound: The vpc ID &apos;vpc-0123&apos; does not exist
            400 MissingParameter: The request must contain the parameter VpcId
            400 InvalidVpcID.NotFound: The vpc ID &apos;vpc-0123&apos; does not exist
            400 InvalidParameterValue: Value ( 256 ) for parameter maxResults is invalid. Expecting a value smaller than 255.
            400 InvalidPaginationToken: Next token &apos;garbage&apos; is invalid
            400 InvalidPaginationToken: Next token &apos;garbage&apos; is invalid
            400 MissingParameter: The request must contain the parameter GroupId
            400 InvalidGroup.NotFound: The security group &apos;sg-0123&apos; does not exist
        "#]],
    );
}
