# lakerec: every task a person or CI needs. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PEERS := build/peers
# Files in their order: the longest one, a single test, would come last, with the other worker idle for minutes.
SIDE_BY_SIDE := -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: help setup demo test test-slow test-long test-cluster test-gpu lint bench doctor clean java

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

setup: $(READY) ## environment from requirements.lock, Delta's jars

$(READY): requirements.lock setup.py tools/java.sh | java
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) was not found: install Python 3.11, or say make PYTHON=/path/to/python3.12"; exit 2; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tools/uv.lock
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock tools/uv.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	$(BIN)/python -m lakerec.lake.jars
	@touch $@

java: # Spark needs Java 17: say how to get it, or get it where that is ours to do
	@bash tools/java.sh

demo: $(READY) ## MovieLens-100K through every stage, on this machine
	$(BIN)/python tools/fetch_movielens.py
	$(BIN)/lakerec run --conf conf/demo.yaml

test: $(READY) ## tests that take minutes at most
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m "not slow and not long and not cluster and not gpu"

test-slow: $(READY) $(PEERS)/rectools/.ready ## the longer ones
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m "slow and not long and not gpu" --timeout 2400

test-long: $(READY) ## Online Retail in portions (hours), orders of arrival, all kills, a million items, avro
	$(BIN)/python -m pytest -m "long and not gpu" --timeout 21600

test-cluster: $(READY) ## a Spark master and two workers, GPU scheduling, two ranks
	$(BIN)/python -m pytest -m "cluster and not long" --timeout 1200

test-gpu: $(READY) ## encoder and training on a CUDA device, no Spark
	$(BIN)/python -m pytest -m gpu

lint: $(READY) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: bench-encode bench-tokens bench-feed bench-lake bench-quality ## all benchmarks; figures in build/bench

bench-encode: $(PEERS)/onnx/.ready
bench-quality: $(PEERS)/rectools/.ready

$(PEERS)/%/.ready: tests/benchmarks/peer_%.txt | $(READY)
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(PEERS)/$*
	$(BIN)/uv pip install --quiet --python $(PEERS)/$*/bin/python -r $<
	@touch $@

bench-%: $(READY)
	$(BIN)/python -m tests.benchmarks.bench_$*

doctor: $(READY) ## what this machine has and lacks
	$(BIN)/lakerec doctor --conf conf/demo.yaml

clean: ## remove what was built, not the environment
	rm -rf build .pytest_cache .mypy_cache .ruff_cache
