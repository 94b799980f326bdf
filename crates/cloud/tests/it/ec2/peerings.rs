//! Peering connections: asked for, answered and ended; groups across them.

use expect_test::expect;

use super::Estate;

/// Two VPCs of one account: `$1` with group `$3`, and `$5` with group `$6`.
fn two_vpcs() -> Estate {
    let mut estate = Estate::furnished();
    estate.succeed("Action=CreateVpc&CidrBlock=10.1.0.0/16");
    estate.succeed("Action=CreateSecurityGroup&GroupName=db&GroupDescription=d&VpcId=$5");
    estate
}

/// The same, peered by `$7`.
fn peered() -> Estate {
    let mut estate = two_vpcs();
    estate.succeed("Action=CreateVpcPeeringConnection&VpcId=$1&PeerVpcId=$5");
    estate.succeed("Action=AcceptVpcPeeringConnection&VpcPeeringConnectionId=$7");
    estate
}

const ACROSS: &str = "GroupId=$6&IpPermissions.1.IpProtocol=tcp&IpPermissions.1.FromPort=5432&IpPermissions.1.ToPort=5432\
    &IpPermissions.1.Groups.1.GroupId=$3";

#[test]
fn a_connection_is_asked_for_accepted_and_ended() {
    let mut estate = two_vpcs();
    estate.check(
        "Action=CreateVpcPeeringConnection&VpcId=$1&PeerVpcId=$5\
         &TagSpecification.1.ResourceType=vpc-peering-connection&TagSpecification.1.Tag.1.Key=Name&TagSpecification.1.Tag.1.Value=p",
        &expect!["200 <CreateVpcPeeringConnectionResponse><vpcPeeringConnection><vpcPeeringConnectionId>$7</vpcPeeringConnectionId><requesterVpcInfo><ownerId>123456789012</ownerId><vpcId>$1</vpcId><cidrBlock>10.0.0.0/16</cidrBlock><cidrBlockSet><item><cidrBlock>10.0.0.0/16</cidrBlock></item></cidrBlockSet><ipv6CidrBlockSet><item><ipv6CidrBlock>fd63:cbe1:e459:3200::/56</ipv6CidrBlock></item></ipv6CidrBlockSet><region>us-east-1</region></requesterVpcInfo><accepterVpcInfo><ownerId>123456789012</ownerId><vpcId>$5</vpcId><cidrBlock>10.1.0.0/16</cidrBlock><cidrBlockSet><item><cidrBlock>10.1.0.0/16</cidrBlock></item></cidrBlockSet><ipv6CidrBlockSet></ipv6CidrBlockSet><region>us-east-1</region></accepterVpcInfo><status><code>pending-acceptance</code><message>Pending Acceptance by 123456789012</message></status><expirationTime>2018-12-19T07:28:43.000Z</expirationTime><tagSet><item><key>Name</key><value>p</value></item></tagSet></vpcPeeringConnection></CreateVpcPeeringConnectionResponse>"],
    );
    estate.check("Action=AcceptVpcPeeringConnection&VpcPeeringConnectionId=$7", &expect!["200 <AcceptVpcPeeringConnectionResponse><vpcPeeringConnection><vpcPeeringConnectionId>$7</vpcPeeringConnectionId><requesterVpcInfo><ownerId>123456789012</ownerId><vpcId>$1</vpcId><cidrBlock>10.0.0.0/16</cidrBlock><cidrBlockSet><item><cidrBlock>10.0.0.0/16</cidrBlock></item></cidrBlockSet><ipv6CidrBlockSet><item><ipv6CidrBlock>fd63:cbe1:e459:3200::/56</ipv6CidrBlock></item></ipv6CidrBlockSet><region>us-east-1</region></requesterVpcInfo><accepterVpcInfo><ownerId>123456789012</ownerId><vpcId>$5</vpcId><cidrBlock>10.1.0.0/16</cidrBlock><cidrBlockSet><item><cidrBlock>10.1.0.0/16</cidrBlock></item></cidrBlockSet><ipv6CidrBlockSet></ipv6CidrBlockSet><region>us-east-1</region></accepterVpcInfo><status><code>active</code><message>Active</message></status><tagSet><item><key>Name</key><value>p</value></item></tagSet></vpcPeeringConnection></AcceptVpcPeeringConnectionResponse>"]);
    estate.check("Action=AcceptVpcPeeringConnection&VpcPeeringConnectionId=$7", &expect!["400 <Response><Errors><Error><Code>InvalidStateTransition</Code><Message>Invalid state transition for $7, attempted to transition from active.</Message></Error></Errors></Response>"]);
    estate.check("Action=CreateVpcPeeringConnection&VpcId=$5&PeerVpcId=$1", &expect!["400 <Response><Errors><Error><Code>VpcPeeringConnectionAlreadyExists</Code><Message>the two VPCs have peering connection `$7` already; use that one, or delete it first.</Message></Error></Errors></Response>"]);
    estate.check(
        "Action=DescribeTags&Filter.1.Name=resource-type&Filter.1.Value.1=vpc-peering-connection",
        &expect!["200 <DescribeTagsResponse><tagSet><item><resourceId>$7</resourceId><resourceType>vpc-peering-connection</resourceType><key>Name</key><value>p</value></item></tagSet></DescribeTagsResponse>"],
    );
    estate.check(
        "Action=DeleteVpcPeeringConnection&VpcPeeringConnectionId=$7",
        &expect![
            "200 <DeleteVpcPeeringConnectionResponse><return>true</return></DeleteVpcPeeringConnectionResponse>"
        ],
    );
    estate.check("Action=DescribeVpcPeeringConnections&VpcPeeringConnectionId.1=$7", &expect!["200 <DescribeVpcPeeringConnectionsResponse><vpcPeeringConnectionSet><item><vpcPeeringConnectionId>$7</vpcPeeringConnectionId><requesterVpcInfo><ownerId>123456789012</ownerId><vpcId>$1</vpcId><cidrBlock>10.0.0.0/16</cidrBlock><cidrBlockSet><item><cidrBlock>10.0.0.0/16</cidrBlock></item></cidrBlockSet><ipv6CidrBlockSet><item><ipv6CidrBlock>fd63:cbe1:e459:3200::/56</ipv6CidrBlock></item></ipv6CidrBlockSet><region>us-east-1</region></requesterVpcInfo><accepterVpcInfo><ownerId>123456789012</ownerId><vpcId>$5</vpcId><cidrBlock>10.1.0.0/16</cidrBlock><cidrBlockSet><item><cidrBlock>10.1.0.0/16</cidrBlock></item></cidrBlockSet><ipv6CidrBlockSet></ipv6CidrBlockSet><region>us-east-1</region></accepterVpcInfo><status><code>deleted</code><message>Deleted by 123456789012</message></status><tagSet><item><key>Name</key><value>p</value></item></tagSet></item></vpcPeeringConnectionSet></DescribeVpcPeeringConnectionsResponse>"]);
    estate.check("Action=DeleteVpcPeeringConnection&VpcPeeringConnectionId=$7", &expect!["400 <Response><Errors><Error><Code>InvalidStateTransition</Code><Message>Invalid state transition for $7, attempted to transition from deleted.</Message></Error></Errors></Response>"]);
}

