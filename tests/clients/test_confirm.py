"""`sekimori apply --confirm-within`: a change rolls back by itself unless it is confirmed."""

import http.client
import json
import subprocess
import time
import urllib.parse
import urllib.request

import pytest
from aws import OFFICE_V4, client_of, tcp
from probes import Listeners, Talk, passes
from sdk import V2
from test_ec2_peering import clear, vpc_with_instance

from server import until


class Applying:
    """A group that lets SSH in from one address, and the commands of `sekimori`."""

    def __init__(self, server, block):
        self.server, self.ec2 = server, client_of(server)
        self.vpc, self.group, self.instance, self.address = vpc_with_instance(self.ec2, block, "confirm")
        made = self.ec2.authorize_security_group_ingress(
            GroupId=self.group, IpPermissions=tcp(22, IpRanges=[{"CidrIp": "192.0.2.7/32"}])
        )
        self.rule = made["SecurityGroupRules"][0]["SecurityGroupRuleId"]

    def rules(self):
        of_group = [{"Name": "group-id", "Values": [self.group]}]
        rules = self.ec2.describe_security_group_rules(Filters=of_group)["SecurityGroupRules"]
        return sorted(one["SecurityGroupRuleId"] for one in rules if not one["IsEgress"])

    def order(self, *words, code=0):
        done = self.server.command(*words, "--output", "json")
        assert done.returncode == code, done
        return json.loads(done.stdout)

    def request(self, action, **parameters):
        return urllib.parse.urlencode({"Action": action, "Version": "2016-11-15", "GroupId": self.group, **parameters})

    def revoked(self):
        return self.request("RevokeSecurityGroupIngress", **{"SecurityGroupRuleId.1": self.rule})

    def opened(self, port):
        permission = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges.1.CidrIp": "0.0.0.0/0"}
        return self.request(
            "AuthorizeSecurityGroupIngress", **{f"IpPermissions.1.{name}": value for name, value in permission.items()}
        )


@pytest.fixture
def applying(server):
    made = Applying(server, "10.73")
    yield made
    clear(made.ec2, made.vpc)


def test_what_nobody_confirms_comes_back_with_its_name(applying, tmp_path):
    before = applying.rules()
    file = tmp_path / "requests.txt"
    file.write_text(f"# close SSH, open HTTPS\n{applying.revoked()}\n\n{applying.opened(443)}\n")
    applied = applying.order("apply", "--confirm-within", "3s", "--file", str(file))
    assert applied["operations"] == ["RevokeSecurityGroupIngress", "AuthorizeSecurityGroupIngress"], applied
    assert applying.rule not in applying.rules() and len(applying.rules()) == 1
    [waiting] = applying.order("pending")["trials"]
    assert waiting["id"] == applied["trial"]["id"] and len(waiting["facts"]) == 2, waiting
    until("the rollback", lambda: applying.rules() == before)
    assert applying.order("pending")["trials"] == []
    newest = applying.order("history", "--limit", "1")["entries"][0]
    assert (newest["who"], newest["operation"]) == ("system", "RollBackChange"), newest
    late = applying.server.command("confirm", waiting["id"])
    assert late.returncode == 1 and "does not exist" in late.stderr, late


def test_what_is_confirmed_stays_and_what_is_rolled_back_early_goes(applying):
    kept = applying.order("apply", "--confirm-within", "60s", "--request", applying.opened(443))
    applying.order("confirm", kept["trial"]["id"])
    undone = applying.order("apply", "--confirm-within", "60s", "--request", applying.revoked())
    # Another change of the same kind has nothing to do with it.
    applying.order("apply", "--request", applying.opened(80))
    assert len(applying.rules()) == 2
    done = applying.order("rollback", undone["trial"]["id"])
    assert done["left"] == [] and len(done["restored"]) == 1, done
    assert len(applying.rules()) == 3 and applying.rule in applying.rules()


