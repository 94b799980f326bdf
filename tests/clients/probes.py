"""Packets between namespaces: a listener in one, attempts from another. Every attempt is a connection of its own."""

import subprocess
import sys

PATIENCE_S = 1.0
# Answers every connection with one line, for ever; says so once it listens.
LISTEN = """
import socket, sys
server = socket.create_server(("0.0.0.0", int(sys.argv[1])), backlog=128)
print("ready", flush=True)
while True:
    connection, _ = server.accept()
    connection.sendall(b"hello")
    connection.close()
"""
CONNECT = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=float(sys.argv[3])) as connection:
    sys.exit(0 if connection.recv(5) == b"hello" else 1)
"""


def inside(namespace, program, *words):
    return ["ip", "netns", "exec", namespace, sys.executable, "-c", program, *map(str, words)]


class Listeners:
    """Programs that answer on ports of a namespace, until the end of the `with`."""

    def __init__(self, namespace, *ports):
        self.programs = [
            subprocess.Popen(inside(namespace, LISTEN, port), stdout=subprocess.PIPE, text=True) for port in ports
        ]

    def __enter__(self):
        for program in self.programs:
            assert program.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *_):
        for program in self.programs:
            program.kill()
            program.wait()


def reaches(namespace, address, port):
    """Whether a new connection gets through and brings the answer back."""
    words = inside(namespace, CONNECT, address, port, PATIENCE_S)
    done = subprocess.run(words, stderr=subprocess.PIPE, text=True, timeout=30)
    assert done.returncode == 0 or "timed out" in done.stderr, done.stderr
    return done.returncode == 0
