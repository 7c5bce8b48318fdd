# SPDX-License-Identifier: Apache-2.0
"""From the claim of the id to the running program one failure anywhere leaves nothing (AR-5)."""

from __future__ import annotations

import os

import pytest

from tests.support.bundle import Config
from tests.support.runtime import Runtime

LIMITS = range(3, 80)  # descriptors: from too few to look at a bundle to enough for all


@pytest.mark.parametrize("verb", [("create",), ("run",), ("run", "--detach")], ids=" ".join)
def test_a_lack_of_descriptors_leaves_nothing(
    runtime: Runtime, config: Config, verb: tuple[str, ...]
) -> None:
    """EMFILE in every step there is; the harness looks for processes, cgroups and mounts."""
    config.process["args"] = ["true"]
    config.write()
    failed = 0
    for limit in LIMITS:
        name = runtime.new_id()
        prefix = ("prlimit", f"--nofile={limit}")
        result = runtime(*verb, "--bundle", config.bundle, name, prefix=prefix)
        assert "internal error" not in result.stderr, (limit, result.stderr)
        if result.status:
            failed += 1
            left = os.listdir(runtime.root) if runtime.root.exists() else []
            assert left in ([], ["cache"]), (limit, left, result.stderr)
        else:
            runtime("delete", "--force", name).ok()
    assert 5 < failed < len(LIMITS)
