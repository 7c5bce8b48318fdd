# SPDX-License-Identifier: Apache-2.0
"""explain for programs, and the difference of two plans."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.support.bundle import Config
from tests.support.runtime import Runtime


def test_the_json_of_a_plan_names_the_place_that_asks_for_each_step(
    pyrunc: Runtime, config: Config
) -> None:
    config.bind("/etc", "/mnt")
    config.linux["resources"] = {"pids": {"limit": 100}}
    config.write()
    result = pyrunc("explain", "--format", "json", config.bundle)
    found = json.loads(result.stdout)
    clone = next(step for step in found["plan"] if step["pointer"] == "/mounts/5/source")
    assert clone["op"] == "clone_tree"
    assert "path=/etc" in clone["line"]
    assert {"pids.max": "100"} in [
        {row["file"].rpartition("/")[2]: row["value"]} for row in found["writes"]
    ]


def test_two_plans_differ_in_what_the_configurations_differ_in(
    pyrunc: Runtime, make_config: Callable[[], Config]
) -> None:
    one, other = make_config(), make_config()
    other["root"]["path"] = str(one.rootfs)
    for config in (one, other):
        config.write()
    assert pyrunc("explain", "--diff", other.bundle, one.bundle).status == 0
    other.bind("/etc", "/mnt", "ro")
    other["hostname"] = "another"
    other.write()
    result = pyrunc("explain", "--diff", other.bundle, one.bundle)
    assert result.status == 1
    lines = [line for line in result.lines if not line.startswith(("---", "+++"))]
    added = [line for line in lines if line.startswith("+")]
    assert any("path=/etc" in line for line in added)
    assert any("set_hostname" in line and "another" in line for line in added)
    assert all("/mounts/5" in line or "hostname" in line for line in lines), lines


def test_what_systemd_will_be_told_is_shown(pyrunc: Runtime, config: Config) -> None:
    """With and without a systemd that runs: nothing is made."""
    config.linux["cgroupsPath"] = "machine.slice:box:one"
    config.linux["resources"] = {
        "pids": {"limit": 100},
        "memory": {"limit": 64 << 20},
        "devices": [{"allow": False, "access": "rwm"}],
    }
    config["annotations"] = {"org.systemd.property.TimeoutStopUSec": "uint64 5000000"}
    config.write()
    result = pyrunc("--systemd-cgroup", "explain", config.bundle).ok()
    told = [line.split(None, 1)[1] for line in result.lines if line.startswith("    unit ")]
    for line in (
        *("Slice=machine.slice", "Delegate=yes", "TasksMax=100", "TimeoutStopUSec=5000000"),
        *("DevicePolicy=strict", "DefaultDependencies=no"),
    ):
        assert line in told
    assert any(line.startswith("Memory") and line.endswith(f"={64 << 20}") for line in told)
    found = json.loads(
        pyrunc("--systemd-cgroup", "explain", "--format", "json", config.bundle).ok().stdout
    )
    assert {"property": "TasksMax", "value": "100"} in found["unit"]
    assert "    unit " not in pyrunc("explain", config.bundle).stdout
