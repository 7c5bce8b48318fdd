# SPDX-License-Identifier: Apache-2.0
"""Signals before start, and containers that outlive their first process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.bundle import Config
from tests.support.runtime import Container
from tests.support.types import Create
from tests.support.wait import until


@pytest.fixture
def dead(create: Create, config: Config) -> Iterator[Container]:
    """A container whose init has ended, while another process lives in its cgroup."""
    config.without_namespace("pid")
    container = create(config, "sh", "-c", "sleep 600 & exit 0").start()
    container.wait("stopped")
    yield container
    container.command("delete", "--force")


def listed(container: Container) -> list[int]:
    found: list[int] = json.loads(
        container.runtime("ps", "--format", "json", container.id).ok().stdout
    )
    return found


def test_ps_lists_what_has_outlived_the_init(dead: Container) -> None:
    """containerd takes an empty list for a leaked shim when it restarts, and ends it."""
    (pid,) = listed(dead)
    assert "sleep" in Path(f"/proc/{pid}/cmdline").read_text()
    assert "sleep" in dead.command("ps").ok().stdout


def test_kill_of_what_has_outlived_the_init_succeeds(dead: Container) -> None:
    assert dead.command("kill", "TERM").status == 1
    assert len(listed(dead)) == 1
    dead.command("kill", "KILL").ok()
    until(lambda: not listed(dead), "the leftovers are dead")
    result = dead.command("kill", "KILL")
    assert result.status == 1
    assert "container not running" in result.error


def test_kill_all_of_a_dead_container_succeeds(dead: Container) -> None:
    for _again in range(2):
        dead.runtime("kill", "--all", dead.id, "9").ok()
    until(lambda: not listed(dead), "the leftovers are dead")


def test_ps_of_a_container_that_has_ended_is_empty(create: Create, config: Config) -> None:
    container = create(config, "true").start()
    container.wait("stopped")
    assert listed(container) == []


def test_ps_of_another_boot_is_empty(dead: Container) -> None:
    """The cgroup of that name may be somebody else's by now."""
    path = dead.runtime.root / dead.id / "state.json"
    state = json.loads(path.read_text())
    path.write_text(json.dumps({**state, "boot": "another"}))
    assert listed(dead) == []
    path.write_text(json.dumps(state))


@pytest.mark.parametrize("name", ["TERM", "INT", "HUP", "QUIT", "KILL"])
def test_a_signal_that_asks_for_the_end_ends_a_created_container(
    create: Create, config: Config, name: str
) -> None:
    """The kernel drops it for a first process without a handler; an engine would wait in vain."""
    container = create(config, "sleep", "600")
    container.command("kill", name).ok()
    container.wait("stopped")
    assert "has stopped" in container.command("start").error


@pytest.mark.parametrize("name", ["USR1", "WINCH", "CONT"])
def test_another_signal_leaves_a_created_container_alone(
    create: Create, config: Config, name: str
) -> None:
    container = create(config, "sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.1; done")
    container.command("kill", name).ok()
    container.start()
    assert container.state()["status"] == "running"
