"""What `sekimori why` suggests, carried out as it is written: by the AWS command line, and by the ECS SDK word for word."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from probes import Listeners, reaches
from server import until
from test_ec2 import client_of
from test_ec2_peering import clear, vpc_with_instance

AWS = Path(sys.executable).with_name("aws")


def asked(server, *words):
    """The answer as JSON, after the newest change is in effect."""
    assert server.command("wait", "--timeout-s", "30").returncode == 0
    done = server.command(*words, "--output", "json")
    assert done.returncode in (0, 2), done
    return json.loads(done.stdout)


def commands(answer):
    return [step["command"] for step in answer["change"]["steps"]]


def aws(server, command):
    """Runs a command line of EC2 as a person would."""
    words = shlex.split(command)
    assert words[0] == "aws"
    environment = {**os.environ, **server.credentials}
    done = subprocess.run([AWS, *words[1:]], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, (command, done)


def ecs(sdk, command):
    """Makes the call of a command line of ECS, which has the names of the API's own parameters."""
    words = shlex.split(command)
    assert words[:2] == ["aliyun", "ecs"]
    given = dict(zip((word.removeprefix("--") for word in words[3::2]), words[4::2], strict=True))
    permission, rules = {}, []
    for name in list(given):
        if name.startswith("Permissions.1."):
            permission[name.rpartition(".")[2]] = given.pop(name)
        elif name.startswith("SecurityGroupRuleId."):
            rules.append(given.pop(name))
    del given["RegionId"]
    lists = {"Permissions": [permission] if permission else None, "SecurityGroupRuleId": rules or None}
    sdk.call(words[2], **given, **{name: value for name, value in lists.items() if value})


@pytest.fixture(scope="module")
def sdk(v2):
    return v2


