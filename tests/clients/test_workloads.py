"""Interfaces that Sekimori did not make: libvirt's hook with a real tap, a CNI chain with a real veth, QEMU's script; and
what `sekimori eni` says of them. Hooks and plugin are called as libvirt and a container runtime would."""

import json
import os
import socket
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from estate import rule
from probes import GREETING, PATIENCE_S, TRY, Listeners
from sdk import V2
from server import BINARY, until

ROOT = Path(__file__).parents[2]
RELAY = ROOT / "tests/src/lab/relay.py"
LIBVIRT, CNI, QEMU = ROOT / "deploy/libvirt/qemu", ROOT / "deploy/cni/sekimori-cni", ROOT / "deploy/qemu/run.sh"
MAC = "52:54:00:12:34:56"
GATEWAY, GATEWAY_6 = "10.211.255.1", "fe80::1"


def ip(*words):
    done = subprocess.run(["ip", *map(str, words)], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout


class Guest:
    """A namespace with an ENI's addresses on `eth0`, and a way to it from this host through `port`."""

    def __init__(self, eni):
        self.name = f"wl-{uuid.uuid4().hex[:8]}"
        self.port = f"p{self.name[3:]}"
        self.addresses, self.relay = eni["addresses"], None
        ip("netns", "add", self.name)

    def veth(self):
        ip("link", "add", self.port, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        return self

    def tap(self):
        ip("tuntap", "add", self.port, "mode", "tap", "vnet_hdr")
        return self

    def run_machine(self):
        """What a hypervisor does once the tap is there: the guest's card is `eth0`."""
        ip("-n", self.name, "link", "add", "eth0", "type", "veth", "peer", "name", "vm0")
        ip("-n", self.name, "link", "set", "vm0", "up")
        self.relay = subprocess.Popen([sys.executable, RELAY, self.port, self.name, "vm0"], stdout=subprocess.PIPE, text=True)
        assert self.relay.stdout.readline() == "running\n"

    def up(self, mac):
        ip("link", "set", self.port, "up")
        ip("addr", "add", f"{GATEWAY}/32", "dev", self.port)
        ip("addr", "add", f"{GATEWAY_6}/64", "dev", self.port, "nodad")
        router = json.loads(ip("-j", "link", "show", self.port))[0]["address"]
        ip("-n", self.name, "link", "set", "lo", "up")
        ip("-n", self.name, "link", "set", "eth0", "address", mac)
        ip("-n", self.name, "link", "set", "eth0", "up")
        for address in self.addresses:
            ip("-n", self.name, "addr", "add", address, "dev", "eth0", *(["nodad"] if ":" in address else []))
            ip("route", "add", address, "dev", self.port)
        ip("-n", self.name, "route", "add", GATEWAY, "dev", "eth0")
        for gateway, version in [(GATEWAY, "-4"), (GATEWAY_6, "-6")]:
            ip("-n", self.name, "neigh", "replace", gateway, "lladdr", router, "dev", "eth0")
            ip("-n", self.name, version, "route", "add", "default", "via", gateway, "dev", "eth0")

    def stop_machine(self):
        self.relay.kill()
        self.relay.wait()
        self.relay = None
        ip("link", "del", self.port)
        ip("-n", self.name, "link", "del", "eth0")

    def reached(self):
        """The services that are reached from this host, by address."""
        def tried(address):
            words = [sys.executable, "-c", TRY, address, "", GREETING, str(PATIENCE_S), "tcp/443", "tcp/22", "ping"]
            done = subprocess.run(words, capture_output=True, text=True, timeout=30)
            assert done.returncode == 0, done.stderr
            return json.loads(done.stdout)

        with Listeners(self.name, 443, 22):
            return [tried(address) for address in self.addresses]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.relay:
            self.relay.kill()
            self.relay.wait()
        subprocess.run(["ip", "link", "del", self.port], capture_output=True)
        ip("netns", "del", self.name)


ALLOWED = ["tcp/443", "ping"]


@pytest.fixture(scope="module")
def place(server):
    sdk = V2(server)
    vpc = sdk.vpc("10.211.0.0/16", EnableIpv6=True)
    vswitch, group = sdk.vswitch(vpc, "10.211.1.0/24", Ipv6CidrBlock=1), sdk.group(vpc)
    any_v6 = {"SourceCidrIp": None, "Ipv6SourceCidrIp": "::/0"}
    ping = {"IpProtocol": "icmp", "PortRange": "-1/-1"}
    rules = [rule(443, SourceCidrIp="0.0.0.0/0"), rule(443, **any_v6), rule(**ping, SourceCidrIp="0.0.0.0/0"),
             rule(**{**ping, "IpProtocol": "icmpv6"}, **any_v6)]
    sdk.call("AuthorizeSecurityGroup", SecurityGroupId=group, Permissions=rules)
    return sdk, vpc, vswitch, group


@pytest.fixture
def eni(server, place):
    sdk, _, vswitch, group = place
    made = sdk.eni(vswitch, group, Ipv6AddressCount=1)
    yield listed(server, made, "--all")
    sdk.call("DeleteNetworkInterface", NetworkInterfaceId=made)
    server.wait_applied()


def listed(server, eni, *options):
    done = server.command("eni", "list", *options, "--output", "json")
    return {one["id"]: one for one in json.loads(done.stdout)}.get(eni)


def domain(eni, device):
    text = (ROOT / "deploy/libvirt/domain.xml").read_text()
    return text.replace("eni-0123456789abcdef0", eni["id"]).replace("web0", device)


def hook(server, operation, moment, xml):
    environment = {**os.environ, "SEKIMORI_BINARY": str(BINARY), "SEKIMORI_DATA_DIR": str(server.data_dir)}
    done = subprocess.run([LIBVIRT, "web", operation, moment, "-"], input=xml, env=environment, text=True,
                          capture_output=True, timeout=30)
    return done.returncode


def test_a_machine_of_libvirt(server, eni):
    with Guest(eni) as guest:
        xml = domain(eni, guest.port)
        assert hook(server, "prepare", "begin", xml) == 0
        assert listed(server, eni["id"])["state"] == "absent"
        assert hook(server, "start", "begin", xml) != 0, "a machine does not start with a card that is not judged at"
        guest.tap()
        assert hook(server, "start", "begin", xml) == 0
        found = listed(server, eni["id"])
        assert (found["state"], found["mac"], found["binding"]["holder"]) == ("judged", MAC, "libvirt web")
        guest.run_machine()
        guest.up(MAC)
        assert guest.reached() == [ALLOWED, ALLOWED]
        # The machine is switched off and on again: the tap is another, under the same name.
        guest.stop_machine()
        until("the tap's absence", lambda: listed(server, eni["id"])["state"] == "absent")
        guest.tap()
        until("the new tap", lambda: listed(server, eni["id"])["state"] == "judged")
        guest.run_machine()
        guest.up(MAC)
        assert guest.reached() == [ALLOWED, ALLOWED]
        ip("-n", guest.name, "link", "set", "eth0", "address", "52:54:00:00:00:99")
        assert guest.reached() == [[], []]
        told = lambda: any("dropped as spoofed" in note for note in listed(server, eni["id"])["notes"])
        until("words about what is wrong", told)
        assert hook(server, "release", "end", xml) == 0
        assert listed(server, eni["id"]) is None


def test_nobody_is_let_go_for_another_and_loopback_is_nobodys(server, eni):
    refused = server.command("eni", "bind", eni["id"], "lo")
    assert refused.returncode == 1 and "bind a tap, a veth or an Ethernet card" in refused.stderr, refused
    assert listed(server, eni["id"]) is None
    assert server.command("eni", "bind", eni["id"], "away0", "--holder", "me").returncode == 0
    kept = server.command("eni", "unbind", eni["id"], "--holder", "another")
    assert kept.returncode == 2 and "stays bound to `away0`" in kept.stdout and "held by `me`" in kept.stdout, kept
    assert server.command("eni", "unbind", eni["id"], "--holder", "me").returncode == 0
    assert listed(server, eni["id"]) is None


def test_nobody_cuts_his_own_connection_unawares(server, eni):
    """Whoever binds the card that he comes by is told so, before it is bound."""
    with Guest(eni).veth() as guest:
        guest.up(MAC)
        bind = lambda *more: server.command("eni", "bind", eni["id"], guest.port, "--side", "own", *more)
        with Listeners(guest.name, 443), socket.create_connection((eni["addresses"][0], 443), 10):
            refused = bind()
            assert refused.returncode == 1 and listed(server, eni["id"]) is None, refused
            expected = f"1 established TCP connection of this host runs over `{guest.port}`, from {eni['addresses'][0]}:443"
            assert expected in refused.stderr and "`--force`" in refused.stderr, refused.stderr
            forced = bind("--force")
            assert forced.returncode == 0 and "is judged at" in forced.stdout, forced
            assert bind().returncode == 0, "it is bound there already"
        assert server.command("eni", "unbind", eni["id"]).returncode == 0


def cni(server, command, guest, conf, container="0a1b2c", **more):
    environment = {**os.environ, "SEKIMORI_BINARY": str(BINARY), "CNI_COMMAND": command, "CNI_CONTAINERID": container,
                   "CNI_NETNS": f"/var/run/netns/{guest.name}", "CNI_IFNAME": "eth0", "CNI_PATH": str(CNI.parent), **more}
    text = json.dumps({"cniVersion": "1.0.0", "name": "shop", "type": "sekimori-cni", "dataDir": str(server.data_dir), **conf})
    done = subprocess.run([CNI], input=text, env=environment, text=True, capture_output=True, timeout=30)
    return done.returncode, json.loads(done.stdout) if done.stdout else None


def test_a_container_behind_a_chained_plugin(server, place, eni):
    vpc = place[1]
    with Guest(eni).veth() as guest:
        guest.up(MAC)
        inside = {"name": "eth0", "mac": MAC, "sandbox": f"/var/run/netns/{guest.name}"}
        result = {"cniVersion": "1.0.0", "interfaces": [{"name": guest.port}, inside],
                  "ips": [{"address": f"{address}/24", "interface": 1} for address in eni["addresses"]], "dns": {}}
        conf = {"vpc": vpc, "prevResult": result}
        assert cni(server, "VERSION", guest, {}) == (0, {"cniVersion": "1.0.0", "supportedVersions": ["0.4.0", "1.0.0"]})
        code, told = cni(server, "CHECK", guest, conf)
        assert (code, told["code"]) == (1, 100)
        assert cni(server, "ADD", guest, conf) == (0, result)
        assert guest.reached() == [ALLOWED, ALLOWED]
        assert cni(server, "CHECK", guest, conf) == (0, None)
        # Another container's end, heard late, does not take away what this one has.
        assert cni(server, "DEL", guest, conf, container="older") == (0, None)
        assert listed(server, eni["id"])["state"] == "judged"
        assert cni(server, "DEL", guest, {}) == (0, None)
        assert listed(server, eni["id"]) is None
        assert cni(server, "DEL", guest, conf) == (0, None)
        assert guest.reached() == [["tcp/443", "tcp/22", "ping"]] * 2, "an interface that was let go is nobody's"

        assert cni(server, "ADD", guest, {"prevResult": result}, CNI_ARGS=f"IgnoreUnknown=1;SEKIMORI_ENI={eni['id']}")[0] == 0
        assert cni(server, "DEL", guest, {})[0] == 0
        refusals = [({"prevResult": result}, 7, "no ENI is named"), ({"vpc": vpc}, 7, "no prevResult"),
                    ({**conf, "vpc": "vpc-none"}, 7, "no ENI of `vpc-none`"), ({**conf, "cniVersion": "9.0.0"}, 1, "`9.0.0`"),
                    ({"eni": "eni-none", "prevResult": result}, 100, "does not exist")]
        for wrong, number, words in refusals:
            code, told = cni(server, "ADD", guest, wrong)
            assert (code, told["code"]) == (1, number) and words in told["msg"], told
        assert listed(server, eni["id"]) is None


def test_a_machine_by_hand(server, eni, tmp_path):
    with Guest(eni) as guest:
        # What stands in for QEMU says that it runs, and stays until it is told to go.
        machine, bridge = tmp_path / "machine", f"b{guest.name[3:]}"
        machine.write_text("#!/bin/sh\necho running\nread line\n")
        machine.chmod(0o755)
        ip("link", "add", bridge, "type", "bridge")
        try:
            environment = {**os.environ, "QEMU": str(machine), "SEKIMORI_DATA_DIR": str(server.data_dir),
                           "SEKIMORI_BINARY": str(BINARY)}
            words = [QEMU, eni["id"], guest.port, MAC, bridge]
            running = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
            lines = iter(running.stdout.readline, "")
            assert any(line == "running\n" for line in lines)
            assert listed(server, eni["id"])["state"] == "judged"
            running.communicate("stop\n", timeout=30)
            assert running.returncode == 0 and listed(server, eni["id"]) is None
            assert guest.port not in ip("-o", "link")
        finally:
            ip("link", "del", bridge)
