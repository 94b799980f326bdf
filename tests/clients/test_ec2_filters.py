"""`boto3` and the filters of `Describe…`: each finds the thing by what it shows, and nothing by anything else."""

import pytest
from botocore import xform_name

from test_ec2 import client_of, told

# What nothing here has: the filter is known, and finds nothing whatever it is asked for.
NOTHING = None


@pytest.fixture(scope="module")
def ec2(server):
    return client_of(server)


@pytest.fixture(scope="module")
def owner(server):
    return client_of(server, "sts").get_caller_identity()["Account"]


@pytest.fixture(scope="module")
def vpc(ec2):
    tags = [{"ResourceType": "vpc", "Tags": [{"Key": "filters", "Value": "yes"}]}]
    made = ec2.create_vpc(CidrBlock="10.80.0.0/16", AmazonProvidedIpv6CidrBlock=True, TagSpecifications=tags)["Vpc"]
    return made


@pytest.fixture(scope="module")
def subnet(ec2, vpc):
    whole = vpc["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"]
    block = whole.replace("00::/56", "07::/64")
    tags = [{"ResourceType": "subnet", "Tags": [{"Key": "filters", "Value": "yes"}]}]
    wanted = {"VpcId": vpc["VpcId"], "CidrBlock": "10.80.1.0/24", "AvailabilityZone": "us-east-1b", "Ipv6CidrBlock": block}
    return ec2.create_subnet(**wanted, TagSpecifications=tags)["Subnet"]


def check(ec2, operation, result, identity, wanted):
    """Each filter finds the thing of this identity by its value and by a pattern of it, and not by another value."""
    key, own = identity

    def found(name, value):
        answer = getattr(ec2, xform_name(operation))(Filters=[{"Name": name, "Values": [value]}])[result]
        things = [one for part in answer for one in part.get("Instances", [part])]
        return own in [thing[key] for thing in things]

    for name, value in wanted.items():
        if value is NOTHING:
            assert not found(name, "*"), (operation, name)
            continue
        assert found(name, value), (operation, name, value)
        assert found(name, f"{value[:-1]}?"), (operation, name, value)
        assert not found(name, f"{value}x"), (operation, name)


def test_filters_of_vpcs(ec2, owner, vpc):
    [v4], [v6] = vpc["CidrBlockAssociationSet"], vpc["Ipv6CidrBlockAssociationSet"]
    wanted = {
        "vpc-id": vpc["VpcId"],
        "cidr": "10.80.0.0/16",
        "cidr-block-association.association-id": v4["AssociationId"],
        "cidr-block-association.cidr-block": "10.80.0.0/16",
        "cidr-block-association.state": "associated",
        "dhcp-options-id": vpc["DhcpOptionsId"],
        "ipv6-cidr-block-association.association-id": v6["AssociationId"],
        "ipv6-cidr-block-association.ipv6-cidr-block": v6["Ipv6CidrBlock"],
        "ipv6-cidr-block-association.ipv6-pool": v6["Ipv6Pool"],
        "ipv6-cidr-block-association.state": "associated",
        "is-default": "false",
        "owner-id": owner,
        "state": "available",
        "tag-key": "filters",
        "tag:filters": "yes",
    }
    check(ec2, "DescribeVpcs", "Vpcs", ("VpcId", vpc["VpcId"]), wanted)


def test_filters_of_subnets(ec2, owner, vpc, subnet):
    [v6] = subnet["Ipv6CidrBlockAssociationSet"]
    [shown] = ec2.describe_subnets(SubnetIds=[subnet["SubnetId"]])["Subnets"]
    wanted = {
        "subnet-id": subnet["SubnetId"],
        "subnet-arn": subnet["SubnetArn"],
        "vpc-id": vpc["VpcId"],
        "availability-zone": "us-east-1b",
        "availability-zone-id": "use1-az2",
        "available-ip-address-count": str(shown["AvailableIpAddressCount"]),
        "cidr-block": "10.80.1.0/24",
        "default-for-az": "false",
        "enable-dns64": "false",
        "ipv6-cidr-block-association.association-id": v6["AssociationId"],
        "ipv6-cidr-block-association.ipv6-cidr-block": v6["Ipv6CidrBlock"],
        "ipv6-cidr-block-association.state": "associated",
        "ipv6-native": "false",
        "map-customer-owned-ip-on-launch": "false",
        "map-public-ip-on-launch": "false",
        "owner-id": owner,
        "state": "available",
        "tag-key": "filters",
        "customer-owned-ipv4-pool": NOTHING,
        "enable-lni-at-device-index": NOTHING,
        "outpost-arn": NOTHING,
        "private-dns-name-options-on-launch.enable-resource-name-dns-a-record": NOTHING,
        "private-dns-name-options-on-launch.enable-resource-name-dns-aaaa-record": NOTHING,
        "private-dns-name-options-on-launch.hostname-type": NOTHING,
    }
    check(ec2, "DescribeSubnets", "Subnets", ("SubnetId", subnet["SubnetId"]), wanted)


