# Two commands do everything on a fresh machine with Python >= 3.11 and Rust: `make demo` and `make test`.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUST_SOURCES := $(wildcard kernels/src/*.rs kernels/src/*/*.rs) kernels/Cargo.toml kernels/Cargo.lock

.PHONY: demo test check audit bench fuzz kernels clean

demo: $(VENV)/.built
	$(BIN)/cleanroom demo

test: check
	$(BIN)/python -m pytest --quiet

check: $(VENV)/.built
	$(BIN)/ruff check .
	$(BIN)/ruff check protocols cli
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff format --check --quiet protocols cli
	$(BIN)/mypy
	$(BIN)/mypy -p benchmarks
	$(BIN)/mypy -p fuzz
	$(BIN)/mypy -p tools
	$(BIN)/python tools/vectors.py --check
	cd kernels && cargo fmt --check
	cd kernels && cargo clippy --release --all-targets -- -D warnings
	cd kernels && cargo test --release --no-default-features
	cd kernels && $(PORTABLE) cargo test --release --no-default-features --features portable --target-dir target/portable

# No path that asks for more than the base of the target, in this crate and in those that choose by themselves.
PORTABLE := CLEANROOM_INSTRUCTIONS=portable RUSTFLAGS='--cfg aes_force_soft --cfg curve25519_dalek_backend="serial"'

# Licences, bans and sources of crates; known weaknesses where a scanner is installed. Says what could not run.
audit: $(VENV)/.built
	$(BIN)/python -m tools.dependency_audit
	$(BIN)/python -m tools.sbom --check

# Peers run beside ours where $PEERS_DIR says that they are installed; the others are skipped, with one line each.
# About 25 minutes on two idle cores; each line runs alone, too, and docs/reference/benchmarks.md says what it measures; PAGE=docs/reference/benchmarks.md puts the tables there.
bench: PUT := $(if $(PAGE),--page $(PAGE))
bench: $(VENV)/.built
	$(BIN)/python -m benchmarks.floors
	$(BIN)/python -m benchmarks.start
	$(BIN)/python -m benchmarks.prepare $(PUT)
	$(BIN)/python -m benchmarks.peers $(PUT)
	$(BIN)/python -m benchmarks.growth $(PUT)
	$(BIN)/python -m benchmarks.wan $(PUT)

# Every decoder under a coverage-guided engine, so many seconds each; docs/how-to/fuzz.md has the rest.
FUZZ_SECONDS ?= 60
fuzz: $(VENV)/.built
	$(BIN)/pip install --quiet --editable '.[fuzz]'
	$(BIN)/python -m fuzz --seconds $(FUZZ_SECONDS)

kernels: $(VENV)/.built

$(VENV)/.built: pyproject.toml $(RUST_SOURCES)
	$(PYTHON) -m venv $(VENV)
	rm -rf build
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable '.[demo,dev]'
	touch $@

clean:
	rm -rf build dist $(VENV) kernels/target cleanroom/*.so *.egg-info
