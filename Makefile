# `make search` and `make test` work as the first command after a clone: they build $(VENV) from constraints.txt.

PYTHON ?= python3
VENV ?= .venv
ARGS ?=

PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check -qq
BENCHMARKS := generation draws pretraining training sensitivity

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help search search-live test lint format bench clean

help:  ## show this list
	@echo "usage: make TARGET [PYTHON=python3.12] [ARGS='...']"
	@sed -n 's/^\([a-z-]*\):[^#]*## *\(.*\)/\1|\2/p' $(firstword $(MAKEFILE_LIST)) \
		| while IFS='|' read -r name text; do printf '  %-11s %s\n' "$$name" "$$text"; done

search: $(VENV)/.installed  ## run the main search on the bundled table; ARGS: Hydra overrides
	$(PY) -m search.run run_dir=runs/quickstart $(ARGS)

search-live: $(VENV)/.installed  ## search without a table: train and attack what is asked for; ARGS: Hydra overrides
	$(PY) -m search.run experiment=live_digits run_dir=runs/live_digits $(ARGS)

test: $(VENV)/.installed-test  ## run the default test suite; ARGS: pytest options, e.g. ARGS='-m slow'
	$(PY) -m pytest -n auto --dist loadscope $(ARGS)

lint: $(VENV)/.installed-test  ## check style, format and types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/pyright

format: $(VENV)/.installed-test  ## apply the formatter and the safe lint fixes
	$(VENV)/bin/ruff check --fix-only .
	$(VENV)/bin/ruff format .

bench: $(VENV)/.installed  ## run every benchmark, one after another; ARGS: passed to each
	@set -e; for name in $(BENCHMARKS); do \
		echo "== benchmarks.$$name"; $(PY) -m benchmarks.$$name $(ARGS); done

clean:  ## remove caches and build files; runs/ and .venv/ stay
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is written only after pip has succeeded, so an interrupted installation is taken up again.
# pip would compile on one core what compileall does on all; a module that is no Python 3.11 is no reason to stop.
# The test stamp waits for the first one: two pips never work on one environment, not even under `make -j`.
$(VENV)/.installed: pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || \
		{ echo "$(PYTHON) not found: install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$$($(PYTHON) --version 2>&1) is too old, 3.11 or newer is needed; name one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "$(PYTHON) cannot create virtual environments: install its venv module (Debian, Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@echo "Installing into $(VENV): once, a few minutes."
	@$(PY) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	@$(PIP) install --no-compile -c constraints.txt -e .
	@$(PY) -m compileall -qq -j 0 $(VENV)/lib || true
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	@echo "Installing the test tools into $(VENV)."
	@$(PIP) install -c constraints.txt -e '.[test]'
	@touch $@