def test_what_somebody_does_meanwhile_keeps_nothing_that_was_never_confirmed(applying):
    before = applying.rules()
    opened = applying.order("apply", "--confirm-within", "3s", "--request", applying.opened(443))
    [rule] = set(applying.rules()) - set(before)
    applying.ec2.create_tags(Resources=[rule], Tags=[{"Key": "note", "Value": "x"}])
    until("the rollback", lambda: applying.rules() == before)
    assert opened["trial"]["id"] not in [one["id"] for one in applying.order("pending")["trials"]]

    applying.order("apply", "--confirm-within", "3s", "--request", applying.opened(443))
    [rule] = set(applying.rules()) - set(before)
    revoked = applying.request("RevokeSecurityGroupIngress", **{"SecurityGroupRuleId.1": rule})
    newer = applying.order("apply", "--confirm-within", "60s", "--request", revoked)["trial"]["id"]
    until("the older one to end", lambda: len(applying.order("pending")["trials"]) == 1)
    done = applying.server.command("rollback", newer)
    assert done.returncode == 0 and "has nothing to roll back" in done.stdout, done
    assert applying.rules() == before


def test_no_vpc_has_two_groups_of_one_name_and_plans_say_what_is_refused(applying):
    other = applying.ec2.create_security_group(GroupName="del", Description="x", VpcId=applying.vpc)["GroupId"]
    clone = ["group", "clone", applying.group, "--name", "del"]
    for words in [clone, [*clone, "--dry-run"]]:
        refused = applying.server.command(*words)
        assert refused.returncode == 1 and "del" in refused.stderr, refused
    gone = urllib.parse.urlencode({"Action": "DeleteSecurityGroup", "Version": "2016-11-15", "GroupId": other})
    trial = applying.order("apply", "--confirm-within", "60s", "--request", gone)["trial"]["id"]
    again = applying.ec2.create_security_group(GroupName="del", Description="y", VpcId=applying.vpc)["GroupId"]
    done = applying.order("rollback", trial, code=2)
    assert f"group/{other}: `{again}` has its name" in done["left"], done
    words = ["group", "preset", applying.group, "web", "--from", "sg-nosuch"]
    real, shown = [applying.server.command(*words, *more) for more in [[], ["--dry-run"]]]
    assert (shown.returncode, shown.stderr) == (real.returncode, real.stderr) and shown.returncode == 1, shown
    applying.ec2.delete_security_group(GroupId=again)


@pytest.fixture
def office():
    """The address of the office is here too, beside the one that the VPC's outside has."""
    words = [f"{OFFICE_V4}/32", "dev", "lo"]
    subprocess.run(["ip", "address", "add", *words], check=True)
    yield OFFICE_V4
    subprocess.run(["ip", "address", "delete", *words], check=True)


