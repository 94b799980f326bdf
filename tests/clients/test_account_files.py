"""A real account asked offline: what the clouds' own tools print of it, in files, gives the answers of the server itself."""

import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlencode

from server import run
from test_answers import pair, sdk  # noqa: F401 (fixtures)

AWS = Path(sys.executable).with_name("aws")
# What only a server that watches a kernel knows, and what names the world that was asked.
OF_THE_MOMENT = {"revision", "evidence", "applied_revision", "since", "watched_since", "at"}


def of_the_account(answer):
    """An answer without what is of the moment."""
    if isinstance(answer, dict):
        return {name: of_the_account(part) for name, part in answer.items() if name not in OF_THE_MOMENT}
    return [of_the_account(part) for part in answer] if isinstance(answer, list) else answer


def offline(files, *words):
    done = run(*words, "--output", "json", "--account-files", files)
    assert done.returncode in (0, 2), done
    return of_the_account(json.loads(done.stdout)), done


def live(server, *words):
    assert server.command("wait", "--timeout-s", "30").returncode == 0
    done = server.command(*words, "--output", "json")
    assert done.returncode in (0, 2), done
    return of_the_account(json.loads(done.stdout)), done


def describe(server, files, vpc):
    """What a person would have the AWS command line print."""
    own = f"--filters Name=vpc-id,Values={vpc}"
    for what in ("vpcs", "subnets", "security-groups", "network-interfaces", "instances", "network-acls"):
        printed = describe_one(server, f"describe-{what} {own}")
        (files / f"{what}.json").write_text(printed)
    groups = [group["GroupId"] for group in json.loads((files / "security-groups.json").read_text())["SecurityGroups"]]
    rules = describe_one(server, f"describe-security-group-rules --filters Name=group-id,Values={','.join(groups)}")
    (files / "rules.json").write_text(rules)


