"""Tools that keep groups or judge them, unmodified: Terraform, Ansible, Cloud Custodian and Prowler.

Each lives in an environment of its own below `target/clients-tools`, made by `run.sh`.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from aws import ANYWHERE, EVERYTHING_V4, client_of, tcp

HERE = Path(__file__).parent
TOOLS = HERE.parents[1] / "target/clients-tools"
PROVIDER = "terraform-provider-aws_3.39.0_linux_amd64.zip"
# Terraform tries a failed call 25 times: what is wrong here would look like a hang.
PATIENCE_S = 120


def tool(server, name, program, *words, cwd=None, codes=(0,), **variables):
    """Runs a program of an environment, with a key of the server; what it wrote."""
    own = {key: value for key, value in server.credentials.items() if key.startswith("AWS_")}
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "SEKIMORI_", "TF_"))}
    command = [str(TOOLS / name / "bin" / program), *map(str, words)]
    done = subprocess.run(
        command, cwd=cwd, env={**clean, **own, "CHECKPOINT_DISABLE": "1", **variables},
        capture_output=True, text=True, timeout=PATIENCE_S,
    )
    assert done.returncode in codes, f"{done.args} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def ec2(server):
    return client_of(server)


@pytest.fixture
def own_vpc(ec2):
    return ec2.create_vpc(CidrBlock="10.50.0.0/16")["Vpc"]["VpcId"]


# -- Terraform


class Terraform:
    """A configuration in a folder of its own, with the provider that `run.sh` has installed."""

    def __init__(self, server, name, scratch):
        self.server, self.folder = server, scratch / f"terraform-{name}"
        shutil.copytree(HERE / "terraform" / name, self.folder)
        mirror = scratch / "terraform-mirror"
        packed = mirror / "registry.terraform.io/hashicorp/aws" / PROVIDER
        if not packed.exists():
            packed.parent.mkdir(parents=True)
            [found] = TOOLS.glob(f"terraform/lib/*/site-packages/cloudrail/terraform_plugins/{PROVIDER}")
            packed.symlink_to(found)
        self.run("init", f"-plugin-dir={mirror}")

    def run(self, *words, codes=(0,)):
        endpoint = self.server.credentials["AWS_ENDPOINT_URL"]
        options = ["-no-color"] if words[0] == "output" else ["-no-color", "-input=false"]
        return tool(
            self.server, "terraform", "python", HERE / "tools/terraform.py", *words, *options,
            cwd=self.folder, codes=codes, TF_VAR_endpoint=endpoint,
        )

    def set(self, **variables):
        """`terraform.tfvars`."""
        lines = [f"{name} = {json.dumps(value)}\n" for name, value in variables.items()]
        (self.folder / "terraform.tfvars").write_text("".join(lines))

    def apply(self):
        self.run("apply", "-auto-approve")

    def outputs(self):
        return {name: one["value"] for name, one in json.loads(self.run("output", "-json").stdout).items()}

    def has_no_difference(self):
        return self.run("plan", "-detailed-exitcode", codes=(0, 2)).returncode == 0


def said(ec2, group):
    """What a group lets in: ports with blocks or groups."""
    [shown] = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    return {
        (one.get("FromPort"), *sorted(block["CidrIp"] for block in one["IpRanges"]), *(pair["GroupId"] for pair in one["UserIdGroupPairs"]))
        for one in shown["IpPermissions"]
    }


def test_terraform_applies_changes_plans_and_destroys(server, ec2, scratch):
    network = Terraform(server, "network", scratch)
    network.set(cidr="10.70.0.0/16")
    network.apply()
    vpc = network.outputs()["vpc_id"]
    assert network.has_no_difference()
    groups = Terraform(server, "groups", scratch)
    variables = {
        "environment": "production", "vpc_id": vpc, "allowed_http_cidrs": ["0.0.0.0/0"],
        "allowed_https_cidrs": ["0.0.0.0/0"], "allowed_management_cidrs": ["203.0.113.0/24"],
        "app_port": 8080, "db_port": 3306,
    }
    groups.set(**variables)
    groups.apply()
    web, app, db, management = (groups.outputs()[f"{name}_security_group_id"] for name in ("web", "app", "db", "management"))
    assert said(ec2, web) == {(443, "0.0.0.0/0"), (80, "0.0.0.0/0")}
    assert said(ec2, app) == {(8080, web)} and said(ec2, db) == {(3306, app)}
    assert said(ec2, management) == {(22, "203.0.113.0/24")}
    assert groups.has_no_difference()
    changed = {"allowed_https_cidrs": ["198.51.100.0/24"], "app_port": 9090, "additional_tags": {"Owner": "team-a"}}
    groups.set(**{**variables, **changed})
    assert not groups.has_no_difference()
    groups.apply()
    assert said(ec2, web) == {(443, "198.51.100.0/24"), (80, "0.0.0.0/0")} and said(ec2, app) == {(9090, web)}
    [shown] = ec2.describe_security_groups(GroupIds=[db])["SecurityGroups"]
    assert {tag["Key"]: tag["Value"] for tag in shown["Tags"]} == {
        "Name": "production-db-sg", "Environment": "production", "Owner": "team-a",
    }
    assert groups.has_no_difference()
    groups.run("destroy", "-auto-approve")
    network.run("destroy", "-auto-approve")
    assert ec2.describe_vpcs(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Vpcs"] == []


# -- Ansible


def test_ansible_keeps_a_group(server, ec2, own_vpc, scratch):
    def play(**wanted):
        """The module's result, run once."""
        wanted = {"name": "ansible", "vpc_id": own_vpc, "description": "kept by ansible", **wanted}
        python = TOOLS / "ansible/bin/python"
        words = ["localhost", "-c", "local", "-e", f"ansible_python_interpreter={python}"]
        words += ["-m", "amazon.aws.ec2_security_group", "-a", json.dumps(wanted)]
        done = tool(server, "ansible", "ansible", *words, HOME=str(scratch), ANSIBLE_NOCOLOR="1")
        return json.loads(done.stdout.split("=>", 1)[1])

    web = {"proto": "tcp", "ports": [80, 443], "cidr_ip": ["0.0.0.0/0", "10.0.0.0/8"], "rule_desc": "the web"}
    own = {"proto": "all", "group_name": "ansible"}
    made = play(rules=[web, own], tags={"app": "shop"})
    group = made["group_id"]
    assert made["changed"] and said(ec2, group) >= {(80, "0.0.0.0/0", "10.0.0.0/8"), (443, "0.0.0.0/0", "10.0.0.0/8")}
    assert not play(rules=[web, own], tags={"app": "shop"})["changed"], "a second run changes nothing"
    # Other words about a rule, one rule less, and a rule outwards.
    out = {"proto": "tcp", "ports": [443], "cidr_ip": "0.0.0.0/0"}
    narrow = {**web, "ports": [443], "rule_desc": "encrypted only"}
    assert play(rules=[narrow], rules_egress=[out], tags={"app": "shop"})["changed"]
    [shown] = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    [kept] = shown["IpPermissions"]
    assert kept["FromPort"] == 443 and {one["Description"] for one in kept["IpRanges"]} == {"encrypted only"}
    assert [one["FromPort"] for one in shown["IpPermissionsEgress"]] == [443]
    assert not play(rules=[narrow], rules_egress=[out], tags={"app": "shop"})["changed"]
    assert play(state="absent")["changed"] and not play(state="absent")["changed"]


