"""`@alicloud/ecs20140526` (ACS3) and `@alicloud/pop-core` (RPC version 1 in a form), unmodified, under Node."""

import pytest

from contract import Contract, rows
from sdk import Node, Refused
from server import REGION


@pytest.fixture(scope="module")
def n1(server):
    with Node("n1", server) as client:
        yield client


@pytest.fixture(scope="module")
def n2(server):
    with Node("n2", server) as client:
        yield client


class TestOlder(Contract):
    """The common suite, through `pop-core`."""

    @pytest.fixture
    def sdk(self, n1):
        return n1

    @rows("n1")
    def test_refusal(self, sdk, server, estate, row):
        self.check(sdk, server, estate, row)


class TestNewer(Contract):
    """The common suite, through `ecs20140526`."""

    @pytest.fixture
    def sdk(self, n2):
        return n2

    @rows("n2")
    def test_refusal(self, sdk, server, estate, row):
        self.check(sdk, server, estate, row)


def test_whose_key_it_is_and_where_the_products_are(n1):
    caller = n1.call("GetCallerIdentity", RegionId=None)
    assert caller["Arn"] == f"acs:ram::{caller['AccountId']}:root" and caller["IdentityType"] == "Account"
    answer = n1.call("DescribeEndpoints", RegionId=None, Id=REGION, ServiceCode="ecs", Type="openAPI")
    assert [one["Endpoint"] for one in answer["Endpoints"]["Endpoint"]] == [n1.address]


def test_a_repeated_request_makes_one_group(n1, n2):
    vpc = n1.vpc()
    first = n1.group(vpc, ClientToken="one", SecurityGroupName="once")
    assert n1.group(vpc, ClientToken="one", SecurityGroupName="once") == first
    assert n2.group(vpc, ClientToken="one", SecurityGroupName="once") == first, "the client does not matter"
    refused = n1.refused("CreateSecurityGroup", VpcId=vpc, ClientToken="one", SecurityGroupName="other")
    assert refused.told == (400, "IdempotentParameterMismatch")


def test_tags_and_resource_groups(n2, server):
    group = n2.group(n2.vpc())
    tagged = {"ResourceType": "securitygroup", "ResourceId": [group]}
    n2.call("TagResources", **tagged, Tag=[{"Key": "env", "Value": "prod"}, {"Key": "team", "Value": "a"}])
    n2.call("UntagResources", **tagged, TagKey=["team"])
    shown = n2.call("ListTagResources", **tagged)["TagResources"]["TagResource"]
    assert [(one["TagKey"], one["TagValue"]) for one in shown] == [("env", "prod")]
    new = {"name": "node", "account": n2.account}
    resource_group = server.native("POST", "/v1/resource-groups", new)[1]["id"]
    move = {"ResourceType": "securitygroup", "ResourceId": group}
    n2.call("JoinResourceGroup", **move, ResourceGroupId=resource_group)
    assert [one["SecurityGroupId"] for one in n2.groups(ResourceGroupId=resource_group)] == [group]


def test_a_wrong_secret(server, unchanged):
    for name in ("n1", "n2"):
        with Node(name, server, secret="x" * 30) as client, pytest.raises(Refused) as refused:
            client.groups()
        assert refused.value.status == 400 and "Signature" in refused.value.code
