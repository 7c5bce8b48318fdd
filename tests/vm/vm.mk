# SPDX-License-Identifier: Apache-2.0
# Guests with other kernels and cgroup layouts. The kernels are fetched once into build/vm.
.PHONY: test-vm guest
GUESTS ?= v2,systemd,v1,hybrid,security,qemu

test-vm: all ## the container tests in guests: cgroup v2, v2 with systemd, v1, hybrid, a stock kernel (GUESTS=v1,qemu)
	@PYRUNC_GUESTS=$(GUESTS) $(PY) -m pytest tests/vm

guest: all ## a command in a guest: make guest MODE=systemd COMMAND='cat /proc/self/cgroup'
	@$(PY) -m tests.vm.guest --mode $(or $(MODE),v2) -- '$(COMMAND)'
