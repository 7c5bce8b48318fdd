# SPDX-License-Identifier: Apache-2.0
"""`update` flag by flag, and what only `--resources` can say: read back from the kernel."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cgroups.conftest import Disk, disk, weighed
from tests.support.bundle import Config
from tests.support.cgroups import manager_of
from tests.support.runtime import Container, Runtime
from tests.support.types import Create

__all__ = ["disk", "weighed"]  # fixtures
feature = pytest.mark.feature
MB = 1 << 20


@pytest.fixture
def container(pyrunc: Runtime, create: Create, config: Config) -> Container:
    """A running container with some limits of its own."""
    config.linux["resources"] = {
        "pids": {"limit": 60},
        "memory": {"limit": 256 * MB, "reservation": 16 * MB},
        "cpu": {"shares": 512},
    }
    return create(config, "sleep", "100").start()


class Files:
    """The control files of a container."""

    def __init__(self, container: Container) -> None:
        self.manager = manager_of(container)

    def version(self, controller: str) -> int:
        member = self.manager.find(controller)
        return member.hierarchy.version if member is not None else 0

    def path(self, file: str) -> Path:
        member = self.manager.find(file.partition(".")[0])
        return Path(member.path if member is not None else "/nonexistent", file)

    def need(self, file: str) -> None:
        if not self.path(file).exists():
            pytest.skip(f"there is no {file} on this host")

    def __getitem__(self, file: str) -> str:
        return self.path(file).read_text().strip()


# (rows, flags, file and value on v1, on v2)
FLAGS: list[tuple[tuple[str, ...], list[str], tuple[str, str], tuple[str, str]]] = [
    (("2.63 update --cpu-period",), ["--cpu-share", "2048"], ("cpu.shares", "2048"),
     ("cpu.weight", "174")),
    (("2.63 update --cpu-period",), ["--cpu-quota", "20000", "--cpu-period", "50000"],
     ("cpu.cfs_quota_us", "20000"), ("cpu.max", "20000 50000")),
    (("2.63 update --cpu-period",), ["--cpu-rt-period", "500000", "--cpu-rt-runtime", "1000"],
     ("cpu.rt_runtime_us", "1000"), ("", "")),
    (("2.64 update --cpu-burst",), ["--cpu-quota", "20000", "--cpu-burst", "5000"],
     ("cpu.cfs_burst_us", "5000"), ("cpu.max.burst", "5000")),
    (("2.65 update --cpu-idle",), ["--cpu-idle", "1"], ("cpu.idle", "1"), ("cpu.idle", "1")),
    (("2.66 update --cpuset-cpus",), ["--cpuset-cpus", "0", "--cpuset-mems", "0"],
     ("cpuset.cpus", "0"), ("cpuset.cpus", "0")),
    (("2.67 update --memory",), ["--memory", "128m"],
     ("memory.limit_in_bytes", str(128 * MB)), ("memory.max", str(128 * MB))),
    (("2.67 update --memory",), ["--memory-reservation", "8MiB"],
     ("memory.soft_limit_in_bytes", str(8 * MB)), ("memory.low", str(8 * MB))),
    (("2.67 update --memory",), ["--memory", "128m", "--memory-swap", "192m"],
     ("memory.memsw.limit_in_bytes", str(192 * MB)), ("memory.swap.max", str(64 * MB))),
    (("2.68 update --kernel-memory",), ["--kernel-memory-tcp", "32m"],
     ("memory.kmem.tcp.limit_in_bytes", str(32 * MB)), ("", "")),
    (("2.69 update --pids-limit",), ["--pids-limit", "70"], ("pids.max", "70"),
     ("pids.max", "70")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("flags", "old", "new"),
    [
        pytest.param(flags, old, new, marks=feature(*rows), id="".join(flags))
        for rows, flags, old, new in FLAGS
    ],
)
def test_a_flag_changes_its_control_and_no_other(
    container: Container, flags: list[str], old: tuple[str, str], new: tuple[str, str]
) -> None:
    files = Files(container)
    file, value = old if files.version(old[0].partition(".")[0]) == 1 else new
    if not file:
        return refused(container, flags, "cannot be applied: cgroup v2 has no such control")
    files.need(file)
    others = {"pids.max": "60", "cpu.shares": "512", "cpu.weight": "59"}
    shown = container.runtime("update", "--dry-run", *flags, container.id).ok().lines
    assert any(line.endswith(f" -> {value}") for line in shown)
    assert files[file] != value
    container.runtime("update", *flags, container.id).ok()
    assert files[file] == value
    for name, before in others.items():
        if name != file and "--cpu-idle" not in flags and files.path(name).exists():
            assert files[name] == before
    assert container.runtime("update", "--dry-run", *flags, container.id).ok().lines == []


def refused(container: Container, flags: list[str], text: str) -> None:
    result = container.runtime("update", *flags, container.id)
    assert result.status == 1
    assert text in result.error


@feature("2.68 update --kernel-memory")
def test_a_limit_on_kernel_memory_is_set_or_said_to_be_ignored(container: Container) -> None:
    """Kernels refuse it since 5.16 or, since 6.6, take it and do nothing; cgroup2 has none."""
    files = Files(container)
    result = container.runtime("update", "--kernel-memory", "32m", container.id).ok()
    file = "memory.kmem.limit_in_bytes"
    if files.version("memory") == 2 or files[file] != str(32 * MB):
        assert f"ignored: this kernel has no {file}" in result.stderr


@feature("2.62 update --blkio-weight")
def test_the_weight_of_block_io_is_changed_where_something_takes_weights(
    container: Container,
) -> None:
    files = Files(container)
    v1 = files.version("blkio") == 1
    names = ("blkio.weight", "blkio.bfq.weight") if v1 else ("io.bfq.weight", "io.weight")
    present = [name for name in names if files.path(name).exists()]
    if not present:
        refused(container, ["--blkio-weight", "300"], f"cannot set {names[1]}: this kernel has no")
        pytest.skip(f"this kernel has neither {names[0]} nor {names[1]}")
    container.runtime("update", "--blkio-weight", "300", container.id).ok()
    expected = "2930" if present[0] == "io.weight" else "300"
    assert files[present[0]].split()[-1] == expected
    again = container.runtime("update", "--dry-run", "--blkio-weight", "300", container.id)
    assert again.ok().lines == []


def change(container: Container, resources: dict[str, Any], *flags: str) -> list[str]:
    """`update --resources -`."""
    text = json.dumps(resources)
    result = container.runtime("update", *flags, "--resources", "-", container.id, stdin=text)
    return result.ok().lines


@feature("2.71 update per-device")
def test_the_rate_of_one_device_is_changed_and_that_of_another_stays(
    container: Container, disk: Disk
) -> None:
    files = Files(container)
    v1 = files.version("blkio") == 1
    file = "blkio.throttle.read_iops_device" if v1 else "io.max"
    files.need(file)

    def rate(number: int, key: str = "throttleReadIOPSDevice") -> dict[str, Any]:
        return {"blockIO": {key: [{"major": disk.major, "minor": disk.minor, "rate": number}]}}

    change(container, rate(50))
    change(container, rate(70, "throttleWriteIOPSDevice"))
    shown = change(container, rate(60), "--dry-run")
    assert len(shown) == 1
    assert "50" in shown[0]
    change(container, rate(60))
    if v1:
        assert files[file] == f"{disk.number} 60"
        assert files["blkio.throttle.write_iops_device"] == f"{disk.number} 70"
    else:
        assert files[file] == f"{disk.number} rbps=max wbps=max riops=60 wiops=70"


@feature("2.71 update per-device")
def test_the_weight_of_a_device_is_changed(container: Container, weighed: Disk) -> None:
    files = Files(container)
    file = "blkio.bfq.weight_device" if files.version("blkio") == 1 else "io.bfq.weight"
    files.need(file)
    for weight in (300, 400):
        device = {"major": weighed.major, "minor": weighed.minor, "weight": weight}
        change(container, {"blockIO": {"weightDevice": [device]}})
        assert f"{weighed.number} {weight}" in files[file].splitlines()


@feature("2.73 update unified")
def test_a_control_of_cgroup2_is_changed_by_its_name(container: Container) -> None:
    files = Files(container)
    if files.version("memory") != 2:
        refused_text = "memory is a cgroup v1 controller here"
        unified = json.dumps({"unified": {"memory.high": str(64 * MB)}})
        result = container.runtime("update", "-r", "-", container.id, stdin=unified)
        assert result.status == 1
        assert refused_text in result.error or "'unified' needs cgroup v2" in result.error
        pytest.skip("the memory controller of this host is a v1 one")
    for value in (64 * MB, 32 * MB):
        shown = change(container, {"unified": {"memory.high": str(value)}})
        assert files["memory.high"] == str(value)
        assert shown == []
    assert change(container, {"unified": {"memory.high": str(32 * MB)}}, "--dry-run") == []
    assert files["memory.max"] == str(256 * MB)


FREES_WHEN_TOLD = "until [ -e /data/go ]; do sleep 0.1; done; sleep 1; rm /data/file; sleep 100"


def full(create: Create, config: Config) -> Container:
    """Return a container with 96 MiB in a tmpfs, which nothing can reclaim without swap."""
    config.linux["resources"] = {"memory": {"limit": 256 * MB, "swap": 256 * MB}}
    config.mount("/data", "tmpfs", "tmpfs")
    container = create(config, "sh", "-c", FREES_WHEN_TOLD).start()
    fill = "dd if=/dev/zero of=/data/file bs=1M count=96 2>/dev/null"
    container.command("exec", "sh", "-c", fill).ok()
    return container


def memory(container: Container) -> list[str]:
    """Return the limits of memory that an update with --reclaim touches."""
    files = Files(container)
    v1 = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
    return [files[name] for name in (v1 if files.version("memory") == 1 else V2_LIMITS)]


V2_LIMITS = ("memory.max", "memory.high")
FIGURES = re.compile(r"limit to (\d+) \(current usage: (\d+), (\d+) bytes above it after 0\.3 s")


def test_a_lower_limit_waits_for_memory_to_come_free(create: Create, config: Config) -> None:
    """kubernetes#135670, runc#3509: without --reclaim cgroup2 kills, and v1 refuses."""
    container = full(create, config)
    container.command("exec", "touch", "/data/go").ok()
    before = time.monotonic()
    limits = ["--memory", "32m", "--memory-swap", "32m"]
    container.runtime("update", *limits, "--reclaim", "8s", container.id).ok()
    assert 0.5 < time.monotonic() - before < 8
    assert memory(container)[0] == str(32 * MB)
    if Files(container).version("memory") == 2:
        assert memory(container)[1] == "max"
    assert container.state()["status"] == "running"
    assert manager_of(container).oom_kills() == 0


