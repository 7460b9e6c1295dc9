# Everything a person or CI starts. Each target works from a fresh clone on Debian 12 with git and
# make: it installs what is missing first (as root or through sudo).
SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# A clone at another path finds what this one compiled.
export CCACHE_BASEDIR := $(CURDIR)
export CCACHE_NOHASHDIR := 1

BUILD := build
# What is installed.
PROGRAMS := autoscaled autoscalectl autoscaled-policy-worker autoscaled-launch autoscaled-plugin
# What `make demo` needs of it: no tests are compiled for a first look.
DEMO_TARGETS := autoscaled autoscalectl autoscaled-policy-worker autoscaled-launch demo-backend demo-exporter demo-load

# Each fuzz target runs so long.
FUZZ_SECONDS ?= 600

# What runs under sanitizers: unit, integration, threads and parsers (the unit tests of those), or several.
SANITIZED := unit integration

.PHONY: help deps test-deps parts kubernetes configure build package demo test test-real nightly test-asan test-tsan fuzz bench lint check-deps check-docs clean

help:  ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

test-deps:
	@deploy/install-deps.sh build test

deps:  ## install the packages that building needs (nothing when they are there)
	@deploy/install-deps.sh build

parts:
	@deploy/fetch-parts.sh $(BUILD)/parts

# Once, and it takes about ten minutes; AUTOSCALE_KUBERNETES=cache: not. Without it its tests are skipped.
kubernetes:
	@tests/real/build-kubernetes || true

configure: deps
	@cmake --preset release -Wno-dev >/dev/null

build: configure  ## compile everything into build/
	@cmake --build --preset release

package: configure  ## build/autoscaled_VERSION_ARCHITECTURE.deb, for this release of Debian
	@deploy/install-deps.sh package
	@cmake --build --preset release --target $(PROGRAMS)
	@cpack --config $(BUILD)/CPackConfig.cmake -B $(BUILD) >$(BUILD)/cpack.log || { cat $(BUILD)/cpack.log; exit 1; }
	@ls $(BUILD)/autoscaled_*.deb

demo: configure parts  ## a real fleet follows a real load, then parts of it are killed (DEMO_ACTS=0, KEEP=1)
	@cmake --build --preset release --target $(DEMO_TARGETS)
	@KEEP=$(KEEP) deploy/demo/run.sh

test: test-deps build  ## unit and integration tests
	@tests/run $(BUILD) unit integration

test-real: test-deps build parts kubernetes  ## tests against a real nginx, HAProxy, Prometheus, Kubernetes, moto and systemd
	@-tests/real/fetch_moto $(BUILD)/parts/moto
	@-deploy/fetch-parts.sh $(BUILD)/parts haproxy
	@AUTOSCALE_PARTS=$(CURDIR)/$(BUILD)/parts tests/run $(BUILD) real

nightly: test-deps build parts  ## what takes hours: 1,000 kills, 100,000 replays, sanitizers (PARTS="kills points replays properties asan tsan analyze", AUTOSCALED_KILLS=1000, AUTOSCALED_SEED=)
	@AUTOSCALE_PARTS=$(CURDIR)/$(BUILD)/parts tests/nightly $(BUILD) $(PARTS)

test-asan: test-deps  ## unit and integration tests under AddressSanitizer and UBSan
	@cmake --preset asan-ubsan -Wno-dev >/dev/null && cmake --build build-asan --target $(SANITIZED:%=%-tests)
	@tests/run build-asan $(SANITIZED)

test-tsan: test-deps  ## unit and integration tests under ThreadSanitizer
	@cmake --preset tsan -Wno-dev >/dev/null && cmake --build build-tsan --target $(SANITIZED:%=%-tests)
	@tests/run build-tsan $(SANITIZED)

fuzz: deps  ## look for inputs that break what parses (FUZZ_SECONDS=600 each, TARGETS="config state")
	@deploy/install-deps.sh fuzz
	@cmake --preset fuzz -Wno-dev >/dev/null && cmake --build --preset fuzz
	@tests/fuzz/run build-fuzz $(FUZZ_SECONDS) $(TARGETS)

bench: build parts  ## measurements: cost per service and policy, time to new capacity
	@AUTOSCALE_PARTS=$(CURDIR)/$(BUILD)/parts cmake --build --preset release --target bench

lint: configure  ## formatting and static analysis
	@deploy/install-deps.sh lint
	@tests/lint $(BUILD)

check-deps:  ## fail on an include that the design forbids, and on a name that is given twice
	@tests/check_deps && tests/check_names

check-docs:  ## fail on a document that names a test or a file that is not there
	@tests/check_docs

clean:  ## remove all that was built
	@rm -rf build build-dev build-asan build-tsan build-fuzz
