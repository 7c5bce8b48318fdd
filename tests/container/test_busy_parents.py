# SPDX-License-Identifier: Apache-2.0
"""Containers below a cgroup that holds processes: in a job of a CI, in a container, in a session.

cgroup2 gives such a cgroup's children no domain controllers, and a thread-aware one only to
threaded children (Documentation/admin-guide/cgroup-v2.rst, "Threads").
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyrunc.cgroups import layout
from tests.support import machine
from tests.support.bundle import Config
from tests.support.cgroups import closed_afterwards
from tests.support.runtime import Runtime
from tests.support.types import Create

TOP = Path("/sys/fs/cgroup")


@pytest.fixture
def busy(clean_machine: None) -> Iterator[Path]:
    """A cgroup of the cgroup2 with a process of its own."""
    with closed_afterwards():
        if layout.probe().kind != "v2":
            pytest.skip("the controllers of this host are on v1 hierarchies")
    group = TOP / f"{machine.TOKEN}-busy"
    group.mkdir()
    held = [hold(group)]
    yield group
    for task in held:
        task.kill()
        task.wait()
    group.rmdir()


def hold(group: Path) -> subprocess.Popen[bytes]:
    task = subprocess.Popen(["sleep", "600"])
    (group / "cgroup.procs").write_text(str(task.pid))
    return task


def below(config: Config, group: Path, **resources: Any) -> Config:
    config.linux["cgroupsPath"] = f"/{group.name}/container"
    config.linux["resources"] = resources
    config.without_namespace("cgroup")
    return config


def kind(group: Path) -> str:
    return (group / "cgroup.type").read_text().strip()


def test_a_container_without_limits_changes_nothing_above_it(
    busy: Path, runtime: Runtime, create: Create, config: Config
) -> None:
    container = create(below(config, busy), "sleep", "600").start()
    assert (
        container.command("exec", "cat", "/proc/self/cgroup").ok().stdout
        == f"0::/{busy.name}/container\n"
    )
    assert (kind(busy), kind(busy / "container")) == ("domain", "domain")
    assert (busy / "cgroup.subtree_control").read_text().split() == []


def test_limits_that_work_on_threads_are_kept_in_a_threaded_cgroup(
    busy: Path, pyrunc: Runtime, create: Create, config: Config
) -> None:
    limits = {"pids": {"limit": 20}, "cpu": {"quota": 50000, "period": 100000}}
    create(below(config, busy, **limits), "sleep", "600").start()
    own = busy / "container"
    assert (kind(busy), kind(own)) == ("domain threaded", "threaded")
    assert (own / "pids.max").read_text() == "20\n"
    assert (own / "cpu.max").read_text() == "50000 100000\n"
    assert set((busy / "cgroup.subtree_control").read_text().split()) == {"cpu", "pids"}


def test_a_container_in_a_threaded_cgroup_lives_as_any_other(
    busy: Path, pyrunc: Runtime, create: Create, config: Config
) -> None:
    """Its processes cannot be listed by the kernel, nor killed as one."""
    container = create(below(config, busy, pids={"limit": 20}), "sh", "-c", "sleep 601 & wait")
    container.start()
    own = f"0::/{busy.name}/container\n"
    assert container.command("exec", "cat", "/proc/self/cgroup").ok().stdout == own
    assert len(json.loads(pyrunc("ps", "--format", "json", container.id).ok().stdout)) == 2
    pyrunc("pause", container.id).ok()
    assert "frozen 1" in (busy / "container/cgroup.events").read_text()
    pyrunc("resume", container.id).ok()
    pyrunc("update", "--pids-limit", "30", container.id).ok()
    assert (busy / "container/pids.max").read_text() == "30\n"
    stats = json.loads(pyrunc("events", "--stats", container.id).ok().stdout)
    assert stats["data"]["pids"]["current"] == 2
    pyrunc("kill", "--all", container.id, "KILL").ok()
    container.wait("stopped")


def test_the_next_container_starts_below_a_threaded_domain(
    busy: Path, pyrunc: Runtime, create: Create, config: Config
) -> None:
    """One with a limit has made it that: a new cgroup there is of no use until it is threaded."""
    create(below(config, busy, pids={"limit": 20}), "true").delete().ok()
    assert kind(busy) == "domain threaded"
    container = create(below(config, busy), "sleep", "600").start()
    assert (
        container.command("exec", "cat", "/proc/self/cgroup").ok().stdout
        == f"0::/{busy.name}/container\n"
    )


def test_a_limit_of_memory_is_refused_with_the_cgroup_that_is_in_the_way(
    busy: Path, pyrunc: Runtime, run: Callable[..., Any], config: Config
) -> None:
    failed = run(below(config, busy, memory={"limit": 64 << 20}), "true")
    assert failed.status != 0
    assert "controller memory not available" in failed.stderr
    assert f"{busy} has processes of its own" in failed.stderr
    assert "/linux/resources/memory/limit" in failed.stderr
    assert kind(busy) == "domain"
    assert not (busy / "container").exists()


def test_a_neighbour_that_is_no_threaded_cgroup_forbids_it(
    busy: Path, pyrunc: Runtime, run: Callable[..., Any], config: Config
) -> None:
    neighbour = busy / "neighbour"
    neighbour.mkdir()
    task = hold(neighbour)
    try:
        failed = run(below(config, busy, pids={"limit": 9}), "true")
        assert failed.status != 0
        assert "controller pids not available" in failed.stderr
        assert "so have cgroups below it" in failed.stderr
        assert run(below(config, busy), "true").status == 0
    finally:
        task.kill()
        task.wait()
        neighbour.rmdir()


def test_explain_says_beforehand_that_a_limit_cannot_be_had(
    busy: Path, pyrunc: Runtime, config: Config
) -> None:
    below(config, busy, memory={"limit": 64 << 20}).write()
    told = pyrunc("explain", str(config.bundle))
    assert f"{busy} has processes of its own" in told.stdout + told.stderr
