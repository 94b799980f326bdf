#!/usr/bin/env bash
# Installs the real clients below target/, where they are missing or other ones are wanted. Several may call it at the same time:
# one installs, the others wait.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=tests/clients
mkdir -p target
exec 9>target/clients.lock
flock 9

# A virtual environment, made again when its requirements have changed. Further arguments go to pip.
environment() {
  local folder=$1 requirements=$2 wanted
  shift 2
  wanted=$(sha256sum "$requirements")
  if [ "$(cat "$folder/requirements.sha256" 2>/dev/null)" != "$wanted" ]; then
    rm -rf "$folder"
    python3 -m venv "$folder"
    "$folder/bin/pip" install --quiet -r "$requirements" "$@"
    echo "$wanted" >"$folder/requirements.sha256"
  fi
}
environment target/clients-venv $here/requirements.txt
# Tools that want other versions of the same libraries: each by itself.
making=()
for tool in ansible custodian terraform; do
  environment target/clients-tools/$tool $here/tools/$tool.txt &
  making+=($!)
done
environment target/clients-tools/prowler $here/tools/prowler.txt --no-deps --no-compile &
making+=($!)
for one in "${making[@]}"; do
  wait "$one"
done

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
