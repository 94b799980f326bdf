"""`sekimori diff` of changes that are then made: what it tells before is what real packets do, and what it tells afterwards of the log."""

import json
from urllib.parse import urlencode

import pytest
from probes import Listeners, Talk, passes
from server import until
from test_answers import asked, pair  # noqa: F401

PORTS = range(5000, 5008)


@pytest.fixture(scope="module")
def sdk(v2):
    return v2


def query(action, **parameters):
    return urlencode({"Action": action, **parameters})


def told(answer):
    """Gained and lost ports of TCP, at whatever interface."""
    ports = {"gained": set(), "lost": set()}
    for change in answer["changes"]:
        for service in (service for row in change["rows"] for service in row["services"]):
            if service.startswith("tcp/"):
                first, _, last = service.removeprefix("tcp/").partition("-")
                ports[change["effect"]] |= set(range(int(first), int(last or first) + 1))
    return ports["gained"], ports["lost"]


def open_ports(client, address):
    return {int(service.removeprefix("tcp/")) for service in passes(client, address, *(f"tcp/{port}" for port in PORTS))}


def check_witnesses(answer):
    for change in answer["changes"]:
        decisions = [change["witness"][when]["action"] for when in ("before", "after")]
        assert decisions == (["Deny", "Allow"] if change["effect"] == "gained" else ["Allow", "Deny"]), change


def test_an_ecs_change_does_to_packets_and_live_flows_what_was_told(server, sdk, vpc):
    vswitch, clients, services = sdk.vswitch(vpc, "10.1.0.0/24"), sdk.group(vpc), sdk.group(vpc)
    [client], [service] = sdk.instances(vswitch, clients), sdk.instances(vswitch, services)
    address = sdk.instance(service)["VpcAttributes"]["PrivateIpAddress"]["IpAddress"][0]
    accept = {"IpProtocol": "TCP", "PortRange": "5000/5003", "SourceCidrIp": "10.1.0.0/24", "Priority": "10"}
    sdk.call("AuthorizeSecurityGroup", SecurityGroupId=services, Permissions=[accept])
    permissions = [
        {"IpProtocol": "TCP", "PortRange": "5001/5002", "SourceCidrIp": "10.1.0.0/24", "Policy": "drop", "Priority": "1"},
        {"IpProtocol": "TCP", "PortRange": "5005/5005", "SourceCidrIp": "10.1.0.0/16", "Priority": "1"},
    ]
    flat = {
        f"Permissions.{number}.{name}": value
        for number, permission in enumerate(permissions, 1)
        for name, value in permission.items()
    }
    request = query("AuthorizeSecurityGroup", RegionId="cn-hangzhou", SecurityGroupId=services, **flat)
    nothing = asked(server, "diff", "--request", request, "--dialect", "ecs")
    # Whatever others have had recorded is not of these interfaces.
    assert nothing["flows"]["ending"] == nothing["flows"]["otherwise"] == [], nothing["flows"]
    server.command("flows")
    with Listeners(service, *PORTS):
        before = open_ports(client, address)

        def seen():
            assert before == open_ports(client, address) == {5000, 5001, 5002, 5003}
            answer = asked(server, "diff", "--request", request, "--dialect", "ecs")
            return answer if len(answer["flows"]["otherwise"]) == 3 else None

        with Talk(client, address, 5001) as talk:
            assert talk.is_alive()
            answer = until("flows that were seen", seen)
            revision = answer["revision"]
            check_witnesses(answer)
            gained, lost = told(answer)
            assert (gained, lost) == ({5005}, {5001, 5002}), answer["changes"]
            assert [one["instance"] for one in answer["interfaces"]] == [service]
            # The kernel holds one connection that it ends; the others that were seen have ended already.
            [ending] = [one for one in answer["live"]["ending"] if one["state"] != "closing"]
            assert ending["first"]["transport"]["Tcp"]["destination"] == 5001 and ending["ending"] == "ends", ending
            assert (ending["state"], ending["instance"]) == ("established", service) and answer["flows"]["ending"] == []
            otherwise = {flow["packet"]["transport"]["Tcp"]["destination"] for flow in answer["flows"]["otherwise"]}
            assert otherwise == {5001, 5002, 5005}, answer["flows"]
            sdk.call("AuthorizeSecurityGroup", SecurityGroupId=services, Permissions=permissions)
            past = asked(server, "diff", "--from", str(revision))
            assert not past["flows"]["is_ahead"] and past["flows"]["ending"] == [] and past["live"] is None, past["flows"]
            assert [past["changes"], past["interfaces"]] != [[], []] and told(past) == (gained, lost)
            assert not talk.is_alive()
        after = open_ports(client, address)
    assert (after - before, before - after) == (gained, lost)
    sdk.call("DeleteInstances", InstanceId=[client, service], Force=True)
    gone = asked(server, "diff", "--from", str(revision))
    assert {one["instance"] for one in gone["gone"]} == {client, service}


