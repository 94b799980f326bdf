"""Ends by tag and by name: the same to `why`, `who` and invariants, of now, of the past, and of an account in files."""

import json

from test_account_files import describe, live, offline
from test_answers import asked, pair, sdk  # noqa: F401 (fixtures)


def named(ec2, instance, name, role):
    ec2.create_tags(Resources=[instance], Tags=[{"Key": "Name", "Value": name}, {"Key": "ends-role", "Value": role}])


def decided(answer):
    """What an answer says, whatever its ends are called."""
    legs = [(leg["eni"], leg["decision"]["action"], leg["decision"]["why"]) for leg in answer["legs"]]
    return answer["pairs"], answer["pairs_allowed"], legs


def test_ec2_by_tag_and_name(server, pair, tmp_path):  # noqa: F811
    ec2, client, web, service, db, _ = pair
    before = server.revision()
    named(ec2, client, "ends-web", "web")
    named(ec2, service, "ends-db", "db")
    after = server.revision()
    froms = (client, "ends-web", "name:ends-web", "tag:ends-role=web", web, "answers-web")
    tos = (service, "ends-db", "name:ends-db", "tag:ends-role=db,Name", db, "answers-db")
    expected = decided(asked(server, "why", client, service, "tcp/5432"))
    for one, other in zip(froms, tos, strict=True):
        assert decided(asked(server, "why", one, other, "tcp/5432")) == expected, (one, other)
    # The change is the API's own, and helps whatever the question called the ends.
    [step] = asked(server, "why", "ends-web", "tag:ends-role=db", "tcp/5432")["change"]["steps"]
    assert step["command"].startswith(f"aws ec2 authorize-security-group-ingress --group-id {db}"), step
    pairs = [{"UserIdGroupPairs": [{"GroupId": web}], "IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432}]
    ec2.authorize_security_group_ingress(GroupId=db, IpPermissions=pairs)
    reach = asked(server, "who", "--from", client, "--to", service)["inside"]
    assert reach and "tcp/5432" in reach[0]["services"]
    for one, other in zip(froms, tos, strict=True):
        assert asked(server, "why", one, other, "tcp/5432")["allowed"], (one, other)
        assert asked(server, "who", "--from", one, "--to", other)["inside"] == reach, (one, other)

    # Of the past: nobody was so called, and then they were, whatever they are called now.
    ec2.delete_tags(Resources=[client, service], Tags=[{"Key": "Name"}, {"Key": "ends-role"}])
    for words in (("why", "ends-web", "tag:ends-role=db", "tcp/5432"), ("who", "--to", "ends-db")):
        for when in ((), ("--at", before)):
            none = server.command(*words, *when)
            assert none.returncode == 1, none
            assert "has the id or the name `ends-" in none.stderr and "tag:KEY=VALUE" in none.stderr, none
        assert asked(server, *words, "--at", after)["revision"] == after, words
    nobody = server.command("why", client, "tag:ends-role=db", "tcp/5432")
    assert nobody.returncode == 1 and "no interface is meant by `tag:ends-role=db`" in nobody.stderr, nobody
    nobody = server.command("who", "--to", "name:ends-db")
    assert nobody.returncode == 1 and "no interface is meant by `name:ends-db`" in nobody.stderr, nobody

    # Of what the AWS command line tells about the account.
    named(ec2, client, "ends-web", "web")
    named(ec2, service, "ends-db", "db")
    [found] = ec2.describe_instances(InstanceIds=[service])["Reservations"][0]["Instances"]
    describe(server, tmp_path, found["VpcId"])
    for words in (
        ("why", "ends-web", "ends-db", "tcp/5432"),
        ("why", "tag:ends-role=web", "answers-db", "tcp/5433"),
        ("why", "internet", "name:ends-db", "tcp/22"),
        ("who", "--to", "tag:ends-role=db"),
        ("who", "--from", "answers-web"),
    ):
        assert offline(tmp_path, *words)[0] == live(server, *words)[0], words


def test_a_name_of_several_things_is_refused_with_them(server, pair):  # noqa: F811
    ec2, client, web, service, db, _ = pair
    named(ec2, client, "answers-db", "web")
    said = f"`answers-db` is the name of group {db} and instance {client}; name one of them by its id"
    for words in (("why", client, "answers-db", "icmp"), ("who", "--to", "answers-db"),
                  ("invariant", "add", "ends", "internet must-not reach answers-db tcp/22")):
        refused = server.command(*words)
        assert refused.returncode == 1 and said in refused.stderr, refused
        assert "or write name:answers-db for every instance and interface that has it" in refused.stderr
    status, answer = server.native("GET", f"/v1/why?from={client}&to=answers-db&service=icmp")
    assert (status, answer["error"]["code"]) == (400, "invalid"), answer
    # Several instances of one name are a set, like those of one tag.
    named(ec2, client, "ends-both", "web")
    named(ec2, service, "ends-both", "db")
    both = asked(server, "why", "ends-both", "203.0.113.10", "icmp")
    assert (both["pairs"], both["pairs_allowed"]) == (2, 2), both
    assert {name for answer in both["answers"] for name in answer["from"]} == {client, service}


def test_an_invariant_keeps_whom_a_name_means(server, pair):  # noqa: F811
    ec2, client, web, service, db, _ = pair
    named(ec2, service, "ends-db", "db")
    try:
        made = server.command("invariant", "add", "ends", "answers-web must-not reach ends-db tcp/22", "--output", "json")
        assert made.returncode == 0, made
        assert json.loads(made.stdout)["invariant"]["statement"] == f"{web} must-not reach name:ends-db tcp/22"
        ssh = [{"UserIdGroupPairs": [{"GroupId": web}], "IpProtocol": "tcp", "FromPort": 22, "ToPort": 22}]
        refused = aws_error(ec2.authorize_security_group_ingress, GroupId=db, IpPermissions=ssh)
        assert refused == "UnauthorizedOperation"
        # Whoever has the name later is held to it: here nobody, and then somebody again.
        ec2.delete_tags(Resources=[service], Tags=[{"Key": "Name"}])
        ec2.authorize_security_group_ingress(GroupId=db, IpPermissions=ssh)
        tags = [{"Key": "Name", "Value": "ends-db"}]
        assert aws_error(ec2.create_tags, Resources=[service], Tags=tags) == "UnauthorizedOperation"
    finally:
        assert server.command("invariant", "remove", "ends").returncode == 0


def aws_error(call, **parameters):
    try:
        call(**parameters)
    except Exception as error:  # noqa: BLE001 (what the SDK raises has the code)
        return error.response["Error"]["Code"]
    return None


def test_ecs_by_the_names_of_instances_and_interfaces(server, sdk, vpc):  # noqa: F811
    vswitch = sdk.vswitch(vpc, "10.1.0.0/24")
    clients, services = sdk.group(vpc, SecurityGroupName="ends-clients"), sdk.group(vpc)
    [client] = sdk.instances(vswitch, clients, InstanceName="ends-ecs-client")
    [service] = sdk.instances(vswitch, services, InstanceName="ends-ecs-db")
    eni = sdk.eni(vswitch, services, NetworkInterfaceName="ends-uplink")
    expected = decided(asked(server, "why", client, service, "tcp/443"))
    for one, other in (("ends-ecs-client", "ends-ecs-db"), ("ends-clients", service), ("ends-clients", "ends-ecs-db")):
        assert decided(asked(server, "why", one, other, "tcp/443")) == expected, (one, other)
    assert asked(server, "why", client, "ends-uplink", "tcp/443")["to"]["eni"] == eni
    # A tag `Name` is no name in ECS.
    sdk.call("TagResources", ResourceType="instance", ResourceId=[service], Tag=[{"Key": "Name", "Value": "ends-tagged"}])
    assert server.command("why", client, "ends-tagged", "tcp/443").returncode == 1
    assert asked(server, "why", client, "tag:Name=ends-tagged", "tcp/443")["to"]["instance"] == service
    sdk.call("DeleteNetworkInterface", NetworkInterfaceId=eni)
    sdk.call("DeleteInstances", InstanceId=[client, service], Force=True)


def test_what_is_about_one_interface_takes_whatever_means_one(server, pair, tmp_path):  # noqa: F811
    ec2, client, web, service, db, address = pair
    named(ec2, client, "ends-web", "web")
    named(ec2, service, "ends-db", "db")
    for words in (("policy", "show", "{}"), ("diagnose", "{}", "--port", "5432"), ("export", "nft", "{}"),
                  ("diff", "--policies", client, "{}")):
        def said(end, words=words):
            done = server.command(*(word.format(end) for word in words), "--output", "json")
            answer = json.loads(done.stdout)
            # The first line of a ruleset and the name of a policy say how it was asked for.
            answer["ruleset"] = answer.get("ruleset", "").partition("\n")[2]
            answer.pop("after", None)
            return done.returncode, answer
        expected = said(service)
        for end in ("ends-db", "name:ends-db", "tag:ends-role=db", f"instance:{service}", address):
            assert said(end) == expected, (words, end)
        for end, why in (
            ("tag:Name,ends-role", "and one is asked about; name it by its id"),
            ("tag:ends-role=dbs", "no interface is meant by `tag:ends-role=dbs`"),
            ("ends-nobody", "`ends-nobody`"),
        ):
            refused = server.command(*(word.format(end) for word in words))
            assert refused.returncode == 1 and why in refused.stderr, refused
    # A group is a policy by its name as well.
    by_name, by_id = asked(server, "diff", "--policies", client, "answers-db"), asked(server, "diff", "--policies", client, db)
    assert by_name["changes"] == by_id["changes"]
    for words in (("policy", "show", ""), ("export", "nft", ""), ("diagnose", "")):
        assert server.command(*words).returncode == 64, words
