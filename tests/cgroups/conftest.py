# SPDX-License-Identifier: Apache-2.0
"""Real cgroups of this host, v1 and v2; each test leaves none behind."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from pyrunc import cgroups
from pyrunc.cgroups import layout
from pyrunc.cgroups.fs import FsManager
from tests.support import machine
from tests.support.wait import until

Task = subprocess.Popen[bytes]
NUMBERS = itertools.count()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/cgroups/" in str(item.path):
            item.add_marker("root")
            item.add_marker(pytest.mark.usefixtures("clean_machine"))


@pytest.fixture
def name() -> str:
    """A cgroup path that is this test's alone."""
    return f"/{machine.TOKEN}-{next(NUMBERS)}"


@pytest.fixture
def host() -> layout.Layout:
    return layout.probe()


def needs(host: layout.Layout, *controllers: str) -> None:
    present = {one for hierarchy in host.hierarchies for one in hierarchy.controllers}
    for controller in controllers:
        if controller not in present:
            pytest.skip(f"this host has no v1 hierarchy with the {controller} controller")


def only_v2(host: layout.Layout) -> layout.Layout:
    last = host.hierarchies[-1]
    if last.version != 2:
        pytest.skip("this host has no cgroup2 mount")
    return layout.Layout([last])


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
def v2(make: Make, host: layout.Layout) -> Iterator[FsManager]:
    """A manager on the cgroup2 alone, as on a host without v1."""
    on = only_v2(host)
    top = on.hierarchies[0].mount
    with open(f"{top}/cgroup.subtree_control") as file:
        before = set(file.read().split())
    manager = make(on=on)
    yield manager
    manager.destroy()
    with open(f"{top}/cgroup.subtree_control") as file:
        added = set(file.read().split()) - before
    for controller in added:  # what the test enabled on the machine
        with open(f"{top}/cgroup.subtree_control", "w") as file:
            file.write(f"-{controller}")


@pytest.fixture
def spawn() -> Iterator[Callable[..., Task]]:
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
