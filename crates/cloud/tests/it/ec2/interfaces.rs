//! Network interfaces of their own.

use expect_test::expect;

use super::Estate;

/// The interface that a reply is about.
pub(super) fn id_in(told: &str, element: &str) -> String {
    told.split(&format!("<{element}>")).nth(1).unwrap().split('<').next().unwrap().to_owned()
}

/// An estate with an interface, and an instance that it can be attached to.
pub(super) fn with_interface() -> (Estate, String, String) {
    let mut estate = Estate::furnished();
    let told = estate.succeed(
        "Action=CreateNetworkInterface&SubnetId=$2&SecurityGroupId.1=$3&Description=spare&PrivateIpAddress=10.0.1.20\
         &TagSpecification.1.ResourceType=network-interface&TagSpecification.1.Tag.1.Key=env\
         &TagSpecification.1.Tag.1.Value=test",
    );
    let eni = id_in(&told, "networkInterfaceId");
    let told = estate.succeed("Action=RunInstances&MinCount=1&MaxCount=1&SubnetId=$2");
    let instance = id_in(&told, "instanceId");
    (estate, eni, instance)
}

#[test]
fn an_interface_is_made_attached_shown_and_deleted() {
    let (mut estate, eni, instance) = with_interface();
    let shown = estate.succeed(&format!("Action=DescribeNetworkInterfaces&NetworkInterfaceId.1={eni}"));
    expect!["200 <DescribeNetworkInterfacesResponse><networkInterfaceSet><item><networkInterfaceId>$5</networkInterfaceId><subnetId>$2</subnetId><vpcId>$1</vpcId><description>spare</description><ownerId>123456789012</ownerId><macAddress>86:82:25:9a:4b:d4</macAddress><privateIpAddress>10.0.1.20</privateIpAddress><privateDnsName>ip-10-0-1-20.ec2.internal</privateDnsName><sourceDestCheck>true</sourceDestCheck><groupSet><item><groupId>$3</groupId><groupName>web</groupName></item></groupSet><privateIpAddressesSet><item><privateIpAddress>10.0.1.20</privateIpAddress><primary>true</primary></item></privateIpAddressesSet><ipv6AddressesSet></ipv6AddressesSet><interfaceType>interface</interfaceType><status>available</status><availabilityZone>us-east-1a</availabilityZone><requesterManaged>false</requesterManaged><connectionTrackingConfiguration><tcpEstablishedTimeout>432000</tcpEstablishedTimeout><udpStreamTimeout>180</udpStreamTimeout><udpTimeout>30</udpTimeout></connectionTrackingConfiguration><tagSet><item><key>env</key><value>test</value></item></tagSet></item></networkInterfaceSet></DescribeNetworkInterfacesResponse>"].assert_eq(&shown);
    let attach = format!(
        "Action=AttachNetworkInterface&NetworkInterfaceId={eni}&InstanceId={instance}&DeviceIndex=1&NetworkCardIndex=0"
    );
    let told = estate.succeed(&attach);
    let attachment = id_in(&told, "attachmentId");
    expect!["200 <AttachNetworkInterfaceResponse><attachmentId>ATTACHMENT</attachmentId><networkCardIndex>0</networkCardIndex></AttachNetworkInterfaceResponse>"].assert_eq(&told.replace(&attachment, "ATTACHMENT"));
    let told = estate.succeed(&format!("Action=DescribeNetworkInterfaces&NetworkInterfaceId.1={eni}"));
    assert!(told.contains("<status>in-use</status>") && told.contains("<deleteOnTermination>false"), "{told}");
    let delete = format!("Action=DeleteNetworkInterface&NetworkInterfaceId={eni}");
    let told = estate.told(&delete);
    expect!["400 <Response><Errors><Error><Code>InvalidNetworkInterface.InUse</Code><Message>Interface: [$5] in use.</Message></Error></Errors></Response>"].assert_eq(&told);
    estate.succeed(&format!("Action=DetachNetworkInterface&AttachmentId={attachment}&Force=true"));
    estate.succeed(&delete);
    let told = estate.told(&format!("Action=DescribeNetworkInterfaces&NetworkInterfaceId.1={eni}"));
    expect!["400 <Response><Errors><Error><Code>InvalidNetworkInterfaceID.NotFound</Code><Message>The networkInterface ID &apos;$5&apos; does not exist</Message></Error></Errors></Response>"].assert_eq(&told);
}

