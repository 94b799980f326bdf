"""What every SDK can rely on: one suite, run once for each client (test_sdk_v1, test_sdk_v2).

A subclass gives the client; the tests speak only through it.
"""

import json
import subprocess

import pytest

import refusals
from contract_lists import Edits, Lists
from contract_reports import Reports
from estate import ANY, egress, fill_in, rule
from server import REGION

ID_SIZE = 20


def names_of(items, field):
    return [item[field] for item in items]


def links_of(instance):
    """The links in the namespace of an instance."""
    shown = subprocess.run(["ip", "-n", instance, "-o", "link"], capture_output=True, text=True, check=True)
    return [line.split(": ")[1].split("@")[0] for line in shown.stdout.splitlines()]


class Networks:
    """VPCs and vSwitches."""

    def test_regions(self, sdk):
        regions = sdk.call("DescribeRegions")["Regions"]["Region"]
        assert len(regions) == 30
        here = next(region for region in regions if region["RegionId"] == REGION)
        assert here["RegionEndpoint"] == f"ecs.{REGION}.aliyuncs.com"
        assert here["LocalName"] == "China (Hangzhou)"

    def test_a_vpc_is_made_shown_and_deleted(self, sdk):
        answer = sdk.call("CreateVpc", CidrBlock="10.0.0.0/8", VpcName="本番 1", Description="an 'odd' <name> & more")
        vpc = answer["VpcId"]
        assert vpc.startswith("vpc-") and len(vpc) == len("vpc-") + ID_SIZE
        assert answer["VRouterId"].startswith("vrt-")
        shown = sdk.call("DescribeVpcs", VpcId=vpc)
        [one] = shown["Vpcs"]["Vpc"]
        assert (one["VpcName"], one["Description"]) == ("本番 1", "an 'odd' <name> & more")
        assert (one["CidrBlock"], one["Status"], one["RegionId"]) == ("10.0.0.0/8", "Available", REGION)
        assert shown["TotalCount"] == 1
        sdk.call("DeleteVpc", VpcId=vpc)
        assert sdk.call("DescribeVpcs", VpcId=vpc)["Vpcs"]["Vpc"] == []

    def test_a_vpc_without_a_block_gets_the_default(self, sdk):
        vpc = sdk.call("CreateVpc")["VpcId"]
        assert sdk.call("DescribeVpcs", VpcId=vpc)["Vpcs"]["Vpc"][0]["CidrBlock"] == "172.16.0.0/12"
        sdk.call("DeleteVpc", VpcId=vpc)

    def test_a_vswitch_is_made_shown_and_deleted(self, sdk):
        vpc = sdk.vpc()
        vswitch = sdk.vswitch(vpc, "10.1.0.0/24", VSwitchName="db", Description="the databases")
        [one] = sdk.call("DescribeVSwitches", VpcId=vpc)["VSwitches"]["VSwitch"]
        assert (one["VSwitchId"], one["VSwitchName"], one["Description"]) == (vswitch, "db", "the databases")
        assert (one["ZoneId"], one["CidrBlock"], one["AvailableIpAddressCount"]) == (f"{REGION}-b", "10.1.0.0/24", 252)
        assert sdk.call("DescribeVpcs", VpcId=vpc)["Vpcs"]["Vpc"][0]["VSwitchIds"]["VSwitchId"] == [vswitch]
        sdk.call("DeleteVSwitch", VSwitchId=vswitch)
        assert sdk.call("DescribeVSwitches", VpcId=vpc)["VSwitches"]["VSwitch"] == []
        sdk.call("DeleteVpc", VpcId=vpc)

    def test_vswitches_come_in_pages_by_number(self, sdk):
        vpc = sdk.vpc()
        made = {sdk.vswitch(vpc, f"10.{number}.0.0/24") for number in range(5)}
        seen = []
        for page, expected in ((1, 2), (2, 2), (3, 1), (4, 0)):
            answer = sdk.call("DescribeVSwitches", VpcId=vpc, PageNumber=page, PageSize=2)
            assert (answer["TotalCount"], answer["PageNumber"], answer["PageSize"]) == (5, page, 2)
            found = names_of(answer["VSwitches"]["VSwitch"], "VSwitchId")
            assert len(found) == expected
            seen += found
        assert set(seen) == made and len(seen) == 5
        for vswitch in made:
            sdk.call("DeleteVSwitch", VSwitchId=vswitch)
        sdk.call("DeleteVpc", VpcId=vpc)

    def test_a_vpc_of_another_region_is_not_seen(self, sdk):
        vpc = sdk.vpc(RegionId="cn-beijing")
        assert sdk.call("DescribeVpcs", VpcId=vpc)["Vpcs"]["Vpc"] == []
        assert names_of(sdk.call("DescribeVpcs", RegionId="cn-beijing")["Vpcs"]["Vpc"], "VpcId") == [vpc]
        sdk.call("DeleteVpc", RegionId="cn-beijing", VpcId=vpc)


