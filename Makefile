# The front door. Every target sets up what it needs (packages, OpenSSL 3.5, Botan 3.12), so each works on a fresh Debian 12.
SHELL := /bin/bash
JOBS ?= $(shell nproc)
RELEASE := build/release
ASAN := build/asan
TSAN := build/tsan
QANAT := $(RELEASE)/apps/qanat/qanat

.PHONY: help setup build demo test check bench soak fuzz lint clean
help:
	@echo "make demo    set up, build, start a two-domain network and make one encrypted call: results in out/demo"
	@echo "make test    set up, build and pass the tests"
	@echo "make check   the longer set: thread sanitizer, clang-tidy, header self-containment, long fuzzing"
	@echo "make bench   measure; report in out/bench"
	@echo "make soak    load test of SOAK_SECONDS (default 1800) near the capacity with kills; report in out/soak, a whole one also in bench/reports"
	@echo "make fuzz    fuzz every parser for FUZZ_SECONDS (default 600) each"

setup:
	@scripts/setup.sh

$(RELEASE)/build.ninja: setup
	@cmake --preset release > /dev/null

build: $(RELEASE)/build.ninja
	@ninja -C $(RELEASE) -j $(JOBS) qanat

demo: build
	@$(QANAT) demo --state out/demo/network --out out/demo

test: $(RELEASE)/build.ninja
	@mkdir -p out
	@ninja -C $(RELEASE) -j $(JOBS)
	@cmake --preset asan > /dev/null
	@ninja -C $(ASAN) -j $(JOBS) unit_tests fuzz_targets
	@ctest --test-dir $(ASAN) -j $$(( $(JOBS) + 1 )) --output-on-failure --no-tests=error -Q -O out/asan.log || { tail -60 out/asan.log; exit 1; }
	@grep -E 'tests passed' out/asan.log | sed 's/^/asan+ubsan and fuzzing: /'
	@ctest --test-dir $(RELEASE) -j $$(( $(JOBS) + 1 )) --output-on-failure --no-tests=error

check: test lint
	@ninja -C $(RELEASE) -j $(JOBS) qanat-bench
	@cmake --preset tsan > /dev/null
	@ninja -C $(TSAN) -j $(JOBS) unit_tests
	@ctest --test-dir $(TSAN) -j $(JOBS) --output-on-failure --no-tests=error
	@$(MAKE) --no-print-directory fuzz FUZZ_SECONDS=60

lint: $(RELEASE)/build.ninja
	@ninja -C $(RELEASE) -j $(JOBS) all_verify_interface_header_sets generated/point_evidence.inc
	@scripts/lint.py $(RELEASE)

FUZZ_SECONDS ?= 600
fuzz: setup
	@cmake --preset asan > /dev/null
	@ninja -C $(ASAN) -j $(JOBS) fuzz_targets
	@mkdir -p out/fuzz
	@find $(ASAN)/tests -maxdepth 1 -type f -executable -name 'fuzz_*' -printf '%f\n' | sed 's/^fuzz_//' | sort | xargs -P $(JOBS) -I NAME sh -c \
	  'if $(ASAN)/tests/fuzz_NAME -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 -artifact_prefix=out/fuzz/NAME- $(ASAN)/corpus/NAME > out/fuzz/NAME.log 2>&1; \
	   then echo "fuzzed NAME for $(FUZZ_SECONDS) s"; else echo "fuzzing NAME found something: out/fuzz/NAME.log"; tail -30 out/fuzz/NAME.log; exit 255; fi'

bench: $(RELEASE)/build.ninja
	@ninja -C $(RELEASE) -j $(JOBS) qanat qanat-bench
	@$(RELEASE)/bench/qanat-bench --out out/bench

SOAK_SECONDS ?= 1800
SOAK_SEED ?= 1
soak: $(RELEASE)/build.ninja
	@ninja -C $(RELEASE) -j $(JOBS) qanat qanat-soak
	@$(RELEASE)/bench/qanat-soak --seconds $(SOAK_SECONDS) --seed $(SOAK_SEED) --out out/soak
	@if [ $(SOAK_SECONDS) -ge 1800 ]; then for kind in md json; do cp out/soak/report.$$kind bench/reports/soak-$$(date -u +%F).$$kind; done; fi

clean:
	@rm -rf build out
