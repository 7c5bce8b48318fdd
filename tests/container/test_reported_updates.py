# SPDX-License-Identifier: Apache-2.0
"""Complaints about limits and `update` of other runtimes' users (docs/field.md)."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import machine
from tests.support.bundle import Config
from tests.support.cgroups import manager_of
from tests.support.runtime import Container, Runtime
from tests.support.types import Create

MB = 1 << 20


class Files:
    """The control files of a container's cgroups."""

    def __init__(self, container: Container) -> None:
        self.manager = manager_of(container)
        self.container = container

    def path(self, controller: str, file: str) -> Path:
        member = self.manager.find(controller)
        path = Path(member.path if member is not None else "/nonexistent", file)
        if not path.exists():
            pytest.skip(f"there is no {file} on this host")
        return path

    def read(self, controller: str, v1: str, v2: str) -> str:
        member = self.manager.find(controller)
        version = member.hierarchy.version if member is not None else 2
        return self.path(controller, v1 if version == 1 else v2).read_text().strip()

    def update(self, *flags: str) -> None:
        self.container.runtime("update", *flags, self.container.id).ok()


@pytest.fixture
def limited(create: Create, config: Config) -> Callable[..., Files]:
    """limited(cpu={...}): a container that runs with these resources."""

    def start(**resources: object) -> Files:
        config.linux["resources"] = resources
        return Files(create(config, "sleep", "100").start())

    return start


def test_swap_is_changed_without_memory(limited: Callable[..., Files]) -> None:
    """memory.swap counts both; the limit that is in force is taken from it."""
    files = limited(memory={"limit": 64 * MB, "swap": 128 * MB})
    files.read("memory", "memory.memsw.limit_in_bytes", "memory.swap.max")
    files.update("--memory-swap", str(192 * MB))
    swap = int(files.read("memory", "memory.memsw.limit_in_bytes", "memory.swap.max"))
    assert swap in (192 * MB, 128 * MB)
    assert int(files.read("memory", "memory.limit_in_bytes", "memory.max")) == 64 * MB


def test_a_quota_keeps_the_period(limited: Callable[..., Files]) -> None:
    files = limited(cpu={"quota": 500000, "period": 1000000})
    for quota, shown in (("600000", "600000"), ("-1", "max")):
        files.update("--cpu-quota", quota)
        found = files.read("cpu", "cpu.cfs_period_us", "cpu.max").split()
        assert found in ([shown, "1000000"], ["1000000"])


def test_a_period_is_set_without_a_quota(limited: Callable[..., Files]) -> None:
    files = limited(pids={"limit": 50})
    files.update("--cpu-period", "30000")
    assert files.read("cpu", "cpu.cfs_period_us", "cpu.max").split()[-1] == "30000"


def test_a_quota_below_the_burst_is_an_error_that_names_the_burst(
    limited: Callable[..., Files],
) -> None:
    """The kernel says EINVAL about cpu.max; nothing is changed, and both together are taken."""
    files = limited(cpu={"quota": 50000, "period": 100000})
    files.read("cpu", "cpu.cfs_burst_us", "cpu.max.burst")
    files.update("--cpu-burst", "40000")
    runtime, name = files.container.runtime, files.container.id
    result = runtime("update", "--cpu-quota", "20000", name)
    assert result.status == 1
    assert "/cpu/burst: wrong value 40000 (allowed: at most the quota, 20000)" in result.error
    assert files.read("cpu", "cpu.cfs_quota_us", "cpu.max").split()[0] == "50000"
    files.update("--cpu-quota", "20000", "--cpu-burst", "10000")
    assert files.read("cpu", "cpu.cfs_burst_us", "cpu.max.burst") == "10000"


def test_no_limit_of_processes_is_none(limited: Callable[..., Files]) -> None:
    """Not the one that systemd gives to units by default."""
    assert limited(pids={"limit": -1}).read("pids", "pids.max", "pids.max") == "max"


def test_a_paused_container_is_changed_and_stays_paused(limited: Callable[..., Files]) -> None:
    files = limited(pids={"limit": 50})
    container = files.container
    container.runtime("pause", container.id).ok()
    files.update("--pids-limit", "77")
    assert container.state()["status"] == "paused"
    assert files.read("pids", "pids.max", "pids.max") == "77"
    container.runtime("resume", container.id).ok()


def test_containers_that_start_at_once_below_a_new_cgroup_all_have_their_limits(
    runtime: Runtime, make_config: Callable[[], Config]
) -> None:
    """Each finds the parent made by another, perhaps without the controllers yet."""
    if runtime.globals:
        pytest.skip("a slice is made by systemd")
    top = f"{machine.TOKEN}-new"
    running = []
    for _ in range(6):
        config = make_config()
        name = runtime.new_id()
        config.linux["cgroupsPath"] = f"/{top}/{name}"
        config.linux["resources"] = {"pids": {"limit": 50}}
        config.process["args"] = ["true"]
        config.write()
        argv = runtime.argv("run", "--bundle", config.bundle, name)
        running.append(subprocess.Popen(argv, stdin=subprocess.DEVNULL))
    assert [process.wait(60) for process in running] == [0] * 6
    for path in Path("/sys/fs/cgroup").glob(f"**/{top}"):
        path.rmdir()


def swap_of(files: Files, memory: int) -> int | None:
    """The limit of swap alone; None: there is none."""
    text = files.read("memory", "memory.memsw.limit_in_bytes", "memory.swap.max")
    if text == "max" or int(text) >= 1 << 62:
        return None
    member = files.manager.find("memory")
    assert member is not None
    return int(text) - (memory if member.hierarchy.version == 1 else 0)  # v1 counts both


def test_the_same_memory_again_leaves_the_swap_as_it_was(limited: Callable[..., Files]) -> None:
    """4,096 bytes of swap: they became none."""
    files = limited(memory={"limit": 32 * MB, "swap": 32 * MB + 4096})
    assert swap_of(files, 32 * MB) == 4096
    files.update("--memory", str(32 * MB))
    assert swap_of(files, 32 * MB) == 4096


def test_no_limit_of_memory_alone_lifts_that_of_swap(limited: Callable[..., Files]) -> None:
    files = limited(memory={"limit": 32 * MB, "swap": 64 * MB})
    files.update("--memory", "-1")
    assert swap_of(files, 0) is None
    files.update("--memory", str(64 * MB), "--memory-swap", str(64 * MB))
    assert swap_of(files, 64 * MB) == 0


def test_no_swap_without_a_limit_of_memory_is_no_request(limited: Callable[..., Files]) -> None:
    """Engines write 0 for what is not set; crun 1.5 refused it."""
    files = limited(memory={"swap": 0})
    assert swap_of(files, 0) is None


def test_quota_and_period_fall_together_below_that_of_the_parent(
    create: Create, config: Config
) -> None:
    """Version 1 takes them one by one, and neither order alone is always within the parent's."""
    parent = f"/{machine.TOKEN}-pod"
    config.linux["cgroupsPath"] = f"{parent}/one"
    config.linux["resources"] = {"cpu": {"quota": 50000, "period": 100000}}
    files = Files(create(config, "sleep", "100").start())
    old = files.path("cpu", "cpu.max" if files.manager.pure else "cpu.cfs_quota_us")
    above = old.parents[1] / old.name
    above.write_text("60000 100000" if files.manager.pure else "60000")
    for period, quota in ((10000, 3000), (200000, 100000), (50000, 25000)):
        files.update("--cpu-period", str(period), "--cpu-quota", str(quota))
        shown = files.read("cpu", "cpu.cfs_quota_us", "cpu.max").split()
        assert shown[0] == str(quota)
