# SPDX-License-Identifier: Apache-2.0
# The suites that judge any runtime. RUNTIME and PEERS are paths or names: make conformance-oci RUNTIME=crun PEERS=
# Engines and peers are the newest of Debian, unpacked beside the system; FROM=system takes those that are installed.
FROM    ?= newest
RUNTIME ?= bin/pyrunc
NEWER   := $(BUILD)/newer
ifeq ($(FROM),newest)
PEERS   ?= $(shell ls -r $(NEWER)/bin/runc-* $(NEWER)/bin/crun-*)
FRONT   := $(CURDIR)/$(NEWER)/bin:
else
PEERS   ?= $(wildcard /usr/sbin/runc /usr/bin/crun)
endif
REPORTS := $(BUILD)/conformance$(if $(filter system,$(FROM)),-system)
JUDGED   = $(addprefix --runtime ,$(RUNTIME) $(PEERS))
OCI     := $(BUILD)/oci/go/src/github.com/opencontainers/runtime-tools
ENGINES := containerd cri podman rootless docker cluster
SUITES  := oci $(ENGINES)
# The client of the CRI comes with packages that nothing else needs.
CRI     := $(CURDIR)/$(BUILD)/cri/bin/python
# The suites of a guest without those that its kernel has no interfaces for (pairs of interfaces, packet filters).
IN_GUEST := containerd cri podman rootless docker
# Seconds for all runtimes of a suite there: an emulated machine on a busy one is slow.
PATIENCE ?= 3600

.PHONY: conformance guest-conformance measured $(SUITES:%=conformance-%) $(ENGINES:%=smoke-%) $(ENGINES:%=guest-%) newer

newer: ## unpack the newest engines, runc and crun of Debian beside the system, in build/newer/bin
	@conformance/newer $(NEWER)

conformance: all newer ## all suites, one after the other; the page of all is build/conformance/index.html
	@failed=; for suite in $(SUITES); do $(MAKE) --no-print-directory conformance-$$suite || failed="$$failed $$suite"; done; \
	    [ -z "$$failed" ] || { echo "conformance: see$$failed"; exit 1; }

guest-conformance: all newer ## the suites of the engines in guests with cgroup v2 and systemd
	@failed=; for suite in $(IN_GUEST); do $(MAKE) --no-print-directory guest-$$suite || failed="$$failed $$suite"; done; \
	    [ -z "$$failed" ] || { echo "guest-conformance: see$$failed"; exit 1; }

measured: ## bring the table of docs/engines.md up to date from the reports of the runs before
	@$(PY) -m conformance.measured $(REPORTS)

# The peers are looked up when a suite starts, which is after they were unpacked.
$(SUITES:%=conformance-%) $(ENGINES:%=smoke-%) $(ENGINES:%=guest-%): all $(if $(filter newest,$(FROM)),newer)

conformance-oci: ## OCI runtime-tools validation of RUNTIME beside PEERS, with an HTML report
	@conformance/oci/build.sh $(BUILD)/oci
	@$(PY) -m conformance.oci.run --tree $(OCI) --report $(REPORTS) $(JUDGED)

# Checkpoints are tested with the CRIU of the tests, in front of the machine's.
$(ENGINES:%=conformance-%): conformance-%: ## the engine with RUNTIME beside PEERS
	@conformance/engines/packages $* $(BUILD) $(FROM)
	@PATH="$(FRONT)$$($(PY) -m tests.vm.criu || echo /usr/sbin):$$PATH" $(if $(filter cri,$*),$(CRI),$(PY)) \
	    -m conformance.engines.run $* --report $(REPORTS) $(JUDGED)

$(ENGINES:%=smoke-%): smoke-%: ## start the engine, run, exec, kill, remove
	@conformance/engines/packages $* $(BUILD) $(FROM)
	@PATH="$(FRONT)$$PATH" $(if $(filter cri,$*),$(CRI),$(PY)) -m conformance.engines.run $* --smoke --report $(REPORTS) --runtime $(RUNTIME)

# What a guest writes is lost with it, but for one file of its job.
$(ENGINES:%=guest-%): guest-%: ## the engine in a guest with cgroup v2 and systemd (MODE=v2: without systemd)
	@conformance/engines/packages $* $(BUILD) $(FROM)
	@mkdir -p $(REPORTS)/guest-$(or $(MODE),systemd)
	@$(PY) -m tests.vm.guest --mode $(or $(MODE),systemd) --memory 2048 --timeout $(PATIENCE) --keep $(REPORTS)/guest-$(or $(MODE),systemd)/$*.json -- \
	    'cd $(CURDIR) && PATH="$(FRONT)$$PATH" $(if $(filter cri,$*),$(CRI),$(PY)) -m conformance.engines.run $* --report /tmp/report $(JUDGED); \
	    status=$$?; cp /tmp/report/$*.json /run/job/features.json; exit $$status'
