# Every target works in a fresh clone on Debian 12 with Python 3.11, Java 17 and Maven.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
# A file's tests share a site, and most of a test's time is waiting: three workers on two cores, a file each.
PYTEST_OPTIONS ?= --numprocesses 3 --dist loadfile --no-loadscope-reorder

.PHONY: help setup demo test coverage check format bench lock wheel clean

help: ## This list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## (.*)/  make \1|\2/' | column -t -s '|'

$(STAMP): requirements/dev.lock requirements/jre.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { printf '%s\n' >&2 \
	  "$(PYTHON) không phải là Python 3.11 trở lên; trên Debian 12 cài bằng: apt-get install --yes python3 python3-venv" \
	  "$(PYTHON) is not Python 3.11 or newer; on Debian 12 install it with: apt-get install --yes python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { printf '%s\n' >&2 \
	  "$(PYTHON) chưa tạo được môi trường ảo; cài phần còn thiếu bằng: apt-get install --yes python3-venv" \
	  "$(PYTHON) cannot make a virtual environment; install what it lacks with: apt-get install --yes python3-venv"; exit 1; }
	@echo "Đang chuẩn bị môi trường Python (chỉ lần đầu) / preparing the Python environment (first time only)…"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	@java -version >/dev/null 2>&1 || $(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/jre.lock
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

setup: $(STAMP) ## Virtual environment from the hash-pinned lock

demo: $(STAMP) ## A short working day on a real Kafka, each step with its proof
	@$(BIN)/axis demo

test: $(STAMP) ## The whole test suite on the real broker
	@$(BIN)/pytest $(PYTEST_OPTIONS)

coverage: $(STAMP) ## The same, with a table of the lines and branches that no test reached
	@$(BIN)/pytest $(PYTEST_OPTIONS) --cov --cov-report=term-missing:skip-covered

check: $(STAMP) ## Format, lint, types, import contracts, schema compatibility
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m axis.schemas.compatibility

format: $(STAMP) ## Format the code and apply safe fixes
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

bench: $(STAMP) ## The floor and the axis side by side; writes build/bench.json
	@$(BIN)/python -m bench

lock: ## Pin the dependencies again, by hash, without naming a registry
	@$(PYTHON) -m pip install --quiet uv
	@for part in "dev --group dev --extra docker" "runtime" "jre --extra jre"; do \
	  set -- $$part; name=$$1; shift; \
	  uv pip compile pyproject.toml "$$@" --quiet --upgrade --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	    --output-file requirements/$$name.lock || exit 1; \
	done

wheel: $(STAMP) ## Build the wheel into dist/
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

clean: ## Remove what the targets made
	@rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage*
