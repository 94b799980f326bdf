"""`boto3` on managed prefix lists: versions, restoration, paging, rules that name them, and each code they can provoke."""

import pytest

from probes import Listeners, reaches
from test_ec2 import client_of, told


@pytest.fixture(scope="module")
def ec2(server):
    return client_of(server)


@pytest.fixture
def offices(ec2):
    entries = [{"Cidr": "10.2.0.0/16"}, {"Cidr": "10.1.0.9/16", "Description": "first"}]
    tags = [{"ResourceType": "prefix-list", "Tags": [{"Key": "env", "Value": "prod"}]}]
    named = {"PrefixListName": "offices", "AddressFamily": "IPv4", "MaxEntries": 4, "TagSpecifications": tags}
    made = ec2.create_managed_prefix_list(Entries=entries, **named)["PrefixList"]
    assert (made["State"], made["Version"], made["MaxEntries"]) == ("create-complete", 1, 4)
    assert made["PrefixListArn"].endswith(f":prefix-list/{made['PrefixListId']}")
    yield made["PrefixListId"]
    ec2.delete_managed_prefix_list(PrefixListId=made["PrefixListId"])


def entries(ec2, of, **more):
    pages = ec2.get_paginator("get_managed_prefix_list_entries").paginate(PrefixListId=of, **more)
    return [(entry["Cidr"], entry.get("Description")) for page in pages for entry in page["Entries"]]


def test_versions_are_kept_and_restored(ec2, offices):
    first = [("10.1.0.0/16", "first"), ("10.2.0.0/16", None)]
    assert entries(ec2, offices) == first
    modify = ec2.modify_managed_prefix_list
    added = [{"Cidr": "10.3.0.0/16"}, {"Cidr": "10.1.0.0/16", "Description": "renamed"}]
    done = modify(PrefixListId=offices, CurrentVersion=1, AddEntries=added, RemoveEntries=[{"Cidr": "10.2.0.0/16"}])
    assert (done["PrefixList"]["Version"], done["PrefixList"]["State"]) == (2, "modify-complete")
    second = [("10.1.0.0/16", "renamed"), ("10.3.0.0/16", None)]
    assert entries(ec2, offices, PaginationConfig={"PageSize": 1}) == second
    assert entries(ec2, offices, TargetVersion=1) == first
    assert modify(PrefixListId=offices, PrefixListName="sites", MaxEntries=5)["PrefixList"]["Version"] == 2
    stale = {"PrefixListId": offices, "CurrentVersion": 1, "AddEntries": [{"Cidr": "10.9.0.0/16"}]}
    assert told(modify, **stale) == (400, "PrefixListVersionMismatch")
    restore = ec2.restore_managed_prefix_list_version
    done = restore(PrefixListId=offices, PreviousVersion=1, CurrentVersion=2)["PrefixList"]
    assert (done["Version"], done["State"], done["PrefixListName"]) == (3, "restore-complete", "sites")
    assert entries(ec2, offices) == first and entries(ec2, offices, TargetVersion=2) == second
    mismatch = {"PrefixListId": offices, "PreviousVersion": 2, "CurrentVersion": 2}
    assert told(restore, **mismatch) == (400, "PrefixListVersionMismatch")


def test_lists_are_found(server, ec2, offices):
    def found(**filters):
        wanted = [{"Name": name.replace("_", "-"), "Values": [value]} for name, value in filters.items()]
        return [one["PrefixListId"] for one in ec2.describe_managed_prefix_lists(Filters=wanted)["PrefixLists"]]

    owner = client_of(server, "sts").get_caller_identity()["Account"]
    assert found(prefix_list_name="off*", owner_id=owner, prefix_list_id=offices) == [offices]
    assert found(owner_id="AWS") == [] and found(tag_key="env") == [offices]
    [shown] = ec2.describe_managed_prefix_lists(PrefixListIds=[offices])["PrefixLists"]
    assert shown["Tags"] == [{"Key": "env", "Value": "prod"}] and shown["AddressFamily"] == "IPv4"
    pages = ec2.get_paginator("describe_managed_prefix_lists").paginate(PaginationConfig={"PageSize": 1})
    assert offices in [one["PrefixListId"] for page in pages for one in page["PrefixLists"]]
    ec2.create_tags(Resources=[offices], Tags=[{"Key": "more", "Value": ""}])
    [tag] = ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [offices]}, {"Name": "key", "Values": ["more"]}])["Tags"]
    assert tag["ResourceType"] == "prefix-list"
    # There are no services of the cloud here, so none has a list.
    assert ec2.describe_prefix_lists()["PrefixLists"] == []
    other = client_of(server, region_name="eu-west-1")
    assert told(other.get_managed_prefix_list_entries, PrefixListId=offices) == (400, "InvalidPrefixListID.NotFound")


def test_a_token_makes_one_list(ec2):
    named = {"PrefixListName": "once", "AddressFamily": "IPv6", "MaxEntries": 1, "ClientToken": "lists-once"}
    one, same = (ec2.create_managed_prefix_list(**named)["PrefixList"] for _ in range(2))
    assert one["PrefixListId"] == same["PrefixListId"]
    assert told(ec2.create_managed_prefix_list, **{**named, "MaxEntries": 2}) == (400, "IdempotentParameterMismatch")
    gone = ec2.delete_managed_prefix_list(PrefixListId=one["PrefixListId"])["PrefixList"]
    assert gone["State"] == "delete-complete"


