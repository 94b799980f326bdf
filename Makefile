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

# The clients are installed while the rest is built: `clients` waits for it, and does it again if it has failed. What waits for packets and
# what waits for clients leave the machine to each other; each part says what it has to say when it has ended.
test: setup
	mkdir -p target
	tools/as-root.sh tests/clients/install.sh >target/clients-install.log 2>&1 &
	$(MAKE) lint
	$(MAKE) --jobs=2 --output-sync=target unit clients short-soak

.PHONY: setup
setup:
	tools/setup.sh

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --document-private-items
	tools/check-dependencies.py

# Cargo would ask make how many jobs it may run, and make cannot be asked through these scripts.
alone = env -u MAKEFLAGS -u MFLAGS

# As root, because real packets need namespaces; without it those tests say what they skip. Most of the time they wait for packets and timeouts, so more
# of them run at a time than there are processors.
unit:
	$(alone) tools/as-root.sh env RUST_TEST_THREADS=$${RUST_TEST_THREADS:-4} cargo test --workspace --locked

# With the binary of the unit tests, which are built already. `make demo` and `make bench` run the optimized one.
clients:
	$(alone) tools/as-root.sh cargo test --workspace --locked --no-run
	$(alone) tools/as-root.sh tests/clients/run.sh

# SEKIMORI_SOAK_SECONDS and SEKIMORI_SOAK_SEED say how long, and which choices.
soak:
	cargo build --release --locked -p sekimori-cli -p sekimori-bench
	tools/as-root.sh target/release/sekimori-soak

# With the binary of the unit tests, which checks itself for overflows and broken assumptions.
short-soak:
	$(alone) cargo build --workspace --locked
	$(alone) tools/as-root.sh target/debug/sekimori-soak --seconds 60

build:
	cargo build --release --locked -p sekimori-cli

bench:
	bench/run.sh

fmt:
	cargo fmt --all
