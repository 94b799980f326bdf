#!/usr/bin/env bash
# Real, unmodified clients against a running `sekimori up`. Installs them, starts a server, runs the tests, takes
# everything away, and fails if anything is left. Further arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=tests/clients
# The unit tests' own: it checks itself for overflows and broken assumptions.
binary=${SEKIMORI_BINARY:-$PWD/target/debug/sekimori}

if [ "$(id -u)" != 0 ]; then
  if [ "${SEKIMORI_REQUIRE_ALL:-}" = 1 ] || [ "${CI:-}" = true ]; then
    echo "tests/clients: namespaces and eBPF need root, and nothing may be skipped here" >&2
    exit 1
  fi
  echo "SKIPPED: tests/clients needs root; run it with sudo to see real clients against a real server" >&2
  exit 0
fi
if [ ! -x "$binary" ]; then
  echo "tests/clients: there is no $binary; use \`make clients\`, which builds it" >&2
  exit 1
fi

$here/install.sh
python=$PWD/target/clients-venv/bin/python

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
