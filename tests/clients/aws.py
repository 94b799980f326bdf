"""The EC2 account of a server: its clients, and networks whose instances are namespaces."""

import ipaddress
from dataclasses import dataclass

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

ONCE = Config(retries={"max_attempts": 1, "mode": "standard"})
# Every address, and those of the namespace that plays the internet.
WORLD_V4, WORLD_V6 = "0.0.0.0/0", "::/0"
OFFICE_V4, CAFE_V4, OFFICE_V6 = "203.0.113.10", "198.51.100.10", "2001:db8:ffff::10"
ANYWHERE = [{"CidrIp": WORLD_V4}]
EVERYTHING_V4 = [{"IpProtocol": "-1", "IpRanges": ANYWHERE}]
EVERYTHING_V6 = [{"IpProtocol": "-1", "Ipv6Ranges": [{"CidrIpv6": WORLD_V6}]}]


def client_of(server, service="ec2", **other):
    found = server.credentials
    named = {
        "aws_access_key_id": found["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": found["AWS_SECRET_ACCESS_KEY"],
        "region_name": found["AWS_DEFAULT_REGION"],
        "endpoint_url": found["AWS_ENDPOINT_URL"],
    }
    return boto3.client(service, config=ONCE, **{**named, **other})


def told(call, **parameters):
    """Status and code of a refusal."""
    with pytest.raises(ClientError) as refused:
        call(**parameters)
    answer = refused.value.response
    assert answer["ResponseMetadata"]["RequestId"]
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


def tcp(port, **sources):
    return [{"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **(sources or {"IpRanges": ANYWHERE})}]


def permission(service, source):
    """`tcp/80`, `udp/53`, `icmp/8` (all codes), `icmpv6/128` or `-1`, from or to a block or a group."""
    protocol, _, port = service.partition("/")
    ends = {"tcp": (port, port), "udp": (port, port), "icmp": (port, -1), "icmpv6": (port, 0)}.get(protocol)
    ports = {"FromPort": int(ends[0]), "ToPort": int(ends[1])} if ends else {}
    if source.startswith("sg-"):
        peer = {"UserIdGroupPairs": [{"GroupId": source}]}
    elif ":" in source:
        peer = {"Ipv6Ranges": [{"CidrIpv6": source}]}
    else:
        peer = {"IpRanges": [{"CidrIp": source}]}
    return {"IpProtocol": protocol, **ports, **peer}


@dataclass(frozen=True)
class Machine:
    """An instance: its id is its namespace's name."""

    id: str
    eni: str
    v4: str
    v6: str


class Site:
    """A VPC with IPv6 whose instances are namespaces; what their groups let through is each test's."""

    def __init__(self, server, cidr="10.60.0.0/16"):
        self.server, self.ec2 = server, client_of(server)
        vpc = self.ec2.create_vpc(CidrBlock=cidr, AmazonProvidedIpv6CidrBlock=True)["Vpc"]
        self.vpc, self.outside = vpc["VpcId"], f"{vpc['VpcId']}.outside"
        whole = vpc["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"]
        self.v4 = ipaddress.ip_network(cidr).subnets(new_prefix=24)
        self.v6 = ipaddress.ip_network(whole).subnets(new_prefix=64)
        self.machines = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.machines:
            self.ec2.terminate_instances(InstanceIds=[machine.id for machine in self.machines])

    def subnet(self):
        """The next subnet: its id and its IPv4 block."""
        v4, v6 = str(next(self.v4)), str(next(self.v6))
        made = self.ec2.create_subnet(VpcId=self.vpc, CidrBlock=v4, Ipv6CidrBlock=v6)["Subnet"]
        return made["SubnetId"], v4

    def group(self, name):
        """A group that lets in nothing and lets everything out."""
        made = self.ec2.create_security_group(GroupName=name, Description=f"{name} of a use case", VpcId=self.vpc)
        return made["GroupId"]

    def instance(self, subnet, *groups, **more):
        """An instance with these groups."""
        run = {"ImageId": "ami-1", "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1, "Ipv6AddressCount": 1}
        started = self.ec2.run_instances(SubnetId=subnet, SecurityGroupIds=list(groups), **{**run, **more})
        [shown] = started["Instances"]
        [eni] = shown["NetworkInterfaces"]
        v6 = eni["Ipv6Addresses"][0]["Ipv6Address"]
        machine = Machine(shown["InstanceId"], eni["NetworkInterfaceId"], shown["PrivateIpAddress"], v6)
        self.machines.append(machine)
        self.server.wait_applied()
        return machine

    def allow(self, group, *rules):
        """Lets in `(service, source)`; returns the permissions, to be revoked."""
        permissions = [permission(*rule) for rule in rules]
        self.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=permissions)
        self.server.wait_applied()
        return permissions

    def disallow(self, group, permissions):
        self.ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=permissions)
        self.server.wait_applied()

    def seal(self, group):
        """Takes away the rules that let everything out."""
        self.ec2.revoke_security_group_egress(GroupId=group, IpPermissions=EVERYTHING_V4 + EVERYTHING_V6)
        self.server.wait_applied()

    def let_out(self, group, *rules):
        permissions = [permission(*rule) for rule in rules]
        self.ec2.authorize_security_group_egress(GroupId=group, IpPermissions=permissions)
        self.server.wait_applied()