def describe_one(server, words):
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **server.credentials}
    command = [AWS, "ec2", *words.split(), "--output", "json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done
    return done.stdout


def test_an_account_of_ec2_answers_as_its_server_does(server, pair, tmp_path):  # noqa: F811
    ec2, client, web, service, db, address = pair
    [found] = ec2.describe_instances(InstanceIds=[service])["Reservations"][0]["Instances"]
    pairs = [{"GroupId": web, "Description": "the web"}]
    halves = [{"CidrIp": "0.0.0.0/1"}, {"CidrIp": "128.0.0.0/1"}]
    rules = [
        {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "UserIdGroupPairs": pairs},
        {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": halves},
        {"IpProtocol": "icmp", "FromPort": 8, "ToPort": -1, "IpRanges": [{"CidrIp": "10.61.0.0/16"}]},
    ]
    ec2.authorize_security_group_ingress(GroupId=db, IpPermissions=rules)
    describe(server, tmp_path, found["VpcId"])
    for words in (
        ("why", client, service, "tcp/5432"),
        ("why", client, service, "tcp/80"),
        ("why", "internet", service, "tcp/22", "--stop"),
        ("who", "--to", service),
        ("who", "--from", "internet", "--to", db),
        ("policy", "show", service),
        ("health", db, "--overlaps"),
        ("diagnose", service, "--port", "22"),
        ("comply", "--resource", db, "--mode", "semantic"),
        ("comply", "--resource", db, "--mode", "literal"),
    ):
        told, done = offline(tmp_path, *words)
        expected, of_server = live(server, *words)
        assert told == expected, words
        assert done.returncode == of_server.returncode, words
    parameters = {"Action": "RevokeSecurityGroupIngress", "Version": "2016-11-15", "GroupId": db}
    revoked = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges.1.CidrIp": "0.0.0.0/1"}
    parameters |= {f"IpPermissions.1.{name}": value for name, value in revoked.items()}
    words = ("diff", "--request", urlencode(parameters))
    (told, _), (expected, _) = offline(tmp_path, *words), live(server, *words)
    assert told["changes"] and told["changes"] == expected["changes"], (told, expected)


def test_an_account_of_ecs_answers_as_its_server_does(server, sdk, vpc, tmp_path):  # noqa: F811
    v2 = sdk
    vswitch, clients, services = v2.vswitch(vpc, "10.1.0.0/24"), v2.group(vpc), v2.group(vpc)
    office = v2.call("CreatePrefixList", PrefixListName="office", AddressFamily="IPv4", MaxEntries=5,
                     Entry=[{"Cidr": "192.0.2.0/24"}])["PrefixListId"]
    rules = [
        {"IpProtocol": "TCP", "PortRange": "443/443", "SourceGroupId": clients, "Policy": "accept", "Priority": "2"},
        {"IpProtocol": "TCP", "PortRange": "22/22", "SourcePrefixListId": office, "Policy": "accept", "Priority": "3"},
        {"IpProtocol": "ALL", "PortRange": "-1/-1", "SourceCidrIp": "10.1.0.7", "Policy": "drop", "Priority": "1"},
    ]
    v2.call("AuthorizeSecurityGroup", SecurityGroupId=services, Permissions=rules)
    v2.call("ModifySecurityGroupPolicy", SecurityGroupId=clients, InnerAccessPolicy="Drop")
    [client], [service] = v2.instances(vswitch, clients), v2.instances(vswitch, services)
    answers = [
        v2.call("DescribeVpcs", VpcId=vpc),
        v2.call("DescribeVSwitches", VpcId=vpc),
        v2.call("DescribeSecurityGroups", VpcId=vpc),
        *(v2.call("DescribeSecurityGroupAttribute", SecurityGroupId=group) for group in (clients, services)),
        v2.call("DescribeInstances", VpcId=vpc),
        v2.call("DescribeNetworkInterfaces", VpcId=vpc),
        v2.call("DescribePrefixListAttributes", PrefixListId=office),
    ]
    # One file with one reply after the other, as a shell's loop would leave it.
    (tmp_path / "account.json").write_text("\n".join(json.dumps(answer) for answer in answers))
    for words in (
        ("why", client, service, "tcp/443"),
        ("why", "192.0.2.9", service, "tcp/22"),
        ("why", "192.0.3.9", service, "tcp/22"),
        ("who", "--to", service),
        ("policy", "show", service),
        ("health", services),
        ("comply", "--resource", services),
    ):
        told, _ = offline(tmp_path, *words)
        expected, _ = live(server, *words)
        assert told == expected, words
    v2.call("DeleteInstances", InstanceId=[client, service], Force=True)


def test_two_accounts_in_files_and_the_server_are_compared_whole(server, pair, tmp_path):  # noqa: F811
    ec2, client, web, service, db, address = pair
    [found] = ec2.describe_instances(InstanceIds=[service])["Reservations"][0]["Instances"]
    [eni] = [interface["NetworkInterfaceId"] for interface in found["NetworkInterfaces"]]
    monday, friday = tmp_path / "monday", tmp_path / "friday"
    monday.mkdir()
    friday.mkdir()
    describe(server, monday, found["VpcId"])
    (same, _) = live(server, "diff", "--from-account-files", str(monday))
    # Whatever else the server has is there only on its side, by name.
    assert same["changes"] == same["interfaces"] == same["gone"] == [] and "gone_groups" not in same, same
    assert not {client, service} & {one["instance"] for one in same["new"]}, same["new"]

    pairs = [{"GroupId": web}]
    rules = [{"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5433, "UserIdGroupPairs": pairs}]
    ec2.authorize_security_group_ingress(GroupId=db, IpPermissions=rules)
    made = ec2.create_security_group(GroupName="friday", Description="new", VpcId=found["VpcId"])["GroupId"]
    describe(server, friday, found["VpcId"])
    by_files, _ = offline(monday, "diff", "--to-account-files", str(friday))
    (back, _) = offline(friday, "diff", "--to-account-files", str(monday))
    (by_server, _) = live(server, "diff", "--from-account-files", str(monday))
    (back_by_server, _) = live(server, "diff", "--to-account-files", str(monday))
    for answer, effect in ((by_files, "gained"), (by_server, "gained"), (back, "lost"), (back_by_server, "lost")):
        assert [change["effect"] for change in answer["changes"]] == [effect], answer["changes"]
        assert answer["interfaces"][0]["eni"] == eni and len(answer["interfaces"]) == 1, answer["interfaces"]
        [row] = answer["changes"][0]["rows"]
        assert row["services"] == ["tcp/5432-5433"] and len(row["peers"]) == 1, row
        witness = answer["changes"][0]["witness"]
        assert {witness["before"]["action"], witness["after"]["action"]} == {"Allow", "Deny"}, witness
        assert answer["live"] is None and answer["flows"] is None
    assert [group["id"] for group in by_files["new_groups"]] == [made] == [group["id"] for group in back["gone_groups"]]
    assert made in {group["id"] for group in by_server["new_groups"]}

    # An interface that only one side has is named.
    interfaces = json.loads((friday / "network-interfaces.json").read_text())
    interfaces["NetworkInterfaces"] = [one for one in interfaces["NetworkInterfaces"] if one["NetworkInterfaceId"] != eni]
    instances = json.loads((friday / "instances.json").read_text())
    for reservation in instances["Reservations"]:
        reservation["Instances"] = [one for one in reservation["Instances"] if one["InstanceId"] != service]
    (friday / "network-interfaces.json").write_text(json.dumps(interfaces))
    (friday / "instances.json").write_text(json.dumps(instances))
    gone, _ = offline(monday, "diff", "--to-account-files", str(friday))
    assert [one["eni"] for one in gone["gone"]] == [eni] and gone["new"] == [], gone
    page = run("--account-files", monday, "diff", "--to-account-files", friday)
    assert f"new groups: {made} (friday)" in page.stdout and "interfaces that are gone:" in page.stdout, page.stdout

    for words in (("diff", "--from-account-files", str(tmp_path / "none")), ("diff", "--to-account-files", str(monday), "--from", "1")):
        assert server.command(*words).returncode in (1, 64), words
    ec2.delete_security_group(GroupId=made)


def test_what_files_cannot_do_is_said(server, pair, tmp_path):  # noqa: F811
    ec2, _, _, service, db, _ = pair
    [found] = ec2.describe_instances(InstanceIds=[service])["Reservations"][0]["Instances"]
    empty = run("why", "a", "b", "tcp/1", "--account-files", tmp_path)
    assert empty.returncode == 1 and "holds no file that ends in .json" in empty.stderr, empty
    describe(server, tmp_path, found["VpcId"])
    rules = [{"IpProtocol": "tcp", "FromPort": 1, "ToPort": 9, "IpRanges": [{"CidrIp": "10.0.0.0/8"}, {"CidrIp": "10.1.0.0/16"}]}]
    ec2.authorize_security_group_ingress(GroupId=db, IpPermissions=rules)
    (tmp_path / "rules.json").unlink()
    describe(server, tmp_path, found["VpcId"])
    fixed = run("health", db, "--fix", "--yes", "--account-files", tmp_path)
    assert fixed.returncode == 1 and "nothing can be changed" in fixed.stderr, fixed
    watched = run("flows", "--watch", "--account-files", tmp_path)
    assert watched.returncode == 1 and "ask a server" in watched.stderr, watched
    (tmp_path / "broken.json").write_text('{"Vpcs": [{"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/99"}]}')
    broken = run("who", "--to", service, "--account-files", tmp_path)
    assert broken.returncode == 1 and "broken.json" in broken.stderr and "10.0.0.0/99" in broken.stderr, broken
    both = run("who", "--to", service, "--account-files", tmp_path, "--endpoint", "http://127.0.0.1:1")
    assert both.returncode == 64, both
