"""`sekimori shadow`: other rules are compared with those of a group on real flows, and become its rules when they are right."""

import json

import pytest

from estate import rule
from probes import Listeners, reaches
from server import until

PORTS = (80, 8080)


class Shop:
    """A client, and a service that answers on `PORTS` and lets port 80 in."""

    def __init__(self, sdk, server):
        self.sdk, self.server, self.vpc = sdk, server, sdk.vpc()
        vswitch = sdk.vswitch(self.vpc, "10.1.0.0/24")
        self.group = sdk.group(self.vpc)
        sdk.call("AuthorizeSecurityGroup", SecurityGroupId=self.group, Permissions=[rule(80)])
        [self.client], [self.service] = sdk.instances(vswitch, sdk.group(self.vpc)), sdk.instances(vswitch, self.group)
        self.address = sdk.instance(self.service)["VpcAttributes"]["PrivateIpAddress"]["IpAddress"][0]

    def order(self, *words, code=0):
        """What a command of `sekimori shadow` answers, as JSON."""
        done = self.server.command("shadow", *words, "--output", "json")
        assert done.returncode == code, done
        return json.loads(done.stdout)

    def open(self):
        """The ports that the client reaches."""
        self.server.wait_applied()
        return [port for port in PORTS if reaches(self.client, self.address, port)]

    def counted(self):
        """The new flows, as far as the host has told of them."""
        return json.loads(self.server.command("shadow", "show", self.group, "--output", "json").stdout)["flows"]

    def rules(self):
        return sorted(one["PortRange"] for one in self.sdk.rules(self.group))


@pytest.fixture(scope="module")
def shop(v2, server):
    shop = Shop(v2, server)
    server.wait_applied()
    with Listeners(shop.service, *PORTS):
        yield shop
    v2.call("DeleteInstances", InstanceId=[shop.client, shop.service], Force=True)


def refused(shop, *words, said):
    done = shop.server.command("shadow", *words)
    assert done.returncode == 1 and said in done.stderr, done


def test_other_rules_are_compared_and_promoted(shop):
    assert shop.open() == [80]
    [known] = shop.sdk.rules(shop.group)
    words = ["set", shop.group, "--remove", known["SecurityGroupRuleId"], "--add", "ingress allow tcp/8080 from 10.0.0.0/8"]
    preview = shop.order(*words, "--dry-run")
    assert not preview["set"] and (len(preview["plan"]["added"]), len(preview["plan"]["removed"])) == (1, 1)
    refused(shop, "show", shop.group, said="has no shadow")
    assert shop.order(*words)["set"]
    shop.server.wait_applied()
    assert shop.order("show", shop.group)["flows"] == {"allowed": 0, "denied": 0, "opened": 0, "closed": 0, "skipped": 0}
    # Decided as before, and counted as it would be.
    assert shop.open() == [80] and shop.rules() == ["80/80"]
    until("the flows are told", lambda: shop.counted()["opened"] > 0 and shop.counted()["closed"] > 0)
    report = shop.order("show", shop.group, code=2)
    assert report["flows"]["closed"] == 1 and report["flows"]["allowed"] == 0 and not report["is_outdated"]
    assert {(one["service"], one["live"]["passes"]) for one in report["witnesses"]} == {("tcp/80", True), ("tcp/8080", False)}
    shown = shop.server.command("shadow", "show", shop.group)
    assert shown.returncode == 2 and "would be opened, 1 would be closed" in shown.stdout, shown

    # The group changes meanwhile: what is promoted is what was looked at, or nothing.
    shop.sdk.call("AuthorizeSecurityGroup", SecurityGroupId=shop.group, Permissions=[rule(9090)])
    refused(shop, "promote", shop.group, said="have changed since its shadow was set")
    shop.order("promote", shop.group, "--force")
    assert shop.open() == [8080] and shop.rules() == ["8080/8080"]
    refused(shop, "show", shop.group, said="has no shadow")


def test_a_clone_or_a_file_is_the_candidate(shop, tmp_path):
    clone = shop.sdk.group(shop.vpc)
    shop.sdk.call("AuthorizeSecurityGroup", SecurityGroupId=clone, Permissions=[rule(80), rule(8080)])
    before = shop.rules()
    done = shop.order("set", shop.group, "--from-group", clone)
    assert done["set"] and len(done["plan"]["rules"]) == 2
    exported = shop.server.command("group", "export", clone, "--stdout")
    (tmp_path / "rules.json").write_text(exported.stdout)
    done = shop.order("set", shop.group, "--file", str(tmp_path / "rules.json"))
    assert len(done["plan"]["rules"]) == 2
    assert shop.rules() == before
    shop.order("clear", shop.group)
    refused(shop, "clear", shop.group, said="has no shadow")
    for words, said in [
        (["set", "sg-none"], "no security group"),
        (["set", shop.group, "--add", "ingress allow tcp/443"], "is not a rule"),
        (["set", shop.group, "--remove", "sgr-none"], "has no rule `sgr-none`"),
        (["promote", shop.group], "has no shadow"),
    ]:
        refused(shop, *words, said=said)
