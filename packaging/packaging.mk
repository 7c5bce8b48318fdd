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

# -- artefacts of a release ---------------------------------------------------------------------------------------

VERSION   := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' pyrunc/__init__.py)
P_MACHINE := $(shell uname -m)
P_ARCH    := $(or $(shell dpkg --print-architecture 2>/dev/null),$(P_MACHINE))
P_STAGE   := $(P_OUT)/stage
SDIST     := $(DIST)/pyrunc-$(VERSION).tar.gz
TARBALL   := $(DIST)/pyrunc-$(VERSION)-linux-$(P_ARCH).tar.gz
DEB       := $(DIST)/pyrunc_$(VERSION)_$(P_ARCH).deb
MUSL      := $(P_OUT)/musl
MUSL_TAG  := musllinux_1_2_$(P_MACHINE)
MUSL_WHEEL := $(DIST)/pyrunc-$(VERSION)-cp311-abi3-$(MUSL_TAG).whl
SBOM      := $(DIST)/pyrunc-$(VERSION)-$(P_ARCH).cdx.json
MEASURED  := $(DIST)/pyrunc-$(VERSION)-$(P_ARCH).profile
SUMS      := $(DIST)/SHA256SUMS

.PHONY: lock sdist wheel musl-wheel tarball deb sbom sums artefacts test-packages

$(P_OUT)/venv/.requirements: $(P_SRC)/requirements.txt | packages
	@echo "making the virtual environment of the packages"
	@mkdir -p $(P_OUT)
	@$(PYTHON) -m venv $(P_OUT)/venv
	@PIP_USER=0 $(P_PY) -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $< 2>$(P_OUT)/pip.log || \
	    { cat $(P_OUT)/pip.log >&2; exit 1; }
	@touch $@

lock: ## write packaging/requirements.txt again, with all hashes (needs uv)
	@cd $(P_SRC) && uv pip compile --quiet --generate-hashes --python-version 3.11 --no-emit-index-url --no-header --no-annotate \
	    requirements.in -o requirements.txt

sdist: $(SDIST) ## the source distribution
wheel: $(DIST)/.wheel ## the wheel for every Python from 3.11 on
musl-wheel: $(MUSL_WHEEL) ## the same for distributions with musl, such as Alpine
tarball: $(TARBALL) ## what `make install` installs, in an archive for any distribution
deb: $(DEB) ## the Debian package
sbom: $(SBOM) ## the bill of materials
sums: $(SUMS) ## the checksums of all of them

artefacts: $(SUMS) ## everything that a release consists of

P_FILES = $(shell git -c safe.directory=$(CURDIR) ls-files)

# Changes only with the commit.
$(P_OUT)/revision: always
	@mkdir -p $(P_OUT)
	@tools/revision >$@.new; cmp -s $@.new $@ && rm $@.new || mv $@.new $@

.PHONY: always
always:

$(SDIST): $(P_FILES) $(P_OUT)/revision $(P_OUT)/venv/.requirements
	@mkdir -p $(DIST) && rm -rf pyrunc.egg-info
	@$(P_ENV) $(P_PY) -m build --no-isolation --sdist --outdir $(DIST) . >$(P_OUT)/sdist.log 2>&1 || { tail -n 20 $(P_OUT)/sdist.log >&2; exit 1; }
	@$(P_ENV) $(P_PY) $(P_SRC)/archive.py --again $@ && rm -rf pyrunc.egg-info

