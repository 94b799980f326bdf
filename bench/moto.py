"""The control plane beside another server of the same API: moto, which keeps everything in memory and enforces nothing.

One unmodified `boto3` client for each, the same calls in turn, so that the noise of the machine hits both. The client's own time is in
every figure. `bench/run.sh` calls this; the table goes to `bench/results/moto.md`.
"""

import argparse
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import boto3
from botocore.config import Config

CONFIG = Config(retries={"max_attempts": 1, "mode": "standard"}, read_timeout=120, connect_timeout=10)
START_S = 60
# Calls of one server before the other has its turn.
BLOCK = 50


class Rival:
    """A server, and a client of it."""

    def __init__(self, name, process, endpoint, key, secret):
        self.name, self.process = name, process
        self.ec2 = boto3.client(
            "ec2",
            region_name="us-east-1",
            endpoint_url=endpoint,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            config=CONFIG,
        )
        self.vpc = self.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        self.groups = []

    def create(self, number):
        made = self.ec2.create_security_group(GroupName=f"bench-{number}", Description="bench", VpcId=self.vpc)
        self.groups.append(made["GroupId"])

    def authorize(self, number):
        rule = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "10.1.0.0/16"}]}
        self.ec2.authorize_security_group_ingress(GroupId=self.groups[number], IpPermissions=[rule])

    def describe(self, number):
        found = self.ec2.describe_security_groups(GroupIds=[self.groups[number]])["SecurityGroups"]
        assert len(found) == 1 and len(found[0]["IpPermissions"]) == 1

    def describe_all(self, _):
        assert len(self.ec2.describe_security_groups()["SecurityGroups"]) > len(self.groups)

    def resident_mib(self):
        """Resident memory of the process and all that it started."""
        total, waiting = 0, [self.process.pid]
        while waiting:
            pid = waiting.pop()
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    total += int(line.split()[1])
            for task in Path(f"/proc/{pid}/task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
        return total / 1024


def wait_for(what, is_ready):
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        if is_ready():
            return
        time.sleep(0.1)
    sys.exit(f"{what} did not start within {START_S} s")


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return reply.status == 200
    except OSError:
        return False


def launch(words, processes):
    """Starts a server, and remembers it so that it is ended whatever happens."""
    processes.append(subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    return processes[-1]


def start_sekimori(binary, data, processes):
    process = launch([binary, "up", "--data-dir", data, "--listen", "127.0.0.1:0", "--limits", "host"], processes)
    file = Path(data) / "credentials.env"
    wait_for("sekimori", file.exists)
    found = dict(line.split("=", 1) for line in file.read_text().splitlines() if "=" in line)
    wait_for("sekimori", lambda: answers(f"{found['SEKIMORI_ENDPOINT']}/healthz"))
    return Rival(
        "sekimori", process, found["AWS_ENDPOINT_URL"], found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"]
    )


def start_moto(port, processes):
    server = Path(sys.executable).with_name("moto_server")
    process = launch([server, "-H", "127.0.0.1", "-p", str(port)], processes)
    endpoint = f"http://127.0.0.1:{port}"
    wait_for("moto", lambda: answers(f"{endpoint}/moto-api/data.json"))
    return Rival("moto", process, endpoint, "key", "secret")


def in_turn(rivals, what, count):
    """Seconds of each call, by server."""
    times = {rival.name: [] for rival in rivals}
    for first in range(0, count, BLOCK):
        for rival in rivals:
            call = getattr(rival, what)
            for number in range(first, min(first + BLOCK, count)):
                begin = time.perf_counter()
                call(number)
                times[rival.name].append(time.perf_counter() - begin)
    return times


def row(label, cells):
    return f"| {label} | " + " | ".join(cells) + " |"


def per_second(times):
    return [f"{len(own) / sum(own):,.0f} a second" for own in times.values()]


def milliseconds(times):
    return [f"{statistics.median(own) * 1000:,.1f} ms" for own in times.values()]


def measure(rivals, count):
    lines = [row("", [rival.name for rival in rivals]), row("---", ["---:" for _ in rivals])]
    lines.append(row("CreateSecurityGroup", per_second(in_turn(rivals, "create", count))))
    lines.append(row("AuthorizeSecurityGroupIngress", per_second(in_turn(rivals, "authorize", count))))
    lines.append(row("DescribeSecurityGroups by id", milliseconds(in_turn(rivals, "describe", min(count, 500)))))
    lines.append(row(f"DescribeSecurityGroups of {count:,}", milliseconds(in_turn(rivals, "describe_all", 3))))
    lines.append(row("resident memory", [f"{rival.resident_mib():,.0f} MiB" for rival in rivals]))
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", default="target/release/sekimori")
    parser.add_argument("--groups", type=int, default=2_000)
    parser.add_argument("--port", type=int, default=15_999)
    parser.add_argument("--out", default="bench/results/moto.md")
    options = parser.parse_args()
    scratch = tempfile.mkdtemp(prefix="sekimori-moto.")
    os.chmod(scratch, 0o755)
    data, processes = f"{scratch}/data", []
    try:
        rivals = [start_sekimori(options.binary, data, processes), start_moto(options.port, processes)]
        lines = measure(rivals, options.groups)
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)
        subprocess.run([options.binary, "down", "--data-dir", data], check=False, stdout=subprocess.DEVNULL)
        shutil.rmtree(scratch, ignore_errors=True)
    title = [
        "# The control plane beside moto",
        "",
        f"{time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}, {os.cpu_count()} cores. One `boto3` client for each server, in turn; its own",
        "time is in every figure. Sekimori writes every change to the disk before it answers, and enforces it; moto keeps it in memory.",
        "",
    ]
    text = "\n".join(title + lines) + "\n"
    Path(options.out).write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
