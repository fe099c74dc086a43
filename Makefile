# nodemcu-tls: everything that a fresh Debian 12 machine needs is installed by these targets.

PYTHON ?= python3
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
VENV := .venv
BIN := $(VENV)/bin
FUZZ_SECONDS ?= 60
# Many tests wait: one worker more than there are cores.
WORKERS = $(shell expr $$(nproc) + 1)
C_FILES = $(shell git ls-files 'app/*.c' 'app/*.h' 'tests/*.c' 'tests/*.h' ':!tests/golden')

BUILD_PACKAGES := gcc-xtensa-lx106 binutils-xtensa-lx106 picolibc-xtensa-lx106-elf \
    qemu-system-misc python3-venv
TEST_PACKAGES := $(BUILD_PACKAGES) gcc libc6-dev clang clang-format libclang-rt-14-dev llvm openssl \
    dnsmasq-base iproute2 gnutls-bin libwolfssl-dev libbearssl-dev ca-certificates

.DEFAULT_GOAL := help
.PHONY: help build test check lint format fuzz bench costs heap clean build-packages test-packages

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: build-packages $(VENV)/.user ## install what is missing, build the default profile
	$(BIN)/nodemcu-tls build

# With ALLOCATIONS=all, every allocation is refused on the emulator, too: eight minutes more.
test: test-packages $(VENV)/.developer ## install what is missing, run every test
	$(BIN)/pytest -n $(WORKERS) --durations=25

check: lint test ## lint, types, tests

lint: test-packages $(VENV)/.developer ## ruff, mypy --strict, clang-format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	clang-format --dry-run --Werror $(C_FILES)

format: test-packages $(VENV)/.developer ## lay out Python and C as lint wants it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	clang-format -i $(C_FILES)

# With FUZZ_ARGS=--keep the corpora grow; with names of targets, only those run.
fuzz: test-packages $(VENV)/.developer ## fuzz each parser for FUZZ_SECONDS (60)
	$(BIN)/python tests/fuzzing.py --seconds $(FUZZ_SECONDS) $(FUZZ_ARGS)

bench: build ## time builds, --help, a virtual device and fleets
	$(BIN)/python tests/bench.py

# With COSTS="tls.modes presets" only those are measured anew. All of it takes half an hour.
costs: build $(VENV)/.developer ## measure what each setting of a profile costs
	$(BIN)/python tests/measure_costs.py $(COSTS)

# With HEAP="3.6.6" only that mbedTLS is measured anew. All three take a quarter of an hour.
heap: build $(VENV)/.developer ## measure the heap that a handshake is made of
	$(BIN)/python tests/measure_heap.py $(HEAP)

clean: ## remove what the targets made, but not the cache of sources
	rm -rf build dist $(VENV)

# Install the Debian packages in $(1) that are not there.
define install_packages
@missing=; for package in $(1); do \
    dpkg-query -W -f '$${db:Status-Status}' $$package 2>/dev/null | grep -qx installed \
        || missing="$$missing $$package"; \
done; \
if [ -n "$$missing" ]; then \
    echo "Installing Debian packages:$$missing"; \
    $(SUDO) apt-get -qq update && \
    $(SUDO) env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq install --yes --no-install-recommends $$missing > /dev/null; \
fi
endef

build-packages:
	$(call install_packages,$(BUILD_PACKAGES))

test-packages:
	$(call install_packages,$(TEST_PACKAGES))

$(VENV)/bin/python: | build-packages
	$(PYTHON) -m venv $(VENV)

# The package is installed in place: a change of its code needs no new install.
$(VENV)/.user: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/.developer: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@ $(VENV)/.user
