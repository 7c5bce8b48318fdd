# SPDX-License-Identifier: Apache-2.0
# The newest peers, which `make bench` and `make bench-check` measure when they are there.
.PHONY: bench-peers bench-load
bench-load: all ## bursts of create, storms of exec, what all processes take, the memory of a container (as root)
	@$(PY) -m bench.load

bench-peers: ## build the newest crun statically and fetch the newest runc, for `make bench` (as root)
	@$(PYTHON) -m bench.peers $(BUILD)/peers

.PHONY: bench-library
bench-library: all ## a container's life through the Python library beside the launcher's; fails when it is slower
	@$(PY) -m bench.library --check
