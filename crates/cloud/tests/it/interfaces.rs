//! Network interfaces and the state of instances, from query to reply.

use crate::{ecs::check, estate::Estate};
use expect_test::expect;
use sekimori_core::command::Command;

/// An estate with a free interface `$7` and an instance `$8` with its primary interface.
fn with_interface() -> Estate {
    let mut estate = Estate::furnished();
    estate
        .call("CreateNetworkInterface&VSwitchId=$4&SecurityGroupId=$5&PrimaryIpAddress=10.1.0.9&Ipv6AddressCount=1");
    estate.call("RunInstances&VSwitchId=$4&SecurityGroupId=$5&Amount=1");
    estate
}

#[test]
fn a_new_interface_is_shown_as_it_is() {
    let mut estate = Estate::furnished();
    check(
        &mut estate,
        "CreateNetworkInterface&VSwitchId=$4&SecurityGroupIds.1=$5&PrimaryIpAddress=10.1.0.9&PrivateIpAddress.1=10.1.0.8\
         &NetworkInterfaceName=backup&ConnectionTrackingConfiguration.UdpTimeout=80",
        &expect![[
            r#"{"NetworkInterfaceId":"$7","NetworkInterfaceName":"backup","Description":"","Status":"Available","Type":"Secondary","VpcId":"$1","VSwitchId":"$4","ZoneId":"cn-hangzhou-b","MacAddress":"02:9d:db:f5:56:df","PrivateIpAddress":"10.1.0.9","PrivateIpSets":{"PrivateIpSet":[{"PrivateIpAddress":"10.1.0.9","Primary":true},{"PrivateIpAddress":"10.1.0.8","Primary":false}]},"Ipv6Sets":{"Ipv6Set":[]},"Ipv4PrefixSets":{"Ipv4PrefixSet":[]},"Ipv6PrefixSets":{"Ipv6PrefixSet":[]},"SecurityGroupIds":{"SecurityGroupId":["$5"]},"SourceDestCheck":true,"DeleteOnRelease":true,"ServiceManaged":false,"NetworkInterfaceTrafficMode":"Standard","QueueNumber":1,"ResourceGroupId":"","CreationTime":"2018-12-12T07:28:38Z","Tags":{"Tag":[]}}"#
        ]],
    );
    check(
        &mut estate,
        "DescribeNetworkInterfaceAttribute&NetworkInterfaceId=$7",
        &expect![[
            r#"{"NetworkInterfaceId":"$7","NetworkInterfaceName":"backup","Description":"","Status":"Available","Type":"Secondary","VpcId":"$1","VSwitchId":"$4","ZoneId":"cn-hangzhou-b","MacAddress":"02:9d:db:f5:56:df","PrivateIpAddress":"10.1.0.9","PrivateIpSets":{"PrivateIpSet":[{"PrivateIpAddress":"10.1.0.9","Primary":true},{"PrivateIpAddress":"10.1.0.8","Primary":false}]},"Ipv6Sets":{"Ipv6Set":[]},"Ipv4PrefixSets":{"Ipv4PrefixSet":[]},"Ipv6PrefixSets":{"Ipv6PrefixSet":[]},"SecurityGroupIds":{"SecurityGroupId":["$5"]},"InstanceId":"","Attachment":{},"AssociatedPublicIp":{},"SourceDestCheck":true,"DeleteOnRelease":true,"ServiceManaged":false,"NetworkInterfaceTrafficMode":"Standard","QueueNumber":1,"ResourceGroupId":"","CreationTime":"2018-12-12T07:28:38Z","Tags":{"Tag":[]},"ConnectionTrackingConfiguration":{"TcpEstablishedTimeout":910,"TcpClosedAndTimeWaitTimeout":3,"UdpTimeout":80}}"#
        ]],
    );
}