# From the source distribution, so that it is known to be complete. The tag says which glibc the wheel really needs.
$(DIST)/.wheel: $(SDIST) $(P_OUT)/venv/.requirements
	@rm -rf $(P_OUT)/wheel $(DIST)/*-manylinux*.whl && mkdir -p $(P_OUT)/wheel
	@umask 022 && tar -xf $(SDIST) -C $(P_OUT)/wheel
	@umask 022 && cd $(P_OUT)/wheel/pyrunc-$(VERSION) && $(P_ENV) $(CURDIR)/$(P_PY) -m build --no-isolation --wheel --outdir .. . >../log 2>&1 || \
	    { tail -n 20 ../log >&2; exit 1; }
	@umask 022 && $(P_ENV) PATH="$(CURDIR)/$(P_OUT)/venv/bin:$$PATH" $(P_PY) -m auditwheel repair --wheel-dir $(DIST) $(P_OUT)/wheel/*.whl \
	    >$(P_OUT)/auditwheel.log 2>&1 || { tail -n 20 $(P_OUT)/auditwheel.log >&2; exit 1; }
	@touch $@

$(MUSL)/libseccomp.a: $(P_SRC)/musl.py csrc/launcher/cpython/build.py | packages
	@echo "building libseccomp for musl"
	@$(PYTHON) -B $(P_SRC)/musl.py $(@D)

# No auditwheel: it asks the interpreter that runs it which C library the wheel is for.
$(MUSL_WHEEL): $(SDIST) $(MUSL)/libseccomp.a $(P_OUT)/venv/.requirements
	@rm -rf $(MUSL)/wheel && mkdir -p $(MUSL)/wheel
	@umask 022 && tar -xf $(SDIST) -C $(MUSL)/wheel
	@umask 022 && cd $(MUSL)/wheel/pyrunc-$(VERSION) && $(P_ENV) CC=$(CURDIR)/$(MUSL)/cc LDSHARED="$(CURDIR)/$(MUSL)/cc -shared" \
	    $(CURDIR)/$(P_PY) -m build --no-isolation --wheel -C--build-option=--plat-name=$(MUSL_TAG) --outdir $(CURDIR)/$(DIST) . >../log 2>&1 || \
	    { tail -n 20 ../log >&2; exit 1; }
	@touch $@

$(TARBALL): all helpers $(P_OUT)/venv/.requirements $(P_SRC)/archive.py
	@rm -rf $(P_STAGE)/tarball && mkdir -p $(P_STAGE)/tarball $(DIST)
	@tools/install $(P_STAGE)/tarball/pyrunc-$(VERSION)
	@cp LICENSE CHANGELOG.md $(P_STAGE)/tarball/pyrunc-$(VERSION)/libexec/pyrunc/
	@$(P_ENV) $(P_PY) $(P_SRC)/archive.py $(P_STAGE)/tarball/pyrunc-$(VERSION) $@

$(DEB): all helpers $(SBOM) $(P_SRC)/deb.py $(wildcard $(P_SRC)/debian/*)
	@rm -rf $(P_STAGE)/deb && mkdir -p $(P_STAGE)/deb $(DIST)
	@tools/install --packaged $(P_STAGE)/deb/usr
	@install -D -m 644 $(SBOM) $(P_STAGE)/deb/usr/share/doc/pyrunc/sbom.cdx.json
	@$(P_ENV) $(PYTHON) -B $(P_SRC)/deb.py $(P_STAGE)/deb $(VERSION) $(P_ARCH) $@

$(SBOM): all helpers $(P_OUT)/venv/.requirements $(P_SRC)/sbom.py
	@mkdir -p $(DIST)
	@$(P_ENV) $(P_PY) $(P_SRC)/sbom.py $(LAUNCHER) $(HELPERS) $@

$(MEASURED): all
	@mkdir -p $(DIST) && cp $(BUILD)/launcher/undumped.profile $@

$(SUMS): $(SDIST) $(DIST)/.wheel $(MUSL_WHEEL) $(TARBALL) $(DEB) $(SBOM) $(MEASURED)
	@cd $(DIST) && sha256sum $(notdir $(SDIST) $(TARBALL) $(DEB) $(SBOM) $(MEASURED)) *.whl | LC_ALL=C sort -k 2 >$(@F).new && mv $(@F).new $(@F)

test-packages: artefacts ## install every package in bare roots, and take containers through their lives there (as root)
	@tools/bootstrap packages debootstrap lintian
	@$(PY) -m pytest tests/packages --packages=all

.PHONY: release reproducible
release: ## everything of dist for the version of this tree; refuses what is not ready (KEY=fingerprint signs)
	@$(P_SRC)/release $(VERSION) $(KEY)

reproducible: $(VENV)/.requirements ## build this commit twice, in other surroundings, and compare all bytes
	@$(P_SRC)/reproducible

# -- the site -----------------------------------------------------------------------------------------------------

.PHONY: site
site: $(P_OUT)/venv/.requirements ## the documentation as a site, in build/site; its links are checked
	@$(PYTHON) -B $(P_SRC)/site.py $(BUILD)/site-pages
	@NO_MKDOCS_2_WARNING=1 $(P_ENV) $(P_PY) -m mkdocs build --strict --quiet

# -- arm64 --------------------------------------------------------------------------------------------------------

.PHONY: arm64 test-arm64
arm64: ## cross-build the init for arm64 (build/arm64)
	@$(P_SRC)/arm64 $(BUILD)/arm64

test-arm64: arm64 $(VENV)/.requirements ## the init of arm64: its form, and its refusals under qemu-user
	@PYRUNC_INIT=$(CURDIR)/$(BUILD)/arm64/pyrunc-init $(PY) -m pytest tests/init/test_binary.py tests/packages/test_arm64.py
