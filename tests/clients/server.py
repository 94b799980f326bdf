"""A `sekimori up` that belongs to one test: started, asked, killed, and taken away again.

Everything waits for the event it needs, with a bound; nothing sleeps and hopes.
"""

import json
import os
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

from leftovers import Traces
from signer import Signer

BINARY = Path(os.environ.get("SEKIMORI_BINARY", Path(__file__).parents[2] / "target/debug/sekimori"))
START_S = 30
STOP_S = 30
REGION = "cn-hangzhou"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(what, check, patience_s=START_S, pause_s=0.02):
    """The first truthy value of `check`, or a failure that says what did not come."""
    end = time.monotonic() + patience_s
    while True:
        found = check()
        if found:
            return found
        assert time.monotonic() < end, f"{what} did not come within {patience_s} s"
        time.sleep(pause_s)


def run(*words, env=None, patience_s=60):
    """Runs one command of `sekimori`; never fails by itself."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SEKIMORI_", "ALIBABA_"))}
    command = [str(BINARY), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=patience_s, env={**clean, **(env or {})})


class Server:
    """A data directory, and the `up` that runs in it."""

    def __init__(self, data_dir, *options, listen="127.0.0.1:0"):
        self.data_dir, self.options, self.listen = Path(data_dir), options, listen
        self.log = self.data_dir.with_name(self.data_dir.name + ".log")
        self.process = None
        self.traces = Traces(self.data_dir)

    # -- life

    def launch(self):
        """Starts `up` without waiting for anything."""
        words = ["up", "--data-dir", self.data_dir, "--listen", self.listen, *self.options]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([BINARY, *map(str, words)], stdout=log, stderr=log)
        return self

    def start(self):
        """Starts `up`, and waits until the API serves and the kernel enforces."""
        self.credentials_file.unlink(missing_ok=True)
        self.launch()
        until("a healthy server", self.is_healthy)
        return self

    def is_healthy(self):
        assert self.process is None or self.process.poll() is None, f"`up` ended:\n{self.said()}"
        try:
            return self.native("GET", "/healthz")[0] == 200
        except (OSError, KeyError):
            return False

    def ended(self, patience_s=START_S):
        """The exit code of an `up` that is expected to end by itself."""
        return self.process.wait(patience_s)

    def stop(self):
        """SIGTERM, as an operator does it."""
        self.process.terminate()
        return self.process.wait(STOP_S)

    def kill(self):
        """kill -9 of everything at once."""
        for pid in [self.process.pid, *self.server_pids()]:
            kill(pid)
        self.process.wait(STOP_S)

    def down(self):
        self.traces.remember()
        done = run("down", "--data-dir", self.data_dir)
        assert done.returncode == 0, done.stderr
        assert self.traces.left() == []

    def take_away(self):
        """What a fixture does at the end, in whatever state the test has left things."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
        # A store that a test has spoilt does not keep `down` from removing what is in the kernel.
        (self.data_dir / "format").exists() and run("down", "--data-dir", self.data_dir)

    # -- what it says

    @property
    def credentials_file(self):
        return self.data_dir / "credentials.env"

    @property
    def credentials(self):
        lines = self.credentials_file.read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)

    @property
    def address(self):
        return self.credentials["ALIBABA_CLOUD_ENDPOINT_ECS"]

    def signer(self):
        found = self.credentials
        key = found["ALIBABA_CLOUD_ACCESS_KEY_ID"], found["ALIBABA_CLOUD_ACCESS_KEY_SECRET"]
        return Signer(self.address, *key, ca_file=found.get("SEKIMORI_CA"))

    def said(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def native(self, method, path, body=None, token=None):
        """One request of the native API: status and JSON."""
        headers = {"authorization": f"Bearer {token or self.credentials['SEKIMORI_TOKEN']}"}
        connection = self.signer().connection()
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")
        finally:
            connection.close()

    def status(self):
        status, body = self.native("GET", "/v1/status")
        assert status == 200, body
        return body

    def revision(self):
        return self.status()["committed"]

    def made_since(self, revision):
        """What clients have changed since. The server's own clock makes revisions too: it forgets terminated instances."""
        status, body = self.native("GET", "/v1/history?limit=20")
        assert status == 200, body
        assert len(body["entries"]) < 20 or body["entries"][-1]["revision"] <= revision, "more than one look shows"
        return [one for one in body["entries"] if one["revision"] > revision and one["who"] != "system"]

    @contextmanager
    def unchanged(self):
        """Holds what is done in it to changing nothing."""
        before = self.revision()
        yield
        assert self.made_since(before) == [], "a refused request changed something"

    def wait_applied(self):
        status, body = self.native("GET", "/v1/wait?timeout_s=30")
        assert status == 200, body

    def command(self, *words):
        return run(*words, "--data-dir", self.data_dir)

    # -- its processes

    def server_pids(self):
        """The processes without privileges: children of `up`."""
        children = Path(f"/proc/{self.process.pid}/task")
        pids = set()
        for task in children.glob("*/children"):
            try:
                pids.update(int(pid) for pid in task.read_text().split())
            except OSError:
                continue
        return sorted(pids)

    def server_pid(self):
        pids = self.server_pids()
        assert len(pids) == 1, pids
        return pids[0]


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def process_status(pid):
    """`/proc/PID/status` by name."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, value in (line.split(":", 1) for line in lines)}
