"""VPC peering with `boto3`: two VPCs of one account, and of two accounts, on real packets."""

import json

import pytest
from probes import Listeners, Talk, reaches
from test_ec2 import client_of, tcp, told

ANY_MACHINE = {"ImageId": "ami-1", "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1}


@pytest.fixture(scope="module")
def ec2(server):
    return client_of(server)


@pytest.fixture(scope="module")
def other_account(server):
    """A client of a second EC2 account."""
    made = json.loads(server.command("account", "create", "--dialect", "ec2", "--format", "json").stdout)
    return client_of(
        server, aws_access_key_id=made["access_key_id"], aws_secret_access_key=made["access_key_secret"]
    )


def vpc_with_instance(ec2, block, name):
    """A VPC, a group without ingress rules, and an instance with it: (VPC, group, instance, address)."""
    vpc = ec2.create_vpc(CidrBlock=f"{block}.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock=f"{block}.1.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)["GroupId"]
    started = ec2.run_instances(SubnetId=subnet, SecurityGroupIds=[group], **ANY_MACHINE)["Instances"][0]
    return vpc, group, started["InstanceId"], started["PrivateIpAddress"]


def clear(ec2, vpc):
    """Takes a VPC away with what is in it."""
    of_vpc = [{"Name": "vpc-id", "Values": [vpc]}]
    for reservation in ec2.describe_instances(Filters=of_vpc)["Reservations"]:
        ec2.terminate_instances(InstanceIds=[one["InstanceId"] for one in reservation["Instances"]])
    for group in ec2.describe_security_groups(Filters=of_vpc)["SecurityGroups"]:
        if group["GroupName"] != "default":
            ec2.delete_security_group(GroupId=group["GroupId"])
    for subnet in ec2.describe_subnets(Filters=of_vpc)["Subnets"]:
        ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    ec2.delete_vpc(VpcId=vpc)


def test_groups_across_a_connection(server, ec2, other_account):  # noqa: ARG001: whose a connection is has to be found out
    app, web, client, _ = vpc_with_instance(ec2, "10.41", "web")
    data, db, host, address = vpc_with_instance(ec2, "10.42", "db")
    from_web = tcp(5432, UserIdGroupPairs=[{"GroupId": web}])
    assert told(ec2.authorize_security_group_ingress, GroupId=db, IpPermissions=from_web) == (
        400,
        "InvalidGroup.NotFound",
    )
    tags = [{"ResourceType": "vpc-peering-connection", "Tags": [{"Key": "Name", "Value": "app-data"}]}]
    asked = ec2.create_vpc_peering_connection(VpcId=app, PeerVpcId=data, TagSpecifications=tags)
    peering = asked["VpcPeeringConnection"]["VpcPeeringConnectionId"]
    assert asked["VpcPeeringConnection"]["Status"]["Code"] == "pending-acceptance"
    ec2.get_waiter("vpc_peering_connection_exists").wait(VpcPeeringConnectionIds=[peering])
    accepted = ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=peering)["VpcPeeringConnection"]
    assert accepted["Status"]["Code"] == "active"
    ec2.authorize_security_group_ingress(GroupId=db, IpPermissions=from_web)
    [shown] = ec2.describe_security_groups(GroupIds=[db])["SecurityGroups"]
    [pair] = shown["IpPermissions"][0]["UserIdGroupPairs"]
    assert (pair["VpcId"], pair["VpcPeeringConnectionId"], pair["PeeringStatus"]) == (app, peering, "active")
    server.wait_applied()
    with Listeners(host, 5432, 22):
        assert reaches(client, address, 5432)
        assert not reaches(client, address, 22)
        why = server.command("why", client, host, "tcp/5432")
        assert "allowed" in why.stdout, why.stdout
        [used] = ec2.describe_security_group_references(GroupId=[web])["SecurityGroupReferenceSet"]
        assert (used["ReferencingVpcId"], used["VpcPeeringConnectionId"]) == (data, peering)
        with Talk(client, address, 5432) as talk:
            assert talk.is_alive()
            for request, endings in (
                (f"Action=StopInstances&InstanceId.1={client}", {"gone"}),
                (f"Action=DeleteVpcPeeringConnection&VpcPeeringConnectionId={peering}", {"parted"}),
            ):
                diff = server.command("diff", "--request", f"{request}&Version=2016-11-15", "--output", "json")
                answer = json.loads(diff.stdout)
                ending = [one["ending"] for one in answer["live"]["ending"] if one["state"] == "established"]
                assert set(ending) == endings, answer
                assert answer["around"], answer
            [said] = answer["around"]
            crossing = [(one["effect"], one["from"]["instances"], one["to"]["instances"]) for one in answer["crossings"]]
            assert crossing == [("lost", [client], [host])], answer["crossings"]
            assert answer["crossings"][0]["services"] == ["tcp/5432"], answer["crossings"]
            assert len(ending) == 2 and app in said and data in said and "not peered any more" in said
            ec2.delete_vpc_peering_connection(VpcPeeringConnectionId=peering)
            ec2.get_waiter("vpc_peering_connection_deleted").wait(VpcPeeringConnectionIds=[peering])
            server.wait_applied()
            assert not talk.is_alive()
        assert not reaches(client, address, 5432)
    [stale] = ec2.describe_stale_security_groups(VpcId=data)["StaleSecurityGroupSet"]
    assert stale["GroupId"] == db
    assert stale["StaleIpPermissions"][0]["UserIdGroupPairs"][0]["PeeringStatus"] == "deleted"
    clear(ec2, app)
    clear(ec2, data)


