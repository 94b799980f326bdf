#!/usr/bin/env bash
# Plays the demo as root. `demo/run.sh --keep` leaves everything running and says how to use it.
set -euo pipefail
cd "$(dirname "$0")/.."
root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "demo: namespaces and eBPF need root; run it as root, or install sudo" >&2
    exit 1
  fi
  root=(sudo)
fi
exec ${root[@]+"${root[@]}"} env PYTHONDONTWRITEBYTECODE=1 target/venv/bin/python demo/demo.py "$@"