def test_other_rules_of_a_group_and_two_policies(server, sdk, vpc, tmp_path):
    vswitch, group = sdk.vswitch(vpc, "10.1.0.0/24"), sdk.group(vpc)
    rule = {"IpProtocol": "TCP", "PortRange": "443/443", "SourceCidrIp": "192.0.2.0/24", "Priority": "1"}
    sdk.call("AuthorizeSecurityGroup", SecurityGroupId=group, Permissions=[rule])
    [instance] = sdk.instances(vswitch, group)
    cloned = json.loads(server.command("group", "clone", group, "--name", "again", "--keep-rules", "--output", "json").stdout)
    clone = cloned["group"]
    assert told(asked(server, "diff", "--group", group, "--with-group", clone)) == (set(), set())
    sdk.call("AuthorizeSecurityGroup", SecurityGroupId=clone, Permissions=[{**rule, "PortRange": "80/80"}])
    assert told(asked(server, "diff", "--group", group, "--with-group", clone)) == ({80}, set())
    file = tmp_path / "rules.csv"
    file.write_text("Direction,Protocol,Port,Peer,Priority\nin,tcp,22,192.0.2.0/24,1\n")
    assert told(asked(server, "diff", "--group", group, "--file", str(file))) == ({22}, {443})
    policies = asked(server, "diff", "--policies", instance, clone)
    assert ({80} <= told(policies)[0]) and policies["flows"] is None, policies
    sdk.call("DeleteInstances", InstanceId=[instance], Force=True)


def test_ec2_changes_of_groups_and_network_acls(server, pair):  # noqa: F811
    ec2, client, web, service, db, address = pair
    from_web = [{"IpProtocol": "tcp", "FromPort": 5000, "ToPort": 5003, "UserIdGroupPairs": [{"GroupId": web}]}]
    ec2.authorize_security_group_ingress(GroupId=db, IpPermissions=from_web)
    [of_service] = ec2.describe_instances(InstanceIds=[service])["Reservations"][0]["Instances"]
    of_subnet = [{"Name": "vpc-id", "Values": [of_service["VpcId"]]}]
    [acl] = ec2.describe_network_acls(Filters=of_subnet)["NetworkAcls"]
    entry = {
        "NetworkAclId": acl["NetworkAclId"],
        "RuleNumber": 10,
        "Protocol": "6",
        "RuleAction": "deny",
        "Egress": False,
        "CidrBlock": "0.0.0.0/0",
        "PortRange": {"From": 5002, "To": 5003},
    }
    flat = {**{name: value for name, value in entry.items() if name != "PortRange"}, "Egress": "false"}
    guards = query(
        "CreateNetworkAclEntry", Version="2016-11-15", **flat, **{"PortRange.From": 5002, "PortRange.To": 5003}
    )
    pairs = {"IpPermissions.1.IpProtocol": "tcp", "IpPermissions.1.Groups.1.GroupId": web}
    opens = query(
        "AuthorizeSecurityGroupIngress",
        Version="2016-11-15",
        GroupId=db,
        **pairs,
        **{"IpPermissions.1.FromPort": 5005, "IpPermissions.1.ToPort": 5006},
    )
    assert server.command("wait", "--timeout-s", "30").returncode == 0
    with Listeners(service, *PORTS):
        before = open_ports(client, address)
        assert before == {5000, 5001, 5002, 5003}
        guarded = asked(server, "diff", "--request", guards)
        check_witnesses(guarded)
        opened = asked(server, "diff", "--request", opens)
        check_witnesses(opened)
        [change] = opened["changes"]
        assert any(client in peer for row in change["rows"] for peer in row["peers"]), change
        ec2.create_network_acl_entry(**entry)
        more = [{**from_web[0], "FromPort": 5005, "ToPort": 5006}]
        ec2.authorize_security_group_ingress(GroupId=db, IpPermissions=more)
        assert server.command("wait", "--timeout-s", "30").returncode == 0
        after = open_ports(client, address)
    assert (after - before, before - after) == (told(opened)[0], told(guarded)[1] & before), (guarded, opened)
    refused = server.command("diff", "--request", query("DeleteSecurityGroup", Version="2016-11-15", GroupId=db))
    assert refused.returncode == 1 and "DependencyViolation" in refused.stderr, refused


def test_an_ec2_group_is_compared_with_what_the_cloud_described(server, pair, tmp_path):
    ec2, _, web, _, group, _ = pair
    one = {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "UserIdGroupPairs": [{"GroupId": web}]}
    other = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "198.51.100.0/24"}]}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[one, other])
    file = tmp_path / "described.json"
    file.write_text(json.dumps({"SecurityGroups": ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]}))
    same = asked(server, "diff", "--group", group, "--file", str(file))
    assert same["changes"] == [] and same["interfaces"] == [], same
    ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[other])
    assert told(asked(server, "diff", "--group", group, "--file", str(file))) == ({22}, set())
