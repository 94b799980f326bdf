"""Real packets between namespaces.

`Namespace` starts this same file inside a namespace and asks it for probes, over its standard input and
output. Inside, it answers TCP and UDP on every port of the story, and probes what it is asked to, on a
thread for each question. It never changes anything but sockets.
"""

import itertools
import json
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

# A denied packet is dropped in silence, so only patience tells. TCP sends its first packet again after a second.
PATIENCE_S = 1.3
# Time between two attempts of a stream, and how long each may take: its first packet has one chance only.
STREAM_PAUSE_S = 0.01
STREAM_PATIENCE_S = 0.8
# Ports on which every namespace answers.
PORTS = [22, 80, 2379, 5432, 6379, 8080]


@dataclass(frozen=True)
class Attempt:
    """One connection of a stream: when it was begun, and whether it came about."""

    begun: float
    passed: bool


# --- outside the namespace ---


class Namespace:
    """A helper process in a namespace, as the story sees it."""

    def __init__(self, name):
        command = ["ip", "netns", "exec", name, sys.executable, __file__]
        self.name = name
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.numbers = itertools.count()
        self.waiting = {}
        self.lock = threading.Lock()
        if self.process.stdout.readline().strip() != "ready":
            raise RuntimeError(f"the helper in namespace {name} does not start")
        threading.Thread(target=self._read, daemon=True).start()

    def probe(self, kind, address, port=None):
        """Sends packets and tells whether they were answered: "passed", "dropped", or what went wrong."""
        return self._ask({"do": kind, "address": address, "port": port}, PATIENCE_S + 5)

    def stream(self, address, port):
        """Begins to connect again and again, until `end_stream`."""
        return self._ask({"do": "stream", "address": address, "port": port}, 5)

    def end_stream(self):
        """Ends the stream and returns its attempts."""
        return [Attempt(*attempt) for attempt in self._ask({"do": "end_stream"}, 5)]

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _ask(self, question, patience):
        number, answered = next(self.numbers), threading.Event()
        self.waiting[number] = answer = [answered, None]
        with self.lock:
            self.process.stdin.write(json.dumps({"number": number, **question}) + "\n")
            self.process.stdin.flush()
        if not answered.wait(patience):
            raise RuntimeError(f"the helper in namespace {self.name} does not answer")
        return answer[1]

    def _read(self):
        for line in self.process.stdout:
            answer = json.loads(line)
            waiting = self.waiting.pop(answer["number"])
            waiting[1] = answer["answer"]
            waiting[0].set()


# --- inside the namespace ---


def probe_tcp(address, port, patience=PATIENCE_S):
    try:
        with socket.create_connection((address, port), timeout=patience):
            return "passed"
    except TimeoutError:
        return "dropped"
    except ConnectionRefusedError:
        return "refused"  # nobody listens: the packet arrived, but the story is wrong
    except OSError as error:
        return f"error: {error.strerror or error}"


def probe_udp(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        sender.settimeout(PATIENCE_S / 3)
        for _ in range(3):
            try:
                sender.sendto(b"are you there", (address, port))
                sender.recvfrom(64)
                return "passed"
            except TimeoutError:
                continue
            except OSError as error:
                return f"error: {error.strerror or error}"
    return "dropped"


def probe_ping(address, _port):
    command = ["ping", "-n", "-q", "-c", "1", "-W", str(PATIENCE_S), address]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 0:
        return "passed"
    # 1 is "no answer". Errors that came back are told by the network: a firewall that drops is silent.
    is_silent = done.returncode == 1 and "errors" not in done.stdout
    return "dropped" if is_silent else f"error: {done.stdout or done.stderr}"


class Stream:
    """Begins a connection every few milliseconds and notes which came about."""

    def __init__(self, address, port):
        self.target = (address, port)
        self.attempts = []
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def end(self):
        self.ended.set()
        self.thread.join()
        return sorted(self.attempts)

    def _run(self):
        running = []
        while not self.ended.wait(STREAM_PAUSE_S):
            attempt = threading.Thread(target=self._attempt)
            attempt.start()
            running.append(attempt)
        for attempt in running:
            attempt.join()

    def _attempt(self):
        begun = time.monotonic()
        self.attempts.append((begun, probe_tcp(*self.target, STREAM_PATIENCE_S) == "passed"))


def serve_tcp(listener):
    while True:
        listener.accept()[0].close()


def serve_udp(receiver):
    while True:
        datagram, sender = receiver.recvfrom(64)
        receiver.sendto(datagram, sender)


def listen():
    for port in PORTS:
        listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=512)
        threading.Thread(target=serve_tcp, args=(listener,), daemon=True).start()
        receiver = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        receiver.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        receiver.bind(("::", port))
        threading.Thread(target=serve_udp, args=(receiver,), daemon=True).start()


class Inside:
    """Answers the questions that come in, in any order."""

    def __init__(self):
        self.stream = None
        self.lock = threading.Lock()

    def answer(self, question):
        probes = {"tcp": probe_tcp, "udp": probe_udp, "ping": probe_ping}
        match question["do"]:
            case "stream":
                self.stream = Stream(question["address"], question["port"])
                answer = "begun"
            case "end_stream":
                answer = self.stream.end()
            case kind:
                answer = probes[kind](question["address"], question["port"])
        with self.lock:
            print(json.dumps({"number": question["number"], "answer": answer}), flush=True)


def main():
    listen()
    print("ready", flush=True)
    inside = Inside()
    for line in sys.stdin:
        threading.Thread(target=inside.answer, args=(json.loads(line),), daemon=True).start()


if __name__ == "__main__":
    main()
