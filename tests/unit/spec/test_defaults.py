# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: SIM905 - long lists of words
"""What `pyrunc spec` writes."""

from __future__ import annotations

import pytest

from pyrunc import spec
from pyrunc.spec.defaults import default_config, rootless_config
from pyrunc.spec.schema import problems as schema_problems
from tests.unit.spec.engine import encode

MASKED = """
    /proc/acpi /proc/asound /proc/kcore /proc/keys /proc/latency_stats /proc/timer_list
    /proc/timer_stats /proc/sched_debug /sys/firmware /proc/scsi /proc/interrupts
    /sys/devices/virtual/powercap
""".split()
READONLY = "/proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger".split()


def test_the_defaults_are_the_pinned_safe_ones() -> None:
    """MT-8"""
    config = default_config()
    assert config["linux"]["maskedPaths"] == MASKED
    assert config["linux"]["readonlyPaths"] == READONLY
    assert config["process"]["noNewPrivileges"] is True
    assert config["root"]["readonly"] is True
    assert config["linux"]["resources"]["devices"] == [{"allow": False, "access": "rwm"}]
    caps = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
    assert config["process"]["capabilities"] == {
        "bounding": caps,
        "effective": caps,
        "permitted": caps,
    }


@pytest.mark.parametrize("version", [1, 2])
def test_the_template_passes_both_checks_without_a_warning(version: int) -> None:
    for config in (
        default_config(cgroup_version=version),
        rootless_config(default_config(cgroup_version=version), euid=1000, egid=100),
    ):
        assert spec.parse_config(encode(config)).warnings == ()
        assert schema_problems(config) == ()


def test_a_cgroup_namespace_comes_with_cgroup_v2() -> None:
    kinds = [entry["type"] for entry in default_config(cgroup_version=2)["linux"]["namespaces"]]
    assert kinds == ["pid", "network", "ipc", "uts", "mount", "cgroup"]
    kinds = [entry["type"] for entry in default_config(cgroup_version=1)["linux"]["namespaces"]]
    assert "cgroup" not in kinds


def test_the_rootless_template_needs_no_privilege() -> None:
    before = default_config()
    config = rootless_config(before, euid=1000, egid=100)
    linux = config["linux"]
    assert [entry["type"] for entry in linux["namespaces"]] == [
        "pid",
        "ipc",
        "uts",
        "mount",
        "cgroup",
        "user",
    ]
    assert linux["uidMappings"] == [{"containerID": 0, "hostID": 1000, "size": 1}]
    assert linux["gidMappings"] == [{"containerID": 0, "hostID": 100, "size": 1}]
    assert "resources" not in linux
    by_destination = {mount["destination"]: mount for mount in config["mounts"]}
    assert by_destination["/sys"] == {
        "destination": "/sys",
        "type": "none",
        "source": "/sys",
        "options": ["rbind", "nosuid", "noexec", "nodev", "ro"],
    }
    assert not any("gid=5" in mount.get("options", ()) for mount in config["mounts"])
    assert before == default_config()


def test_the_terminal_template_has_what_a_shell_needs() -> None:
    process = default_config()["process"]
    assert process["terminal"] is True
    assert process["args"] == ["sh"]
    assert process["env"][1] == "TERM=xterm"
    assert process["rlimits"] == [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}]