def test_a_live_connection_of_whoever_asks_is_not_cut_unawares(applying, office):
    server, ec2 = applying.server, applying.ec2
    made = ec2.authorize_security_group_ingress(
        GroupId=applying.group, IpPermissions=tcp(22, IpRanges=[{"CidrIp": f"{office}/32"}])
    )
    rule = made["SecurityGroupRules"][0]["SecurityGroupRuleId"]
    server.wait_applied()
    closes = applying.request("RevokeSecurityGroupIngress", **{"SecurityGroupRuleId.1": rule})

    def apply(source, request, **more):
        connection = http.client.HTTPConnection(server.signer().address, timeout=30, source_address=(source, 0))
        try:
            headers = {"authorization": f"Bearer {server.credentials['SEKIMORI_TOKEN']}"}
            body = {"requests": [{"parameters": request}], **more}
            connection.request("POST", "/v1/apply", json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    with Listeners(applying.instance, "tcp/22"), Talk(f"{applying.vpc}.outside", applying.address, 22, office) as ssh:
        assert ssh.is_alive()
        # EC2 keeps what is live, but nobody could come back.
        status, answer = apply(office, closes)
        message = answer["error"]["message"]
        assert (status, answer["error"]["code"]) == (409, "refused"), answer
        assert f"the live flow tcp/22 from {office} port" in message and "could not be begun again" in message, message
        eni = applying.order("flows", "--live", "--instance", applying.instance)["flows"][0]["eni"]
        assert server.command("treatment", "set", eni, "reevaluate").returncode == 0
        server.wait_applied()
        status, answer = apply(office, closes)
        assert status == 409 and "would end in silence: default" in answer["error"]["message"], answer
        print(answer["error"]["message"])
        status, answer = apply(office, applying.opened(443))
        assert (status, answer["flows"], answer["unknown"]) == (200, [], []), answer
        status, answer = apply(office, closes, confirm_within_s=60)
        assert status == 200 and len(answer["flows"]) == 1 and answer["flows"][0]["ending"] == "ends", answer
        assert answer["warnings"] and answer["cuts"] == [], answer
        server.wait_applied()
        assert not ssh.is_alive(), "it was not said in vain"
        applying.order("rollback", answer["trial"]["id"])


def test_what_makes_no_sense_is_said_in_the_words_of_the_cloud(applying):
    elsewhere = applying.opened(443).replace(applying.group, "sg-0123456789abcdef0")
    # Nothing that it names tells whose it is.
    account = client_of(applying.server, "sts").get_caller_identity()["Account"]
    refused = applying.server.command("apply", "--account", account, "--request", elsewhere)
    assert refused.returncode == 1 and "InvalidGroup" in refused.stderr, refused
    refused = applying.server.command("apply", "--confirm-within", "5x", "--request", applying.revoked())
    assert refused.returncode == 64 and "`5x`" in refused.stderr, refused
    again = applying.opened(22).replace("0.0.0.0%2F0", "192.0.2.7%2F32")
    refused = applying.server.command("apply", "--request", applying.opened(443), "--request", again)
    assert refused.returncode == 1 and "InvalidPermission.Duplicate" in refused.stderr, refused
    assert len(applying.rules()) == 1, "all or nothing"
    status, answer = applying.server.native("POST", "/v1/apply", {"requests": []})
    assert (status, answer["error"]["code"]) == (400, "invalid"), answer


def ecs_group(sdk, vpc):
    """A group that an instance has, with a rule that a wider one makes superfluous."""
    vswitch, group = sdk.vswitch(vpc, "10.1.0.0/24"), sdk.group(vpc)
    [instance] = sdk.instances(vswitch, group)
    wide = {"IpProtocol": "TCP", "PortRange": "22/22", "SourceCidrIp": "0.0.0.0/0", "Priority": "1"}
    narrow = {**wide, "SourceCidrIp": "10.0.0.0/8", "Priority": "2"}
    sdk.call("AuthorizeSecurityGroup", SecurityGroupId=group, Permissions=[wide, narrow])
    return group, instance


def world_of(one, group):
    """What every command of the next test changes, as far as it decides anything."""
    told = [one.command(*words, "--output", "json") for words in (["bypass", "show"], ["platform", "show"])]
    parts = [json.loads(done.stdout) for done in told]
    parts[1].pop("revision")
    exported = one.command("group", "export", group, "--stdout")
    groups = one.command("diff", "--policies", group, group, "--output", "json")
    return parts, exported.stdout, groups.returncode


def test_every_command_that_changes_what_passes_can_be_rehearsed_and_be_on_trial(new_server, tmp_path):
    one = new_server().start()
    sdk = V2(one)
    vpc = sdk.vpc()
    group, instance = ecs_group(sdk, vpc)
    file = tmp_path / "rules.json"
    rule = {"Direction": "ingress", "IpProtocol": "TCP", "PortRange": "80/80", "Priority": 1}
    file.write_text(json.dumps([{**rule, "SourceCidrIp": "192.0.2.0/24", "Policy": "Accept"}]))
    before = world_of(one, group)
    shown = ["--dry-run"]
    for words, dry in [
        (["bypass", "set", "none"], shown),
        (["platform", "set", "mail", "on"], shown),
        (["health", group, "--fix", "--yes"], shown),
        (["comply", "fix", f"ecs-security-group-risky-ports-check-with-protocol/{group}", "--restrict-to", "192.0.2.0/24", "--yes"], None),
        (["group", "import", group, str(file)], shown),
        (["group", "preset", group, "mysql", "--from", "192.0.2.1"], shown),
        (["diagnose", instance, "--port", "81", "--source", "192.0.2.1", "--open"], shown),
    ]:
        if dry:
            done = one.command(*words, *dry)
            assert done.returncode in (0, 2) and world_of(one, group) == before, (words, done)
        done = one.command(*words, "--confirm-within", "2s")
        assert done.returncode == 0 and "unless it is confirmed before" in done.stdout, (words, done)
        assert world_of(one, group) != before, words
        until(f"the rollback of {words}", lambda: world_of(one, group) == before)
    # What is answered at once is what is there.
    made = json.loads(one.command("group", "clone", group, "--name", "copy", "--confirm-within", "60s", "--output", "json").stdout)
    assert one.command("group", "export", made["group"], "--stdout").returncode == 0
    assert one.command("rollback", made["trial"]["id"]).returncode == 0
    assert one.command("group", "export", made["group"], "--stdout").returncode == 1
    refused = one.command("health", group, "--confirm-within", "60s")
    assert refused.returncode == 64 and "without --fix or --merge" in refused.stderr, refused


def test_a_setting_on_trial_comes_back_though_everything_is_killed_meanwhile(new_server):
    one = new_server().start()
    sdk = V2(one)
    group, _ = ecs_group(sdk, sdk.vpc())
    before = world_of(one, group)
    assert one.command("bypass", "set", "none", "--confirm-within", "4s").returncode == 0
    one.kill()
    until("the end of every process", lambda: not list(one.traces.processes()))
    time.sleep(4)
    one.start()
    until("the rollback", lambda: world_of(one, group) == before)
    assert one.command("pending").stdout.strip() == "nothing waits to be confirmed"
    one.wait_applied()
    # One that is confirmed stays, whoever is killed afterwards.
    done = json.loads(one.command("platform", "set", "mail", "on", "--confirm-within", "3s", "--output", "json").stdout)
    assert one.command("confirm", done["trial"]["id"]).returncode == 0
    one.kill()
    until("the end of every process", lambda: not list(one.traces.processes()))
    one.start()
    time.sleep(4)
    assert world_of(one, group) != before


def test_a_treatment_is_rehearsed_with_the_live_flows_that_end_by_it(applying):
    server, ec2 = applying.server, applying.ec2
    made = ec2.authorize_security_group_ingress(
        GroupId=applying.group, IpPermissions=tcp(22, IpRanges=[{"CidrIp": f"{OFFICE_V4}/32"}])
    )
    rule = made["SecurityGroupRules"][0]["SecurityGroupRuleId"]
    server.wait_applied()
    with Listeners(applying.instance, "tcp/22"), Talk(f"{applying.vpc}.outside", applying.address, 22, OFFICE_V4) as ssh:
        assert ssh.is_alive()
        eni = applying.order("flows", "--live", "--instance", applying.instance)["flows"][0]["eni"]
        ec2.revoke_security_group_ingress(GroupId=applying.group, SecurityGroupRuleIds=[rule])
        server.wait_applied()
        assert ssh.is_alive(), "EC2 keeps it"
        told = applying.order("treatment", "set", eni, "reevaluate", "--dry-run")
        assert told["changes"] == [] and told["around"] == [
            f"live flows of {eni} that a change forbids: keep before, reevaluate after"
        ], told
        [ending] = told["live"]["ending"]
        assert ending["ending"] == "ends" and ending["eni"] == eni, ending
        applying.order("treatment", "set", eni, "reevaluate", "--confirm-within", "60s")
        server.wait_applied()
        assert not ssh.is_alive(), "it was not said in vain"
    [waiting] = applying.order("pending")["trials"]
    assert waiting["operations"] == ["SetTreatment"] and waiting["facts"] == [f"eni/{eni}"], waiting
    applying.order("rollback", waiting["id"])
    again = applying.order("treatment", "set", eni, "reevaluate", "--dry-run")
    assert again["around"] == told["around"], "it is what it was"


def applied(one, within, action, **parameters):
    request = urllib.parse.urlencode({"Action": action, "Version": "2016-11-15", **parameters})
    done = one.command("apply", "--confirm-within", within, "--request", request, "--output", "json")
    assert done.returncode == 0, done
    return json.loads(done.stdout)["trial"]


def test_networks_instances_and_peerings_on_trial_are_as_they_were_though_everything_is_killed(new_server):
    one = new_server().start()
    ec2 = client_of(one)
    here, _, client, _ = vpc_with_instance(ec2, "10.81", "here")
    there, group, service, address = vpc_with_instance(ec2, "10.82", "there")
    permissions = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "10.81.0.0/16"}]}]
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=permissions)
    peering = ec2.create_vpc_peering_connection(VpcId=here, PeerVpcId=there)["VpcPeeringConnection"]
    peering = peering["VpcPeeringConnectionId"]
    ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=peering)
    subnet = ec2.create_subnet(VpcId=here, CidrBlock="10.81.9.0/24")["Subnet"]["SubnetId"]
    one.wait_applied()

    def reaches():
        return passes(client, address, "tcp/80") == ["tcp/80"]

    def subnets():
        return {one["SubnetId"] for one in ec2.describe_subnets()["Subnets"]}

    def state(instance):
        [reservation] = ec2.describe_instances(InstanceIds=[instance])["Reservations"]
        return reservation["Instances"][0]["State"]["Name"]

    with Listeners(service, "tcp/80"):
        assert reaches()
        before = subnets()
        applied(one, "5s", "DeleteVpcPeeringConnection", VpcPeeringConnectionId=peering)
        applied(one, "5s", "DeleteSubnet", SubnetId=subnet)
        made = applied(
            one, "5s", "RunInstances", ImageId="ami-1", InstanceType="t3.micro", MinCount=1, MaxCount=1,
            SubnetId=next(iter(before - {subnet})),
        )  # fmt: skip
        [instance] = [fact.removeprefix("instance/") for fact in made["facts"] if fact.startswith("instance/")]
        one.wait_applied()
        assert not reaches() and subnet not in subnets()
        one.kill()
        until("the end of every process", lambda: not list(one.traces.processes()))
        time.sleep(5)
        one.start()
        ec2 = client_of(one)
        until("the rollbacks", lambda: json.loads(one.command("pending", "--output", "json").stdout)["trials"] == [])
        one.wait_applied()
        assert subnets() == before and state(instance) == "terminated"
        assert reaches(), "the link of the VPCs is there again"
    request = urllib.parse.urlencode({"Action": "TerminateInstances", "Version": "2016-11-15", "InstanceId.1": client})
    refused = one.command("apply", "--confirm-within", "60s", "--request", request)
    assert refused.returncode == 1 and "stop it on trial instead" in refused.stderr, refused
    shown = json.loads(one.command("apply", "--dry-run", "--request", request, "--output", "json").stdout)
    assert [gone["instance"] for gone in shown["gone"]] == [client], shown


