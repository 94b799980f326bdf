#!/usr/bin/env bash
# Measures everything on this machine: `make bench`, or `bench/run.sh --quick` for a look. Needs root; installs
# what it misses; leaves nothing behind but bench/results/.
set -euo pipefail
cd "$(dirname "$0")/.."

sudo=()
[ "$(id -u)" = 0 ] || sudo=(sudo)

missing=()
command -v nft >/dev/null || missing+=(nftables)
command -v iptables >/dev/null || missing+=(iptables)
command -v clang >/dev/null || missing+=(clang)
python3 -m ensurepip --version >/dev/null 2>&1 || missing+=(python3-venv)
[ -e /usr/include/bpf/bpf_helpers.h ] || missing+=(libbpf-dev)
if [ ${#missing[@]} -gt 0 ]; then
	"${sudo[@]}" apt-get update -qq
	"${sudo[@]}" apt-get install -y -qq "${missing[@]}"
fi

cargo build --release --locked -p sekimori-bench -p sekimori-cli

# The server that the control plane is compared with.
venv=target/bench-venv
if ! [ bench/requirements.txt -ot "$venv/made" ]; then
	rm -rf "$venv"
	python3 -m venv "$venv"
	"$venv/bin/pip" install --quiet -r bench/requirements.txt
	touch "$venv/made"
fi
"${sudo[@]}" target/release/sekimori-bench "$@"
