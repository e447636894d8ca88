# Every target brings its own .venv: a fresh clone needs Python 3.11+, pip and make, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := features margincast models serving training
WORKERS ?= 2

export MLFLOW_DISABLE_TELEMETRY := true
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help install demo test check format bench benchmark lock lowest clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "margincast needs Python 3.11 or later: make PYTHON=python3.11 ..."; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the locked dependencies into $(VENV), once"
	$(BIN)/python -m pip install --quiet --no-compile --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.installed-bench: requirements-bench.lock $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --no-compile --no-deps --require-hashes -r requirements-bench.lock
	@touch $@

install: $(VENV)/.installed ## create .venv with the locked dependencies

demo: $(VENV)/.installed ## the whole job on a simulated market: train, evaluate, predict, recommend
	$(BIN)/margincast demo

test: $(VENV)/.installed ## the tests, warnings are errors
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

check: $(VENV)/.installed ## format, lint, types, layers, docstrings, doctests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	git ls-files -z -- $(PACKAGES:%='%/*.py') | xargs -0 $(BIN)/python -m numpydoc.hooks.validate_docstrings
	$(BIN)/python -m pytest --doctest-modules $(PACKAGES)
	$(BIN)/python -m pytest --doctest-glob='*.md' docs/regimes

format: $(VENV)/.installed ## rewrite the tree in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.installed-bench ## ratios against named peers, in one run
	$(BIN)/python -m benchmarks

benchmark: $(VENV)/.installed ## forecasts compared: a market with known truth, and the one in MARGINCAST_DATA
	$(BIN)/margincast benchmark

lock: $(VENV)/.installed ## resolve pyproject.toml again into the lock files
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --generate-hashes --no-header --upgrade --quiet -o requirements.lock
	$(BIN)/uv pip compile pyproject.toml --extra bench --universal --generate-hashes --no-header --upgrade --quiet \
		--constraint requirements.lock -o requirements-bench.lock

lowest: $(VENV)/.installed ## the tests again with the lowest versions pyproject.toml admits
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-lowest
	$(BIN)/uv pip install --quiet --python .venv-lowest/bin/python --resolution lowest-direct -e '.[dev]'
	.venv-lowest/bin/python -m pytest -n $(WORKERS) --dist worksteal

clean: ## remove what the targets made
	rm -rf $(VENV) .venv-lowest demo-output build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