def test_filters_of_instances(ec2, owner, vpc, subnet):
    group = ec2.create_security_group(GroupName="filtered", Description="d", VpcId=vpc["VpcId"])["GroupId"]
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "filters", "Value": "yes"}]}]
    run = {"MinCount": 1, "MaxCount": 1, "SubnetId": subnet["SubnetId"], "ImageId": "ami-1", "InstanceType": "t3.micro"}
    started = ec2.run_instances(**run, SecurityGroupIds=[group], TagSpecifications=tags)
    [instance] = started["Instances"]
    [interface] = instance["NetworkInterfaces"]
    # What its host has not reached yet shows another state than later.
    wanted = {
        "instance-id": instance["InstanceId"],
        "availability-zone": "us-east-1b",
        "image-id": "ami-1",
        "instance-type": "t3.micro",
        "instance.group-id": group,
        "instance.group-name": "filtered",
        "launch-index": "0",
        "network-interface.addresses.private-ip-address": instance["PrivateIpAddress"],
        "network-interface.group-id": group,
        "network-interface.group-name": "filtered",
        "network-interface.mac-address": interface["MacAddress"],
        "network-interface.network-interface-id": interface["NetworkInterfaceId"],
        "network-interface.subnet-id": subnet["SubnetId"],
        "network-interface.vpc-id": vpc["VpcId"],
        "owner-id": owner,
        "private-dns-name": instance["PrivateDnsName"],
        "private-ip-address": instance["PrivateIpAddress"],
        "reservation-id": started["ReservationId"],
        "source-dest-check": "true",
        "subnet-id": subnet["SubnetId"],
        "tag-key": "filters",
        "tenancy": "default",
        "vpc-id": vpc["VpcId"],
        "client-token": NOTHING,
        "dns-name": NOTHING,
        "ip-address": NOTHING,
        "placement-group-name": NOTHING,
    }
    own = ("InstanceId", instance["InstanceId"])
    check(ec2, "DescribeInstances", "Reservations", own, wanted)
    ec2.get_waiter("instance_running").wait(InstanceIds=[own[1]], WaiterConfig={"Delay": 1, "MaxAttempts": 20})
    state = {"instance-state-code": "16", "instance-state-name": "running"}
    check(ec2, "DescribeInstances", "Reservations", own, state)
    ec2.terminate_instances(InstanceIds=[own[1]])


def test_filters_of_groups_and_rules(ec2, owner, vpc):
    make = {"Description": "d", "VpcId": vpc["VpcId"]}
    tags = [{"ResourceType": "security-group", "Tags": [{"Key": "filters", "Value": "yes"}]}]
    group = ec2.create_security_group(GroupName="searched", TagSpecifications=tags, **make)["GroupId"]
    peer = ec2.create_security_group(GroupName="named", **make)["GroupId"]
    pairs = [{"GroupId": peer, "UserId": owner, "Description": "a"}]
    v4, v6 = [{"CidrIp": "10.81.0.0/16", "Description": "b"}], [{"CidrIpv6": "fd81::/32", "Description": "c"}]
    blocks = {"IpRanges": v4, "Ipv6Ranges": v6}
    rule = [{"IpProtocol": "udp", "FromPort": 5001, "ToPort": 5009, "UserIdGroupPairs": pairs, **blocks}]
    # AuthorizeSecurityGroupEgress takes every source that its counterpart takes, FromPort and ToPort included.
    for authorize in (ec2.authorize_security_group_ingress, ec2.authorize_security_group_egress):
        made = authorize(GroupId=group, IpPermissions=rule)["SecurityGroupRules"]
    wanted = {"group-id": group, "group-name": "searched", "vpc-id": vpc["VpcId"], "owner-id": owner, "tag-key": "filters"}
    for direction in ("", "egress."):
        wanted |= {
            f"{direction}ip-permission.cidr": "10.81.0.0/16",
            f"{direction}ip-permission.from-port": "5001",
            f"{direction}ip-permission.group-id": peer,
            f"{direction}ip-permission.ipv6-cidr": "fd81::/32",
            f"{direction}ip-permission.protocol": "udp",
            f"{direction}ip-permission.to-port": "5009",
            f"{direction}ip-permission.user-id": owner,
            # Groups of a VPC are named by id, so a rule shows no name.
            f"{direction}ip-permission.group-name": NOTHING,
        }
    assert {"egress.ip-permission.cidr", "egress.ip-permission.group-id", "egress.ip-permission.group-name"} <= set(wanted)
    assert {"egress.ip-permission.protocol", "egress.ip-permission.to-port", "egress.ip-permission.user-id"} <= set(wanted)
    check(ec2, "DescribeSecurityGroups", "SecurityGroups", ("GroupId", group), wanted)
    rules = {"security-group-rule-id": made[0]["SecurityGroupRuleId"]}
    own = ("SecurityGroupRuleId", made[0]["SecurityGroupRuleId"])
    check(ec2, "DescribeSecurityGroupRules", "SecurityGroupRules", own, rules)
    # DescribeSecurityGroupRules goes on at NextToken.
    pages = ec2.get_paginator("describe_security_group_rules").paginate(
        Filters=[{"Name": "group-id", "Values": [group]}], PaginationConfig={"PageSize": 5}
    )
    assert [len(page["SecurityGroupRules"]) for page in pages] == [5, 3]
    # RevokeSecurityGroupIngress and RevokeSecurityGroupEgress look at what a rule says, and at no Description.
    for block in v4 + v6 + pairs:
        block["Description"] = "another"
    for revoke in (ec2.revoke_security_group_ingress, ec2.revoke_security_group_egress):
        assert len(revoke(GroupId=group, IpPermissions=rule)["RevokedSecurityGroupRules"]) == 3


