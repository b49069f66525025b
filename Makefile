# make demo   watch a lending market fall and the keeper liquidate it (no wallet, no key, no network after the first time)
# make test   everything, in its quick size; forge first        make prove / make soak   the same tests, full counts / hours
# make check  style, types, layers, house rules                 make bench / make audit / make contracts / make lock / make clean

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
STAMPS := .stamps
FORGE := $(CURDIR)/tools/forge

.NOTPARALLEL:
.PHONY: help demo test prove soak check contracts bench audit lock clean
help:
	@sed -n '1,3s/^# //p' Makefile

# --- what the others stand on --------------------------------------------------------------------------------------

# One virtual environment; the runtime's packages are a subset of the developers', so that either stamp may come first.
# uv when it is on PATH (seconds), else pip. Every package is checked against its hash.
define install
	@test -n "$(PYTHON)" || { echo "keeper needs Python 3.11 or newer on PATH" >&2; exit 1; }
	@if command -v uv >/dev/null; then \
		test -x $(BIN)/python || uv venv --quiet --python "$$(command -v $(PYTHON))" $(VENV); \
		uv pip install --quiet --python $(BIN)/python --require-hashes -r $(1); \
		uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .; \
	else \
		test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV); \
		$(BIN)/python -m ensurepip >/dev/null 2>&1 || true; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(1); \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .; \
	fi
	@mkdir -p $(STAMPS) && touch $@
endef

$(STAMPS)/runtime: requirements.lock pyproject.toml
	$(call install,requirements.lock)

$(STAMPS)/dev: requirements-dev.lock pyproject.toml
	$(call install,requirements-dev.lock)
	@touch $(STAMPS)/runtime

$(STAMPS)/npm: package-lock.json package.json
	@npm ci --silent --no-audit --no-fund
	@mkdir -p $(STAMPS) && touch $@

# $KEEPER_ANVIL, PATH, Foundry's folder or tools/: the first that runs; fetched into tools/ when none does.
$(STAMPS)/anvil: scripts/fetch_tools.py $(STAMPS)/runtime
	@$(BIN)/python -m keeper.devnet.binary >/dev/null
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/forge: scripts/fetch_tools.py $(STAMPS)/runtime
	@$(BIN)/python scripts/fetch_tools.py forge >/dev/null; mkdir -p $(STAMPS); touch $@

# Aave V3.6 and Morpho have no artifacts on npm: compiled into .cache/ once, a minute.
$(STAMPS)/fixtures: scripts/compile_fixtures.py contracts/test/support/LiquidationProbe.sol $(STAMPS)/npm $(STAMPS)/runtime
	@$(BIN)/python scripts/compile_fixtures.py
	@mkdir -p $(STAMPS) && touch $@

# --- what people type ----------------------------------------------------------------------------------------------

demo: $(STAMPS)/runtime $(STAMPS)/anvil
	@$(BIN)/keeper demo

# The native forge runs first, and a failing contract test stops everything that follows.
test: $(STAMPS)/dev $(STAMPS)/npm $(STAMPS)/fixtures $(STAMPS)/anvil $(STAMPS)/forge
	cd contracts && "$(FORGE)" test --offline
	$(BIN)/python -m pytest -n 2 --dist worksteal

prove: $(STAMPS)/dev $(STAMPS)/npm $(STAMPS)/fixtures $(STAMPS)/anvil $(STAMPS)/forge
	cd contracts && FOUNDRY_PROFILE=prove "$(FORGE)" test --offline
	KEEPER_TEST_SIZE=prove $(BIN)/python -m pytest --timeout 7200

soak: $(STAMPS)/dev $(STAMPS)/npm $(STAMPS)/fixtures $(STAMPS)/anvil $(STAMPS)/forge
	cd contracts && FOUNDRY_PROFILE=soak "$(FORGE)" test --offline
	KEEPER_TEST_SIZE=soak $(BIN)/python -m pytest --timeout 86400

check: $(STAMPS)/dev $(STAMPS)/npm $(STAMPS)/forge
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/test_repo.py
	cd contracts && "$(FORGE)" lint
	$(BIN)/codespell

contracts: $(STAMPS)/dev $(STAMPS)/npm
	$(BIN)/python scripts/compile_contracts.py

bench: $(STAMPS)/dev $(STAMPS)/anvil
	$(BIN)/python -m bench

# Supply chain, as far as it can be shown without asking anybody: every locked package carries hashes and no host name,
# what is installed is what is locked, npm's lock carries a digest per package, and the committed bytecode is
# what the pinned compiler makes of the sources. It is no scan for known vulnerabilities.
# Then the contracts: slither with slitherin, semgrep with our own rules, and halmos' proofs. A minute or two.
AUDITORS := slither halmos semgrep
audit: $(STAMPS)/dev $(STAMPS)/npm $(STAMPS)/forge $(AUDITORS:%=$(STAMPS)/audit-%)
	$(BIN)/python scripts/audit_locks.py
	$(BIN)/python scripts/compile_contracts.py --check
	$(BIN)/python scripts/audit.py

# Each in an environment of its own: they do not resolve together with what the keeper itself needs.
$(STAMPS)/audit-%: requirements-audit-%.lock $(STAMPS)/runtime
	@rm -rf .cache/audit-$* && mkdir -p .cache
	@if command -v uv >/dev/null; then \
		uv venv --quiet --python $(BIN)/python .cache/audit-$*; \
		uv pip install --quiet --python .cache/audit-$*/bin/python --require-hashes -r $<; \
	else \
		$(BIN)/python -m venv .cache/audit-$*; \
		.cache/audit-$*/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<; \
	fi
	@touch $@

lock:
	@command -v uv >/dev/null || { echo "make lock needs uv on PATH" >&2; exit 1; }
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--extra build pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--extra build --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock
	for tools in "slither-analyzer slitherin" halmos semgrep; do printf '%s\n' $$tools | \
		uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		- -o "requirements-audit-$$(echo "$$tools" | sed 's/[- ].*//').lock"; done

clean:
	rm -rf $(VENV) $(STAMPS) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist \
		node_modules tools contracts/out contracts/cache
