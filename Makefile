# Two commands for users: `make demo` and `make test`. Both make .venv from the lock first.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# What `make unit` runs: all tests, or those of a folder or a file (`make unit TESTS=tests/filters`).
TESTS ?= tests
# A process for each core, each with whole files: what a file makes for its tests is made once. A process costs some
# seconds to import what it tests, so that more than eight are of no use.
PYTEST := $(BIN)/python -m pytest -n logical --maxprocesses 8 --dist loadfile

.PHONY: demo test unit lint check-long clean

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

demo: $(READY)
	PATH="$(CURDIR)/$(BIN):$$PATH" sh infra/demo.sh demo-out

test: lint unit

unit: $(READY)
	$(PYTEST) -m "not long" $(TESTS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check-long: lint
	RANDOM_EXAMPLES=1 $(PYTEST) --timeout 3600 $(TESTS)

clean:
	-chmod -R u+w demo-out
	rm -rf $(VENV) demo-out
