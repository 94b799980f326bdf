"""`alibabacloud_ecs20140526` and `alibabacloud_vpc20160428`, unmodified: signature ACS3-HMAC-SHA256."""

import json

import pytest

from contract import Contract, rows
from estate import rule
from sdk import V2, Refused
from server import REGION, run


@pytest.fixture(scope="module")
def sdk(v2):
    return v2


class TestV2(Contract):
    """The common suite."""

    @rows("v2")
    def test_refusal(self, sdk, server, estate, row):
        self.check(sdk, server, estate, row)


def test_ipv6_from_the_vpc_to_the_instance(v2):
    vpc = v2.vpc(EnableIpv6=True, Ipv6CidrBlock="2001:db8:1:100::/56")
    [shown] = v2.call("DescribeVpcs", VpcId=vpc)["Vpcs"]["Vpc"]
    assert (shown["EnabledIpv6"], shown["Ipv6CidrBlock"]) == (True, "2001:db8:1:100::/56")
    vswitch = v2.vswitch(vpc, "10.1.0.0/24", Ipv6CidrBlock=5)
    [shown] = v2.call("DescribeVSwitches", VSwitchId=vswitch)["VSwitches"]["VSwitch"]
    assert shown["Ipv6CidrBlock"] == "2001:db8:1:105::/64"
    [instance] = v2.instances(vswitch, v2.group(vpc), Ipv6AddressCount=2)
    [eni] = v2.instance(instance)["NetworkInterfaces"]["NetworkInterface"]
    addresses = [one["Ipv6Address"] for one in eni["Ipv6Sets"]["Ipv6Set"]]
    assert len(addresses) == 2 and all(one.startswith("2001:db8:1:105:") for one in addresses)
    found = v2.call("DescribeInstances", Ipv6Address=[addresses[1]])["Instances"]["Instance"]
    assert [one["InstanceId"] for one in found] == [instance]
    v2.call("DeleteInstance", InstanceId=instance, Force=True)


def test_timeouts_and_ipv6_of_an_interface(v2):
    vpc = v2.vpc(EnableIpv6=True, Ipv6CidrBlock="2001:db8:1:200::/56")
    vswitch, group = v2.vswitch(vpc, "10.1.0.0/24"), v2.group(vpc)
    v2.call("ModifyVSwitchAttribute", RegionId=None, VSwitchId=vswitch, EnableIPv6=True, Ipv6CidrBlock=5)
    shown = v2.call("DescribeVSwitchAttributes", VSwitchId=vswitch)
    assert (shown["Ipv6CidrBlock"], shown["VpcId"]) == ("2001:db8:1:205::/64", vpc)
    assert v2.call("DescribeVpcAttribute", VpcId=vpc)["Ipv6CidrBlock"] == "2001:db8:1:200::/56"
    timeouts = {"TcpEstablishedTimeout": 60, "TcpClosedAndTimeWaitTimeout": 15, "UdpTimeout": 100}
    eni = v2.eni(vswitch, group, ConnectionTrackingConfiguration=timeouts, Ipv6AddressCount=1)
    assert v2.interface(eni)["ConnectionTrackingConfiguration"] == timeouts
    v2.call("ModifyNetworkInterfaceAttribute", NetworkInterfaceId=eni, ConnectionTrackingConfiguration={"UdpTimeout": 10},
            SourceDestCheck=False)
    shown = v2.interface(eni)
    assert shown["ConnectionTrackingConfiguration"] == {**timeouts, "UdpTimeout": 10}
    assert shown["SourceDestCheck"] is False
    answer = v2.call("AssignIpv6Addresses", NetworkInterfaceId=eni, Ipv6Address=["2001:db8:1:205::99"])
    assert answer["Ipv6Sets"]["Ipv6Address"] == ["2001:db8:1:205::99"]
    addresses = lambda: [one["Ipv6Address"] for one in v2.interface(eni)["Ipv6Sets"]["Ipv6Set"]]
    assert len(addresses()) == 2
    v2.call("UnassignIpv6Addresses", NetworkInterfaceId=eni, Ipv6Address=["2001:db8:1:205::99"])
    assert len(addresses()) == 1
    found = v2.interfaces(Ipv6Address=addresses())
    assert [one["NetworkInterfaceId"] for one in found] == [eni]
    v2.call("DeleteNetworkInterface", NetworkInterfaceId=eni)


def test_a_system_disk_is_as_it_was_asked_for(v2):
    vpc = v2.vpc()
    wanted = {"Category": "cloud_auto", "Size": "100", "PerformanceLevel": "PL1", "DiskName": "root",
              "Description": "for the system"}
    [instance] = v2.instances(v2.vswitch(vpc, "10.1.0.0/24"), v2.group(vpc), SystemDisk=wanted)
    [disk] = v2.call("DescribeDisks", InstanceId=instance, DiskType="system", Category="cloud_auto")["Disks"]["Disk"]
    assert {name: disk[name] for name in wanted} == {**wanted, "Size": 100}
    assert v2.call("DescribeDisks", InstanceId=instance, DiskType="data")["Disks"]["Disk"] == []
    v2.call("DeleteInstance", InstanceId=instance, Force=True)


