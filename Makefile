# Two commands on a fresh machine: `make repro` and `make test`. They need git, make and Python 3.11 or 3.12.
#
# OMP_WAIT_POLICY and KMP_BLOCKTIME make idle threads sleep instead of spin: spinning is 16 times slower on shared cores.

PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3 python,\
	$(shell $(name) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && echo $(name))))
VENV := .venv
READY := $(VENV)/.ready
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export DVC_NO_ANALYTICS := 1
export OMP_WAIT_POLICY := PASSIVE
export KMP_BLOCKTIME := 0
export TQDM_DISABLE := 1
export TF_CPP_MIN_LOG_LEVEL := 3

.PHONY: help repro gate test lint format smoke bundled lock clean

help:            ## list the targets
	@grep -hE '^[a-z]+: .*##|^[a-z]+: +##' $(MAKEFILE_LIST) | sed 's/:[^#]*## /\t/' | expand -t 12

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11 or 3.12 found; install one, or: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the locked requirements into $(VENV) (some minutes the first time)"
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

repro: $(READY) ## run the stages whose inputs changed: dvc repro
	dvc repro

gate: $(READY)   ## run the stages up to the report, print its summary, exit with 1 unless the verdict is a pass
	dvc repro report
	@cat report/summary.md
	@gossamer verdict

test: $(READY)   ## run the whole test suite
	python -m pytest -n 2 --dist loadgroup

lint: $(READY)   ## check the code with ruff and mypy
	ruff check .
	ruff format --check .
	mypy

format: $(READY) ## format the code and apply the fixes of ruff
	ruff check --fix .
	ruff format .

smoke: $(READY)  ## run the whole chain on small params in a temporary clone (minutes)
	python -m tests.smoke $(POLICY)

bundled: $(READY) ## train the bundled Stable Diffusion (hours; an interrupted run resumes)
	python -m pipeline.bundled_diffusion pipeline/bundled_diffusion/params.yaml

lock:            ## resolve requirements.lock again (needs uv)
	uv pip compile pyproject.toml --extra stages --extra dev --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-annotate --no-header --upgrade --output-file requirements.lock

clean: $(READY)  ## remove the outputs that dvc checkout restores from its cache, and work areas; nothing else
	gossamer clean