def test_a_rollback_that_an_invariant_forbids_is_told_everywhere_and_can_be_decided(new_server):
    one = new_server().start()
    sdk = V2(one)
    group, _ = ecs_group(sdk, sdk.vpc())
    exported = one.command("group", "export", group, "--stdout").stdout
    rules = sdk.call("DescribeSecurityGroupAttribute", SecurityGroupId=group)["Permissions"]["Permission"]
    [rule] = [rule["SecurityGroupRuleId"] for rule in rules if rule["SourceCidrIp"] == "0.0.0.0/0"]

    def pending():
        return json.loads(one.command("pending", "--output", "json").stdout)["trials"]

    def closes(within):
        done = one.command("health", group, "--fix", "--rule", rule, "--yes", "--confirm-within", within)
        assert done.returncode == 0, done
        return pending()[0]["id"]

    trial = closes("3s")
    set_ = one.command("invariant", "add", "closed", f"internet must-not reach {group} tcp/22")
    assert set_.returncode == 0 and f"could not be rolled back: `{trial}`" in set_.stdout, set_
    until("it is due", lambda: pending()[0].get("stuck"))
    assert "`closed`" in pending()[0]["stuck"]
    assert "is due and cannot be rolled back" in one.command("pending").stdout
    other = one.command("platform", "set", "mail", "on")
    assert other.returncode == 0 and f"another change: `{trial}` is due" in other.stdout, other
    early = one.command("rollback", trial)
    assert early.returncode == 1 and "`closed`" in early.stderr, early
    headers = {"authorization": f"Bearer {one.credentials['SEKIMORI_TOKEN']}"}
    asked = urllib.request.Request(f"{one.credentials['SEKIMORI_ENDPOINT']}/metrics", headers=headers)  # noqa: S310
    with urllib.request.urlopen(asked, timeout=30) as scraped:  # noqa: S310
        assert 'sekimori_trials{state="stuck"} 1' in scraped.read().decode()
    one.kill()
    until("the end of every process", lambda: not list(one.traces.processes()))
    one.start()
    until("it is told again", lambda: pending()[0].get("stuck"))
    # Without the invariant it comes back by itself; with it, whoever decides may keep it though its time is up.
    assert one.command("invariant", "remove", "closed").returncode == 0
    until("the rollback", lambda: pending() == [])
    assert one.command("group", "export", group, "--stdout").stdout == exported
    trial = closes("2s")
    assert one.command("invariant", "add", "closed", f"internet must-not reach {group} tcp/22").returncode == 0
    until("it is due", lambda: pending()[0].get("stuck"))
    assert one.command("confirm", trial).returncode == 0
    assert pending() == [] and one.command("group", "export", group, "--stdout").stdout != exported
