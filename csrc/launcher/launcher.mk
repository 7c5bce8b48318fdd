# SPDX-License-Identifier: Apache-2.0
# The fast launcher: one static executable. Included by the Makefile; wants BUILD, VENV, PY, PYTHON, INIT.
# build/pyrunc is the undumped program (the boot program where the dump fails), build/pyrunc-boot starts cold.
L_ROOT   ?= .
L_SRC    := csrc/launcher
L_OUT    := $(BUILD)/launcher
LAUNCHER := $(BUILD)/pyrunc

# CPython's library and headers: built from Debian's source, or those of the package libpython3.11-dev (cpython/build.py).
L_PYTHON := $(BUILD)/cpython
L_PYLIB  := $(L_PYTHON)/libpython3.*.a
L_PYINC  := $(L_PYTHON)/include
# Names and versions of what is linked in, for --version --json and for the bill of materials.
L_PARTS  := $(L_OUT)/parts.json
# The interpreter that freezes must be the one that is linked in: bytecode differs between versions.
L_FREEZER := $(L_PYTHON)/python

L_CC     = $(CC) -O2 -g0 -fno-pie -ffunction-sections -std=gnu11 -fno-strict-aliasing -ffile-prefix-map=$(CURDIR)=. -isystem $(L_PYINC)
L_X86    = $(filter x86_64% i%86%,$(shell $(CC) -dumpmachine))
L_HARD   = -fstack-protector-strong -D_FORTIFY_SOURCE=2 $(if $(L_X86),-fcf-protection)
L_WARN   = -Wall -Wextra -Werror -Wswitch-enum -Wshadow -Wconversion -Wmissing-prototypes
# The linker says for each of getpwnam, dlopen etc. that it needs the shared C library: pyrunc calls none of them.
L_LINK   = $(CC) -static -no-pie -Wl,-z,relro,-z,now,-z,noexecstack,--build-id=none,--no-warnings
L_LIBS   = $(L_PYLIB) -lffi -lexpat -lz -lm $(addprefix -l:,libseccomp.a)

