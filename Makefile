# Everything a person or CI starts. Each target works from a fresh clone on Debian 12 with git and
# make: it installs what is missing first (as root or through sudo).
SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# A clone at another path finds what this one compiled.
export CCACHE_BASEDIR := $(CURDIR)
export CCACHE_NOHASHDIR := 1

BUILD := build
# What `make demo` needs of it: no tests are compiled for a first look.
DEMO_TARGETS := autoscaled autoscalectl autoscaled-policy-worker autoscaled-launch demo-backend demo-load

.PHONY: help deps parts configure build demo test test-real test-asan test-tsan bench lint check-deps clean

help:  ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

deps:  ## install the packages that building needs (nothing when they are there)
	@deploy/install-deps.sh build

parts:
	@deploy/fetch-parts.sh $(BUILD)/parts

configure: deps
	@cmake --preset release -Wno-dev >/dev/null

build: configure  ## compile everything into build/
	@cmake --build --preset release

demo: configure parts  ## a real fleet follows a real load for two minutes (DEMO_PEAK_RPS=700, KEEP=1)
	@cmake --build --preset release --target $(DEMO_TARGETS)
	@KEEP=$(KEEP) deploy/demo/run.sh

test: build  ## unit and integration tests
	@tests/run $(BUILD) unit integration

test-real: build parts  ## tests against a real nginx and Prometheus
	@AUTOSCALE_PARTS=$(CURDIR)/$(BUILD)/parts tests/run $(BUILD) real

test-asan: deps  ## unit tests under AddressSanitizer and UBSan
	@cmake --preset asan-ubsan -Wno-dev >/dev/null && cmake --build --preset asan-ubsan
	@tests/run build-asan unit

test-tsan: deps  ## unit tests under ThreadSanitizer
	@cmake --preset tsan -Wno-dev >/dev/null && cmake --build --preset tsan
	@tests/run build-tsan unit

bench: build parts  ## measurements: cost per service, time to new capacity
	@AUTOSCALE_PARTS=$(CURDIR)/$(BUILD)/parts cmake --build --preset release --target bench

lint: configure  ## formatting and static analysis
	@deploy/install-deps.sh lint
	@tests/lint $(BUILD)

check-deps:  ## fail on an include that the design forbids
	@tests/check_deps

clean:  ## remove all that was built
	@rm -rf build build-dev build-asan build-tsan