@pytest.mark.parametrize("check", [False, True])
def test_a_limit_that_is_missed_changes_nothing_and_tells_by_how_much(
    create: Create, config: Config, check: bool
) -> None:
    container = full(create, config)
    before = memory(container)
    memory_limits = {"limit": 32 * MB, "swap": 32 * MB, "checkBeforeUpdate": check}
    text = json.dumps({"memory": memory_limits})
    flags = ("--reclaim", "300ms", "--resources", "-", container.id)
    result = container.runtime("update", *flags, stdin=text)
    assert result.status == 1
    found = FIGURES.search(result.error)
    assert found is not None, result.error
    limit, usage, missing = map(int, found.groups())
    assert limit == 32 * MB
    assert usage - limit == missing > 60 * MB
    assert memory(container) == before
    assert container.state()["status"] == "running"
    assert manager_of(container).oom_kills() == 0


def test_a_limit_of_memory_high_is_kept_by_an_update_that_reclaims(
    create: Create, config: Config
) -> None:
    container = full(create, config)
    if Files(container).version("memory") != 2:
        pytest.skip("the memory controller of this host is a v1 one")
    change(container, {"unified": {"memory.high": str(200 * MB)}})
    container.runtime("update", "--memory", "192m", "--reclaim", "1s", container.id).ok()
    assert memory(container) == [str(192 * MB), str(200 * MB)]
    text = {"memory": {"limit": 160 * MB}, "unified": {"memory.high": str(128 * MB)}}
    change(container, text, "--reclaim", "1s")
    assert memory(container) == [str(160 * MB), str(128 * MB)]