class Groups:
    """Security groups, without rules."""

    def test_a_group_is_made_shown_and_deleted(self, sdk, vpc, server):
        _, made = server.native("POST", "/v1/resource-groups", {"name": "front", "account": sdk.account})
        resource_group = made["id"]
        tags = [{"Key": "env", "Value": "prod"}, {"Key": "team"}]
        more = {"SecurityGroupName": "web-東京", "Description": "front ends", "ResourceGroupId": resource_group, "Tag": tags}
        group = sdk.group(vpc, **more)
        assert group.startswith("sg-") and len(group) == len("sg-") + ID_SIZE
        [one] = sdk.groups(SecurityGroupIds=json.dumps([group]))
        assert (one["SecurityGroupName"], one["Description"], one["VpcId"]) == ("web-東京", "front ends", vpc)
        assert (one["SecurityGroupType"], one["ResourceGroupId"], one["ServiceManaged"]) == ("normal", resource_group, False)
        assert one["Tags"]["Tag"] == [{"TagKey": "env", "TagValue": "prod"}, {"TagKey": "team", "TagValue": ""}]
        assert sdk.rules(group) == []
        sdk.call("DeleteSecurityGroup", SecurityGroupId=group)
        assert sdk.groups(SecurityGroupIds=json.dumps([group])) == []

    def test_groups_are_found_by_what_they_have(self, sdk, vpc):
        plain = sdk.group(vpc, SecurityGroupName="find-me")
        fort = sdk.group(vpc, SecurityGroupName="find-me-too", SecurityGroupType="enterprise", Tag=[
            {"Key": "colour", "Value": "red"}
        ])
        by = {
            plain: [{"SecurityGroupName": "find-me"}, {"SecurityGroupType": "normal"}, {"SecurityGroupId": plain}],
            fort: [{"SecurityGroupType": "enterprise"}, {"Tag": [{"Key": "colour"}]},
                   {"Tag": [{"Key": "colour", "Value": "red"}]}],
        }
        for group, filters in by.items():
            for chosen in filters:
                assert names_of(sdk.groups(VpcId=vpc, **chosen), "SecurityGroupId") == [group], chosen
        for chosen in ({"Tag": [{"Key": "colour", "Value": "blue"}]}, {"SecurityGroupName": "find"},
                       {"NetworkType": "classic"}):
            assert sdk.groups(VpcId=vpc, **chosen) == [], chosen

    def test_groups_come_in_pages_of_both_styles(self, sdk, vpc):
        made = sorted((sdk.group(vpc) for _ in range(7)), reverse=True)
        by_number = []
        for page in (1, 2, 3):
            answer = sdk.call("DescribeSecurityGroups", VpcId=vpc, PageNumber=page, PageSize=3)
            assert answer["TotalCount"] == 7
            by_number += names_of(answer["SecurityGroups"]["SecurityGroup"], "SecurityGroupId")
        assert by_number == made
        by_token, token = [], None
        while True:
            answer = sdk.call("DescribeSecurityGroups", VpcId=vpc, MaxResults=3, NextToken=token)
            by_token += names_of(answer["SecurityGroups"]["SecurityGroup"], "SecurityGroupId")
            token = answer["NextToken"]
            if not token:
                break
        assert by_token == made

    def test_the_members_are_counted_when_asked_for(self, sdk, vpc):
        vswitch, group = sdk.vswitch(vpc, "10.8.0.0/24"), sdk.group(vpc)
        sdk.instances(vswitch, group, 2)
        [one] = sdk.groups(SecurityGroupIds=json.dumps([group]), IsQueryEcsCount=True)
        assert (one["EcsCount"], one["AvailableInstanceAmount"]) == (2, 5_998)

    def test_the_intra_group_policy_is_set_and_shown(self, sdk, vpc):
        group = sdk.group(vpc)
        shown = lambda: sdk.call("DescribeSecurityGroupAttribute", SecurityGroupId=group)["InnerAccessPolicy"]
        assert shown() == "Accept"
        sdk.call("ModifySecurityGroupPolicy", SecurityGroupId=group, InnerAccessPolicy="drop")
        assert shown() == "Drop"
        sdk.call("ModifySecurityGroupPolicy", SecurityGroupId=group, InnerAccessPolicy="Accept")
        assert shown() == "Accept"