@pytest.fixture
def pair(server):
    """Two EC2 instances of one VPC, each with a group of its own: (client, its group, service, its group, address)."""
    ec2 = client_of(server)
    vpc, web, client, _ = vpc_with_instance(ec2, "10.61", "answers-web")
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.61.2.0/24")["Subnet"]["SubnetId"]
    db = ec2.create_security_group(GroupName="answers-db", Description="db", VpcId=vpc)["GroupId"]
    machine = {"ImageId": "ami-1", "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1}
    started = ec2.run_instances(SubnetId=subnet, SecurityGroupIds=[db], **machine)["Instances"][0]
    yield ec2, client, web, started["InstanceId"], db, started["PrivateIpAddress"]
    for group in ec2.describe_security_groups(GroupIds=[web, db])["SecurityGroups"]:
        if group["IpPermissions"]:
            ec2.revoke_security_group_ingress(GroupId=group["GroupId"], IpPermissions=group["IpPermissions"])
    clear(ec2, vpc)


def test_ec2_is_opened_and_stopped_as_suggested(server, pair):
    ec2, client, web, service, db, address = pair
    question = ("why", client, service, "tcp/5432")
    closed = asked(server, *question)
    assert not closed["allowed"] and closed["change"]["cost"]["packets"] == "0", closed
    with Listeners(service, 5432):
        assert not reaches(client, address, 5432)
        for command in commands(closed):
            aws(server, command)
        opened = asked(server, *question)
        assert opened["allowed"] and opened["change"] is None, opened
        assert reaches(client, address, 5432)
        stopped = asked(server, *question, "--stop")
        for command in commands(stopped):
            aws(server, command)
        assert not asked(server, *question)["allowed"]


@pytest.mark.parametrize("protocol", ["gre", "47", "132", "ICMP"])
def test_ec2_takes_the_protocol_of_a_suggestion(server, pair, protocol):
    _, client, _, service, _, _ = pair
    question = ("why", client, service, protocol)
    closed = asked(server, *question)
    assert not closed["allowed"], closed
    for command in commands(closed):
        aws(server, command)
    assert asked(server, *question)["allowed"]


def test_ec2_network_acls_are_part_of_the_answer(server, pair):
    ec2, client, web, service, db, address = pair
    [of_service] = ec2.describe_instances(InstanceIds=[service])["Reservations"][0]["Instances"]
    of_vpc = [{"Name": "vpc-id", "Values": [of_service["VpcId"]]}]
    [acl] = ec2.describe_network_acls(Filters=of_vpc)["NetworkAcls"]
    for egress in (False, True):
        ec2.delete_network_acl_entry(NetworkAclId=acl["NetworkAclId"], RuleNumber=100, Egress=egress)
    question = ("why", client, service, "tcp/5432")
    closed = asked(server, *question)
    assert {leg["decision"]["why"]["kind"] for leg in closed["blockers"]} == {"network-acl", "default"}, closed
    for command in commands(closed):
        aws(server, command)
    opened = asked(server, *question)
    assert opened["allowed"] and not opened["answer_dropped"], opened


def test_a_group_and_the_internet(server, pair):
    ec2, client, web, service, db, _ = pair
    group = asked(server, "why", web, db, "tcp/443")
    assert (group["pairs"], group["pairs_allowed"]) == (1, 0)
    assert "UserIdGroupPairs" in commands(group)[-1]
    for command in commands(group):
        aws(server, command)
    assert asked(server, "why", web, db, "tcp/443")["allowed"]
    internet = asked(server, "why", "internet", service, "tcp/22")
    assert internet["pairs"] > 1 and not internet["allowed"]
    aws(server, commands(internet)[0])
    assert asked(server, "why", "internet", service, "tcp/22")["allowed"]
    assert asked(server, "why", "internet", service, "tcp/22", "--stop")["change"]["steps"]


def test_ecs_is_opened_and_stopped_as_suggested(server, sdk, vpc):
    vswitch, clients, services = sdk.vswitch(vpc, "10.1.0.0/24"), sdk.group(vpc), sdk.group(vpc)
    denied = {"IpProtocol": "TCP", "PortRange": "1/65535", "SourceCidrIp": "10.0.0.0/8", "Policy": "drop", "Priority": "10"}
    sdk.call("AuthorizeSecurityGroup", SecurityGroupId=services, Permissions=[denied])
    [client], [service] = sdk.instances(vswitch, clients), sdk.instances(vswitch, services)
    question = ("why", client, service, "tcp/8443")
    closed = asked(server, *question)
    assert len(closed["blockers"]) == 2 and closed["change"]["cost"]["packets"] == "0", closed
    for command in commands(closed):
        ecs(sdk, command)
    assert asked(server, *question)["allowed"]
    for command in commands(asked(server, *question, "--stop")):
        ecs(sdk, command)
    assert not asked(server, *question)["allowed"]
    sdk.call("DeleteInstances", InstanceId=[client, service], Force=True)


def test_ecs_gives_a_rule_another_priority_as_suggested(server, sdk, vpc):
    vswitch, clients, services = sdk.vswitch(vpc, "10.1.0.0/24"), sdk.group(vpc), sdk.group(vpc)
    [client], [service] = sdk.instances(vswitch, clients), sdk.instances(vswitch, services)
    [address] = sdk.instance(client)["VpcAttributes"]["PrivateIpAddress"]["IpAddress"]
    [target] = sdk.instance(service)["VpcAttributes"]["PrivateIpAddress"]["IpAddress"]

    def tcp(port, policy, priority, **peer):
        peer = peer or {"SourceCidrIp": address}
        return {"IpProtocol": "TCP", "PortRange": f"{port}/{port}", "Policy": policy, "Priority": str(priority), **peer}

    rules = [
        tcp(443, "accept", 40), tcp(443, "drop", 10, SourceCidrIp="10.1.0.0/24"),
        tcp(22, "drop", 1, SourceCidrIp="10.0.0.0/8"), tcp(22, "accept", 50, SourceCidrIp="10.0.0.0/8"),
    ]
    sdk.call("AuthorizeSecurityGroup", SecurityGroupId=services, Permissions=rules)
    outward = [tcp(443, "drop", 90, DestCidrIp=target), tcp(443, "accept", 30, DestCidrIp="10.0.0.0/8")]
    sdk.call("AuthorizeSecurityGroupEgress", SecurityGroupId=clients, Permissions=outward)
    for port, goal, calls in (
        (443, (), ["ModifySecurityGroupRule"]),
        (22, (), ["ModifySecurityGroupRule", "AuthorizeSecurityGroup"]),
        (443, ("--stop",), ["ModifySecurityGroupEgressRule"]),
    ):
        question = ("why", client, service, f"tcp/{port}", *goal)
        found, before = asked(server, *question), server.revision()
        assert [command.split()[2] for command in commands(found)] == calls, found
        for command in commands(found):
            ecs(sdk, command)
        assert asked(server, *question)["allowed"] is not found["allowed"]
        # What it costs is what the difference says of what was done: nothing but what was asked about.
        assert found["change"]["cost"]["packets"] == "0", found
        [told] = asked(server, "diff", "--from", before)["changes"]
        side = ("lost", "egress", target) if goal else ("gained", "ingress", address)
        assert (told["effect"], told["direction"].lower()) == side[:2], told
        [row] = told["rows"]
        assert row["services"] == [f"tcp/{port}"] and side[2] in row["peers"][0], told
    sdk.call("DeleteInstances", InstanceId=[client, service], Force=True)


def test_who_reaches_whom(server, pair):
    ec2, client, web, service, db, address = pair
    from_web = [{"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "UserIdGroupPairs": [{"GroupId": web}]}]
    everyone = [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "203.0.113.0/24"}]}]
    ec2.authorize_security_group_ingress(GroupId=db, IpPermissions=from_web + everyone)
    [reach] = asked(server, "who", "--to", service)["inside"]
    assert (reach["from"]["instances"], reach["to"]["addresses"]) == ([client], [address])
    assert "tcp/5432" in reach["services"], reach
    assert asked(server, "who", "--from", client)["inside"] == [reach]
    outside = asked(server, "who", "--from", "internet", "--to", db)["outside"]
    [exposed] = [one for one in outside if one["addresses"] == ["203.0.113.0/24"]]
    assert ["tcp/22"] == [one for one in exposed["services"] if one.startswith("tcp")]
    assert asked(server, "who", "--all")["pairs"] >= 1
    assert server.command("who").returncode == 64
    assert server.command("who", "--to", "i-nobody").returncode == 1


