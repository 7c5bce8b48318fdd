# SPDX-License-Identifier: Apache-2.0
"""What users report of containers that do not end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pyrunc.cgroups import freezer
from tests.support.bundle import Config
from tests.support.cgroups import manager_of
from tests.support.runtime import Container
from tests.support.types import Create
from tests.support.wait import until


@pytest.fixture
def nested(create: Create, config: Config) -> Iterator[Container]:
    """A container with a process in a cgroup below its own, which is frozen."""
    container = create(config, "sh", "-c", "sleep 200 & echo up; exec sleep 100").start()
    until(lambda: "up" in container.output, "both run")
    manager = manager_of(container)
    member = freezer.choose(manager.members)
    if member is None:
        pytest.skip("this host has no freezer")
    (second,) = set(member.pids()) - {container.pid}
    below = Path(member.path, "below")
    below.mkdir()
    (below / "cgroup.procs").write_text(str(second))
    old = member.hierarchy.version == 1
    state = below / ("freezer.state" if old else "cgroup.freeze")
    state.write_text("FROZEN" if old else "1")
    until(
        lambda: state.read_text() == "FROZEN\n" if old else "frozen 1" in _events(below),
        "the cgroup below is frozen",
    )
    manager.close()
    yield container
    with suppress(OSError):  # it is gone
        state.write_text("THAWED" if old else "0")


def _events(cgroup: Path) -> str:
    return (cgroup / "cgroup.events").read_text()


def test_a_container_with_a_frozen_cgroup_below_its_own_is_killed(nested: Container) -> None:
    """A runtime in the container was ended while it had one of its own frozen."""
    nested.runtime("kill", nested.id, "KILL").ok()
    nested.wait()
    nested.delete(force=False).ok()


def test_a_container_with_a_frozen_cgroup_below_its_own_is_deleted(nested: Container) -> None:
    assert nested.delete().ok().stderr == ""
