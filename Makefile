# make run        the demo campaign from nothing to a report (Python 3.11-3.13, git, make)
# make test       the test suite
# make check      format, lint, types, import contracts
# make benchmark  this engine beside other codes, into docs/engine.md (idle machine; BENCH_PYTHON: one that has caustics as well)
# make scale      parent, manifest and summary at the survey's size: 20 million parents, up to 12 million rows (an hour, 5 GB of disk in $TMPDIR)
# make engines-benchmark  each engine beside the bare function, blocks with nothing to do, into docs/engines.md (a quarter of an hour, idle machine, Java)
# make scheduler  the central scheduler of a group, on the loopback (docs/scheduler.md)
# make team-demo  the demo campaign as a group runs it: Postgres, an S3 server, luigid and two workers, started and stopped here
# make crash-test kills everything again and again while campaigns run, and writes docs/crash_report.md (half an hour)
# make fetch-proof 2,000 planes of a server that misbehaves come to S3 through kills of the process (three minutes)
# make executors-proof  200 executors at once keep to the limits of archive, S3 and database (some minutes)
# make closure    intervals against a planted law: thousands of simulated campaigns (some minutes)
# make environment the Python environment of a cluster's executors in one file, halo_data/environment.tar.gz (docs/spark.md)
# make spark-proof the demo campaign on Luigi's workers and, by that file, on a Spark cluster: the same bytes (Java 17; ten minutes)
# make real-field SURVEY=DIR    a real field in survey layout, with DIR/parents.csv

SHELL := /bin/bash
PYTHON ?= $(firstword $(foreach version,3.11 3.12 3.13,$(shell command -v python$(version) 2>/dev/null)) python3)
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2
PORT ?= 8082
KILLS ?= 100
TEAM := halo_data/team_demo
BENCH_PYTHON ?= $(BIN)/python
ENVIRONMENT := halo_data/environment
NODE_PYTHON ?= /usr/bin/python$(shell $(BIN)/python -c 'import sys; print(*sys.version_info[:2], sep=".")' 2>/dev/null)
PACKAGED := halo_command halo_core luigi_tasks migrations grids campaigns setup.cfg pyproject.toml README.md LICENSE
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
export NUMBA_NUM_THREADS := 1

.PHONY: run real-field test fetch-proof executors-proof closure spark-proof environment check benchmark engines-benchmark scale format lock clean

run: $(VENV)/installed
	@$(BIN)/halo state upgrade
	@LUIGI_CONFIG_PATH=campaigns/demo.cfg $(BIN)/luigi --module luigi_tasks RunCampaign --local-scheduler --workers $(WORKERS)
	@$(BIN)/halo status demo

real-field: $(VENV)/installed
	@test -d "$(SURVEY)/coadd" || { echo "SURVEY='$(SURVEY)': no folder $(SURVEY)/coadd; call: make real-field SURVEY=DIR (DIR holds coadd/ and parents.csv)"; exit 2; }
	@test -f "$(SURVEY)/parents.csv" || { echo "SURVEY='$(SURVEY)': no table $(SURVEY)/parents.csv of targets"; exit 2; }
	@$(BIN)/halo state upgrade
	@LUIGI_CONFIG_PATH=campaigns/real_field.cfg $(BIN)/luigi --module luigi_tasks RunCampaign --local-scheduler --workers $(WORKERS) \
	    --survey-root "$(SURVEY)" --parent "$(SURVEY)/parents.csv" --splits train --on-shortage reduce
	@LUIGI_CONFIG_PATH=campaigns/real_field.cfg $(BIN)/halo status real_field

scheduler: $(VENV)/installed
	@test -n "$$HALO_HISTORY_URL" || { echo "HALO_HISTORY_URL is not set: name a Postgres database for the history of tasks, without a password; see docs/scheduler.md"; exit 2; }
	@mkdir -p halo_data
	@echo "http://127.0.0.1:$(PORT)/static/visualiser/index.html"
	@LUIGI_CONFIG_PATH=scheduler.cfg $(BIN)/halo supervise --service -- $(BIN)/luigid --address 127.0.0.1 --port $(PORT)

team-demo: $(VENV)/installed-dev
	@$(BIN)/python -m tests.crash.team_demo $(TEAM) --workers $(WORKERS)

crash-test: $(VENV)/installed-dev
	@$(BIN)/python -m tests.crash.long_run halo_data/crash_test --report docs/crash_report.md --kills $(KILLS)

