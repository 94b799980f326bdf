//! Instances, with their interfaces and reservations.

use expect_test::expect;
use sekimori_core::world::Revision;

use super::Estate;

#[test]
fn an_instance_is_started_shown_and_terminated() {
    let mut estate = Estate::furnished();
    estate.check(
        "Action=RunInstances&MinCount=1&MaxCount=1&ImageId=ami-1&InstanceType=t3.micro&SubnetId=$2\
         &SecurityGroupId.1=$3&PrivateIpAddress=10.0.1.9&TagSpecification.1.ResourceType=instance\
         &TagSpecification.1.Tag.1.Key=Name&TagSpecification.1.Tag.1.Value=web\
         &TagSpecification.2.ResourceType=network-interface&TagSpecification.2.Tag.1.Key=k",
        &expect!["200 <RunInstancesResponse><reservationId>$5</reservationId><ownerId>123456789012</ownerId><groupSet></groupSet><instancesSet><item><instanceId>$6</instanceId><imageId>ami-1</imageId><instanceState><code>0</code><name>pending</name></instanceState><dnsName></dnsName><reason></reason><amiLaunchIndex>0</amiLaunchIndex><productCodes></productCodes><instanceType>t3.micro</instanceType><launchTime>2018-12-12T07:28:41.000Z</launchTime><placement><availabilityZone>us-east-1a</availabilityZone><groupName></groupName><tenancy>default</tenancy></placement><monitoring><state>disabled</state></monitoring><architecture>x86_64</architecture><rootDeviceType>ebs</rootDeviceType><blockDeviceMapping></blockDeviceMapping><virtualizationType>hvm</virtualizationType><clientToken></clientToken><hypervisor>xen</hypervisor><ebsOptimized>false</ebsOptimized><enaSupport>true</enaSupport><subnetId>$2</subnetId><vpcId>$1</vpcId><privateDnsName>ip-10-0-1-9.ec2.internal</privateDnsName><privateIpAddress>10.0.1.9</privateIpAddress><sourceDestCheck>true</sourceDestCheck><groupSet><item><groupId>$3</groupId><groupName>web</groupName></item></groupSet><networkInterfaceSet><item><networkInterfaceId>$7</networkInterfaceId><subnetId>$2</subnetId><vpcId>$1</vpcId><description></description><ownerId>123456789012</ownerId><macAddress>ee:39:f0:ea:0a:5d</macAddress><privateIpAddress>10.0.1.9</privateIpAddress><privateDnsName>ip-10-0-1-9.ec2.internal</privateDnsName><sourceDestCheck>true</sourceDestCheck><groupSet><item><groupId>$3</groupId><groupName>web</groupName></item></groupSet><privateIpAddressesSet><item><privateIpAddress>10.0.1.9</privateIpAddress><primary>true</primary></item></privateIpAddressesSet><ipv6AddressesSet></ipv6AddressesSet><interfaceType>interface</interfaceType><status>in-use</status><attachment><attachmentId>eni-attach-ecde7677f423a2b7e</attachmentId><deviceIndex>0</deviceIndex><status>attached</status><attachTime>2018-12-12T07:28:41.000Z</attachTime><deleteOnTermination>true</deleteOnTermination><networkCardIndex>0</networkCardIndex></attachment></item></networkInterfaceSet><tagSet><item><key>Name</key><value>web</value></item></tagSet></item></instancesSet></RunInstancesResponse>"],
    );
    estate.applied = Revision(u64::MAX);
    let filters = "Filter.1.Name=instance-state-name&Filter.1.Value.1=running&Filter.2.Name=network-interface.group-id\
        &Filter.2.Value.1=$3&Filter.3.Name=private-dns-name&Filter.3.Value.1=ip-10-0-1-9.*";
    assert!(estate.succeed(&format!("Action=DescribeInstances&{filters}")).contains("<code>16</code>"));
    let instance = estate.ids.iter().position(|id| id.starts_with("i-")).unwrap() + 1;
    estate.check(&format!("Action=TerminateInstances&InstanceId.1=${instance}"), &expect!["200 <TerminateInstancesResponse><instancesSet><item><instanceId>$6</instanceId><currentState><code>32</code><name>shutting-down</name></currentState><previousState><code>16</code><name>running</name></previousState></item></instancesSet></TerminateInstancesResponse>"]);
    estate.check(
        &format!("Action=DescribeInstances&InstanceId.1=${instance}&Filter.1.Name=instance-state-name&Filter.1.Value.1=terminated"),
        &expect!["200 <DescribeInstancesResponse><reservationSet><item><reservationId>$5</reservationId><ownerId>123456789012</ownerId><groupSet></groupSet><instancesSet><item><instanceId>$6</instanceId><imageId>ami-1</imageId><instanceState><code>48</code><name>terminated</name></instanceState><dnsName></dnsName><reason></reason><amiLaunchIndex>0</amiLaunchIndex><productCodes></productCodes><instanceType>t3.micro</instanceType><launchTime>2018-12-12T07:28:41.000Z</launchTime><placement><availabilityZone>us-east-1a</availabilityZone><groupName></groupName><tenancy>default</tenancy></placement><monitoring><state>disabled</state></monitoring><architecture>x86_64</architecture><rootDeviceType>ebs</rootDeviceType><blockDeviceMapping></blockDeviceMapping><virtualizationType>hvm</virtualizationType><clientToken></clientToken><hypervisor>xen</hypervisor><ebsOptimized>false</ebsOptimized><enaSupport>true</enaSupport><networkInterfaceSet></networkInterfaceSet><tagSet><item><key>Name</key><value>web</value></item></tagSet></item></instancesSet></item></reservationSet></DescribeInstancesResponse>"],
    );
    // Whoever does it once more learns that it was done; it is nowhere, and can do nothing.
    estate.check(&format!("Action=TerminateInstances&InstanceId.1=${instance}"), &expect!["200 <TerminateInstancesResponse><instancesSet><item><instanceId>$6</instanceId><currentState><code>48</code><name>terminated</name></currentState><previousState><code>48</code><name>terminated</name></previousState></item></instancesSet></TerminateInstancesResponse>"]);
    let nowhere = "Action=DescribeInstances&Filter.1.Name=vpc-id&Filter.1.Value.1=$1";
    estate.check(
        nowhere,
        &expect!["200 <DescribeInstancesResponse><reservationSet></reservationSet></DescribeInstancesResponse>"],
    );
    estate.refused(
        &format!("Action=StartInstances&InstanceId.1=${instance}"),
        &expect![[r#"
        400 InvalidInstanceID.NotFound: The instance ID &apos;$6&apos; does not exist
    "#]],
    );
    estate.region = "eu-west-1";
    estate.check(
        "Action=DescribeInstances",
        &expect!["200 <DescribeInstancesResponse><reservationSet></reservationSet></DescribeInstancesResponse>"],
    );
}

#[test]
fn instances_of_one_call_are_one_reservation_and_get_the_default_group() {
    let mut estate = Estate::furnished();
    estate.succeed("Action=RunInstances&MinCount=1&MaxCount=2&SubnetId=$2");
    estate.succeed("Action=RunInstances&MinCount=1&MaxCount=1&SubnetId=$2");
    let told = estate.succeed("Action=DescribeInstances&Filter.1.Name=instance.group-name&Filter.1.Value.1=default");
    assert_eq!(told.matches("<reservationId>").count(), 2);
    assert_eq!(told.matches("<instanceState>").count(), 3);
    assert_eq!(told.matches("<amiLaunchIndex>1</amiLaunchIndex>").count(), 1);
}

#[test]
fn interfaces_may_be_described_one_by_one() {
    let mut estate = Estate::furnished();
    let item = |number: u32| {
        format!("&NetworkInterface.{number}.DeviceIndex={number}&NetworkInterface.{number}.SubnetId=$2")
    };
    let call = format!(
        "Action=RunInstances&MinCount=1&MaxCount=1{}{}&NetworkInterface.0.SecurityGroupId.1=$3\
         &NetworkInterface.0.SecondaryPrivateIpAddressCount=1&NetworkInterface.1.DeleteOnTermination=false",
        item(0),
        item(1)
    );
    let told = estate.succeed(&call);
    assert_eq!(told.matches("<networkInterfaceId>").count(), 2);
    assert_eq!(told.matches("<primary>false</primary>").count(), 1);
    assert!(told.contains("<deleteOnTermination>false</deleteOnTermination>"));
}

#[test]
fn instances_stop_start_and_reboot() {
    let mut estate = Estate::furnished();
    estate.succeed("Action=RunInstances&MinCount=1&MaxCount=1&SubnetId=$2");
    let told = estate.succeed("Action=DescribeInstances");
    let id = told.split("<instanceId>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let mut call = |action: &str| estate.succeed(&format!("Action={action}&InstanceId.1={id}")).replace(&id, "…");
    let all = [call("RebootInstances"), call("StopInstances"), call("StopInstances"), call("StartInstances")];
    expect![[r#"
        200 <RebootInstancesResponse><return>true</return></RebootInstancesResponse>
        200 <StopInstancesResponse><instancesSet><item><instanceId>…</instanceId><currentState><code>64</code><name>stopping</name></currentState><previousState><code>16</code><name>running</name></previousState></item></instancesSet></StopInstancesResponse>
        200 <StopInstancesResponse><instancesSet><item><instanceId>…</instanceId><currentState><code>64</code><name>stopping</name></currentState><previousState><code>80</code><name>stopped</name></previousState></item></instancesSet></StopInstancesResponse>
        200 <StartInstancesResponse><instancesSet><item><instanceId>…</instanceId><currentState><code>0</code><name>pending</name></currentState><previousState><code>80</code><name>stopped</name></previousState></item></instancesSet></StartInstancesResponse>"#]].assert_eq(&all.join("\n"));
    estate.succeed(&format!("Action=StopInstances&InstanceId.1={id}"));
    let told = estate.told(&format!("Action=RebootInstances&InstanceId.1={id}")).replace(&id, "…");
    expect!["400 <Response><Errors><Error><Code>IncorrectInstanceState</Code><Message>The instance &apos;…&apos; is not in a state from which this can be done.</Message></Error></Errors></Response>"].assert_eq(&told);
    estate.refused(
        "Action=StartInstances
         Action=StopInstances&InstanceId.1=i-0123
         Action=StopInstances&InstanceId.1=i-0123&Hibernate=true
         Action=RebootInstances&InstanceId.1=web",
        &expect![[r#"
            400 MissingParameter: The request must contain the parameter InstanceId
            400 InvalidInstanceID.NotFound: The instance ID &apos;i-0123&apos; does not exist
            400 UnsupportedOperation: The functionality of the parameter Hibernate is not supported here; leave it out.
            400 InvalidInstanceID.Malformed: Invalid id: &quot;web&quot; (expecting &quot;i-...&quot;)
        "#]],
    );
}

#[test]
fn a_token_is_for_one_call() {
    let mut estate = Estate::furnished();
    let run = "Action=RunInstances&MinCount=1&MaxCount=1&SubnetId=$2&ClientToken=t-1";
    let first = estate.succeed(run);
    assert_eq!(estate.succeed(run), first);
    estate.refused(&format!("{run}&ImageId=ami-2"), &expect![[r#"
        400 IdempotentParameterMismatch: The request uses the same client token as a previous, but non-identical request.
    "#]]);
}

#[test]
fn instances_are_refused() {
    let mut estate = Estate::furnished();
    estate.succeed("Action=RunInstances&MinCount=1&MaxCount=1&SubnetId=$2&PrivateIpAddress=10.0.1.9");
    let run = "Action=RunInstances&MinCount=1&MaxCount=1";
    let groups: String = (0..6).map(|number| format!("&SecurityGroupId.{number}=$3")).collect();
    estate.refused(
        &format!(
            "Action=RunInstances&SubnetId=$2
             {run}
             {run}&SubnetId=subnet-0123
             {run}&SubnetId=$2&SecurityGroupId.1=sg-0123
             {run}&SubnetId=$2&SecurityGroup.1=web
             {run}&SubnetId=$2&PrivateIpAddress=10.0.1.9
             {run}&SubnetId=$2&PrivateIpAddress=10.0.2.9
             {run}&SubnetId=$2&PrivateIpAddress=ten
             {run}&SubnetId=$2&Ipv6AddressCount=1
             {run}&SubnetId=$2&Ipv6Address.1.Ipv6Address=ten
             {run}&SubnetId=$2&LaunchTemplate.LaunchTemplateId=lt-1
             {run}&SubnetId=$2&Placement.AvailabilityZone=us-east-1c
             {run}&SubnetId=$2&ClientToken=%E6%9D%B1
             {run}&SubnetId=$2&NetworkInterface.1.DeviceIndex=0&NetworkInterface.1.SubnetId=$2
             {run}&NetworkInterface.1.DeviceIndex=1&NetworkInterface.1.SubnetId=$2
             {run}&NetworkInterface.1.DeviceIndex=0&NetworkInterface.1.NetworkInterfaceId=eni-0123
             Action=RunInstances&MinCount=2&MaxCount=1&SubnetId=$2
             Action=RunInstances&MinCount=1&MaxCount=101&SubnetId=$2
             Action=RunInstances&MinCount=1&MaxCount=2&SubnetId=$2&PrivateIpAddress=10.0.1.10
             Action=TerminateInstances
             Action=TerminateInstances&InstanceId.1=i-0123
             Action=TerminateInstances&InstanceId.1=web
             Action=DescribeInstances&InstanceId.1=i-0123"
        ),
        &expect![[r#"
            400 MissingParameter: The request must contain the parameter MinCount
            400 VPCIdNotSpecified: No default VPC for this user. GroupName is only supported for EC2-Classic and default VPC.
            400 InvalidSubnetID.NotFound: The subnet ID &apos;subnet-0123&apos; does not exist
            400 InvalidGroup.NotFound: The security group &apos;sg-0123&apos; does not exist
            400 InvalidParameterCombination: The parameter groupName (&apos;web&apos;) cannot be used with the parameter subnet
            400 InvalidIPAddress.InUse: Address 10.0.1.9 is in use.
            400 InvalidParameterValue: Address 10.0.2.9 does not fall within the subnet&apos;s range
            400 InvalidParameterValue: Invalid value &apos;ten&apos; for private IP address.
            400 InvalidParameterValue: &apos;$2&apos; has no IPv6 CIDR block; associate one before asking for IPv6 addresses
            400 InvalidParameterValue: Invalid value &apos;ten&apos; for IPv6 address.
            400 UnsupportedOperation: The functionality of the parameter LaunchTemplate.LaunchTemplateId is not supported here; leave it out.
            400 InvalidParameterValue: The availability zone us-east-1c is not that of the subnet &apos;$2&apos;
            400 InvalidParameterValue: Invalid client token: use at most 64 printable characters.
            400 InvalidParameterCombination: Network interfaces and an instance-level subnet ID, security groups or private IP address may not be specified on the same request
            400 InvalidParameterCombination: A network interface of device index 0 is needed.
            400 InvalidParameterCombination: A primary network interface is made with its instance; describe it instead of naming one
            400 InvalidParameterValue: Maximum instance count 1 must not be smaller than minimum instance count 2
            400 InstanceLimitExceeded: You have requested more instances than 100 in one call.
            400 InvalidParameterCombination: Addresses and existing network interfaces are for one instance; launch one at a time
            400 MissingParameter: The request must contain the parameter InstanceId
            400 InvalidInstanceID.NotFound: The instance ID &apos;i-0123&apos; does not exist
            400 InvalidInstanceID.Malformed: Invalid id: &quot;web&quot; (expecting &quot;i-...&quot;)
            400 InvalidInstanceID.NotFound: The instance ID &apos;i-0123&apos; does not exist
        "#]],
    );
    estate.succeed(&format!("{run}&SubnetId=$2{groups}"));
}
