# Targets with their purpose after ##; `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help setup run test test-all lint type check fmt bench bench-check cuda gpu-check golden fuzz mutants \
        proof dist clean

PYTHON ?= python3
VENV   ?= .venv
PY     := $(VENV)/bin/python
READY  := $(VENV)/.ready
JOBS   ?= 2
# MNIST's idx files: where GRAPHC_DATA says, else in data/mnist, else beside the checkout.
MNIST  := $(firstword $(GRAPHC_DATA) $(wildcard data/mnist ../shared/data/mnist))

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

setup: $(READY) ## make .venv and install graphc with all that its tests need

run: setup ## watch a network learn real handwritten digits (MNIST if it is found)
	$(PY) examples/mnist_mlp.py $(if $(MNIST),--data $(MNIST))

test: setup ## the whole suite; at its end, what was slow
	$(PY) -m pytest -n $(JOBS) --durations=15 --durations-min=2

test-all: ## the whole suite on every Python that is installed, pyenv's too
	$(PYTHON) .ci/suites.py -n $(JOBS)

lint: setup ## ruff, and whether all is formatted
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

type: setup ## mypy --strict
	$(PY) -m mypy

check: lint type test ## what has to pass before a change is shared

fmt: setup ## sort imports, mend what ruff can, format
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

bench: setup ## speed against hand-written loops and other frameworks
	$(PY) -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	$(PY) -m benchmarks

bench-check: setup ## whether graphc is slower than benchmarks/baseline.json says; a quiet machine
	$(PY) -m benchmarks.check

cuda: setup ## the CUDA toolchain: with it, tests compile kernels for GPUs (none is needed)
	$(PY) -m pip install --quiet --disable-pip-version-check -e '.[cuda13]'

gpu-check: cuda ## on a machine with a GPU: what is right there, and how fast; gpu-report.json
	$(PY) -m benchmarks.gpu_check

golden: setup ## rewrite the expected texts in tests/golden; read the diff afterwards
	$(PY) -m pytest tests --update-golden

fuzz: setup ## ten times as many random graphs, from another seed each time
	$(PY) -m pytest tests/fuzz/test_random_graphs.py -n $(JOBS) --graphc-fuzz 20000 --graphc-fuzz-seed $$(date +%s)

mutants: setup ## plant mistakes in graphc, which random graphs and small stories have to find
	$(PY) -m pytest tests/fuzz/test_mutants*.py -n $(JOBS)

# Rows that compare with PyTorch are left out unless it is there: $(PY) -m pip install -e '.[torch]'
proof: setup ## every promise put to the proof, a line each; ARGS="--soak 10" for longer
	PYTHONPATH=$(CURDIR):tests $(PY) -m proof --jobs $(JOBS) $(ARGS)

dist: setup ## sdist and wheel, in dist/
	rm -rf dist
	$(PY) -m build

clean: ## remove what the targets made
	rm -rf $(VENV) .venvs dist .pytest_cache .mypy_cache .ruff_cache build *.egg-info
