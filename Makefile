# make demo   the whole product once, on bundled images, in a few minutes
# make test   the test suite
# make docs   the site, in docs/_built/html
# Both set up .venv first, from nothing, and do it once.

VENV := .venv
PYTHON ?= python3
READY := $(VENV)/.ready

.PHONY: demo test docs lint types check clean

demo: $(READY)
	$(VENV)/bin/synthaug demo --out demo

test: $(READY)
	$(VENV)/bin/python -m pytest -n 2

docs: $(READY)
	$(VENV)/bin/python -m sphinx -W --keep-going -q -d docs/_built/trees docs docs/_built/html

lint: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: $(READY)
	$(VENV)/bin/mypy

check: lint types test

# torch first and pinned: where pip is offered a CPU build of that version, no CUDA packages are pulled in
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $(READY)

clean:
	rm -rf $(VENV) demo demo.partial docs/_built docs/gallery_built .pytest_cache .mypy_cache .ruff_cache
