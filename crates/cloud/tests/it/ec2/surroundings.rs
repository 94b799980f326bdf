//! What is around groups: attributes of a VPC, its main route table and default ACL, and what there is none of.

use expect_test::expect;

use super::Estate;

#[test]
fn attributes_of_a_vpc_are_told_and_changed() {
    let mut estate = Estate::furnished();
    let of = "Action=DescribeVpcAttribute&VpcId=$1&Attribute";
    estate.check(&format!("{of}=enableDnsSupport"), &expect!["200 <DescribeVpcAttributeResponse><vpcId>$1</vpcId><enableDnsSupport><value>true</value></enableDnsSupport></DescribeVpcAttributeResponse>"]);
    assert!(
        estate
            .succeed(&format!("{of}=enableDnsHostnames"))
            .contains("<enableDnsHostnames><value>false</value></enableDnsHostnames>")
    );
    estate.succeed("Action=ModifyVpcAttribute&VpcId=$1&EnableDnsHostnames.Value=true");
    estate.succeed("Action=ModifyVpcAttribute&VpcId=$1&EnableDnsSupport.Value=false");
    estate.succeed("Action=ModifyVpcAttribute&VpcId=$1&EnableNetworkAddressUsageMetrics.Value=true");
    for (name, is_on) in
        [("enableDnsHostnames", true), ("enableDnsSupport", false), ("enableNetworkAddressUsageMetrics", true)]
    {
        let told = estate.succeed(&format!("{of}={name}"));
        assert!(told.contains(&format!("<{name}><value>{is_on}</value></{name}>")), "{told}");
    }
    estate.refused(
        "Action=DescribeVpcAttribute&VpcId=$1&Attribute=colour
         Action=DescribeVpcAttribute&VpcId=vpc-0123&Attribute=enableDnsSupport
         Action=DescribeVpcAttribute&VpcId=$1
         Action=ModifyVpcAttribute&VpcId=$1
         Action=ModifyVpcAttribute&VpcId=vpc-0123&EnableDnsSupport.Value=true
         Action=ModifyVpcAttribute&VpcId=$1&EnableDnsSupport.Value=true&EnableDnsHostnames.Value=true
         Action=ModifyVpcAttribute&VpcId=$1&EnableDnsSupport.Value=maybe",
        &expect![[r#"
            400 InvalidParameterValue: Value (colour) for parameter attribute is invalid. Unknown attribute.
            400 InvalidVpcID.NotFound: The vpc ID &apos;vpc-0123&apos; does not exist
            400 MissingParameter: The request must contain the parameter Attribute
            400 InvalidParameterCombination: No attributes specified.
            400 InvalidVpcID.NotFound: The vpc ID &apos;vpc-0123&apos; does not exist
            400 InvalidParameterCombination: Fields for multiple attribute types specified: change one at a time
            400 InvalidParameterValue: Invalid value &apos;maybe&apos; for EnableDnsSupport.Value. Use true or false.
        "#]],
    );
}

#[test]
fn older_clients_learn_that_nothing_is_linked() {
    let mut estate = Estate::furnished();
    estate.succeed("Action=CreateVpc&CidrBlock=10.1.0.0/16");
    let named =
        "Action=DescribeVpcClassicLink&VpcId.1=$1&Filter.1.Name=is-classic-link-enabled&Filter.1.Value.1=false";
    estate.check(named, &expect!["200 <DescribeVpcClassicLinkResponse><vpcSet><item><vpcId>$1</vpcId><classicLinkEnabled>false</classicLinkEnabled><tagSet></tagSet></item></vpcSet></DescribeVpcClassicLinkResponse>"]);
    estate.check("Action=DescribeVpcClassicLinkDnsSupport&VpcIds.1=$1", &expect!["200 <DescribeVpcClassicLinkDnsSupportResponse><vpcs><item><vpcId>$1</vpcId><classicLinkDnsSupported>false</classicLinkDnsSupported></item></vpcs></DescribeVpcClassicLinkDnsSupportResponse>"]);
    let some = estate.succeed("Action=DescribeVpcClassicLinkDnsSupport&MaxResults=5");
    assert_eq!(some.matches("<vpcId>").count(), 2);
    estate.succeed("Action=CreateTags&ResourceId.1=$1&Tag.1.Key=env&Tag.1.Value=test");
    for filter in ["tag-key&Filter.1.Value.1=env", "tag:env&Filter.1.Value.1=t*"] {
        let told = estate.succeed(&format!("Action=DescribeVpcClassicLink&Filter.1.Name={filter}"));
        assert_eq!(told.matches("<classicLinkEnabled>").count(), 1, "{filter}");
    }
    estate.refused(
        "Action=DescribeVpcClassicLink&VpcId.1=vpc-0123",
        &expect![[r#"
        400 InvalidVpcID.NotFound: The vpc ID &apos;vpc-0123&apos; does not exist
    "#]],
    );
}

#[test]
fn the_main_route_table_of_a_vpc_leads_inside_and_outside() {
    let mut estate = Estate::furnished();
    estate.succeed("Action=CreateVpc&CidrBlock=10.1.0.0/16");
    let main = "Action=DescribeRouteTables&Filter.1.Name=association.main&Filter.1.Value.1=true";
    estate.check(&format!("{main}&Filter.2.Name=vpc-id&Filter.2.Value.1=$1"), &expect!["200 <DescribeRouteTablesResponse><routeTableSet><item><routeTableId>rtb-c2ba16e19bce068f7</routeTableId><vpcId>$1</vpcId><ownerId>123456789012</ownerId><routeSet><item><destinationCidrBlock>10.0.0.0/16</destinationCidrBlock><gatewayId>local</gatewayId><state>active</state><origin>CreateRouteTable</origin></item><item><destinationCidrBlock>0.0.0.0/0</destinationCidrBlock><localGatewayId>lgw-c2ba16e19bce068f7</localGatewayId><state>active</state><origin>CreateRouteTable</origin></item><item><destinationIpv6CidrBlock>fd63:cbe1:e459:3200::/56</destinationIpv6CidrBlock><gatewayId>local</gatewayId><state>active</state><origin>CreateRouteTable</origin></item><item><destinationIpv6CidrBlock>::/0</destinationIpv6CidrBlock><localGatewayId>lgw-c2ba16e19bce068f7</localGatewayId><state>active</state><origin>CreateRouteTable</origin></item></routeSet><associationSet><item><routeTableAssociationId>rtbassoc-c2ba16e19bce068f7</routeTableAssociationId><routeTableId>rtb-c2ba16e19bce068f7</routeTableId><main>true</main><associationState><state>associated</state></associationState></item></associationSet><propagatingVgwSet></propagatingVgwSet><tagSet></tagSet></item></routeTableSet></DescribeRouteTablesResponse>"]);
    assert_eq!(estate.succeed(main).matches("<vpcId>").count(), 2);
    let id = table(&mut estate, "rtb-");
    for filter in [
        format!("route-table-id&Filter.1.Value.1={id}"),
        format!("association.route-table-id&Filter.1.Value.1={id}"),
        "association.route-table-association-id&Filter.1.Value.1=rtbassoc-*".to_owned(),
        "owner-id&Filter.1.Value.1=123456789012".to_owned(),
        "route.destination-cidr-block&Filter.1.Value.1=10.0.0.0/16".to_owned(),
        "route.destination-cidr-block&Filter.1.Value.1=0.0.0.0/0".to_owned(),
        "route.destination-ipv6-cidr-block&Filter.1.Value.1=fd*".to_owned(),
        "route.destination-ipv6-cidr-block&Filter.1.Value.1=::/0".to_owned(),
        "route.gateway-id&Filter.1.Value.1=local".to_owned(),
        "route.origin&Filter.1.Value.1=CreateRouteTable".to_owned(),
        "route.state&Filter.1.Value.1=active".to_owned(),
    ] {
        let told = estate.succeed(&format!("Action=DescribeRouteTables&Filter.1.Name={filter}"));
        assert!(told.contains(&format!("<routeTableId>{id}</routeTableId>")), "{filter}: {told}");
    }
    for filter in [
        "association.gateway-id",
        "association.subnet-id",
        "route.destination-prefix-list-id",
        "route.egress-only-internet-gateway-id",
        "route.instance-id",
        "route.nat-gateway-id",
        "route.transit-gateway-id",
        "route.vpc-peering-connection-id",
        "tag-key",
        "tag:Name",
    ] {
        let told = estate.succeed(&format!("Action=DescribeRouteTables&Filter.1.Name={filter}&Filter.1.Value.1=*"));
        assert!(told.contains("<routeTableSet></routeTableSet>"), "{filter}: {told}");
    }
    assert!(estate.succeed(&format!("Action=DescribeRouteTables&RouteTableId.1={id}")).contains("<vpcId>$1</vpcId>"));
    estate.refused(
        "Action=DescribeRouteTables&RouteTableId.1=rtb-0123
         Action=DescribeRouteTables&RouteTableId.1=acl-0123",
        &expect![[r#"
            400 InvalidRouteTableID.NotFound: The routeTable ID &apos;rtb-0123&apos; does not exist
            400 InvalidRouteTableId.Malformed: Invalid id: &quot;acl-0123&quot; (expecting &quot;rtb-...&quot;)
        "#]],
    );
}

/// The id of what is made with the first VPC.
fn table(estate: &mut Estate, prefix: &str) -> String {
    estate.ids[0].replace("vpc-", prefix)
}

#[test]
fn of_what_is_not_here_nothing_is_listed_and_nothing_found() {
    let mut estate = Estate::furnished();
    let mut told = String::new();
    for (action, list) in [
        ("DescribeInternetGateways", "InternetGatewayId"),
        ("DescribeNatGateways", "NatGatewayId"),
        ("DescribeVpcEndpoints", "VpcEndpointId"),
        ("DescribeAddresses", "PublicIp"),
        ("DescribeAddresses", "AllocationId"),
        ("DescribeVolumes", "VolumeId"),
        ("DescribeSnapshots", "SnapshotId"),
        ("DescribeImages", "ImageId"),
        ("DescribeLaunchTemplates", "LaunchTemplateId"),
        ("DescribeLaunchTemplates", "LaunchTemplateName"),
    ] {
        let all = estate.succeed(&format!("Action={action}&Filter.1.Name=any&Filter.1.Value.1=*"));
        let inner = all.trim_start_matches(&format!("200 <{action}Response>"));
        let one = estate.told(&format!("Action={action}&{list}.1=x-1"));
        let code = one.split("<Code>").nth(1).and_then(|rest| rest.split("</Code>").next()).unwrap_or_default();
        told += &format!("{} {list}: {code}\n", inner.trim_end_matches(&format!("</{action}Response>")));
    }
    expect![[r#"
        <internetGatewaySet></internetGatewaySet> InternetGatewayId: InvalidInternetGatewayID.NotFound
        <natGatewaySet></natGatewaySet> NatGatewayId: NatGatewayNotFound
        <vpcEndpointSet></vpcEndpointSet> VpcEndpointId: InvalidVpcEndpointId.NotFound
        <addressesSet></addressesSet> PublicIp: InvalidAddress.NotFound
        <addressesSet></addressesSet> AllocationId: InvalidAddress.NotFound
        <volumeSet></volumeSet> VolumeId: InvalidVolume.NotFound
        <snapshotSet></snapshotSet> SnapshotId: InvalidSnapshot.NotFound
        <imagesSet></imagesSet> ImageId: InvalidAMIID.NotFound
        <launchTemplates></launchTemplates> LaunchTemplateId: InvalidLaunchTemplateId.NotFound
        <launchTemplates></launchTemplates> LaunchTemplateName: InvalidLaunchTemplateId.NotFound
    "#]]
    .assert_eq(&told);
    for parameters in
        ["DescribeImages&Owner.1=self&ExecutableBy.1=all", "DescribeSnapshots&Owner.1=self&MaxResults=5"]
    {
        estate.succeed(&format!("Action={parameters}"));
    }
}

#[test]
fn what_is_made_with_vpcs_is_told_in_parts() {
    let mut estate = Estate::new();
    for number in 0..7 {
        estate.succeed(&format!("Action=CreateVpc&CidrBlock=10.{number}.0.0/16"));
    }
    for (action, item) in [
        ("DescribeRouteTables", "<routeSet>"),
        ("DescribeNetworkAcls", "<entrySet>"),
        ("DescribeVpcClassicLinkDnsSupport", "<classicLinkDnsSupported>"),
    ] {
        let first = estate.succeed(&format!("Action={action}&MaxResults=5"));
        let token = first.split("<nextToken>").nth(1).and_then(|rest| rest.split('<').next()).unwrap().to_owned();
        let rest = estate.succeed(&format!("Action={action}&MaxResults=5&NextToken={token}"));
        assert_eq!((first.matches(item).count(), rest.matches(item).count()), (5, 2), "{action}");
        assert!(!rest.contains("<nextToken>"));
    }
}
