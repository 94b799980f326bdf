"""Both dialects on one server: the same addresses in a VPC of either cloud, and keys that are good for one of them."""

import pytest

from aws import WORLD_V4, Site, client_of, told
from estate import rule
from probes import Listeners, passes
from sdk import V2

CIDR, SUBNET = "10.77.0.0/16", "10.77.0.0/24"
SERVICE, CLIENT = "10.77.0.20", "10.77.0.30"


@pytest.fixture
def alibaba(v2):
    """A group, and instances that carry it: a service and a client."""
    vpc = v2.vpc(CIDR)
    vswitch, group = v2.vswitch(vpc, SUBNET), v2.group(vpc, SecurityGroupType="enterprise")
    out = {"IpProtocol": "all", "PortRange": "-1/-1", "DestCidrIp": WORLD_V4}
    v2.call("AuthorizeSecurityGroupEgress", SecurityGroupId=group, Permissions=[out])
    service, client = (v2.instances(vswitch, group, PrivateIpAddress=ip)[0] for ip in (SERVICE, CLIENT))
    yield group, service, client
    v2.call("DeleteInstances", InstanceId=[service, client], Force=True)


@pytest.fixture
def amazon(server):
    with Site(server, CIDR) as site:
        (subnet, block), group = site.subnet(), site.group("same-addresses")
        assert block == SUBNET
        service, client = (site.instance(subnet, group, PrivateIpAddress=ip) for ip in (SERVICE, CLIENT))
        yield site, group, service.id, client.id


def test_vpcs_of_both_clouds_with_the_same_addresses(server, v2, alibaba, amazon):
    (ecs_group, ecs_service, ecs_client), (site, ec2_group, ec2_service, ec2_client) = alibaba, amazon
    server.wait_applied()

    def heard():
        """Who answers in which VPC, at the one address."""
        clients = {"ecs": ecs_client, "ec2": ec2_client}
        return [
            (cloud, name)
            for cloud, client in clients.items()
            for name in clients
            if passes(client, SERVICE, "tcp/8080", greeting=name)
        ]

    with Listeners(ecs_service, 8080, greeting="ecs"), Listeners(ec2_service, 8080, greeting="ec2"):
        assert heard() == []
        # The same words about the same addresses, at one of them only.
        permission = rule(8080, SourceCidrIp=f"{CLIENT}/32")
        v2.call("AuthorizeSecurityGroup", SecurityGroupId=ecs_group, Permissions=[permission])
        server.wait_applied()
        assert heard() == [("ecs", "ecs")]
        permissions = site.allow(ec2_group, ("tcp/8080", f"{CLIENT}/32"))
        assert heard() == [("ecs", "ecs"), ("ec2", "ec2")]
        v2.call("RevokeSecurityGroup", SecurityGroupId=ecs_group, Permissions=[permission])
        server.wait_applied()
        assert heard() == [("ec2", "ec2")]
        site.disallow(ec2_group, permissions)
        assert heard() == []


def test_a_key_is_good_for_its_own_cloud(server, unchanged):
    found = server.credentials
    amazon = V2(server, found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"])
    assert amazon.refused("DescribeSecurityGroups").told == (404, "InvalidAccessKeyId.NotFound")
    key = found["ALIBABA_CLOUD_ACCESS_KEY_ID"], found["ALIBABA_CLOUD_ACCESS_KEY_SECRET"]
    alibaba = client_of(server, aws_access_key_id=key[0], aws_secret_access_key=key[1])
    assert told(alibaba.describe_security_groups) == (401, "AuthFailure")


def test_what_is_of_one_cloud_is_not_there_in_the_other(server, v2, alibaba, amazon, unchanged):
    (ecs_group, ecs_service, _), (site, ec2_group, ec2_service, _) = alibaba, amazon
    assert told(site.ec2.delete_security_group, GroupId=ecs_group)[1].startswith("InvalidGroup")
    assert told(site.ec2.terminate_instances, InstanceIds=[ecs_service])[1].startswith("InvalidInstanceID")
    assert v2.refused("DeleteSecurityGroup", SecurityGroupId=ec2_group).status == 404
    assert v2.refused("DeleteInstances", InstanceId=[ec2_service], Force=True).status == 404
