//! Network interfaces and the state of instances, from query to reply.

use crate::{ecs::check, estate::Estate};
use expect_test::expect;

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
