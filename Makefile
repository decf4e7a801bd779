# Every target makes its own .venv and installs what it needs, from nothing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo test lint verify bench clean

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --constraint constraints.txt --group dev --editable '.[all]'
	touch $@

demo: $(INSTALLED)  ## the whole chain on the cohort that comes with hapsight
	$(BIN)/hapsight demo --output demo-run

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint  ## what CI runs
	$(BIN)/python -m pytest -m 'not verify'

verify: $(INSTALLED)  ## judged by bcftools, R glmnet, Keras, and the whole cohort
	tests/verify/keras_venv.sh .verify/keras
	HAPSIGHT_KERAS_PYTHON=.verify/keras/bin/python $(BIN)/python -m pytest -m verify

bench: $(INSTALLED)
	$(BIN)/python benchmarks/sequence_speed.py
	$(BIN)/python benchmarks/xpresso_speed.py
	$(BIN)/python benchmarks/baseline_speed.py

clean:
	rm -rf $(VENV) .verify demo-run
