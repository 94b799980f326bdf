"""`sekimori comply` on groups that are made as Terraform makes them: findings, exit codes, suppressions and reports, and a remedy after which
the packets are closed.
"""

import datetime
import json
import xml.etree.ElementTree as ElementTree

import pytest

from aws import CAFE_V4, OFFICE_V4, WORLD_V4, WORLD_V6, Site
from estate import rule
from probes import Listeners, passes

EVERYTHING = [
    {"IpProtocol": "-1", "FromPort": 0, "ToPort": 0, "IpRanges": [{"CidrIp": WORLD_V4}]},
    {"IpProtocol": "-1", "FromPort": 0, "ToPort": 0, "Ipv6Ranges": [{"CidrIpv6": WORLD_V6}]},
]


class Stack:
    """The groups of the guide: web servers that everyone reaches, and, by mistake, administers; applications behind them."""

    def __init__(self, server):
        self.server, self.site = server, Site(server, "10.61.0.0/16")
        self.web, self.app = self.terraform("dev-web-sg"), self.terraform("dev-app-sg")
        self.site.allow(self.web, ("tcp/443", WORLD_V4), ("tcp/80", WORLD_V4), ("tcp/22", WORLD_V4), ("tcp/22", WORLD_V6))
        self.site.allow(self.app, ("tcp/8080", self.web))
        subnet, _ = self.site.subnet()
        self.server_of_web = self.site.instance(subnet, self.web)
        self.site.instance(subnet, self.app)
        server.wait_applied()

    def terraform(self, name):
        """Terraform revokes the rule that a group is born with before it adds its own."""
        ec2 = self.site.ec2
        group = self.site.group(name)
        for permission in EVERYTHING:
            try:
                ec2.revoke_security_group_egress(GroupId=group, IpPermissions=[permission])
            except ec2.exceptions.ClientError as error:
                assert error.response["Error"]["Code"] == "InvalidPermission.NotFound", error
        ec2.authorize_security_group_egress(GroupId=group, IpPermissions=EVERYTHING)
        return group

    def comply(self, *words, code):
        done = self.server.command("comply", *words)
        assert done.returncode == code, done
        return done

    def report(self, *words, code):
        return json.loads(self.comply(*words, "--output", "json", code=code).stdout)


@pytest.fixture(scope="module")
def stack(server):
    stack = Stack(server)
    with stack.site:
        yield stack


def of_web(stack, *words):
    return "--rule", "EC2.18", "--resource", stack.web, *words


def test_findings_and_exit_codes(stack):
    report = stack.report(*of_web(stack), code=2)
    [finding] = report["findings"]
    assert finding["id"] == f"EC2.18/{stack.web}" and finding["severity"] == "high"
    assert {cause["opens"][0] for cause in finding["causes"]} == {
        "tcp 22 from every public IPv4 address",
        "tcp 22 from every public IPv6 address",
    }
    assert stack.report(*of_web(stack, "--mode", "literal"), code=2)["findings"]
    # With the port among the authorized ones nothing is left.
    stack.comply(*of_web(stack, "--parameters", "authorizedTcpPorts=22,80,443"), code=0)
    stack.comply("--rule", "EC2.18", "--resource", stack.app, code=0)
    # What cannot be asked is an error, not an answer.
    assert "is not a port" in stack.comply(*of_web(stack, "--parameters", "authorizedTcpPorts=ssh"), code=1).stderr
    assert "no control `EC2.1800`" in stack.comply("--rule", "EC2.1800", code=1).stderr
    stack.comply("--standard", "pci-dss", code=64)
    # A standard is all of its controls, over all groups.
    assert {one["id"] for one in stack.report("--standard", "cis-aws-5.0", code=2)["controls"]} == {
        "EC2.2",
        "EC2.6",
        "EC2.21",
        "EC2.53",
        "EC2.54",
    }
    # A control is told by its number in the edition that was asked about, without one by the newest.
    for asked, number in (("--standard cis-aws-1.2", "1.2 4.3"), ("--standard cis-aws-5.0", "5.0 5.5"), ("", "7.0 6.5")):
        table = stack.comply(*asked.split(), code=2).stdout
        [told] = [line for line in table.splitlines() if line.startswith("EC2.2: ")]
        assert told.endswith(f"; CIS AWS {number}"), told


