"""`boto3` and the AWS CLI, unmodified: what they can do, and each code that they can provoke."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, ParamValidationError
from libcloud.common.exceptions import BaseHTTPError
from libcloud.compute.drivers.ec2 import EC2NodeDriver

from aws import ANYWHERE, client_of, tcp, told


@pytest.fixture(scope="module")
def ec2(server):
    return client_of(server)


@pytest.fixture
def own_vpc(ec2):
    return ec2.create_vpc(CidrBlock="10.20.0.0/16")["Vpc"]["VpcId"]


@pytest.fixture
def web(ec2, own_vpc):
    return ec2.create_security_group(GroupName="web", Description="web servers", VpcId=own_vpc)["GroupId"]


def test_who_calls_and_where(server, ec2):
    identity = client_of(server, "sts").get_caller_identity()
    assert identity["Account"].isdigit() and len(identity["Account"]) == 12
    assert identity["Arn"] == f"arn:aws:iam::{identity['Account']}:root"
    assert "us-east-1" in {region["RegionName"] for region in ec2.describe_regions()["Regions"]}
    zones = ec2.describe_availability_zones()["AvailabilityZones"]
    assert [zone["ZoneName"] for zone in zones] == ["us-east-1a", "us-east-1b", "us-east-1c"]
    [attribute] = ec2.describe_account_attributes(AttributeNames=["default-vpc"])["AccountAttributes"]
    assert attribute["AttributeValues"] == [{"AttributeValue": "none"}]


def test_networks(ec2, own_vpc):
    ec2.get_waiter("vpc_available").wait(VpcIds=[own_vpc])
    subnet = ec2.create_subnet(VpcId=own_vpc, CidrBlock="10.20.1.0/24", AvailabilityZone="us-east-1b")["Subnet"]
    ec2.get_waiter("subnet_available").wait(SubnetIds=[subnet["SubnetId"]])
    assert subnet["AvailableIpAddressCount"] == 251
    [default] = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [own_vpc]}])["SecurityGroups"]
    assert default["GroupName"] == "default" and default["IpPermissionsEgress"][0]["IpRanges"] == ANYWHERE
    [pair] = default["IpPermissions"][0]["UserIdGroupPairs"]
    assert pair == {"UserId": default["OwnerId"], "GroupId": default["GroupId"]}
    assert told(ec2.delete_vpc, VpcId=own_vpc) == (400, "DependencyViolation")
    ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    ec2.delete_vpc(VpcId=own_vpc)
    assert ec2.describe_vpcs(Filters=[{"Name": "vpc-id", "Values": [own_vpc]}])["Vpcs"] == []


def test_rules_by_id_and_by_what_they_say(ec2, web):
    sources = {
        "IpRanges": [{"CidrIp": "10.0.0.0/8", "Description": "inside"}, {"CidrIp": "192.168.0.1/16"}],
        "Ipv6Ranges": [{"CidrIpv6": "FD00::/8"}],
        "UserIdGroupPairs": [{"GroupId": web}],
    }
    tags = [{"ResourceType": "security-group-rule", "Tags": [{"Key": "env", "Value": "test"}]}]
    made = ec2.authorize_security_group_ingress(GroupId=web, IpPermissions=tcp(443, **sources), TagSpecifications=tags)
    rules = made["SecurityGroupRules"]
    assert len(rules) == 4 and all(rule["Tags"] == [{"Key": "env", "Value": "test"}] for rule in rules)
    [shown] = ec2.describe_security_groups(GroupIds=[web])["SecurityGroups"]
    [merged] = shown["IpPermissions"]
    assert {block["CidrIp"] for block in merged["IpRanges"]} == {"10.0.0.0/8", "192.168.0.0/16"}
    assert merged["Ipv6Ranges"] == [{"CidrIpv6": "fd00::/8"}] and merged["PrefixListIds"] == []
    listed = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [web]}])
    assert [rule["IsEgress"] for rule in listed["SecurityGroupRules"]].count(True) == 1
    gone = ec2.revoke_security_group_ingress(GroupId=web, SecurityGroupRuleIds=[rules[0]["SecurityGroupRuleId"]])
    assert [rule["CidrIpv4"] for rule in gone["RevokedSecurityGroupRules"]] == ["10.0.0.0/8"]
    assert told(ec2.authorize_security_group_ingress, GroupId=web, IpPermissions=tcp(443, **sources)) == (
        400,
        "InvalidPermission.Duplicate",
    )
    # Terraform's first step: the default egress rule, with ports that mean nothing.
    everything = [{"IpProtocol": "-1", "FromPort": 0, "ToPort": 0, "IpRanges": ANYWHERE}]
    ec2.revoke_security_group_egress(GroupId=web, IpPermissions=everything)
    assert told(ec2.revoke_security_group_egress, GroupId=web, IpPermissions=everything) == (
        400,
        "InvalidPermission.NotFound",
    )
    ec2.delete_security_group(GroupId=web)
    assert told(ec2.describe_security_groups, GroupIds=[web]) == (400, "InvalidGroup.NotFound")


def test_rules_are_modified_in_place(ec2, own_vpc, web):
    blocks = [{"CidrIp": "10.0.0.0/8", "Description": "old"}]
    made = [
        ec2.authorize_security_group_ingress(GroupId=web, IpPermissions=tcp(port, IpRanges=blocks))
        for port in (22, 80)
    ]
    ssh, http = (answer["SecurityGroupRules"][0]["SecurityGroupRuleId"] for answer in made)

    def rewrite(rule, port, **source):
        request = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **source}
        return {"SecurityGroupRuleId": rule, "SecurityGroupRule": request}

    def shown():
        rules = ec2.describe_security_group_rules(SecurityGroupRuleIds=[ssh, http])["SecurityGroupRules"]
        return {rule["SecurityGroupRuleId"]: (rule["FromPort"], rule.get("Description")) for rule in rules}

    inside = {"CidrIpv4": "10.0.0.0/8"}
    # They take each other's place, which one after the other could not.
    swap = [rewrite(ssh, 80, Description="web", **inside), rewrite(http, 22, **inside)]
    assert ec2.modify_security_group_rules(GroupId=web, SecurityGroupRules=swap)["Return"]
    assert shown() == {ssh: (80, "web"), http: (22, None)}
    modify = ec2.modify_security_group_rules
    assert told(modify, GroupId=web, SecurityGroupRules=[rewrite(ssh, 22, **inside)]) == (
        400,
        "InvalidPermission.Duplicate",
    )
    other_kind = [rewrite(ssh, 80, ReferencedGroupId=web)]
    assert told(modify, GroupId=web, SecurityGroupRules=other_kind) == (400, "InvalidParameterValue")
    describe = ec2.update_security_group_rule_descriptions_ingress
    words = [{"SecurityGroupRuleId": http, "Description": "from inside"}]
    assert describe(GroupId=web, SecurityGroupRuleDescriptions=words)["Return"]
    assert describe(GroupId=web, IpPermissions=tcp(80, IpRanges=[{"CidrIp": "10.0.0.0/8"}]))["Return"]
    assert shown() == {ssh: (80, None), http: (22, "from inside")}
    egress = ec2.update_security_group_rule_descriptions_egress
    assert told(egress, GroupId=web, SecurityGroupRuleDescriptions=words) == (
        400,
        "InvalidSecurityGroupRuleId.NotFound",
    )
    named = ec2.get_security_groups_for_vpc(VpcId=own_vpc, Filters=[{"Name": "group-name", "Values": ["w*"]}])
    assert [group["GroupId"] for group in named["SecurityGroupForVpcs"]] == [web]
    assert ec2.describe_stale_security_groups(VpcId=own_vpc)["StaleSecurityGroupSet"] == []
    assert ec2.describe_security_group_references(GroupId=[web])["SecurityGroupReferenceSet"] == []


def test_instances(server, ec2, own_vpc, web):
    subnet = ec2.create_subnet(VpcId=own_vpc, CidrBlock="10.20.1.0/24")["Subnet"]["SubnetId"]
    named = [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "web"}]}]
    run = {"ImageId": "ami-1", "InstanceType": "t3.micro", "SubnetId": subnet, "SecurityGroupIds": [web]}
    started = ec2.run_instances(MinCount=2, MaxCount=2, TagSpecifications=named, ClientToken="once", **run)
    ids = [instance["InstanceId"] for instance in started["Instances"]]
    assert ec2.run_instances(MinCount=2, MaxCount=2, TagSpecifications=named, ClientToken="once", **run)[
        "ReservationId"
    ] == started["ReservationId"]
    assert told(ec2.run_instances, MinCount=1, MaxCount=1, ClientToken="once", **run) == (
        400,
        "IdempotentParameterMismatch",
    )
    server.wait_applied()
    ec2.get_waiter("instance_running").wait(InstanceIds=ids, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
    wanted = [{"Name": "instance.group-id", "Values": [web]}, {"Name": "tag:Name", "Values": ["w?b"]}]
    [reservation] = ec2.describe_instances(Filters=wanted)["Reservations"]
    assert [one["AmiLaunchIndex"] for one in reservation["Instances"]] == [0, 1]
    assert all(one["SecurityGroups"] == [{"GroupId": web, "GroupName": "web"}] for one in reservation["Instances"])
    assert told(ec2.delete_security_group, GroupId=web) == (400, "DependencyViolation")
    [stopped] = ec2.stop_instances(InstanceIds=ids[:1])["StoppingInstances"]
    assert stopped["PreviousState"]["Name"] == "running"
    ec2.get_waiter("instance_stopped").wait(InstanceIds=ids[:1], WaiterConfig={"Delay": 1, "MaxAttempts": 20})
    assert told(ec2.reboot_instances, InstanceIds=ids) == (400, "IncorrectInstanceState")
    ec2.start_instances(InstanceIds=ids)
    ec2.get_waiter("instance_running").wait(InstanceIds=ids, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
    ec2.reboot_instances(InstanceIds=ids)
    server.wait_applied()
    ended = ec2.terminate_instances(InstanceIds=ids)["TerminatingInstances"]
    assert {one["PreviousState"]["Name"] for one in ended} == {"running"}
    ec2.get_waiter("instance_terminated").wait(InstanceIds=ids, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
    again = ec2.terminate_instances(InstanceIds=ids)["TerminatingInstances"]
    assert {one["PreviousState"]["Name"] for one in again} == {"terminated"}
    assert told(ec2.start_instances, InstanceIds=ids) == (400, "InvalidInstanceID.NotFound")
    ec2.delete_subnet(SubnetId=subnet)


def test_interfaces(server, ec2, own_vpc, web):
    subnet = ec2.create_subnet(VpcId=own_vpc, CidrBlock="10.20.1.0/24")["Subnet"]["SubnetId"]
    made = ec2.create_network_interface(SubnetId=subnet, Groups=[web], Description="spare")["NetworkInterface"]
    eni = made["NetworkInterfaceId"]
    ec2.get_waiter("network_interface_available").wait(NetworkInterfaceIds=[eni])
    run = ec2.run_instances(MinCount=1, MaxCount=1, SubnetId=subnet, ImageId="ami-1", InstanceType="t3.micro")
    instance = run["Instances"][0]["InstanceId"]
    ec2.modify_instance_attribute(InstanceId=instance, Groups=[web])
    shown = ec2.describe_instance_attribute(InstanceId=instance, Attribute="groupSet")
    assert shown["Groups"] == [{"GroupId": web, "GroupName": "web"}]
    attached = ec2.attach_network_interface(NetworkInterfaceId=eni, InstanceId=instance, DeviceIndex=1)
    assert told(ec2.modify_instance_attribute, InstanceId=instance, Groups=[web]) == (400, "InvalidInstanceID")
    given = ec2.assign_private_ip_addresses(NetworkInterfaceId=eni, PrivateIpAddresses=["10.20.1.77"])
    assert given["AssignedPrivateIpAddresses"] == [{"PrivateIpAddress": "10.20.1.77"}]
    server.wait_applied()
    ec2.unassign_private_ip_addresses(NetworkInterfaceId=eni, PrivateIpAddresses=["10.20.1.77"])
    words = ec2.describe_network_interface_attribute(NetworkInterfaceId=eni, Attribute="description")
    assert words["Description"] == {"Value": "spare"}
    wanted = [{"Name": "group-id", "Values": [web]}, {"Name": "attachment.instance-id", "Values": [instance]}]
    second = {"Name": "attachment.device-index", "Values": ["1"]}
    [shown] = ec2.describe_network_interfaces(Filters=[*wanted, second])["NetworkInterfaces"]
    assert shown["NetworkInterfaceId"] == eni
    assert shown["Status"] == "in-use" and shown["Attachment"]["AttachmentId"] == attached["AttachmentId"]
    assert told(ec2.delete_network_interface, NetworkInterfaceId=eni) == (400, "InvalidNetworkInterface.InUse")
    ec2.modify_network_interface_attribute(NetworkInterfaceId=eni, SourceDestCheck={"Value": False})
    ec2.modify_network_interface_attribute(
        NetworkInterfaceId=eni, ConnectionTrackingSpecification={"TcpEstablishedTimeout": 600}
    )
    # The groups of the interface that came with the instance: with two, it is named.
    primary = run["Instances"][0]["NetworkInterfaces"][0]["NetworkInterfaceId"]
    ec2.modify_network_interface_attribute(NetworkInterfaceId=primary, Groups=[web])
    [shown] = ec2.describe_network_interfaces(NetworkInterfaceIds=[eni])["NetworkInterfaces"]
    assert shown["SourceDestCheck"] is False
    assert shown["ConnectionTrackingConfiguration"]["TcpEstablishedTimeout"] == 600
    assert len(ec2.describe_network_interfaces(Filters=wanted)["NetworkInterfaces"]) == 2
    ec2.detach_network_interface(AttachmentId=attached["AttachmentId"])
    ec2.delete_network_interface(NetworkInterfaceId=eni)
    gone = (400, "InvalidNetworkInterfaceID.NotFound")
    assert told(ec2.describe_network_interfaces, NetworkInterfaceIds=[eni]) == gone
    assert told(ec2.detach_network_interface, AttachmentId=attached["AttachmentId"]) == (
        400,
        "InvalidAttachmentID.NotFound",
    )
    ec2.terminate_instances(InstanceIds=[instance])


def test_what_is_around_a_vpc(ec2, own_vpc):
    def attribute(name):
        [value] = [one for key, one in ec2.describe_vpc_attribute(VpcId=own_vpc, Attribute=name).items() if key[0] == "E"]
        return value["Value"]

    assert attribute("enableDnsSupport") and not attribute("enableDnsHostnames")
    ec2.modify_vpc_attribute(VpcId=own_vpc, EnableDnsHostnames={"Value": True})
    assert attribute("enableDnsHostnames")
    inside = [{"Name": "vpc-id", "Values": [own_vpc]}]
    [table] = ec2.describe_route_tables(Filters=[*inside, {"Name": "association.main", "Values": ["true"]}])["RouteTables"]
    inner, outer = table["Routes"]
    assert (inner["DestinationCidrBlock"], inner["GatewayId"]) == ("10.20.0.0/16", "local")
    assert outer["DestinationCidrBlock"] == "0.0.0.0/0" and outer["LocalGatewayId"].startswith("lgw-") and "GatewayId" not in outer
    assert table["Associations"][0]["Main"] and table["Tags"] == []
    subnet = ec2.create_subnet(VpcId=own_vpc, CidrBlock="10.20.1.0/24")["Subnet"]["SubnetId"]
    [acl] = ec2.describe_network_acls(Filters=[*inside, {"Name": "default", "Values": ["true"]}])["NetworkAcls"]
    assert acl["IsDefault"] and [one["SubnetId"] for one in acl["Associations"]] == [subnet]
    said = [(one["Egress"], one["RuleNumber"], one["RuleAction"], one["CidrBlock"]) for one in acl["Entries"]]
    assert said == [
        (is_egress, number, action, "0.0.0.0/0")
        for is_egress in (True, False)
        for number, action in ((100, "allow"), (32_767, "deny"))
    ]
    empty = {
        "describe_internet_gateways": "InternetGateways",
        "describe_nat_gateways": "NatGateways",
        "describe_vpc_endpoints": "VpcEndpoints",
        "describe_addresses": "Addresses",
        "describe_volumes": "Volumes",
        "describe_snapshots": "Snapshots",
        "describe_images": "Images",
        "describe_launch_templates": "LaunchTemplates",
    }
    for operation, name in empty.items():
        assert getattr(ec2, operation)()[name] == [], operation


def test_tags_and_pages(ec2, own_vpc):
    for number in range(7):
        ec2.create_security_group(GroupName=f"page-{number}", Description="p", VpcId=own_vpc)
    filters = [{"Name": "vpc-id", "Values": [own_vpc]}, {"Name": "group-name", "Values": ["page-*"]}]
    pages = ec2.get_paginator("describe_security_groups").paginate(Filters=filters, PaginationConfig={"PageSize": 5})
    names = [[group["GroupName"] for group in page["SecurityGroups"]] for page in pages]
    assert [len(page) for page in names] == [5, 2] and len({name for page in names for name in page}) == 7
    ec2.create_tags(Resources=[own_vpc], Tags=[{"Key": "env", "Value": ""}])
    [tag] = ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [own_vpc]}])["Tags"]
    assert tag == {"Key": "env", "Value": "", "ResourceId": own_vpc, "ResourceType": "vpc"}
    ec2.delete_tags(Resources=[own_vpc], Tags=[{"Key": "env"}])
    assert ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [own_vpc]}])["Tags"] == []


def test_refusals(server, ec2, own_vpc, web):
    create = {"GroupName": "db", "Description": "d", "VpcId": own_vpc}
    authorize = ec2.authorize_security_group_ingress
    cases = [
        (ec2.create_security_group, {**create, "GroupName": "WEB"}, (400, "InvalidGroup.Duplicate")),
        (ec2.create_security_group, {**create, "GroupName": "a|b"}, (400, "InvalidParameterValue")),
        (ec2.create_security_group, {**create, "VpcId": "vpc-0123"}, (400, "InvalidVpcID.NotFound")),
        (ec2.create_security_group, {**create, "VpcId": "web"}, (400, "InvalidVpcID.Malformed")),
        (ec2.create_security_group, {"GroupName": "db", "Description": "d"}, (400, "VPCIdNotSpecified")),
        (ec2.create_security_group, {**create, "DryRun": True}, (412, "DryRunOperation")),
        (ec2.delete_security_group, {"GroupId": "sg-0123"}, (400, "InvalidGroup.NotFound")),
        (ec2.delete_security_group, {"GroupId": "web"}, (400, "InvalidGroupId.Malformed")),
        (ec2.describe_security_groups, {"GroupIds": [web], "MaxResults": 5}, (400, "InvalidParameterCombination")),
        (ec2.describe_security_groups, {"NextToken": "x"}, (400, "InvalidPaginationToken")),
        (
            ec2.describe_security_groups,
            {"Filters": [{"Name": "group-id", "Values": ["x"] * 201}]},
            (400, "FilterLimitExceeded"),
        ),
        (authorize, {"GroupId": web, "IpPermissions": tcp(22, IpRanges=[{"CidrIp": "/32"}])}, (400, "InvalidParameterValue")),
        (
            authorize,
            {"GroupId": web, "IpPermissions": tcp(22, PrefixListIds=[{"PrefixListId": "pl-0123"}])},
            (400, "InvalidPrefixListID.NotFound"),
        ),
        (
            authorize,
            {"GroupId": web, "IpPermissions": tcp(22, IpRanges=[{"CidrIp": f"10.0.{n}.0/24"} for n in range(61)])},
            (400, "RulesPerSecurityGroupLimitExceeded"),
        ),
        (
            ec2.revoke_security_group_ingress,
            {"GroupId": web, "SecurityGroupRuleIds": ["sgr-0123"]},
            (400, "InvalidSecurityGroupRuleId.NotFound"),
        ),
        (ec2.create_vpc, {"CidrBlock": "10.0.0.0/8"}, (400, "InvalidVpc.Range")),
        (ec2.create_vpc, {"CidrBlock": "10.0.0.0/16", "Ipv4IpamPoolId": "ipam-1"}, (400, "UnsupportedOperation")),
        (ec2.create_subnet, {"VpcId": own_vpc, "CidrBlock": "10.0.0.0/24"}, (400, "InvalidSubnet.Range")),
        (ec2.describe_subnets, {"SubnetIds": ["subnet-0123"]}, (400, "InvalidSubnetID.NotFound")),
        (ec2.create_tags, {"Resources": ["web"], "Tags": [{"Key": "k", "Value": ""}]}, (400, "InvalidID")),
        (ec2.describe_transit_gateways, {}, (400, "InvalidAction")),
        (ec2.describe_nat_gateways, {"NatGatewayIds": ["nat-0123"]}, (400, "NatGatewayNotFound")),
        (ec2.modify_vpc_attribute, {"VpcId": own_vpc}, (400, "InvalidParameterCombination")),
    ]
    with server.unchanged():
        for call, parameters, expected in cases:
            assert told(call, **parameters) == expected, parameters
        [default] = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": ["default"]}, {"Name": "vpc-id", "Values": [own_vpc]}])["SecurityGroups"]
        assert told(ec2.delete_security_group, GroupId=default["GroupId"]) == (400, "CannotDelete")
        with pytest.raises(ParamValidationError):
            ec2.describe_security_groups(MaxResults=4)


def test_signatures(server, ec2):
    wrong = client_of(server, aws_secret_access_key="wrong")
    assert told(wrong.describe_regions) == (401, "AuthFailure")
    assert told(client_of(server, aws_access_key_id="AKIANOBODY").describe_regions) == (401, "AuthFailure")
    ecs_key = server.credentials["ALIBABA_CLOUD_ACCESS_KEY_ID"], server.credentials["ALIBABA_CLOUD_ACCESS_KEY_SECRET"]
    other = client_of(server, aws_access_key_id=ecs_key[0], aws_secret_access_key=ecs_key[1])
    assert told(other.describe_regions) == (401, "AuthFailure")
    sts = client_of(server, "sts", aws_access_key_id="AKIANOBODY")
    assert told(sts.get_caller_identity) == (403, "InvalidClientTokenId")
    assert told(client_of(server, "sts", aws_secret_access_key="wrong").get_caller_identity) == (403, "SignatureDoesNotMatch")
    assert told(client_of(server, region_name="mars-1").describe_regions) == (401, "AuthFailure")
    presigned = ec2.generate_presigned_url("describe_regions", HttpMethod="GET", ExpiresIn=60)
    with urllib.request.urlopen(presigned) as answer:
        assert b"<regionName>us-east-1</regionName>" in answer.read() and answer.headers["x-amzn-requestid"]
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(presigned.replace("DescribeRegions", "DescribeVpcs"))
    assert refused.value.code == 401
    # A request without any signature, and one of a service that is not here.
    unsigned = f"{server.credentials['AWS_ENDPOINT_URL']}/?Action=DescribeRegions&Version=2016-11-15"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(unsigned)
    assert refused.value.code == 400 and b"MissingParameter" in refused.value.read()


def test_other_services_get_a_clean_answer(server):
    calls = [
        client_of(server, "iam").list_users,
        client_of(server, "lambda").list_functions,
        client_of(server, "organizations").describe_organization,
        client_of(server, "s3").list_buckets,
    ]
    for call in calls:
        with pytest.raises(ClientError) as refused:
            call()
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
def test_libcloud_with_either_signature(server, region):
    found = server.credentials
    host, port = server.address.rsplit(":", 1)
    key = found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"]
    driver = EC2NodeDriver(*key, region=region, secure=False, host=host, port=int(port))
    vpc = driver.ex_create_network("10.30.0.0/16", name="libcloud")
    made = driver.ex_create_security_group("web", "web servers", vpc_id=vpc.id)
    driver.ex_authorize_security_group_ingress(made["group_id"], 80, 80, cidr_ips=["10.0.0.0/8"])
    [group] = [group for group in driver.ex_get_security_groups() if group.id == made["group_id"]]
    assert group.name == "web" and group.ingress_rules[0]["from_port"] == "80"
    wrong = EC2NodeDriver(key[0], "wrong", region=region, secure=False, host=host, port=int(port))
    with pytest.raises(Exception) as refused:
        wrong.ex_list_networks()
    assert "AuthFailure" in str(refused.value) or isinstance(refused.value, BaseHTTPError)


def aws(server, *words):
    named = {name: value for name, value in server.credentials.items() if name.startswith("AWS_")}
    command = [str(Path(sys.executable).with_name("aws")), "--output", "json", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, **named})


def test_the_command_line(server, own_vpc):
    def done(*words):
        ran = aws(server, "ec2", *words)
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout) if ran.stdout.strip() else None

    group = done("create-security-group", "--group-name", "cli", "--description", "d", "--vpc-id", own_vpc)["GroupId"]
    done("authorize-security-group-ingress", "--group-id", group, "--protocol", "icmp", "--port", "-1", "--cidr", "0.0.0.0/0")
    done("authorize-security-group-ingress", "--group-id", group, "--protocol", "tcp", "--port", "80-90", "--source-group", group)
    done("revoke-security-group-egress", "--group-id", group, "--protocol", "all", "--cidr", "0.0.0.0/0")
    [shown] = done("describe-security-groups", "--group-ids", group)["SecurityGroups"]
    assert shown["IpPermissionsEgress"] == []
    assert {one["IpProtocol"]: (one["FromPort"], one["ToPort"]) for one in shown["IpPermissions"]} == {
        "icmp": (-1, -1),
        "tcp": (80, 90),
    }
    done("delete-security-group", "--group-id", group)
    refused = aws(server, "ec2", "describe-security-groups", "--group-ids", group)
    assert refused.returncode != 0 and "InvalidGroup.NotFound" in refused.stderr


def test_a_new_account_of_a_chosen_number(server):
    done = server.command("account", "create", "--dialect", "ec2", "--id", "123456789012", "--format", "env")
    assert done.returncode == 0, done.stderr
    made = dict(line.split("=", 1) for line in done.stdout.splitlines())
    key = {"aws_access_key_id": made["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": made["AWS_SECRET_ACCESS_KEY"]}
    assert client_of(server, "sts", **key).get_caller_identity()["Account"] == "123456789012"
    assert client_of(server, **key).describe_vpcs()["Vpcs"] == []
    refused = server.command("account", "create", "--dialect", "ec2", "--id", "1", "--format", "json")
    assert refused.returncode != 0 and "12 digits" in refused.stderr
