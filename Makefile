# One command each. Everything is installed into .venv from the pinned, hashed lock.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes --only-binary :all:
FUZZ_RUNS ?= 200000
CHAOS_ROUNDS ?= 30
CHAOS_SECONDS ?= 300
TYPED := $(wildcard src tests benchmarks fuzz)

.DEFAULT_GOAL := help
.PHONY: help demo test check bench fuzz chaos clean
.NOTPARALLEL:

help:
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/make \1|\2/' | awk -F'|' '{printf "%-12s %s\n", $$1, $$2}'

demo: .venv/.ready ## the main job on real input: HTTPS, duplicates, forgeries, SIGKILL, the account
	@$(BIN)/kirimhook demo

test: check ## the whole gate: check, then every test with branch coverage
	@rm -f .coverage .coverage.*
	@$(BIN)/python tests/side_by_side.py
	@$(BIN)/python tests/coverage_gate.py

check: .venv/.ready ## ruff, mypy --strict, import rules
	@$(BIN)/ruff check -q
	@$(BIN)/ruff format -q --check
	@$(BIN)/mypy --no-error-summary $(TYPED)
	@$(BIN)/lint-imports --no-logo > .venv/lint-imports.log 2>&1 || { cat .venv/lint-imports.log; exit 1; }

bench: .venv/.bench-ready ## acks, drains and deliveries against bare loops and Celery; writes benchmarks/results/
	@$(BIN)/python -m benchmarks

fuzz: .venv/.fuzz-ready ## coverage-guided fuzzing, FUZZ_RUNS executions of each target
	@for target in fuzz/fuzz_*.py; do echo "$$target"; $(BIN)/python $$target -runs=$(FUZZ_RUNS) || exit 1; done

chaos: .venv/.ready ## the crash tests for CHAOS_ROUNDS rounds, and CHAOS_SECONDS under load; writes docs/evidence/
	@KIRIMHOOK_CHAOS_ROUNDS=$(CHAOS_ROUNDS) KIRIMHOOK_CHAOS_SECONDS=$(CHAOS_SECONDS) $(BIN)/python -m tests.crash.chaos docs/evidence/chaos.md

clean: ## remove .venv, caches and build output
	@rm -rf .venv .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.ready: requirements/dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "kirimhook needs Python 3.11 or newer: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "this Python cannot make virtual environments: apt install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { echo "making .venv"; $(PYTHON) -m venv --clear .venv; }
	@echo "installing from requirements/dev.lock"
	@$(PIP) -r requirements/dev.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-index --no-deps --no-build-isolation -e .
	@touch $@

.venv/.bench-ready: requirements/bench.lock .venv/.ready
	@$(PIP) -r requirements/bench.lock
	@touch $@

.venv/.fuzz-ready: requirements/fuzz.lock .venv/.ready
	@$(PIP) -r requirements/fuzz.lock
	@touch $@
