# SPDX-License-Identifier: Apache-2.0
PYTHON := /usr/bin/python3
VENV   := .venv
PY     := $(VENV)/bin/python
BUILD  := build
COMMA  := ,
PREFIX ?= /usr/local
INIT   := $(BUILD)/pyrunc-init
CACHED := PYTHONDONTWRITEBYTECODE= # to rewrite the assertions of all tests takes three seconds

.PHONY: all help packages generate check lint types test test-unit test-root test-library demo fuzz security security-full bench clean update-plans features-table
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

all: bin/pyrunc ## build everything: bin/pyrunc, the init, the native module

help: ## this list
	@sed -n 's/^\([$$()a-zA-Z:%=-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | sed 's/^$$(ENGINES:%=\([a-z]*\)-%)[^\t]*/\1-ENGINE/' | expand -t 20

-include csrc/native/native.mk csrc/launcher/launcher.mk conformance/conformance.mk tests/vm/vm.mk bench/bench.mk packaging/packaging.mk

packages:
	@tools/bootstrap packages

$(VENV)/.requirements: requirements.txt requirements-dev.txt tools/bootstrap | packages
	@tools/bootstrap venv $(PYTHON)

$(INIT): $(wildcard csrc/init/*.[ch] csrc/init/Makefile) | packages
	@mkdir -p $(BUILD)
	@echo "building the init program"
	@$(MAKE) -s -C csrc/init OUT=$(CURDIR)/$(BUILD)

# The stock front end: the system's interpreter, the checkout and the virtual environment, no site, no environment.
# It writes no bytecode (-B), so that is done here.
$(BUILD)/pyrunc-stock: tools/stock.py.in Makefile $(shell find pyrunc -name '*.py')
	@mkdir -p $(BUILD)
	@sed -e 's|@PYTHON@|$(PYTHON)|' -e 's|@ROOT@|$(CURDIR)|' -e 's|@SITE@|$(CURDIR)/$(VENV)/lib|' $< >$@.tmp
	@$(PYTHON) -m compileall -q -j2 pyrunc
	@chmod 755 $@.tmp && mv $@.tmp $@

bin/pyrunc: $(VENV)/.requirements $(INIT) $(BUILD)/pyrunc-stock $(NATIVE) $(LAUNCHER)
	@mkdir -p bin
	@ln -sfn ../$(or $(LAUNCHER),$(BUILD)/pyrunc-stock) $@ && touch -h $@

generate: ## write the generated files again (ops, man pages, completions, advisories, names of the library)
	@$(PYTHON) csrc/generate.py
	@$(PYTHON) tools/manual.py
	@$(PYTHON) tools/advisories.py
	@$(PYTHON) tools/api.py

check: lint types ## everything that needs no root: form, lint, types, layers, generated files, C analysers
	@tools/check

lint: $(VENV)/.requirements ## ruff
	@$(VENV)/bin/ruff format --check . && $(VENV)/bin/ruff check .

types: $(VENV)/.requirements ## mypy --strict
	@$(VENV)/bin/mypy

test: all ## all tests; those that need root are skipped without it
	@$(PY) -m pytest

test-unit: $(VENV)/.requirements $(NATIVE) ## the unit tests without the generated ones: seconds, no root
	@$(CACHED) $(PY) -m pytest tests/unit tests/plans tests/invalid -m "not generated"

test-root: all ## only the tests that need root
	@$(PY) -m pytest -m root

# The suites whose verbs the library has, through the library in the place of the commands.
LIBRARY_SUITES := test_life_cycle test_exec test_hooks test_process_limits test_resources test_update
test-library: all ## the tests of life cycle, exec, limits and hooks through the Python library
	@$(PY) -m pytest --front library $(LIBRARY_SUITES:%=tests/container/%.py) tests/cgroups/test_limits.py

demo: all ## run a container through its life and show it from inside
	@tools/demo

fuzz: all ## fuzz the plan decoder and the compiler of system call filters (SECONDS=60)
	@$(MAKE) -C csrc/init fuzz OUT=$(CURDIR)/$(BUILD) SECONDS=$(or $(SECONDS),60)
	@$(PY) -m tests.seccomp.fuzz $(or $(SECONDS),60)

security: all ## the security programme in short, at most 20 minutes; goes on where it was (MINUTES=18 SUITES=S6,S8)
	@$(PY) -m tests.security.programme --minutes $(or $(MINUTES),18) $(addprefix --suite ,$(subst $(COMMA), ,$(SUITES)))

security-full: all ## every case of the security programme: hours; goes on where it was
	@$(PY) -m tests.security.programme --full $(addprefix --suite ,$(subst $(COMMA), ,$(SUITES)))

bench: all ## start-up and life times beside runc and crun
	@$(PY) -m bench

features-table: all ## run the tests of features, write docs/features.md and docs/errors.md from what they say
	@$(PY) -m pytest -m feature
	@$(PY) tools/features.py

update-plans: all ## write the plan snapshots again; review the diff
	@$(PY) -m pytest tests/plans --update-plans

clean: ## remove what the build made (not .venv)
	rm -rf $(BUILD) bin dist pyrunc/_native*.so pyrunc/init/pyrunc-init pyrunc/init/digest.py
