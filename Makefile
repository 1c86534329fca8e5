# The one list of verbs. `make help` prints it.
# Needs Python 3.11 and make; everything else is installed into .venv and .venvs from the locked, hashed requirements.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
EMULATOR := .venvs/emulator
VASTLEGACY := .venvs/vastlegacy
SERVERS := .venvs/servers
# Where PyTorch without CUDA comes from; empty it to take what uv finds by itself (UV_FIND_LINKS).
TORCH_FLAGS ?= --torch-backend cpu
JOBS ?= 2
UV_VERSION := 0.13.9
# Never fetch an interpreter: the one named above is used, and a missing one is a clear error below.
export UV_PYTHON_DOWNLOADS := never
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help

.PHONY: help
help: ## Print this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Both environments are files to make: they are rebuilt when their lock changes, and only then.
$(VENV)/.ready: requirements/dev.txt
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) not found: install Python 3.11, or name one with make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Setting up $(VENV) (once)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements/dev.txt
	@touch $@

$(EMULATOR)/.ready: requirements/emulator.txt $(VENV)/.ready
	@echo "Setting up $(EMULATOR) (once)"
	@$(PYTHON) -m venv --without-pip $(EMULATOR)
	@$(BIN)/uv pip sync --quiet --python $(EMULATOR)/bin/python --require-hashes requirements/emulator.txt
	@touch $@

# The generation of the marketplace's own worker before the present one: it cannot live beside the present package.
$(VASTLEGACY)/.ready: requirements/vastlegacy.txt $(VENV)/.ready
	@echo "Setting up $(VASTLEGACY) (once)"
	@$(PYTHON) -m venv --without-pip $(VASTLEGACY)
	@$(BIN)/uv pip sync --quiet --python $(VASTLEGACY)/bin/python --require-hashes requirements/vastlegacy.txt
	@touch $@

.PHONY: setup
setup: $(VENV)/.ready $(EMULATOR)/.ready $(VASTLEGACY)/.ready ## Install everything that is needed, from the locks

.PHONY: demo
demo: setup ## The whole system on this machine in two to three minutes (ARGS="--json FILE")
	@$(BIN)/python -m sandbox demo $(ARGS)

.PHONY: sandbox
sandbox: setup ## The same system, staying up until Ctrl-C, with commands to paste
	@$(BIN)/python -m sandbox up $(ARGS)

.PHONY: marketplace
marketplace: setup ## The marketplace simulator alone (ARGS="--port 8482 --seed 7 --speed 20 --faults typical")
	@$(BIN)/python -m sandbox.marketplace $(ARGS)

# TRACE: a CSV of t_s,prompt_tokens,output_tokens. STACK: the stack file whose parameters to take; BEFORE: another to compare it with.
# PICTURE: where to draw the machines over time (.png or .svg).
.PHONY: backtest
backtest: setup ## What scaling policies cost over a trace (TRACE=requests.csv STACK=Pulumi.prod.yaml)
	@$(BIN)/python -m bench.backtest $(if $(TRACE),--trace $(TRACE)) $(if $(STACK),--stack $(STACK)) $(if $(BEFORE),--before $(BEFORE)) $(if $(PICTURE),--picture $(PICTURE)) $(ARGS)

# The worker's books are the real ones, so the worker's code is on the path.
SIMULATION := PYTHONPATH=worker_image $(BIN)/python -m tests.simulation

.PHONY: simulate
simulate: setup ## One seed of the hostile world, told as a story (SEED=17 ARGS=--json)
	@$(SIMULATION) one --seed $(or $(SEED),0) $(ARGS)

.PHONY: soak
soak: setup ## Thousands of seeds on every core, failing ones named (SEEDS=5000 ARGS="--minutes 30 --json")
	@nice $(SIMULATION) soak --seeds $(or $(SEEDS),5000) $(ARGS)

.PHONY: replay
replay: setup ## Decide again by a decision record, and show what would differ (RECORD=record.json)
	@$(BIN)/python -m bench.replay $(RECORD) $(ARGS)

.PHONY: test
test: setup ## Every test, in parallel, without a network
	@$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

