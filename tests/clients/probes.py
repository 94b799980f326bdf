"""Packets between namespaces: listeners in one, attempts from another. Every attempt is a flow of its own."""

import json
import subprocess
import sys

PATIENCE_S = 1.0
# What listeners say unless told otherwise.
GREETING = "hello"
# Greets every connection and every datagram on its ports, and sends back what a connection says; for ever. Says so once it
# listens.
LISTEN = """
import socket, sys, threading
greeting, both = sys.argv[1].encode(), socket.has_dualstack_ipv6()
family = socket.AF_INET6 if both else socket.AF_INET

def converse(connection):
    with connection:
        connection.sendall(greeting)
        while said := connection.recv(64):
            connection.sendall(said)

def streams(server):
    while True:
        connection, _ = server.accept()
        threading.Thread(target=converse, args=(connection,), daemon=True).start()

def datagrams(server):
    while True:
        _, peer = server.recvfrom(64)
        server.sendto(greeting, peer)

def opened(kind, port):
    if kind == "tcp":
        return streams, socket.create_server(("", port), family=family, backlog=128, dualstack_ipv6=both)
    server = socket.socket(family, socket.SOCK_DGRAM)
    if both:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    server.bind(("", port))
    return datagrams, server

services = [word.split("/") for word in sys.argv[2:]]
loops = [opened(kind, int(port)) for kind, port in services]
print("ready", flush=True)
for loop, server in loops:
    threading.Thread(target=loop, args=(server,)).start()
"""
# Tries services of an address at once; prints which of them were greeted. Silence is no answer, everything else an error.
TRY = """
import json, os, socket, struct, sys
from concurrent.futures import ThreadPoolExecutor
address, source, greeting, patience_s = sys.argv[1], sys.argv[2], sys.argv[3].encode(), float(sys.argv[4])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
own = [(source, 0)] if source else []

def tcp(port):
    with socket.create_connection((address, port), patience_s, *own) as connection:
        return connection.recv(64) == greeting

def udp(port):
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.settimeout(patience_s)
        for place in own:
            client.bind(place)
        client.connect((address, port))
        client.send(b"?")
        return client.recv(64) == greeting

def ping(_):
    is_v6 = family == socket.AF_INET6
    protocol = socket.IPPROTO_ICMPV6 if is_v6 else socket.IPPROTO_ICMP
    ask, answer, skipped = (128, 129, 0) if is_v6 else (8, 0, 20)
    number = os.getpid() & 0xFFFF
    head = struct.pack("!BBHHH", ask, 0, 0, number, 1)
    total = sum(struct.unpack("!4H", head))
    packed = struct.pack("!BBHHH", ask, 0, ~(total + (total >> 16)) & 0xFFFF, number, 1)
    with socket.socket(family, socket.SOCK_RAW, protocol) as client:
        client.settimeout(patience_s)
        for place in own:
            client.bind(place)
        client.connect((address, 0))
        client.send(packed)
        while True:
            heard = client.recv(64)[skipped:]
            if heard[0] == answer and heard[4:6] == packed[4:6]:
                return True

def passes(service):
    kind, _, port = service.partition("/")
    try:
        return {"tcp": tcp, "udp": udp, "ping": ping}[kind](int(port or 0))
    except TimeoutError:
        return False

services = sys.argv[5:]
with ThreadPoolExecutor(len(services)) as pool:
    print(json.dumps([service for service, passed in zip(services, pool.map(passes, services)) if passed]))
"""
# A connection that stays: sends a letter for every line it reads, and prints whether it came back.
TALK = """
import socket, sys
address, port, source, patience_s = sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4])
own = [(source, 0)] if source else []
with socket.create_connection((address, port), patience_s, *own) as connection:
    connection.recv(64)
    print("open", flush=True)
    for _ in sys.stdin:
        try:
            connection.sendall(b"x")
            print("alive" if connection.recv(1) == b"x" else "ended", flush=True)
        except TimeoutError:
            print("cut", flush=True)
"""


def inside(namespace, program, *words):
    return ["ip", "netns", "exec", namespace, sys.executable, "-c", program, *map(str, words)]


class Listeners:
    """A program that answers on services of a namespace, until the end of the `with`. A number is a TCP port."""

    def __init__(self, namespace, *services, greeting=GREETING):
        words = [f"tcp/{service}" if isinstance(service, int) else service for service in services]
        command = inside(namespace, LISTEN, greeting, *words)
        self.program = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        assert self.program.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *_):
        self.program.kill()
        self.program.wait()


class Talk:
    """A connection from a namespace that stays open until the end of the `with`."""

    def __init__(self, namespace, address, port, source=""):
        words = inside(namespace, TALK, address, port, source, PATIENCE_S)
        self.program = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        assert self.program.stdout.readline() == "open\n"
        return self

    def __exit__(self, *_):
        self.program.kill()
        self.program.wait()

    def is_alive(self):
        """Whether something sent on it now comes back."""
        self.program.stdin.write("\n")
        self.program.stdin.flush()
        said = self.program.stdout.readline().strip()
        assert said in ("alive", "cut"), said
        return said == "alive"


def passes(namespace, address, *services, source="", greeting=GREETING):
    """Which of the services (`tcp/80`, `udp/53`, `ping`) a new flow reaches and is answered by."""
    words = inside(namespace, TRY, address, source, greeting, PATIENCE_S, *services)
    done = subprocess.run(words, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def reaches(namespace, address, port):
    """Whether a new connection gets through and brings the answer back."""
    return passes(namespace, address, f"tcp/{port}") != []
