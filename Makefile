# Two commands for users: `make demo` and `make test`. Both make .venv from the lock first.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test lint types check-long clean

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

demo: $(READY)
	PATH="$(CURDIR)/$(BIN):$$PATH" sh infra/demo.sh demo-out

test: $(READY) lint
	$(BIN)/python -m pytest -m "not long"

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check-long: $(READY) lint
	$(BIN)/python -m pytest

clean:
	-chmod -R u+w demo-out
	rm -rf $(VENV) demo-out
