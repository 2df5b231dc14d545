# make demo   the whole product once, on bundled images, in a few minutes
# make test   the test suite
# make docs   the site, in docs/_built/html
# make links  whether what the site links to elsewhere answers; asks the network
# Both set up .venv first, from nothing, and do it once.
# make lowest, make newest   the tests on the lowest versions that pyproject.toml allows, and on the newest there are
# make successor   those of augmentations, with albumentationsx in place of albumentations

VENV := .venv
PYTHON ?= python3
READY := $(VENV)/.ready

.PHONY: demo test docs links lint types check lowest newest successor clean

demo: $(READY)
	$(VENV)/bin/synthaug demo --out demo

test: $(READY)
	$(VENV)/bin/python -m pytest -n 2

docs: $(READY)
	$(VENV)/bin/python -m sphinx -W --keep-going -q -d docs/_built/trees docs docs/_built/html

links: $(READY)
	$(VENV)/bin/python -m sphinx -b linkcheck -q -D plot_gallery=0 docs docs/_built/links

lint: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: $(READY)
	$(VENV)/bin/mypy

check: lint types test

# The wheel is installed into an empty environment and run outside the checkout; then the tests of the checkout run there.
# Lowest is without transformers, which asks for a newer huggingface_hub than the rest; and other versions warn of
# other things.
OTHERS := accelerate,lightning,torchdata,medical,imbalanced,trackers,plots,ray,test
lowest: $(READY)
	rm -rf $(VENV)-lowest
	$(VENV)/bin/python -m build --outdir $(VENV)-lowest/dist .
	$(PYTHON) -m venv $(VENV)-lowest
	$(VENV)/bin/python .ci/lowest.py > $(VENV)-lowest/constraints.txt
	$(VENV)-lowest/bin/python -m pip install --quiet --disable-pip-version-check -c $(VENV)-lowest/constraints.txt torch
	$(VENV)-lowest/bin/python -m pip install --quiet --disable-pip-version-check -c $(VENV)-lowest/constraints.txt \
		"$$(ls $(VENV)-lowest/dist/*.whl)[$(OTHERS)]"
	.ci/installed $(VENV)-lowest
	$(VENV)-lowest/bin/python -m pytest -n 2 -W default $(TESTS)

newest: $(READY)
	rm -rf $(VENV)-newest
	$(VENV)/bin/python -m build --outdir $(VENV)-newest/dist .
	$(PYTHON) -m venv $(VENV)-newest
	$(VENV)-newest/bin/python -m pip install --quiet --disable-pip-version-check torch
	$(VENV)-newest/bin/python -m pip install --quiet --disable-pip-version-check \
		"$$(ls $(VENV)-newest/dist/*.whl)[transformers,$(OTHERS)]"
	.ci/installed $(VENV)-newest
	$(VENV)-newest/bin/python -m pytest -n 2 -W default $(TESTS)

# beside the package that is imported as albumentations too, and takes its folder
SUCCESSOR := tests/mixing/test_albumentations.py tests/mixing/test_regimen.py tests/modalities/test_augmentation.py \
	tests/test_albumentations_missing.py
successor:
	$(PYTHON) -m venv $(VENV)-successor
	$(VENV)-successor/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(VENV)-successor/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[test]"
	$(VENV)-successor/bin/python -m pip uninstall --quiet --yes albumentations albucore
	$(VENV)-successor/bin/python -m pip install --quiet --disable-pip-version-check "albumentationsx==2.5.*"
	$(VENV)-successor/bin/python -m pytest $(SUCCESSOR)

# torch first and pinned: where pip is offered a CPU build of that version, no CUDA packages are pulled in
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $(READY)

clean:
	rm -rf $(VENV) $(VENV)-lowest $(VENV)-newest $(VENV)-successor demo demo.partial
	rm -rf docs/_built docs/gallery_built .pytest_cache .mypy_cache .ruff_cache