#[test]
fn a_managed_interface_says_so_and_is_not_changed() {
    let mut estate = with_interface();
    let list = "DescribeNetworkInterfaces&ServiceManaged";
    assert!(!estate.call(&format!("{list}=true")).contains("$7"));
    estate.run(&Command::ManageEni { eni: estate.id(7).into(), managed_by: Some(42) });
    let shown = estate.call(&format!("{list}=true"));
    assert!(shown.contains("$7") && shown.contains(r#""ServiceManaged":true"#), "{shown}");
    assert!(shown.contains(r#""ServiceID":42"#) && !estate.call(&format!("{list}=false")).contains("$7"));
    for call in [
        "AttachNetworkInterface&NetworkInterfaceId=$7&InstanceId=$8",
        "DeleteNetworkInterface&NetworkInterfaceId=$7",
        "ModifyNetworkInterfaceAttribute&NetworkInterfaceId=$7&NetworkInterfaceName=mine",
        "JoinSecurityGroup&NetworkInterfaceId=$7&SecurityGroupId=$6",
    ] {
        let told = estate.call(call);
        assert!(told.starts_with("403 InvalidOperation.EniServiceManaged "), "{call}: {told}");
    }
}

#[test]
fn an_interface_moves_with_the_kernels() {
    let mut estate = with_interface();
    let status = |estate: &mut Estate| {
        let shown = estate.call("DescribeNetworkInterfaces&NetworkInterfaceId.1=$7");
        let found = shown.split("\"Status\":\"").nth(1).and_then(|rest| rest.split('"').next());
        found.unwrap_or_default().to_owned()
    };
    assert_eq!(status(&mut estate), "Available");
    check(&mut estate, "AttachNetworkInterface&NetworkInterfaceId=$7&InstanceId=$8", &expect!["{}"]);
    assert_eq!(status(&mut estate), "Attaching");
    estate.catch_up();
    assert_eq!(status(&mut estate), "InUse");
    check(&mut estate, "DetachNetworkInterface&NetworkInterfaceId=$7&InstanceId=$8", &expect!["{}"]);
    assert_eq!(status(&mut estate), "Detaching");
    estate.catch_up();
    assert_eq!(status(&mut estate), "Available");
}

#[test]
fn an_instance_changes_its_state_with_the_kernels() {
    let mut estate = with_interface();
    estate.catch_up();
    check(&mut estate, "StopInstance&InstanceId=$8&StoppedMode=KeepCharging", &expect!["{}"]);
    check(
        &mut estate,
        "DescribeInstanceStatus&InstanceId.1=$8",
        &expect![[
            r#"{"PageNumber":1,"PageSize":10,"TotalCount":1,"NextToken":"","InstanceStatuses":{"InstanceStatus":[{"InstanceId":"$8","Status":"Stopping"}]}}"#
        ]],
    );
    estate.catch_up();
    check(
        &mut estate,
        "DescribeInstanceStatus",
        &expect![[
            r#"{"PageNumber":1,"PageSize":10,"TotalCount":1,"NextToken":"","InstanceStatuses":{"InstanceStatus":[{"InstanceId":"$8","Status":"Stopped"}]}}"#
        ]],
    );
    check(
        &mut estate,
        "StopInstances&InstanceId.1=$8&InstanceId.2=i-no&BatchOptimization=SuccessFirst",
        &expect![[
            r#"{"InstanceResponses":{"InstanceResponse":[{"InstanceId":"$8","PreviousStatus":"Stopped","CurrentStatus":"Stopped","Code":"IncorrectInstanceStatus","Message":"The current status of the resource does not support this operation: `$8` is stopped, which this cannot be done in; start or stop it first."},{"InstanceId":"i-no","PreviousStatus":"","CurrentStatus":"","Code":"InvalidInstanceId.NotFound","Message":"The specified InstanceId does not exist."}]}}"#
        ]],
    );
    check(
        &mut estate,
        "StartInstances&InstanceId.1=$8",
        &expect![[
            r#"{"InstanceResponses":{"InstanceResponse":[{"InstanceId":"$8","PreviousStatus":"Stopped","CurrentStatus":"Starting","Code":"200","Message":"success"}]}}"#
        ]],
    );
}

#[test]
fn addresses_are_assigned_and_told() {
    let mut estate = with_interface();
    let assign = "AssignPrivateIpAddresses&NetworkInterfaceId=$7";
    check(
        &mut estate,
        &format!("{assign}&PrivateIpAddress.1=10.1.0.20"),
        &expect![[
            r#"{"AssignedPrivateIpAddressesSet":{"NetworkInterfaceId":"$7","PrivateIpSet":{"PrivateIpAddress":["10.1.0.20"]},"Ipv4PrefixSet":{"Ipv4Prefixes":[]}}}"#
        ]],
    );
    check(
        &mut estate,
        &format!("{assign}&PrivateIpAddress.1=10.1.0.20"),
        &expect![
            "403 InvalidIp.IpAssigned address `10.1.0.20` of subnet `$4` is another interface's; choose a free one."
        ],
    );
    check(
        &mut estate,
        &format!("{assign}&SecondaryPrivateIpAddressCount=49"),
        &expect![
            "403 InvalidOperation.Ipv4CountExceeded at most 50 private IPv4 addresses of one network interface; this request would make it 51."
        ],
    );
    check(
        &mut estate,
        "AssignIpv6Addresses&NetworkInterfaceId=$7&Ipv6AddressCount=1",
        &expect![[
            r#"{"NetworkInterfaceId":"$7","Ipv6Sets":{"Ipv6Address":["fd63:cbe1:e459:3201::11"]},"Ipv6PrefixSets":{"Ipv6Prefix":[]}}"#
        ]],
    );
    check(
        &mut estate,
        "UnassignPrivateIpAddresses&NetworkInterfaceId=$7&PrivateIpAddress.1=10.1.0.9",
        &expect![
            "403 InvalidIp.IpUnassigned `$7` has no secondary address `10.1.0.9`; describe the interface to see its addresses."
        ],
    );
}

#[test]
fn unsupported_kinds_are_refused_and_not_ignored() {
    let mut estate = with_interface();
    let create = "CreateNetworkInterface&VSwitchId=$4&SecurityGroupId=$5";
    check(
        &mut estate,
        &format!("{create}&InstanceType=Trunk"),
        &expect![[
            r#"400 InvalidParameter The specified parameter "InstanceType" is not valid: `Trunk` is not supported; use Secondary."#
        ]],
    );
    check(
        &mut estate,
        &format!("{create}&Ipv4PrefixCount=1"),
        &expect![[
            r#"400 InvalidParameter The specified parameter "Ipv4PrefixCount" is not valid: delegated prefixes are not supported; use addresses."#
        ]],
    );
    check(
        &mut estate,
        &format!("{create}&ConnectionTrackingConfiguration.TcpEstablishedTimeout=31"),
        &expect![[
            r#"400 InvalidParameter The specified parameter "ConnectionTrackingConfiguration.TcpEstablishedTimeout" is not valid: `31` is not one of 30, 60, 80, 100, 200, 300, 500, 700, 910."#
        ]],
    );
}

#[test]
fn types_are_found_by_names_with_dots() {
    let mut estate = Estate::new();
    let shown = estate.call("DescribeInstanceTypes&InstanceTypes.1=ecs.g7.large&InstanceTypeFamilies.1=ecs.g7");
    assert_eq!(shown.matches("InstanceTypeId").count(), 1, "{shown}");
    assert!(shown.contains("\"InstanceTypeId\":\"ecs.g7.large\""), "{shown}");
}

#[test]
fn what_is_asked_for_is_filtered() {
    let mut estate = with_interface();
    let shown = |estate: &mut Estate, call: &str| estate.call(call).matches("InstanceTypeId").count();
    let all = shown(&mut estate, "DescribeInstanceTypes");
    assert_eq!(shown(&mut estate, "DescribeInstanceTypes&InstanceTypeFamily=ecs.g7"), 2);
    assert_eq!(shown(&mut estate, "DescribeInstanceTypes&MinimumCpuCoreCount=3&MaximumCpuCoreCount=4"), all / 2);
    let enough = "MinimumEniPrivateIpAddressQuantity=50&MinimumEniIpv6AddressQuantity=10";
    assert_eq!(shown(&mut estate, &format!("DescribeInstanceTypes&{enough}")), all);
    assert_eq!(shown(&mut estate, "DescribeInstanceTypes&MinimumEniIpv6AddressQuantity=11"), 0);
    let first = estate.call("DescribeInstanceTypes&MaxResults=4");
    let token = first.split('"').skip_while(|word| *word != "NextToken").nth(2).unwrap().to_owned();
    assert_eq!(shown(&mut estate, &format!("DescribeInstanceTypes&MaxResults=4&NextToken={token}")), all - 4);
    assert!(estate.call("DescribeInstanceStatus&ClusterId=c-1").contains("\"TotalCount\":0"));
}

#[test]
fn tags_and_prefixes_of_interfaces() {
    let mut estate = with_interface();
    let create = "CreateNetworkInterface&VSwitchId=$4&SecurityGroupId=$5";
    for name in ["Ipv6PrefixCount", "Ipv4Prefix.1", "Ipv6Prefix.1"] {
        let told = estate.call(&format!("{create}&{name}=1"));
        assert!(told.starts_with("400 InvalidParameter"), "{told}");
    }
    for call in [
        "AssignIpv6Addresses&Ipv6PrefixCount=1",
        "AssignIpv6Addresses&Ipv6Prefix.1=::",
        "AssignPrivateIpAddresses&Ipv4PrefixCount=1",
        "AssignPrivateIpAddresses&Ipv4Prefix.1=1",
        "UnassignPrivateIpAddresses&Ipv4Prefix.1=1",
        "UnassignIpv6Addresses&Ipv6Prefix.1=::",
    ] {
        let told = estate.call(&format!("{call}&NetworkInterfaceId=$7"));
        assert!(told.starts_with("400 InvalidParameter"), "{told}");
    }
    estate.call(&format!("{create}&Tag.1.key=env&Tag.1.value=test"));
    let found = estate.call("DescribeNetworkInterfaces&Tag.1.key=env&Tag.1.value=test");
    assert!(found.contains("\"TotalCount\":1") && found.contains("\"TagKey\":\"env\""), "{found}");
    assert!(estate.call("DescribeNetworkInterfaces&Tag.1.Key=env&Tag.1.Value=prod").contains("\"TotalCount\":0"));
    let item = "NetworkInterface.1.InstanceType=Primary&NetworkInterface.1.VSwitchId=$4&NetworkInterface.1.SecurityGroupIds.1=$5";
    let more = "NetworkInterface.1.SourceDestCheck=false&NetworkInterface.1.Description=first&NetworkInterface.1.SecondaryPrivateIpAddressCount=1\
                &NetworkInterface.1.Ipv6Address.1=fe80::1";
    let told = estate.call(&format!("RunInstances&{item}&{more}"));
    assert!(told.starts_with("400 InvalidPrivateIpAddress"), "{told}");
}
