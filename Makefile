PYTHON ?= python3
PROFILE ?= quick
ARGS ?=

READY := .venv/.installed
UV := uv==0.13.9

.PHONY: help setup format check test test-slow docs bench bench-gpu table1 reference policies lock clean


help:  ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' Makefile | expand -t 12

setup: $(READY)  ## make .venv from requirements.lock (PYTHON=python3)

format: $(READY)  ## rewrite the code in the project's format
	@.venv/bin/ruff check --fix -q .
	@.venv/bin/ruff format -q .

check: $(READY)  ## lint, format and type checks
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy

test: $(READY)  ## run the fast tests
	@.venv/bin/pytest -n 2 $(ARGS)

test-slow: $(READY)  ## run the tests that take minutes
	@.venv/bin/pytest -m slow $(ARGS)

# -E reads every page again, for what a page shows may have changed where the page has not.
docs: $(READY)  ## build the site, docs/_build/html; a warning is an error
	@.venv/bin/sphinx-build -q -E -W --keep-going -b html docs docs/_build/html $(ARGS)

bench: $(READY)  ## time learning, evaluation and start (ARGS=--short)
	@mkdir -p results/bench
	@file=results/bench/$$(.venv/bin/python -c 'import jax; print(jax.default_backend())').json; \
		.venv/bin/pytest tests/speed -m speed --benchmark-quiet --benchmark-json=$$file $(ARGS) && \
		.venv/bin/python tests/speed/report.py $$file

bench-gpu: $(READY)  ## time learning at published sizes on an accelerator (ARGS="--seconds 420")
	@mkdir -p results/bench
	@.venv/bin/python -m tests.speed.accelerator results/bench/gpu.json $(ARGS)
	@.venv/bin/python tests/speed/report.py results/bench/gpu.json

table1: $(READY)  ## run the grid into results/local (PROFILE=quick, ARGS=...)
	@.venv/bin/rl-or-bc grid --profile $(PROFILE) $(ARGS)

reference: $(READY)  ## make the committed results again, and README's table (PROFILE, ARGS)
	@.venv/bin/rl-or-bc grid --results results --profile $(PROFILE) $(ARGS)
	@.venv/bin/rl-or-bc report --results results
	@.venv/bin/python -m tests.helpers.reference

policies: $(READY)  ## train the behaviour policies that collect the data sets
	@.venv/bin/python -m envs.collect $(ARGS)

# uv keeps the pins it finds in the file unless told otherwise: ARGS=--upgrade.
# It has a folder of its own, so that the environment holds what the lock says and no more.
lock: $(READY)  ## re-make requirements.lock (ARGS=--upgrade for new versions)
	@.venv/bin/python -m venv .venv/lock
	@.venv/lock/bin/python -m pip install -q --disable-pip-version-check '$(UV)'
	@.venv/lock/bin/uv pip compile -q pyproject.toml --extra dev --extra docs --universal \
		--python-version 3.11 --generate-hashes --no-emit-index-url --no-header -o requirements.lock $(ARGS)

clean:  ## remove caches and build output (.venv and results stay)
	@rm -rf build dist docs/_build docs/_static/drawn *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -path ./.venv -prune -o -type d -name __pycache__ -exec rm -rf {} +

# The script is no prerequisite: an edit to it should not rebuild an environment that is in order.
$(READY): pyproject.toml requirements.lock
	@PYTHON='$(PYTHON)' sh .ci/setup
	@touch $@
