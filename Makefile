# Two commands do everything: `make demo` and `make test`. Both install what they miss.
.PHONY: test fmt lint

test: lint
	cargo test --workspace --locked

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
