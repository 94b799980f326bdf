"""What every SDK can rely on: one suite, run once for each client (test_sdk_v1, test_sdk_v2).

A subclass gives the client; the tests speak only through it.
"""

import json

import pytest

import refusals
from contract_lists import Edits, Lists
from estate import ANY, egress, fill_in, rule
from server import REGION

ID_SIZE = 20


def names_of(items, field):
    return [item[field] for item in items]


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
        _, accounts = server.native("GET", "/v1/accounts")
        [account] = [one["id"] for one in accounts if sdk.key_id in one["keys"]]
        _, made = server.native("POST", "/v1/resource-groups", {"name": "front", "account": account})
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
        before = server.revision()
        refused = sdk.refused(row.operation, **fill_in(row.parameters, estate))
        assert refused.told == (row.status, row.code), refused
        assert refused.message.strip(), "a refusal without a message"
        assert server.revision() == before, "a refused request changed something"


class Contract(Networks, Groups, Rules, Lists, Edits, Instances, Refusals):
    """The whole suite. The subclass's module has the fixture `sdk`."""


def rows(client):
    """Parametrizes a test over the refusals that a client can say."""
    return pytest.mark.parametrize("row", refusals.of(client), ids=str)
