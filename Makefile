# For newcomers: `make demo`, `make test`. Each installs what is missing, configures, builds and runs; nothing is done twice.
# QLOOM_JOBS sets how many jobs run at once (default: one per core). PRESET names the build (CMakePresets.json).
QLOOM_JOBS ?= $(shell nproc)
PRESET ?= release
CTEST_FLAGS ?=
PEERS ?=
BIN := build/$(PRESET)/bin
# What `make demo` builds and runs.
DEMO_TARGETS ?= qloom qloom_compiler qloom_zip
DEMO ?= $(BIN)/qloom demo tests/data/models/digits_cnn_w4a4.h5 --golden tests/data/models/digits_cnn_w4a4_ref.json
# `make bench` measures these models and suites; QLOOM_BENCH_MODELS is a folder of the networks of bench/models.
BENCH_MODELS ?= tests/data/models $(or $(QLOOM_BENCH_MODELS),$(wildcard build/$(PRESET)/peers/models))
BENCH_SUITES ?= overview
BENCH_SECONDS ?= 2
NINJA = ninja -C build/$(PRESET) -j$(QLOOM_JOBS) $(if $(VERBOSE),-v,--quiet)

export PATH := $(CURDIR)/build/venv/bin:$(PATH)

.PHONY: build demo test bench bench-peers check-all format setup
.DEFAULT_GOAL := build

setup:
	@cmake/setup.sh

build/%/build.ninja: CMakePresets.json | setup
	@echo "configure: build/$* (log: build/$*-configure.log)"
	@cmake --preset $* > build/$*-configure.log 2>&1 || { cat build/$*-configure.log; exit 1; }
	@touch $@

build: build/$(PRESET)/build.ninja
	@echo "build: $(PRESET), $(QLOOM_JOBS) jobs"
	@$(NINJA)

demo: build/$(PRESET)/build.ninja
	@echo "build: $(PRESET), what the demo needs, $(QLOOM_JOBS) jobs"
	@$(NINJA) $(DEMO_TARGETS)
	@$(DEMO)

# All tests but those labelled `long` (those: make check-all).
test: build
	@echo "test: $(PRESET)"
	@ctest --preset $(PRESET) -j$(QLOOM_JOBS) -LE '^long$$' $(CTEST_FLAGS)

# Measures, writes bench/results.json, and from it the README's tables and bench/speed.svg.
bench: build/$(PRESET)/build.ninja
	@$(NINJA) bench_programs
	@$(BIN)/qloom-bench-models $(BENCH_MODELS) --seconds $(BENCH_SECONDS) --json build/$(PRESET)/models.json || test $$? -eq 1
	@if [ -x $(BIN)/qloom-bench-kernels ]; then \
	  $(BIN)/qloom-bench-kernels --suite $(BENCH_SUITES) --seconds $(BENCH_SECONDS) --json build/$(PRESET)/kernels.json; \
	else echo '[]' > build/$(PRESET)/kernels.json; fi
	@$(BIN)/qloom-bench-report bench/results.json --models build/$(PRESET)/models.json --kernels build/$(PRESET)/kernels.json \
	  --commit $$(git rev-parse --short HEAD) --readme README.md --plot bench/speed.svg

# qloom beside other systems on the same networks; PEERS are options of bench/peers/run.py.
bench-peers: build/$(PRESET)/build.ninja
	@$(NINJA) bench_programs qloom_peers_peak
	@python3 bench/peers/run.py --build build/$(PRESET) $(PEERS)

check-all:
	@.ci/run all

format:
	@git ls-files '*.cc' '*.h' | xargs clang-format-19 -i
