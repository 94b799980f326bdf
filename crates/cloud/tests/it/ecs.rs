//! The ECS API from query to reply, over the real meaning in `core`.

use crate::estate::Estate;
use expect_test::{Expect, expect};

pub(crate) fn check(estate: &mut Estate, call: &str, expected: &Expect) {
    expected.assert_eq(&estate.call(call));
}

#[test]
fn networks_are_created_shown_and_deleted() {
    let mut estate = Estate::new();
    check(
        &mut estate,
        "CreateVpc&Version=2016-04-28&CidrBlock=10.0.0.0/8&VpcName=prod&EnableIpv6=True&Ipv6CidrBlock=2001:db8:1:100::/56",
        &expect![[r#"{"VpcId":"$1","VRouterId":"$2","RouteTableId":"$3","ResourceGroupId":""}"#]],
    );
    check(
        &mut estate,
        "CreateVSwitch&Version=2016-04-28&VpcId=$1&ZoneId=cn-hangzhou-b&CidrBlock=10.1.0.0/24&Ipv6CidrBlock=16",
        &expect![[r#"{"VSwitchId":"$4"}"#]],
    );
    check(
        &mut estate,
        "DescribeVpcs&Version=2016-04-28",
        &expect![[
            r#"{"PageNumber":1,"PageSize":10,"TotalCount":1,"NextToken":"","Vpcs":{"Vpc":[{"VpcId":"$1","VpcName":"prod","Description":"","RegionId":"cn-hangzhou","Status":"Available","CidrBlock":"10.0.0.0/8","EnabledIpv6":true,"Ipv6CidrBlock":"2001:db8:1:100::/56","Ipv6CidrBlocks":{"Ipv6CidrBlock":[{"Ipv6CidrBlock":"2001:db8:1:100::/56","Ipv6Isp":"BGP"}]},"CreationTime":"2018-12-12T07:28:38Z","IsDefault":false,"OwnerId":1234567890123456,"ResourceGroupId":"","VRouterId":"$2","RouterTableIds":{"RouterTableIds":["$3"]},"VSwitchIds":{"VSwitchId":["$4"]},"UserCidrs":{"UserCidr":[]},"SecondaryCidrBlocks":{"SecondaryCidrBlock":[]},"NatGatewayIds":{"NatGatewayIds":[]},"Tags":{"Tag":[]}}]}}"#
        ]],
    );
    check(
        &mut estate,
        "DescribeVSwitches&Version=2016-04-28&VpcId=$1",
        &expect![[
            r#"{"PageNumber":1,"PageSize":10,"TotalCount":1,"NextToken":"","VSwitches":{"VSwitch":[{"VSwitchId":"$4","VpcId":"$1","VSwitchName":"","Description":"","ZoneId":"cn-hangzhou-b","Status":"Available","CidrBlock":"10.1.0.0/24","EnabledIpv6":true,"Ipv6CidrBlock":"2001:db8:1:110::/64","AvailableIpAddressCount":252,"CreationTime":"2018-12-12T07:28:38Z","IsDefault":false,"OwnerId":1234567890123456,"ResourceGroupId":"","NetworkAclId":"","RouteTable":{"RouteTableId":"$3","RouteTableType":"System"},"Tags":{"Tag":[]}}]}}"#
        ]],
    );
    check(
        &mut estate,
        "DeleteVpc&Version=2016-04-28&VpcId=$1",
        &expect!["400 DependencyViolation.VSwitch Specified object has dependent resources."],
    );
    check(&mut estate, "DeleteVSwitch&VSwitchId=$4", &expect!["{}"]);
    check(&mut estate, "DeleteVpc&VpcId=$1", &expect!["{}"]);
    check(
        &mut estate,
        "DescribeVpcs&Version=2016-04-28",
        &expect![[r#"{"PageNumber":1,"PageSize":10,"TotalCount":0,"NextToken":"","Vpcs":{"Vpc":[]}}"#]],
    );
}

#[test]
fn vpcs_are_refused() {
    let mut estate = Estate::furnished();
    check(
        &mut estate,
        "CreateVpc&CidrBlock=10.0.0.0/40",
        &expect!["400 InvalidParameter Specified CIDR block is not valid."],
    );
    check(
        &mut estate,
        "CreateVpc&CidrBlock=127.0.0.0/8",
        &expect![
            "400 InvalidParameter Specified CIDR block is not valid. (it is reserved; use a block of 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16)"
        ],
    );
    check(
        &mut estate,
        "CreateVpc&Ipv6CidrBlock=2001:db8::/48",
        &expect![
            "400 InvalidParameter Specified CIDR block is not valid. (the IPv6 block of a VPC is a /56 whose host bits are zero)"
        ],
    );
    check(
        &mut estate,
        "CreateVpc&RegionId=",
        &expect![[
            r#"400 MissingParameter The input parameter "RegionId" that is required for processing this request is not supplied."#
        ]],
    );
    check(
        &mut estate,
        "CreateVpc&RegionId=mars-1",
        &expect!["404 InvalidRegionId.NotFound The specified RegionId does not exist."],
    );
}

#[test]
fn vswitches_are_refused() {
    let mut estate = Estate::furnished();
    let vswitch = "CreateVSwitch&Version=2016-04-28&VpcId=$1&ZoneId=cn-hangzhou-b";
    check(
        &mut estate,
        &format!("{vswitch}&CidrBlock=10.1.0.128/25"),
        &expect!["400 InvalidCidrBlock.Overlapped Specified CIDR block overlapped with other subnets."],
    );
    check(
        &mut estate,
        &format!("{vswitch}&CidrBlock=192.168.0.0/24"),
        &expect![
            "400 InvalidParameter Specified CIDR block is not valid in VPC. (it is not within 10.0.0.0/8 of its VPC)"
        ],
    );
    check(
        &mut estate,
        &format!("{vswitch}&CidrBlock=10.2.0.0/24&Ipv6CidrBlock=256"),
        &expect![[
            r#"400 InvalidParameter The specified parameter "Ipv6CidrBlock" is not valid: `256` is not a whole number from 0 to 255."#
        ]],
    );
    check(
        &mut estate,
        "CreateVSwitch&VpcId=$1&ZoneId=cn-beijing-b&CidrBlock=10.2.0.0/24",
        &expect!["404 InvalidZoneId.NotFound Specified zone does not exist."],
    );
    check(
        &mut estate,
        "CreateVSwitch&VpcId=vpc-no&ZoneId=cn-hangzhou-b&CidrBlock=10.2.0.0/24",
        &expect!["404 InvalidVpcId.NotFound Specified VPC does not exist."],
    );
    check(
        &mut estate,
        "DeleteVSwitch&VSwitchId=vsw-no",
        &expect!["404 InvalidVSwitchId.NotFound Specified virtual switch does not exist."],
    );
    check(
        &mut estate,
        "DeleteVpc&VpcId=$1&RegionId=cn-beijing",
        &expect!["404 InvalidVpcId.NotFound Specified VPC does not exist."],
    );
}

#[test]
fn instances_start_run_and_go() {
    let mut estate = Estate::furnished();
    check(
        &mut estate,
        "RunInstances&VSwitchId=$4&SecurityGroupIds.1=$5&ImageId=any&InstanceType=ecs.any&Amount=2&Ipv6AddressCount=1&InstanceName=db",
        &expect![[r#"{"InstanceIdSets":{"InstanceIdSet":["$7","$8"]}}"#]],
    );
    let one = "DescribeInstances&InstanceIds=[\"$7\"]";
    assert!(estate.call(one).contains("\"Status\":\"Starting\""));
    estate.catch_up();
    check(
        &mut estate,
        one,
        &expect![[
            r#"{"PageNumber":1,"PageSize":10,"TotalCount":1,"NextToken":"","Instances":{"Instance":[{"InstanceId":"$7","InstanceName":"db","Description":"","HostName":"$7","RegionId":"cn-hangzhou","ZoneId":"cn-hangzhou-b","Status":"Running","ImageId":"any","InstanceType":"ecs.any","CreationTime":"2018-12-12T07:28Z","InstanceNetworkType":"vpc","InstanceChargeType":"PostPaid","InternetChargeType":"PayByTraffic","IoOptimized":true,"DeletionProtection":false,"ResourceGroupId":"","SecurityGroupIds":{"SecurityGroupId":["$5"]},"VpcAttributes":{"VpcId":"$1","VSwitchId":"$4","PrivateIpAddress":{"IpAddress":["10.1.0.1"]},"NatIpAddress":""},"NetworkInterfaces":{"NetworkInterface":[{"NetworkInterfaceId":"$9","Type":"Primary","MacAddress":"9e:54:fe:5c:61:63","PrimaryIpAddress":"10.1.0.1","PrivateIpSets":{"PrivateIpSet":[{"PrivateIpAddress":"10.1.0.1","Primary":true}]},"Ipv6Sets":{"Ipv6Set":[{"Ipv6Address":"fd63:cbe1:e459:3201::10"}]}}]},"InnerIpAddress":{"IpAddress":[]},"PublicIpAddress":{"IpAddress":[]},"EipAddress":{"AllocationId":"","IpAddress":"","InternetChargeType":""},"OperationLocks":{"LockReason":[]},"Tags":{"Tag":[]}}]}}"#
        ]],
    );
    assert!(estate.call("DescribeInstances&SecurityGroupId=$5").contains("\"TotalCount\":2"));
    assert!(estate.call("DescribeInstances&PrivateIpAddresses=[\"10.1.0.2\"]").contains("\"TotalCount\":1"));
    assert!(estate.call("DescribeInstances&Ipv6Address.1=2001:db8::1").contains("\"TotalCount\":0"));
    assert!(estate.call("DescribeInstances&Ipv6Address.1=10.1.0.2").starts_with("400 InvalidParameter"));
    assert!(estate.call("DescribeInstances&InstanceIds=[]").contains("\"TotalCount\":0"));
    check(
        &mut estate,
        "DeleteSecurityGroup&SecurityGroupId=$5",
        &expect!["403 DependencyViolation There is still instance(s) in the specified security group."],
    );
    check(
        &mut estate,
        "DeleteVSwitch&VSwitchId=$4",
        &expect!["400 DependencyViolation Specified object has dependent resources."],
    );
    check(&mut estate, "DeleteInstances&Force=true&InstanceId.1=$7&InstanceId.2=$8&InstanceId.3=$7", &expect!["{}"]);
    check(
        &mut estate,
        "DeleteInstance&InstanceId=$7",
        &expect!["404 InvalidInstanceId.NotFound The specified InstanceId does not exist."],
    );
}

#[test]
fn instances_are_refused() {
    let mut estate = Estate::furnished();
    let mut told = String::new();
    for rest in [
        "SecurityGroupId=$5",
        "VSwitchId=$4&SecurityGroupId=$5&Amount=2&NetworkInterface.1.NetworkInterfaceId=eni-1",
        "VSwitchId=vsw-no&SecurityGroupId=$5",
        "VSwitchId=$4&SecurityGroupId=sg-no",
        "VSwitchId=$4&SecurityGroupId=$5&SecurityGroupIds.1=$5",
        "VSwitchId=$4&SecurityGroupIds.1=$5&SecurityGroupIds.2=$6",
        "VSwitchId=$4&SecurityGroupId=$5&Amount=0",
        "VSwitchId=$4&SecurityGroupId=$5&Amount=101",
        "VSwitchId=$4&SecurityGroupId=$5&Amount=2&PrivateIpAddress=10.1.0.9",
        "VSwitchId=$4&SecurityGroupId=$5&PrivateIpAddress=10.1.0.254",
        "VSwitchId=$4&SecurityGroupId=$5&PrivateIpAddress=here",
        "VSwitchId=$4&SecurityGroupId=$5&ZoneId=cn-hangzhou-c",
        "VSwitchId=$4&SecurityGroupId=$5&InstanceName=1",
        "VSwitchId=$4&SecurityGroupId=$5&NetworkInterface.1.InstanceType=Tertiary",
    ] {
        told.push_str(&estate.call(&format!("RunInstances&{rest}")));
        told.push('\n');
    }
    expect![[r#"
        400 MissingParameter The input parameter "VSwitchId" that is required for processing this request is not supplied.
        403 InvalidParam.Amount The specified parameter Amount is not valid: with addresses or interfaces that exist it must be 1.
        404 InvalidVSwitchId.NotFound Specified virtual switch does not exist.
        404 InvalidSecurityGroupId.NotFound The specified SecurityGroupId does not exist.
        400 InvalidParameter The specified parameter "SecurityGroupId" is not valid: it cannot be used together with SecurityGroupIds; give one of the two.
        400 InvalidOperation.MultiGroupType The specified instance can't join different types of security group.
        403 InvalidParam.Amount The specified parameter Amount is not valid: it must be a positive whole number.
        403 InvalidParam.Amount at most 100 instances in one call; this request would make it 101.
        403 InvalidParam.Amount The specified parameter Amount is not valid: with addresses or interfaces that exist it must be 1.
        400 InvalidPrivateIpAddress Specified private IP address is not in the CIDR block of virtual switch.
        400 InvalidPrivateIpAddress.Malformed Specified private IP address is malformed.
        404 InvalidZoneId.NotFound Specified zone does not exist.
        400 InvalidInstanceName.Malformed The specified parameter "InstanceName" is not valid.
        400 InvalidParameter The specified parameter "NetworkInterface.N.InstanceType" is not valid: `Tertiary` is neither Primary nor Secondary.
    "#]].assert_eq(&told);
    check(
        &mut estate,
        "DeleteInstances&Force=true",
        &expect![[
            r#"400 MissingParameter The input parameter "InstanceId.1" that is required for processing this request is not supplied."#
        ]],
    );
}

#[test]
fn members_join_and_leave() {
    let mut estate = Estate::furnished();
    estate.call("CreateSecurityGroup&VpcId=$1&SecurityGroupName=second");
    estate.call("RunInstances&VSwitchId=$4&SecurityGroupId=$5&PrivateIpAddress=10.1.0.9");
    check(
        &mut estate,
        "RunInstances&VSwitchId=$4&SecurityGroupId=$5&PrivateIpAddress=10.1.0.9",
        &expect!["400 InvalidPrivateIpAddress.Duplicated Specified private IP address is duplicated."],
    );
    check(&mut estate, "JoinSecurityGroup&RegionId=&SecurityGroupId=$7&InstanceId=$8", &expect!["{}"]);
    check(
        &mut estate,
        "JoinSecurityGroup&SecurityGroupId=$7&InstanceId=$8",
        &expect![
            "403 InvalidInstanceId.AlreadyExists The specified instance already exists in the specified security group."
        ],
    );
    check(
        &mut estate,
        "JoinSecurityGroup&SecurityGroupId=$6&InstanceId=$8",
        &expect![
            "400 InvalidOperation.MultiGroupType The specified instance can't join different types of security group."
        ],
    );
    check(
        &mut estate,
        "JoinSecurityGroup&SecurityGroupId=$5",
        &expect![[
            r#"400 MissingParameter The input parameter "InstanceId" that is required for processing this request is not supplied."#
        ]],
    );
    check(
        &mut estate,
        "JoinSecurityGroup&SecurityGroupId=$5&InstanceId=$8&NetworkInterfaceId=eni-1",
        &expect![
            "403 InvalidParam.EniIdAndInstanceId.Conflict The parameters NetworkInterfaceId and InstanceId cannot be specified at the same time."
        ],
    );
    check(
        &mut estate,
        "JoinSecurityGroup&RegionId=&SecurityGroupId=$5&NetworkInterfaceId=eni-1",
        &expect!["400 MissingParameter.RegionId The specified RegionId should not be null."],
    );
    check(
        &mut estate,
        "JoinSecurityGroup&SecurityGroupId=$5&NetworkInterfaceId=eni-1",
        &expect!["404 InvalidEniId.NotFound The specified EniId is not found."],
    );
    check(&mut estate, "LeaveSecurityGroup&SecurityGroupId=$5&InstanceId=$8", &expect!["{}"]);
    check(
        &mut estate,
        "LeaveSecurityGroup&SecurityGroupId=$5&InstanceId=$8",
        &expect!["400 InvalidSecurityGroupAssociation.NotFound `$8` is not in `$5`."],
    );
    check(
        &mut estate,
        "LeaveSecurityGroup&SecurityGroupId=$7&InstanceId=$8",
        &expect![
            "403 InstanceLastSecurityGroup The specified security group is the last security group for the instance."
        ],
    );
    check(
        &mut estate,
        "LeaveSecurityGroup&SecurityGroupId=$7&InstanceId=i-no",
        &expect!["404 InvalidInstanceId.NotFound The specified InstanceId does not exist."],
    );
}

#[test]
fn the_other_dialect_and_other_accounts_see_nothing() {
    let mut estate = Estate::furnished();
    check(
        estate.as_account("2"),
        "DescribeSecurityGroups",
        &expect!["404 InvalidAccessKeyId.NotFound Specified access key is not found."],
    );
    estate.as_account("3");
    check(
        &mut estate,
        "DescribeSecurityGroups",
        &expect![[
            r#"{"RegionId":"cn-hangzhou","PageNumber":1,"PageSize":10,"TotalCount":0,"NextToken":"","SecurityGroups":{"SecurityGroup":[]}}"#
        ]],
    );
    check(
        &mut estate,
        "DescribeSecurityGroupAttribute&SecurityGroupId=$5",
        &expect!["404 InvalidSecurityGroupId.NotFound The specified SecurityGroupId does not exist."],
    );
    check(
        &mut estate,
        "DeleteSecurityGroup&SecurityGroupId=$5",
        &expect!["404 InvalidSecurityGroup.NotFound The specified security group is not found."],
    );
    check(&mut estate, "DeleteVpc&VpcId=$1", &expect!["404 InvalidVpcId.NotFound Specified VPC does not exist."]);
}

#[test]
fn xml_is_the_default_of_rpc_version_1() {
    let mut estate = Estate::furnished();
    let group = "DescribeSecurityGroupAttribute&SecurityGroupId=$5&Format=XML";
    estate.call("AuthorizeSecurityGroup&SecurityGroupId=$5&IpProtocol=tcp&PortRange=22/22&SourceCidrIp=10.0.0.1");
    check(
        &mut estate,
        group,
        &expect![[
            r#"<?xml version="1.0" encoding="UTF-8"?><DescribeSecurityGroupAttributeResponse><RequestId>R</RequestId><SecurityGroupId>$5</SecurityGroupId><SecurityGroupName>web</SecurityGroupName><Description></Description><VpcId>$1</VpcId><RegionId>cn-hangzhou</RegionId><InnerAccessPolicy>Accept</InnerAccessPolicy><SnapshotPolicyIds></SnapshotPolicyIds><NextToken></NextToken><Permissions><Permission><SecurityGroupRuleId>$7</SecurityGroupRuleId><Direction>ingress</Direction><IpProtocol>TCP</IpProtocol><PortRange>22/22</PortRange><PortRangeListId></PortRangeListId><PortRangeListName></PortRangeListName><SourcePortRange></SourcePortRange><SourceCidrIp>10.0.0.1</SourceCidrIp><Ipv6SourceCidrIp></Ipv6SourceCidrIp><SourceGroupId></SourceGroupId><SourceGroupName></SourceGroupName><SourceGroupOwnerAccount></SourceGroupOwnerAccount><SourcePrefixListId></SourcePrefixListId><SourcePrefixListName></SourcePrefixListName><DestCidrIp></DestCidrIp><Ipv6DestCidrIp></Ipv6DestCidrIp><DestGroupId></DestGroupId><DestGroupName></DestGroupName><DestGroupOwnerAccount></DestGroupOwnerAccount><DestPrefixListId></DestPrefixListId><DestPrefixListName></DestPrefixListName><NicType>intranet</NicType><Policy>Accept</Policy><Priority>1</Priority><Description></Description><CreateTime>2018-12-12T07:28:38Z</CreateTime></Permission></Permissions></DescribeSecurityGroupAttributeResponse>"#
        ]],
    );
    check(
        &mut estate,
        "DescribeSecurityGroups&Format=&PageSize=1&SecurityGroupName=none",
        &expect![[
            r#"<?xml version="1.0" encoding="UTF-8"?><DescribeSecurityGroupsResponse><RequestId>R</RequestId><RegionId>cn-hangzhou</RegionId><PageNumber>1</PageNumber><PageSize>1</PageSize><TotalCount>0</TotalCount><NextToken></NextToken><SecurityGroups></SecurityGroups></DescribeSecurityGroupsResponse>"#
        ]],
    );
    let regions = estate.call("DescribeRegions");
    assert!(regions.contains(r#"{"RegionId":"cn-hangzhou","LocalName":"China (Hangzhou)","RegionEndpoint":"ecs.cn-hangzhou.aliyuncs.com","Status":"available"}"#));
}
