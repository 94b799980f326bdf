#!/usr/bin/env bash
# Installs what the demo misses, builds the release binary, and makes the demo's Python environment.
set -euo pipefail
cd "$(dirname "$0")/.."

# Rust needs a linker; everything else that is built or used is in tools/setup.sh.
if ! command -v cc >/dev/null; then
  echo "demo: installing gcc and libc6-dev"
  sudo=""
  if [ "$(id -u)" -ne 0 ]; then sudo="sudo"; fi
  $sudo apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends gcc libc6-dev >/dev/null
fi
tools/setup.sh

echo "demo: building the release binary"
cargo build --release --locked --quiet -p sekimori-cli

# Made again when the requirements have changed, and only then.
venv=target/venv
stamp=$venv/requirements.sha256
wanted=$(sha256sum demo/requirements.txt)
if [ "$(cat $stamp 2>/dev/null)" != "$wanted" ]; then
  echo "demo: installing the Alibaba Cloud SDK into $venv"
  rm -rf $venv
  python3 -m venv $venv
  $venv/bin/pip install --quiet --disable-pip-version-check -r demo/requirements.txt
  echo "$wanted" >$stamp
fi