fetch-proof: $(VENV)/installed-dev
	HALO_PROOF_BRICKS=200 $(BIN)/python -m pytest tests/crash/test_fetch_proof.py

executors-proof: $(VENV)/installed-dev
	HALO_PROOF_EXECUTORS=200 $(BIN)/python -m pytest tests/tasks/test_backpressure.py -k executors

test: $(VENV)/installed-dev
	$(BIN)/python -m pytest

closure: $(VENV)/installed-dev
	$(BIN)/python -m pytest -m closure --log-cli-level=INFO

environment: $(ENVIRONMENT).tar.gz

spark-proof: $(VENV)/installed-dev $(ENVIRONMENT).tar.gz
	$(BIN)/python -m pytest -m spark_proof --log-cli-level=INFO

check: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --config-file setup.cfg
	$(BIN)/lint-imports --config setup.cfg

benchmark: $(VENV)/installed-dev
	$(BENCH_PYTHON) -m benchmarks.rendering --write docs
	$(BENCH_PYTHON) -m benchmarks.engine_figures docs

engines-benchmark: $(VENV)/installed-dev
	$(BIN)/python -m benchmarks.engines --write docs

scale: $(VENV)/installed-dev
	$(BIN)/python benchmarks/parent_scale.py --parents 20000000
	$(BIN)/python benchmarks/manifest_scale.py
	$(BIN)/python benchmarks/summary_scale.py

format: $(VENV)/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(not (3, 11) <= v <= (3, 13) and f"Python 3.11, 3.12 or 3.13 is needed, $(PYTHON) is {v[0]}.{v[1]}; call: make PYTHON=/path/to/python3.11")'
	@$(PYTHON) -c 'import venv, ensurepip' || { echo "$(PYTHON) has no venv; on Debian or Ubuntu: apt-get install python3-venv"; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: requirements.lock pyproject.toml setup.cfg | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/installed-dev: requirements-dev.lock $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

# What executors import, for the Python that stands at NODE_PYTHON here and on every node. Compiled files are trusted as they are: times of
# files do not survive the way to a node.
$(ENVIRONMENT)/installed: requirements-cluster.lock | $(VENV)/installed
	@$(NODE_PYTHON) -c 'import venv' || { echo "NODE_PYTHON=$(NODE_PYTHON): no such Python; name the one that nodes have, as make environment NODE_PYTHON=/opt/bin/python3.11"; exit 2; }
	rm -rf $(ENVIRONMENT)
	$(NODE_PYTHON) -m venv --without-pip $(ENVIRONMENT)
	$(BIN)/python -m pip --python $(ENVIRONMENT)/bin/python install --quiet --disable-pip-version-check --no-compile --only-binary :all: \
	    --require-hashes -r requirements-cluster.lock
	@touch $@

$(ENVIRONMENT).tar.gz: $(ENVIRONMENT)/installed $(shell find $(PACKAGED) -name __pycache__ -prune -o -print)
	rm -rf $(ENVIRONMENT)_source
	mkdir $(ENVIRONMENT)_source
	cp -r $(PACKAGED) $(ENVIRONMENT)_source
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation \
	    --wheel-dir $(ENVIRONMENT)_source $(ENVIRONMENT)_source
	$(BIN)/python -m pip --python $(ENVIRONMENT)/bin/python install --quiet --disable-pip-version-check --no-deps --no-compile --no-index \
	    --force-reinstall $(ENVIRONMENT)_source/*.whl
	PYTHONHASHSEED=0 $(ENVIRONMENT)/bin/python -m compileall -q --invalidation-mode unchecked-hash -s $(ENVIRONMENT) $(ENVIRONMENT)/lib
	find $(ENVIRONMENT)/bin -type f -delete
	sed -i '/^command/d' $(ENVIRONMENT)/pyvenv.cfg
	tar --sort=name --mtime=2000-01-01Z --owner=0 --group=0 --numeric-owner --mode=u+w,go=rX --exclude=./installed --exclude=direct_url.json \
	    -C $(ENVIRONMENT) --use-compress-program='gzip -n -4' -cf $(abspath $@).part .
	rm -rf $(ENVIRONMENT)_source
	mv $@.part $@

lock:
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet \
	    --output-file requirements.lock setup.cfg requirements.in
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet \
	    --extra dev --constraint requirements.lock --output-file requirements-dev.lock setup.cfg requirements.in
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet \
	    --extra s3 --constraint requirements-dev.lock --output-file requirements-cluster.lock setup.cfg

clean:
	rm -rf $(VENV) halo_data build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
