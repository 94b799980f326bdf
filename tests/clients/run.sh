#!/usr/bin/env bash
# Real, unmodified clients against a running `sekimori up`. Installs them, starts a server, runs the tests, takes
# everything away, and fails if anything is left. Further arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=tests/clients
venv=target/clients-venv
binary=${SEKIMORI_BINARY:-$PWD/target/release/sekimori}

if [ "$(id -u)" != 0 ]; then
  if [ "${SEKIMORI_REQUIRE_ALL:-}" = 1 ] || [ "${CI:-}" = true ]; then
    echo "tests/clients: namespaces and eBPF need root, and nothing may be skipped here" >&2
    exit 1
  fi
  echo "SKIPPED: tests/clients needs root; run it with sudo to see real clients against a real server" >&2
  exit 0
fi
if [ ! -x "$binary" ]; then
  echo "tests/clients: there is no $binary; run \`make build\` first" >&2
  exit 1
fi

# A virtual environment, made again when its requirements have changed.
environment() {
  local folder=$1 requirements=$2 wanted
  wanted=$(sha256sum "$requirements")
  if [ "$(cat "$folder/requirements.sha256" 2>/dev/null)" != "$wanted" ]; then
    rm -rf "$folder"
    python3 -m venv "$folder"
    "$folder/bin/pip" install --quiet -r "$requirements"
    echo "$wanted" >"$folder/requirements.sha256"
  fi
}
environment $venv $here/requirements.txt
# Tools that want other versions of the same libraries: each by itself.
making=()
for tool in ansible custodian terraform; do
  environment target/clients-tools/$tool $here/tools/$tool.txt &
  making+=($!)
done
for one in "${making[@]}"; do
  wait "$one"
done
python=$PWD/$venv/bin/python

# The Node SDKs, as the lock file has them. Their folder is outside the sources; the bridge runs in it.
node=target/clients-node
if ! command -v npm >/dev/null; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nodejs npm >/dev/null
fi
wanted=$(sha256sum $here/node/package-lock.json)
if [ "$(cat $node/lock.sha256 2>/dev/null)" != "$wanted" ]; then
  rm -rf $node
  mkdir -p $node
  cp $here/node/package.json $here/node/package-lock.json $node/
  npm ci --prefix $node --no-audit --no-fund --silent
  echo "$wanted" >$node/lock.sha256
fi
cp $here/node/bridge.mjs $node/

scratch=$(mktemp -d -t sekimori-clients.XXXXXX)
# The server's own user must be able to reach its part of the data directory.
chmod 755 "$scratch"
data=$scratch/data
up=

finish() {
  status=$?
  trap - EXIT
  if [ -n "$up" ] && kill -0 "$up" 2>/dev/null; then
    kill -TERM "$up"
    wait "$up" || status=1
  fi
  "$python" $here/leftovers.py remember "$data" "$scratch/names" || status=1
  "$binary" down --data-dir "$data" >/dev/null || status=1
  "$python" $here/leftovers.py check "$data" "$scratch/names" || status=1
  if [ "$status" != 0 ]; then
    echo "--- the server said" >&2
    tail -n 60 "$scratch/up.log" >&2
  fi
  rm -rf "$scratch"
  exit "$status"
}
trap finish EXIT

"$binary" up --data-dir "$data" --listen 127.0.0.1:0 >"$scratch/up.log" 2>&1 &
up=$!
export SEKIMORI_CLIENTS_SCRATCH=$scratch SEKIMORI_CLIENTS_DATA_DIR=$data SEKIMORI_CLIENTS_UP=$up
export SEKIMORI_BINARY=$binary PYTHONDONTWRITEBYTECODE=1
"$python" -m pytest -q -p no:cacheprovider --rootdir $here "$@" $here
