# rondo: one loop. `make` lists the targets; `make check` is all of CI.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.PHONY: help run build test check fmt clippy smoke tidy bench bench-peers compat sim fuzz miri docs clients crash equivalence clean

CARGO ?= cargo
# mimalloc cuts small blocks from pages of 128 KiB instead of 64: what a page leaves over at its end, 61 bytes for each block of
# 2,560, is 10 bytes then. Checked by tests/ds/block_size.rs.
export CFLAGS := $(CFLAGS) -DMI_ARENA_SLICE_SHIFT=17
# The port and the folder of `make run`.
PORT ?= 6379
DATA ?= data
# One bench by its name (the file's in benches/), or all of them.
NAME ?=
BENCH_DIR ?= ../shared/bench
COMPAT_DIR ?= ../shared/compat
COMPAT_PORT ?= 7379
SIM_SEEDS ?= 10000
KILLS ?= 200
EQUIVALENCE_SECONDS ?= 600
# Half of the suite's time is waiting for the disk: of four tests at once two cores are busy (158 s instead of 266).
TEST_THREADS ?= $(shell n=$$(nproc); echo $$((n < 4 ? 4 : n)))
# A fuzz target by its name (fuzz/fuzz_targets/), or the first letters of several; seconds for each.
ROOM ?=
FUZZ_SECONDS ?= 60

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## build for release and serve on port 6379 (PORT=), data in ./data (DATA=), default configuration
	@mkdir -p "$(DATA)"
	exec target/release/rondo --port $(PORT) --dir "$(DATA)"

build:
	$(CARGO) build --release --locked

test: ## every test of the suite (three to five minutes once built on two cores)
	$(CARGO) test --locked --test tests -- --test-threads=$(TEST_THREADS)

check: fmt clippy test smoke ## all of CI: format, lints as errors, tests (tidy is one), every bench at smoke size

fmt:
	$(CARGO) fmt --check

clippy:
	$(CARGO) clippy --locked --all-targets -- -D warnings

smoke:
	$(CARGO) test --locked --benches

tidy: ## layers, unsafe rooms and sizes only
	$(CARGO) test --locked --test tests tidy::

bench: ## measure: all benches, or one with NAME=; host settings in tuning/host.md
	$(CARGO) bench --locked $(if $(NAME),--bench $(NAME),--benches)

bench-peers: build ## rondo beside redis-server under memtier_benchmark, server CPU per request (BENCH_DIR=, BENCH_ARGS=)
	@if [ ! -f "$(BENCH_DIR)/cpuop.py" ]; then \
		echo "bench-peers: no cpuop.py in $(BENCH_DIR); name its folder with BENCH_DIR=" >&2; exit 1; fi
	@for tool in redis-server memtier_benchmark; do \
		command -v $$tool >/dev/null || { echo "bench-peers: $$tool is not on the PATH" >&2; exit 1; }; done
	python3 "$(BENCH_DIR)/cpuop.py" \
		--server 'redis=redis-server --port {port} --save "" --appendonly no' \
		--server 'rondo=target/release/rondo --threads 1 --port {port} --dir {dir}' $(BENCH_ARGS)

compat: build ## public client suites against the built server (COMPAT_DIR=, COMPAT_ARGS=)
	@if [ ! -x "$(COMPAT_DIR)/redis-tcl.sh" ]; then \
		echo "compat: no redis-tcl.sh in $(COMPAT_DIR); name the folder of the suites with COMPAT_DIR=" >&2; exit 1; fi
	"$(COMPAT_DIR)/redis-tcl.sh" --port $(COMPAT_PORT) $(COMPAT_ARGS) --start-cmd '$(CURDIR)/target/release/rondo \
		--port {port} --dir {dir} --enable-debug-command yes --enable-protected-configs yes --save ""'

sim: ## many shards in one thread, seeded: histories are strictly serialisable (SEED= for one, SIM_SEEDS=10000)
	$(if $(SEED),SEED=$(SEED),SIM_SEEDS=$(SIM_SEEDS)) $(CARGO) test --locked --test tests sim:: -- --nocapture

# The flags are those of cargo-fuzz, so that nothing but a nightly toolchain is needed.
# Lua raises its errors by a jump on stacks of its own, which the address sanitizer takes for an overflow.
fuzz: ## each fuzz target for FUZZ_SECONDS=60, or those named by ROOM=; needs a nightly toolchain and a C++ compiler
	@$(CARGO) +nightly --version >/dev/null 2>&1 || { \
		echo "fuzz: no nightly toolchain; rustup toolchain install nightly --profile minimal" >&2; exit 1; }
	@found=0; for file in fuzz/fuzz_targets/$(ROOM)*.rs; do \
		[ -f "$$file" ] || continue; found=1; name=$$(basename "$$file" .rs); mkdir -p "fuzz/corpus/$$name" "fuzz/artifacts/$$name"; \
		echo "fuzz: $$name for $(FUZZ_SECONDS) s"; \
		case $$(cat "$$file") in *"mod script_host"*) sanitizer= ;; *) sanitizer=-Zsanitizer=address ;; esac; \
		RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
			-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
			-Cllvm-args=-sanitizer-coverage-trace-compares $$sanitizer" \
		$(CARGO) +nightly run --release --manifest-path fuzz/Cargo.toml --target x86_64-unknown-linux-gnu --bin "$$name" -- \
			-max_total_time=$(FUZZ_SECONDS) -artifact_prefix="fuzz/artifacts/$$name/" "fuzz/corpus/$$name"; \
	done; [ $$found = 1 ] || { echo "fuzz: no target fuzz/fuzz_targets/$(ROOM)*.rs" >&2; exit 1; }

miri: ## the tests of the unsafe data structures under Miri; needs nightly with the miri component
	@$(CARGO) +nightly miri --version >/dev/null 2>&1 || { \
		echo "miri: rustup toolchain install nightly --component miri,rust-src" >&2; exit 1; }
	MIRIFLAGS="-Zmiri-disable-isolation" $(CARGO) +nightly miri test --locked --test tests ds::

# Pictures in headers are indented, which rustdoc would read as Rust.
docs: ## the crate's documentation, private items included, warnings as errors; opens nothing
	RUSTDOCFLAGS="-D warnings -A rustdoc::invalid_rust_codeblocks" $(CARGO) doc --locked --no-deps --document-private-items
	@echo "target/doc/rondo/index.html"

crash: build ## kill -9 under load 200 times by each policy, each time checked (KILLS=200)
	tuning/crash.py target/release/rondo --policy always --kills $(KILLS) --dir target/crash
	tuning/crash.py target/release/rondo --policy everysec --kills $(KILLS) --dir target/crash

equivalence: build ## random commands of every kind, restarts, and what is there compared with what was (EQUIVALENCE_SECONDS=600, SEED=)
	@mkdir -p target/equivalence
	tuning/equivalence.py --binary target/release/rondo --seconds $(EQUIVALENCE_SECONDS) $(if $(SEED),--seed $(SEED)) --dir target/equivalence

clients: build ## redis-py, ioredis, Sidekiq and applications against a 4-core server; installs what pip and npm have under tests/clients/.env
	tests/clients/run.sh target/release/rondo

clean:
	$(CARGO) clean
