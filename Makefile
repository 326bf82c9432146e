# `make help` lists the targets.
ifeq ($(OS),Windows_NT)  # Git's sh and touch are on the PATH where make is
PYTHON ?= python
BIN    := .venv/Scripts
TORCH  := torch==2.13.0
else
PYTHON ?= python3
BIN    := .venv/bin
TORCH  := torch==2.13.0$(if $(filter Linux,$(shell uname)),+cpu)
endif
PIP    := $(BIN)/python -m pip install -qq --no-compile --disable-pip-version-check
PYTEST := $(BIN)/python -m pytest -n auto --dist worksteal
# test-fast: the conformance test with 5 examples, layers, graph, generated programs, shapes, files, architecture rules.
FAST   := --hypothesis-profile=fast tests/ops/test_conformance.py tests/nn tests/graph tests/program tests/test_shapes.py \
          tests/test_files.py tests/test_api.py tests/test_house.py tests/test_project.py
FUZZ   ?= 1000000
# The tests start hundreds of Python processes: without byte code on disk each compiles every module again, for seconds.
unexport PYTHONDONTWRITEBYTECODE
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test test-fast test-long fuzz lint lint-format lint-ruff lint-mypy format bench dist clean

help:  ## list the targets
	@sed -n 's/^\([a-z][a-z-]*\):.*## /  make \1|/p' Makefile | awk -F'|' '{printf "%-18s %s\n", $$1, $$2}'

run: .venv/installed  ## make .venv, install byhand, train LeNet-5 on MNIST
	@$(BIN)/byhand train

test: .venv/installed-dev  ## the test suite, without the tests marked `long`: about twelve minutes on two cores
	@$(PYTEST)

test-fast: .venv/installed-dev  ## a minute of it, while you work: ops, layers, programs; no training, no commands
	@$(PYTEST) $(FAST)

test-long: .venv/installed-dev  ## the test suite with the tests marked `long`, and the fuzzer: some hours, before a release
	@$(PYTEST) --long
	@$(MAKE) fuzz

fuzz: .venv/installed-dev  ## read a million broken files of all kinds (FUZZ="100000 --minutes 20 --seed 2" for fewer)
	@$(BIN)/python -m tests.fuzz $(FUZZ)

lint: lint-format lint-ruff lint-mypy  ## ruff and mypy, as CI runs them

lint-format: .venv/installed-dev
	@$(BIN)/ruff format --check .

lint-ruff: .venv/installed-dev
	@$(BIN)/ruff check .

lint-mypy: .venv/installed-dev
	@$(BIN)/mypy

format: .venv/installed-dev  ## format the code, and fix what ruff can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: .venv/installed-bench  ## byhand beside PyTorch, JAX, onnxruntime, OpenVINO and OpenCV: more than an hour
	@$(BIN)/byhand bench

dist: .venv/installed-dev  ## the wheel and the source distribution, in dist/
	@rm -rf dist
	@$(BIN)/python -m build --quiet

clean:  ## remove .venv, dist and the tools' caches
	rm -rf .venv dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

.venv/installed: pyproject.toml
	@echo "Making .venv and installing byhand (once; about 390 MB with NumPy, Numba and matplotlib) ..."
	@$(PYTHON) -m venv .venv
	@$(PIP) --editable .
	@touch $@

# PyTorch is an oracle, never a dependency: a CPU build where one is at hand, else the tests use results recorded from it.
.venv/installed-dev: .venv/installed
	@echo "Installing what the tests need ..."
	@$(PIP) --editable '.[dev]'
	@$(PIP) '$(TORCH)' 2>/dev/null || echo "No CPU build of PyTorch at hand: results recorded from it stand in."
	@npm install --silent --no-save --no-audit --no-fund --prefix .venv axe-core@4 2>/dev/null \
		|| echo "No npm at hand: the page's accessibility is not tested."
	@touch $@

.venv/installed-bench: .venv/installed-dev
	@echo "Installing byhand's peers ..."
	@for package in jax onnxruntime onnx openvino opencv-python-headless; do \
		$(PIP) $$package 2>/dev/null || echo "Without $$package: it could not be installed."; \
	done
	@touch $@
