"""Prefix lists, port range lists, rules modified in place, references, managed groups: for every SDK."""

import json

from estate import egress, rule


def field(items, name):
    return [item[name] for item in items]


class Lists:
    """Prefix lists and port range lists."""

    def prefix_list(self, sdk, **more):
        wanted = {"PrefixListName": "offices", "AddressFamily": "IPv4", "MaxEntries": 5, **more}
        return sdk.call("CreatePrefixList", **wanted)["PrefixListId"]

    def port_list(self, sdk, **more):
        wanted = {"PortRangeListName": "web", "MaxEntries": 5, **more}
        return sdk.call("CreatePortRangeList", **wanted)["PortRangeListId"]

    def test_a_prefix_list_is_made_shown_edited_and_deleted(self, sdk):
        entries = [{"Cidr": "10.1.0.0/16", "Description": "head office"}, {"Cidr": "192.0.2.7"}]
        made = self.prefix_list(sdk, Description="where we sit", Entry=entries)
        assert made.startswith("pl-")
        [one] = sdk.call("DescribePrefixLists", PrefixListId=[made])["PrefixLists"]["PrefixList"]
        assert (one["PrefixListName"], one["AddressFamily"], one["Description"]) == ("offices", "IPv4", "where we sit")
        assert (one["MaxEntries"], one["AssociationCount"]) == (5, 0)
        sdk.call("ModifyPrefixList", PrefixListId=made, PrefixListName="sites",
                 AddEntry=[{"Cidr": "10.1.0.0/16", "Description": "hq"}, {"Cidr": "10.2.0.0/16"}],
                 RemoveEntry=[{"Cidr": "192.0.2.7/32"}])
        shown = sdk.call("DescribePrefixListAttributes", PrefixListId=made)
        assert (shown["PrefixListName"], shown["Description"]) == ("sites", "where we sit")
        assert shown["Entries"]["Entry"] == [
            {"Cidr": "10.1.0.0/16", "Description": "hq"}, {"Cidr": "10.2.0.0/16", "Description": ""},
        ]
        sdk.call("DeletePrefixList", PrefixListId=made)
        assert sdk.call("DescribePrefixLists", PrefixListId=[made])["PrefixLists"]["PrefixList"] == []

    def test_ipv6_blocks_are_shown_compressed(self, sdk):
        entries = [{"Cidr": "2001:0DB8:0000:0000:0000:0000:0000:0000/32"}, {"Cidr": "2001:DB8::0001"}]
        made = self.prefix_list(sdk, AddressFamily="IPv6", Entry=entries)
        shown = sdk.call("DescribePrefixListAttributes", PrefixListId=made)["Entries"]["Entry"]
        assert field(shown, "Cidr") == ["2001:db8::/32", "2001:db8::1/128"]
        found = sdk.call("DescribePrefixLists", AddressFamily="IPv6", PrefixListId=[made])
        assert field(found["PrefixLists"]["PrefixList"], "PrefixListId") == [made]
        sdk.call("DeletePrefixList", PrefixListId=made)

    def test_a_port_list_is_made_shown_edited_and_deleted(self, sdk):
        entries = [{"PortRange": "80/80"}, {"PortRange": "443/444", "Description": "tls"}]
        made = self.port_list(sdk, Description="front ends", Entry=entries)
        assert made.startswith("prl-")
        [one] = sdk.call("DescribePortRangeLists", PortRangeListId=[made])["PortRangeLists"]
        assert (one["PortRangeListName"], one["Description"], one["MaxEntries"]) == ("web", "front ends", 5)
        sdk.call("ModifyPortRangeList", PortRangeListId=made, AddEntry=[{"PortRange": "8000/8080"}],
                 RemoveEntry=[{"PortRange": "80/80"}])
        assert sdk.call("DescribePortRangeListEntries", PortRangeListId=made)["Entries"] == [
            {"PortRange": "443/444", "Description": "tls"}, {"PortRange": "8000/8080", "Description": ""},
        ]
        sdk.call("DeletePortRangeList", PortRangeListId=made)
        assert sdk.call("DescribePortRangeLists", PortRangeListId=[made])["PortRangeLists"] == []

    def test_lists_have_tags_and_are_found_by_them(self, sdk):
        mark = f"list-{sdk.name}"
        tags = [{"Key": mark, "Value": "red"}]
        prefixes, ports = self.prefix_list(sdk, Tag=tags), self.port_list(sdk, Tag=tags)
        for chosen, number in (([{"Key": mark}], 1), (tags, 1), ([{"Key": mark, "Value": "blue"}], 0)):
            found = sdk.call("DescribePrefixLists", Tag=chosen)["PrefixLists"]["PrefixList"]
            assert field(found, "PrefixListId") == [prefixes] * number
            found = sdk.call("DescribePortRangeLists", Tag=chosen)["PortRangeLists"]
            assert field(found, "PortRangeListId") == [ports] * number
        [one] = sdk.call("DescribePrefixLists", PrefixListId=[prefixes])["PrefixLists"]["PrefixList"]
        assert one["Tags"]["Tag"] == [{"TagKey": mark, "TagValue": "red"}]
        [one] = sdk.call("DescribePortRangeLists", PortRangeListId=[ports])["PortRangeLists"]
        assert one["Tags"] == [{"TagKey": mark, "TagValue": "red"}]
        sdk.call("DeletePrefixList", PrefixListId=prefixes)
        sdk.call("DeletePortRangeList", PortRangeListId=ports)

    def test_lists_come_in_parts(self, sdk):
        made = [self.port_list(sdk, PortRangeListName="many") for _ in range(5)]
        seen, token = [], None
        while True:
            answer = sdk.call("DescribePortRangeLists", PortRangeListName="many", MaxResults=2, NextToken=token)
            seen += field(answer["PortRangeLists"], "PortRangeListId")
            token = answer["NextToken"]
            if not token:
                break
        assert sorted(made) == seen
        for one in made:
            sdk.call("DeletePortRangeList", PortRangeListId=one)

    def test_rules_name_lists_and_lists_their_groups(self, sdk, vpc):
        group, prefixes, ports = sdk.group(vpc), self.prefix_list(sdk), self.port_list(sdk)
        named = rule(PortRange=None, PortRangeListId=ports, SourceCidrIp=None, SourcePrefixListId=prefixes)
        outward = egress(443, DestCidrIp=None, DestPrefixListId=prefixes)
        sdk.call("AuthorizeSecurityGroup", SecurityGroupId=group, Permissions=[named])
        sdk.call("AuthorizeSecurityGroupEgress", SecurityGroupId=group, Permissions=[outward])
        [one] = sdk.rules(group, Direction="ingress")
        assert (one["PortRangeListId"], one["PortRangeListName"], one["PortRange"]) == (ports, "web", "")
        assert (one["SourcePrefixListId"], one["SourcePrefixListName"]) == (prefixes, "offices")
        [one] = sdk.rules(group, Direction="egress")
        assert (one["DestPrefixListId"], one["DestPrefixListName"]) == (prefixes, "offices")
        users = sdk.call("DescribePrefixListAssociations", PrefixListId=prefixes)["PrefixListAssociations"]
        assert users["PrefixListAssociation"] == [{"ResourceId": group, "ResourceType": "securitygroup"}]
        users = sdk.call("DescribePortRangeListAssociations", PortRangeListId=ports)["PortRangeListAssociations"]
        assert users == [{"ResourceId": group, "ResourceType": "SecurityGroup"}]
        assert sdk.refused("DeletePrefixList", PrefixListId=prefixes).told == (400, "NotAllowed.AssociationExist")
        assert sdk.refused("DeletePortRangeList", PortRangeListId=ports).told == (
            400, "InvalidPortRangeListId.AssociationExist",
        )
        sdk.call("RevokeSecurityGroup", SecurityGroupId=group, Permissions=[named])
        sdk.call("RevokeSecurityGroupEgress", SecurityGroupId=group, Permissions=[outward])
        sdk.call("DeletePrefixList", PrefixListId=prefixes)
        sdk.call("DeletePortRangeList", PortRangeListId=ports)


