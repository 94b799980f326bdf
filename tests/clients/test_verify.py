"""What somebody else does to a running host is put back and told, its policy can be taken elsewhere, and it is measured."""

import json
import subprocess
from pathlib import Path

import pytest

from estate import rule
from sdk import V2
from server import until


@pytest.fixture(scope="module")
def sdk(v2):
    return v2


def differences(server):
    """What differed now or since it was asked last, as (part, what was found, why it was not repaired)."""
    done = server.command("verify", "--output", "json")
    [host] = json.loads(done.stdout)["hosts"]
    found = host["differences"] + host["background"]
    assert done.returncode == (2 if found else 0), done
    return {(one["part"], one["found"], one["failure"]) for one in found}


def links(server):
    return {path.name: path for path in Path(server.data_dir).glob("bpffs/*/links/*")}


def run(*words, text=None):
    done = subprocess.run(words, input=text, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done
    return done.stdout


def test_what_is_taken_away_comes_back(new_server):
    server = new_server().start()
    sdk = V2(server)
    vpc = sdk.vpc(EnableIpv6=True)
    vswitch, group = sdk.vswitch(vpc, "10.1.0.0/24", Ipv6CidrBlock=1), sdk.group(vpc)
    [instance] = sdk.instances(vswitch, group)
    server.wait_applied()
    # What is asked between an instance's making and the first look has nothing to tell.
    assert differences(server) == set()
    [eni] = [one["NetworkInterfaceId"] for one in sdk.instance(instance)["NetworkInterfaces"]["NetworkInterface"]]

    links(server)[f"to_{eni}"].unlink()
    until("the name of a link", lambda: f"to_{eni}" in links(server))
    assert differences(server) == {("program", "has lost its name", None)}

    run("ip", "netns", "delete", instance)
    until("the namespace", lambda: instance in run("ip", "netns", "list"))
    assert ("namespace", "was removed or replaced", None) in differences(server)

    device = lambda: "eth0" in run("ip", "-n", instance, "-o", "link")
    until("the device in the new namespace", device)
    before = run("ip", "-n", instance, "-o", "link", "show", "dev", "eth0")
    run("ip", "-n", instance, "link", "delete", "eth0")
    until("the device", lambda: device() and run("ip", "-n", instance, "-o", "link", "show", "dev", "eth0") != before)
    assert differences(server) == {("link", "was removed, replaced or set down, or has lost its routes", None)}
    assert differences(server) == set()
    assert server.command("verify", "--host", "nowhere").returncode == 1


def test_a_ruleset_that_nft_takes(server, sdk, vpc):
    vswitch, clients, services = sdk.vswitch(vpc, "10.1.0.0/24"), sdk.group(vpc), sdk.group(vpc)
    rules = [rule(443, SourceCidrIp=None, SourceGroupId=clients), rule(22, Policy="drop")]
    sdk.call("AuthorizeSecurityGroup", SecurityGroupId=services, Permissions=rules)
    [client], [service] = sdk.instances(vswitch, clients), sdk.instances(vswitch, services)
    done = server.command("export", "nft", service)
    assert done.returncode == 0, done
    [address] = sdk.instance(client)["VpcAttributes"]["PrivateIpAddress"]["IpAddress"]
    assert address in done.stdout and "tcp dport 443" in done.stdout
    run("unshare", "-n", "nft", "-f", "-", text=done.stdout)
    for words, said in [
        (["i-none"], "`i-none`"),
        ([service, "--device", f"{service}=eth0"], "is not one of the interfaces"),
        ([server.status()["hosts"][0]["host"]], "no device is named"),
    ]:
        refused = server.command("export", "nft", *words)
        assert refused.returncode == 1 and said in refused.stderr, refused
    assert server.command("export", "nft", service, "--device", "eth0").returncode == 64
    sdk.call("DeleteInstances", InstanceId=[client, service], Force=True)


def test_a_scrape(server, sdk, vpc):
    server.wait_applied()
    connection = server.signer().connection()
    try:
        connection.request("GET", "/metrics", None, {"authorization": f"Bearer {server.credentials['SEKIMORI_TOKEN']}"})
        answer = connection.getresponse()
        text = answer.read().decode()
    finally:
        connection.close()
    assert answer.status == 200 and text.endswith("# EOF\n")
    samples = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    [host] = [one["host"] for one in server.status()["hosts"]]
    committed, applied = samples["sekimori_committed_revision"], samples[f'sekimori_applied_revision{{host="{host}"}}']
    assert committed == applied == str(server.revision())
    assert float(samples[f'sekimori_update_latency_seconds_count{{host="{host}"}}']) >= 1
