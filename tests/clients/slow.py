"""Clients that are slow, or that stop in the middle."""

import contextlib
import socket
import threading
import time

# The server's own bounds (crates/server/src/http): a head must be there after the first, a body after the second.
HEAD_S = 10
BODY_S = 20
SPARE_S = 15
SILENT = 3


class SlowClients:
    """Open connections, by what they do."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.address = host, int(port)
        self.opened_at = time.monotonic()
        self.done = threading.Event()
        self.silent = [self.open(b"") for _ in range(SILENT)]
        self.half_a_head = [self.open(b"GET / HTTP/1.1\r\nhost: x\r\nx-half") for _ in range(SILENT)]
        self.half_a_body = self.open(b"POST /?Format=JSON HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf")
        self.trickle = self.open(b"GET / HTTP/1.1\r\nhost: x\r\nx-long: ")
        threading.Thread(target=self.drip, daemon=True).start()

    def open(self, begins_with):
        connection = socket.create_connection(self.address, timeout=HEAD_S + BODY_S + SPARE_S)
        connection.sendall(begins_with)
        return connection

    def drip(self):
        """One byte a second: slow, but never idle."""
        with contextlib.suppress(OSError):
            while not self.done.wait(1):
                self.trickle.sendall(b"x")

    def everyone(self):
        return [*self.silent, *self.half_a_head, self.half_a_body, self.trickle]

    def close(self):
        self.done.set()
        for connection in self.everyone():
            connection.close()


def rest_of(connection, until_s):
    """Everything that still comes, up to the end of the connection; fails if the end does not come in time."""
    received = b""
    while True:
        connection.settimeout(max(0.1, until_s - time.monotonic()))
        try:
            more = connection.recv(65_536)
        except ConnectionResetError:
            return received
        if not more:
            return received
        received += more
