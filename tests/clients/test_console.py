"""What the cloud's console does with groups, as commands of the running server: seen by an SDK, and by packets."""

import json

import pytest

from estate import rule
from probes import Listeners, reaches
from server import REGION

PORTS = (80, 8080, 9090)
FIELDS = (
    "Direction", "Policy", "Priority", "IpProtocol", "PortRange", "SourceCidrIp", "Ipv6SourceCidrIp", "SourceGroupId",
    "DestCidrIp", "Description",
)


class Shop:
    """A client, and a service that answers on `PORTS`; what the service's groups let in is each test's."""

    def __init__(self, sdk, server):
        self.sdk, self.server, self.vpc = sdk, server, sdk.vpc()
        vswitch, self.clients = sdk.vswitch(self.vpc, "10.1.0.0/24"), sdk.group(self.vpc)
        [self.client] = sdk.instances(vswitch, self.clients)
        [self.service] = sdk.instances(vswitch, sdk.group(self.vpc))
        self.address = sdk.instance(self.service)["VpcAttributes"]["PrivateIpAddress"]["IpAddress"][0]

    def group(self, *rules, **more):
        """A group with these rules."""
        group = self.sdk.group(self.vpc, **more)
        if rules:
            self.sdk.call("AuthorizeSecurityGroup", SecurityGroupId=group, Permissions=list(rules))
        return group

    def wear(self, group):
        """The service carries this group and no other."""
        self.sdk.call(
            "ModifyInstanceAttribute", RegionId=None, InstanceId=self.service, SecurityGroupIds=[group]
        )

    def order(self, *words, code=0):
        """What a command of `sekimori` answers, as JSON."""
        done = self.server.command(*words, "--output", "json")
        assert done.returncode == code, done
        return json.loads(done.stdout)

    def said(self, group):
        """The rules of a group as the SDK sees them, without their names."""
        return sorted(tuple(one[field] for field in FIELDS) for one in self.sdk.rules(group))

    def open(self):
        """The ports that a client reaches."""
        self.server.wait_applied()
        return [port for port in PORTS if reaches(self.client, self.address, port)]


@pytest.fixture(scope="module")
def shop(v2, server):
    shop = Shop(v2, server)
    server.wait_applied()
    with Listeners(shop.service, *PORTS):
        yield shop
    v2.call("DeleteInstances", InstanceId=[shop.client, shop.service], Force=True)


def test_a_clone_is_a_group_like_the_other(shop):
    first = shop.group(rule(8080, Description="the shop"), rule(9090, Policy="drop", Priority="7"),
                       Tag=[{"Key": "app", "Value": "shop"}], Description="what customers see")
    made = shop.order("group", "clone", first, "--name", "copy", "--keep-rules", "--copy-tags")["group"]
    assert made != first and shop.said(made) == shop.said(first) and len(shop.said(made)) == 2
    [shown] = shop.sdk.groups(SecurityGroupId=made)
    assert (shown["SecurityGroupName"], shown["Description"]) == ("copy", "what customers see")
    assert shown["Tags"]["Tag"] == [{"TagKey": "app", "TagValue": "shop"}]
    shop.wear(made)
    assert shop.open() == [8080]
    # Without being asked, neither rules nor tags come along.
    bare = shop.order("group", "clone", first, "--name", "bare")["group"]
    assert shop.said(bare) == [] and shop.sdk.groups(SecurityGroupId=bare)[0]["Tags"]["Tag"] == []


def test_a_clone_in_another_vpc_leaves_what_belongs_to_the_first(shop):
    first = shop.group(rule(8080), rule(9090, SourceCidrIp=None, SourceGroupId=shop.clients))
    other = shop.sdk.vpc("192.168.0.0/16")
    answer = shop.order("group", "clone", first, "--name", "far", "--vpc", other, "--keep-rules", code=2)
    assert [left["reason"] for left in answer["plan"]["left"]] == [
        "it names a security group, which does not carry over to another VPC"
    ]
    assert [one[4] for one in shop.said(answer["group"])] == ["8080/8080"]


@pytest.mark.parametrize("form", ["json", "csv"])
def test_rules_go_out_as_a_file_and_come_in_elsewhere(shop, scratch, form):
    folder = scratch / form
    folder.mkdir()
    source = shop.group(
        rule(8080, Description="a \"quoted\", text"), rule(9090, SourceCidrIp=None, SourceGroupId=shop.clients),
        rule(80, Policy="drop", Priority="100"),
    )
    done = shop.server.command("group", "export", source, "--format", form, "--dir", folder)
    assert done.returncode == 0, done
    [file] = folder.iterdir()
    prefix, suffix = (f"ecs_{REGION}_{source}", "") if form == "json" else (f"ecs_sgRule_{source}_{REGION}_", "20")
    assert file.name.startswith(prefix + suffix) and file.name.endswith(f".{form}"), file.name
    target = shop.group()
    shop.wear(target)
    preview = shop.order("group", "import", target, file, "--dry-run")
    assert [row["verdict"] for row in preview["preview"]["rows"]] == ["add"] * 3
    assert shop.said(target) == [] and shop.open() == []
    assert len(shop.order("group", "import", target, file)["added"]) == 3
    assert shop.said(target) == shop.said(source)
    assert shop.open() == [8080, 9090]
    again = shop.order("group", "import", target, file)
    assert [row["verdict"] for row in again["preview"]["rows"]] == ["exists"] * 3 and again["added"] == []


