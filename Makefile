# make reproduce: install what running needs, run the experiments, write paper_results/ as they end, and say how it agrees with what was
# committed; a number that differs does not make it fail ('flatproof compare' alone does). make test: install all, lint and types beside all
# tests but the longest (some 80, which take longer than the others together). make test-long: these. make check: lint, types and the tests
# that are not slow, for the loop at the desk. make map: draw the rooms from the imports.
# make reproduce-real-data: fetch the data sets (cached in ~/.cache/flatproof), then the experiments on them, into paper_results/.
# make docs: install what the site needs, execute the tutorials, write build/site and check every link; TUTORIALS=shown executes none.
# make torture: inject faults for at most 20 minutes (SEED=N: those of that seed; CASE=SCENARIO:NUMBER: that case alone).
# make formal: let Coq check every formal proof anew and say what each rests on (theory/claims/formal); CHECK=1 writes nothing.
# make gpu-check: compare and time the GPU kernels with .venv's Python, or $(PYTHON) where there is no .venv; installs nothing.
# make gpu-queue BUDGET=600: what a CUDA machine carries out first, within so many seconds, into $(OUT) or gpu_queue; installs nothing.
#   DEVICE=cpu SCALE=smoke rehearses it.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
RUNTIME := .venv/.runtime
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
define VENV
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: Python 3.11 or later is needed, $(PYTHON) is older; use make PYTHON=..." >&2; exit 2; }
$(PYTHON) -m venv .venv
endef

.PHONY: install reproduce reproduce-real-data test test-long suite check lint map docs bench formal torture gpu-check gpu-queue lock docs-lock clean

install: $(INSTALLED)

$(INSTALLED): requirements.lock pyproject.toml
	$(VENV)
	$(PIP) -r requirements.lock
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $(RUNTIME) $@

# What running needs, in the versions of the lock: a third of what tests need. Modules are compiled as they are first imported.
$(RUNTIME): requirements.lock pyproject.toml
	$(VENV)
	$(PIP) --no-compile -c requirements.lock setuptools
	$(PIP) --no-compile -c requirements.lock --no-build-isolation --editable .
	@touch $@

reproduce: export PYTHONDONTWRITEBYTECODE =
reproduce: $(RUNTIME)
	$(BIN)/flatproof reproduce
	@$(BIN)/flatproof compare || true

reproduce-real-data: export PYTHONDONTWRITEBYTECODE =
reproduce-real-data: $(RUNTIME)
	$(BIN)/flatproof data fetch mnist cifar10 fashion-mnist imagenet-sample
	$(BIN)/flatproof reproduce keskar2017 kaur2023 imagenet

test: install
	$(MAKE) --jobs=2 lint suite

suite: install
	$(BIN)/pytest -n 2 --dist loadgroup --durations=40 --durations-min=2 -m "not long"

test-long: install
	$(BIN)/pytest -n 2 --dist loadgroup --durations=40 --durations-min=2 -m long

check: install lint
	$(BIN)/pytest -n 2 --dist loadgroup -m "not slow"

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

map: install
	$(BIN)/python docs/rooms.py

docs: install .venv/.docs
	NO_MKDOCS_2_WARNING=1 $(if $(TUTORIALS),FLATPROOF_TUTORIALS=$(TUTORIALS)) $(BIN)/mkdocs build --strict

.venv/.docs: $(INSTALLED) docs/requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r docs/requirements.lock
	@touch $@

bench: install
	$(BIN)/pytest tests/benchmarks --benchmark-only -p no:xdist --benchmark-columns=median,min,max,rounds

formal: install
	nice $(BIN)/python -m flatproof.theory.claims.formal.compiling $(if $(CHECK),--check)

torture: install
	$(BIN)/python -m tests.torture $(if $(SEED),--seed $(SEED)) $(if $(CASE),--case $(CASE))

gpu-check:
	$(or $(wildcard $(BIN)/python),$(PYTHON)) -m flatproof bench gpu

gpu-queue:
	$(or $(wildcard $(BIN)/python),$(PYTHON)) -m flatproof gpu-queue $(if $(BUDGET),--budget $(BUDGET)) $(if $(DEVICE),--device $(DEVICE)) $(if $(SCALE),--scale $(SCALE))

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info

# Pins every package of a fresh resolution. torch's local version ("+cpu") is cut so that any build of that release satisfies the lock.
lock:
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet --disable-pip-version-check torch==2.13.0 '.[tests]' setuptools
	{ echo "# Written by 'make lock'."; build/lock/bin/pip freeze --all --exclude pip --exclude flatproof | sed 's/+cpu$$//; s/^triton==.*/&; platform_system == "Linux"/'; } > requirements.lock
	rm -rf build

# Pins what the site needs beside requirements.lock, whose packages stay as they are.
docs-lock:
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet --disable-pip-version-check -r requirements.lock
	build/lock/bin/pip freeze --all > build/lock/before
	build/lock/bin/pip install --quiet --disable-pip-version-check -c requirements.lock '.[docs]'
	{ echo "# Written by 'make docs-lock'."; build/lock/bin/pip freeze --all --exclude flatproof | grep -vxFf build/lock/before; } > docs/requirements.lock
	rm -rf build