L_NATIVE := $(patsubst csrc/native/%.c,$(L_OUT)/%_ext.o,$(wildcard csrc/native/*.c))
L_EXT    := $(L_OUT)/cffi_backend_ext.o $(L_OUT)/speedups_ext.o $(L_OUT)/native_module_ext.o $(L_NATIVE)
L_COMMON := $(L_OUT)/modules.o $(L_OUT)/frozen.o $(L_OUT)/frozen_code.o $(L_EXT)
L_MODULES := $(shell find $(L_ROOT)/pyrunc -name '*.py' -not -path "*/init/digest.py")

$(L_PYTHON)/.stamp: $(wildcard $(L_SRC)/cpython/*) tools/packages.txt | packages
	@$(PYTHON) -B $(L_SRC)/cpython/build.py $(L_PYTHON)
	@touch $@

$(L_OUT)/sdists/.stamp: $(L_SRC)/sdists.txt $(L_SRC)/fetch_sdists.py $(VENV)/.requirements
	@$(PY) $(L_SRC)/fetch_sdists.py $(L_SRC)/sdists.txt $(L_OUT)/sdists
	@touch $@

$(L_OUT)/cffi_backend_ext.o: $(L_PYTHON)/.stamp $(L_OUT)/sdists/.stamp
	@$(L_CC) $(L_HARD) -w -DNDEBUG -DUSE__THREAD -DHAVE_SYNC_SYNCHRONIZE -DFFI_BUILDING=1 \
	    -c $(L_OUT)/sdists/cffi/src/c/_cffi_backend.c -o $@

$(L_OUT)/speedups_ext.o: $(L_PYTHON)/.stamp $(L_OUT)/sdists/.stamp
	@$(L_CC) $(L_HARD) -w -DNDEBUG -c $(L_OUT)/sdists/simplejson/simplejson/_speedups.c -o $@

$(L_OUT)/native_module.c: csrc/native/build.py $(wildcard csrc/native/*.h) $(VENV)/.requirements
	@mkdir -p $(L_OUT)
	@$(PY) csrc/native/build.py --emit-c $@

$(L_OUT)/native_module_ext.o: $(L_OUT)/native_module.c $(L_PYTHON)/.stamp
	@$(L_CC) $(L_HARD) -Icsrc/native -c $< -o $@

$(L_OUT)/%_ext.o: csrc/native/%.c $(wildcard csrc/native/*.h) $(L_PYTHON)/.stamp
	@mkdir -p $(L_OUT)
	@$(L_CC) $(L_HARD) $(L_WARN) -Icsrc/native -c $< -o $@

$(L_PARTS): $(addprefix $(L_SRC)/,parts.py sdists.txt) requirements.txt $(L_PYTHON)/.stamp
	@mkdir -p $(L_OUT)
	@$(PYTHON) -B $(L_SRC)/parts.py $(L_PYTHON) $(L_SRC)/sdists.txt requirements.txt >$@

$(L_OUT)/frozen.c: $(L_MODULES) $(addprefix $(L_SRC)/,freeze.py entry.py training.py) $(INIT) $(VENV)/.requirements $(L_PYTHON)/.stamp $(L_PARTS)
	@$(L_FREEZER) -ISB $(L_SRC)/freeze.py --root $(L_ROOT) --site $$(echo $(VENV)/lib/python3*/site-packages) --init $(INIT) \
	    --commit "$(firstword $(shell tools/revision))" --parts $(L_PARTS) $(L_OUT)

$(L_OUT)/frozen.o: $(L_OUT)/frozen.c $(L_PYTHON)/.stamp
	@$(L_CC) -c $< -o $@

$(L_OUT)/frozen_code.o: $(L_OUT)/frozen.c
	@$(L_CC) -Wa,-I$(L_OUT) -c $(L_OUT)/frozen.S -o $@

$(L_OUT)/boot/%.o: $(L_SRC)/%.c $(wildcard $(L_SRC)/*.h) $(L_PYTHON)/.stamp
	@mkdir -p $(@D)
	@$(L_CC) $(L_HARD) $(L_WARN) -c $< -o $@

$(L_OUT)/%.o: $(L_SRC)/%.c $(wildcard $(L_SRC)/*.h) $(L_PYTHON)/.stamp
	@mkdir -p $(@D)
	@$(L_CC) $(L_HARD) $(L_WARN) -fno-builtin -DPYRUNC_UNDUMPED -c $< -o $@

$(BUILD)/pyrunc-boot: $(L_OUT)/boot/boot.o $(L_OUT)/boot/interpreter.o $(L_COMMON)
	@$(L_LINK) -s $^ $(L_LIBS) -o $@

# Stripped before the dump: stripping afterwards would drop the heap.
$(L_OUT)/undumped: $(addprefix $(L_OUT)/,undumped.o interpreter.o memory.o space.o profile.o early.o) $(L_COMMON) $(L_SRC)/region.ld $(L_SRC)/functions.ld
	@$(L_LINK) -s -Wl,-z,max-page-size=65536,-Map,$(L_OUT)/map,-L,$(L_SRC),-T,$(L_SRC)/region.ld,--wrap=_Py_Deepfreeze_Init $(filter %.o,$^) $(L_LIBS) -o $@

# PROFILE=FILE takes what another build has measured (docs/decisions/045-the-profile-is-an-input.md).
$(LAUNCHER): $(L_OUT)/undumped $(BUILD)/pyrunc-boot $(PROFILE) $(addprefix $(L_SRC)/,assemble.py undump.py)
	@$(PYTHON) -B $(L_SRC)/assemble.py $(BUILD)/pyrunc-boot $(L_OUT)/undumped $@ $(PROFILE)

.PHONY: bench-check function-order
function-order: all ## find out which functions commands call, write csrc/launcher/functions.ld (as root)
	@$(CC) -O2 -Wall -Wextra -Werror -o $(L_OUT)/trace $(L_SRC)/trace.c
	@$(PYTHON) tools/function_order.py $(L_OUT)/trace $(LAUNCHER) $(L_OUT)/map $(L_SRC)/functions.ld

bench-check: all ## fail when pyrunc misses a target of bench/targets.py in the best of three runs
	@$(PYTHON) -m bench --check
