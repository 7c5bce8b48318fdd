# SPDX-License-Identifier: Apache-2.0
# pyrunc._native for the stock interpreter, in place, and the init program beside the package. Included by the Makefile.
NATIVE := $(BUILD)/native.stamp

$(NATIVE): $(wildcard csrc/native/*.[ch] csrc/native/build.py csrc/native/stage_init.py) $(INIT) $(VENV)/.requirements
	@$(PY) csrc/native/build.py
	@$(PY) csrc/native/stage_init.py $(INIT)
	@touch $@
