# Everything from a fresh clone with Python 3.11+, git and make. `make demo` shows it, `make test` proves it.
#
# The files in constraints/ pin every package by version and hash: run.txt what Unpush runs on, dev.txt all of that and
# what tests and checks need, fuzz.txt what `make fuzz` adds, audit.txt the tools of `make audit`. `make constraints`
# writes them anew from the bounds in pyproject.toml.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
ARGS   ?=
SECONDS ?= 60

.DEFAULT_GOAL := help
.PHONY: help demo test check fuzz audit bench docs interfaces constraints clean

help:
	@echo "make demo         the whole story on this machine; ARGS='--kafka' on a real Kafka"
	@echo "make test         every test, on a real Kafka that pip brings; ARGS='-k join' some of them"
	@echo "make check        ruff, mypy --strict, import-linter"
	@echo "make fuzz         garbage for everything that comes from outside; SECONDS=600 in all, ARGS='--only sends'"
	@echo "make audit        licences and known vulnerabilities of everything that is pinned"
	@echo "make bench        the figures, as ratios to limits measured in the same run"
	@echo "make docs         the documents as a site, in build/site; every warning is an error"
	@echo "make interfaces   docs/asyncapi.yaml by AsyncAPI's own parser, which npm fetches"
	@echo "make constraints  pin the newest packages that pyproject.toml allows"
	@echo "make clean        remove the virtual environment and all that tools left"

demo: $(VENV)/$(if $(findstring --kafka,$(ARGS)),kafka,run).stamp
	@$(BIN)/unpush demo $(ARGS)

test: $(VENV)/kafka.stamp
	@$(BIN)/python -m pytest -q -n 3 --dist worksteal $(ARGS)

check: $(VENV)/dev.stamp
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

fuzz: $(VENV)/fuzz.stamp
	@$(BIN)/python -m tests.fuzz --seconds $(SECONDS) $(ARGS)

audit: $(VENV)/audit.stamp $(VENV)/dev.stamp
	@$(BIN)/python -m tests.audit --tools $(VENV)/audit/bin $(ARGS)

bench: $(VENV)/kafka.stamp
	@$(BIN)/unpush bench $(ARGS)

docs: $(VENV)/dev.stamp
	@$(BIN)/python -m sphinx -c docs -q -W --keep-going -d build/doctrees . build/site
	@echo "build/site/index.html"

# Not in `make test`: it needs node and npm, and AsyncAPI's parser has no counterpart in Python. Nothing of it is executed
# at its installation.
interfaces: $(VENV)/dev.stamp
	@npm ci --prefix tests/interfaces --ignore-scripts --no-audit --no-fund --silent
	@$(BIN)/python -m pytest -q tests/interfaces tests/operate/test_openapi.py $(ARGS)

clean:
	rm -rf $(VENV) build dist .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment. A stamp is written last, so what was interrupted is done again.
# Two targets at once (make -j) must not fill one environment side by side: dev waits for run.

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"Unpush needs Python 3.11 or later; $(PYTHON) is {v[0]}.{v[1]}. Try: make PYTHON=python3.11 ...")'
	@echo "Making $(VENV) ..."
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/run.stamp: constraints/run.txt pyproject.toml | $(BIN)/python
	@echo "Installing what constraints/run.txt pins ..."
	@$(PIP) install --require-hashes -r constraints/run.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/dev.stamp: constraints/dev.txt $(VENV)/run.stamp
	@echo "Installing what constraints/dev.txt pins ..."
	@$(PIP) install --require-hashes -r constraints/dev.txt
	@touch $@

# In an environment of their own: what these tools need is nothing that Unpush is tested with.
$(VENV)/audit.stamp: constraints/audit.txt | $(BIN)/python
	@echo "Installing what constraints/audit.txt pins ..."
	@$(BIN)/python -m venv $(VENV)/audit
	@$(VENV)/audit/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r constraints/audit.txt
	@touch $@

# atheris is built into wheels for Linux only; where it has none for this Python, chance alone makes the inputs.
$(VENV)/fuzz.stamp: constraints/fuzz.txt $(VENV)/dev.stamp
	@$(PIP) install --require-hashes --only-binary :all: -r constraints/fuzz.txt || echo "No wheel of atheris for this Python."
	@touch $@

# Before the tests, not in them: the first fetch may take longer than any test is allowed to.
$(VENV)/kafka.stamp: stream/brokers/jars.py $(VENV)/dev.stamp
	@echo "Fetching Kafka's jars ..."
	@$(BIN)/python -c 'from stream.brokers.jars import class_path; class_path()'
	@touch $@

# One resolution for Python 3.11 and later on every platform; it names no index address, so a mirror serves as well.
PIN     = $(BIN)/uv pip compile --universal --python-version 3.11 --upgrade \
	--generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate --quiet
RESOLVE = $(PIN) pyproject.toml --group build

constraints: | $(BIN)/python
	@$(PIP) install uv
	$(RESOLVE) --output-file constraints/run.txt
	$(RESOLVE) --output-file constraints/dev.txt --extra dev --constraints constraints/run.txt
	$(PIN) --group fuzz --output-file constraints/fuzz.txt
	$(PIN) --group audit --output-file constraints/audit.txt
