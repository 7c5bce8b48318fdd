# SPDX-License-Identifier: Apache-2.0
# Guests with other kernels and cgroup layouts. The kernels are fetched once into build/vm.
.PHONY: test-vm guest

guest: all ## a command in a guest: make guest MODE=systemd COMMAND='cat /proc/self/cgroup'
	@$(PY) -m tests.vm.guest --mode $(or $(MODE),v2) -- '$(COMMAND)'
