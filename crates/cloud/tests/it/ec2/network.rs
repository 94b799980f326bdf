//! VPCs, subnets, regions, zones and what an account may.

use expect_test::expect;

use super::Estate;

#[test]
fn a_vpc_is_made_shown_and_deleted_with_its_default_group() {
    let mut estate = Estate::new();
    estate.check(
        "Action=CreateVpc&CidrBlock=10.0.0.9/16&TagSpecification.1.ResourceType=vpc\
         &TagSpecification.1.Tag.1.Key=Name&TagSpecification.1.Tag.1.Value=prod",
        &expect!["200 <CreateVpcResponse><vpc><vpcId>$1</vpcId><ownerId>123456789012</ownerId><state>available</state><cidrBlock>10.0.0.0/16</cidrBlock><cidrBlockAssociationSet><item><associationId>vpc-cidr-assoc-7c2ba16e19bce068f</associationId><cidrBlock>10.0.0.0/16</cidrBlock><cidrBlockState><state>associated</state></cidrBlockState></item></cidrBlockAssociationSet><ipv6CidrBlockAssociationSet></ipv6CidrBlockAssociationSet><dhcpOptionsId>default</dhcpOptionsId><instanceTenancy>default</instanceTenancy><isDefault>false</isDefault><tagSet><item><key>Name</key><value>prod</value></item></tagSet></vpc></CreateVpcResponse>"],
    );
    estate.succeed("Action=CreateVpc&CidrBlock=10.0.0.0/16&AmazonProvidedIpv6CidrBlock=true");
    estate.check("Action=DescribeVpcs&Filter.1.Name=tag:Name&Filter.1.Value.1=pr*", &expect!["200 <DescribeVpcsResponse><vpcSet><item><vpcId>$1</vpcId><ownerId>123456789012</ownerId><state>available</state><cidrBlock>10.0.0.0/16</cidrBlock><cidrBlockAssociationSet><item><associationId>vpc-cidr-assoc-7c2ba16e19bce068f</associationId><cidrBlock>10.0.0.0/16</cidrBlock><cidrBlockState><state>associated</state></cidrBlockState></item></cidrBlockAssociationSet><ipv6CidrBlockAssociationSet></ipv6CidrBlockAssociationSet><dhcpOptionsId>default</dhcpOptionsId><instanceTenancy>default</instanceTenancy><isDefault>false</isDefault><tagSet><item><key>Name</key><value>prod</value></item></tagSet></item></vpcSet></DescribeVpcsResponse>"]);
    estate.check(
        "Action=DescribeVpcs&Filter.1.Name=vpc-id&Filter.1.Value.1=vpc-none",
        &expect!["200 <DescribeVpcsResponse><vpcSet></vpcSet></DescribeVpcsResponse>"],
    );
    estate.check("Action=DescribeVpcs&VpcId.1=$2", &expect!["200 <DescribeVpcsResponse><vpcSet><item><vpcId>$2</vpcId><ownerId>123456789012</ownerId><state>available</state><cidrBlock>10.0.0.0/16</cidrBlock><cidrBlockAssociationSet><item><associationId>vpc-cidr-assoc-6d6d899236ca09bf4</associationId><cidrBlock>10.0.0.0/16</cidrBlock><cidrBlockState><state>associated</state></cidrBlockState></item></cidrBlockAssociationSet><ipv6CidrBlockAssociationSet><item><associationId>vpc-cidr-assoc-6d6d899236ca09bf46</associationId><ipv6CidrBlock>fd28:dcfc:58bb:7000::/56</ipv6CidrBlock><ipv6CidrBlockState><state>associated</state></ipv6CidrBlockState><networkBorderGroup>us-east-1</networkBorderGroup><ipv6Pool>Amazon</ipv6Pool></item></ipv6CidrBlockAssociationSet><dhcpOptionsId>default</dhcpOptionsId><instanceTenancy>default</instanceTenancy><isDefault>false</isDefault><tagSet></tagSet></item></vpcSet></DescribeVpcsResponse>"]);
    estate.check(
        "Action=DeleteVpc&VpcId=$1",
        &expect!["200 <DeleteVpcResponse><return>true</return></DeleteVpcResponse>"],
    );
    estate.region = "eu-west-1";
    estate
        .check("Action=DescribeVpcs", &expect!["200 <DescribeVpcsResponse><vpcSet></vpcSet></DescribeVpcsResponse>"]);
    estate.refused(
        "Action=DeleteVpc&VpcId=$2\nAction=CreateSubnet&VpcId=$2&CidrBlock=10.0.0.0/24",
        &expect![[r#"
        400 InvalidVpcID.NotFound: The vpc ID &apos;$2&apos; does not exist
        400 InvalidVpcID.NotFound: The vpc ID &apos;$2&apos; does not exist
    "#]],
    );
}

#[test]
fn subnets_are_made_shown_and_deleted() {
    let mut estate = Estate::furnished();
    estate.check("Action=DescribeSubnets&SubnetId.1=$2", &expect!["200 <DescribeSubnetsResponse><subnetSet><item><subnetId>$2</subnetId><subnetArn>arn:aws:ec2:us-east-1:123456789012:subnet/$2</subnetArn><state>available</state><ownerId>123456789012</ownerId><vpcId>$1</vpcId><cidrBlock>10.0.1.0/24</cidrBlock><ipv6CidrBlockAssociationSet></ipv6CidrBlockAssociationSet><availableIpAddressCount>251</availableIpAddressCount><availabilityZone>us-east-1a</availabilityZone><availabilityZoneId>use1-az1</availabilityZoneId><defaultForAz>false</defaultForAz><mapPublicIpOnLaunch>false</mapPublicIpOnLaunch><mapCustomerOwnedIpOnLaunch>false</mapCustomerOwnedIpOnLaunch><assignIpv6AddressOnCreation>false</assignIpv6AddressOnCreation><enableDns64>false</enableDns64><ipv6Native>false</ipv6Native><tagSet></tagSet></item></subnetSet></DescribeSubnetsResponse>"]);
    estate.succeed("Action=CreateSubnet&VpcId=$1&CidrBlock=10.0.2.0/24&AvailabilityZoneId=use1-az3");
    let filters =
        "Filter.1.Name=availability-zone&Filter.1.Value.1=us-east-1c&Filter.2.Name=state&Filter.2.Value.1=available";
    assert!(
        estate.succeed(&format!("Action=DescribeSubnets&{filters}")).contains("<cidrBlock>10.0.2.0/24</cidrBlock>")
    );
    estate.check(
        "Action=DeleteSubnet&SubnetId=$2",
        &expect!["200 <DeleteSubnetResponse><return>true</return></DeleteSubnetResponse>"],
    );
}

#[test]
fn networks_are_refused() {
    let mut estate = Estate::furnished();
    estate.succeed("Action=RunInstances&MinCount=1&MaxCount=1&SubnetId=$2");
    estate.refused(
        "Action=CreateVpc
         Action=CreateVpc&CidrBlock=10.0.0.0
         Action=CreateVpc&CidrBlock=10.0.0.0/8
         Action=CreateVpc&CidrBlock=127.0.0.0/16
         Action=CreateVpc&CidrBlock=10.0.0.0/16&Ipv4IpamPoolId=ipam-1
         Action=CreateVpc&CidrBlock=10.0.0.0/16&Colour=red
         Action=CreateVpc&CidrBlock=10.0.0.0/16&AmazonProvidedIpv6CidrBlock=maybe
         Action=CreateVpc&CidrBlock=10.0.0.0/16&DryRun=true
         Action=CreateSubnet&VpcId=$1&CidrBlock=10.1.0.0/24
         Action=CreateSubnet&VpcId=$1&CidrBlock=10.0.1.128/25
         Action=CreateSubnet&VpcId=$1&CidrBlock=10.0.9.0/29
         Action=CreateSubnet&VpcId=$1&CidrBlock=10.0.9.0/24&AvailabilityZone=us-east-1z
         Action=CreateSubnet&VpcId=$1&CidrBlock=10.0.9.0/24&Ipv6CidrBlock=2001:db8::/64
         Action=CreateSubnet&VpcId=vpc-0123&CidrBlock=10.0.9.0/24
         Action=CreateSubnet&VpcId=web&CidrBlock=10.0.9.0/24
         Action=DeleteVpc&VpcId=$1
         Action=DeleteVpc&VpcId=vpc-0123
         Action=DeleteVpc
         Action=DeleteSubnet&SubnetId=$2
         Action=DeleteSubnet&SubnetId=subnet-0123
         Action=DeleteSubnet&SubnetId=vpc-0123
         Action=DescribeVpcs&VpcId.1=vpc-0123
         Action=DescribeVpcs&Filter.1.Name=colour&Filter.1.Value.1=red
         Action=DescribeSubnets&SubnetId.1=$2&MaxResults=5
         Action=DescribeTransitGateways",
        &expect![[r#"
            400 MissingParameter: The request must contain the parameter CidrBlock
            400 InvalidVpc.Range: The CIDR &apos;10.0.0.0&apos; is invalid.
            400 InvalidVpc.Range: The CIDR &apos;10.0.0.0/8&apos; is invalid.
            400 InvalidVpc.Range: The CIDR &apos;127.0.0.0/16&apos; is invalid.
            400 UnsupportedOperation: The functionality of the parameter Ipv4IpamPoolId is not supported here; leave it out.
            400 UnknownParameter: The parameter Colour is not recognized
            400 InvalidParameterValue: Invalid value &apos;maybe&apos; for AmazonProvidedIpv6CidrBlock. Use true or false.
            412 DryRunOperation: Request would have succeeded, but DryRun flag is set.
            400 InvalidSubnet.Range: The CIDR &apos;10.1.0.0/24&apos; is invalid.
            400 InvalidSubnet.Conflict: The CIDR &apos;10.0.1.128/25&apos; conflicts with another subnet
            400 InvalidSubnet.Range: The CIDR &apos;10.0.9.0/29&apos; is invalid.
            400 InvalidParameterValue: Value (us-east-1z) for parameter availabilityZone is invalid. It is no zone of us-east-1.
            400 InvalidSubnet.Range: The CIDR &apos;2001:db8::/64&apos; is invalid.
            400 InvalidVpcID.NotFound: The vpc ID &apos;vpc-0123&apos; does not exist
            400 InvalidVpcID.Malformed: Invalid id: &quot;web&quot; (expecting &quot;vpc-...&quot;)
            400 DependencyViolation: The vpc &apos;$1&apos; has dependencies and cannot be deleted.
            400 InvalidVpcID.NotFound: The vpc ID &apos;vpc-0123&apos; does not exist
            400 MissingParameter: The request must contain the parameter VpcId
            400 DependencyViolation: The subnet &apos;$2&apos; has dependencies and cannot be deleted.
            400 InvalidSubnetID.NotFound: The subnet ID &apos;subnet-0123&apos; does not exist
            400 InvalidSubnetID.Malformed: Invalid id: &quot;vpc-0123&quot; (expecting &quot;subnet-...&quot;)
            400 InvalidVpcID.NotFound: The vpc ID &apos;vpc-0123&apos; does not exist
            400 InvalidParameterValue: The filter &apos;colour&apos; is invalid
            400 InvalidParameterCombination: The parameter subnetIdSet cannot be used with the parameter maxResults
            400 InvalidAction: The action DescribeTransitGateways is not valid for this web service.
        "#]],
    );
}

#[test]
fn places_and_attributes_are_told() {
    let mut estate = Estate::new();
    estate.check("Action=DescribeRegions&RegionName.1=us-east-1&RegionName.2=ap-east-1", &expect!["200 <DescribeRegionsResponse><regionInfo><item><regionName>ap-east-1</regionName><regionEndpoint>ec2.ap-east-1.amazonaws.com</regionEndpoint><optInStatus>opted-in</optInStatus></item><item><regionName>us-east-1</regionName><regionEndpoint>ec2.us-east-1.amazonaws.com</regionEndpoint><optInStatus>opt-in-not-required</optInStatus></item></regionInfo></DescribeRegionsResponse>"]);
    assert_eq!(estate.succeed("Action=DescribeRegions&AllRegions=true").matches("<item>").count(), 31);
    estate.check("Action=DescribeAvailabilityZones&Filter.1.Name=zone-id&Filter.1.Value.1=*-az2", &expect!["200 <DescribeAvailabilityZonesResponse><availabilityZoneInfo><item><zoneName>us-east-1b</zoneName><zoneId>use1-az2</zoneId><zoneState>available</zoneState><regionName>us-east-1</regionName><groupName>us-east-1</groupName><networkBorderGroup>us-east-1</networkBorderGroup><optInStatus>opt-in-not-required</optInStatus><zoneType>availability-zone</zoneType><messageSet></messageSet></item></availabilityZoneInfo></DescribeAvailabilityZonesResponse>"]);
    estate.check("Action=DescribeAccountAttributes&AttributeName.1=default-vpc", &expect!["200 <DescribeAccountAttributesResponse><accountAttributeSet><item><attributeName>default-vpc</attributeName><attributeValueSet><item><attributeValue>none</attributeValue></item></attributeValueSet></item></accountAttributeSet></DescribeAccountAttributesResponse>"]);
    estate.refused(
        "Action=DescribeRegions&RegionName.1=mars-1
         Action=DescribeAvailabilityZones&ZoneName.1=us-east-1z
         Action=DescribeAccountAttributes&AttributeName.1=colour
         Action=DescribeRegions&DryRun=true",
        &expect![[r#"
            400 InvalidParameterValue: Invalid region names: [mars-1]
            400 InvalidParameterValue: Invalid availability zone: [us-east-1z]
            400 InvalidParameterValue: Value (colour) for parameter attributeName is invalid. Unknown attribute.
            412 DryRunOperation: Request would have succeeded, but DryRun flag is set.
        "#]],
    );
}
