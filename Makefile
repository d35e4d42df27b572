# The commands of the README. Each does all the set-up it needs, in a virtual environment of its own (.venv).
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: install torch cluster demo test test-slow check bench picture clean
.DEFAULT_GOAL := demo

install: $(STAMP)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "scalinglens needs Python 3.11 or newer; say which with: make PYTHON=/path/to/python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[all,dev]'
	@touch $@

# PyTorch, which trains. Without its own dependencies, which on a machine of processors alone may bring
# several GB of CUDA packages; what it needs to be imported is small.
torch: install
	$(BIN)/python -c 'import torch' 2>/dev/null || { \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps 'torch==2.13.0' && \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	    filelock typing-extensions sympy networkx jinja2 fsspec 'setuptools>=77.0.3'; }
	$(BIN)/python -c 'import torch; print("PyTorch", torch.__version__)'

# Ray and submitit, for the tests of the executors. Both are small beside PyTorch, and neither needs a cluster to be tried.
cluster: torch
	$(BIN)/python -c 'import ray, submitit' 2>/dev/null || \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check 'ray>=2.9' 'submitit>=1.5'
	$(BIN)/python -c 'import ray, submitit; print("Ray", ray.__version__, "submitit", submitit.__version__)'

demo: torch
	$(BIN)/scalinglens demo

test: torch
	$(BIN)/python -m pytest -m "not slow" -n 2

test-slow: torch
	$(BIN)/python -m pytest -m slow -n 2

check: install
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/lint-imports
	$(BIN)/pyright

bench: install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	$(BIN)/python -m benchmarks

# The picture of the README, made again from the public table of 245 runs.
picture: install
	$(BIN)/python -m benchmarks.picture

clean:
	rm -rf $(VENV)
