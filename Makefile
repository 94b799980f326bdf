# Two commands do everything: `make demo` and `make test`. Both install what they miss.
#
#   make demo     builds, then plays a security-group story with real clients and real packets
#   make test     everything that must hold, nothing skipped where it can run
#   make bench    compares with no firewall, nftables and iptables, in one run
.PHONY: demo test lint unit clients fuzz-replay bench build fmt

demo:
	demo/setup.sh
	demo/run.sh

test: setup lint unit clients

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

clients: build
	tools/as-root.sh tests/clients/run.sh

build:
	cargo build --release --locked -p sekimori-cli

bench:
	bench/run.sh

fmt:
	cargo fmt --all