def test_what_egress_takes_flat(ec2, vpc):
    group = ec2.create_security_group(GroupName="flat", Description="d", VpcId=vpc["VpcId"])["GroupId"]
    flat = {"IpProtocol": "tcp", "FromPort": 25, "ToPort": 26, "CidrIp": "10.82.0.0/16"}
    [rule] = ec2.authorize_security_group_egress(GroupId=group, **flat)["SecurityGroupRules"]
    assert (rule["FromPort"], rule["ToPort"], rule["IsEgress"]) == (25, 26, True)
    named = {"SourceSecurityGroupName": "flat", "SourceSecurityGroupOwnerId": "123456789012"}
    # AuthorizeSecurityGroupEgress knows names of groups no more than ingress does: there is no default VPC.
    assert told(ec2.authorize_security_group_egress, GroupId=group, **named) == (400, "InvalidParameterValue")


def test_filters_of_regions_and_zones(ec2):
    region = {"region-name": "us-east-1", "endpoint": "ec2.us-east-1.amazonaws.com", "opt-in-status": "opt-in-not-required"}
    check(ec2, "DescribeRegions", "Regions", ("RegionName", "us-east-1"), region)
    zone = {
        "group-name": "us-east-1",
        "opt-in-status": "opt-in-not-required",
        "region-name": "us-east-1",
        "state": "available",
        "zone-id": "use1-az1",
        "zone-name": "us-east-1a",
        "zone-type": "availability-zone",
        "message": NOTHING,
    }
    check(ec2, "DescribeAvailabilityZones", "AvailabilityZones", ("ZoneName", "us-east-1a"), zone)
    [named] = ec2.describe_availability_zones(ZoneIds=["use1-az3"])["AvailabilityZones"]
    assert named["ZoneName"] == "us-east-1c", "DescribeAvailabilityZones takes ZoneId"


def test_tags_and_subnets_in_parts(ec2, vpc, subnet):
    tag = {"key": "filters", "resource-id": vpc["VpcId"], "resource-type": "vpc", "value": "yes", "tag:filters": "yes"}
    check(ec2, "DescribeTags", "Tags", ("ResourceId", vpc["VpcId"]), tag)
    malformed = (400, "InvalidNetworkInterfaceId.Malformed")
    assert told(ec2.describe_network_interfaces, NetworkInterfaceIds=["web"]) == malformed
    for number in range(2, 8):
        ec2.create_subnet(VpcId=vpc["VpcId"], CidrBlock=f"10.80.{number}.0/24")
    of_vpc = [{"Name": "vpc-id", "Values": [vpc["VpcId"]]}]
    # DescribeSubnets and DescribeTags with MaxResults, and NextToken from one part to the next.
    pages = ec2.get_paginator("describe_subnets").paginate(Filters=of_vpc, PaginationConfig={"PageSize": 5})
    sizes = [len(page["Subnets"]) for page in pages]
    assert sizes == [5, 2]
    ids = [one["SubnetId"] for one in ec2.describe_subnets(Filters=of_vpc)["Subnets"]]
    ec2.create_tags(Resources=ids, Tags=[{"Key": "parts", "Value": "v"}])
    pages = ec2.get_paginator("describe_tags").paginate(
        Filters=[{"Name": "key", "Values": ["parts"]}], PaginationConfig={"PageSize": 5}
    )
    assert [len(page["Tags"]) for page in pages] == [5, 2]