def test_refusals_of_lists(server, ec2, offices):
    group = a_group(ec2)
    named = {"PrefixListName": "a", "AddressFamily": "IPv4", "MaxEntries": 1}
    create, modify = ec2.create_managed_prefix_list, ec2.modify_managed_prefix_list
    added = {"PrefixListId": offices, "AddEntries": [{"Cidr": "10.9.0.0/16"}]}
    revoke = ec2.revoke_security_group_ingress
    rule = {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1, "PrefixListIds": [{"PrefixListId": offices}]}
    cases = [
        (create, {**named, "AddressFamily": "IPv5"}, (400, "InvalidParameterValue")),
        (create, {**named, "PrefixListName": "com.amazonaws.mine"}, (400, "InvalidParameterValue")),
        (create, {**named, "MaxEntries": 1001}, (400, "InvalidParameterValue")),
        (create, {**named, "Entries": [{"Cidr": "fd00::/8"}]}, (400, "InvalidParameterValue")),
        (create, {**named, "Entries": [{"Cidr": "10.0.0.0/8"}, {"Cidr": "11.0.0.0/8"}]}, (400, "PrefixListMaxEntriesExceeded")),
        (create, {**named, "DryRun": True}, (412, "DryRunOperation")),
        (modify, added, (400, "MissingParameter")),
        (modify, {**added, "CurrentVersion": 1, "MaxEntries": 9}, (400, "InvalidParameterCombination")),
        (modify, {"PrefixListId": offices, "MaxEntries": 1}, (400, "PrefixListMaxEntriesExceeded")),
        (modify, {"PrefixListId": "pl-0123", "PrefixListName": "b"}, (400, "InvalidPrefixListID.NotFound")),
        (ec2.delete_managed_prefix_list, {"PrefixListId": "offices"}, (400, "InvalidPrefixListId.Malformed")),
        (ec2.describe_managed_prefix_lists, {"PrefixListIds": ["pl-0123"]}, (400, "InvalidPrefixListID.NotFound")),
        (revoke, {"GroupId": group, "IpPermissions": [rule]}, (400, "InvalidPermission.NotFound")),
    ]
    with server.unchanged():
        for call, parameters, expected in cases:
            assert told(call, **parameters) == expected, parameters


def a_group(ec2, vpc=None):
    vpc = vpc or ec2.create_vpc(CidrBlock="10.40.0.0/16")["Vpc"]["VpcId"]
    return ec2.create_security_group(GroupName="listed", Description="d", VpcId=vpc)["GroupId"]


def test_a_rule_costs_what_its_list_may_hold(ec2, offices):
    group = a_group(ec2)
    rule = [{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "PrefixListIds": [{"PrefixListId": offices, "Description": "o"}]}]
    made = ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=rule)["SecurityGroupRules"]
    assert [one["PrefixListId"] for one in made] == [offices]
    [used] = ec2.get_managed_prefix_list_associations(PrefixListId=offices)["PrefixListAssociations"]
    assert used["ResourceId"] == group
    blocks = [{"CidrIp": f"10.{number}.0.0/16"} for number in range(56)]
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[{"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1, "IpRanges": blocks}])
    full = (400, "RulesPerSecurityGroupLimitExceeded")
    assert told(ec2.modify_managed_prefix_list, PrefixListId=offices, MaxEntries=5) == full
    assert told(ec2.delete_managed_prefix_list, PrefixListId=offices) == (400, "DependencyViolation")
    named = [{"Name": "ip-permission.prefix-list-id", "Values": [offices]}]
    assert [one["GroupId"] for one in ec2.describe_security_groups(Filters=named)["SecurityGroups"]] == [group]
    egress = [{"Name": "egress.ip-permission.prefix-list-id", "Values": [offices]}]
    assert ec2.describe_security_groups(Filters=egress)["SecurityGroups"] == []
    ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=rule)


def test_packets_follow_the_list(server, ec2):
    vpc = ec2.create_vpc(CidrBlock="10.41.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.41.1.0/24")["Subnet"]["SubnetId"]
    group = a_group(ec2, vpc)
    run = {"MinCount": 1, "MaxCount": 1, "SubnetId": subnet, "ImageId": "ami-1", "InstanceType": "t3.micro"}
    [client] = ec2.run_instances(**run)["Instances"]
    [web] = ec2.run_instances(**run, SecurityGroupIds=[group])["Instances"]
    named = {"PrefixListName": "clients", "AddressFamily": "IPv4", "MaxEntries": 2}
    made = ec2.create_managed_prefix_list(**named)["PrefixList"]["PrefixListId"]
    rule = [{"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "PrefixListIds": [{"PrefixListId": made}]}]
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=rule)
    server.wait_applied()
    with Listeners(web["InstanceId"], 80):
        def passes():
            server.wait_applied()
            return reaches(client["InstanceId"], web["PrivateIpAddress"], 80)

        assert not passes()
        entry = [{"Cidr": f"{client['PrivateIpAddress']}/32"}]
        ec2.modify_managed_prefix_list(PrefixListId=made, CurrentVersion=1, AddEntries=entry)
        assert passes()
        ec2.restore_managed_prefix_list_version(PrefixListId=made, PreviousVersion=1, CurrentVersion=2)
        assert not passes()
        ec2.restore_managed_prefix_list_version(PrefixListId=made, PreviousVersion=2, CurrentVersion=3)
        assert passes()
    ec2.terminate_instances(InstanceIds=[client["InstanceId"], web["InstanceId"]])
