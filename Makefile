# Two commands are all a new user needs: `make demo` and `make test`. They make .venv on first use.
PYTHON ?= python3
BIN := .venv/bin
# glibc keeps freed memory for the next test: a quarter of a large network's test is the kernel's, for memory given back.
KEEP := MALLOC_MMAP_THRESHOLD_=1000000000 MALLOC_TRIM_THRESHOLD_=2000000000
PYTEST := $(KEEP) $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

.PHONY: demo test quick check bench results format clean

demo: .venv/installed
	$(BIN)/sightline demo

test: .venv/installed
	$(PYTEST)

quick: .venv/installed
	$(PYTEST) -m "not slow and not browser"

check: .venv/installed
	$(BIN)/ruff format --check src tests bench
	$(BIN)/ruff check src tests bench
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python bench/results.py --check

# Measures what docs/results.md states, as far as there is what it takes: make bench WITH="--photos FILE --small FILE
# --weights FILE" (bench/all.py says which). Wants an otherwise idle machine and two hours.
bench: .venv/installed
	$(BIN)/python bench/all.py $(WITH)
	$(BIN)/python bench/results.py

results: .venv/installed
	$(BIN)/python bench/results.py

format: .venv/installed
	$(BIN)/ruff format src tests bench
	$(BIN)/ruff check --fix src tests bench

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Sightline needs Python 3.11 or newer: make PYTHON=python3.11 demo")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	@touch $@

clean:
	rm -rf .venv demo
