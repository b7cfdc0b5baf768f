# Two commands matter: `make demo` shows a login from end to end, `make test` proves it.
CARGO ?= cargo
COMPONENT = --target wasm32-unknown-unknown --profile component

# Mail servers and chroot(8) want root: programs are built by whoever calls, and run through sudo by anybody but root.
ifneq ($(shell id -u),0)
SUDO = sudo -E
RUN = --config 'target."cfg(unix)".runner="$(SUDO)"'
endif

# Tests and demo run the programs, which "cargo test" does not build for another package. With the tests, so that every
# command chooses the same features: a build of the programs alone would compile wasmtime a second time.
BUILD = $(CARGO) build --locked --bins --tests

.PHONY: demo test bench fuzz lint prepare

demo:
	@sh tests/prepare.sh demo
	$(BUILD)
	$(SUDO) $(or $(CARGO_TARGET_DIR),target)/debug/octroi-demo

test: prepare
	$(BUILD)
	$(CARGO) $(RUN) test --locked

# The benchmarks build the sidecar that they measure by themselves.
bench:
	@sh tests/prepare.sh bench
	$(CARGO) $(RUN) bench --locked -p octroi-tests --bench bench

# TIME seconds for each target of tests/fuzz, or for those that TARGETS names.
TIME = 60
fuzz:
	@sh tests/prepare.sh fuzz
	@sh tests/fuzz/run.sh $(TIME) $(TARGETS)

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked -p octroi-policy $(COMPONENT) -- -D warnings
	$(CARGO) clippy --locked -p octroi-guests --examples $(COMPONENT) -- -D warnings

# Says what it installs before it does, and starts none of it.
prepare:
	@sh tests/prepare.sh