def test_a_resource_group_goes_when_it_is_empty(v2, server):
    made = server.command("resource-group", "create", "short-lived", "--account", v2.account, "--output", "json")
    resource_group = json.loads(made.stdout)["id"]
    group = v2.group(v2.vpc(), ResourceGroupId=resource_group)
    done = server.command("resource-group", "delete", resource_group)
    assert done.returncode == 1 and f"still used by `{group}`" in done.stderr, done
    v2.call("DeleteSecurityGroup", SecurityGroupId=group)
    done = server.command("resource-group", "delete", resource_group)
    assert done.returncode == 0 and "is deleted" in done.stdout, done
    refused = v2.refused("CreateVpc", ResourceGroupId=resource_group)
    assert refused.told == (404, "InvalidResourceGroup.NotFound")


def test_rules_come_in_parts_when_asked_for(v2):
    group = v2.group(v2.vpc())
    v2.call("AuthorizeSecurityGroup", SecurityGroupId=group, Permissions=[rule(port) for port in range(1, 26)])
    assert len(v2.rules(group)) == 25
    seen, token = [], None
    while True:
        answer = v2.call("DescribeSecurityGroupAttribute", SecurityGroupId=group, MaxResults=10, NextToken=token)
        seen += [one["SecurityGroupRuleId"] for one in answer["Permissions"]["Permission"]]
        token = answer["NextToken"]
        if not token:
            break
    assert len(seen) == len(set(seen)) == 25


def test_150_vswitches_fit_into_a_vpc_and_not_one_more(v2):
    vpc = v2.vpc()
    for number in range(150):
        v2.vswitch(vpc, f"10.0.{number}.0/24")
    more = {"VpcId": vpc, "ZoneId": f"{REGION}-b", "CidrBlock": "10.1.0.0/24"}
    assert v2.refused("CreateVSwitch", **more).told == (400, "QuotaExceeded.VSwitch")


class TestWhoCalls:
    """Keys, and whose they are."""

    def refused(self, server, **key):
        try:
            V2(server, **key).groups()
        except Refused as refused:
            return refused
        raise AssertionError("a wrong key was let in")

    def test_an_unknown_key(self, server, unchanged):
        refused = self.refused(server, key_id="LTAI5tNobody")
        assert refused.told == (404, "InvalidAccessKeyId.NotFound")

    def test_a_wrong_secret(self, server, unchanged):
        refused = self.refused(server, secret="x" * 30)
        assert refused.told == (400, "SignatureDoesNotMatch")

    def test_a_token_beside_a_permanent_key(self, server, unchanged):
        refused = self.refused(server, token="x" * 30)
        assert refused.told == (400, "InvalidSecurityToken.MismatchWithAccessKey")

    def test_the_key_of_an_account_of_the_other_dialect(self, server):
        status, made = server.native("POST", "/v1/accounts", {"dialect": "ec2", "name": "amazonian"})
        assert status == 200, made
        key = {"key_id": made["access_key_id"], "secret": made["access_key_secret"]}
        assert self.refused(server, **key).told == (404, "InvalidAccessKeyId.NotFound")

    def test_two_accounts_do_not_see_each_other(self, server, v2):
        done = run("account", "create", "--dialect", "ecs", "--format", "json", "--data-dir", server.data_dir)
        assert done.returncode == 0, done.stderr
        made = json.loads(done.stdout)
        other = V2(server, key_id=made["access_key_id"], secret=made["access_key_secret"])
        vpc = v2.vpc()
        mine = v2.group(vpc)
        assert other.groups() == [] and other.call("DescribeVpcs")["Vpcs"]["Vpc"] == []
        assert other.refused("DescribeSecurityGroupAttribute", SecurityGroupId=mine).told == (
            404, "InvalidSecurityGroupId.NotFound",
        )
        assert other.refused("AuthorizeSecurityGroup", SecurityGroupId=mine, Permissions=[rule()]).told == (
            404, "InvalidSecurityGroupId.NotFound",
        )
        assert other.refused("CreateSecurityGroup", VpcId=vpc).told == (404, "InvalidVpcId.NotFound")
        assert other.refused("DeleteVpc", VpcId=vpc).told == (404, "InvalidVpcId.NotFound")
        theirs = other.group(other.vpc())
        named = rule(SourceCidrIp=None, SourceGroupId=theirs, SourceGroupOwnerId=int(made["account"]))
        refused = v2.refused("AuthorizeSecurityGroup", SecurityGroupId=mine, Permissions=[named])
        assert refused.told == (400, "InvalidSourceGroupId.Mismatch")
