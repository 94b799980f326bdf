//! Security groups in further VPCs than their own.

use expect_test::expect;

use super::Estate;

impl Estate {
    /// A furnished estate with a second VPC, `$5`, of a subnet, `$6`.
    fn with_second_vpc() -> Self {
        let mut estate = Self::furnished();
        estate.succeed("Action=CreateVpc&CidrBlock=10.9.0.0/16");
        estate.succeed("Action=CreateSubnet&VpcId=$5&CidrBlock=10.9.1.0/24");
        estate
    }
}

#[test]
fn a_group_is_associated_carried_shown_and_freed() {
    let mut estate = Estate::with_second_vpc();
    estate.refused(
        "Action=CreateNetworkInterface&SubnetId=$6&SecurityGroupId.1=$3",
        &expect![[r#"
        400 InvalidParameter: Security group $3 and subnet $6 belong to different networks.
    "#]],
    );
    estate.check(
        "Action=AssociateSecurityGroupVpc&GroupId=$3&VpcId=$5",
        &expect![
            "200 <AssociateSecurityGroupVpcResponse><state>associated</state></AssociateSecurityGroupVpcResponse>"
        ],
    );
    estate.check("Action=DescribeSecurityGroupVpcAssociations", &expect!["200 <DescribeSecurityGroupVpcAssociationsResponse><securityGroupVpcAssociationSet><item><groupId>$3</groupId><vpcId>$5</vpcId><vpcOwnerId>123456789012</vpcOwnerId><state>associated</state><groupOwnerId>123456789012</groupOwnerId></item></securityGroupVpcAssociationSet></DescribeSecurityGroupVpcAssociationsResponse>"]);
    for (filter, value, is_shown) in [
        ("group-id", "$3", true),
        ("group-owner-id", "123456789012", true),
        ("state", "associated", true),
        ("state", "disassociated", false),
        ("vpc-id", "$5", true),
        ("vpc-id", "$1", false),
        ("vpc-owner-id", "123456789012", true),
    ] {
        let call =
            format!("Action=DescribeSecurityGroupVpcAssociations&Filter.1.Name={filter}&Filter.1.Value.1={value}");
        assert_eq!(estate.succeed(&call).contains("<groupId>$3</groupId>"), is_shown, "{filter}={value}");
    }
    let shown = estate.succeed("Action=GetSecurityGroupsForVpc&VpcId=$5&MaxResults=5");
    assert!(shown.contains("<groupId>$3</groupId>") && shown.contains("<primaryVpcId>$1</primaryVpcId>"), "{shown}");
    let made = estate.succeed("Action=CreateNetworkInterface&SubnetId=$6&SecurityGroupId.1=$3");
    assert!(made.contains("<vpcId>$5</vpcId>") && made.contains("<groupId>$3</groupId>"), "{made}");
    estate.succeed("Action=RunInstances&MinCount=1&MaxCount=1&SubnetId=$6&SecurityGroupId.1=$3");
    estate.refused(
        "Action=DisassociateSecurityGroupVpc&GroupId=$3&VpcId=$5
         Action=DeleteVpc&VpcId=$5",
        &expect![[r#"
            400 DependencyViolation: resource $3 has a dependent object
            400 DependencyViolation: The vpc &apos;$5&apos; has dependencies and cannot be deleted.
        "#]],
    );
    let told = estate.succeed("Action=DescribeInstances&Filter.1.Name=instance.group-id&Filter.1.Value.1=$3");
    let instance = told.split("<instanceId>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    estate.succeed(&format!("Action=TerminateInstances&InstanceId.1={instance}"));
    let told = estate.succeed("Action=DescribeNetworkInterfaces&Filter.1.Name=group-id&Filter.1.Value.1=$3");
    let eni = told.split("<networkInterfaceId>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    estate.succeed(&format!("Action=DeleteNetworkInterface&NetworkInterfaceId={eni}"));
    estate.refused(
        "Action=DeleteSecurityGroup&GroupId=$3",
        &expect![[r#"
        400 DependencyViolation: resource $3 has a dependent object
    "#]],
    );
    estate.check("Action=DisassociateSecurityGroupVpc&GroupId=$3&VpcId=$5", &expect!["200 <DisassociateSecurityGroupVpcResponse><state>disassociated</state></DisassociateSecurityGroupVpcResponse>"]);
    estate.check("Action=DescribeSecurityGroupVpcAssociations&MaxResults=5", &expect!["200 <DescribeSecurityGroupVpcAssociationsResponse><securityGroupVpcAssociationSet></securityGroupVpcAssociationSet></DescribeSecurityGroupVpcAssociationsResponse>"]);
    estate.succeed("Action=DeleteSecurityGroup&GroupId=$3");
}

#[test]
fn a_rule_goes_stale_with_the_association_that_it_needs() {
    let mut estate = Estate::with_second_vpc();
    let there = estate.succeed("Action=CreateSecurityGroup&GroupName=db&GroupDescription=d&VpcId=$5");
    let db = there.split("<groupId>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let rule = format!(
        "Action=AuthorizeSecurityGroupIngress&GroupId={db}&IpPermissions.1.IpProtocol=tcp&IpPermissions.1.FromPort=1\
         &IpPermissions.1.ToPort=1&IpPermissions.1.Groups.1.GroupId=$3"
    );
    estate.refused(
        &rule,
        &expect![[r#"
        400 InvalidGroup.NotFound: You have specified two resources that belong to different networks.
    "#]],
    );
    estate.succeed("Action=AssociateSecurityGroupVpc&GroupId=$3&VpcId=$5");
    estate.succeed(&rule);
    let stale = "Action=DescribeStaleSecurityGroups&VpcId=$5";
    assert!(!estate.succeed(stale).contains("<groupId>"));
    estate.succeed("Action=DisassociateSecurityGroupVpc&GroupId=$3&VpcId=$5");
    estate.check(stale, &expect!["200 <DescribeStaleSecurityGroupsResponse><staleSecurityGroupSet><item><groupId>$7</groupId><groupName>db</groupName><description>d</description><vpcId>$5</vpcId><staleIpPermissions><item><ipProtocol>tcp</ipProtocol><fromPort>1</fromPort><toPort>1</toPort><groups><item><userId>123456789012</userId><groupId>$3</groupId><vpcId>$1</vpcId><peeringStatus>deleted</peeringStatus></item></groups><ipRanges></ipRanges><ipv6Ranges></ipv6Ranges><prefixListIds></prefixListIds></item></staleIpPermissions><staleIpPermissionsEgress></staleIpPermissionsEgress></item></staleSecurityGroupSet></DescribeStaleSecurityGroupsResponse>"]);
}

#[test]
fn associations_are_refused() {
    let mut estate = Estate::with_second_vpc();
    estate.refused(
        "Action=AssociateSecurityGroupVpc&GroupId=$3
         Action=AssociateSecurityGroupVpc&GroupId=$3&VpcId=$1
         Action=AssociateSecurityGroupVpc&GroupId=$4&VpcId=$5
         Action=AssociateSecurityGroupVpc&GroupId=sg-0123&VpcId=$5
         Action=AssociateSecurityGroupVpc&GroupId=$3&VpcId=vpc-0123
         Action=AssociateSecurityGroupVpc&GroupId=$3&VpcId=web
         Action=AssociateSecurityGroupVpc&GroupId=$3&VpcId=$5&DryRun=true
         Action=DisassociateSecurityGroupVpc&GroupId=$3&VpcId=$5
         Action=DisassociateSecurityGroupVpc&VpcId=$5
         Action=DescribeSecurityGroupVpcAssociations&MaxResults=4
         Action=DescribeSecurityGroupVpcAssociations&NextToken=x
         Action=DescribeSecurityGroupVpcAssociations&Filter.1.Name=colour&Filter.1.Value.1=red",
        &expect![[r#"
            400 MissingParameter: The request must contain the parameter VpcId
            400 InvalidParameterValue: `$1` is the VPC of `$3` itself; name another one.
            400 OperationNotPermitted: The security group &apos;$4&apos; is a default security group, which stays in its VPC.
            400 InvalidGroup.NotFound: The security group &apos;sg-0123&apos; does not exist
            400 InvalidVpcID.NotFound: The vpc ID &apos;vpc-0123&apos; does not exist
            400 InvalidVpcID.Malformed: Invalid id: &quot;web&quot; (expecting &quot;vpc-...&quot;)
            412 DryRunOperation: Request would have succeeded, but DryRun flag is set.
            400 InvalidVpcID.NotFound: `$3` is not associated with `$5`; describe its associations to see with which it is.
            400 MissingParameter: The request must contain the parameter GroupId
            400 InvalidParameterValue: Value ( 4 ) for parameter maxResults is invalid. Expecting a value greater than 5.
            400 InvalidPaginationToken: Next token &apos;x&apos; is invalid
            400 InvalidParameterValue: The filter &apos;colour&apos; is invalid
        "#]],
    );
}

#[test]
fn groups_are_validated_together() {
    let mut estate = Estate::with_second_vpc();
    let validate = "Action=ValidateSecurityGroupQuotasForInterface&SecurityGroupId.1=$3";
    estate.check(&format!("{validate}&SecurityGroupId.2=$4"), &expect!["200 <ValidateSecurityGroupQuotasForInterfaceResponse><valid>true</valid></ValidateSecurityGroupQuotasForInterfaceResponse>"]);
    let mut many = validate.to_owned();
    for number in 2..=6 {
        let call = format!("Action=CreateSecurityGroup&GroupName=g{number}&GroupDescription=d&VpcId=$1");
        let told = estate.succeed(&call);
        let id = told.split("<groupId>").nth(1).unwrap().split('<').next().unwrap().to_owned();
        many.push_str(&format!("&SecurityGroupId.{number}={id}"));
    }
    let there = estate.succeed("Action=CreateSecurityGroup&GroupName=there&GroupDescription=d&VpcId=$5");
    let there = there.split("<groupId>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    estate.refused(
        &format!(
            "Action=ValidateSecurityGroupQuotasForInterface
             {validate}&SecurityGroupId.2=$3
             {validate}&SecurityGroupId.2=sg-0123
             {validate}&SecurityGroupId.2={there}
             {many}
             {validate}&DryRun=true"
        ),
        &expect![[r#"
            400 MissingParameter: The request must contain the parameter SecurityGroupId
            400 InvalidParameterValue: Each security group ID must be unique
            400 InvalidGroup.NotFound: The security group &apos;sg-0123&apos; does not exist
            400 InvalidGroup.NotFound: You have specified two resources that belong to different networks.
            400 SecurityGroupsPerInterfaceLimitExceeded: The maximum number of security groups per interface has been reached.
            412 DryRunOperation: Request would have succeeded, but DryRun flag is set.
        "#]],
    );
    estate.succeed("Action=AssociateSecurityGroupVpc&GroupId=$3&VpcId=$5");
    estate.succeed(&format!("{validate}&SecurityGroupId.2={there}"));
}
