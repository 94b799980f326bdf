"""`aliyun-python-sdk-ecs`, unmodified: RPC signature version 1, and JSON that shows every field."""

import pytest

from contract import Contract, rows
from estate import rule
from sdk import V1, Refused

VPC = {
    "CidrBlock", "CreationTime", "Description", "EnabledIpv6", "Ipv6CidrBlock", "Ipv6CidrBlocks", "IsDefault",
    "NatGatewayIds", "OwnerId", "RegionId", "ResourceGroupId", "RouterTableIds", "SecondaryCidrBlocks", "Status",
    "Tags", "UserCidrs", "VRouterId", "VSwitchIds", "VpcId", "VpcName",
}
VSWITCH = {
    "AvailableIpAddressCount", "CidrBlock", "CreationTime", "Description", "EnabledIpv6", "Ipv6CidrBlock",
    "IsDefault", "NetworkAclId", "OwnerId", "ResourceGroupId", "RouteTable", "Status", "Tags", "VSwitchId",
    "VSwitchName", "VpcId", "ZoneId",
}
GROUP = {
    "CreationTime", "Description", "GroupToGroupRuleCount", "ResourceGroupId", "RuleCount", "SecurityGroupId",
    "SecurityGroupName", "SecurityGroupType", "ServiceManaged", "Tags", "VpcId",
}
RULE = {
    "CreateTime", "Description", "DestCidrIp", "DestGroupId", "DestGroupName", "DestGroupOwnerAccount",
    "DestPrefixListId", "DestPrefixListName", "Direction", "IpProtocol", "Ipv6DestCidrIp", "Ipv6SourceCidrIp",
    "NicType", "Policy", "PortRange", "PortRangeListId", "PortRangeListName", "Priority", "SecurityGroupRuleId",
    "SourceCidrIp", "SourceGroupId", "SourceGroupName", "SourceGroupOwnerAccount", "SourcePortRange",
    "SourcePrefixListId", "SourcePrefixListName",
}
INSTANCE = {
    "CreationTime", "DeletionProtection", "Description", "EipAddress", "HostName", "ImageId", "InnerIpAddress",
    "InstanceChargeType", "InstanceId", "InstanceName", "InstanceNetworkType", "InstanceType",
    "InternetChargeType", "IoOptimized", "NetworkInterfaces", "OperationLocks", "PublicIpAddress", "RegionId",
    "ResourceGroupId", "SecurityGroupIds", "Status", "Tags", "VpcAttributes", "ZoneId",
}
ENI = {"Ipv6Sets", "MacAddress", "NetworkInterfaceId", "PrimaryIpAddress", "PrivateIpSets", "Type"}


@pytest.fixture(scope="module")
def sdk(v1):
    return v1


class TestV1(Contract):
    """The common suite."""

    @rows("v1")
    def test_refusal(self, sdk, server, estate, row):
        self.check(sdk, server, estate, row)


def test_the_shape_of_everything_that_is_shown(v1):
    vpc = v1.vpc()
    vswitch, group, peer = v1.vswitch(vpc, "10.1.0.0/24"), v1.group(vpc), v1.group(vpc, SecurityGroupName="peer")
    v1.call("AuthorizeSecurityGroup", SecurityGroupId=group, Permissions=[rule(SourceCidrIp=None, SourceGroupId=peer)])
    [instance] = v1.instances(vswitch, group)
    shown = v1.call("DescribeVpcs", VpcId=vpc)
    assert set(shown) == {"RequestId", "PageNumber", "PageSize", "TotalCount", "NextToken", "Vpcs"}
    assert set(shown["Vpcs"]["Vpc"][0]) == VPC
    assert set(v1.call("DescribeVSwitches", VSwitchId=vswitch)["VSwitches"]["VSwitch"][0]) == VSWITCH
    [one] = v1.groups(SecurityGroupId=group)
    assert set(one) == GROUP and (one["RuleCount"], one["GroupToGroupRuleCount"]) == (1, 1)
    attribute = v1.call("DescribeSecurityGroupAttribute", SecurityGroupId=group)
    assert set(attribute) == {
        "RequestId", "SecurityGroupId", "SecurityGroupName", "Description", "VpcId", "RegionId", "InnerAccessPolicy",
        "SnapshotPolicyIds", "NextToken", "Permissions",
    }
    [one] = attribute["Permissions"]["Permission"]
    assert set(one) == RULE
    # Numbers where the cloud's samples have numbers; empty text, never nothing, where a rule has nothing.
    assert one["Priority"] == 1 and one["SourceGroupName"] == "peer" and one["DestCidrIp"] == ""
    one = v1.instance(instance)
    assert set(one) == INSTANCE
    assert set(one["NetworkInterfaces"]["NetworkInterface"][0]) == ENI
    v1.call("DeleteInstance", InstanceId=instance, Force=True)


def test_what_the_sdk_makes_of_a_wrong_secret(server, unchanged):
    """The SDK compares the string to sign in the message with its own, and dies on a message without one."""
    with pytest.raises(Refused) as refused:
        V1(server, secret="x" * 30).groups()
    assert refused.value.status == 400
    assert refused.value.code in ("SignatureDoesNotMatch", "InvalidAccessKeySecret")


def test_who_calls(server, unchanged):
    cases = [
        ({"key_id": "LTAI5tNobody"}, (404, "InvalidAccessKeyId.NotFound")),
        ({"token": "x" * 30}, (400, "InvalidSecurityToken.MismatchWithAccessKey")),
    ]
    for key, expected in cases:
        with pytest.raises(Refused) as refused:
            V1(server, **key).groups()
        assert refused.value.told == expected


def test_both_generations_see_the_same(v1, v2):
    vpc = v2.vpc()
    group = v1.group(vpc, SecurityGroupName="made-by-v1")
    v2.call("AuthorizeSecurityGroup", SecurityGroupId=group, Permissions=[rule(80)])
    [one] = v1.rules(group)
    [other] = v2.rules(group)
    assert one["SecurityGroupRuleId"] == other["SecurityGroupRuleId"]
    v1.call("RevokeSecurityGroup", SecurityGroupId=group, SecurityGroupRuleId=[one["SecurityGroupRuleId"]])
    assert v2.rules(group) == []