# A C++ compiler and cmake are needed; the build takes minutes, once.
$(SERVERS)/bin/llama-server: requirements/llamacpp.txt $(SERVERS)/.ready
	@echo "Building llama-server (once, some minutes)"
	@mkdir -p build/llamacpp/source
	@$(BIN)/python -m pip download --quiet --no-deps --no-binary llama-cpp-python --require-hashes -r $< -d build/llamacpp
	@tar -xzf build/llamacpp/llama_cpp_python-*.tar.gz -C build/llamacpp/source --strip-components 1
	@cmake -S build/llamacpp/source/vendor/llama.cpp -B build/llamacpp/out -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF \
	  -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF \
	  -DLLAMA_OPENSSL=OFF -DGGML_OPENMP=OFF >build/llamacpp/log
	@cmake --build build/llamacpp/out --target llama-server --parallel $(JOBS) >>build/llamacpp/log
	@cp build/llamacpp/out/bin/llama-server $@

$(SERVERS)/.ready: requirements/servers.txt $(VENV)/.ready
	@echo "Setting up $(SERVERS) (once)"
	@$(PYTHON) -m venv --without-pip $(SERVERS)
	@$(BIN)/uv pip sync --quiet --python $(SERVERS)/bin/python --require-hashes $(TORCH_FLAGS) requirements/servers.txt
	@touch $@

.PHONY: test-servers
test-servers: setup $(SERVERS)/.ready $(SERVERS)/bin/llama-server ## The worker in front of real inference servers (Linux on x86-64)
	@$(BIN)/python -m pytest -m servers tests/servers $(ARGS)

.PHONY: bench-route
bench-route: setup ## CPU, operations and cold start of a route, beside boto3 (ARGS=--json)
	@$(BIN)/python -m bench.route $(ARGS)
	@$(BIN)/python -m bench.cold_start $(ARGS)

.PHONY: study-routing
study-routing: setup ## How to choose a worker under stale knowledge, simulated in some ten minutes (ARGS="--quick")
	@$(BIN)/python -m bench.routing_study $(ARGS)

.PHONY: bench-worker
bench-worker: setup ## The worker's overhead beside the marketplace's own worker, side by side (ARGS="--json FILE")
	@$(BIN)/python -m bench.worker $(ARGS)

.PHONY: check
check: setup ## Formatting, lint, types, import arrows
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@PYTHONPATH=worker_image $(BIN)/lint-imports --no-cache

.PHONY: fix
fix: setup ## Format, and mend what ruff can mend
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --quiet --fix .

.PHONY: lock
lock: $(VENV)/.ready ## Resolve the dependency groups anew into requirements/*.txt (ARGS="--upgrade-package boto3")
	@$(BIN)/uv pip compile $(LOCK_FLAGS) $(ARGS) --group dev -o requirements/dev.txt
	@for group in functions worker infra; do \
	  $(BIN)/uv pip compile $(LOCK_FLAGS) --group $$group -c requirements/dev.txt -o requirements/$$group.txt || exit 1; done
	@for group in emulator vastlegacy; do $(BIN)/uv pip compile $(LOCK_FLAGS) $(ARGS) --group $$group -o requirements/$$group.txt || exit 1; done

# Apart, because PyTorch without CUDA comes from an index of its own (TORCH_FLAGS).
.PHONY: lock-servers
lock-servers: $(VENV)/.ready ## Resolve what the real inference servers of `make test-servers` need
	@$(BIN)/uv pip compile $(SERVER_LOCK_FLAGS) $(TORCH_FLAGS) --group servers -o requirements/servers.txt
	@$(BIN)/uv pip compile $(LOCK_FLAGS) --no-deps --group llamacpp -o requirements/llamacpp.txt

SERVER_LOCK_FLAGS := --quiet --generate-hashes --no-header --no-annotate --python-version 3.11 --python-platform x86_64-manylinux_2_28
LOCK_FLAGS := --quiet --universal --generate-hashes --no-header --no-annotate --python-version 3.11

.PHONY: clean
clean: ## Remove what the verbs above made
	@rm -rf $(VENV) .venvs build .pytest_cache .mypy_cache .ruff_cache .hypothesis
