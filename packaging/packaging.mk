# SPDX-License-Identifier: Apache-2.0
# Packages of all kinds, and their tests. Included by the Makefile; wants BUILD, VENV, PY, PYTHON, PREFIX, LAUNCHER.
# Everything is made for one revision: tools/revision names it and its time, which is the time in all archives.
P_SRC   := packaging
P_OUT   := $(BUILD)/packaging
P_PY    := $(P_OUT)/venv/bin/python
HELPERS := $(BUILD)/helpers/pyrunc-helpers
DIST    := dist
REVISION_TIME = $(lastword $(shell tools/revision))
P_ENV    = SOURCE_DATE_EPOCH=$(REVISION_TIME) PYTHONHASHSEED=0 TZ=UTC LC_ALL=C.UTF-8

.PHONY: helpers install uninstall

helpers: $(HELPERS) ## the program for what the launcher cannot link, with its own interpreter

$(HELPERS): $(wildcard $(P_SRC)/helpers.*) $(shell find pyrunc -name '*.py') $(NATIVE)
	@mkdir -p $(P_OUT)
	@echo "building the helpers"
	@$(P_ENV) $(PY) -m PyInstaller --noconfirm --clean --log-level ERROR --distpath $(BUILD) --workpath $(P_OUT)/helpers \
	    $(P_SRC)/helpers.spec >$(P_OUT)/helpers.log 2>&1 || { tail -n 20 $(P_OUT)/helpers.log >&2; exit 1; }
	@touch $@

install: all helpers ## install under PREFIX (default /usr/local)
	@tools/install $(DESTDIR)$(PREFIX)

uninstall: ## remove what `make install` has put under PREFIX
	@tools/install --remove $(DESTDIR)$(PREFIX)
