"""Who runs as whom, and what is there after anything was killed."""

import base64
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from estate import rule
from probes import Listeners, reaches
from sdk import V2
from server import REGION, kill, process_status, run, until
from signer import Signer

SERVER_UID = "47617"
NO_CAPABILITIES = "0" * 16
WRITERS = 4


class TestPrivileges:
    """What the part that reads the network may do."""

    def test_the_server_has_no_rights(self, server):
        found = process_status(server.server_pid())
        assert set(found["Uid"].split()) == {SERVER_UID} and set(found["Gid"].split()) == {SERVER_UID}
        assert found["Groups"] == "" and found["NoNewPrivs"] == "1"
        for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert found[name] == NO_CAPABILITIES, name

    def test_the_server_and_nobody_else_reads_the_network(self, server):
        port = int(server.address.rsplit(":", 1)[1])
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        [listening] = [row for row in rows if row[3] == "0A" and int(row[1].split(":")[1], 16) == port]
        assert listening[7] == SERVER_UID
        sockets = lambda pid: {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
        assert f"socket:[{listening[9]}]" in sockets(server.server_pid())
        assert f"socket:[{listening[9]}]" not in sockets(server.process.pid)

    def test_files_belong_to_who_needs_them(self, server):
        mode = lambda path: oct(path.stat().st_mode & 0o777)
        assert mode(server.credentials_file) == "0o600"
        assert server.credentials_file.stat().st_uid == 0
        for part, uid in (("server", int(SERVER_UID)), ("agent", 0)):
            assert mode(server.data_dir / part) == "0o700"
            assert (server.data_dir / part).stat().st_uid == uid
        for path in (server.data_dir / "server").rglob("*"):
            assert mode(path) == ("0o700" if path.is_dir() else "0o600"), path

    def test_the_sockets_turn_strangers_away(self, server):
        """The kernel says who is there; the mode of the file is not what protects it."""
        control, feed = (server.data_dir / "server" / name for name in ("control.sock", "feed.sock"))
        for path in (control, feed):
            assert received_as(65_534, path) == b"no way in"
        # The server's own user may enter the directory, and the mode of the sockets lets it in.
        assert received_as(int(SERVER_UID), control) == b""
        assert b"user id 47617 may not use this socket" in received_as(int(SERVER_UID), feed)
        assert b"access_key_secret" in received_as(0, control)


def received_as(uid, path):
    """What a process of this user is told on a socket, in a child of this one."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            with socket.socket(socket.AF_UNIX) as stranger:
                stranger.settimeout(10)
                stranger.connect(str(path))
                while more := stranger.recv(4_096):
                    os.write(writing, more)
        except PermissionError:
            os.write(writing, b"no way in")
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        told = answer.read()
    os.waitpid(child, 0)
    return told


def test_secrets_are_nowhere_in_the_clear(new_server):
    one = new_server().start()
    done = one.command("account", "create", "--dialect", "ecs", "--name", "second", "--format", "env")
    assert done.returncode == 0, done.stderr
    second = dict(line.split("=", 1) for line in done.stdout.splitlines())
    Signer(one.address, second["ALIBABA_CLOUD_ACCESS_KEY_ID"], second["ALIBABA_CLOUD_ACCESS_KEY_SECRET"])
    secrets = [one.credentials["ALIBABA_CLOUD_ACCESS_KEY_SECRET"], one.credentials["SEKIMORI_TOKEN"],
               second["ALIBABA_CLOUD_ACCESS_KEY_SECRET"]]
    one.stop()
    looked_at = 0
    for path in one.data_dir.rglob("*"):
        if not path.is_file() or path == one.credentials_file or "bpffs" in path.parts:
            continue
        looked_at += 1
        text = path.read_bytes()
        for secret in secrets:
            for form in (secret.encode(), base64.b64encode(secret.encode()).rstrip(b"="), secret.encode("utf-16-le")):
                assert form not in text, f"a secret is in {path}"
    assert looked_at >= 6
    assert not any(secret in one.said() for secret in secrets), "a secret is in the log"


class Writers:
    """Clients that make groups one after another, and remember what the server acknowledged."""

    def __init__(self, one):
        self.signer, self.done, self.acknowledged = one.signer(), threading.Event(), []
        answer = self.signer.send(self.signer.v3("CreateVpc", {"RegionId": REGION}, version="2016-04-28"))
        self.vpc = answer.json()["VpcId"]
        self.pool = ThreadPoolExecutor(WRITERS)
        self.running = [self.pool.submit(self.write) for _ in range(WRITERS)]

    def write(self):
        while not self.done.is_set():
            try:
                request = self.signer.v3("CreateSecurityGroup", {"RegionId": REGION, "VpcId": self.vpc})
                answer = self.signer.send(request)
            except OSError:
                time.sleep(0.005)
                continue
            if answer.status == 200:
                self.acknowledged.append(answer.json()["SecurityGroupId"])

    def wait_for(self, count):
        until(f"{count} acknowledged changes", lambda: len(self.acknowledged) >= count)

    def stop(self):
        self.done.set()
        for one in self.running:
            one.result(60)
        self.pool.shutdown()

    def missing(self, signer):
        """Acknowledged groups that are not there."""
        lost = set(self.acknowledged)
        for page in range(1, 1_000):
            query = {"RegionId": REGION, "VpcId": self.vpc, "PageSize": "50", "PageNumber": str(page)}
            groups = signer.send(signer.v3("DescribeSecurityGroups", query)).json()["SecurityGroups"]["SecurityGroup"]
            if not groups:
                return lost
            lost -= {group["SecurityGroupId"] for group in groups}


class TokenWriters(Writers):
    """Clients that make groups under tokens. What is not answered is sent again, signed anew."""

    def __init__(self, one):
        self.repeated, self.numbers = 0, itertools.count()
        super().__init__(one)

    def write(self):
        while not self.done.is_set():
            token = f"token-{next(self.numbers)}"
            asked = {"RegionId": REGION, "VpcId": self.vpc, "SecurityGroupName": token, "ClientToken": token}
            self.acknowledged.append((token, self.repeat(asked)))

    def repeat(self, asked):
        for attempt in itertools.count():
            self.repeated += attempt > 0
            try:
                answer = self.signer.send(self.signer.v3("CreateSecurityGroup", asked))
                if answer.status == 200:
                    return answer.json()["SecurityGroupId"]
            except OSError:
                pass
            time.sleep(0.005)


class TestKilled:
    """kill -9, while changes are being made."""

    def test_the_server_alone(self, new_server):
        one = new_server().start()
        address, up = one.address, one.process.pid
        writers = Writers(one)
        for round_number in range(1, 4):
            writers.wait_for(100 * round_number)
            before = one.server_pid()
            kill(before)
            until("another server", lambda: one.server_pids() not in ([], [before]))
            until("health", one.is_healthy)
        writers.stop()
        assert one.process.poll() is None and one.process.pid == up
        assert one.address == address, "the port must stay"
        assert writers.missing(one.signer()) == set()
        one.wait_applied()
        status = one.status()
        assert [host["applied"] for host in status["hosts"]] == [status["committed"]]

    def test_everything_at_once(self, new_server):
        one = new_server().start()
        for round_number in range(3):
            writers = Writers(one)
            writers.wait_for(60)
            one.kill()
            writers.stop()
            until("the end of every process", lambda: not list(one.traces.processes()))
            one.start()
            assert writers.missing(one.signer()) == set()
            one.wait_applied()

    def test_up_alone_takes_its_server_along(self, new_server):
        one = new_server().start()
        server_pid = one.server_pid()
        one.process.kill()
        one.process.wait()
        until("the end of the server", lambda: not Path(f"/proc/{server_pid}").exists())
        one.start()

    def test_a_token_makes_one_group_however_often_the_server_dies(self, new_server):
        """Each request is repeated under its token until it is answered; none has made a second group."""
        one = new_server().start()
        writers = TokenWriters(one)
        for round_number in range(1, 5):
            writers.wait_for(80 * round_number)
            before = one.server_pid()
            kill(before)
            until("another server", lambda: one.server_pids() not in ([], [before]))
            until("health", one.is_healthy)
        writers.stop()
        sdk = V2(one)
        made = {}
        for page in range(1, 1_000):
            groups = sdk.groups(VpcId=writers.vpc, PageSize=50, PageNumber=page)
            for group in groups:
                made.setdefault(group["SecurityGroupName"], []).append(group["SecurityGroupId"])
            if not groups:
                break
        assert writers.repeated > 0, "no request was cut off, so nothing was shown"
        assert made == {token: [group] for token, group in writers.acknowledged}

    def test_a_copied_request_is_refused_after_a_restart(self, new_server):
        one = new_server().start()
        signer = one.signer()
        request = signer.v3("CreateVpc", {"RegionId": REGION}, version="2016-04-28")
        assert signer.send(request).status == 200
        kill(one.server_pid())
        until("health", one.is_healthy)
        revision = one.revision()
        assert signer.send(request).told == (400, "SignatureNonceUsed")
        assert one.revision() == revision


def test_an_agent_that_hangs_is_no_healthy_one(new_server):
    one = new_server().start()
    host = lambda: one.status()["hosts"][0]
    assert "silent_s" not in host()
    os.kill(one.process.pid, signal.SIGSTOP)
    try:
        until("the agent is known to be silent", lambda: host().get("silent_s", 0) > 10)
        status, health = one.native("GET", "/healthz")
        assert (status, host()["connected"]) == (503, True) and "hangs" in health["reason"], health
        assert "silent for 1" in one.command("status").stdout
    finally:
        os.kill(one.process.pid, signal.SIGCONT)
    until("it is well again", lambda: "silent_s" not in host() and one.is_healthy())


class TestOneAtATime:
    """A data directory has one `up`, and `down` does not pull the ground from under it."""

    def test_a_second_up_is_refused(self, server, unchanged):
        second = run("up", "--data-dir", server.data_dir, "--listen", "127.0.0.1:0")
        assert second.returncode == 1
        assert f"in use by process {server.process.pid}" in second.stderr

    def test_down_is_refused_while_up_runs(self, server, unchanged):
        done = run("down", "--data-dir", server.data_dir)
        assert done.returncode == 1
        assert f"in use by process {server.process.pid}" in done.stderr
        assert server.native("GET", "/healthz")[0] == 200

    def test_a_taken_port_is_named(self, server, new_server):
        one = new_server(listen=server.address).launch()
        assert one.ended() == 1
        assert server.address in one.said()


def datagrams(instance, address, port, many):
    """Sends some, each a flow of its own if it is one."""
    script = ("import socket, sys; [socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', "
              "(sys.argv[1], int(sys.argv[2]))) for _ in range(int(sys.argv[3]))]")
    command = ["ip", "netns", "exec", instance, sys.executable, "-c", script, address, str(port), str(many)]
    subprocess.run(command, check=True, timeout=30)


def counted(one, group):
    """Packets that rules of a group have dropped by their counters, and that the default has at all interfaces."""
    status, counters = one.native("GET", "/v1/counters")
    assert status == 200, counters
    rules = [line["count"]["packets"] for line in counters["total"]["rules"] if line["group"] == group]
    default = [line["packets"] for line in counters["total"]["enis"]
               if not line["passed"] and line["reason"] == "default" and line["direction"] == "Ingress"]
    return sum(rules), sum(default)


class TestEnforcement:
    """What the kernel enforces outlives the processes."""

    @pytest.fixture
    def pair(self, new_server):
        """A client and a service; port 8080 is allowed, 9090 is not."""
        one = new_server().start()
        sdk = V2(one)
        vpc = sdk.vpc()
        vswitch, clients, services = sdk.vswitch(vpc, "10.1.0.0/24"), sdk.group(vpc), sdk.group(vpc)
        allowed = rule(8080, SourceCidrIp=None, SourceGroupId=clients)
        sdk.call("AuthorizeSecurityGroup", SecurityGroupId=services, Permissions=[allowed])
        [client], [service] = sdk.instances(vswitch, clients), sdk.instances(vswitch, services)
        one.wait_applied()
        until("health", one.is_healthy)
        address = sdk.instance(service)["VpcAttributes"]["PrivateIpAddress"]["IpAddress"][0]
        return one, client, service, address

    def test_counters_count_each_packet_once_whoever_is_killed(self, pair):
        """Datagrams that the default and a rule drop, while the agent, the server or both are killed in between."""
        one, client, service, address = pair
        sdk = V2(one)
        [group] = sdk.instance(service)["SecurityGroupIds"]["SecurityGroupId"]
        denied = rule(9092, IpProtocol="UDP", Policy="drop")
        sdk.call("AuthorizeSecurityGroup", SecurityGroupId=group, Permissions=[denied])
        one.wait_applied()
        sent = 0
        for round_number in range(9):
            for port in (9091, 9092):
                datagrams(client, address, port, 7)
            sent += 7
            until("a report", lambda: counted(one, group)[0] > 0)
            if round_number % 3 != 1:
                kill(one.server_pid())
            if round_number % 3 != 0:
                one.kill()
                until("the end of every process", lambda: not list(one.traces.processes()))
                one.start()
            until("health", one.is_healthy)
        until(f"{sent} packets", lambda: counted(one, group) == (sent, sent))
        # A rule that goes takes what it has counted last along into the books.
        datagrams(client, address, 9092, 3)
        V2(one).call("RevokeSecurityGroup", SecurityGroupId=group, Permissions=[denied])
        until("the last packets", lambda: counted(one, group) == (sent + 3, sent))
        time.sleep(3)
        assert counted(one, group) == (sent + 3, sent), "counted twice"

    def check(self, client, address):
        assert reaches(client, address, 8080), "an allowed probe was stopped"
        assert not reaches(client, address, 9090), "a denied probe got through"

    def test_it_stays_after_sigterm_and_after_kill(self, pair):
        one, client, service, address = pair
        with Listeners(service, 8080, 9090):
            self.check(client, address)
            assert one.stop() == 0
            assert list(one.traces.processes()) == []
            self.check(client, address)
            one.start()
            self.check(client, address)
            one.kill()
            self.check(client, address)
            one.start()
            self.check(client, address)
            # What was decided before is changed by what comes now.
            sdk = V2(one)
            [group] = sdk.instance(service)["SecurityGroupIds"]["SecurityGroupId"]
            [clients] = sdk.instance(client)["SecurityGroupIds"]["SecurityGroupId"]
            allowed = rule(8080, SourceCidrIp=None, SourceGroupId=clients)
            sdk.call("RevokeSecurityGroup", SecurityGroupId=group, Permissions=[allowed])
            one.wait_applied()
            assert not reaches(client, address, 8080)
        one.stop()
        one.down()
        assert not Path("/run/netns", client).exists()
