# SPDX-License-Identifier: Apache-2.0
"""One event for one OOM, whatever the kernel counts and when."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from pyrunc.cgroups.stats import oom
from tests.unit.cgroups.support import directory_member

pytestmark = pytest.mark.usefixtures("closed_cgroups")


def events(kills: int) -> str:
    return f"low 0\noom {kills}\noom_kill {kills}\n"


def watch(tmp_path: Path, *, group: str) -> oom.Watch:
    files = {
        "cgroup.events": "populated 1\nfrozen 0\n",
        "memory.events": events(3),
        "memory.oom.group": group,
    }
    return oom.Watch(directory_member(tmp_path, version=2, files=files))


def test_each_process_that_is_killed_alone_is_an_event(tmp_path: Path) -> None:
    found = watch(tmp_path, group="0")
    (tmp_path / "group/memory.events").write_text(events(5))
    assert found.wait(0) == (2, False)
    assert found.wait(0) == (0, False)
    found.close()


def test_a_group_that_is_killed_is_one_event(tmp_path: Path) -> None:
    """The counter goes up while we look at it."""
    found = watch(tmp_path, group="1")
    file = tmp_path / "group/memory.events"

    def kill() -> None:
        for count in range(5, 9):
            time.sleep(oom.SETTLE_S / 4)
            file.with_suffix(".new").write_text(events(count))
            file.with_suffix(".new").rename(file)

    file.write_text(events(4))
    thread = threading.Thread(target=kill)
    thread.start()
    assert found.wait(0) == (1, False)
    thread.join()
    assert found.wait(0) == (0, False)
    found.close()


def test_a_signal_of_version_1_is_an_event_before_the_counter_moves(tmp_path: Path) -> None:
    files = {
        "memory.oom_control": "oom_kill 0\n",
        "cgroup.procs": "1\n",
        "cgroup.event_control": "",
    }
    member = directory_member(tmp_path, version=1, controllers=("memory",), files=files)
    found = oom.Watch(member)
    (fd,) = found.fds
    os.eventfd_write(fd, 1)
    assert found.wait(0) == (1, False)
    (tmp_path / "group/memory.oom_control").write_text("oom_kill 1\n")
    assert found.wait(0) == (0, False)
    os.eventfd_write(fd, 2)  # one more, and the removal of the cgroup
    (tmp_path / "group/cgroup.procs").unlink()
    assert found.wait(0) == (1, True)
    found.close()
