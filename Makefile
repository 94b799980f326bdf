# Two commands do everything: `make demo` and `make test`. Both install what they miss.
#
#   make demo     builds, then plays a security-group story with real clients and real packets
#   make test     everything that must hold, nothing skipped where it can run
#   make bench    compares with no firewall, nftables and iptables, in one run
.PHONY: demo test lint unit clients fuzz-replay bench build fmt

demo:
	demo/setup.sh
	demo/run.sh

# The clients are installed while the rest is built: `clients` waits for it, and does it again if it has failed.
test: setup
	mkdir -p target
	tools/as-root.sh tests/clients/install.sh >target/clients-install.log 2>&1 &
	$(MAKE) lint unit clients

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

build:
	cargo build --release --locked -p sekimori-cli

bench:
	bench/run.sh

fmt:
	cargo fmt --all
