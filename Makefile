# Two commands do everything: `make demo` and `make test`. Both install what they miss.
#
#   make demo     builds, then plays a security-group story with real clients and real packets
#   make test     everything that must hold, nothing skipped where it can run
#   make soak     ten minutes of traffic, floods, changes, kills and restarts at once; a minute of it is in `make test`
#   make bench    compares with no firewall, nftables and iptables, in one run
.PHONY: demo test lint unit clients fuzz-replay soak short-soak bench build fmt

demo:
	demo/setup.sh
	demo/run.sh

# The clients are installed while the rest is built: `clients` waits for it, and does it again if it has failed.
test: setup
	mkdir -p target
	tools/as-root.sh tests/clients/install.sh >target/clients-install.log 2>&1 &
	$(MAKE) lint unit clients short-soak

.PHONY: setup
setup:
	tools/setup.sh

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --document-private-items
	tools/check-dependencies.py

# As root, because real packets need namespaces; without it those tests say what they skip.
unit:
	tools/as-root.sh cargo test --workspace --locked

# With the binary of the unit tests, which are built already. `make demo` and `make bench` run the optimized one.
clients:
	tools/as-root.sh cargo test --workspace --locked --no-run
	tools/as-root.sh tests/clients/run.sh

# SEKIMORI_SOAK_SECONDS and SEKIMORI_SOAK_SEED say how long, and which choices.
soak:
	cargo build --release --locked -p sekimori-cli -p sekimori-bench
	tools/as-root.sh target/release/sekimori-soak

# With the binary of the unit tests, which checks itself for overflows and broken assumptions.
short-soak:
	cargo build --workspace --locked
	tools/as-root.sh target/debug/sekimori-soak --seconds 60

build:
	cargo build --release --locked -p sekimori-cli

bench:
	bench/run.sh

fmt:
	cargo fmt --all