#[test]
fn what_cannot_be_peered_is_told() {
    let mut estate = two_vpcs();
    estate.refused(
        "Action=CreateVpcPeeringConnection&VpcId=$1&PeerVpcId=vpc-0123456789abcdef0
         Action=CreateVpcPeeringConnection&VpcId=$1
         Action=CreateVpcPeeringConnection&VpcId=$1&PeerVpcId=peer
         Action=CreateVpcPeeringConnection&VpcId=$1&PeerVpcId=$5&PeerRegion=eu-west-1
         Action=AcceptVpcPeeringConnection&VpcPeeringConnectionId=pcx-0123456789abcdef0
         Action=RejectVpcPeeringConnection&VpcPeeringConnectionId=peer
         Action=DeleteVpcPeeringConnection",
        &expect![[r#"
            400 InvalidVpcID.NotFound: The vpc ID &apos;$7&apos; does not exist
            400 MissingParameter: The request must contain the parameter peerVpcId
            400 InvalidVpcID.Malformed: Invalid id: &quot;peer&quot; (expecting &quot;vpc-...&quot;)
            400 InvalidParameterValue: Value (eu-west-1) for parameter peerRegion is invalid. VPCs are peered within a region here: use us-east-1.
            400 InvalidVpcPeeringConnectionID.NotFound: The vpcPeeringConnection ID &apos;$8&apos; does not exist
            400 InvalidVpcPeeringConnectionId.Malformed: Invalid id: &quot;peer&quot; (expecting &quot;pcx-...&quot;)
            400 MissingParameter: The request must contain the parameter VpcPeeringConnectionId
        "#]],
    );
    // Blocks that overlap, and a VPC that another account does not have, fail as the cloud lets them: as a connection.
    estate.check("Action=CreateVpcPeeringConnection&VpcId=$1&PeerVpcId=$1", &expect!["200 <CreateVpcPeeringConnectionResponse><vpcPeeringConnection><vpcPeeringConnectionId>$9</vpcPeeringConnectionId><requesterVpcInfo><ownerId>123456789012</ownerId><vpcId>$1</vpcId><cidrBlock>10.0.0.0/16</cidrBlock><cidrBlockSet><item><cidrBlock>10.0.0.0/16</cidrBlock></item></cidrBlockSet><ipv6CidrBlockSet><item><ipv6CidrBlock>fd63:cbe1:e459:3200::/56</ipv6CidrBlock></item></ipv6CidrBlockSet><region>us-east-1</region></requesterVpcInfo><accepterVpcInfo><ownerId>123456789012</ownerId><vpcId>$1</vpcId><cidrBlock>10.0.0.0/16</cidrBlock><cidrBlockSet><item><cidrBlock>10.0.0.0/16</cidrBlock></item></cidrBlockSet><ipv6CidrBlockSet><item><ipv6CidrBlock>fd63:cbe1:e459:3200::/56</ipv6CidrBlock></item></ipv6CidrBlockSet><region>us-east-1</region></accepterVpcInfo><status><code>failed</code><message>Failed due to incorrect VPC-ID, Account ID, or overlapping CIDR range</message></status><tagSet></tagSet></vpcPeeringConnection></CreateVpcPeeringConnectionResponse>"]);
    estate.check(
        "Action=CreateVpcPeeringConnection&VpcId=$1&PeerVpcId=vpc-0123456789abcdef0&PeerOwnerId=210987654321",
        &expect!["200 <CreateVpcPeeringConnectionResponse><vpcPeeringConnection><vpcPeeringConnectionId>$10</vpcPeeringConnectionId><requesterVpcInfo><ownerId>123456789012</ownerId><vpcId>$1</vpcId><cidrBlock>10.0.0.0/16</cidrBlock><cidrBlockSet><item><cidrBlock>10.0.0.0/16</cidrBlock></item></cidrBlockSet><ipv6CidrBlockSet><item><ipv6CidrBlock>fd63:cbe1:e459:3200::/56</ipv6CidrBlock></item></ipv6CidrBlockSet><region>us-east-1</region></requesterVpcInfo><accepterVpcInfo><ownerId>210987654321</ownerId><vpcId>$7</vpcId><ipv6CidrBlockSet></ipv6CidrBlockSet><region>us-east-1</region></accepterVpcInfo><status><code>failed</code><message>Failed due to incorrect VPC-ID, Account ID, or overlapping CIDR range</message></status><tagSet></tagSet></vpcPeeringConnection></CreateVpcPeeringConnectionResponse>"],
    );
}

#[test]
fn the_owner_of_the_other_vpc_answers() {
    let mut estate = two_vpcs();
    estate.account = "210987654321".into();
    estate.succeed("Action=CreateVpc&CidrBlock=10.2.0.0/16");
    estate.account = super::OWN.into();
    estate.succeed("Action=CreateVpcPeeringConnection&VpcId=$1&PeerVpcId=$7&PeerOwnerId=210987654321");
    estate.check("Action=AcceptVpcPeeringConnection&VpcPeeringConnectionId=$8", &expect!["400 <Response><Errors><Error><Code>OperationNotPermitted</Code><Message>peering connection `$8` is answered by the owner of the accepter VPC; use a key of that account.</Message></Error></Errors></Response>"]);
    estate.account = "210987654321".into();
    estate.check("Action=DeleteVpcPeeringConnection&VpcPeeringConnectionId=$8", &expect!["400 <Response><Errors><Error><Code>InvalidStateTransition</Code><Message>Invalid state transition for $8, attempted to transition from pending-acceptance.</Message></Error></Errors></Response>"]);
    estate.check(
        "Action=RejectVpcPeeringConnection&VpcPeeringConnectionId=$8",
        &expect![
            "200 <RejectVpcPeeringConnectionResponse><return>true</return></RejectVpcPeeringConnectionResponse>"
        ],
    );
    estate.check(
        "Action=DescribeVpcPeeringConnections&Filter.1.Name=status-code&Filter.1.Value.1=rejected\
         &Filter.2.Name=accepter-vpc-info.vpc-id&Filter.2.Value.1=$7&Filter.3.Name=requester-vpc-info.owner-id&Filter.3.Value.1=1234*",
        &expect!["200 <DescribeVpcPeeringConnectionsResponse><vpcPeeringConnectionSet><item><vpcPeeringConnectionId>$8</vpcPeeringConnectionId><requesterVpcInfo><ownerId>123456789012</ownerId><vpcId>$1</vpcId><cidrBlock>10.0.0.0/16</cidrBlock><cidrBlockSet><item><cidrBlock>10.0.0.0/16</cidrBlock></item></cidrBlockSet><ipv6CidrBlockSet><item><ipv6CidrBlock>fd63:cbe1:e459:3200::/56</ipv6CidrBlock></item></ipv6CidrBlockSet><region>us-east-1</region></requesterVpcInfo><accepterVpcInfo><ownerId>210987654321</ownerId><vpcId>$7</vpcId><cidrBlock>10.2.0.0/16</cidrBlock><cidrBlockSet><item><cidrBlock>10.2.0.0/16</cidrBlock></item></cidrBlockSet><ipv6CidrBlockSet></ipv6CidrBlockSet><region>us-east-1</region></accepterVpcInfo><status><code>rejected</code><message>Rejected by 210987654321</message></status><tagSet></tagSet></item></vpcPeeringConnectionSet></DescribeVpcPeeringConnectionsResponse>"],
    );
}

#[test]
fn rules_name_groups_across_a_connection_as_long_as_it_is_active() {
    let mut estate = two_vpcs();
    estate.check(&format!("Action=AuthorizeSecurityGroupIngress&{ACROSS}"), &expect!["400 <Response><Errors><Error><Code>InvalidGroup.NotFound</Code><Message>You have specified two resources that belong to different networks.</Message></Error></Errors></Response>"]);
    let mut estate = peered();
    estate.check(&format!("Action=AuthorizeSecurityGroupIngress&{ACROSS}"), &expect!["200 <AuthorizeSecurityGroupIngressResponse><return>true</return><securityGroupRuleSet><item><securityGroupRuleId>$8</securityGroupRuleId><groupId>$6</groupId><groupOwnerId>123456789012</groupOwnerId><isEgress>false</isEgress><ipProtocol>tcp</ipProtocol><fromPort>5432</fromPort><toPort>5432</toPort><referencedGroupInfo><groupId>$3</groupId><userId>123456789012</userId><vpcId>$1</vpcId><vpcPeeringConnectionId>$7</vpcPeeringConnectionId><peeringStatus>active</peeringStatus></referencedGroupInfo><securityGroupRuleArn>arn:aws:ec2:us-east-1:123456789012:security-group-rule/$8</securityGroupRuleArn><tagSet></tagSet></item></securityGroupRuleSet></AuthorizeSecurityGroupIngressResponse>"]);
    estate.check("Action=DescribeSecurityGroups&GroupId.1=$6", &expect!["200 <DescribeSecurityGroupsResponse><securityGroupInfo><item><ownerId>123456789012</ownerId><groupId>$6</groupId><groupName>db</groupName><groupDescription>d</groupDescription><vpcId>$5</vpcId><securityGroupArn>arn:aws:ec2:us-east-1:123456789012:security-group/$6</securityGroupArn><ipPermissions><item><ipProtocol>tcp</ipProtocol><fromPort>5432</fromPort><toPort>5432</toPort><groups><item><userId>123456789012</userId><groupId>$3</groupId><vpcId>$1</vpcId><vpcPeeringConnectionId>$7</vpcPeeringConnectionId><peeringStatus>active</peeringStatus></item></groups><ipRanges></ipRanges><ipv6Ranges></ipv6Ranges><prefixListIds></prefixListIds></item></ipPermissions><ipPermissionsEgress><item><ipProtocol>-1</ipProtocol><groups></groups><ipRanges><item><cidrIp>0.0.0.0/0</cidrIp></item></ipRanges><ipv6Ranges></ipv6Ranges><prefixListIds></prefixListIds></item></ipPermissionsEgress><tagSet></tagSet></item></securityGroupInfo></DescribeSecurityGroupsResponse>"]);
    estate.check("Action=DescribeSecurityGroupReferences&GroupId.1=$3", &expect!["200 <DescribeSecurityGroupReferencesResponse><securityGroupReferenceSet><item><groupId>$3</groupId><referencingVpcId>$5</referencingVpcId><vpcPeeringConnectionId>$7</vpcPeeringConnectionId></item></securityGroupReferenceSet></DescribeSecurityGroupReferencesResponse>"]);
    estate.check("Action=DescribeStaleSecurityGroups&VpcId=$5", &expect!["200 <DescribeStaleSecurityGroupsResponse><staleSecurityGroupSet></staleSecurityGroupSet></DescribeStaleSecurityGroupsResponse>"]);
    estate.succeed("Action=DeleteVpcPeeringConnection&VpcPeeringConnectionId=$7");
    estate.check("Action=DescribeStaleSecurityGroups&VpcId=$5", &expect!["200 <DescribeStaleSecurityGroupsResponse><staleSecurityGroupSet><item><groupId>$6</groupId><groupName>db</groupName><description>d</description><vpcId>$5</vpcId><staleIpPermissions><item><ipProtocol>tcp</ipProtocol><fromPort>5432</fromPort><toPort>5432</toPort><groups><item><userId>123456789012</userId><groupId>$3</groupId><vpcId>$1</vpcId><vpcPeeringConnectionId>$7</vpcPeeringConnectionId><peeringStatus>deleted</peeringStatus></item></groups><ipRanges></ipRanges><ipv6Ranges></ipv6Ranges><prefixListIds></prefixListIds></item></staleIpPermissions><staleIpPermissionsEgress></staleIpPermissionsEgress></item></staleSecurityGroupSet></DescribeStaleSecurityGroupsResponse>"]);
    // The peer's rule does not hold the group.
    estate.check("Action=DeleteSecurityGroup&GroupId=$3", &expect!["200 <DeleteSecurityGroupResponse><return>true</return><groupId>$3</groupId></DeleteSecurityGroupResponse>"]);
    estate.check("Action=DescribeStaleSecurityGroups&VpcId=$5", &expect!["200 <DescribeStaleSecurityGroupsResponse><staleSecurityGroupSet><item><groupId>$6</groupId><groupName>db</groupName><description>d</description><vpcId>$5</vpcId><staleIpPermissions><item><ipProtocol>tcp</ipProtocol><fromPort>5432</fromPort><toPort>5432</toPort><groups><item><userId>123456789012</userId><groupId>$3</groupId></item></groups><ipRanges></ipRanges><ipv6Ranges></ipv6Ranges><prefixListIds></prefixListIds></item></staleIpPermissions><staleIpPermissionsEgress></staleIpPermissionsEgress></item></staleSecurityGroupSet></DescribeStaleSecurityGroupsResponse>"]);
}

#[test]
fn a_vpc_that_goes_ends_its_connections() {
    let mut estate = peered();
    estate.succeed("Action=DeleteSecurityGroup&GroupId=$6");
    estate.succeed("Action=DeleteVpc&VpcId=$5");
    estate.check(
        "Action=DescribeVpcPeeringConnections&Filter.1.Name=status-code&Filter.1.Value.1=deleted",
        &expect!["200 <DescribeVpcPeeringConnectionsResponse><vpcPeeringConnectionSet><item><vpcPeeringConnectionId>$7</vpcPeeringConnectionId><requesterVpcInfo><ownerId>123456789012</ownerId><vpcId>$1</vpcId><cidrBlock>10.0.0.0/16</cidrBlock><cidrBlockSet><item><cidrBlock>10.0.0.0/16</cidrBlock></item></cidrBlockSet><ipv6CidrBlockSet><item><ipv6CidrBlock>fd63:cbe1:e459:3200::/56</ipv6CidrBlock></item></ipv6CidrBlockSet><region>us-east-1</region></requesterVpcInfo><accepterVpcInfo><ownerId>123456789012</ownerId><vpcId>$5</vpcId><cidrBlock>10.1.0.0/16</cidrBlock><cidrBlockSet><item><cidrBlock>10.1.0.0/16</cidrBlock></item></cidrBlockSet><ipv6CidrBlockSet></ipv6CidrBlockSet><region>us-east-1</region></accepterVpcInfo><status><code>deleted</code><message>Deleted by 123456789012</message></status><tagSet></tagSet></item></vpcPeeringConnectionSet></DescribeVpcPeeringConnectionsResponse>"],
    );
}

/// Each filter finds the connection by what it has, and not by anything else.
#[test]
fn connections_are_found_by_every_filter() {
    let mut estate = peered();
    estate.succeed("Action=CreateTags&ResourceId.1=$7&Tag.1.Key=Name&Tag.1.Value=p");
    for (filter, value) in [
        ("accepter-vpc-info.cidr-block", "10.1.0.0/16"),
        ("accepter-vpc-info.owner-id", super::OWN),
        ("accepter-vpc-info.vpc-id", "$5"),
        ("requester-vpc-info.cidr-block", "10.0.0.0/16"),
        ("requester-vpc-info.owner-id", super::OWN),
        ("requester-vpc-info.vpc-id", "$1"),
        ("status-code", "act*"),
        ("status-message", "Active"),
        ("expiration-time", "2018-12-*"),
        ("vpc-peering-connection-id", "$7"),
        ("tag-key", "Name"),
        ("tag:Name", "p"),
    ] {
        let call = format!("Action=DescribeVpcPeeringConnections&Filter.1.Name={filter}&Filter.1.Value.1");
        assert!(estate.succeed(&format!("{call}={value}")).contains("<code>active</code>"), "{filter}={value}");
        assert!(!estate.succeed(&format!("{call}=other")).contains("<code>"), "{filter}=other");
    }
}

/// Requests that wait are many until they are too many; they are told in parts.
#[test]
fn open_requests_are_counted_and_told_in_parts() {
    let mut estate = Estate::furnished();
    let mut asked = 0;
    let refused = loop {
        let told = estate.succeed(&format!("Action=CreateVpc&CidrBlock=10.{}.0.0/16", 10 + asked));
        let vpc = told.split("<vpcId>").nth(1).and_then(|rest| rest.split('<').next()).expect("a VPC").to_owned();
        let told = estate.told(&format!("Action=CreateVpcPeeringConnection&VpcId=$1&PeerVpcId={vpc}"));
        if !told.starts_with("200 ") {
            break told;
        }
        asked += 1;
    };
    assert_eq!(asked, 25);
    assert!(refused.contains("<Code>OutstandingVpcPeeringConnectionLimitExceeded</Code>"), "{refused}");
    let mut call = "Action=DescribeVpcPeeringConnections&MaxResults=10".to_owned();
    let mut parts = Vec::new();
    loop {
        let told = estate.succeed(&call);
        parts.push(told.matches("<vpcPeeringConnectionId>").count());
        let Some((_, rest)) = told.split_once("<nextToken>") else { break };
        let token = rest.split('<').next().unwrap_or_default();
        call = format!("Action=DescribeVpcPeeringConnections&MaxResults=10&NextToken={token}");
    }
    assert_eq!(parts, [10, 10, 5]);
}