#[test]
fn addresses_and_timeouts_may_be_chosen() {
    let mut estate = Estate::furnished();
    let told = estate.succeed(
        "Action=CreateNetworkInterface&SubnetId=$2&PrivateIpAddresses.1.PrivateIpAddress=10.0.1.30\
         &PrivateIpAddresses.1.Primary=true&PrivateIpAddresses.2.PrivateIpAddress=10.0.1.31\
         &ConnectionTrackingSpecification.TcpEstablishedTimeout=60\
         &ConnectionTrackingSpecification.UdpStreamTimeout=120&ConnectionTrackingSpecification.UdpTimeout=40\
         &ClientToken=one",
    );
    assert!(told.contains("<privateIpAddress>10.0.1.30</privateIpAddress><primary>true</primary>"), "{told}");
    assert!(told.contains("<privateIpAddress>10.0.1.31</privateIpAddress><primary>false</primary>"), "{told}");
    assert!(told.contains(
        "<tcpEstablishedTimeout>60</tcpEstablishedTimeout><udpStreamTimeout>120</udpStreamTimeout>\
         <udpTimeout>40</udpTimeout>"
    ));
    let more = "Action=CreateNetworkInterface&SubnetId=$2&SecondaryPrivateIpAddressCount=2";
    assert_eq!(estate.succeed(more).matches("<primary>false</primary>").count(), 2);
}