def test_an_import_is_whole_when_that_is_asked_for(shop, scratch):
    file = scratch / "rules.csv"
    rows = ["in,tcp,8080,10.0.0.0/8,1", "in,tcp,80,sg-0,1", "in,tcp,81,10.0.0.0/8,110", "in,tcp,x,10.0.0.0/8,1"]
    file.write_text("\n".join(["Direction,Protocol,Port,Peer,Priority", *rows]) + "\n")
    target = shop.group()
    whole = shop.order("group", "import", target, file, "--all-or-nothing", code=2)
    assert [row["verdict"] for row in whole["preview"]["rows"]] == ["add", "refuse", "skip", "refuse"]
    assert all(row["reason"] for row in whole["preview"]["rows"][1:]) and shop.said(target) == []
    shop.order("group", "import", target, file, code=2)
    assert [one[4] for one in shop.said(target)] == ["8080/8080"]
    # What names things of a region stays in it.
    foreign = shop.order("group", "import", target, file, "--from-region", "cn-beijing", "--dry-run", code=2)
    assert "of another region" in foreign["preview"]["rows"][1]["reason"]


def test_instances_join_the_group_with_their_tag(shop):
    tag = [{"Key": "console-test", "Value": "shop"}]
    tagged = shop.group(rule(9090), Tag=tag)
    shop.wear(shop.group(rule(8080)))
    assert shop.open() == [8080]
    shop.sdk.call("TagResources", ResourceType="instance", ResourceId=[shop.service], Tag=tag)
    words = ("group", "attach-by-tag", "--tag", "console-test=shop")
    shown = shop.order(*words)
    assert [(pair["instance"], pair["verdict"]) for pair in shown["plan"]["pairs"]] == [(shop.service, "join")]
    groups = lambda: shop.sdk.instance(shop.service)["SecurityGroupIds"]["SecurityGroupId"]
    assert shown["attached"] == 0 and tagged not in groups()
    assert shop.order(*words, "--apply")["attached"] == 1
    assert tagged in groups() and len(groups()) == 2
    assert shop.open() == [8080, 9090]
    assert [pair["verdict"] for pair in shop.order(*words, "--apply")["plan"]["pairs"]] == ["member"]
    # A group of another VPC with the tag is no place for the instance, and says so.
    other = shop.sdk.vpc("192.168.0.0/16")
    far = shop.sdk.group(other, Tag=tag)
    pairs = shop.order(*words, "--apply", code=2)["plan"]["pairs"]
    assert [(pair["verdict"], "same VPC" in pair["reason"]) for pair in pairs if pair["group"]["id"] == far] == [
        ("refuse", True)
    ]
    shop.sdk.call("UntagResources", ResourceType="instance", ResourceId=[shop.service], All=True)


def test_presets_open_what_they_are_for(shop):
    group = shop.group()
    shop.wear(group)
    proposed = shop.order("group", "preset", group, "web", "--dry-run")
    assert len(proposed["plan"]["rules"]) == 2 and shop.said(group) == []
    assert shop.open() == []
    shop.order("group", "preset", group, "web")
    ports = lambda: sorted((one[4], one[5]) for one in shop.said(group))
    assert ports() == [("443/443", "0.0.0.0/0"), ("80/80", "0.0.0.0/0")]
    assert shop.open() == [80]
    # What is not for everyone needs to be told for whom.
    done = shop.server.command("group", "preset", group, "ssh")
    assert done.returncode == 1 and "--from" in done.stderr, done
    shop.order("group", "preset", group, "mysql", "--from", shop.clients)
    assert [one for one in shop.said(group) if one[4] == "3306/3306"][0][7] == shop.clients
    assert len(shop.order("group", "preset", group, "web")["added"]) == 2 and len(shop.said(group)) == 3


def test_rules_go_back_to_a_snapshot(shop):
    group = shop.group(rule(8080))
    shop.wear(group)
    [policy] = shop.order("group", "snapshot", "policy", "create", "console", "--retention-days", "2",
                          "--account", shop.sdk.account)
    assert policy["id"].startswith("sgsp-") and policy["retention_days"] == 2
    shop.order("group", "snapshot", "policy", "attach", policy["id"], group)
    described = shop.sdk.call("DescribeSecurityGroupAttribute", SecurityGroupId=group, Attribute="snapshotPolicyIds")
    assert described["SnapshotPolicyIds"]["SnapshotPolicyId"] == [policy["id"]]
    before = shop.sdk.rules(group)
    shop.sdk.call("RevokeSecurityGroup", SecurityGroupId=group, Permissions=[rule(8080)])
    shop.sdk.call("AuthorizeSecurityGroup", SecurityGroupId=group, Permissions=[rule(9090)])
    assert shop.open() == [9090]
    begun, taken = shop.order("group", "snapshot", "list", group)
    assert begun["taken_at"] is None and begun["due_at"] - begun["of"] == 300
    assert taken["due_at"] - taken["taken_at"] == 2 * 86_400
    held = shop.order("group", "snapshot", "show", taken["id"])
    assert [one["rule"] for one in held["rules"]] == [one["SecurityGroupRuleId"] for one in before]
    effects = [line["effect"] for line in shop.order("group", "snapshot", "diff", taken["id"], code=2)["lines"]]
    assert sorted(effects) == ["add", "remove"]
    assert not shop.order("group", "snapshot", "restore", taken["id"])["restored"]
    assert shop.open() == [9090]
    assert shop.order("group", "snapshot", "restore", taken["id"], "--apply")["restored"]
    assert shop.sdk.rules(group) == before
    assert shop.open() == [8080]
    shop.order("group", "snapshot", "diff", taken["id"])
    shop.order("group", "snapshot", "policy", "detach", policy["id"], group)
    shop.order("group", "snapshot", "policy", "delete", policy["id"])
    described = shop.sdk.call("DescribeSecurityGroupAttribute", SecurityGroupId=group)
    assert described["SnapshotPolicyIds"]["SnapshotPolicyId"] == []