class Rules:
    """Rules: three ways to say them, and what is shown of them."""

    def test_rules_are_shown_as_they_were_written(self, sdk, vpc):
        group, peer = sdk.group(vpc), sdk.group(vpc, SecurityGroupName="peer")
        wanted = [
            rule(443, IpProtocol="TCP", SourceCidrIp="10.159.6.18/12", Policy="Accept", Description="https"),
            rule(53, IpProtocol="udp", SourceCidrIp="192.0.2.7", Priority="7", Policy="Drop"),
            rule(22, SourceCidrIp=None, Ipv6SourceCidrIp="2001:0DB8::0001/64", SourcePortRange="1024/65535"),
            rule(SourceCidrIp=None, SourceGroupId=peer, IpProtocol="all", PortRange="-1/-1"),
            rule(IpProtocol="icmp", PortRange="-1/-1", SourceCidrIp="0.0.0.0/0", DestCidrIp="10.1.0.0/24"),
            rule(IpProtocol="icmpv6", PortRange="-1/-1", SourceCidrIp=None, Ipv6SourceCidrIp="::/0"),
            rule(IpProtocol="gre", PortRange="-1/-1"),
            rule(IpProtocol="132", PortRange="-1/-1"),
        ]
        sdk.call("AuthorizeSecurityGroup", SecurityGroupId=group, Permissions=wanted)
        fields = ("IpProtocol", "PortRange", "SourcePortRange", "SourceCidrIp", "Ipv6SourceCidrIp", "SourceGroupId",
                  "DestCidrIp", "Policy", "Priority", "Description", "Direction", "NicType")
        shown = {tuple(str(one[field]) for field in fields) for one in sdk.rules(group)}
        assert shown == {
            ("TCP", "443/443", "", "10.159.6.18/12", "", "", "", "Accept", "1", "https", "ingress", "intranet"),
            ("UDP", "53/53", "", "192.0.2.7", "", "", "", "Drop", "7", "", "ingress", "intranet"),
            ("TCP", "22/22", "1024/65535", "", "2001:db8::1/64", "", "", "Accept", "1", "", "ingress", "intranet"),
            ("ALL", "-1/-1", "-1/-1", "", "", peer, "", "Accept", "1", "", "ingress", "intranet"),
            ("ICMP", "-1/-1", "-1/-1", "0.0.0.0/0", "", "", "10.1.0.0/24", "Accept", "1", "", "ingress", "intranet"),
            ("ICMPv6", "-1/-1", "-1/-1", "", "::/0", "", "", "Accept", "1", "", "ingress", "intranet"),
            ("GRE", "-1/-1", "-1/-1", "10.0.0.0/8", "", "", "", "Accept", "1", "", "ingress", "intranet"),
            ("132", "-1/-1", "-1/-1", "10.0.0.0/8", "", "", "", "Accept", "1", "", "ingress", "intranet"),
        }

    def test_flat_rules_say_the_same(self, sdk, vpc):
        group = sdk.group(vpc)
        sdk.call("AuthorizeSecurityGroup", SecurityGroupId=group, **rule(80, Priority="5"))
        sdk.call("AuthorizeSecurityGroupEgress", SecurityGroupId=group, **egress(443, Policy="drop"))
        inwards, outwards = sdk.rules(group, Direction="ingress"), sdk.rules(group, Direction="egress")
        assert [(one["PortRange"], str(one["Priority"]), one["SourceCidrIp"]) for one in inwards] == [
            ("80/80", "5", "10.0.0.0/8")
        ]
        assert [(one["PortRange"], one["Policy"], one["DestCidrIp"]) for one in outwards] == [
            ("443/443", "Drop", "10.0.0.0/8")
        ]
        assert len(sdk.rules(group, Direction="all")) == 2
        sdk.call("RevokeSecurityGroup", SecurityGroupId=group, **rule(80, Priority="5"))
        sdk.call("RevokeSecurityGroupEgress", SecurityGroupId=group, **egress(443, Policy="drop"))
        assert sdk.rules(group) == []

    def test_the_same_rule_again_is_success_and_no_second_rule(self, sdk, vpc):
        group = sdk.group(vpc)
        for _ in range(2):
            sdk.call("AuthorizeSecurityGroup", SecurityGroupId=group, Permissions=[rule(80, Description="one")])
        sdk.call("AuthorizeSecurityGroup", SecurityGroupId=group, Permissions=[rule(80, Description="two")])
        [one] = sdk.rules(group)
        assert one["Description"] == "one"
        sdk.call("AuthorizeSecurityGroup", SecurityGroupId=group, Permissions=[rule(80, Priority="2")])
        assert len(sdk.rules(group)) == 2

    def test_rules_are_revoked_by_what_they_say(self, sdk, vpc):
        group = sdk.group(vpc)
        sdk.call("AuthorizeSecurityGroup", SecurityGroupId=group, Permissions=[rule(80), rule(81), rule(82)])
        sdk.call("RevokeSecurityGroup", SecurityGroupId=group, Permissions=[rule(80), rule(82, IpProtocol="TCP")])
        assert names_of(sdk.rules(group), "PortRange") == ["81/81"]
        # Another priority is another rule, and revoking what is not there is success.
        sdk.call("RevokeSecurityGroup", SecurityGroupId=group, Permissions=[rule(81, Priority="9")])
        sdk.call("RevokeSecurityGroup", SecurityGroupId=group, **rule(9_999))
        assert len(sdk.rules(group)) == 1

    def test_rules_are_revoked_by_id_all_or_none(self, sdk, vpc):
        group = sdk.group(vpc)
        sdk.call("AuthorizeSecurityGroup", SecurityGroupId=group, Permissions=[rule(80), rule(81), rule(82)])
        sdk.call("AuthorizeSecurityGroupEgress", SecurityGroupId=group, Permissions=[egress(80)])
        ids = {one["PortRange"]: one["SecurityGroupRuleId"] for one in sdk.rules(group, Direction="ingress")}
        [outwards] = sdk.rules(group, Direction="egress")
        mixed = [ids["80/80"], outwards["SecurityGroupRuleId"]]
        refused = sdk.refused("RevokeSecurityGroup", SecurityGroupId=group, SecurityGroupRuleId=mixed)
        assert refused.told == (404, "InvalidSecurityGroupRuleId.NotFound")
        assert len(sdk.rules(group)) == 4
        sdk.call("RevokeSecurityGroup", SecurityGroupId=group, SecurityGroupRuleId=[ids["80/80"], ids["82/82"]])
        egress_id = [outwards["SecurityGroupRuleId"]]
        sdk.call("RevokeSecurityGroupEgress", SecurityGroupId=group, SecurityGroupRuleId=egress_id)
        assert names_of(sdk.rules(group), "PortRange") == ["81/81"]

    def test_a_call_with_one_wrong_rule_adds_none(self, sdk, vpc):
        group = sdk.group(vpc)
        wanted = [rule(80), rule(81, SourceCidrIp=None, SourceGroupId="sg-none"), rule(82)]
        refused = sdk.refused("AuthorizeSecurityGroup", SecurityGroupId=group, Permissions=wanted)
        assert refused.told == (404, "InvalidSourceGroupId.NotFound")
        assert sdk.rules(group) == []

    def test_a_rule_that_names_a_group_keeps_it_from_being_deleted(self, sdk, vpc):
        group, peer = sdk.group(vpc), sdk.group(vpc)
        named = rule(80, SourceCidrIp=None, SourceGroupId=peer)
        sdk.call("AuthorizeSecurityGroup", SecurityGroupId=group, Permissions=[named])
        assert sdk.refused("DeleteSecurityGroup", SecurityGroupId=peer).told == (403, "DependencyViolation")
        sdk.call("RevokeSecurityGroup", SecurityGroupId=group, Permissions=[named])
        sdk.call("DeleteSecurityGroup", SecurityGroupId=peer)


