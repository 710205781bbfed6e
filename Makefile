PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# In place of pip, which compiles the 20,000 files on one core. What is no Python of today is left uncompiled, as by pip.
COMPILE := $(BIN)/python -m compileall -qq -j 0 .venv/lib

.PHONY: demo test coverage test-network lint docs benchmarks clean

demo: .venv/run.ok  ## a two-minute study on bundled images: table, verdict, HTML page
	@$(BIN)/lastbit demo
	@echo "to use lastbit in this shell: . $(BIN)/activate"

test: .venv/test.ok  ## every test
	$(BIN)/pytest

coverage: .venv/test.ok  ## every test, and the lines that none of them runs
	$(BIN)/pytest --cov --cov-report=term:skip-covered -W "ignore::coverage.exceptions.CoverageWarning"

test-network: .venv/test.ok  ## fetch the real data sets and check them
	$(BIN)/pytest -m network -n 0

lint: .venv/test.ok  ## format, lint, types, the direction of imports, and that none go in a circle
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

benchmarks: .venv/test.ok  ## see that every benchmark runs, two at once; `python benchmarks/run.py` measures for hours
	$(BIN)/python benchmarks/run.py --smoke

docs: .venv/docs.ok  ## run the documentation's blocks and build its site, strictly, into build/site
	$(BIN)/python -m docs.builder

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/run.ok: .venv/bin/python pyproject.toml constraints.txt
	@echo "installing lastbit and what it needs into .venv: a few minutes, about 1.5 GB with torch"
	$(PIP) install --no-compile --constraint constraints.txt --editable .
	@$(COMPILE) || true
	@touch $@

.venv/test.ok: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) install --no-compile --constraint constraints.txt --editable '.[test]'
	@$(COMPILE) || true
	@touch $@ .venv/run.ok

.venv/docs.ok: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) install --no-compile --constraint constraints.txt --editable '.[docs]'
	@$(COMPILE) || true
	@touch $@ .venv/run.ok

.venv/all.ok: .venv/bin/python pyproject.toml constraints.txt  # both of these by one installation, which is shorter
	$(PIP) install --no-compile --constraint constraints.txt --editable '.[test,docs]'
	@$(COMPILE) || true
	@touch $@ .venv/test.ok .venv/docs.ok .venv/run.ok

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage*
