"""Invariants: a change that violates one is refused with the cloud's permission error, by either cloud's client, and is told where it only warns."""

import json

import pytest
from aws import client_of, tcp, told
from botocore.exceptions import ClientError

from estate import rule as rule_of
from test_ec2_peering import clear, vpc_with_instance


def rule(port):
    return rule_of(port, SourceCidrIp="0.0.0.0/0")


class Invariants:
    """`sekimori invariant`, and what it leaves behind."""

    def __init__(self, server):
        self.server, self.names = server, []

    def order(self, *words, code=0):
        done = self.server.command("invariant", *words, "--output", "json")
        assert done.returncode == code, done
        return json.loads(done.stdout)

    def add(self, name, *words):
        self.names.append(name)
        return self.order("add", name, *words)

    def one(self, name, command="list", code=0):
        [found] = [one for one in self.order(command, code=code)["invariants"] if one["name"] == name]
        return found


@pytest.fixture
def invariants(server):
    made = Invariants(server)
    yield made
    for name in made.names:
        made.order("remove", name)


def test_ec2_is_refused_as_unauthorized(server, invariants):
    ec2 = client_of(server)
    vpc, group, _, address = vpc_with_instance(ec2, "10.71", "invariants-db")
    set_ = invariants.add("db-closed", f"internet must-not reach {group}")
    assert set_["invariant"]["holds"], set_
    with pytest.raises(ClientError) as refused:
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=tcp(22))
    error, answer = refused.value.response["Error"], refused.value.response["ResponseMetadata"]
    assert (answer["HTTPStatusCode"], error["Code"]) == (403, "UnauthorizedOperation"), error
    assert "`db-closed`" in error["Message"] and f"tcp/22 (source port 50000) from 203.0.113.1 to {address}" in error["Message"]
    refusal = (403, "UnauthorizedOperation")
    assert told(ec2.authorize_security_group_ingress, GroupId=group, IpPermissions=tcp(22), DryRun=True) == refusal
    inside = tcp(22, IpRanges=[{"CidrIp": "10.0.0.0/8"}])
    assert told(ec2.authorize_security_group_ingress, GroupId=group, IpPermissions=inside, DryRun=True) == refusal
    inside = tcp(22, IpRanges=[{"CidrIp": "10.71.0.0/16"}])
    assert told(ec2.authorize_security_group_ingress, GroupId=group, IpPermissions=inside, DryRun=True) == (412, "DryRunOperation")
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=inside)
    [shown] = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    assert [one["IpRanges"] for one in shown["IpPermissions"]] == [[{"CidrIp": "10.71.0.0/16"}]]
    ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=inside)
    assert invariants.one("db-closed", "check")["holds"]
    clear(ec2, vpc)


def test_ecs_is_refused_as_forbidden(server, v2, invariants):
    vpc = v2.vpc()
    vswitch, group = v2.vswitch(vpc, "10.1.0.0/24"), v2.group(vpc)
    [instance] = v2.instances(vswitch, group, Tag=[{"Key": "invariants", "Value": "db"}])
    invariants.add("db-closed", "internet", "must-not", "reach", "tag:invariants=db", "tcp/22,tcp/3389")
    refused = v2.refused("AuthorizeSecurityGroup", SecurityGroupId=group, Permissions=[rule(22)])
    assert (refused.status, refused.code) == (403, "Forbidden.RAM"), refused
    v2.call("AuthorizeSecurityGroup", SecurityGroupId=group, Permissions=[rule(443)])
    assert [one["PortRange"] for one in v2.rules(group)] == ["443/443"]
    # The same as a warning: it is committed, told since when and by which packet, and over when it is taken back.
    invariants.add("warned", "--warn", "internet must-not reach tag:invariants=db tcp/80")
    before = server.revision()
    v2.call("AuthorizeSecurityGroup", SecurityGroupId=group, Permissions=[rule(80)])
    [since] = [one["revision"] for one in server.made_since(before)]
    violated = invariants.one("warned")
    assert (violated["holds"], violated["since"]) == (False, since) and "tcp/80" in violated["shown"], violated
    assert not invariants.one("warned", "check", code=2)["holds"]
    refused = server.command("invariant", "add", "again", "internet must-not reach tag:invariants=db tcp/80")
    assert refused.returncode == 1 and "does not hold now: tcp/80" in refused.stderr, refused
    v2.call("RevokeSecurityGroup", SecurityGroupId=group, Permissions=[rule(80)])
    assert invariants.one("warned", "check")["holds"]
    v2.call("DeleteInstances", InstanceId=[instance], Force=True)


def test_what_makes_no_sense_is_said(server, invariants):
    def refused(*words):
        done = server.command("invariant", "add", *words)
        return done.returncode, done.stderr

    code, said = refused("x", "world must-not reach internet")
    assert code == 1 and "has the id or the name `world`" in said and "an end can also be internet" in said
    assert refused("x", "tag:=db must-not reach internet")[0] == 64
    assert "`must not` is not what an invariant can say" in refused("x", "internet must not reach sg-1")[1]
    code, said = refused("x", "internet must-not reach sg-none")
    assert code == 1 and "has the id or the name `sg-none`" in said
    status, answer = server.native("PUT", "/v1/invariants/x", {"statement": "a may reach b"})
    assert (status, answer["error"]["code"]) == (404, "not-found"), answer
    status, answer = server.native("PUT", "/v1/invariants/x", {"statement": "internet may see internet"})
    assert (status, answer["error"]["code"]) == (400, "invalid"), answer
    status, answer = server.native("DELETE", "/v1/invariants/none")
    assert (status, answer["error"]["code"]) == (404, "not-found"), answer
