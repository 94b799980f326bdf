//! Groups and their rules, by what they say and by id.

use expect_test::expect;

use super::Estate;

/// `IpPermissions.1.` in front of every field.
fn permission(fields: &str) -> String {
    fields.split('&').map(|field| format!("&IpPermissions.1.{field}")).collect()
}

#[test]
fn a_group_is_born_with_open_egress_and_shown_with_merged_rules() {
    let mut estate = Estate::furnished();
    estate.check(
        "Action=CreateSecurityGroup&GroupName=db &GroupDescription=databases&VpcId=$1\
         &TagSpecification.1.ResourceType=security-group&TagSpecification.1.Tag.1.Key=env\
         &TagSpecification.1.Tag.1.Value=test",
        &expect!["200 <CreateSecurityGroupResponse><return>true</return><groupId>$5</groupId><tagSet><item><key>env</key><value>test</value></item></tagSet><securityGroupArn>arn:aws:ec2:us-east-1:123456789012:security-group/$5</securityGroupArn></CreateSecurityGroupResponse>"],
    );
    let sources = "IpProtocol=tcp&FromPort=443&ToPort=443&IpRanges.1.CidrIp=10.1.2.3/8&IpRanges.1.Description=https\
        &IpRanges.2.CidrIp=192.168.0.0/16&Ipv6Ranges.1.CidrIpv6=FD00::1/8&Groups.1.GroupId=$3&Groups.1.UserId=";
    let call = format!("Action=AuthorizeSecurityGroupIngress&GroupId=$3{}", permission(sources));
    estate.check(&call, &expect!["200 <AuthorizeSecurityGroupIngressResponse><return>true</return><securityGroupRuleSet><item><securityGroupRuleId>$6</securityGroupRuleId><groupId>$3</groupId><groupOwnerId>123456789012</groupOwnerId><isEgress>false</isEgress><ipProtocol>tcp</ipProtocol><fromPort>443</fromPort><toPort>443</toPort><cidrIpv4>10.0.0.0/8</cidrIpv4><description>https</description><securityGroupRuleArn>arn:aws:ec2:us-east-1:123456789012:security-group-rule/$6</securityGroupRuleArn><tagSet></tagSet></item><item><securityGroupRuleId>$7</securityGroupRuleId><groupId>$3</groupId><groupOwnerId>123456789012</groupOwnerId><isEgress>false</isEgress><ipProtocol>tcp</ipProtocol><fromPort>443</fromPort><toPort>443</toPort><cidrIpv4>192.168.0.0/16</cidrIpv4><securityGroupRuleArn>arn:aws:ec2:us-east-1:123456789012:security-group-rule/$7</securityGroupRuleArn><tagSet></tagSet></item><item><securityGroupRuleId>$8</securityGroupRuleId><groupId>$3</groupId><groupOwnerId>123456789012</groupOwnerId><isEgress>false</isEgress><ipProtocol>tcp</ipProtocol><fromPort>443</fromPort><toPort>443</toPort><cidrIpv6>fd00::/8</cidrIpv6><securityGroupRuleArn>arn:aws:ec2:us-east-1:123456789012:security-group-rule/$8</securityGroupRuleArn><tagSet></tagSet></item><item><securityGroupRuleId>$9</securityGroupRuleId><groupId>$3</groupId><groupOwnerId>123456789012</groupOwnerId><isEgress>false</isEgress><ipProtocol>tcp</ipProtocol><fromPort>443</fromPort><toPort>443</toPort><referencedGroupInfo><groupId>$3</groupId><userId>123456789012</userId></referencedGroupInfo><securityGroupRuleArn>arn:aws:ec2:us-east-1:123456789012:security-group-rule/$9</securityGroupRuleArn><tagSet></tagSet></item></securityGroupRuleSet></AuthorizeSecurityGroupIngressResponse>"]);
    estate.check("Action=DescribeSecurityGroups&GroupId.1=$3", &expect!["200 <DescribeSecurityGroupsResponse><securityGroupInfo><item><ownerId>123456789012</ownerId><groupId>$3</groupId><groupName>web</groupName><groupDescription>w</groupDescription><vpcId>$1</vpcId><securityGroupArn>arn:aws:ec2:us-east-1:123456789012:security-group/$3</securityGroupArn><ipPermissions><item><ipProtocol>tcp</ipProtocol><fromPort>443</fromPort><toPort>443</toPort><groups><item><userId>123456789012</userId><groupId>$3</groupId></item></groups><ipRanges><item><cidrIp>192.168.0.0/16</cidrIp></item><item><cidrIp>10.0.0.0/8</cidrIp><description>https</description></item></ipRanges><ipv6Ranges><item><cidrIpv6>fd00::/8</cidrIpv6></item></ipv6Ranges><prefixListIds></prefixListIds></item></ipPermissions><ipPermissionsEgress><item><ipProtocol>-1</ipProtocol><groups></groups><ipRanges><item><cidrIp>0.0.0.0/0</cidrIp></item></ipRanges><ipv6Ranges><item><cidrIpv6>::/0</cidrIpv6></item></ipv6Ranges><prefixListIds></prefixListIds></item></ipPermissionsEgress><tagSet></tagSet></item></securityGroupInfo></DescribeSecurityGroupsResponse>"]);
    estate.check("Action=DescribeSecurityGroups&GroupId.1=$4", &expect!["200 <DescribeSecurityGroupsResponse><securityGroupInfo><item><ownerId>123456789012</ownerId><groupId>$4</groupId><groupName>default</groupName><groupDescription>default VPC security group</groupDescription><vpcId>$1</vpcId><securityGroupArn>arn:aws:ec2:us-east-1:123456789012:security-group/$4</securityGroupArn><ipPermissions><item><ipProtocol>-1</ipProtocol><groups><item><userId>123456789012</userId><groupId>$4</groupId></item></groups><ipRanges></ipRanges><ipv6Ranges></ipv6Ranges><prefixListIds></prefixListIds></item></ipPermissions><ipPermissionsEgress><item><ipProtocol>-1</ipProtocol><groups></groups><ipRanges><item><cidrIp>0.0.0.0/0</cidrIp></item></ipRanges><ipv6Ranges><item><cidrIpv6>::/0</cidrIpv6></item></ipv6Ranges><prefixListIds></prefixListIds></item></ipPermissionsEgress><tagSet></tagSet></item></securityGroupInfo></DescribeSecurityGroupsResponse>"]);
}

