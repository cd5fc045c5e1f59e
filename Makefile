# Two commands do all the set-up: `make demo` and `make test`. They need git, make, curl and Python 3.11 or later.
# Everything else comes from package registries through their ordinary clients.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
UV_VERSION := 0.13.9
UV := .tools/bin/uv
BIN := .venv/bin
LOCKED := --quiet --generate-hashes --universal --python-version 3.11
DEMO_SECONDS ?= 0
DEMO_VEHICLES ?= 1000

.PHONY: help setup demo test lint format bench soak lock wheel clean

help: ## what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort

.tools/.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed; name it: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv .tools || { echo "this Python cannot make a virtual environment; on Debian: apt-get install python3-venv"; exit 1; }
	@echo "installing uv $(UV_VERSION)"
	@.tools/bin/pip install --quiet --disable-pip-version-check "uv==$(UV_VERSION)"
	@touch $@

.venv/.stamp: .tools/.stamp requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(UV) venv --quiet --python "$$(.tools/bin/python -c 'import sys; print(sys._base_executable)')" .venv
	$(UV) pip sync --python $(BIN)/python --require-hashes --compile-bytecode requirements.lock
	$(UV) pip install --python $(BIN)/python --quiet --no-deps --editable .
	@touch $@

.venv/.spark: .venv/.stamp requirements-spark.lock
	$(UV) pip install --python $(BIN)/python --quiet --require-hashes --compile-bytecode -r requirements-spark.lock
	@touch $@

setup: .venv/.stamp ## everything that the other commands need, the page built and Kafka's jars at hand
	@$(BIN)/python -m compileall -q src
	@$(BIN)/python tools/build_page.py
	@$(BIN)/python -m watling.broker.jars --fetch kafka-4.4

demo: setup ## the main job, live: broker, pipeline, page, a simulated city and a recording where there is one
	@$(BIN)/python tools/demo.py --seconds $(DEMO_SECONDS) --vehicles $(DEMO_VEHICLES)

test: setup .venv/.spark ## all tests but the long ones
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/python tools/build_page.py --check
	@$(BIN)/python -m watling.broker.jars --fetch kafka-3.9
	@$(BIN)/python -m watling.broker.jars --fetch spark-4.1
	$(BIN)/pytest -n 2 --dist loadfile

lint: setup .venv/.spark ## style, types, the order of the rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/build_page.py --check

format: setup ## let the formatters decide
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup .venv/.spark ## the figures behind the claims
	@mkdir -p .bench && echo '*' > .bench/.gitignore
	@test -x .bench/venv/bin/python || $(UV) venv --quiet --python $(BIN)/python .bench/venv
	@$(UV) pip install --quiet --python .bench/venv/bin/python -r bench/requirements-spark.txt || echo "the Spark leg is left out: its packages could not be had"
	@for part in $(filter-out %_job.py,$(wildcard bench/*.py)); do echo "== $$part"; $(BIN)/python "$$part"; done

soak: setup .venv/.spark ## long runs: kill loops, flat memory, growth
	$(BIN)/pytest -m soak --timeout 4500
	$(BIN)/python bench/page_queries.py --rows 100000000 --times 5
	WATLING_TEST_LAKE=s3 $(BIN)/pytest --timeout 3600 tests/integration/pipeline tests/integration/spark/test_deaths.py tests/integration/spark/test_handover.py tests/integration/spark/test_topics.py
	WATLING_BROKER__COORDINATION=zookeeper $(BIN)/pytest -m 'soak or not soak' --timeout 3600 tests/soak tests/integration/pipeline tests/integration/audit

lock: .tools/.stamp ## resolve the dependencies anew (the lock names no registry, so that any mirror serves it)
	$(UV) pip compile $(LOCKED) pyproject.toml --group dev --extra clips --output-file requirements.lock
	$(UV) pip compile $(LOCKED) --group spark --constraint requirements.lock --output-file requirements-spark.lock

wheel: setup ## build the wheel, page included
	$(UV) build --wheel

clean: ## remove what was built and installed here (not data)
	rm -rf .tools .venv dist web/node_modules src/watling/dashboard/static
