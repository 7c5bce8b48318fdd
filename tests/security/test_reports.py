# SPDX-License-Identifier: Apache-2.0
"""Public reports about masks: what is asked for is hidden, and nothing else is touched."""

from __future__ import annotations

from pathlib import Path

from tests.support import mountinfo
from tests.support.bundle import Config
from tests.support.runtime import Runtime
from tests.support.types import Create

THERMAL = "/sys/devices/system/cpu/cpu0"


def test_what_tells_of_heat_can_be_hidden(create: Create, config: Config) -> None:
    """GHSA-6fw5-f8r9-fgfm: a file of proc, a directory of sysfs with one below it, one absent."""
    config.linux["maskedPaths"] = [
        "/proc/interrupts",
        THERMAL,
        f"{THERMAL}/thermal_throttle",
        "/sys/absent",
    ]
    script = f"wc -c </proc/interrupts; ls {THERMAL} | wc -l; ls /sys/absent 2>&1"
    container = create(config, "sh", "-c", script).start().wait()
    lines = container.output.splitlines()
    assert [line.strip() for line in lines[:2]] == ["0", "0"]
    assert "No such file" in lines[2]


def test_what_covers_a_directory_runs_and_lets_through_nothing(
    create: Create, config: Config
) -> None:
    """opencontainers/runc#5132: the cover itself has the flags that protect."""
    config.linux["maskedPaths"] = ["/sys/firmware"]
    container = create(config, "cat", "/proc/self/mountinfo").start().wait()
    cover = mountinfo.parse(container.output)["/sys/firmware"]
    assert cover.fstype == "tmpfs"
    assert {"ro", "nosuid", "nodev", "noexec"} <= set(cover.options)


def test_a_nul_in_the_options_of_a_mount_is_named(pyrunc: Runtime, config: Config) -> None:
    """opencontainers/runc#5132: the kernel would take what is before it."""
    config.mount("/mnt", "tmpfs", "tmpfs", "size=64k\0,mode=777")
    config.write()
    result = pyrunc("run", "--bundle", config.bundle, pyrunc.new_id())
    assert result.status == 1
    assert "NUL in a string" in result.error
    assert "/mounts/" in result.error


def test_a_mask_never_covers_a_file_of_the_host(pyrunc: Runtime, config: Config) -> None:
    """containers/crun#2253: without a mount namespace the image's own /dev/null went over it."""
    (config.rootfs / "dev/null").symlink_to("/etc/group")
    config["mounts"] = []
    del config["hostname"]
    config.linux["namespaces"] = [{"type": "pid"}]
    config.linux["maskedPaths"] = ["/etc/passwd"]
    config.write()
    result = pyrunc("run", "--bundle", config.bundle, pyrunc.new_id())
    assert result.status == 1
    assert "private MNT namespace" in result.error
    assert str(config.rootfs) not in Path("/proc/self/mountinfo").read_text()
