# Two commands are all a newcomer needs: `make retrain` and `make test`. Each sets everything up by itself.

DATASET ?= mnist
PORT ?= 4200
# Tests at once; on two cores one of them usually waits for a server.
JOBS ?= 3
VENV := .venv
BIN := $(VENV)/bin
# The first Python that is new enough; override with `make PYTHON=... setup`.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null && { echo $$p; break; }; done)

.PHONY: help retrain smoke server deploy down test test-fast faults check setup setup-dev setup-gpu lock clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*  ## ' $(MAKEFILE_LIST) | sed -E 's/:.*  ## /\t/' | expand -t 14

retrain: setup  ## download, check, train, judge and register (DATASET=fashion-mnist)
	@$(BIN)/nightshift retrain $(DATASET) || test $$? -eq 3  # 3: not promoted, which is no error

smoke: setup  ## check this installation on a tiny bundled dataset, without a network
	@$(BIN)/nightshift smoke

server: setup  ## start a Prefect server with pools, deployments and workers, unless it runs (PORT=4200)
	@$(BIN)/nightshift server up --port $(PORT)

deploy: setup  ## deploy pools and flows to the server at PREFECT_API_URL
	@$(BIN)/nightshift deploy

down: setup  ## stop what `make server` started, and nothing else
	@$(BIN)/nightshift server down

test: setup-dev  ## run the tests (JOBS=3 at once; PYTEST="..." passes options on)
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup $(PYTEST)

test-fast: setup-dev  ## run the tests that take milliseconds: no server, no browser, no real training
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup -m "not server and not slow" $(PYTEST)

faults: setup-dev  ## run every test of docs/faults.md whole, and write the page anew (an hour)
	@rm -f build/faults.jsonl && mkdir -p build
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup -m fault --wide --counts $(CURDIR)/build/faults.jsonl $(PYTEST)
	@$(BIN)/python -m tests.faults build/faults.jsonl

check: setup-dev  ## style, types and import contracts
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

setup: $(VENV)/.base  ## create .venv from the locked requirements, if they have changed
setup-dev: $(VENV)/.dev
setup-gpu: $(VENV)/.gpu  ## add the CUDA libraries for training on an NVIDIA GPU

# The pip that comes with Python 3.11 cannot check hashes of a package that is asked for with extras; so pip comes first.
PIP = $(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes

lock:  ## resolve the requirements again (needs uv)
	echo pip | uv pip compile -q $(LOCK) - -o requirements/pip.txt
	uv pip compile -q $(LOCK) pyproject.toml -o requirements/base.txt
	uv pip compile -q $(LOCK) pyproject.toml -c requirements/base.txt --extra dev -o requirements/dev.txt
	uv pip compile -q $(LOCK) pyproject.toml -c requirements/base.txt --extra gpu -o requirements/gpu.txt

clean:  ## remove the virtual environment and caches; what runs produced (var/) stays
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build *.egg-info

LOCK := --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate

# One rule for the three sets: a stamp newer than the lock means "installed". A killed installation leaves no stamp.
$(VENV)/.%: requirements/%.txt requirements/pip.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "Nightshift needs Python 3.11, 3.12 or 3.13; found none. Install one, or say which: make PYTHON=/path/to/python"; exit 2; }
	@echo "Setting up $(VENV) from $< (a few minutes the first time)"
	@if command -v uv >/dev/null; then \
		{ test -x $(BIN)/python || uv venv -q --clear --python $(PYTHON) $(VENV); } && \
		uv pip install -q --python $(BIN)/python --require-hashes -r $< && \
		uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .; \
	else \
		{ $(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV); } && \
		$(PIP) -r requirements/pip.txt && $(PIP) -r $< && \
		$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .; \
	fi
	@touch $@
