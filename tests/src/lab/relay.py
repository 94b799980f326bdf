"""Plays the machine behind a tap: what the tap gets goes to a device of a namespace, and the other way round.

usage: relay.py TAP NAMESPACE DEVICE, in the tap's namespace. Prints a line when it runs.
"""

import ctypes
import fcntl
import os
import select
import socket
import struct
import sys

TUNSETIFF, TAP, NO_PI, VNET_HEADER = 0x400454CA, 0x0002, 0x1000, 0x4000
SOL_PACKET, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING, ETH_P_ALL = 263, 15, 23, 3
CLONE_NEWNET = 0x40000000
FRAME_BYTES_MAX = 65_536 + 64

tap_name, namespace, device = sys.argv[1:]
tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", tap_name.encode(), TAP | NO_PI | VNET_HEADER))
with open(f"/run/netns/{namespace}") as inside:
    if ctypes.CDLL(None, use_errno=True).setns(inside.fileno(), CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "cannot enter the namespace")
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
# Frames carry a header that says which checksum is still to be made, on both sides the same.
wire.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
wire.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
wire.bind((device, 0))
wire.setblocking(False)
print("running", flush=True)

while True:
    for ready in select.select([tap, wire], [], [])[0]:
        try:
            if ready is wire:
                os.write(tap, wire.recv(FRAME_BYTES_MAX))
            else:
                wire.send(os.read(tap, FRAME_BYTES_MAX))
        except OSError:
            # A full queue, or a device that is down: the frame is lost, as on any wire.
            continue
