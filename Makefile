# Every target sets up what it needs in .venv and .cache; nothing else has to be installed
# but Python 3.11 or newer, make and git.
#   make demo ARGS="--port 9000"        ARGS goes to the command a target ends with
#   make test PYTHON=python3.12         the Python that .venv is made with

PYTHON ?= python3
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip --disable-pip-version-check
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))

# All tests at once go side by side: in one process two cores are idle for two thirds of the time. A file stays in one
# worker, its fixtures are made once; files are begun in their order, so that slow ones
# (tests/e2e) are not the last. What ARGS names is run by pytest alone.
WORKERS := -n 3 --dist loadfile --no-loadscope-reorder

UV_VERSION := 0.13.9
UV := .cache/uv/bin/uv
COMPILE := $(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	--no-header --no-emit-index-url --no-emit-find-links

.PHONY: help demo test check eras conformance soak bench bench-peers bench-docs coverage phase-report lock format clean
.DELETE_ON_ERROR:

help:  ## Show this list
	@sed -n 's/^\([a-z -]*\):.*## /  make \1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 20

demo: $(READY)  ## Start the gateway with its bundled demo servers
	@$(BIN)/only1mcp demo $(ARGS)

test: $(READY)  ## Everything CI runs: style, types, all tests, a part of the official suites
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/python scripts/peers.py
	$(BIN)/python -m pytest $(or $(ARGS),$(WORKERS))
	$(if $(ARGS),,PYTHONPATH="$(CURDIR)/tests" $(BIN)/python -m scripts.conformance --fast)

check: $(READY)  ## Fast: style, types, layers and the tests of what changed
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/python -m pytest $$($(BIN)/python -m scripts.changed $(WORKERS)) $(ARGS)

eras: $(READY)  ## Every client with every server; writes docs/eras.md
	$(BIN)/python scripts/eras.py

conformance: $(READY)  ## The official suites, without and with the gateway (fetches Node.js, no root)
	@PYTHONPATH="$(CURDIR)/tests" $(BIN)/python -m scripts.conformance $(ARGS)

soak: $(READY)  ## Load and chaos for a minute: no call twice, none lost that need not be
	@PYTHONPATH="$(CURDIR)/tests" $(BIN)/python -m scripts.soak $(ARGS)

bench: $(READY)  ## Measure the gateway (a quarter of an hour); ARGS="overhead ..." for some of it
	@$(BIN)/python -m bench $(ARGS)

bench-peers: $(READY)  ## The same beside other gateways (fetches them into .cache)
	@$(BIN)/python -m bench.peers $(ARGS)

bench-docs: $(READY)  ## Write docs/benchmarks.md from bench/results
	@$(BIN)/python -m bench.docs

coverage: $(READY)  ## How much of the source the tests run through: slow; phase-report shows it from then on
	rm -rf .cache/coverage
	@mkdir -p .cache/coverage .cache/report
	-$(BIN)/python -m coverage run -m pytest --timeout 180 $(ARGS)
	$(BIN)/python -m coverage combine --quiet
	$(if $(ARGS),,$(BIN)/python -m coverage json --quiet -o .cache/report/coverage.json)
	@$(BIN)/python -m coverage report --skip-covered --sort cover

phase-report: $(READY)  ## How far the project is, from evidence: docs/reports (ARGS=--check only checks)
	$(if $(ARGS),,-$(BIN)/python -m pytest $(WORKERS) --junitxml=.cache/report/junit.xml)
	$(BIN)/only1mcp report --project $(ARGS)

format: $(READY)  ## Rewrite the sources in house style
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

lock: $(READY)  ## Pin the newest versions that pyproject.toml and tests/peers/*.in allow
	@test -x $(UV) || $(PYTHON) -m venv .cache/uv
	@.cache/uv/bin/python -m pip --disable-pip-version-check install --quiet uv==$(UV_VERSION)
	$(COMPILE) --upgrade --group dev pyproject.toml -o requirements.lock
	$(COMPILE) --upgrade tests/peers/legacy.in -o tests/peers/legacy.lock
	$(COMPILE) --upgrade tests/peers/fastmcp.in -o tests/peers/fastmcp.lock
	$(COMPILE) --upgrade tests/peers/node.in -o tests/peers/node.lock
	PYTHONPATH="$(CURDIR)/tests" $(BIN)/python -m scripts.conformance --lock

clean:  ## Remove everything that make has set up
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find src tests scripts bench -name __pycache__ -type d -exec rm -rf {} +

# An existing .venv is kept and brought up to date, unless its Python is gone or too old.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c '$(NEW_ENOUGH)' 2>/dev/null || { \
		echo "Only1MCP needs Python 3.11 or newer, which '$(PYTHON)' is not." \
			"Name another one: make $(or $(MAKECMDGOALS),demo) PYTHON=python3.12" >&2; exit 1; }
	@$(BIN)/python -c '$(NEW_ENOUGH)' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	@echo "Setting up $(VENV) (once; about half a minute)" >&2
	@$(PIP) install --quiet --require-hashes -r requirements.lock
	@$(PIP) install --quiet --no-build-isolation --no-deps --editable .
	@touch $@
