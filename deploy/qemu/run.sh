#!/bin/sh
# A machine by hand, with a tap that is never open: made down, bound, and only then set up.
# usage: run.sh ENI TAP MAC BRIDGE [options of qemu…]
set -eu
eni=$1 tap=$2 mac=$3 bridge=$4
shift 4
sekimori=${SEKIMORI_BINARY:-sekimori}
ip tuntap add "$tap" mode tap vnet_hdr
trap '"$sekimori" eni unbind "$eni" --holder "qemu $tap" || true; ip link del "$tap"' EXIT
"$sekimori" eni bind "$eni" "$tap" --mac "$mac" --holder "qemu $tap" --wait-s 5
ip link set "$tap" master "$bridge" up
"${QEMU:-qemu-system-x86_64}" -netdev "tap,id=net0,ifname=$tap,script=no,downscript=no" \
	-device "virtio-net-pci,netdev=net0,mac=$mac" "$@"
