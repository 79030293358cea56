# `make demo` and `make test` build what they need; python3 (3.11 or later) and make are all that must be there.
PYTHON ?= python3
VENV := .venv
BASE := .venv-base
WHEEL := .venv-wheel
BIN := $(VENV)/bin
PIP := -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-wheel dist test parity check fix bench docs clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /  \1	/p' Makefile

demo: $(VENV)/.train  ## do the whole job on handwritten digits
	$(BIN)/lungfish demo

demo-wheel: dist  ## the same from the wheel, installed with what training needs in an empty environment
	$(PYTHON) -m venv --clear $(WHEEL)
	$(WHEEL)/bin/python $(PIP) --report $(WHEEL)/report.json "$$(echo dist/*.whl)[train]"
	@work=$$(mktemp -d) && trap 'rm -rf "$$work"' EXIT && \
		LUNGFISH_CACHE=$$work/cache $(WHEEL)/bin/lungfish demo --out $$work/demo

dist: $(VENV)/.dev  ## build the sdist, and the wheel from the sdist, into dist/, and check their metadata
	rm -rf dist
	$(BIN)/python -m build --no-isolation
	$(BIN)/twine check --strict dist/*

test: $(VENV)/.dev dist $(BASE)/.base  ## run the tests
	@$(BASE)/bin/python $(PIP) --force-reinstall --no-deps dist/*.whl
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal --durations 15

parity: $(VENV)/.parity  ## hold our networks against torchvision, timm and Keras (a quarter of an hour)
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal -m "parity or not parity" tests/parity \
		--parity-page docs/learn/parity.md

check: $(VENV)/.dev  ## lint, types, layers, dependencies, vocabulary
	$(BIN)/ruff check --no-cache  # a cached verdict does not see that a module came or went
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry src
	$(BIN)/python tests/contract/vocabulary.py docs/glossary.md src tests benchmarks

fix: $(VENV)/.dev  ## format, and mend what ruff can
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: $(VENV)/.bench  ## measure the claims about speed and memory
	$(BIN)/python benchmarks/main_job.py

docs: $(VENV)/.docs  ## build the documentation in site/; a broken link is an error
	$(BIN)/python -m sphinx --fresh-env --fail-on-warning --keep-going --quiet docs site

setup: $(VENV)/.dev  ## an environment to work in
	$(BIN)/pre-commit install

clean:  ## remove the environments, the site and the packages
	rm -rf $(VENV) $(BASE) $(WHEEL) site dist

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Lungfish needs Python 3.11 or later; name one: make PYTHON=python3.11 ..."; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.train: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing what training needs."
	$(BIN)/python $(PIP) --editable '.[train]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing what training and the tests need; PyTorch is large, this takes a few minutes."
	$(BIN)/python $(PIP) --editable '.[torch,parquet,dev]'
	@touch $@ $(VENV)/.train

$(VENV)/.bench: $(VENV)/.dev
	$(BIN)/python $(PIP) --editable '.[torch,parquet,dev,bench]'
	@touch $@

$(VENV)/.docs: $(VENV)/.train
	$(BIN)/python $(PIP) --editable '.[torch,docs]'
	@touch $@

$(VENV)/.parity: $(VENV)/.dev
	$(BIN)/python $(PIP) --editable '.[torch,parquet,dev,parity]'
	@touch $@

# The base install, without torch: tests/contract shows that it predicts.
$(BASE)/.base: pyproject.toml constraints.txt src/lungfish/core/version.py | dist
	$(PYTHON) -m venv --clear $(BASE)
	$(BASE)/bin/python $(PIP) --report $(BASE)/report.json dist/*.whl
	@touch $@