def test_halves_of_the_world(stack):
    """What the cloud's own service does not see."""
    group = stack.site.group("halves")
    stack.site.allow(group, ("tcp/3389", "0.0.0.0/1"), ("tcp/3389", "128.0.0.0/1"))
    question = "--rule", "EC2.14", "--resource", group
    stack.comply(*question, "--mode", "literal", code=0)
    [finding] = stack.report(*question, code=2)["findings"]
    assert len(finding["causes"]) == 2


def test_suppressions(stack, tmp_path):
    today = datetime.datetime.now(datetime.UTC).date()
    file = tmp_path / "accepted.json"

    def accept(**fields):
        accepted = {"control": "EC2.18", "resource": stack.web, "reason": "a jump host", "expires": str(today)} | fields
        file.write_text(json.dumps([{name: text for name, text in accepted.items() if text is not None}]))
        return of_web(stack, "--suppressions", str(file))

    report = stack.report(*accept(), code=0)
    assert report["findings"][0]["suppression"]["reason"] == "a jump host"
    # The day after, the finding counts again, and that the suppression has expired is told.
    late = stack.comply(*accept(expires=str(today - datetime.timedelta(days=1))), code=2)
    assert "expired; it is not applied any more" in late.stdout
    assert "has no reason" in stack.comply(*accept(reason=None), code=1).stderr
    assert "has no expiry" in stack.comply(*accept(expires=None), code=1).stderr


def test_reports_for_other_programs(stack, tmp_path):
    log = json.loads(stack.comply(*of_web(stack), "--output", "sarif", code=2).stdout)
    [run] = log["runs"]
    assert log["version"] == "2.1.0" and run["tool"]["driver"]["rules"][0]["id"] == "EC2.18"
    [result] = run["results"]
    assert result["level"] == "error" and result["partialFingerprints"] == {"finding/v1": f"EC2.18/{stack.web}"}
    suites = ElementTree.fromstring(stack.comply("--output", "junit", code=2).stdout)
    assert suites.tag == "testsuites" and len(suites) == 20
    cases = suites.findall("./testsuite/testcase")
    assert int(suites.get("tests")) == len(cases)
    assert int(suites.get("failures")) == len(suites.findall("./testsuite/testcase/failure"))
    failed = {case.get("name") for case in cases if case.find("failure") is not None}
    assert f"EC2.18/{stack.web}" in failed
    # Other commands write neither.
    assert stack.server.command("status", "--output", "sarif").returncode == 64


def test_a_remedy_closes_the_port(stack):
    machine, outside = stack.server_of_web, stack.site.outside
    with Listeners(machine.id, "tcp/22", "tcp/443"):
        for source in (CAFE_V4, OFFICE_V4):
            assert passes(outside, machine.v4, "tcp/22", "tcp/443", source=source) == ["tcp/22", "tcp/443"]
        fix = "fix", f"EC2.18/{stack.web}", "--restrict-to", f"{OFFICE_V4}/32"
        shown = stack.comply(*fix, "--dry-run", code=0).stdout
        assert "lost: tcp 22 from 0.0.0.0-" in shown and "lost: tcp 22 from ::-ffff:" in shown
        assert "aws ec2 authorize-security-group-ingress" in shown and "aws ec2 revoke-security-group-ingress" in shown
        # Nobody can be asked here, so that nothing is done without --yes.
        stack.comply(*fix, code=64)
        revision = stack.server.revision()
        stack.comply(*fix, "--yes", code=0)
        assert len(stack.server.made_since(revision)) == 1, "all of it is one commit"
        stack.server.wait_applied()
        assert passes(outside, machine.v4, "tcp/22", "tcp/443", source=OFFICE_V4) == ["tcp/22", "tcp/443"]
        assert passes(outside, machine.v4, "tcp/22", "tcp/443", source=CAFE_V4) == ["tcp/443"]
        assert passes(outside, machine.v6, "tcp/22") == []
    assert stack.report(*of_web(stack), code=0)["findings"] == []
    [again] = [stack.comply(*fix, "--yes", code=1).stderr]
    assert "complies, so there is nothing to fix" in again