# -- Cloud Custodian

POLICY = {
    "policies": [{
        "name": "no-ssh-from-anywhere",
        "resource": "aws.security-group",
        "filters": [
            {"VpcId": "$vpc"},
            {"type": "ingress", "IpProtocol": "tcp", "Ports": [22], "Cidr": {"value": "0.0.0.0/0"}},
        ],
        "actions": [{"type": "remove-permissions", "ingress": "matched"}],
    }]
}


def test_cloud_custodian_removes_what_its_policy_matches(server, ec2, own_vpc, scratch):
    groups = {}
    for name, permissions in (("open", tcp(22) + tcp(443)), ("closed", tcp(22, IpRanges=[{"CidrIp": "10.0.0.0/8"}]))):
        made = ec2.create_security_group(GroupName=name, Description="judged", VpcId=own_vpc)
        groups[name] = made["GroupId"]
        ec2.authorize_security_group_ingress(GroupId=groups[name], IpPermissions=permissions)
    policy = scratch / "policy.json"
    policy.write_text(json.dumps(POLICY).replace("$vpc", own_vpc))
    words = ["run", "--region", "us-east-1", "--cache", "memory", "-s", scratch / "custodian", policy]
    tool(server, "custodian", "custodian", *words, HOME=str(scratch))
    found = json.loads((scratch / "custodian/no-ssh-from-anywhere/resources.json").read_text())
    assert [one["GroupId"] for one in found] == [groups["open"]]
    assert said(ec2, groups["open"]) == {(443, "0.0.0.0/0")} and said(ec2, groups["closed"]) == {(22, "10.0.0.0/8")}


# -- Prowler


def checks_of_prowler():
    """Every check that it has of groups and network ACLs."""
    [services] = TOOLS.glob("prowler/lib/*/site-packages/prowler/providers/aws/services/ec2")
    return {kind: {one.name for one in services.glob(f"ec2_{kind}_*")} for kind in ("securitygroup", "networkacl")}


