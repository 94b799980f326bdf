"""`apache-libcloud`, unmodified: GET, RPC signature version 1, and everything in XML."""

import ast

import pytest
from libcloud.common.exceptions import BaseHTTPError
from libcloud.compute.drivers.ecs import ECSDriver
from libcloud.compute.types import NodeState

from estate import egress, rule
from server import REGION


def driver_of(server, **key):
    found = server.credentials
    host, port = server.address.rsplit(":", 1)
    key_id = key.get("key_id") or found["ALIBABA_CLOUD_ACCESS_KEY_ID"]
    secret = key.get("secret") or found["ALIBABA_CLOUD_ACCESS_KEY_SECRET"]
    return ECSDriver(key_id, secret, region=REGION, secure=False, host=host, port=int(port))


@pytest.fixture(scope="module")
def driver(server):
    return driver_of(server)


@pytest.fixture(scope="module")
def sdk(v2):
    """libcloud has no VPCs and no way to make rules; another client lays the ground."""
    return v2


def code_of(error):
    """libcloud raises a dictionary of the error's fields, written as text."""
    return ast.literal_eval(error.value.message)["code"]


def test_locations(driver):
    locations = {location.id: location.name for location in driver.list_locations()}
    assert len(locations) == 30
    assert locations[REGION] == "China (Hangzhou)"


def test_groups_over_several_pages(driver, sdk, vpc):
    made = {sdk.group(vpc, SecurityGroupName=f"page-{number}") for number in range(23)}
    listed = driver.ex_list_security_groups({"VpcId": vpc})
    assert {group.id for group in listed} == made and len(listed) == 23
    assert {group.vpc_id for group in listed} == {vpc}
    [one] = driver.ex_list_security_groups({"VpcId": vpc, "SecurityGroupName": "page-7"})
    assert (one.name, one.description) == ("page-7", "")
    assert driver.ex_list_security_groups({"VpcId": "vpc-none"}) == []


def test_rules(driver, sdk, vpc):
    group, peer = sdk.group(vpc), sdk.group(vpc)
    assert driver.ex_list_security_group_attributes(group) == []
    named = rule(22, SourceCidrIp=None, SourceGroupId=peer)
    sdk.call("AuthorizeSecurityGroup", SecurityGroupId=group, Permissions=[named])
    sdk.call("AuthorizeSecurityGroupEgress", SecurityGroupId=group, Permissions=[egress(53, Policy="Drop")])
    shown = {
        (one.ip_protocol, one.port_range, one.source_group_id, one.policy, one.nic_type)
        for one in driver.ex_list_security_group_attributes(group)
    }
    assert shown == {("TCP", "22/22", peer, "Accept", "intranet"), ("TCP", "53/53", "", "Drop", "intranet")}


def test_deleting_a_group(driver, sdk, vpc):
    group = sdk.group(vpc)
    assert driver.ex_delete_security_group_by_id(group)
    assert driver.ex_list_security_groups({"VpcId": vpc}) == []


def test_nodes_and_their_groups(driver, server, sdk, vpc):
    vswitch, first, second = sdk.vswitch(vpc, "10.1.0.0/24"), sdk.group(vpc), sdk.group(vpc)
    made = sdk.instances(vswitch, first, 2, InstanceName="ノード-1")
    server.wait_applied()
    nodes = driver.list_nodes(ex_node_ids=made)
    assert sorted(node.id for node in nodes) == sorted(made)
    assert {(node.name, node.state) for node in nodes} == {("ノード-1", NodeState.RUNNING)}
    assert sorted(node.private_ips[0] for node in nodes) == ["10.1.0.1", "10.1.0.2"]
    assert nodes[0].public_ips == []
    assert nodes[0].extra["vpc_attributes"]["vpc_id"] == vpc
    assert driver.ex_join_security_group(nodes[0], second)
    [found] = driver.list_nodes(ex_filters={"SecurityGroupId": second})
    assert found.id == nodes[0].id
    assert driver.ex_leave_security_group(nodes[0], second)
    assert driver.list_nodes(ex_filters={"SecurityGroupId": second}) == []
    sdk.call("DeleteInstances", InstanceId=made, Force=True)


def test_a_group_needs_a_vpc(driver, unchanged):
    """libcloud makes groups of the classic network, which the cloud has closed."""
    with pytest.raises(BaseHTTPError) as refused:
        driver.ex_create_security_group(description="classic")
    assert code_of(refused) == "InvalidVpcId.NotFound"


def test_zones_and_sizes(driver):
    zones, sizes = driver.ex_list_zones(), driver.list_sizes()
    assert zones and all(zone.id.startswith(REGION) for zone in zones)
    assert sizes and all(size.ram > 0 for size in sizes)


def test_the_volume_of_an_instance(driver, sdk, vpc):
    [instance] = sdk.instances(sdk.vswitch(vpc, "10.1.0.0/24"), sdk.group(vpc))
    [volume] = driver.list_volumes(ex_filters={"InstanceId": instance})
    assert (volume.size, volume.state, volume.extra["type"]) == (40, "inuse", "system")
    sdk.call("DeleteInstance", InstanceId=instance, Force=True)


def test_what_is_not_there_is_said_in_xml(driver, unchanged):
    with pytest.raises(BaseHTTPError) as refused:
        driver.list_images()
    assert code_of(refused) == "InvalidAction.NotFound"


def test_refusals_are_read(server, driver, sdk, vpc):
    vswitch, group, other = sdk.vswitch(vpc, "10.1.0.0/24"), sdk.group(vpc), sdk.group(vpc)
    [instance] = sdk.instances(vswitch, group)
    server.wait_applied()
    [node] = driver.list_nodes(ex_node_ids=[instance])
    cases = [
        (lambda: driver.ex_delete_security_group_by_id(group), "DependencyViolation"),
        (lambda: driver.ex_delete_security_group_by_id("sg-none"), "InvalidSecurityGroup.NotFound"),
        (lambda: driver.ex_list_security_group_attributes("sg-none"), "InvalidSecurityGroupId.NotFound"),
        (lambda: driver.ex_join_security_group(node, group), "InvalidInstanceId.AlreadyExists"),
        (lambda: driver.ex_leave_security_group(node, group), "InstanceLastSecurityGroup"),
        (lambda: driver.ex_leave_security_group(node, other), "InvalidSecurityGroupAssociation.NotFound"),
        (lambda: driver_of(server, secret="wrong").list_locations(), "SignatureDoesNotMatch"),
        (lambda: driver_of(server, key_id="nobody").list_locations(), "InvalidAccessKeyId.NotFound"),
    ]
    with server.unchanged():
        for call, code in cases:
            with pytest.raises(BaseHTTPError) as refused:
                call()
            assert code_of(refused) == code
    sdk.call("DeleteInstance", InstanceId=instance, Force=True)
