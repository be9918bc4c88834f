# Targets with their purpose after ##; `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help setup run test lint type check fmt bench cuda gpu-check golden fuzz clean

PYTHON ?= python3
VENV   ?= .venv
PY     := $(VENV)/bin/python
READY  := $(VENV)/.ready
JOBS   ?= 2
# MNIST's idx files: where GRAPHC_DATA says, else in data/mnist, else beside the checkout.
MNIST  := $(firstword $(GRAPHC_DATA) $(wildcard data/mnist ../shared/data/mnist))

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

setup: $(READY) ## make .venv and install graphc with all that its tests need

run: setup ## watch a network learn real handwritten digits (MNIST if it is found)
	$(PY) examples/mnist_mlp.py $(if $(MNIST),--data $(MNIST))

test: setup ## the whole suite; at its end, what was slow
	$(PY) -m pytest -n $(JOBS) --durations=15 --durations-min=2

lint: setup ## ruff
	$(PY) -m ruff check .

type: setup ## mypy --strict
	$(PY) -m mypy

check: lint type test ## what has to pass before a change is shared

fmt: setup ## sort imports and mend what ruff can
	$(PY) -m ruff check --fix .

bench: setup ## speed against hand-written loops and other frameworks
	$(PY) -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	$(PY) -m benchmarks

cuda: setup ## the CUDA toolchain: with it, tests compile kernels for GPUs (none is needed)
	$(PY) -m pip install --quiet --disable-pip-version-check -e '.[cuda13]'

gpu-check: cuda ## on a machine with a GPU: what is right there, and how fast; gpu-report.json
	$(PY) -m benchmarks.gpu_check

golden: setup ## rewrite the expected texts in tests/golden; read the diff afterwards
	$(PY) -m pytest tests --update-golden

fuzz: setup ## ten times as many random graphs, from another seed each time
	$(PY) -m pytest tests/fuzz/test_random_graphs.py -n $(JOBS) --graphc-fuzz 20000 --graphc-fuzz-seed $$(date +%s)

clean: ## remove what the targets made
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache build *.egg-info
