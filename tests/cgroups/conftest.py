# SPDX-License-Identifier: Apache-2.0
"""Real cgroups of this host, v1 and v2; each test leaves none behind."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pyrunc import cgroups
from pyrunc.cgroups import layout
from pyrunc.cgroups.fs import FsManager
from tests.support import machine
from tests.support.cgroups import closed_afterwards
from tests.support.wait import until

Task = subprocess.Popen[bytes]
NUMBERS = itertools.count()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/cgroups/" in str(item.path):
            item.add_marker("root")


@pytest.fixture(autouse=True)
def _closed_cgroups() -> Iterator[None]:
    with closed_afterwards():
        yield


@pytest.fixture
def name(clean_machine: None) -> str:
    """A cgroup path that is this test's alone; nothing may be left of it."""
    return f"/{machine.TOKEN}-{next(NUMBERS)}"


@pytest.fixture
def host() -> layout.Layout:
    return layout.probe()


def close(found: layout.Layout) -> None:
    """A layout holds a descriptor of each hierarchy."""
    for hierarchy in found.hierarchies:
        if hierarchy.fd >= 0:
            os.close(hierarchy.fd)
            hierarchy.fd = -1


def versions(host: layout.Layout) -> dict[str, int]:
    """Controller -> 1 or 2, for all that this host has."""
    found: dict[str, int] = {}
    for hierarchy in reversed(host.hierarchies):
        names = hierarchy.controllers
        if hierarchy.version == 2:
            with open(f"{hierarchy.mount}/cgroup.controllers") as file:
                names = tuple(file.read().split())
        found.update(dict.fromkeys(names, hierarchy.version))
    return found


def needs(host: layout.Layout, *controllers: str, version: int = 0) -> int:
    """Skip where a controller is missing; the version of the first one's hierarchy."""
    present = versions(host)
    for controller in controllers:
        if present.get(controller) not in ((version,) if version else (1, 2)):
            kind = f"v{version} " if version else ""
            pytest.skip(f"this host has no {kind}{controller} controller")
    return present[controllers[0]]


def only_v2(host: layout.Layout) -> layout.Layout:
    last = host.hierarchies[-1]
    if last.version != 2:
        pytest.skip("this host has no cgroup2 mount")
    return layout.Layout([last])


SELDOM = ("hugetlb", "net_cls", "net_prio", "rdma")  # that a v1 host may not have mounted


@pytest.fixture
def mounted(host: layout.Layout, clean_machine: None, tmp_path: Path) -> Iterator[layout.Layout]:
    """The host, with those v1 controllers that nobody has mounted where we see them."""
    here: list[Path] = []
    if host.kind != "v2":
        known = {name for one in host.hierarchies for name in one.controllers}
        own = layout.parse_own(Path("/proc/self/cgroup").read_bytes())
        active = [name for name in own if set(name.split(",")) & set(SELDOM) - known]
        idle = set(re.findall(r"^(net_cls|net_prio)\t0\t", Path("/proc/cgroups").read_text(), re.M))
        for name in [*active, *sorted(idle)]:
            target = tmp_path / name
            target.mkdir()
            machine.mount("cgroup", target, "cgroup", data=name)
            here.append(target)
    found = layout.probe()
    yield found
    close(found)
    for target in here:
        machine.unmount(target)


@dataclass(frozen=True)
class Disk:
    """A block device with nothing on it."""

    path: Path
    major: int
    minor: int

    @classmethod
    def at(cls, path: Path) -> Disk:
        number = path.stat().st_rdev
        return cls(path, os.major(number), os.minor(number))

    @property
    def number(self) -> str:
        return f"{self.major}:{self.minor}"


def load_module(name: str) -> None:
    """In a guest, whose kernel is nobody else's; elsewhere there is what there is."""
    if "IN_GUEST" in os.environ:
        subprocess.run(["modprobe", "--quiet", name], check=False)


@pytest.fixture
def disk(clean_machine: None, tmp_path: Path) -> Iterator[Disk]:
    """A loop device of 8 MiB."""
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(8 << 20)
    load_module("loop")
    argv = ["losetup", "--find", "--show", str(image)]
    made = subprocess.run(argv, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"this kernel gives no loop device: {made.stderr.strip()}")
    path = Path(made.stdout.strip())
    yield Disk.at(path)
    subprocess.run(["losetup", "--detach", str(path)], check=True)


@pytest.fixture
def weighed(disk: Disk) -> Iterator[Disk]:
    """A disk whose scheduler takes weights."""
    load_module("bfq")
    scheduler = Path(f"/sys/block/{disk.path.name}/queue/scheduler")
    before = re.search(r"\[(\w+)\]", scheduler.read_text())
    try:
        scheduler.write_text("bfq")
    except OSError:
        pytest.skip("this kernel has no bfq scheduler, the one that takes weights")
    yield disk
    if before is not None:
        scheduler.write_text(before.group(1))


Make = Callable[..., FsManager]


@pytest.fixture
def make(name: str) -> Iterator[Make]:
    """make(path=None, layout=None): a manager, destroyed after the test."""
    made: list[FsManager] = []

    def make(path: str | None = None, *, on: layout.Layout | None = None) -> FsManager:
        where = path or name
        if on is not None:
            found = FsManager.resolve(on, cgroups_path=where, container_id="x")
        else:
            resolved = cgroups.resolve("cgroupfs", where, "x")
            assert isinstance(resolved, FsManager)
            found = resolved
        made.append(found)
        return found

    yield make
    for manager in reversed(made):
        manager.destroy()
        manager.close()


@pytest.fixture
def v2_setting(host: layout.Layout) -> Iterator[None]:
    """Beside v1 hierarchies, take back what the test enables on the machine's cgroup2."""
    last = host.hierarchies[-1]
    if host.kind != "hybrid":
        yield
        return
    path = f"{last.mount}/cgroup.subtree_control"
    with open(path) as file:
        before = set(file.read().split())
    yield
    with open(path) as file:
        added = set(file.read().split()) - before
    for controller in added:
        with open(path, "w") as file:
            file.write(f"-{controller}")


@pytest.fixture
def v2(v2_setting: None, make: Make, host: layout.Layout) -> FsManager:
    """A manager on the cgroup2 alone, as on a host without v1."""
    return make(on=only_v2(host))


@pytest.fixture
def spawn(clean_machine: None) -> Iterator[Callable[..., Task]]:
    """spawn(manager, script): a shell that runs the script inside the manager's cgroups."""
    started: list[Task] = []

    def spawn(manager: FsManager, script: str, *, python: bool = False) -> Task:
        gate = "read go; "
        argv = ["/bin/sh", "-c", gate + script]
        if python:
            argv = [sys.executable, "-S", "-c", f"input()\n{script}"]
        task = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        started.append(task)
        manager.attach(task.pid)
        assert task.stdin is not None
        task.stdin.write(b"go\n")
        task.stdin.flush()
        return task

    yield spawn
    for task in started:
        # Also what the shell has started: the session is this task's own.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(task.pid, signal.SIGKILL)
        task.communicate()


def wait_children(manager: FsManager, count: int) -> list[int]:
    until(lambda: len(manager.pids()) >= count, f"{count} processes in the cgroup")
    return manager.pids()