def test_the_words_of_the_clouds_own_command_do_the_same(stack):
    """The permissions of the command that is shown are taken by the API."""
    group = stack.site.group("words")
    stack.site.allow(group, ("tcp/3306", WORLD_V4))
    peer = stack.app
    answer = stack.report("fix", f"EC2.19/{group}", "--restrict-to", peer, "--dry-run", code=0)
    authorize, revoke = answer["plan"]["words"]
    permissions = json.loads(authorize.split("--ip-permissions ")[1].strip("'"))
    ids = revoke.split("--security-group-rule-ids ")[1].split()
    stack.site.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=permissions)
    stack.site.ec2.revoke_security_group_ingress(GroupId=group, SecurityGroupRuleIds=ids)
    stack.comply("--rule", "EC2.19", "--resource", group, code=0)


def test_what_opens_something_or_is_late_is_not_done(stack):
    group = stack.site.group("gain")
    stack.site.allow(group, ("tcp/3306", WORLD_V4))
    # The members of the other group have IPv6 addresses as well, which the rule did not name.
    fix = "fix", f"EC2.19/{group}", "--restrict-to", stack.app
    shown = stack.report(*fix, "--dry-run", code=0)
    assert any(change["gained"] for change in shown["plan"]["changes"])
    assert "--accept-gain" in stack.comply(*fix, "--yes", code=1).stderr
    request = {"finding": f"EC2.19/{group}", "delete": True}
    late = stack.server.native("POST", "/v1/comply/fix", request | {"at": shown["revision"] - 1})
    assert late[0] == 409 and "has changed since" in late[1]["error"]["message"], late
    two = stack.server.native("POST", "/v1/comply/fix", request | {"to_caller": True})
    assert two[0] == 400 and "say one of" in two[1]["error"]["message"], two
    assert stack.server.made_since(shown["revision"]) == [], "a refused remedy changed something"
    assert stack.report(*fix, "--accept-gain", "--yes", code=0)["applied"]
    stack.comply("--rule", "EC2.19", "--resource", group, code=0)


def test_a_network_acl_is_restricted(stack):
    [acl] = stack.site.ec2.describe_network_acls(Filters=[{"Name": "vpc-id", "Values": [stack.site.vpc]}])["NetworkAcls"]
    name = acl["NetworkAclId"]
    machine, outside = stack.server_of_web, stack.site.outside
    stack.site.allow(stack.web, ("tcp/3389", WORLD_V4))
    with Listeners(machine.id, "tcp/3389"):
        assert passes(outside, machine.v4, "tcp/3389", source=CAFE_V4) == ["tcp/3389"]
        stack.comply("fix", f"EC2.21/{name}", "--restrict-to", f"{OFFICE_V4}/32", "--yes", code=0)
        stack.server.wait_applied()
        assert passes(outside, machine.v4, "tcp/3389", source=CAFE_V4) == []
        assert passes(outside, machine.v4, "tcp/3389", source=OFFICE_V4) == ["tcp/3389"]
    stack.comply("--rule", "EC2.21", "--resource", name, code=0)


def test_groups_of_the_other_cloud(stack, v2):
    vpc = v2.vpc()
    group = v2.group(vpc)
    v2.call("AuthorizeSecurityGroup", SecurityGroupId=group, Permissions=[rule(22, SourceCidrIp="0.0.0.0/0")])
    control = "sg-risky-ports-check"
    [finding] = stack.report("--rule", control, "--resource", group, code=2)["findings"]
    answer = stack.report("fix", finding["id"], "--restrict-to", "192.0.2.0/24", "--yes", code=0)
    assert answer["applied"] and "aliyun ecs AuthorizeSecurityGroup" in answer["plan"]["words"][0]
    assert [one["SourceCidrIp"] for one in v2.rules(group)] == ["192.0.2.0/24"]
    stack.comply("--rule", control, "--resource", group, code=0)
