# Everything happens in .venv inside the checkout; nothing needs root.
# Other Python: make PYTHON=/path/to/python. More for pytest: make test PYTEST_ARGS="-x -k crl".
# Servers for the tests: CERTLEDGER_TEST_POSTGRESQL, CERTLEDGER_TEST_MARIADB (see CONTRIBUTING.md).

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)
JOBS ?= 2
PYTEST_ARGS ?=
BENCH_ARGS ?=

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test test-all lint format types docs bench constraints clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.stamp-demo ## set up, then run the main job on real input
	@$(VENV)/bin/certledger demo

test: $(VENV)/.stamp-test ## set up, then run the tests that need nothing but pip
	@$(PY) -m pytest -q -n $(JOBS) $(PYTEST_ARGS)

test-all: $(VENV)/.stamp-test ## run every test, slow ones too, with what this machine has
	@$(PY) .ci/found.py
	@CERTLEDGER_TEST_ALL=1 $(PY) -m pytest -q -n $(JOBS) -m "" $(PYTEST_ARGS)

lint: $(VENV)/.stamp-lint ## check style and format
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .

format: $(VENV)/.stamp-lint ## format the code
	@$(VENV)/bin/ruff format .

types: $(VENV)/.stamp-lint $(VENV)/.stamp-test ## check types
	@$(VENV)/bin/mypy

docs: $(VENV)/.stamp-docs ## build the documents, warnings are errors
	@$(PY) -m sphinx -q -W --keep-going -b html docs docs/_build/html
	@echo "docs: docs/_build/html/index.html"

bench: $(VENV)/.stamp-test ## measure, print ratios
	@$(PY) -m benchmarks $(BENCH_ARGS)

# Made with the oldest supported Python, so that every pin also holds on later ones.
constraints: $(VENV)/.stamp-venv ## renew constraints.txt with the newest versions
	@tmp=$$(mktemp -d) && trap 'rm -rf "$$tmp"' EXIT && \
	echo "constraints: installing everything anew, this takes a while" && \
	"$(PYTHON)" -m venv "$$tmp/venv" && \
	"$$tmp/venv/bin/python" -m pip install -q --disable-pip-version-check '.[test,lint,docs]' && \
	{ echo '# Pinned versions for every extra. Renew with: make constraints'; \
	  "$$tmp/venv/bin/python" -m pip freeze --exclude certledger --exclude pip --exclude setuptools \
	  | grep -E '^[A-Za-z0-9._-]+==[^ ]+$$'; } > "$$tmp/constraints.txt" && \
	cp "$$tmp/constraints.txt" constraints.txt && \
	echo "constraints: $$(grep -c == constraints.txt) versions pinned"

clean: ## remove all that make made
	@rm -rf $(VENV) build dist docs/_build .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find src tests docs examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
	@echo "clean: done"

# One stamp for each extra. The build back end comes from constraints.txt too, hence no isolation.
$(VENV)/.stamp-venv:
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11 or later found; set PYTHON=" >&2; exit 1; }
	@echo "setting up $(VENV) with $(PYTHON)"
	@"$(PYTHON)" -m venv $(VENV) || { \
		echo "make: venv failed; on Debian and Ubuntu it is in the package python3-venv" >&2; exit 1; }
	@touch $@

$(VENV)/.stamp-runtime: $(VENV)/.stamp-venv pyproject.toml constraints.txt
	@echo "installing certledger"
	@$(PIP) install -q -c constraints.txt hatchling
	@$(PIP) install -q -c constraints.txt --no-build-isolation -e .
	@touch $@

$(VENV)/.stamp-demo $(VENV)/.stamp-test $(VENV)/.stamp-lint $(VENV)/.stamp-docs: $(VENV)/.stamp-%: $(VENV)/.stamp-runtime
	@echo "installing what $* needs"
	@$(PIP) install -q -c constraints.txt --no-build-isolation -e '.[$*]'
	@touch $@
