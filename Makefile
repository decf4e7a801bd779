# Every target makes its own .venv and installs what it needs, from nothing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNNING := $(VENV)/.running
INSTALLED := $(VENV)/.installed

.PHONY: demo docs test dist lint verify bench bench-peers clean

$(RUNNING): pyproject.toml constraints.txt
	@echo "Installing hapsight and what it needs into $(VENV): a minute or more, and silent."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[models]'
	@echo "Installed: $(BIN)/hapsight --help"
	touch $@

$(INSTALLED): $(RUNNING)
	@echo "Installing every extra and the development tools: another minute."
	$(BIN)/pip install --quiet --constraint constraints.txt --group dev --editable '.[all]'
	touch $@

demo: $(RUNNING)  ## the whole chain on the cohort that comes with hapsight; no development tools
	$(BIN)/hapsight demo --output demo-run

docs: $(INSTALLED)  ## the site, in site/index.html: runs the tutorials, and ends at the first warning
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[docs]'
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -E -W --keep-going -b html docs site

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint  ## what CI runs
	$(BIN)/python -m pytest -m 'not verify' --hypothesis-profile same \
	    --numprocesses logical --dist loadfile --no-loadscope-reorder

dist: $(INSTALLED)  ## wheel and sdist, installed where nothing else is
	$(BIN)/python -m tools.check_dist dist

JUDGES := keras enformer basenji2 borzoi xgboost tensorqtl captum modisco triton snakemake packaging

verify: $(INSTALLED)  ## judged by bcftools, R glmnet, Keras, the models' other ports, and the whole cohort
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[alphagenome]'
	for judge in $(JUDGES); do sh tests/verify/$${judge}_venv.sh .verify/$$judge; done
	HAPSIGHT_KERAS_PYTHON=.verify/keras/bin/python \
	HAPSIGHT_ENFORMER_PYTHON=.verify/enformer/bin/python \
	HAPSIGHT_BASENJI2_PYTHON=.verify/basenji2/bin/python \
	HAPSIGHT_BORZOI_PYTHON=.verify/borzoi/bin/python \
	HAPSIGHT_XGBOOST_PYTHON=.verify/xgboost/bin/python \
	HAPSIGHT_TENSORQTL_PYTHON=.verify/tensorqtl/bin/python \
	HAPSIGHT_SNAKEMAKE_PYTHON=.verify/snakemake/bin/python \
	HAPSIGHT_PACKAGING_PYTHON=.verify/packaging/bin/python \
	HAPSIGHT_CAPTUM_FOLDER=.verify/captum \
	HAPSIGHT_MODISCO_FOLDER=.verify/modisco \
	HAPSIGHT_TRITON_FOLDER=.verify/triton \
	HAPSIGHT_COOKBOOK_FOLDER=.verify/cookbook \
	$(BIN)/python -m pytest -m verify
	$(BIN)/python -m pytest -q -m 'not verify' --numprocesses logical --dist loadfile  # other random examples
	$(BIN)/python -m tools.fuzz_campaign --seconds 480
	$(BIN)/python -m tools.fault_campaign --kills 104
	$(MAKE) docs

bench: $(INSTALLED)
	$(BIN)/python benchmarks/sequence_speed.py
	$(BIN)/python benchmarks/xpresso_speed.py
	$(BIN)/python -m benchmarks.baseline_speed --genes 4 --judge 1
	$(BIN)/python -m benchmarks.eqtl_speed --genes 10
	$(BIN)/python benchmarks/statistics_scale.py
	$(BIN)/hapsight bench sharing --model enformer --width 96 --haplotypes 64

bench-peers: $(INSTALLED)  ## one table: GenVarLoader, bcftools, R glmnet, susieR and tensorQTL, in turn with hapsight
	@OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.peers

clean:
	rm -rf $(VENV) .verify .peers demo-run dist site
