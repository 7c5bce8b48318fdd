# SPDX-License-Identifier: Apache-2.0
# The suites that judge any runtime. RUNTIME and PEERS are paths or names: make conformance-oci RUNTIME=crun PEERS=
RUNTIME ?= bin/pyrunc
PEERS   ?= $(wildcard /usr/sbin/runc /usr/bin/crun)
REPORTS := $(BUILD)/conformance
JUDGED  := $(addprefix --runtime ,$(RUNTIME) $(PEERS))
OCI     := $(BUILD)/oci/go/src/github.com/opencontainers/runtime-tools
ENGINES := containerd cri podman rootless docker cluster
# All reports together: $(REPORTS)/index.html
# The client of the CRI comes with packages that nothing else needs.
CRI     := $(BUILD)/cri/bin/python

.PHONY: conformance-oci $(ENGINES:%=conformance-%) $(ENGINES:%=smoke-%) newer

conformance-oci: all ## OCI runtime-tools validation of RUNTIME beside PEERS, with an HTML report
	@conformance/oci/build.sh $(BUILD)/oci
	@$(PY) -m conformance.oci.run --tree $(OCI) --report $(REPORTS) $(JUDGED)

# Checkpoints are tested with the CRIU of the tests, in front of the machine's.
$(ENGINES:%=conformance-%): conformance-%: all ## the engine with RUNTIME beside PEERS
	@conformance/engines/packages $* $(BUILD)
	@PATH="$$($(PY) -m tests.vm.criu || echo /usr/sbin):$$PATH" $(if $(filter cri,$*),$(CRI),$(PY)) -m conformance.engines.run $* --report $(REPORTS) $(JUDGED)

$(ENGINES:%=smoke-%): smoke-%: all ## start the engine, run, exec, kill, remove
	@conformance/engines/packages $* $(BUILD)
	@$(if $(filter cri,$*),$(CRI),$(PY)) -m conformance.engines.run $* --smoke --report $(REPORTS) --runtime $(RUNTIME)

$(ENGINES:%=guest-%): guest-%: all ## the engine in a guest with cgroup v2 and systemd (MODE=v2: without systemd)
	@conformance/engines/packages $* $(BUILD)
	@$(PY) -m tests.vm.guest --mode $(or $(MODE),systemd) --timeout 900 -- 'cd $(CURDIR) && $(if $(filter cri,$*),$(CRI),$(PY)) \
	    -m conformance.engines.run $* --report /tmp/report $(JUDGED)'

# Later peers: make conformance-oci PEERS="$(wildcard build/newer/bin/*-*)"; containerd 2: PATH=$PWD/build/newer/bin:$PATH
newer: ## unpack runc, crun and containerd of Debian's sid beside the system, in build/newer/bin
	@conformance/newer $(BUILD)/newer
