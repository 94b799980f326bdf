//! Attributes of instances and interfaces one by one, and addresses that come later.

use expect_test::expect;

use super::interfaces::{id_in, with_interface};

#[test]
fn attributes_of_an_instance_are_told_and_changed() {
    let (mut estate, _, instance) = with_interface();
    let modify = format!("Action=ModifyInstanceAttribute&InstanceId={instance}");
    estate.succeed(&format!("{modify}&GroupId.1=$3"));
    estate.succeed(&format!("{modify}&SourceDestCheck.Value=false"));
    let mut told = String::new();
    for name in [
        "groupSet",
        "sourceDestCheck",
        "instanceType",
        "instanceInitiatedShutdownBehavior",
        "disableApiStop",
        "disableApiTermination",
        "ebsOptimized",
        "enaSupport",
        "blockDeviceMapping",
        "productCodes",
        "kernel",
        "ramdisk",
        "userData",
    ] {
        let reply =
            estate.succeed(&format!("Action=DescribeInstanceAttribute&InstanceId={instance}&Attribute={name}"));
        let inner =
            reply.split("</instanceId>").nth(1).unwrap().trim_end_matches("</DescribeInstanceAttributeResponse>");
        told += &format!("{name}: {inner}\n");
    }
    expect![[r#"
        groupSet: <groupSet><item><groupId>$3</groupId><groupName>web</groupName></item></groupSet>
        sourceDestCheck: <sourceDestCheck><value>false</value></sourceDestCheck>
        instanceType: <instanceType><value></value></instanceType>
        instanceInitiatedShutdownBehavior: <instanceInitiatedShutdownBehavior><value>stop</value></instanceInitiatedShutdownBehavior>
        disableApiStop: <disableApiStop><value>false</value></disableApiStop>
        disableApiTermination: <disableApiTermination><value>false</value></disableApiTermination>
        ebsOptimized: <ebsOptimized><value>false</value></ebsOptimized>
        enaSupport: <enaSupport><value>true</value></enaSupport>
        blockDeviceMapping: <blockDeviceMapping></blockDeviceMapping>
        productCodes: <productCodes></productCodes>
        kernel: <kernel></kernel>
        ramdisk: <ramdisk></ramdisk>
        userData: <userData></userData>
    "#]].assert_eq(&told);
}

#[test]
fn attributes_of_an_interface_are_told() {
    let (mut estate, eni, instance) = with_interface();
    estate.succeed(&format!(
        "Action=AttachNetworkInterface&NetworkInterfaceId={eni}&InstanceId={instance}&DeviceIndex=1"
    ));
    let of = format!("Action=DescribeNetworkInterfaceAttribute&NetworkInterfaceId={eni}&Attribute");
    let groups = estate.succeed(&format!("{of}=groupSet"));
    expect!["200 <DescribeNetworkInterfaceAttributeResponse><networkInterfaceId>$5</networkInterfaceId><groupSet><item><groupId>$3</groupId><groupName>web</groupName></item></groupSet></DescribeNetworkInterfaceAttributeResponse>"].assert_eq(&groups);
    assert!(estate.succeed(&format!("{of}=description")).contains("<description><value>spare</value></description>"));
    let check = estate.succeed(&format!("{of}=sourceDestCheck"));
    assert!(check.contains("<sourceDestCheck><value>true</value></sourceDestCheck>"));
    let attachment = estate.succeed(&format!("{of}=attachment"));
    assert!(attachment.contains(&format!("<instanceId>{instance}</instanceId>")), "{attachment}");
    // With two interfaces, each is changed by itself.
    let told = estate.told(&format!("Action=ModifyInstanceAttribute&InstanceId={instance}&GroupId.1=$3"));
    assert!(told.contains("<Code>InvalidInstanceID</Code>"), "{told}");
}

#[test]
fn addresses_come_and_go() {
    let (mut estate, eni, _) = with_interface();
    let assign = format!("Action=AssignPrivateIpAddresses&NetworkInterfaceId={eni}");
    let told = estate.succeed(&format!("{assign}&PrivateIpAddress.1=10.0.1.50&PrivateIpAddress.2=10.0.1.51"));
    expect!["200 <AssignPrivateIpAddressesResponse><networkInterfaceId>$5</networkInterfaceId><assignedPrivateIpAddressesSet><item><privateIpAddress>10.0.1.50</privateIpAddress></item><item><privateIpAddress>10.0.1.51</privateIpAddress></item></assignedPrivateIpAddressesSet><assignedIpv4PrefixSet></assignedIpv4PrefixSet></AssignPrivateIpAddressesResponse>"].assert_eq(&told);
    let told = estate.succeed(&format!("{assign}&SecondaryPrivateIpAddressCount=1"));
    let free = id_in(&told, "privateIpAddress");
    estate.succeed(&format!(
        "Action=UnassignPrivateIpAddresses&NetworkInterfaceId={eni}&PrivateIpAddress.1={free}&PrivateIpAddress.2=10.0.1.50"
    ));
    let told = estate.succeed(&format!("Action=DescribeNetworkInterfaces&NetworkInterfaceId.1={eni}"));
    assert_eq!(told.matches("<primary>").count(), 2, "{told}");
}

#[test]
fn attributes_and_addresses_are_refused() {
    let (mut estate, eni, instance) = with_interface();
    let modify = format!("Action=ModifyInstanceAttribute&InstanceId={instance}");
    let assign = format!("Action=AssignPrivateIpAddresses&NetworkInterfaceId={eni}");
    let unassign = format!("Action=UnassignPrivateIpAddresses&NetworkInterfaceId={eni}");
    estate.refused(
        &format!(
            "{modify}
             {modify}&GroupId.1=$3&SourceDestCheck.Value=true
             {modify}&GroupId.1=sg-0123
             {modify}&InstanceType.Value=t3.large
             {modify}&DisableApiTermination.Value=true
             {modify}&DisableApiStop.Value=true
             {modify}&UserData.Value=eA==
             Action=ModifyInstanceAttribute&InstanceId=i-0123&GroupId.1=$3
             Action=DescribeInstanceAttribute&InstanceId={instance}
             Action=DescribeInstanceAttribute&InstanceId={instance}&Attribute=color
             Action=DescribeInstanceAttribute&InstanceId=i-0123&Attribute=groupSet
             Action=DescribeNetworkInterfaceAttribute&NetworkInterfaceId={eni}
             Action=DescribeNetworkInterfaceAttribute&NetworkInterfaceId={eni}&Attribute=color
             Action=DescribeNetworkInterfaceAttribute&NetworkInterfaceId=eni-0123&Attribute=groupSet
             {assign}
             {assign}&PrivateIpAddress.1=10.0.1.60&SecondaryPrivateIpAddressCount=1
             {assign}&PrivateIpAddress.1=10.0.1.20
             {assign}&PrivateIpAddress.1=10.0.9.1
             {assign}&PrivateIpAddress.1=ten
             {assign}&SecondaryPrivateIpAddressCount=257
             {assign}&AllowReassignment=true&PrivateIpAddress.1=10.0.1.60
             {assign}&Ipv4PrefixCount=1
             {unassign}
             {unassign}&PrivateIpAddress.1=10.0.1.20
             {unassign}&PrivateIpAddress.1=10.0.1.99"
        ),
        &expect![[r#"
            400 InvalidParameterCombination: No attributes specified.
            400 InvalidParameterCombination: Fields for multiple attribute types specified: change one at a time
            400 InvalidGroup.NotFound: The security group &apos;sg-0123&apos; does not exist
            400 UnsupportedOperation: The functionality of the parameter InstanceType.Value is not supported here; leave it out.
            400 UnsupportedOperation: The functionality of the parameter DisableApiTermination.Value is not supported here; leave it out.
            400 UnsupportedOperation: The functionality of the parameter DisableApiStop.Value is not supported here; leave it out.
            400 UnsupportedOperation: The functionality of the parameter UserData.Value is not supported here; leave it out.
            400 InvalidInstanceID.NotFound: The instance ID &apos;i-0123&apos; does not exist
            400 MissingParameter: The request must contain the parameter Attribute
            400 InvalidParameterValue: Value (color) for parameter attribute is invalid. Unknown attribute.
            400 InvalidInstanceID.NotFound: The instance ID &apos;i-0123&apos; does not exist
            400 InvalidParameterCombination: No attributes specified.
            400 InvalidParameterValue: Value (color) for parameter attribute is invalid. Unknown attribute.
            400 InvalidNetworkInterfaceID.NotFound: The networkInterface ID &apos;eni-0123&apos; does not exist
            400 InvalidParameterCombination: Specify either private IP addresses or their number
            400 InvalidParameterCombination: Specify either private IP addresses or their number
            400 InvalidIPAddress.InUse: Address 10.0.1.20 is in use.
            400 InvalidParameterValue: Address 10.0.9.1 does not fall within the subnet&apos;s range
            400 InvalidParameterValue: Invalid value &apos;ten&apos; for private IP address.
            400 InvalidParameterValue: Value ( 257 ) for parameter SecondaryPrivateIpAddressCount is invalid. Expecting a whole number from 1 to 256.
            400 UnsupportedOperation: The functionality of the parameter AllowReassignment is not supported here; leave it out.
            400 UnsupportedOperation: The functionality of the parameter Ipv4PrefixCount is not supported here; leave it out.
            400 MissingParameter: The request must contain the parameter PrivateIpAddress
            400 InvalidParameterValue: Some of the specified addresses are not assigned to interface $5: 10.0.1.20
            400 InvalidParameterValue: Some of the specified addresses are not assigned to interface $5: 10.0.1.99
        "#]],
    );
}
