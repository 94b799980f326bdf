"""The stage of the demo: a `sekimori up` in a directory of its own, the cloud's SDK pointed at it, and the
certainty at the end that nothing of it is left."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

from alibabacloud_ecs20140526 import models as ecs
from alibabacloud_ecs20140526.client import Client as EcsClient
from alibabacloud_tea_openapi.utils_models import Config
from alibabacloud_vpc20160428 import models as vpc
from alibabacloud_vpc20160428.client import Client as VpcClient

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = ROOT / "target/release/sekimori"
START_S = 30
STOP_S = 30


class Lab:
    """A running sekimori."""

    def __init__(self):
        self.links_before = links()
        self.dir = tempfile.mkdtemp(prefix="sekimori-demo.")
        self.log = open(f"{self.dir}.log", "w+")
        self.up = None
        self.names = set()

    def start(self):
        command = [BINARY, "up", "--data-dir", self.dir, "--listen", "127.0.0.1:0"]
        # A session of its own: Ctrl-C is for the demo, which then stops the server in order.
        self.up = subprocess.Popen(command, stdout=self.log, stderr=self.log, start_new_session=True)
        self._await_health()
        self.env = read_env(f"{self.dir}/credentials.env")
        config = Config(
            access_key_id=self.env["ALIBABA_CLOUD_ACCESS_KEY_ID"],
            access_key_secret=self.env["ALIBABA_CLOUD_ACCESS_KEY_SECRET"],
            region_id=self.env["ALIBABA_CLOUD_REGION_ID"],
            endpoint=self.env["ALIBABA_CLOUD_ENDPOINT_ECS"],
            protocol="http",
        )
        self.cloud = Cloud(config)

    def sekimori(self, *words, codes=(0,)):
        """Runs the CLI and returns its standard output."""
        done = subprocess.run([BINARY, "--data-dir", self.dir, *words], capture_output=True, text=True)
        if done.returncode not in codes:
            raise RuntimeError(f"sekimori {' '.join(words)}: exit code {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def settle(self):
        """Waits until the kernel enforces what the API has acknowledged."""
        self.sekimori("wait", "--timeout-s", "20")

    def why(self, source, destination, service, vpc_id):
        """What the rules say: whether it passes, and what decides."""
        words = ["why", source, destination, service, "--vpc", vpc_id, "--output", "json"]
        report = json.loads(self.sekimori(*words, codes=(0, 2)))
        denying = [leg for leg in report["legs"] if leg["decision"]["action"].lower() == "deny"]
        return report["allowed"], told(denying[0] if denying else report["legs"][-1])

    def stop(self):
        """Stops the server, and takes everything away."""
        if self.up and self.up.poll() is None:
            self.up.send_signal(signal.SIGTERM)
            if (code := self.up.wait(STOP_S)) != 0:
                raise RuntimeError(f"sekimori up ended with exit code {code}; see {self.log.name}")
        subprocess.run([BINARY, "down", "--data-dir", self.dir], check=True, stdout=subprocess.DEVNULL)

    def leftovers(self):
        """What is still there of the demo, one line each. Asked after `stop`."""
        left = [f"namespace {name}" for name in namespaces() & self.names]
        left += [f"link {name}" for name in links() - self.links_before]
        mounts = pathlib.Path("/proc/mounts").read_text().splitlines()
        left += [f"mount {mount}" for mount in mounts if self.dir in mount]
        left += [f"process {pid}" for pid in processes_of(self.dir)]
        return left

    def remove(self):
        shutil.rmtree(self.dir)
        self.log.close()
        os.unlink(self.log.name)

    def said(self):
        """The last lines of the server's log."""
        return "".join(open(self.log.name).readlines()[-15:])

    def _await_health(self):
        """Until the API serves and the kernel enforces."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self.up.poll() is not None:
                raise RuntimeError(f"sekimori up ended with exit code {self.up.returncode}:\n{self.said()}")
            if os.path.exists(f"{self.dir}/credentials.env"):
                endpoint = read_env(f"{self.dir}/credentials.env")["SEKIMORI_ENDPOINT"]
                try:
                    # No proxy of the environment stands between us and loopback.
                    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
                    with opener.open(f"{endpoint}/healthz", timeout=5):
                        return
                except urllib.error.URLError:
                    pass
            time.sleep(0.05)
        raise RuntimeError(f"sekimori is not healthy after {START_S} seconds:\n{self.said()}")


class Cloud:
    """The calls of the story, made with Alibaba Cloud's own SDK."""

    def __init__(self, config):
        self.region = config.region_id
        self.ecs, self.vpc = EcsClient(config), VpcClient(config)

    def create_vpc(self, cidr):
        request = vpc.CreateVpcRequest(region_id=self.region, cidr_block=cidr, enable_ipv_6=True, vpc_name="demo")
        return self.vpc.create_vpc(request).body.vpc_id

    def create_vswitch(self, vpc_id, cidr, ipv6_index, name):
        """Returns the vSwitch's id and its IPv6 block."""
        request = vpc.CreateVSwitchRequest(
            region_id=self.region,
            zone_id=f"{self.region}-h",
            vpc_id=vpc_id,
            cidr_block=cidr,
            ipv_6cidr_block=ipv6_index,
            v_switch_name=name,
        )
        vswitch_id = self.vpc.create_vswitch(request).body.v_switch_id
        request = vpc.DescribeVSwitchesRequest(region_id=self.region, v_switch_id=vswitch_id)
        found = self.vpc.describe_vswitches(request)
        return vswitch_id, found.body.v_switches.v_switch[0].ipv_6cidr_block

    def create_group(self, vpc_id, name):
        request = ecs.CreateSecurityGroupRequest(region_id=self.region, vpc_id=vpc_id, security_group_name=name)
        return self.ecs.create_security_group(request).body.security_group_id

    def run_instances(self, vswitch_id, group_id, amount, name):
        """Returns (instance id, IPv4 address, IPv6 address) of each."""
        request = ecs.RunInstancesRequest(
            region_id=self.region,
            image_id="debian_12_x64_20G_alibase",
            instance_type="ecs.g7.large",
            v_switch_id=vswitch_id,
            security_group_id=group_id,
            amount=amount,
            ipv_6address_count=1,
            instance_name=name,
        )
        ids = self.ecs.run_instances(request).body.instance_id_sets.instance_id_set
        return [self._instance(instance_id) for instance_id in ids]

    def authorize(self, group_id, protocol, port, source):
        """An inbound accept rule of priority 1, as in the document."""
        rule = ecs.AuthorizeSecurityGroupRequestPermissions(**rule_fields(protocol, port, source))
        request = ecs.AuthorizeSecurityGroupRequest(
            region_id=self.region, security_group_id=group_id, permissions=[rule]
        )
        self.ecs.authorize_security_group(request)

    def revoke(self, group_id, protocol, port, source):
        rule = ecs.RevokeSecurityGroupRequestPermissions(**rule_fields(protocol, port, source))
        request = ecs.RevokeSecurityGroupRequest(
            region_id=self.region, security_group_id=group_id, permissions=[rule]
        )
        self.ecs.revoke_security_group(request)

    def isolate(self, group_id):
        """Internal isolation: the instances of a group no longer reach each other without a rule."""
        request = ecs.ModifySecurityGroupPolicyRequest(
            region_id=self.region, security_group_id=group_id, inner_access_policy="Drop"
        )
        self.ecs.modify_security_group_policy(request)

    def _instance(self, instance_id):
        request = ecs.DescribeInstancesRequest(region_id=self.region, instance_ids=json.dumps([instance_id]))
        instance = self.ecs.describe_instances(request).body.instances.instance[0]
        interface = instance.network_interfaces.network_interface[0]
        return instance_id, interface.primary_ip_address, interface.ipv_6sets.ipv_6set[0].ipv_6address


