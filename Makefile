# make run    set up and train: LeNet-5 on MNIST          make test   the whole test suite
# make lint   ruff and mypy                               make bench  byhand beside its peers
PYTHON ?= python3
BIN    := .venv/bin
PIP    := $(BIN)/pip install -qq --no-compile --disable-pip-version-check
TORCH  := torch==2.13.0+cpu
.DELETE_ON_ERROR:
.PHONY: run test lint bench clean

run: .venv/installed
	@$(BIN)/byhand train

test: .venv/installed-dev
	@$(BIN)/python -m pytest -n auto --dist loadfile

lint: .venv/installed-dev
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

bench: .venv/installed-bench
	@$(BIN)/byhand bench

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis

.venv/installed: pyproject.toml
	@echo "Making .venv and installing byhand (once; about 370 MB with NumPy, Numba and matplotlib) ..."
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
	@$(PIP) jax onnxruntime onnx 2>/dev/null || echo "Without JAX and onnxruntime: they could not be installed."
	@touch $@
