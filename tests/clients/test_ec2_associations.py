"""`boto3` on security groups in further VPCs: waiters, interfaces that carry them there, packets, and refusals."""

import pytest

from probes import Listeners, reaches
from test_ec2 import client_of, tcp, told

SOON = {"Delay": 1, "MaxAttempts": 10}


@pytest.fixture(scope="module")
def ec2(server):
    return client_of(server)


@pytest.fixture
def places(ec2):
    """A group `shared` of one VPC, and another VPC with a subnet."""
    one, other = (ec2.create_vpc(CidrBlock=block)["Vpc"]["VpcId"] for block in ("10.50.0.0/16", "10.51.0.0/16"))
    subnet = ec2.create_subnet(VpcId=other, CidrBlock="10.51.1.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="shared", Description="d", VpcId=one)["GroupId"]
    return group, one, other, subnet


def wait(ec2, what, group, vpc):
    of = [{"Name": "group-id", "Values": [group]}, {"Name": "vpc-id", "Values": [vpc]}]
    ec2.get_waiter(f"security_group_vpc_association_{what}").wait(Filters=of, WaiterConfig=SOON)


def test_a_group_is_carried_in_another_vpc(server, ec2, places):
    group, one, other, subnet = places
    make = {"SubnetId": subnet, "Groups": [group]}
    assert told(ec2.create_network_interface, **make) == (400, "InvalidParameter")
    assert ec2.associate_security_group_vpc(GroupId=group, VpcId=other)["State"] == "associated"
    wait(ec2, "associated", group, other)
    [shown] = ec2.describe_security_group_vpc_associations(
        Filters=[{"Name": "group-id", "Values": [group]}, {"Name": "state", "Values": ["associated"]}]
    )["SecurityGroupVpcAssociations"]
    assert (shown["VpcId"], shown["State"]) == (other, "associated") and shown["GroupOwnerId"] == shown["VpcOwnerId"]
    named = [{"Name": "group-name", "Values": ["shared"]}, {"Name": "primary-vpc-id", "Values": [one]}]
    [of_other] = ec2.get_security_groups_for_vpc(VpcId=other, Filters=named)["SecurityGroupForVpcs"]
    assert of_other["GroupId"] == group
    eni = ec2.create_network_interface(**make)["NetworkInterface"]["NetworkInterfaceId"]
    assert told(ec2.disassociate_security_group_vpc, GroupId=group, VpcId=other) == (400, "DependencyViolation")
    spare = ec2.create_security_group(GroupName="spare", Description="d", VpcId=other)["GroupId"]
    ec2.modify_network_interface_attribute(NetworkInterfaceId=eni, Groups=[spare])
    ec2.modify_network_interface_attribute(NetworkInterfaceId=eni, Groups=[group, spare])
    ec2.delete_network_interface(NetworkInterfaceId=eni)
    assert told(ec2.delete_security_group, GroupId=group) == (400, "DependencyViolation")
    assert told(ec2.delete_vpc, VpcId=other) == (400, "DependencyViolation")
    assert ec2.disassociate_security_group_vpc(GroupId=group, VpcId=other)["State"] == "disassociated"
    wait(ec2, "disassociated", group, other)
    assert told(ec2.create_network_interface, **make) == (400, "InvalidParameter")
    ec2.delete_security_group(GroupId=group)


def test_groups_are_validated_for_an_interface(server, ec2, places):
    group, one, other, _ = places
    with server.unchanged():
        validate = ec2.validate_security_group_quotas_for_interface
        assert validate(SecurityGroupIds=[group])["Valid"] is True
        assert told(validate, SecurityGroupIds=[group, "sg-0123"]) == (400, "InvalidGroup.NotFound")
    more = [ec2.create_security_group(GroupName=f"g{n}", Description="d", VpcId=one)["GroupId"] for n in range(5)]
    assert validate(SecurityGroupIds=[group, *more[:4]])["Valid"] is True
    too_many = (400, "SecurityGroupsPerInterfaceLimitExceeded")
    assert told(validate, SecurityGroupIds=[group, *more]) == too_many


def test_associations_in_parts(ec2, places):
    group, _, other, _ = places
    more = [ec2.create_vpc(CidrBlock="10.52.0.0/16")["Vpc"]["VpcId"] for _ in range(5)]
    for vpc in [other, *more]:
        ec2.associate_security_group_vpc(GroupId=group, VpcId=vpc)
    of = [{"Name": "group-id", "Values": [group]}]
    pages = ec2.get_paginator("describe_security_group_vpc_associations").paginate(Filters=of, PaginationConfig={"PageSize": 5})
    found = [[one["VpcId"] for one in page["SecurityGroupVpcAssociations"]] for page in pages]
    assert [len(page) for page in found] == [5, 1] and {vpc for page in found for vpc in page} == {other, *more}


def test_refusals_of_associations(server, ec2, places):
    group, one, other, _ = places
    of_one = [{"Name": "vpc-id", "Values": [one]}, {"Name": "group-name", "Values": ["default"]}]
    [default] = ec2.describe_security_groups(Filters=of_one)["SecurityGroups"]
    associate = ec2.associate_security_group_vpc
    cases = [
        (associate, {"GroupId": group, "VpcId": one}, (400, "InvalidParameterValue")),
        (associate, {"GroupId": default["GroupId"], "VpcId": other}, (400, "OperationNotPermitted")),
        (associate, {"GroupId": "sg-0123", "VpcId": other}, (400, "InvalidGroup.NotFound")),
        (associate, {"GroupId": group, "VpcId": "vpc-0123"}, (400, "InvalidVpcID.NotFound")),
        (associate, {"GroupId": group, "VpcId": other, "DryRun": True}, (412, "DryRunOperation")),
        (ec2.disassociate_security_group_vpc, {"GroupId": group, "VpcId": other}, (400, "InvalidVpcID.NotFound")),
    ]
    with server.unchanged():
        for call, parameters, expected in cases:
            assert told(call, **parameters) == expected, parameters


def test_rules_decide_where_the_group_is_carried(server, ec2, places):
    group, _, other, subnet = places
    ec2.associate_security_group_vpc(GroupId=group, VpcId=other)
    run = {"MinCount": 1, "MaxCount": 1, "SubnetId": subnet, "ImageId": "ami-1", "InstanceType": "t3.micro"}
    [member] = ec2.run_instances(**run, SecurityGroupIds=[group])["Instances"]
    [web] = ec2.run_instances(**run, SecurityGroupIds=[group])["Instances"]
    [stranger] = ec2.run_instances(**run)["Instances"]
    server.wait_applied()
    with Listeners(web["InstanceId"], 80):
        assert not reaches(member["InstanceId"], web["PrivateIpAddress"], 80)
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=tcp(80, UserIdGroupPairs=[{"GroupId": group}]))
        server.wait_applied()
        # Who is in the group is asked in the VPC of the packet.
        assert reaches(member["InstanceId"], web["PrivateIpAddress"], 80)
        assert not reaches(stranger["InstanceId"], web["PrivateIpAddress"], 80)
    ec2.terminate_instances(InstanceIds=[one["InstanceId"] for one in (member, web, stranger)])
