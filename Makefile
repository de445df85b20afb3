# `make help` lists what there is. Needs Linux, make and Python 3.11 or newer with its venv module.
SHELL := bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
BIN := .venv/bin
# Jobs of a demo share the cores; pytest-xdist gets two workers, because every workflow test starts Snakemake.
CORES ?= all
WORKERS ?= 2

DEMO := demo/simulated
REAL := demo/real

.PHONY: help
help: ## show this overview
	@echo "Motion correction for two-photon sessions. Your recordings: set 'root' in config/session.yaml, then"
	@echo "    $(BIN)/snakemake -n               what is to be done, and why"
	@echo "    $(BIN)/snakemake --cores all      do it"
	@echo "    $(BIN)/snakemake --list           all targets: stages, exports for other tools, inspect"
	@echo "With make:"
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do printf '%-12s %s\n' "$$name" "$$text"; done

.PHONY: setup
setup: .venv/.up-to-date ## make .venv from the pinned envs/requirements.txt

.venv/.up-to-date: envs/requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "flowsession needs Python 3.11 or newer, but '$(PYTHON)' is: $$($(PYTHON) --version 2>&1)." \
	       "Install one and say e.g. 'make setup PYTHON=python3.11'." >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "$(PYTHON) has no venv module. On Debian and Ubuntu: apt-get install python3-venv." >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r envs/requirements.txt
	@touch $@

# CuPy brings what it needs of CUDA along (ctk); the driver, and for CUDA 13 a GPU of 2018 or later, must be there. On a
# login node, which has neither, say CUDA=12 or CUDA=13.
CUPY := 14.2.0
CUDA ?= $(shell nvidia-smi --query-gpu=driver_version,compute_cap --format=csv,noheader 2>/dev/null | head -1 \
  | awk -F '[., ]+' '{ print($$1 >= 580 && 10 * $$(NF - 1) + $$NF >= 75 ? 13 : ($$1 >= 525 ? 12 : "driver " $$0)) }')

.PHONY: setup-gpu
setup-gpu: setup ## add CuPy for this machine's NVIDIA driver
	@case "$(CUDA)" in 12 | 13) ;; \
	  "") echo "nvidia-smi shows no GPU and no driver: install NVIDIA's driver (525 or newer), or say CUDA=12 or CUDA=13" \
	      "if this is a login node whose nodes have one." >&2; exit 1 ;; \
	  *) echo "CuPy needs NVIDIA's driver 525 or newer (CUDA 12) or 580 or newer (CUDA 13); found $(CUDA)." >&2; exit 1 ;; \
	esac
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "cupy-cuda$(CUDA)x[ctk]==$(CUPY)"

# --- demos -----------------------------------------------------------------------------------------------------------
# One call of Snakemake for a demo in the folder $(1); --directory keeps all it writes in there.
run = $(BIN)/snakemake --directory $(1) --configfile $(1)/session.yaml --cores $(CORES) --rerun-incomplete

.PHONY: demo
demo: $(DEMO)/session.yaml ## simulate a session of five recordings, correct it, and compare with the true motion
	$(call run,$(DEMO)) --quiet host rules --report report.html --report-after-run
	@PYTHONPATH=. $(BIN)/python scripts/score_demo.py $(DEMO)
	@echo "Results: $(DEMO)/final_results   Picture: $(DEMO)/final_results/summary.png   Report: $(DEMO)/report.html"

$(DEMO)/session.yaml: scripts/make_demo.py lib/simulate.py | .venv/.up-to-date
	PYTHONPATH=. $(BIN)/python scripts/make_demo.py $(DEMO)

.PHONY: demo-real
demo-real: $(REAL)/session.yaml ## the same with a real recording, out of a package on PyPI (100 MB)
	$(call run,$(REAL)) --quiet host rules --report report.html --report-after-run
	@echo "Results: $(REAL)/final_results   Picture: $(REAL)/final_results/summary.png   Report: $(REAL)/report.html"

$(REAL)/session.yaml: scripts/make_demo.py | .venv/.up-to-date
	$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --dest demo/download optinist==2.4.1
	PYTHONPATH=. $(BIN)/python scripts/make_demo.py $(REAL) --wheel demo/download/optinist-2.4.1-py3-none-any.whl

# --- checks ----------------------------------------------------------------------------------------------------------
.PHONY: test
test: lint ## everything: linters, then unit, oracle, script and workflow tests (snakemake --lint among them)
	$(BIN)/python -m pytest -n $(WORKERS)

.PHONY: test-tools
test-tools: setup ## our files opened by GNU Octave, pyflowreg and suite2p (minutes; installs these: 3 GB, Octave if root)
	@command -v octave-cli >/dev/null || { test "$$(id -u)" = 0 && apt-get -qq update && \
	  DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends octave >/dev/null; } || \
	  { echo "GNU Octave is missing. On Debian and Ubuntu: apt-get install octave." >&2; exit 1; }
	$(BIN)/python -m pytest tests/tools

.PHONY: test-cluster
test-cluster: setup ## sessions through real SLURM, Grid Engine and Torque commands (root on Debian; installs them)
	tests/cluster/install
	tests/cluster/together $(BIN)/python slurm sge pbs pbspro

.PHONY: lint
lint: setup ## ruff and snakefmt, changing nothing
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/snakefmt --check Snakefile rules

.PHONY: format
format: setup ## let ruff and snakefmt put the code in order
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/snakefmt Snakefile rules

.PHONY: bench
bench: $(REAL)/session.yaml ## time and error beside pyflowreg, suite2p and OpenCV (an hour; installs them under .bench/)
	$(BIN)/python -m tests.bench all

.PHONY: bench-gpu
bench-gpu: setup ## what the GPU path moves and computes; on a GPU its speed beside the CPU, and the parity tests
	$(BIN)/python -m tests.bench gpu
	$(BIN)/python -m pytest -q tests/lib/flow/test_cupy.py

.PHONY: bench-real
bench-real: $(REAL)/session.yaml ## error on the recording of demo-real beside pyflowreg and suite2p (installs them under .bench/)
	$(BIN)/python -m tests.bench real

.PHONY: clean
clean: ## remove .venv, the demos and caches
	rm -rf .venv demo .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