def test_the_owner_of_the_other_vpc_has_to_accept(server, ec2, other_account):
    own, _, client, _ = vpc_with_instance(ec2, "10.43", "own")
    theirs, group, host, address = vpc_with_instance(other_account, "10.44", "theirs")
    [vpc] = other_account.describe_vpcs(VpcIds=[theirs])["Vpcs"]
    asked = ec2.create_vpc_peering_connection(VpcId=own, PeerVpcId=theirs, PeerOwnerId=vpc["OwnerId"])
    peering = asked["VpcPeeringConnection"]["VpcPeeringConnectionId"]
    assert told(ec2.accept_vpc_peering_connection, VpcPeeringConnectionId=peering) == (400, "OperationNotPermitted")
    assert told(other_account.delete_vpc_peering_connection, VpcPeeringConnectionId=peering) == (
        400,
        "InvalidStateTransition",
    )
    waiting = [{"Name": "status-code", "Values": ["pending-*"]}, {"Name": "accepter-vpc-info.vpc-id", "Values": [theirs]}]
    [seen] = other_account.describe_vpc_peering_connections(Filters=waiting)["VpcPeeringConnections"]
    assert seen["VpcPeeringConnectionId"] == peering
    other_account.accept_vpc_peering_connection(VpcPeeringConnectionId=peering)
    block = seen["RequesterVpcInfo"]["CidrBlock"]
    other_account.authorize_security_group_ingress(GroupId=group, IpPermissions=tcp(80, IpRanges=[{"CidrIp": block}]))
    server.wait_applied()
    with Listeners(host, 80):
        assert reaches(client, address, 80)
    other_account.delete_vpc_peering_connection(VpcPeeringConnectionId=peering)
    clear(ec2, own)
    clear(other_account, theirs)


def test_what_cannot_be_peered(ec2):
    vpcs = [ec2.create_vpc(CidrBlock=block)["Vpc"]["VpcId"] for block in ("10.45.0.0/16", "10.45.128.0/20", "10.46.0.0/16")]
    one, inside, apart = vpcs
    failed = ec2.create_vpc_peering_connection(VpcId=one, PeerVpcId=inside)["VpcPeeringConnection"]
    assert failed["Status"]["Code"] == "failed" and "overlapping CIDR" in failed["Status"]["Message"]
    asked = ec2.create_vpc_peering_connection(VpcId=one, PeerVpcId=apart)["VpcPeeringConnection"]
    peering = asked["VpcPeeringConnectionId"]
    for call, parameters, code in (
        (ec2.create_vpc_peering_connection, {"VpcId": apart, "PeerVpcId": one}, "VpcPeeringConnectionAlreadyExists"),
        (ec2.create_vpc_peering_connection, {"VpcId": one, "PeerVpcId": "vpc-0123"}, "InvalidVpcID.NotFound"),
        (ec2.accept_vpc_peering_connection, {"VpcPeeringConnectionId": "pcx-0123"}, "InvalidVpcPeeringConnectionID.NotFound"),
        (ec2.delete_vpc_peering_connection, {"VpcPeeringConnectionId": "x"}, "InvalidVpcPeeringConnectionId.Malformed"),
    ):
        assert told(call, **parameters) == (400, code)
    ec2.reject_vpc_peering_connection(VpcPeeringConnectionId=peering)
    [rejected] = ec2.describe_vpc_peering_connections(VpcPeeringConnectionIds=[peering])["VpcPeeringConnections"]
    assert rejected["Status"]["Code"] == "rejected"
    for vpc in vpcs:
        ec2.delete_vpc(VpcId=vpc)
