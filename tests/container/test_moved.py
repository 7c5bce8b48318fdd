# SPDX-License-Identifier: Apache-2.0
"""A container whose init has left its cgroup for another, and whose own is gone."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from pyrunc.cgroups import freezer, layout
from pyrunc.cgroups.fs import FsManager
from pyrunc.cgroups.member import Cgroup
from tests.support import machine
from tests.support.bundle import Config
from tests.support.cgroups import manager_of, read
from tests.support.runtime import Container, Runtime
from tests.support.types import Create
from tests.support.wait import until

Move = Callable[[Container], None]


@pytest.fixture
def other() -> Iterator[FsManager]:
    """Cgroups that are nobody's."""
    other = FsManager.resolve(
        layout.probe(), cgroups_path=f"/{machine.TOKEN}-other", container_id="x"
    )
    other.prepare()
    yield other
    other.thaw()
    other.destroy()
    other.close()


@pytest.fixture
def move(other: FsManager) -> Move:
    """move(container): all its processes to `other`; its own cgroups are removed."""

    def emptied(member: Cgroup, target: Cgroup) -> bool:
        for pid in member.pids():
            with suppress(ProcessLookupError):
                target.put("cgroup.procs", str(pid))
        return not member.pids()

    def move(container: Container) -> None:
        first = manager_of(container)
        targets = {member.hierarchy.name: member for member in other.members}
        for member in first.members:
            target = targets[member.hierarchy.name]
            until(partial(emptied, member, target), "the container's cgroup is empty")
            with suppress(FileNotFoundError):  # systemd has done it
                os.rmdir(member.path)
        first.close()

    return move


@pytest.fixture
def moved(create: Create, config: Config, move: Move) -> Container:
    config.linux["resources"] = {"pids": {"limit": 50}}
    container = create(config, "sleep", "100").start()
    move(container)
    return container


def test_it_is_paused_and_resumed(moved: Container, other: FsManager) -> None:
    moved.command("pause").ok()
    assert other.frozen()
    assert moved.state()["status"] == "paused"
    assert "cannot exec in a paused container" in moved.command("exec", "true").stderr
    moved.command("resume").ok()
    assert not other.frozen()
    assert moved.state()["status"] == "running"


def test_its_limits_are_changed_where_it_is(moved: Container, other: FsManager) -> None:
    listed = moved.command("update", "--pids-limit", "33", "--dry-run").ok().stdout
    assert f"/{machine.TOKEN}-other/pids.max: " in listed
    moved.command("update", "--pids-limit", "33", "--memory", "64m").ok()
    assert read(other, "pids.max") == "33"
    moved.command("update", "--pids-limit", "34").ok()
    assert read(other, "pids.max") == "34"


def test_its_processes_and_figures_are_those_of_where_it_is(moved: Container) -> None:
    moved.runtime("exec", "--detach", moved.id, "sleep", "200").ok()
    rows = moved.command("ps").ok().lines
    assert [row.rpartition("sleep ")[2] for row in rows[1:]] == ["100", "200"]
    data = json.loads(moved.runtime("events", "--stats", moved.id).ok().stdout)["data"]
    assert data["pids"]["current"] == 2


def test_rules_for_devices_that_went_with_its_cgroup_are_not_changed(moved: Container) -> None:
    rules = {"devices": [{"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rwm"}]}
    changed = moved.runtime("update", "--resources", "-", moved.id, stdin=json.dumps(rules))
    assert changed.status == 1
    assert "cannot change the device rules" in changed.stderr


@pytest.fixture
def stranger(moved: Container, other: FsManager) -> Iterator[subprocess.Popen[bytes]]:
    """A process of somebody else in the cgroups to which the container's have moved."""
    stranger = subprocess.Popen(["sleep", "300"])
    other.attach(stranger.pid)
    yield stranger
    stranger.kill()
    stranger.wait()


def test_processes_of_others_are_left_alone(
    moved: Container, other: FsManager, stranger: subprocess.Popen[bytes]
) -> None:
    for verb in (("pause",), ("update", "--pids-limit", "33"), ("events", "--stats")):
        refused = moved.runtime(verb[0], *verb[1:], moved.id)
        assert refused.status == 1, verb
        assert f"1 process(es) of others: {stranger.pid}" in refused.stderr
    assert not other.frozen()
    assert len(moved.command("ps").ok().lines) == 2
    moved.runtime("kill", "--all", moved.id, "KILL").ok()
    moved.wait()
    moved.delete(force=False).ok()
    assert stranger.poll() is None


def test_a_paused_one_is_killed_with_all_its_processes(moved: Container, other: FsManager) -> None:
    moved.runtime("exec", "--detach", moved.id, "sleep", "200").ok()
    moved.command("pause").ok()
    moved.delete().ok()
    until(lambda: not other.pids(), "its processes have ended")


def test_a_signal_to_all_reaches_the_processes_that_were_moved(
    create: Create, config: Config, move: Move
) -> None:
    script = "trap 'echo first' TERM; sh -c 'trap \"echo second; exit\" TERM; echo up; "
    script += "while :; do sleep 0.1; done' & while :; do wait; sleep 0.1; done"
    container = create(config, "sh", "-c", script).start()
    until(lambda: "up" in container.output, "the second shell runs")
    move(container)
    container.runtime("kill", "--all", container.id, "TERM").ok()
    until(lambda: {"first", "second"} <= set(container.output.split()), "both got it")


def test_events_go_on_where_it_is_and_end_with_it(
    pyrunc: Runtime, create: Create, config: Config, move: Move, workspace: Path
) -> None:
    container = create(config, "sleep", "100").start()
    output = workspace / "events"
    with output.open("wb") as stream:
        follower = subprocess.Popen(
            pyrunc.argv("events", "--interval", "100ms", container.id), stdout=stream
        )
    try:
        until(lambda: '"stats"' in output.read_text(), "the first figures")
        move(container)
        seen = output.read_text().count('"stats"')
        until(lambda: output.read_text().count('"stats"') > seen + 2, "figures after the move")
        container.runtime("kill", container.id, "KILL").ok()
        until(lambda: follower.poll() is not None, "the events end")
        assert follower.returncode == 0
    finally:
        follower.kill()
        follower.wait()


def test_whoever_has_its_number_now_is_not_followed(moved: Container, other: FsManager) -> None:
    """As after a crash of the machine, or with a state that somebody has kept."""
    file = moved.runtime.root / moved.id / "state.json"
    state = json.loads(file.read_text())
    pid = moved.pid
    state["startTime"] += 1
    file.write_text(json.dumps(state))
    assert moved.state()["status"] == "stopped"
    assert moved.command("pause").status == 1
    assert not other.frozen()
    assert freezer.choose(other.members) is not None
    os.kill(pid, 9)


def test_a_freeze_that_would_stop_nothing_is_refused(
    create: Create, config: Config, other: FsManager
) -> None:
    """The cgroup that the init has left is there still, as one of the host's that is kept."""
    container = create(config, "sh", "-c", "sleep 200 & echo up; exec sleep 100").start()
    until(lambda: "up" in container.output, "both run")
    other.attach(container.pid)
    refused = container.command("pause")
    assert refused.status == 1
    assert "has left the container's cgroup" in refused.stderr
    assert container.state()["status"] == "running"
    assert not other.frozen()
