# Everything that is done with this project, on a developer's machine and in CI. `make` alone lists it.

VENV := .venv
BIN := $(VENV)/bin
# The oldest supported Python first: it is the one that the lock files were resolved for.
NEW_ENOUGH := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for each in python3.11 python3.12 python3.13 python3.14 python3; do \
	$$each -c '$(NEW_ENOUGH)' >/dev/null 2>&1 && echo $$each && break; \
	done)
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# An environment of its own for what works on the lock files: it shares no dependency with the gateway.
TOOLS := $(VENV)/.lock-tools
LOCKS := requirements-build.lock requirements.lock
# What is built into the package: a change of it is a reason to install anew.
SOURCES := setup.py $(shell find proxy -name '*.py') $(wildcard proxy/admin/page/*)
# What setuptools leaves in build/, beside what the tests fetch into it.
BUILT := build/lib* build/bdist* build/temp*
# Says how long each stage of `make test` took.
STAGE := .ci/stage
# One process more than there are cores: a third of the time the tests wait for something. A file's tests stay together,
# they share the processes that they start; and in their order, which has the many short ones last.
PYTEST := $(BIN)/python -m pytest -n $(shell expr $$(nproc) + 1) --dist loadfile --no-loadscope-reorder
# The suites of processes run the installed gateway anyway; these import what is compiled.
COMPILED := tests/unit/edge tests/unit/policy tests/unit/spool tests/unit/upstream tests/unit/wire \
	tests/unit/test_exchange.py tests/unit/observe/test_ledger.py tests/unit/test_build.py

COMPARE := env PYTHONPATH=nginx-compare $(BIN)/python -m comparison

.DEFAULT_GOAL := help
.PHONY: help install run test ready tools lint types layers s3-servers sql-engines browser-sdk unit compiled
.PHONY: compare compare-quick soak abuse faults fuzz lock audit sbom clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(VENV)/.installed  ## .venv with the gateway in it, from the lock files
run: $(VENV)/.installed  ## the gateway on :8080 in front of a stand-in vendor; Ctrl-C ends both
	@$(BIN)/replay-gateway demo

test:  ## every check and every test; as root it installs the programs that they need
	@$(MAKE) --no-print-directory --jobs=$(shell nproc) --output-sync ready
	@$(STAGE) pytest $(PYTEST)
	@$(STAGE) pytest-compiled $(MAKE) --no-print-directory compiled

# What the tests need, and the checks: together, since half of the time goes into one compiler and the network.
ready: $(VENV)/.installed $(VENV)/.installed-test tools lint types layers s3-servers sql-engines browser-sdk

tools:  ## the programs that the tests need: says what is missing, as root installs it
	@$(STAGE) tools .ci/tools

lint: $(VENV)/.installed-test  ## ruff: rules and format
	@$(STAGE) ruff-check $(BIN)/ruff check
	@$(STAGE) ruff-format $(BIN)/ruff format --check

types: $(VENV)/.installed-test  ## mypy, strict
	@$(STAGE) types $(BIN)/mypy

layers: $(VENV)/.installed-test  ## import-linter: which module may import which
	@$(STAGE) layers $(BIN)/lint-imports --no-logo

s3-servers: $(VENV)/.installed-test | tools
	@$(STAGE) s3-servers $(BIN)/python -m tests.s3.servers.fetch

sql-engines: $(VENV)/.installed-test | tools
	@$(STAGE) sql-engines $(BIN)/python -m tests.sql.fetch

browser-sdk: $(VENV)/.installed-test | tools
	@$(STAGE) browser-sdk $(BIN)/python -c 'from tests.browser.sdk_build import ensure_built; ensure_built()'

unit: $(VENV)/.installed-test  ## the fast tests only: no browser, no nginx, no gateway processes
	@$(PYTEST) tests/unit

compiled: $(VENV)/.installed $(VENV)/.installed-test  ## the tests of what is compiled, over the installed package
	@TEST_INSTALLED=1 $(PYTEST) $(COMPILED)

compare: $(VENV)/.installed $(VENV)/.installed-test  ## costs and behaviour beside other proxies, into nginx-compare/: 50 minutes
	@$(STAGE) costs $(COMPARE) costs
	@$(COMPARE) readme
	@$(STAGE) behaviour $(COMPARE) behaviour

soak: $(VENV)/.installed $(VENV)/.installed-test  ## an hour of usual traffic with faults and reloads; SOAK_SECONDS=3600
	@$(BIN)/python -m tests.soak.soak --seconds $(or $(SOAK_SECONDS),3600)

abuse: $(VENV)/.installed $(VENV)/.installed-test  ## visitors beside 2,000 hostile clients: two minutes
	@$(BIN)/python -m tests.abuse --connections 2000

faults: $(VENV)/.installed $(VENV)/.installed-test  ## cause each fault and write what it cost into docs/reliability.md: 4 minutes
	@$(BIN)/python -m tests.reliability --write

fuzz: $(VENV)/.installed $(VENV)/.installed-test  ## an hour's search for bytes that do harm; FUZZ_SECONDS=3600
	@$(BIN)/python -m tests.fuzz --seconds $(or $(FUZZ_SECONDS),3600)

compare-quick: $(VENV)/.installed $(VENV)/.installed-test  ## some of the costs, into build/compare: 4 minutes
	@$(COMPARE) costs --quick

lock: $(TOOLS)/.installed  ## resolve the dependencies anew and write the lock files
	@$(call compile,requirements.lock,--extra=demo --extra=jwt --extra=s3)
	@$(call compile,requirements-build.lock,--build-deps-for=wheel --only-build-deps --constraint=requirements.lock)
	@$(call compile,requirements-test.lock,--extra=demo --extra=jwt --extra=s3 --extra=test $(LOCKS:%=--constraint=%))
	@$(call compile,tests/s3/servers/swift.lock,,tests/s3/servers/swift.in)
	@$(call compile,tests/sql/engines.lock,,tests/sql/engines.in)
	@$(call compile,requirements-tools.lock,,requirements-tools.in)

audit: $(TOOLS)/.installed  ## ask the public databases for known flaws in what is locked; fails if one can't be asked
	@$(TOOLS)/bin/pip-audit --strict --require-hashes --disable-pip --progress-spinner=off $(LOCKS:%=--requirement %)

sbom: $(TOOLS)/.installed  ## build/sbom.json: what the installed gateway consists of (CycloneDX), from requirements.lock
	@mkdir -p build
	@PYTHONWARNINGS=ignore::UserWarning $(TOOLS)/bin/cyclonedx-py requirements --pyproject pyproject.toml \
		--mc-type application --spec-version 1.6 --output-format JSON --output-reproducible --validate \
		--output-file build/sbom.json requirements.lock
	@echo "build/sbom.json: $$(grep -c '"purl"' build/sbom.json) components"

clean:  ## remove whatever make has made
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	rm -rf tests/browser/sdk/node_modules tests/browser/sdk/build nginx-compare/peers/*/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer with its venv module is needed:" \
		"apt-get install python3 python3-venv, or make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-locks: $(LOCKS) | $(BIN)/python
	@$(STAGE) dependencies $(PIP) install --require-hashes $(LOCKS:%=--requirement %)
	@touch $@

# Not editable: the data path is compiled (a minute), and a source that changed must not leave an old machine code behind.
$(VENV)/.installed: pyproject.toml $(SOURCES) $(VENV)/.installed-locks
	@rm -rf $(BUILT)
	@$(STAGE) gateway $(PIP) install --no-deps --no-build-isolation --force-reinstall '.[demo,jwt,s3]'
	@rm -rf $(BUILT); $(BIN)/replay-gateway --version
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed-locks requirements-test.lock
	@$(STAGE) test-dependencies $(PIP) install --require-hashes --requirement requirements-test.lock
	@touch $@

$(TOOLS)/.installed: requirements-tools.lock | $(BIN)/python
	$(BIN)/python -m venv --clear $(TOOLS)
	$(TOOLS)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes --requirement $<
	@touch $@

# Only the public index is asked, whatever this machine's pip is configured to do; its address is not written down.
compile = PIP_CONFIG_FILE=/dev/null CUSTOM_COMPILE_COMMAND='make lock' $(TOOLS)/bin/pip-compile \
	--no-config --quiet --upgrade --generate-hashes --strip-extras --allow-unsafe --pip-args=--isolated \
	--no-emit-options --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
	$(2) --output-file=$(1) $(or $(3),pyproject.toml)
