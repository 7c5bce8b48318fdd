# SPDX-License-Identifier: Apache-2.0
"""Containers that an older version has made: states/VERSION.json has the properties of its state.

A release adds the shape of its state here. What a command of today needs beyond it must have a
default, or containers that run during an upgrade could not be ended.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.bundle import Config
from tests.support.runtime import Container, Runtime
from tests.support.types import Create
from tests.support.wait import until

pytestmark = pytest.mark.root
SAVED = sorted((Path(__file__).parent / "states").glob("*.json"))


def aged(current: Any, saved: Any) -> Any:
    """Keep of a value what the saved one has; empty lists and objects keep their content."""
    if isinstance(saved, dict) and saved:
        assert set(saved) <= set(current), "a property was renamed or removed"
        return {name: aged(current[name], inner) for name, inner in saved.items()}
    if isinstance(saved, list) and saved:
        return [aged(item, saved[0]) for item in current]
    assert current is None or type(current) is type(saved)
    return current


def made_by(container: Container, saved: Path) -> Container:
    """Let the container look as if an older version had made it."""
    path = container.runtime.root / container.id / "state.json"
    state = aged(json.loads(path.read_text()), json.loads(saved.read_text()))
    path.write_text(json.dumps(state))
    return container


@pytest.mark.parametrize("saved", SAVED, ids=lambda path: path.stem)
def test_a_container_of_an_older_version_lives_on(
    pyrunc: Runtime, create: Create, config: Config, saved: Path
) -> None:
    config.linux["resources"] = {"pids": {"limit": 50}, "memory": {"limit": 64 << 20}}
    script = "trap 'echo got; exit' TERM; echo up; while :; do sleep 0.1; done"
    container = made_by(create(config, "sh", "-c", script), saved)
    assert container.state()["status"] == "created"
    container.start()
    until(lambda: "up" in container.output, "the trap is set")
    assert [row["id"] for row in json.loads(pyrunc("list", "--format", "json").stdout)] == [
        container.id
    ]
    assert pyrunc("exec", container.id, "echo", "inside").ok().stdout == "inside\n"
    assert str(container.pid) in pyrunc("ps", container.id).ok().stdout
    container.command("pause").ok()
    assert container.state()["status"] == "paused"
    container.command("resume").ok()
    pyrunc("update", "--pids-limit", "40", container.id).ok()
    made_by(container, saved)
    container.command("kill", "TERM").ok()
    container.wait("stopped")
    assert "got" in container.output
    container.delete(force=False).ok()


@pytest.mark.parametrize("saved", SAVED, ids=lambda path: path.stem)
def test_a_container_of_an_older_version_is_deleted_by_force(
    pyrunc: Runtime, create: Create, config: Config, saved: Path
) -> None:
    container = made_by(create(config, "sleep", "100").start(), saved)
    container.delete().ok()
    assert pyrunc("list", "-q").ok().stdout == ""


def test_every_property_of_today_is_saved_for_the_next_version(
    pyrunc: Runtime, create: Create, config: Config
) -> None:
    """The newest saved shape is that of this tree: the next release is tested against it."""
    container = create(config, "true")
    state = json.loads((pyrunc.root / container.id / "state.json").read_text())
    newest = json.loads(SAVED[-1].read_text())
    assert set(state) == set(newest)
    assert set(state["cgroup"]) == set(newest["cgroup"])