class Interfaces:
    """Network interfaces of their own, and the state of instances."""

    def test_an_interface_is_made_shown_changed_and_deleted(self, sdk, vpc):
        vswitch, group, other = sdk.vswitch(vpc, "10.1.0.0/24"), sdk.group(vpc), sdk.group(vpc)
        made = sdk.call("CreateNetworkInterface", VSwitchId=vswitch, SecurityGroupId=group, PrimaryIpAddress="10.1.0.40",
                        SecondaryPrivateIpAddressCount=2, NetworkInterfaceName="backup", Description="at night")
        eni = made["NetworkInterfaceId"]
        assert eni.startswith("eni-") and made["Type"] == "Secondary" and made["VpcId"] == vpc
        assert [one["Primary"] for one in made["PrivateIpSets"]["PrivateIpSet"]] == [True, False, False]
        [one] = sdk.interfaces(NetworkInterfaceId=[eni])
        assert (one["Status"], one["InstanceId"], one["PrivateIpAddress"]) == ("Available", "", "10.1.0.40")
        assert (one["NetworkInterfaceName"], one["Description"]) == ("backup", "at night")
        assert (one["SourceDestCheck"], one["DeleteOnRelease"], one["ServiceManaged"]) == (True, True, False)
        sdk.call("ModifyNetworkInterfaceAttribute", NetworkInterfaceId=eni, SecurityGroupId=[other, group],
                 NetworkInterfaceName="restore", DeleteOnRelease=False)
        one = sdk.interface(eni)
        assert one["SecurityGroupIds"]["SecurityGroupId"] == [other, group]
        assert (one["NetworkInterfaceName"], one["Description"]) == ("restore", "at night")
        assert one["DeleteOnRelease"] is False
        timeouts = {"TcpEstablishedTimeout": 910, "TcpClosedAndTimeWaitTimeout": 3, "UdpTimeout": 30}
        assert one["ConnectionTrackingConfiguration"] == timeouts
        sdk.call("DeleteNetworkInterface", NetworkInterfaceId=eni)
        assert sdk.interfaces(NetworkInterfaceId=[eni]) == []

    def test_an_interface_is_attached_and_detached(self, sdk, server, vpc):
        vswitch, group, other = sdk.vswitch(vpc, "10.1.0.0/24"), sdk.group(vpc), sdk.group(vpc)
        [instance] = sdk.instances(vswitch, group)
        eni = sdk.eni(vswitch, other)
        sdk.call("AttachNetworkInterface", NetworkInterfaceId=eni, InstanceId=instance)
        server.wait_applied()
        [one] = sdk.interfaces(NetworkInterfaceId=[eni])
        assert (one["Status"], one["InstanceId"], one["Type"]) == ("InUse", instance, "Secondary")
        assert (one["Attachment"]["InstanceId"], one["Attachment"]["DeviceIndex"]) == (instance, 1)
        shown = sdk.instance(instance)["NetworkInterfaces"]["NetworkInterface"]
        assert [one["Type"] for one in shown] == ["Primary", "Secondary"]
        assert "eth1" in links_of(instance)
        sdk.call("DetachNetworkInterface", NetworkInterfaceId=eni, InstanceId=instance)
        server.wait_applied()
        [one] = sdk.interfaces(NetworkInterfaceId=[eni])
        assert (one["Status"], one["InstanceId"], one["Attachment"]) == ("Available", "", {})
        assert "eth1" not in links_of(instance)
        sdk.call("DeleteInstance", RegionId=None, InstanceId=instance, Force=True)
        sdk.call("DeleteNetworkInterface", NetworkInterfaceId=eni)

    def test_interfaces_are_found_by_what_they_have_and_come_in_pages_of_both_styles(self, sdk, vpc):
        vswitch, group, other = sdk.vswitch(vpc, "10.1.0.0/24"), sdk.group(vpc), sdk.group(vpc)
        [instance] = sdk.instances(vswitch, group)
        free = sdk.eni(vswitch, other, NetworkInterfaceName="needle", PrimaryIpAddress="10.1.0.77")
        [primary] = sdk.interfaces(InstanceId=instance)
        assert primary["Type"] == "Primary"
        for chosen in ({"SecurityGroupId": other}, {"Type": "Secondary"}, {"Status": "Available"},
                       {"NetworkInterfaceName": "needle"}, {"PrimaryIpAddress": "10.1.0.77"},
                       {"PrivateIpAddress": ["10.1.0.77"]}, {"NetworkInterfaceId": [free]}):
            found = sdk.interfaces(VpcId=vpc, **chosen)
            assert names_of(found, "NetworkInterfaceId") == [free], chosen
        for chosen in ({"ServiceManaged": True}, {"NetworkInterfaceName": "need"}, {"VSwitchId": "vsw-none"}):
            assert sdk.interfaces(VpcId=vpc, **chosen) == [], chosen
        made = sorted([free, primary["NetworkInterfaceId"], *(sdk.eni(vswitch, group) for _ in range(3))])
        by_number = []
        for page in (1, 2, 3):
            answer = sdk.call("DescribeNetworkInterfaces", VpcId=vpc, PageNumber=page, PageSize=2)
            assert answer["TotalCount"] == 5
            by_number += names_of(answer["NetworkInterfaceSets"]["NetworkInterfaceSet"], "NetworkInterfaceId")
        assert by_number == made
        by_token, token = [], None
        while True:
            answer = sdk.call("DescribeNetworkInterfaces", VpcId=vpc, MaxResults=2, NextToken=token)
            by_token += names_of(answer["NetworkInterfaceSets"]["NetworkInterfaceSet"], "NetworkInterfaceId")
            token = answer["NextToken"]
            if not token:
                break
        assert by_token == made

    def test_addresses_are_assigned_and_unassigned(self, sdk, vpc):
        vswitch, group = sdk.vswitch(vpc, "10.1.0.0/24"), sdk.group(vpc)
        eni = sdk.eni(vswitch, group)
        answer = sdk.call("AssignPrivateIpAddresses", NetworkInterfaceId=eni, PrivateIpAddress=["10.1.0.60", "10.1.0.61"])
        given = answer["AssignedPrivateIpAddressesSet"]
        assert (given["NetworkInterfaceId"], given["PrivateIpSet"]["PrivateIpAddress"]) == (
            eni, ["10.1.0.60", "10.1.0.61"]
        )
        answer = sdk.call("AssignPrivateIpAddresses", NetworkInterfaceId=eni, SecondaryPrivateIpAddressCount=1)
        [third] = answer["AssignedPrivateIpAddressesSet"]["PrivateIpSet"]["PrivateIpAddress"]
        addresses = lambda: names_of(sdk.interface(eni)["PrivateIpSets"]["PrivateIpSet"], "PrivateIpAddress")
        assert addresses()[1:] == ["10.1.0.60", "10.1.0.61", third]
        sdk.call("UnassignPrivateIpAddresses", NetworkInterfaceId=eni, PrivateIpAddress=["10.1.0.60", third])
        assert addresses()[1:] == ["10.1.0.61"]

    def test_an_instance_stops_starts_and_reboots(self, sdk, server, vpc):
        vswitch, group = sdk.vswitch(vpc, "10.1.0.0/24"), sdk.group(vpc)
        one, two = sdk.instances(vswitch, group, 2)

        def statuses():
            server.wait_applied()
            answer = sdk.call("DescribeInstanceStatus", InstanceId=[one, two])
            found = answer["InstanceStatuses"]["InstanceStatus"]
            assert answer["TotalCount"] == 2
            return {line["InstanceId"]: line["Status"] for line in found}

        assert statuses() == {one: "Running", two: "Running"}
        sdk.call("StopInstance", RegionId=None, InstanceId=one)
        assert statuses() == {one: "Stopped", two: "Running"}
        assert "eth0" not in links_of(one) and "eth0" in links_of(two)
        assert names_of(sdk.call("DescribeInstances", VpcId=vpc, Status="Stopped")["Instances"]["Instance"],
                        "InstanceId") == [one]
        answer = sdk.call("StopInstances", InstanceId=[one, two], BatchOptimization="SuccessFirst")
        lines = {line["InstanceId"]: line for line in answer["InstanceResponses"]["InstanceResponse"]}
        assert (lines[one]["Code"], lines[two]["Code"]) == ("IncorrectInstanceStatus", "200")
        assert lines[two]["PreviousStatus"] == "Running" and lines[two]["CurrentStatus"] in ("Stopping", "Stopped")
        assert statuses() == {one: "Stopped", two: "Stopped"}
        sdk.call("StartInstances", InstanceId=[one, two])
        assert statuses() == {one: "Running", two: "Running"} and "eth0" in links_of(one)
        sdk.call("RebootInstance", RegionId=None, InstanceId=one)
        sdk.call("RebootInstances", InstanceId=[one, two])
        assert statuses() == {one: "Running", two: "Running"}
        sdk.call("StopInstances", InstanceId=[one, two])
        sdk.call("DeleteInstances", InstanceId=[one, two])

    def test_an_instance_is_changed_and_shown_alone(self, sdk, vpc):
        vswitch, first, second = sdk.vswitch(vpc, "10.1.0.0/24"), sdk.group(vpc), sdk.group(vpc)
        fort = sdk.group(vpc, SecurityGroupType="enterprise")
        [instance] = sdk.instances(vswitch, first)
        sdk.call("ModifyInstanceAttribute", RegionId=None, InstanceId=instance, SecurityGroupIds=[second, first],
                 InstanceName="db-2", Description="the second one")
        one = sdk.call("DescribeInstanceAttribute", RegionId=None, InstanceId=instance)
        assert one["SecurityGroupIds"]["SecurityGroupId"] == [second, first]
        assert (one["InstanceName"], one["Description"], one["InstanceId"]) == ("db-2", "the second one", instance)
        sdk.call("ModifyInstanceAttribute", RegionId=None, InstanceId=instance, SecurityGroupIds=[fort])
        one = sdk.instance(instance)
        assert (one["SecurityGroupIds"]["SecurityGroupId"], one["InstanceName"]) == ([fort], "db-2")
        sdk.call("DeleteInstance", RegionId=None, InstanceId=instance, Force=True)

    def test_an_instance_runs_with_several_interfaces(self, sdk, vpc):
        vswitch, other = sdk.vswitch(vpc, "10.1.0.0/24"), sdk.vswitch(vpc, "10.2.0.0/24")
        web, admin = sdk.group(vpc), sdk.group(vpc)
        kept = sdk.eni(vswitch, admin, DeleteOnRelease=False)
        items = [
            {"InstanceType": "Primary", "VSwitchId": vswitch, "SecurityGroupId": web, "PrimaryIpAddress": "10.1.0.5"},
            {"VSwitchId": other, "SecurityGroupId": admin, "NetworkInterfaceName": "admin"},
            {"NetworkInterfaceId": kept},
        ]
        answer = sdk.call("RunInstances", ImageId="any", InstanceType="ecs.any", Amount=1, NetworkInterface=items)
        [instance] = answer["InstanceIdSets"]["InstanceIdSet"]
        shown = sorted(sdk.interfaces(InstanceId=instance), key=lambda one: one["Attachment"]["DeviceIndex"])
        assert [one["SecurityGroupIds"]["SecurityGroupId"] for one in shown] == [[web], [admin], [admin]]
        assert (shown[0]["PrivateIpAddress"], shown[1]["NetworkInterfaceName"]) == ("10.1.0.5", "admin")
        sdk.call("DeleteInstance", RegionId=None, InstanceId=instance, Force=True)
        assert names_of(sdk.interfaces(VpcId=vpc), "NetworkInterfaceId") == [kept]

    def test_without_a_group_the_default_group_is_taken(self, sdk, vpc):
        vswitch = sdk.vswitch(vpc, "10.1.0.0/24")
        instances = [sdk.instances(vswitch, None)[0] for _ in range(2)]
        [group] = sdk.groups(VpcId=vpc)
        assert group["Description"] == "System created security group." and group["SecurityGroupType"] == "normal"
        rules = sdk.rules(group["SecurityGroupId"])
        assert sorted((one["IpProtocol"], one["PortRange"], str(one["Priority"])) for one in rules) == [
            ("ICMP", "-1/-1", "100"), ("TCP", "22/22", "100"), ("TCP", "3389/3389", "100"),
        ]
        for instance in instances:
            assert sdk.instance(instance)["SecurityGroupIds"]["SecurityGroupId"] == [group["SecurityGroupId"]]
        sdk.call("DeleteInstances", InstanceId=instances, Force=True)

    def test_zones_and_types_are_there_to_choose_from(self, sdk):
        zones = sdk.call("DescribeZones")["Zones"]["Zone"]
        assert f"{REGION}-b" in names_of(zones, "ZoneId")
        types = sdk.call("DescribeInstanceTypes", MinimumEniQuantity=2)["InstanceTypes"]["InstanceType"]
        assert types and all(one["EniQuantity"] >= 2 for one in types)
        [one] = sdk.call("DescribeInstanceTypes", InstanceTypes=[types[0]["InstanceTypeId"]])["InstanceTypes"]["InstanceType"]
        assert one["InstanceTypeId"] == types[0]["InstanceTypeId"]

    def test_a_network_is_renamed(self, sdk):
        vpc = sdk.vpc(VpcName="before")
        vswitch = sdk.vswitch(vpc, "10.1.0.0/24")
        sdk.call("ModifyVpcAttribute", VpcId=vpc, VpcName="after", Description="renamed")
        sdk.call("ModifyVSwitchAttribute", VSwitchId=vswitch, VSwitchName="db")
        [one] = sdk.call("DescribeVpcs", VpcId=vpc)["Vpcs"]["Vpc"]
        assert (one["VpcName"], one["Description"]) == ("after", "renamed")
        [one] = sdk.call("DescribeVSwitches", VSwitchId=vswitch)["VSwitches"]["VSwitch"]
        assert one["VSwitchName"] == "db"