def rule_fields(protocol, port, source):
    is_v6 = ":" in source
    return {
        "ip_protocol": protocol,
        "port_range": f"{port}/{port}" if port else "-1/-1",
        "source_cidr_ip": None if is_v6 else source,
        "ipv_6source_cidr_ip": source if is_v6 else None,
        "policy": "accept",
        "priority": "1",
    }


def told(leg):
    """The reason of a decision, with the group's name in the place of its id."""
    direction = leg["direction"].lower()
    if leg["rule"]:
        return f"{direction}: rule {leg['rule']} of {leg['group']['name']}: {leg['rule_text']}"
    if leg["group"]:
        return f"{direction}: intra-group accept of {leg['group']['name']}"
    return f"{direction}: {leg['reason']}"


def read_env(path):
    lines = pathlib.Path(path).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def namespaces():
    directory = pathlib.Path("/run/netns")
    return {path.name for path in directory.iterdir()} if directory.exists() else set()


def links():
    return set(os.listdir("/sys/class/net"))


def processes_of(directory):
    """Processes that name the directory or work in it."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
            if directory in words or os.readlink(f"/proc/{pid}/cwd").startswith(directory):
                found.append(f"{pid}: {words.replace(chr(0), ' ').strip()}")
        except OSError:
            pass  # it has ended, or is a thread of the kernel
    return found
