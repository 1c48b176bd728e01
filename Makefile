# make demo     see one payment happen, from nothing
# make test     from nothing to every check and test
# make check    lint, types, contracts, tests: the one door; what CI runs too
#
# PYTHON=/path/to/python picks the interpreter that .venv is made with (3.11 or newer).

SHELL := /bin/sh
VENV := .venv
PYTHON_IN := $(VENV)/bin/python
STAMP := $(VENV)/.installed
PIP := $(PYTHON_IN) -m pip --disable-pip-version-check --no-input
LEAST_BRANCH_COVERAGE := 95
CORE := src/sewapay/domain/*,src/sewapay/application/*
MEASURED := $(addprefix tests/backend/,architecture unit api contracts system/test_statement.py system/test_statement_of_forms.py)
SOAKED := $(addprefix tests/backend/system/test_,kill.py gates.py fleet.py simulation.py state_machine.py)

.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help demo test check lint types contracts tests coverage planted soak bench serve clean lock .install

help:
	@sed -n 's/^# make \([a-z]*\) */  make \1\t/p' Makefile
	@echo "  one at a time: make lint | types | contracts | tests | coverage | planted | soak | bench | serve | lock | clean"

demo: $(STAMP)
	@$(VENV)/bin/sewapay demo $(if $(filter-out 0 no false,$(DEMO_ONCE)),--once) \
		$(if $(DEMO_GATEWAY),--gateway "$(DEMO_GATEWAY)")

serve: $(STAMP)
	@$(VENV)/bin/sewapay serve

test: $(STAMP)
	@$(MAKE) --no-print-directory check

check: lint types contracts tests
	@echo "make check: all good"

lint: $(STAMP)
	@echo "== lint"
	@$(PYTHON_IN) -m ruff check .

types: $(STAMP)
	@echo "== types"
	@$(PYTHON_IN) -m mypy

contracts: $(STAMP)
	@echo "== contracts"
	@$(VENV)/bin/lint-imports --no-logo

# The core is covered by tests that run in this process; the others would be slowed by a third, and add nothing to it.
# The threshold stands here and not in pyproject.toml, where it would fail every run of a few tests.
tests: $(STAMP)
	@echo "== tests of the core, the interface and the contracts"
	@$(PYTHON_IN) -m pytest --cov=sewapay --cov-report= $(MEASURED)
	@echo "== coverage of domain and application (at least $(LEAST_BRANCH_COVERAGE) %, branches counted)"
	@$(PYTHON_IN) -m coverage report --include='$(CORE)' --fail-under=$(LEAST_BRANCH_COVERAGE)
	@echo "== all other tests"
	@$(PYTHON_IN) -m pytest $(addprefix --ignore=,$(MEASURED))

coverage: $(STAMP)
	@$(PYTHON_IN) -m tests.run_tests --all --coverage

# The test of the tests: bugs that cost money are planted one after another, and each has to turn a test red. Some minutes.
planted: $(STAMP)
	@$(PYTHON_IN) -m tests.planted

# The long versions of tests that `make check` runs briefly; half an hour or more. Say how long by these, one after `make soak`:
# make soak SEWAPAY_KILL_ROUNDS=500 SEWAPAY_SIMULATION_SEEDS=10000
soak: export SEWAPAY_KILL_ROUNDS ?= 100
soak: export SEWAPAY_GATE_REPEATS ?= 100
soak: export SEWAPAY_FLEET_PAYMENTS ?= 5000
soak: export SEWAPAY_SIMULATION_SEEDS ?= 3000
soak: export SEWAPAY_TEST_TIMES ?= 10
soak: $(STAMP)
	@echo "== soak: $(SEWAPAY_KILL_ROUNDS) kills and $(SEWAPAY_GATE_REPEATS) crowds of each kind on each database," \
		"$(SEWAPAY_FLEET_PAYMENTS) bookings before a fleet, $(SEWAPAY_SIMULATION_SEEDS) simulated worlds," \
		"$(SEWAPAY_TEST_TIMES) times the state machine's usual examples"
	@$(PYTHON_IN) -m pytest -s --durations=20 $(SOAKED)

bench: $(STAMP)
	@$(PYTHON_IN) -m bench

# A database is never removed.
clean:
	rm -rf $(VENV) build dist htmlcov .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Tried by running: a shim can be there and yet fail.
define find_python
found=; \
for python in $(if $(PYTHON),"$(PYTHON)",python3 python3.13 python3.12 python3.11 python3.14); do \
	if "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; \
	then found=$$python; break; fi; \
done; \
if [ -z "$$found" ]; then \
	echo "sewapay needs Python 3.11 or newer with its venv module, and found none$(if $(PYTHON), at $(PYTHON))." >&2; \
	echo "On Debian or Ubuntu: apt-get install python3 python3-venv. If you have one elsewhere:" >&2; \
	echo "make PYTHON=/path/to/python3" >&2; \
	exit 1; \
fi
endef

# Keeps the versions that are pinned; `make lock UPGRADE=1` takes the newest that fit. uv gets a place of its own that goes away.
lock:
	@set -eu; $(find_python); \
	place=$$(mktemp -d); trap 'rm -rf "$$place"' EXIT; \
	"$$found" -m venv "$$place"; \
	"$$place/bin/python" -m pip install --quiet --disable-pip-version-check uv; \
	"$$place/bin/uv" pip compile --quiet pyproject.toml --group dev --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-emit-find-links \
		--custom-compile-command 'make lock' $(if $(UPGRADE),--upgrade) -o requirements.lock; \
	if grep -n '://' requirements.lock; then echo "an address got into requirements.lock" >&2; exit 1; fi; \
	echo "requirements.lock is up to date"

# A .venv whose Python is gone or too old, or that was copied from another folder, is made anew.
VENV_WORKS := $(shell $(PYTHON_IN) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { test ! -e $(STAMP) || test "$$(cat $(STAMP))" = "$$(pwd -P)"; } && echo yes)
ifneq ($(VENV_WORKS),yes)
.PHONY: $(STAMP)
endif

# Two makes at once: the second waits for the first (where there is a flock) and then finds the work done.
INSTALL := $(MAKE) --no-print-directory .install
$(STAMP): requirements.lock pyproject.toml
	@if command -v flock >/dev/null 2>&1; then flock Makefile $(INSTALL); else $(INSTALL); fi

.install:
	@set -eu; \
	if [ "$(VENV_WORKS)" = yes ] && [ -n "$$(find $(STAMP) -newer requirements.lock -newer pyproject.toml 2>/dev/null)" ]; \
	then exit 0; fi; \
	if [ "$(VENV_WORKS)" != yes ]; then \
		$(find_python); \
		"$$found" -m venv --clear $(VENV); \
	fi; \
	echo "installing into $(VENV) (once; a minute or two) ..."; \
	$(PIP) install -qq --require-hashes --no-deps -r requirements.lock; \
	$(PIP) install -qq --no-deps --no-build-isolation -e .; \
	pwd -P > $(STAMP)