def test_health_proposes_fewer_and_narrower_rules(server, pair):
    ec2, client, web, service, db, address = pair
    blocks = [("10.61.0.0/17", 7000, 7009), ("10.61.128.0/17", 7000, 7004), ("10.61.128.0/17", 7005, 7009)]
    rules = [
        {"IpProtocol": "tcp", "FromPort": first, "ToPort": last, "IpRanges": [{"CidrIp": block}]}
        for block, first, last in blocks
    ]
    empty = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "UserIdGroupPairs": [{"GroupId": lonely(ec2, db)}]}
    ec2.authorize_security_group_ingress(GroupId=db, IpPermissions=[*rules, empty])
    found = asked(server, "health", db, "--too-wide")
    [absent] = found["empty_peers"]
    assert absent["why"] == "no-member", found
    [merge] = found["merges"]
    assert len(merge["rules"]) == 3 and "tcp 7000-7009 from 10.61.0.0/16" in merge["into_text"], merge
    replaced = server.command("health", db, "--merge", "--yes")
    assert replaced.returncode == 0 and "tcp 7000-7009 from 10.61.0.0/16" in replaced.stdout, replaced
    with Listeners(service, 7003, 7004):
        assert asked(server, "health", db)["merges"] == []
        assert reaches(client, address, 7003) and reaches(client, address, 7004)
        # The hosts tell what they saw a moment later.
        until("two flows that were seen", lambda: [one for one in too_wide(server, db) if one["seen"] >= 2])
    [wide] = too_wide(server, db)
    [narrower] = wide["narrower_texts"]
    assert "tcp 7003-7004 from 10.61.1." in narrower, wide


def too_wide(server, group):
    return asked(server, "health", group, "--too-wide")["too_wide"]


def lonely(ec2, group):
    """A group that no interface carries, of the VPC of another."""
    [other] = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    made = ec2.create_security_group(GroupName="answers-none", Description="none", VpcId=other["VpcId"])
    return made["GroupId"]
