"""Two accounts on one server: groups of one as peers in rules of the other, in a VPC that is shared."""

import json

import pytest

from estate import egress, rule
from sdk import V1, V2

NAME = "neighbour"


class Neighbour:
    """A second account, with a client of each generation."""

    def __init__(self, server):
        done = server.command("account", "create", "--dialect", "ecs", "--name", NAME, "--format", "json")
        assert done.returncode == 0, done.stderr
        made = json.loads(done.stdout)
        key = {"key_id": made["access_key_id"], "secret": made["access_key_secret"]}
        self.id, self.v1, self.v2 = made["account"], V1(server, **key), V2(server, **key)


@pytest.fixture(scope="module")
def neighbour(server):
    return Neighbour(server)


@pytest.fixture(params=["v1", "v2"])
def pair(request, v1, v2, neighbour):
    """The same client for both accounts: the owner's, and the neighbour's."""
    return (v1, neighbour.v1) if request.param == "v1" else (v2, neighbour.v2)


def share(server, vpc, account, word="share"):
    done = server.command("vpc", word, vpc, account)
    assert done.returncode == 0, done.stderr


def test_a_group_of_another_account_is_named_by_owner(server, neighbour, pair):
    own, other = pair
    vpc = own.vpc()
    mine = own.group(vpc)
    assert other.refused("CreateSecurityGroup", VpcId=vpc).told == (404, "InvalidVpcId.NotFound")
    share(server, vpc, neighbour.id)
    [shown] = other.call("DescribeVpcs", VpcId=vpc)["Vpcs"]["Vpc"]
    assert shown["OwnerId"] != int(neighbour.id)
    theirs = other.group(vpc)
    plain = rule(80, SourceCidrIp=None, SourceGroupId=theirs)
    refused = own.refused("AuthorizeSecurityGroup", SecurityGroupId=mine, Permissions=[plain])
    assert refused.told == (404, "InvalidSourceGroupId.NotFound")
    by_id = rule(80, SourceCidrIp=None, SourceGroupId=theirs, SourceGroupOwnerId=int(neighbour.id))
    by_name = rule(81, SourceCidrIp=None, SourceGroupId=theirs, SourceGroupOwnerAccount=NAME)
    own.call("AuthorizeSecurityGroup", SecurityGroupId=mine, Permissions=[by_id, by_name])
    outward = egress(82, DestCidrIp=None, DestGroupId=theirs, DestGroupOwnerId=int(neighbour.id))
    own.call("AuthorizeSecurityGroupEgress", SecurityGroupId=mine, Permissions=[outward])
    shown = {(one["PortRange"], str(one["SourceGroupOwnerAccount"] or one["DestGroupOwnerAccount"])): one
             for one in own.rules(mine)}
    assert set(shown) == {(port, neighbour.id) for port in ("80/80", "81/81", "82/82")}
    # Each side is told of the other, with its owner.
    told = lambda sdk, group: [
        (one["AliUid"], one["SecurityGroupId"]) for one in
        sdk.call("DescribeSecurityGroupReferences", SecurityGroupId=[group])
        ["SecurityGroupReferences"]["SecurityGroupReference"][0]
        ["ReferencingSecurityGroups"]["ReferencingSecurityGroup"]
    ]
    assert told(own, mine) == [(neighbour.id, theirs)]
    [(owner, named)] = told(other, theirs)
    assert named == mine and owner != neighbour.id
    assert other.refused("DeleteSecurityGroup", SecurityGroupId=theirs).told == (403, "DependencyViolation")
    # The owner is part of what a rule says.
    own.call("RevokeSecurityGroup", SecurityGroupId=mine, Permissions=[plain])
    assert len(own.rules(mine)) == 3
    own.call("RevokeSecurityGroup", SecurityGroupId=mine, Permissions=[by_id, by_name])
    own.call("RevokeSecurityGroupEgress", SecurityGroupId=mine, Permissions=[outward])
    assert own.rules(mine) == []
    other.call("DeleteSecurityGroup", SecurityGroupId=theirs)


def test_what_the_other_account_may_not(server, neighbour, pair):
    own, other = pair
    vpc = own.vpc()
    vswitch, mine = own.vswitch(vpc, "10.1.0.0/24"), own.group(vpc)
    share(server, vpc, neighbour.id)
    theirs = other.group(vpc)
    more = {"VSwitchId": vswitch, "ImageId": "any", "InstanceType": "ecs.any"}
    assert other.refused("RunInstances", SecurityGroupId=mine, **more).told == (404, "InvalidSecurityGroupId.NotFound")
    assert other.refused("DeleteVpc", VpcId=vpc).told == (404, "InvalidVpcId.NotFound")
    assert other.refused("DeleteVSwitch", VSwitchId=vswitch).told == (404, "InvalidVSwitchId.NotFound")
    assert other.refused("AuthorizeSecurityGroup", SecurityGroupId=mine, Permissions=[rule()]).told == (
        404, "InvalidSecurityGroupId.NotFound",
    )
    [instance] = other.instances(vswitch, theirs)
    assert own.call("DescribeInstances", InstanceIds=json.dumps([instance]))["Instances"]["Instance"] == []
    assert own.refused("DeleteVSwitch", VSwitchId=vswitch).told == (400, "DependencyViolation")
    # What is there stays when the VPC is closed; nothing new comes.
    share(server, vpc, neighbour.id, "unshare")
    assert other.instance(instance)["InstanceId"] == instance
    assert other.refused("RunInstances", SecurityGroupId=theirs, **more).told == (404, "InvalidVSwitchId.NotFound")
    other.call("DeleteInstance", RegionId=None, InstanceId=instance, Force=True)
    other.call("DeleteSecurityGroup", SecurityGroupId=theirs)


def test_a_group_in_another_vpc_is_no_peer(neighbour, pair):
    own, other = pair
    mine, theirs = own.group(own.vpc()), other.group(other.vpc())
    inward = rule(SourceCidrIp=None, SourceGroupId=theirs, SourceGroupOwnerId=int(neighbour.id))
    refused = own.refused("AuthorizeSecurityGroup", SecurityGroupId=mine, Permissions=[inward])
    assert refused.told == (400, "InvalidSourceGroupId.Mismatch")
    outward = egress(DestCidrIp=None, DestGroupId=theirs, DestGroupOwnerId=int(neighbour.id))
    refused = own.refused("AuthorizeSecurityGroupEgress", SecurityGroupId=mine, Permissions=[outward])
    assert refused.told == (400, "InvalidDestGroupId.Mismatch")
    unknown = rule(SourceCidrIp=None, SourceGroupId=theirs, SourceGroupOwnerId=1)
    refused = own.refused("AuthorizeSecurityGroup", SecurityGroupId=mine, Permissions=[unknown])
    assert refused.told == (404, "InvalidSourceGroupId.NotFound")


def test_a_vpc_is_shared_within_a_dialect(server, v2):
    vpc = v2.vpc()
    status, made = server.native("POST", "/v1/accounts", {"dialect": "ec2", "name": "amazonian-2"})
    assert status == 200, made
    done = server.command("vpc", "share", vpc, made["account"])
    assert done.returncode == 1 and "another dialect" in done.stderr, done
    done = server.command("vpc", "share", "vpc-none", made["account"])
    assert done.returncode == 1 and "`vpc-none` does not exist" in done.stderr, done