@pytest.fixture
def audited(server):
    """A client of an account that has nothing but what the test makes, and its key for the environment."""
    made = json.loads(server.command("account", "create", "--dialect", "ec2", "--format", "json").stdout)
    key = {"AWS_ACCESS_KEY_ID": made["access_key_id"], "AWS_SECRET_ACCESS_KEY": made["access_key_secret"]}
    client = client_of(server, **{name.lower(): value for name, value in key.items()})
    yield client, key
    started = [one["InstanceId"] for some in client.describe_instances()["Reservations"] for one in some["Instances"]]
    client.terminate_instances(InstanceIds=started)


# What Prowler holds against each group. It says MANUAL of a group that nobody carries: whether AWS Batch has it cannot be asked here.
WORST = "ec2_securitygroup_allow_ingress_from_internet_to_all_ports"
ANY_PORT = "ec2_securitygroup_allow_ingress_from_internet_to_any_port"
HELD_AGAINST = {
    "default": {"ec2_securitygroup_default_restrict_traffic": "FAIL"},
    "clean": {},
    "ssh": {ANY_PORT: "FAIL", "ec2_securitygroup_allow_ingress_from_internet_to_tcp_port_22": "FAIL"},
    "port": {ANY_PORT: "FAIL"},
    "open": {WORST: "FAIL"},
    "unused": {"ec2_securitygroup_not_used": "MANUAL"},
}


def verdicts(checks, name):
    """Of every check that looks at a group, what it says."""
    other = {"ec2_securitygroup_not_used" if name == "default" else "ec2_securitygroup_default_restrict_traffic"}
    # Of a group that is open on all ports it does not say that one is open.
    looked = checks - other - ({ANY_PORT} if WORST in HELD_AGAINST[name] else set())
    return {**dict.fromkeys(looked, "PASS"), **HELD_AGAINST[name]}


def furnished(ec2):
    """A VPC with a group of each name: an instance carries all but the default one and the unused one."""
    vpc = ec2.create_vpc(CidrBlock="10.51.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.51.1.0/24")["Subnet"]["SubnetId"]
    of_vpc = [{"Name": "vpc-id", "Values": [vpc]}]
    [default] = ec2.describe_security_groups(Filters=of_vpc)["SecurityGroups"]
    [acl] = ec2.describe_network_acls(Filters=of_vpc)["NetworkAcls"]
    groups, inside = {}, tcp(443, IpRanges=[{"CidrIp": "10.0.0.0/8"}])
    for name, permissions in {
        "clean": inside, "ssh": tcp(22), "port": tcp(9443), "open": EVERYTHING_V4, "unused": inside,
    }.items():
        groups[name] = ec2.create_security_group(GroupName=name, Description="judged", VpcId=vpc)["GroupId"]
        ec2.authorize_security_group_ingress(GroupId=groups[name], IpPermissions=permissions)
    used = [groups[name] for name in ("clean", "ssh", "port", "open")]
    ec2.run_instances(
        ImageId="ami-1", InstanceType="t3.micro", MinCount=1, MaxCount=1, SubnetId=subnet, SecurityGroupIds=used,
    )
    return {**groups, "default": default["GroupId"]}, acl["NetworkAclId"]


def test_prowler_finds_what_is_open_and_nothing_else(server, audited, scratch):
    ec2, key = audited
    groups, acl = furnished(ec2)
    checks, folder = checks_of_prowler(), scratch / "prowler"
    words = ["aws", "--scan-unused-services", "--region", "us-east-1", "--no-banner", "--ignore-exit-code-3"]
    words += ["--output-formats", "json-ocsf", "--output-directory", folder, "--output-filename", "findings"]
    words += ["--log-level", "ERROR", "--log-file", folder / "log", "--checks", *checks["securitygroup"], *checks["networkacl"]]
    folder.mkdir()
    tool(server, "prowler", "python", HERE / "tools/prowler_aws.py", *words, HOME=str(scratch), **key)
    found = {}
    for one in json.loads((folder / "findings.ocsf.json").read_text()):
        [resource] = one["resources"]
        of_resource = found.setdefault(resource["uid"].rpartition("/")[2], {})
        assert of_resource.setdefault(one["metadata"]["event_code"], one["status_code"]) == one["status_code"]
    # The default network ACL lets everything in, and nobody minds that no subnet names it.
    wide = dict.fromkeys(checks["networkacl"] - {"ec2_networkacl_unused"}, "FAIL")
    assert found == {acl: wide, **{groups[name]: verdicts(checks["securitygroup"], name) for name in HELD_AGAINST}}
    # What it asks beyond groups and networks is refused in order: no other trouble, no answer it cannot read.
    troubles = [json.loads(line)["message"] for line in (folder / "log").read_text().splitlines()]
    assert [one for one in troubles if "ClientError" not in one] == []
