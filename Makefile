# Everything is installed into .venv from requirements.lock; everything that a run writes lies below $(CURATION_HOME).
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.8
export CURATION_HOME ?= $(CURDIR)/var
TEST_WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup demo test dev review lint format bench lock audit docs clean

help: ## explain the commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: $(VENV)/.installed ## create the environment from the lock file

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "Python 3.11 is needed; set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet "uv==$(UV_VERSION)"
	$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -e .
	@touch $@

demo: setup ## curate four synthetic archives, from delivery to corpus, in an empty instance below var/demo
	$(BIN)/curation-dagster demo

test: setup ## run the tests
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadgroup

dev: setup ## start the Dagster UI with sensors on http://127.0.0.1:3000
	$(BIN)/curation-dagster dev

review: setup ## start the reviewers' page on http://127.0.0.1:3001
	$(BIN)/curation-dagster review serve

lint: setup ## check format, style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: setup ## rewrite the sources in the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup ## measure; a line per figure is added to var/bench/results.jsonl
	$(BIN)/python benchmarks

docs: setup ## write the generated parts of docs/ anew
	$(BIN)/python -m curation_dagster.core.report.reference

lock: setup ## resolve requirements.lock anew from pyproject.toml
	$(BIN)/uv pip compile pyproject.toml --all-extras --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-emit-package curation-dagster --custom-compile-command "make lock" --upgrade --quiet -o requirements.lock

	$(BIN)/uv pip compile pyproject.toml --extra server --extra cluster --extra kubernetes --constraint requirements.lock \
	  --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-package curation-dagster \
	  --custom-compile-command "make lock" --quiet -o deploy/requirements.lock

audit: setup ## look for known vulnerabilities of the locked dependencies
	$(BIN)/python deploy/audit.py

clean: ## remove the environment; what runs have written stays
	rm -rf $(VENV)