#[test]
fn one_attribute_is_modified_a_call() {
    let (mut estate, eni, instance) = with_interface();
    let modify = format!("Action=ModifyNetworkInterfaceAttribute&NetworkInterfaceId={eni}");
    let attach =
        format!("Action=AttachNetworkInterface&NetworkInterfaceId={eni}&InstanceId={instance}&DeviceIndex=1");
    let attachment = id_in(&estate.succeed(&attach), "attachmentId");
    for change in [
        "SourceDestCheck.Value=false",
        "Description.Value=",
        "ConnectionTrackingSpecification.TcpEstablishedTimeout=600",
        "SecurityGroupId.1=$3",
        &format!("Attachment.AttachmentId={attachment}&Attachment.DeleteOnTermination=true"),
    ] {
        estate.succeed(&format!("{modify}&{change}"));
    }
    let told = estate.succeed(&format!("Action=DescribeNetworkInterfaces&NetworkInterfaceId.1={eni}"));
    for part in [
        "<sourceDestCheck>false<",
        "<description></description>",
        "<tcpEstablishedTimeout>600<",
        "<groupId>$3<",
        "<deleteOnTermination>true<",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    // That of an instance changes with it.
    let told =
        estate.succeed("Action=DescribeNetworkInterfaces&Filter.1.Name=attachment.device-index&Filter.1.Value.1=0");
    let primary = id_in(&told, "networkInterfaceId");
    estate.succeed(&format!(
        "Action=ModifyNetworkInterfaceAttribute&NetworkInterfaceId={primary}&SecurityGroupId.1=$3"
    ));
    let told = estate.succeed(&format!("Action=DescribeInstances&InstanceId.1={instance}"));
    assert_eq!(told.matches("<groupName>web<").count(), 3, "the instance and both interfaces: {told}");
}

#[test]
fn interfaces_are_found() {
    let (mut estate, eni, instance) = with_interface();
    let spare = [
        ("addresses.primary", "true"),
        ("addresses.private-ip-address", "10.0.1.20"),
        ("private-ip-address", "10.0.1.2?"),
        ("private-dns-name", "ip-10-0-1-20.ec2.internal"),
        ("availability-zone", "us-east-1a"),
        ("availability-zone-id", "use1-az*"),
        ("description", "spare"),
        ("group-id", "$3"),
        ("interface-type", "interface"),
        ("mac-address", "*:*"),
        ("network-interface-id", eni.as_str()),
        ("operator.managed", "false"),
        ("owner-id", "123456789012"),
        ("requester-managed", "false"),
        ("source-dest-check", "true"),
        ("status", "available"),
        ("subnet-id", "$2"),
        ("vpc-id", "$1"),
        ("tag:env", "test"),
        ("tag-key", "env"),
    ];
    let used = [
        ("attachment.attach-time", "*"),
        ("attachment.attachment-id", "eni-attach-*"),
        ("attachment.delete-on-termination", "true"),
        ("attachment.device-index", "0"),
        ("attachment.instance-id", instance.as_str()),
        ("attachment.instance-owner-id", "123456789012"),
        ("attachment.status", "attached"),
    ];
    let nothing = [
        "addresses.association.owner-id",
        "addresses.association.public-ip",
        "association.allocation-id",
        "association.association-id",
        "association.ip-owner-id",
        "association.public-dns-name",
        "association.public-ip",
        "ipv6-addresses.ipv6-address",
        "operator.principal",
        "requester-id",
    ];
    let mut found = |filters: &[(&str, &str)]| {
        let filters: String = (1..)
            .zip(filters)
            .map(|(number, (name, value))| format!("&Filter.{number}.Name={name}&Filter.{number}.Value.1={value}"))
            .collect();
        let told = estate.succeed(&format!("Action=DescribeNetworkInterfaces{filters}"));
        told.matches("<networkInterfaceId>").count()
    };
    assert_eq!(found(&spare), 1);
    assert_eq!(found(&used), 1);
    for name in nothing {
        assert_eq!(found(&[(name, "*")]), 0, "{name}");
    }
    for (name, _) in spare.iter().chain(&used) {
        assert_eq!(found(&[(name, "no")]), 0, "{name}");
    }
    let told = estate.succeed("Action=DescribeNetworkInterfaces&MaxResults=5");
    assert!(!told.contains("nextToken"));
}

#[test]
fn new_interfaces_are_refused() {
    let (mut estate, ..) = with_interface();
    let (create, long) = ("Action=CreateNetworkInterface&SubnetId=$2", "d".repeat(256));
    estate.refused(
        &format!(
            "Action=CreateNetworkInterface
             {create}&SecurityGroupId.1=sg-0123&Description=spare
             {create}&Description={long}
             {create}&PrivateIpAddress=10.0.9.1
             {create}&PrivateIpAddress=10.0.1.20
             {create}&PrivateIpAddress=ten
             {create}&PrivateIpAddress=10.0.1.40&PrivateIpAddresses.1.PrivateIpAddress=10.0.1.41&PrivateIpAddresses.1.Primary=true
             {create}&Ipv6AddressCount=1
             {create}&Ipv6Addresses.1.Ipv6Address=ten
             {create}&ConnectionTrackingSpecification.TcpEstablishedTimeout=59
             {create}&ConnectionTrackingSpecification.UdpStreamTimeout=181
             {create}&ConnectionTrackingSpecification.UdpTimeout=61
             {create}&InterfaceType=efa
             {create}&Ipv4PrefixCount=1
             {create}&Ipv4Prefix.1.Ipv4Prefix=10.0.1.32/28
             {create}&Ipv6PrefixCount=1
             {create}&Ipv6Prefix.1.Ipv6Prefix=fd00::/80
             {create}&EnablePrimaryIpv6=true
             {create}&Operator.Principal=me"
        ),
        &expect![[r#"
            400 MissingParameter: The request must contain the parameter SubnetId
            400 InvalidGroup.NotFound: The security group &apos;sg-0123&apos; does not exist
            400 InvalidParameterValue: A description has at most 255 bytes and no control characters.
            400 InvalidParameterValue: Address 10.0.9.1 does not fall within the subnet&apos;s range
            400 InvalidIPAddress.InUse: Address 10.0.1.20 is in use.
            400 InvalidParameterValue: Invalid value &apos;ten&apos; for private IP address.
            400 InvalidParameterCombination: Only one primary private IP address can be specified
            400 InvalidParameterValue: &apos;$2&apos; has no IPv6 CIDR block; associate one before asking for IPv6 addresses
            400 InvalidParameterValue: Invalid value &apos;ten&apos; for IPv6 address.
            400 InvalidParameterValue: Value ( 59 ) for parameter ConnectionTrackingSpecification.TcpEstablishedTimeout is invalid. Expecting a whole number from 60 to 432000.
            400 InvalidParameterValue: Value ( 181 ) for parameter ConnectionTrackingSpecification.UdpStreamTimeout is invalid. Expecting a whole number from 60 to 180.
            400 InvalidParameterValue: Value ( 61 ) for parameter ConnectionTrackingSpecification.UdpTimeout is invalid. Expecting a whole number from 30 to 60.
            400 UnsupportedOperation: The functionality of the parameter InterfaceType is not supported here; leave it out.
            400 UnsupportedOperation: The functionality of the parameter Ipv4PrefixCount is not supported here; leave it out.
            400 UnsupportedOperation: The functionality of the parameter Ipv4Prefix.1.Ipv4Prefix is not supported here; leave it out.
            400 UnsupportedOperation: The functionality of the parameter Ipv6PrefixCount is not supported here; leave it out.
            400 UnsupportedOperation: The functionality of the parameter Ipv6Prefix.1.Ipv6Prefix is not supported here; leave it out.
            400 UnsupportedOperation: The functionality of the parameter EnablePrimaryIpv6 is not supported here; leave it out.
            400 UnsupportedOperation: The functionality of the parameter Operator.Principal is not supported here; leave it out.
        "#]],
    );
}

#[test]
fn interfaces_are_refused() {
    let (mut estate, eni, instance) = with_interface();
    let modify = format!("Action=ModifyNetworkInterfaceAttribute&NetworkInterfaceId={eni}");
    let attach = format!("Action=AttachNetworkInterface&NetworkInterfaceId={eni}&InstanceId={instance}");
    let attachment = id_in(&estate.succeed(&format!("{attach}&DeviceIndex=1")), "attachmentId");
    estate.succeed(&format!("Action=DetachNetworkInterface&AttachmentId={attachment}"));
    estate.refused(
        &format!(
            "Action=DescribeNetworkInterfaces&NetworkInterfaceId.1=eni-0123
             Action=DescribeNetworkInterfaces&NetworkInterfaceId.1={eni}&MaxResults=5
             Action=DescribeNetworkInterfaces&NextToken=garbage
             Action=DescribeNetworkInterfaces&Filter.1.Name=color&Filter.1.Value.1=red
             Action=DeleteNetworkInterface
             Action=DeleteNetworkInterface&NetworkInterfaceId=eni-0123
             Action=AttachNetworkInterface&NetworkInterfaceId={eni}&InstanceId={instance}&DeviceIndex=0
             Action=AttachNetworkInterface&NetworkInterfaceId={eni}&InstanceId=i-0123&DeviceIndex=1
             Action=AttachNetworkInterface&NetworkInterfaceId=eni-0123&InstanceId={instance}&DeviceIndex=1
             Action=DetachNetworkInterface&AttachmentId={attachment}
             Action=DetachNetworkInterface&AttachmentId=eni-0123
             {modify}
             {modify}&SourceDestCheck.Value=false&Description.Value=x
             {modify}&SourceDestCheck.Value=perhaps
             {modify}&SecurityGroupId.1=sg-0123
             {modify}&Attachment.DeleteOnTermination=true
             {modify}&Attachment.AttachmentId={attachment}&Attachment.DeleteOnTermination=true
             {modify}&ConnectionTrackingSpecification.TcpEstablishedTimeout=1
             {modify}&ConnectionTrackingSpecification.UdpStreamTimeout=1
             {modify}&ConnectionTrackingSpecification.UdpTimeout=1
             {modify}&EnablePrimaryIpv6=true
             {modify}&AssociatePublicIpAddress=true
             Action=ModifyNetworkInterfaceAttribute&NetworkInterfaceId=eni-0123&SourceDestCheck.Value=false"
        ),
        &expect![[r#"
            400 InvalidNetworkInterfaceID.NotFound: The networkInterface ID &apos;eni-0123&apos; does not exist
            400 InvalidParameterCombination: The parameter NetworkInterfaceIds cannot be used with the parameter maxResults
            400 InvalidPaginationToken: Next token &apos;garbage&apos; is invalid
            400 InvalidParameterValue: The filter &apos;color&apos; is invalid
            400 MissingParameter: The request must contain the parameter NetworkInterfaceId
            400 InvalidNetworkInterfaceID.NotFound: The networkInterface ID &apos;eni-0123&apos; does not exist
            400 InvalidParameterValue: Value ( 0 ) for parameter DeviceIndex is invalid. Expecting a whole number from 1 to 255.
            400 InvalidInstanceID.NotFound: The instance ID &apos;i-0123&apos; does not exist
            400 InvalidNetworkInterfaceID.NotFound: The networkInterface ID &apos;eni-0123&apos; does not exist
            400 InvalidAttachmentID.NotFound: The attachment &apos;eni-attach-d38350dfd07aeb7c7&apos; does not exist.
            400 InvalidNetworkInterfaceAttachmentId.Malformed: Invalid id: &quot;eni-0123&quot; (expecting &quot;eni-attach-...&quot;)
            400 InvalidParameterCombination: No attributes specified.
            400 InvalidParameterCombination: Fields for multiple attribute types specified: change one at a time
            400 InvalidParameterValue: Invalid value &apos;perhaps&apos; for SourceDestCheck.Value. Use true or false.
            400 InvalidGroup.NotFound: The security group &apos;sg-0123&apos; does not exist
            400 MissingParameter: The request must contain the parameter Attachment.AttachmentId
            400 InvalidAttachmentID.NotFound: The attachment &apos;eni-attach-d38350dfd07aeb7c7&apos; does not exist.
            400 InvalidParameterValue: Value ( 1 ) for parameter ConnectionTrackingSpecification.TcpEstablishedTimeout is invalid. Expecting a whole number from 60 to 432000.
            400 InvalidParameterValue: Value ( 1 ) for parameter ConnectionTrackingSpecification.UdpStreamTimeout is invalid. Expecting a whole number from 60 to 180.
            400 InvalidParameterValue: Value ( 1 ) for parameter ConnectionTrackingSpecification.UdpTimeout is invalid. Expecting a whole number from 30 to 60.
            400 UnsupportedOperation: The functionality of the parameter EnablePrimaryIpv6 is not supported here; leave it out.
            400 UnsupportedOperation: The functionality of the parameter AssociatePublicIpAddress is not supported here; leave it out.
            400 InvalidNetworkInterfaceID.NotFound: The networkInterface ID &apos;eni-0123&apos; does not exist
        "#]],
    );
}

#[test]
fn a_primary_interface_stays_with_its_instance() {
    let (mut estate, ..) = with_interface();
    let told =
        estate.succeed("Action=DescribeNetworkInterfaces&Filter.1.Name=attachment.device-index&Filter.1.Value.1=0");
    let (primary, attachment) = (id_in(&told, "networkInterfaceId"), id_in(&told, "attachmentId"));
    estate.refused(
        &format!(
            "Action=DetachNetworkInterface&AttachmentId={attachment}
             Action=DeleteNetworkInterface&NetworkInterfaceId={primary}"
        ),
        &expect![[r#"
            400 OperationNotPermitted: The network interface at device index 0 cannot be detached or deleted: $8
            400 OperationNotPermitted: The network interface at device index 0 cannot be detached or deleted: $8
        "#]],
    );
}