#[test]
fn rules_are_shown_and_revoked_one_by_one() {
    let mut estate = Estate::furnished();
    let two =
        permission("IpProtocol=icmp&FromPort=8&ToPort=-1&IpRanges.1.CidrIp=10.0.0.0/8&IpRanges.2.CidrIp=11.0.0.0/8");
    let tags = "&TagSpecification.1.ResourceType=security-group-rule&TagSpecification.1.Tag.1.Key=env\
        &TagSpecification.1.Tag.1.Value=test";
    estate.succeed(&format!("Action=AuthorizeSecurityGroupIngress&GroupId=$3{two}{tags}"));
    estate.check(
        "Action=DescribeSecurityGroupRules&Filter.1.Name=group-id&Filter.1.Value.1=$3&Filter.2.Name=tag:env\
         &Filter.2.Value.1=te*",
        &expect!["200 <DescribeSecurityGroupRulesResponse><securityGroupRuleSet><item><securityGroupRuleId>$6</securityGroupRuleId><groupId>$3</groupId><groupOwnerId>123456789012</groupOwnerId><isEgress>false</isEgress><ipProtocol>icmp</ipProtocol><fromPort>8</fromPort><toPort>-1</toPort><cidrIpv4>11.0.0.0/8</cidrIpv4><securityGroupRuleArn>arn:aws:ec2:us-east-1:123456789012:security-group-rule/$6</securityGroupRuleArn><tagSet><item><key>env</key><value>test</value></item></tagSet></item><item><securityGroupRuleId>$5</securityGroupRuleId><groupId>$3</groupId><groupOwnerId>123456789012</groupOwnerId><isEgress>false</isEgress><ipProtocol>icmp</ipProtocol><fromPort>8</fromPort><toPort>-1</toPort><cidrIpv4>10.0.0.0/8</cidrIpv4><securityGroupRuleArn>arn:aws:ec2:us-east-1:123456789012:security-group-rule/$5</securityGroupRuleArn><tagSet><item><key>env</key><value>test</value></item></tagSet></item></securityGroupRuleSet></DescribeSecurityGroupRulesResponse>"],
    );
    estate.check("Action=RevokeSecurityGroupIngress&GroupId=$3&SecurityGroupRuleId.1=$5", &expect!["200 <RevokeSecurityGroupIngressResponse><return>true</return><unknownIpPermissionSet></unknownIpPermissionSet><revokedSecurityGroupRuleSet><item><securityGroupRuleId>$5</securityGroupRuleId><groupId>$3</groupId><isEgress>false</isEgress><ipProtocol>icmp</ipProtocol><fromPort>8</fromPort><toPort>-1</toPort><cidrIpv4>10.0.0.0/8</cidrIpv4></item></revokedSecurityGroupRuleSet></RevokeSecurityGroupIngressResponse>"]);
    let last = permission("IpProtocol=1&FromPort=8&ToPort=-1&IpRanges.1.CidrIp=11.0.0.9/8");
    estate.check(&format!("Action=RevokeSecurityGroupIngress&GroupId=$3{last}"), &expect!["200 <RevokeSecurityGroupIngressResponse><return>true</return><unknownIpPermissionSet></unknownIpPermissionSet><revokedSecurityGroupRuleSet><item><securityGroupRuleId>$6</securityGroupRuleId><groupId>$3</groupId><isEgress>false</isEgress><ipProtocol>icmp</ipProtocol><fromPort>8</fromPort><toPort>-1</toPort><cidrIpv4>11.0.0.0/8</cidrIpv4></item></revokedSecurityGroupRuleSet></RevokeSecurityGroupIngressResponse>"]);
    // Terraform revokes the default egress rule with ports that mean nothing.
    let open = permission("IpProtocol=-1&FromPort=0&ToPort=0&IpRanges.1.CidrIp=0.0.0.0/0");
    estate.check(&format!("Action=RevokeSecurityGroupEgress&GroupId=$3{open}"), &expect!["200 <RevokeSecurityGroupEgressResponse><return>true</return><unknownIpPermissionSet></unknownIpPermissionSet><revokedSecurityGroupRuleSet><item><securityGroupRuleId>$7</securityGroupRuleId><groupId>$3</groupId><isEgress>true</isEgress><ipProtocol>-1</ipProtocol><fromPort>-1</fromPort><toPort>-1</toPort><cidrIpv4>0.0.0.0/0</cidrIpv4></item></revokedSecurityGroupRuleSet></RevokeSecurityGroupEgressResponse>"]);
    estate.check("Action=DeleteSecurityGroup&GroupId=$3", &expect!["200 <DeleteSecurityGroupResponse><return>true</return><groupId>$3</groupId></DeleteSecurityGroupResponse>"]);
    let gone = "Action=DescribeSecurityGroups&GroupId.1=$3";
    estate.refused(
        gone,
        &expect![[r#"
        400 InvalidGroup.NotFound: The security group &apos;$3&apos; does not exist
    "#]],
    );
}

#[test]
fn the_flat_form_is_a_rule_too() {
    let mut estate = Estate::furnished();
    let flat = "GroupId=$3&IpProtocol=udp&FromPort=53&ToPort=53&CidrIp=10.0.0.0/8";
    estate.check(&format!("Action=AuthorizeSecurityGroupIngress&{flat}"), &expect!["200 <AuthorizeSecurityGroupIngressResponse><return>true</return><securityGroupRuleSet><item><securityGroupRuleId>$5</securityGroupRuleId><groupId>$3</groupId><groupOwnerId>123456789012</groupOwnerId><isEgress>false</isEgress><ipProtocol>udp</ipProtocol><fromPort>53</fromPort><toPort>53</toPort><cidrIpv4>10.0.0.0/8</cidrIpv4><securityGroupRuleArn>arn:aws:ec2:us-east-1:123456789012:security-group-rule/$5</securityGroupRuleArn><tagSet></tagSet></item></securityGroupRuleSet></AuthorizeSecurityGroupIngressResponse>"]);
    estate.succeed(&format!("Action=RevokeSecurityGroupIngress&{flat}"));
}

#[test]
fn groups_are_refused() {
    let mut estate = Estate::furnished();
    estate.succeed("Action=RunInstances&MinCount=1&MaxCount=1&SubnetId=$2&SecurityGroupId.1=$3");
    let long = "x".repeat(256);
    let create = "Action=CreateSecurityGroup&VpcId=$1";
    estate.refused(
        &format!(
            "{create}&GroupName=db
             {create}&GroupDescription=d
             {create}&GroupName=WEB&GroupDescription=d
             {create}&GroupName=sg-1&GroupDescription=d
             {create}&GroupName=default&GroupDescription=d
             {create}&GroupName=%E6%9D%B1&GroupDescription=d
             {create}&GroupName=a|b&GroupDescription=d
             {create}&GroupName={long}&GroupDescription=d
             {create}&GroupName=db&GroupDescription={long}
             {create}&GroupName=db&GroupDescription=%E6%9D%B1
             {create}&GroupName=db&GroupDescription=d&TagSpecification.1.ResourceType=vpc
             {create}&GroupName=db&GroupDescription=d&TagSpecification.1.ResourceType=security-group
             {create}&GroupName=db&GroupDescription=d&TagSpecification.1.Tag.1.Key=k
             Action=CreateSecurityGroup&GroupName=db&GroupDescription=d
             Action=CreateSecurityGroup&GroupName=db&GroupDescription=d&VpcId=vpc-0123
             {create}&GroupName=db&GroupDescription=d&DryRun=true
             Action=DeleteSecurityGroup
             Action=DeleteSecurityGroup&GroupId=$4
             Action=DeleteSecurityGroup&GroupId=$3
             Action=DeleteSecurityGroup&GroupId=sg-0123
             Action=DeleteSecurityGroup&GroupId=web
             Action=DeleteSecurityGroup&GroupName=web
             Action=DescribeSecurityGroups&GroupId.1=web
             Action=DescribeSecurityGroups&GroupName.1=web
             Action=DescribeSecurityGroupRules&Filter.1.Name=group-id&Filter.1.Value.1=foobar
             Action=DescribeSecurityGroupRules&SecurityGroupRuleId.1=sgr-0123
             Action=DescribeSecurityGroupRules&SecurityGroupRuleId.1=foobar
             Action=DescribeSecurityGroupRules&SecurityGroupRuleId.1=sgr-0123&MaxResults=5"
        ),
        &expect![[r#"
            400 MissingParameter: The request must contain the parameter GroupDescription
            400 MissingParameter: The request must contain the parameter GroupName
            400 InvalidGroup.Duplicate: The security group &apos;WEB&apos; already exists for VPC &apos;$1&apos;
            400 InvalidParameterValue: Value (sg-1) for parameter GroupName is invalid. Group names may not be in the format sg-*
            400 InvalidParameterValue: Cannot use reserved security group name: default
            400 InvalidParameterValue: Value (東) for parameter GroupName is invalid. Character sets beyond ASCII are not supported.
            400 InvalidParameterValue: Invalid security group name. Valid names are non-empty strings less than 256 characters from the following set:  a-zA-Z0-9. _-:/()#,@[]+=&amp;;{}!$*
            400 InvalidParameterValue: Invalid security group name. Valid names are non-empty strings less than 256 characters from the following set:  a-zA-Z0-9. _-:/()#,@[]+=&amp;;{}!$*
            400 InvalidParameterValue: Invalid security group description. Valid descriptions are strings less than 256 characters from the following set:  a-zA-Z0-9. _-:/()#,@[]+=&amp;;{}!$*
            400 InvalidParameterValue: Value (東) for parameter GroupDescription is invalid. Character sets beyond ASCII are not supported.
            400 InvalidParameterValue: &apos;vpc&apos; is not a valid taggable resource type for this operation.
            400 InvalidParameterValue: Tag specification must have at least one tag
            400 InvalidParameterValue: Tag specification resource type must have a value
            400 VPCIdNotSpecified: No default VPC for this user. GroupName is only supported for EC2-Classic and default VPC.
            400 InvalidVpcID.NotFound: The vpc ID &apos;vpc-0123&apos; does not exist
            412 DryRunOperation: Request would have succeeded, but DryRun flag is set.
            400 MissingParameter: The request must contain the parameter groupName or groupId
            400 CannotDelete: the specified group: &quot;$4&quot; name: &quot;default&quot; cannot be deleted by a user
            400 DependencyViolation: resource $3 has a dependent object
            400 InvalidGroup.NotFound: The security group &apos;sg-0123&apos; does not exist
            400 InvalidGroupId.Malformed: The security-group ID &apos;web&apos; is malformed
            400 InvalidGroup.NotFound: The security group &apos;web&apos; does not exist
            400 InvalidGroupId.Malformed: Invalid id: &quot;web&quot; (expecting &quot;sg-...&quot;)
            400 InvalidGroup.NotFound: The security group &apos;web&apos; does not exist
            400 InvalidGroupId.Malformed: The security group ID &apos;foobar&apos; is malformed
            400 InvalidSecurityGroupRuleId.NotFound: The security group rule ID &apos;sgr-0123&apos; does not exist
            400 InvalidSecurityGroupRuleId.Malformed: Invalid id: &quot;foobar&quot; (expecting &quot;sgr-...&quot;)
            400 InvalidParameterCombination: The parameter &apos;securityGroupRuleIds&apos; may not be used in combination with &apos;maxResults&apos;.
        "#]],
    );
}

/// An estate whose group `$3` lets SSH in, and the number of a group in another VPC.
fn with_ssh() -> (Estate, usize) {
    let mut estate = Estate::furnished();
    estate.succeed("Action=CreateVpc&CidrBlock=10.9.0.0/16");
    let other = estate.ids.iter().rposition(|id| id.starts_with("vpc-")).unwrap() + 1;
    estate.succeed(&format!("Action=CreateSecurityGroup&GroupName=far&GroupDescription=f&VpcId=${other}"));
    let far = estate.ids.iter().rposition(|id| id.starts_with("sg-")).unwrap() + 1;
    estate.succeed(&format!("{TO}{}", permission(SSH)));
    (estate, far)
}

const TO: &str = "Action=AuthorizeSecurityGroupIngress&GroupId=$3";
const SSH: &str = "IpProtocol=tcp&FromPort=22&ToPort=22&IpRanges.1.CidrIp=0.0.0.0/0";
/// Permissions that are refused.
const WRONG: [&str; 25] = [
    SSH,
    "IpProtocol=6&FromPort=22&ToPort=22&IpRanges.1.CidrIp=1.2.3.4/0&IpRanges.1.Description=other",
    "FromPort=22&ToPort=22&IpRanges.1.CidrIp=0.0.0.0/0",
    "IpProtocol=all&IpRanges.1.CidrIp=0.0.0.0/0",
    "IpProtocol=tcp&IpRanges.1.CidrIp=0.0.0.0/0",
    "IpProtocol=icmp&IpRanges.1.CidrIp=0.0.0.0/0",
    "IpProtocol=tcp&FromPort=-1&ToPort=22&IpRanges.1.CidrIp=0.0.0.0/0",
    "IpProtocol=udp&FromPort=22&ToPort=65536&IpRanges.1.CidrIp=0.0.0.0/0",
    "IpProtocol=tcp&FromPort=80&ToPort=70&IpRanges.1.CidrIp=0.0.0.0/0",
    "IpProtocol=icmp&FromPort=256&ToPort=0&IpRanges.1.CidrIp=0.0.0.0/0",
    "IpProtocol=icmp&FromPort=8&ToPort=65535&IpRanges.1.CidrIp=0.0.0.0/0",
    "IpProtocol=icmp&FromPort=-1&ToPort=0&IpRanges.1.CidrIp=0.0.0.0/0",
    "IpProtocol=-1&IpRanges.1.CidrIp=/32",
    "IpProtocol=-1&IpRanges.1.CidrIp=10.0.0.1",
    "IpProtocol=-1&IpRanges.1.CidrIp=2600:14a0::/40",
    "IpProtocol=-1&Ipv6Ranges.1.CidrIpv6=10.0.0.0/8",
    "IpProtocol=-1",
    "IpProtocol=-1&IpRanges.1.CidrIp=10.0.0.0/8&IpRanges.2.CidrIp=10.0.0.1/8",
    "IpProtocol=-1&IpRanges.1.CidrIp=10.0.0.0/8&IpRanges.1.Description=a|b",
    "IpProtocol=-1&Groups.1.GroupId=sg-0123",
    "IpProtocol=-1&Groups.1.GroupId=web",
    "IpProtocol=-1&Groups.1.GroupName=web",
    "IpProtocol=-1&Groups.1.GroupId=$3&Groups.1.UserId=210987654321",
    "IpProtocol=-1&PrefixListIds.1.PrefixListId=pl-0123",
    "IpProtocol=-1&IpRanges.1.Colour=red",
];

#[test]
fn permissions_are_refused() {
    let (mut estate, far) = with_ssh();
    let calls: String = WRONG.iter().map(|fields| format!("{TO}{}\n", permission(fields))).collect();
    let far = permission(&format!("IpProtocol=-1&Groups.1.GroupId=${far}"));
    estate.refused(&format!("{calls}{TO}{far}"), &expect![[r#"
        400 InvalidPermission.Duplicate: the specified rule &quot;peer: 0.0.0.0/0, TCP, from port: 22, to port: 22, ALLOW&quot; already exists
        400 InvalidPermission.Duplicate: the specified rule &quot;peer: 0.0.0.0/0, TCP, from port: 22, to port: 22, ALLOW&quot; already exists
        400 InvalidParameterValue: Invalid value &apos;null&apos; for protocol. VPC security group rules must specify protocols explicitly.
        400 InvalidParameterValue: Invalid value &apos;all&apos; for IP protocol. Unknown protocol.
        400 InvalidParameterValue: Invalid value for portRange. Must specify both from and to ports with TCP/UDP.
        400 InvalidParameterValue: Invalid value for portRange. Must specify both from and to ports with ICMP.
        400 InvalidParameterValue: TCP/UDP (from) port (-1) out of range
        400 InvalidParameterValue: TCP/UDP (to) port (65536) out of range
        400 InvalidParameterValue: Invalid TCP/UDP port range (80:70)
        400 InvalidParameterValue: ICMP type (256) out of range
        400 InvalidParameterValue: ICMP code (65535) out of range
        400 InvalidParameterValue: ICMP code (0) out of range
        400 InvalidParameterValue: CIDR block /32 is malformed
        400 InvalidParameterValue: CIDR block 10.0.0.1 is malformed
        400 InvalidParameterValue: CIDR block 2600:14a0::/40 is malformed
        400 InvalidParameterValue: CIDR block 10.0.0.0/8 is malformed
        400 MissingParameter: The request must contain the parameter cidrIp, cidrIpv6, prefixListId or groupId
        400 InvalidParameterValue: The same permission must not appear multiple times
        400 InvalidParameterValue: Invalid rule description. Valid descriptions are strings less than 256 characters from the following set:  a-zA-Z0-9. _-:/()#,@[]+=&amp;;{}!$*
        400 InvalidGroup.NotFound: The security group &apos;sg-0123&apos; does not exist
        400 InvalidGroupId.Malformed: Invalid id: &quot;web&quot; (expecting &quot;sg-...&quot;)
        400 InvalidParameterValue: Invalid value &apos;web&apos; for groupName. You may not reference Amazon VPC security groups by name. Please use the corresponding id for this operation.
        400 InvalidGroup.NotFound: The security group &apos;$3&apos; does not exist
        400 InvalidPrefixListID.NotFound: The prefix list ID &apos;pl-0123&apos; does not exist
        400 UnknownParameter: The parameter IpPermissions.1.IpRanges.1.Colour is not recognized
        400 InvalidGroup.NotFound: You have specified two resources that belong to different networks.
    "#]]);
}

#[test]
fn changes_of_rules_are_refused() {
    let (mut estate, _) = with_ssh();
    let rule = permission("IpProtocol=tcp&FromPort=23&ToPort=23&IpRanges.1.CidrIp=0.0.0.0/0");
    let calls = format!(
        "{TO}
         Action=AuthorizeSecurityGroupIngress&GroupId=sg-0123{rule}
         Action=AuthorizeSecurityGroupIngress&GroupName=web{rule}
         Action=AuthorizeSecurityGroupIngress{rule}
         {TO}&SourceSecurityGroupName=web&SourceSecurityGroupOwnerId=123456789012
         {TO}{rule}&DryRun=true
         Action=RevokeSecurityGroupEgress&GroupId=$3{rule}
         Action=RevokeSecurityGroupIngress&GroupId=$3
         Action=RevokeSecurityGroupIngress&GroupId=$3&SecurityGroupRuleId.1=sgr-0123
         Action=RevokeSecurityGroupIngress&GroupId=$3&SecurityGroupRuleId.1=sgr-0123{rule}
         Action=RevokeSecurityGroupIngress&GroupId=$3&SecurityGroupRuleId.1=foobar"
    );
    estate.refused(&calls, &expect![[r#"
        400 MissingParameter: The request must contain the parameter ipPermissions
        400 InvalidGroup.NotFound: The security group &apos;sg-0123&apos; does not exist
        400 InvalidGroup.NotFound: The security group &apos;web&apos; does not exist
        400 MissingParameter: The request must contain the parameter groupName or groupId
        400 InvalidParameterValue: Invalid value &apos;web&apos; for groupName. You may not reference Amazon VPC security groups by name. Please use the corresponding id for this operation.
        412 DryRunOperation: Request would have succeeded, but DryRun flag is set.
        400 InvalidPermission.NotFound: The specified rule does not exist in this security group.
        400 MissingParameter: The request must contain the parameter ipPermissions or securityGroupRuleIds
        400 InvalidSecurityGroupRuleId.NotFound: The security group rule ID &apos;sgr-0123&apos; does not exist
        400 InvalidParameterCombination: The parameter securityGroupRuleIds cannot be used with the parameter ipPermissions
        400 InvalidSecurityGroupRuleId.Malformed: Invalid id: &quot;foobar&quot; (expecting &quot;sgr-...&quot;)
    "#]]);
}

#[test]
fn a_full_group_and_a_used_one_say_so() {
    let mut estate = Estate::furnished();
    let ranges: String =
        (0..61).map(|number| format!("&IpPermissions.1.IpRanges.{number}.CidrIp=10.{number}.0.0/16")).collect();
    let all = format!("Action=AuthorizeSecurityGroupIngress&GroupId=$3&IpPermissions.1.IpProtocol=-1{ranges}");
    estate.refused(
        &all,
        &expect![[r#"
        400 RulesPerSecurityGroupLimitExceeded: The maximum number of rules per security group has been reached.
    "#]],
    );
    estate.succeed("Action=AuthorizeSecurityGroupEgress&GroupId=$4&IpPermissions.1.IpProtocol=-1&IpPermissions.1.Groups.1.GroupId=$3");
    estate.refused(
        "Action=DeleteSecurityGroup&GroupId=$3",
        &expect![[r#"
        400 DependencyViolation: resource $3 has a dependent object
    "#]],
    );
}

#[test]
fn filters_look_at_rules() {
    let mut estate = Estate::furnished();
    estate.succeed(&format!(
        "Action=AuthorizeSecurityGroupIngress&GroupId=$3{}",
        permission("IpProtocol=tcp&FromPort=22&ToPort=23&IpRanges.1.CidrIp=10.0.0.0/8&Groups.1.GroupId=$4")
    ));
    let mut names = |filters: &[(&str, &str)]| {
        let pairs = filters.iter().enumerate();
        let query: String = pairs
            .map(|(number, (name, value))| format!("&Filter.{number}.Name={name}&Filter.{number}.Value.1={value}"))
            .collect();
        let told = estate.succeed(&format!("Action=DescribeSecurityGroups{query}"));
        let names = told.split("<groupName>").skip(1);
        names.map(|rest| rest.split('<').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&[("ip-permission.cidr", "10.0.0.0/8"), ("ip-permission.to-port", "23")]), ["web"]);
    assert_eq!(names(&[("ip-permission.protocol", "tcp"), ("ip-permission.group-id", "$4")]), ["web"]);
    assert_eq!(names(&[("ip-permission.user-id", "123456789012")]), ["default", "web"]);
    assert_eq!(names(&[("egress.ip-permission.ipv6-cidr", "::/0"), ("group-name", "w*")]), ["web"]);
    assert_eq!(names(&[("egress.ip-permission.from-port", "22")]), Vec::<String>::new());
    assert_eq!(names(&[("description", "default VPC*"), ("owner-id", "123456789012")]), ["default"]);
}