class Edits:
    """Groups and rules that are changed in place, and who names whom."""

    def test_a_group_is_renamed_and_described(self, sdk, vpc):
        group = sdk.group(vpc, SecurityGroupName="before", Description="the old one")
        sdk.call("ModifySecurityGroupAttribute", SecurityGroupId=group, SecurityGroupName="after")
        [one] = sdk.groups(SecurityGroupId=group)
        assert (one["SecurityGroupName"], one["Description"]) == ("after", "the old one")
        sdk.call("ModifySecurityGroupAttribute", SecurityGroupId=group, Description="the new one")
        [one] = sdk.groups(SecurityGroupId=group)
        assert (one["SecurityGroupName"], one["Description"]) == ("after", "the new one")

    def test_a_rule_is_modified_by_id_in_what_is_given(self, sdk, vpc):
        group, other = sdk.group(vpc), sdk.group(vpc)
        sdk.call("AuthorizeSecurityGroup", SecurityGroupId=group, Permissions=[rule(22)])
        [before] = sdk.rules(group)
        rule_id = before["SecurityGroupRuleId"]
        change = {"SecurityGroupId": group, "SecurityGroupRuleId": rule_id, "PortRange": "22/23", "Priority": "5",
                  "Policy": "drop", "Description": "shells", "SourceCidrIp": "10.9.0.0/16"}
        for _ in range(2):
            sdk.call("ModifySecurityGroupRule", **change)
        [after] = sdk.rules(group)
        changed = {"PortRange": "22/23", "Priority": 5, "Policy": "Drop", "Description": "shells",
                   "SourceCidrIp": "10.9.0.0/16"}
        # The newer Node SDK reads the number as the text that it declares.
        after["Priority"] = int(after["Priority"])
        assert after == {**before, **changed}
        sdk.call("AuthorizeSecurityGroupEgress", SecurityGroupId=group, Permissions=[egress(80)])
        [outward] = sdk.rules(group, Direction="egress")
        sdk.call("ModifySecurityGroupEgressRule", SecurityGroupId=group, IpProtocol="udp",
                 SecurityGroupRuleId=outward["SecurityGroupRuleId"], DestCidrIp="10.8.0.0/16")
        [after] = sdk.rules(group, Direction="egress")
        assert (after["IpProtocol"], after["DestCidrIp"], after["PortRange"]) == ("UDP", "10.8.0.0/16", "80/80")
        sdk.call("AuthorizeSecurityGroup", SecurityGroupId=group, Permissions=[
            rule(1, SourceCidrIp=None, SourceGroupId=other)
        ])

    def test_a_rule_is_modified_by_what_it_says_in_its_description_only(self, sdk, vpc):
        group = sdk.group(vpc)
        sdk.call("AuthorizeSecurityGroup", SecurityGroupId=group, Permissions=[rule(22)])
        # Terraform says the same twice.
        for _ in range(2):
            sdk.call("ModifySecurityGroupRule", SecurityGroupId=group, Description="ssh", **rule(22))
        [one] = sdk.rules(group)
        assert (one["Description"], one["PortRange"]) == ("ssh", "22/22")
        sdk.call("AuthorizeSecurityGroupEgress", SecurityGroupId=group, Permissions=[egress(22)])
        sdk.call("ModifySecurityGroupEgressRule", SecurityGroupId=group, Description="out", **egress(22))
        assert field(sdk.rules(group, Direction="egress"), "Description") == ["out"]

    def test_references_are_told_in_both_directions(self, sdk, vpc):
        one, two, three = (sdk.group(vpc) for _ in range(3))
        named = lambda peer: [rule(80, SourceCidrIp=None, SourceGroupId=peer)]
        sdk.call("AuthorizeSecurityGroup", SecurityGroupId=one, Permissions=named(two))
        sdk.call("AuthorizeSecurityGroup", SecurityGroupId=three, Permissions=named(one))
        answer = sdk.call("DescribeSecurityGroupReferences", SecurityGroupId=[one, two])
        found = {
            item["SecurityGroupId"]: sorted(field(
                item["ReferencingSecurityGroups"]["ReferencingSecurityGroup"], "SecurityGroupId"))
            for item in answer["SecurityGroupReferences"]["SecurityGroupReference"]
        }
        assert found == {one: sorted([two, three]), two: [one]}

    def test_a_managed_group_is_looked_at_and_not_changed(self, sdk, server, vpc):
        group = sdk.group(vpc, SecurityGroupName="lb")
        assert server.command("group", "manage", group, "--service", "42").returncode == 0
        [one] = sdk.groups(VpcId=vpc, ServiceManaged=True)
        assert (one["SecurityGroupId"], one["ServiceManaged"], one["ServiceID"]) == (group, True, 42)
        assert sdk.groups(VpcId=vpc, ServiceManaged=False) == []
        assert sdk.rules(group) == []
        for operation, more in (
            ("AuthorizeSecurityGroup", {"Permissions": [rule()]}),
            ("RevokeSecurityGroupEgress", {"Permissions": [egress()]}),
            ("ModifySecurityGroupRule", {"SecurityGroupRuleId": "sgr-1", "Priority": "2"}),
            ("ModifySecurityGroupAttribute", {"SecurityGroupName": "mine"}),
            ("ModifySecurityGroupPolicy", {"InnerAccessPolicy": "Drop"}),
            ("DeleteSecurityGroup", {}),
        ):
            refused = sdk.refused(operation, SecurityGroupId=group, **more)
            assert refused.told == (403, "InvalidOperation.ResourceManagedByCloudProduct"), operation
        assert server.command("group", "unmanage", group).returncode == 0
        sdk.call("DeleteSecurityGroup", SecurityGroupId=group)

    def test_a_protected_group_is_not_deleted(self, sdk, server, vpc):
        group = sdk.group(vpc)
        assert server.command("group", "protect", group).returncode == 0
        assert sdk.refused("DeleteSecurityGroup", SecurityGroupId=group).told == (
            403, "InvalidOperation.DeletionProtection",
        )
        done = server.command("group", "delete", "--force", group)
        assert done.returncode == 1 and "protected from deletion" in done.stderr
        assert server.command("group", "unprotect", group).returncode == 0
        sdk.call("DeleteSecurityGroup", SecurityGroupId=group)

    def test_force_deletes_a_group_that_is_used(self, sdk, server, vpc):
        vswitch, doomed, other = sdk.vswitch(vpc, "10.1.0.0/24"), sdk.group(vpc), sdk.group(vpc)
        named = rule(80, SourceCidrIp=None, SourceGroupId=doomed)
        sdk.call("AuthorizeSecurityGroup", SecurityGroupId=other, Permissions=[named])
        [rule_id] = field(sdk.rules(other), "SecurityGroupRuleId")
        [instance] = sdk.instances(vswitch, doomed)
        done = server.command("group", "delete", "--force", doomed)
        assert done.returncode == 1 and "only security group" in done.stderr, done.stderr
        sdk.call("JoinSecurityGroup", SecurityGroupId=other, InstanceId=instance)
        done = server.command("group", "delete", doomed)
        assert done.returncode == 1 and "still used by" in done.stderr, done.stderr
        done = server.command("group", "delete", "--force", doomed, "--output", "json")
        assert done.returncode == 0, done.stderr
        removed = json.loads(done.stdout)
        assert removed["rules"] == [{"group": other, "rule": rule_id}] and len(removed["enis"]) == 1
        assert sdk.rules(other) == [] and sdk.groups(SecurityGroupId=doomed) == []
        assert sdk.instance(instance)["SecurityGroupIds"]["SecurityGroupId"] == [other]
        sdk.call("DeleteInstance", RegionId=None, InstanceId=instance, Force=True)

    def test_the_limit_of_prefix_lists_and_of_port_lists(self, sdk):
        region = {"RegionId": "cn-qingdao"} if sdk.name == "v2" else {"RegionId": "cn-nanjing"}
        prefix = {"PrefixListName": "full", "AddressFamily": "IPv4", "MaxEntries": 1, **region}
        ports = {"PortRangeListName": "full", "MaxEntries": 1, **region}
        made = [(sdk.call("CreatePrefixList", **prefix)["PrefixListId"],
                 sdk.call("CreatePortRangeList", **ports)["PortRangeListId"]) for _ in range(100)]
        assert sdk.refused("CreatePrefixList", **prefix).told == (404, "LimitExceed.PrefixListPerRegion")
        assert sdk.refused("CreatePortRangeList", **ports).told == (400, "InvalidOperation.MaxCountExceed")
        for one, other in made:
            sdk.call("DeletePrefixList", PrefixListId=one, **region)
            sdk.call("DeletePortRangeList", PortRangeListId=other, **region)