class Instances:
    """Instances, and who is in which group."""

    def test_an_instance_runs_with_its_address_and_group(self, sdk, server, vpc):
        vswitch, group = sdk.vswitch(vpc, "10.1.0.0/24"), sdk.group(vpc)
        [instance] = sdk.instances(vswitch, group, InstanceName="db-1", PrivateIpAddress="10.1.0.50")
        assert instance.startswith("i-") and len(instance) == len("i-") + ID_SIZE
        server.wait_applied()
        one = sdk.instance(instance)
        assert (one["InstanceName"], one["Status"], one["InstanceType"]) == ("db-1", "Running", "ecs.any")
        assert one["VpcAttributes"]["PrivateIpAddress"]["IpAddress"] == ["10.1.0.50"]
        assert one["SecurityGroupIds"]["SecurityGroupId"] == [group]
        [eni] = one["NetworkInterfaces"]["NetworkInterface"]
        assert (eni["PrimaryIpAddress"], eni["Type"]) == ("10.1.0.50", "Primary")
        sdk.call("DeleteInstance", RegionId=None, InstanceId=instance, Force=True)
        answer = sdk.call("DescribeInstances", InstanceIds=json.dumps([instance]))
        assert answer["Instances"]["Instance"] == []

    def test_instances_come_in_pages_of_both_styles(self, sdk, vpc):
        vswitch, group = sdk.vswitch(vpc, "10.1.0.0/24"), sdk.group(vpc)
        made = sorted(sdk.instances(vswitch, group, 5))
        by_number = []
        for page in (1, 2, 3):
            answer = sdk.call("DescribeInstances", VSwitchId=vswitch, PageNumber=page, PageSize=2)
            assert answer["TotalCount"] == 5
            by_number += names_of(answer["Instances"]["Instance"], "InstanceId")
        assert by_number == made
        by_token, token = [], None
        while True:
            answer = sdk.call("DescribeInstances", VSwitchId=vswitch, MaxResults=2, NextToken=token)
            by_token += names_of(answer["Instances"]["Instance"], "InstanceId")
            token = answer["NextToken"]
            if not token:
                break
        assert by_token == made
        sdk.call("DeleteInstances", InstanceId=made, Force=True)
        assert sdk.call("DescribeInstances", VSwitchId=vswitch)["TotalCount"] == 0

    def test_instances_are_found_by_what_they_have(self, sdk, vpc):
        vswitch, group, other = sdk.vswitch(vpc, "10.1.0.0/24"), sdk.group(vpc), sdk.group(vpc)
        [instance] = sdk.instances(vswitch, group, InstanceName="needle-1")
        [second] = sdk.instances(vswitch, other, InstanceName="other")
        address = sdk.instance(instance)["VpcAttributes"]["PrivateIpAddress"]["IpAddress"]
        for chosen in ({"SecurityGroupId": group}, {"InstanceName": "needle*"}, {"InstanceIds": f'["{instance}"]'},
                       {"PrivateIpAddresses": json.dumps(address)}):
            found = sdk.call("DescribeInstances", VpcId=vpc, **chosen)["Instances"]["Instance"]
            assert names_of(found, "InstanceId") == [instance], chosen
        assert sdk.call("DescribeInstances", VpcId=vpc, InstanceIds="[]")["Instances"]["Instance"] == []
        sdk.call("DeleteInstances", InstanceId=[instance, second], Force=True)

    def test_joining_and_leaving_by_instance_and_by_interface(self, sdk, vpc):
        vswitch, first, second, third = sdk.vswitch(vpc, "10.1.0.0/24"), *(sdk.group(vpc) for _ in range(3))
        [instance] = sdk.instances(vswitch, first)
        eni = sdk.instance(instance)["NetworkInterfaces"]["NetworkInterface"][0]["NetworkInterfaceId"]
        groups = lambda: sdk.instance(instance)["SecurityGroupIds"]["SecurityGroupId"]
        sdk.call("JoinSecurityGroup", RegionId=None, SecurityGroupId=second, InstanceId=instance)
        sdk.call("JoinSecurityGroup", SecurityGroupId=third, NetworkInterfaceId=eni)
        assert groups() == [first, second, third]
        sdk.call("LeaveSecurityGroup", SecurityGroupId=first, NetworkInterfaceId=eni)
        sdk.call("LeaveSecurityGroup", RegionId=None, SecurityGroupId=second, InstanceId=instance)
        assert groups() == [third]
        sdk.call("DeleteSecurityGroup", SecurityGroupId=first)
        sdk.call("DeleteInstance", RegionId=None, InstanceId=instance, Force=True)

    def test_a_full_vswitch_says_so_after_its_last_address(self, sdk, vpc):
        vswitch, group = sdk.vswitch(vpc, "10.1.0.0/29"), sdk.group(vpc)
        made = sdk.instances(vswitch, group, 4)
        refused = sdk.refused("RunInstances", VSwitchId=vswitch, SecurityGroupId=group, **ANY)
        assert refused.told == (403, "InvalidVSwitchId.IpNotEnough")
        sdk.call("DeleteInstances", InstanceId=made, Force=True)


class Refusals:
    """Every refusal that the client can provoke: its code, its status, and that nothing has changed."""

    def check(self, sdk, server, estate, row):
        with server.unchanged():
            refused = sdk.refused(row.operation, **fill_in(row.parameters, estate))
        assert refused.told == (row.status, row.code), refused
        assert refused.message.strip(), "a refusal without a message"


class Contract(Networks, Groups, Rules, Lists, Edits, Instances, Interfaces, Reports, Refusals):
    """The whole suite. The subclass's module has the fixture `sdk`."""


def rows(client):
    """Parametrizes a test over the refusals that a client can say."""
    return pytest.mark.parametrize("row", refusals.of(client), ids=str)
