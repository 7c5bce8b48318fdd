# SPDX-License-Identifier: Apache-2.0
"""State files whose JSON is sound and whose shape is not: a clear error, and --force removes."""

from __future__ import annotations

import copy
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.bundle import Config
from tests.support.runtime import Container, Runtime

VALUES: list[Any] = [None, 5, -1, 10**30, 1.5, True, "x", "a\0b", [], [[]], {}, {"x": {}}]
VERBS = [
    ("kill", "ID", "CONT"),
    ("exec", "ID", "true"),
    ("update", "--pids-limit", "100", "ID"),
    ("pause", "ID"),
    ("resume", "ID"),
    ("ps", "ID"),
    ("events", "--stats", "ID"),
    ("start", "ID"),
    ("delete", "ID"),
]
GROUPS, EACH = 4, 60


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value, the whole included."""
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*path, key))


def mutated(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy with another value at a place; Ellipsis: without what was there."""
    if not path:
        return None if new is ... else new
    result = copy.deepcopy(value)
    at = result
    for key in path[:-1]:
        at = at[key]
    if new is ...:
        del at[path[-1]]
    else:
        at[path[-1]] = new
    return result


def mutations(text: str, *, seed: int, count: int) -> list[str]:
    """Texts of a state with one fault each, the same ones for the same seed."""
    value = json.loads(text)
    chosen = random.Random(seed)
    every = [(path, new) for path in places(value) for new in (*VALUES, ...)]
    # What is deep in a list of twelve alike is one in twelve.
    weight = [1 / (1 + len(path)) ** 2 for path, _ in every]
    return [
        json.dumps(mutated(value, *one)) for one in chosen.choices(every, weights=weight, k=count)
    ]


def damage(file: Path, text: str) -> None:
    file.write_text(text)


@pytest.fixture
def hooked(config: Config) -> Config:
    """What gives the state more to be wrong in."""
    config.hook("poststart", "/bin/true", timeout=5)
    config.hook("poststop", "/bin/true", timeout=5)
    config.linux["resources"] = {"pids": {"limit": 50}, "memory": {"limit": 1 << 28}}
    return config


def alive(container: Container) -> bool:
    """Whether the container of the sound state can go on."""
    return container.command("state").status == 0 and container.state()["status"] != "stopped"


@pytest.mark.parametrize("seed", range(GROUPS))
def test_a_damaged_state_is_never_an_internal_error(
    runtime: Runtime, hooked: Config, seed: int
) -> None:
    """ST-5"""
    container = runtime.create(hooked, "sleep", "600")
    file = runtime.root / container.id / "state.json"
    good = file.read_text()
    for number, text in enumerate(mutations(good, seed=seed, count=EACH)):
        verb = VERBS[number % len(VERBS)]
        for argv in (("state", "ID"), ("list",), verb):
            damage(file, text)
            result = runtime(*(container.id if one == "ID" else one for one in argv), timeout_s=45)
            assert "internal error" not in result.stderr, (argv, text, result.stderr)
            if argv == ("list",):
                assert result.status == 0, (text, result.stderr)
            if not file.exists():
                break
        if file.exists():
            damage(file, good)
        if not file.exists() or not alive(container):
            container.delete().ok()
            container = runtime.create(hooked, "sleep", "600")
            file = runtime.root / container.id / "state.json"
            good = file.read_text()
    container.delete().ok()


@pytest.mark.parametrize("name", ["state.json", "intents"])
def test_force_always_removes(runtime: Runtime, hooked: Config, name: str) -> None:
    """ST-5: by the state or by the intents; the harness looks for the process and the cgroups."""
    for seed in range(30):
        container = runtime.create(hooked, "sleep", "600")
        if seed % 2:
            container.start()
        file = runtime.root / container.id / name
        lines = file.read_text().splitlines()
        number = seed % len(lines)
        [lines[number]] = mutations(lines[number], seed=seed, count=1)
        damage(file, "\n".join(lines))
        result = runtime("delete", "--force", container.id)
        assert result.status == 0, (lines[number], result.stderr)
        assert not (runtime.root / container.id).exists(), lines[number]


def test_a_pipe_in_place_of_the_report_does_not_hang_start(
    runtime: Runtime, config: Config
) -> None:
    container = runtime.create(config, "sleep", "600")
    report = runtime.root / container.id / "report.fifo"
    report.unlink()
    os.mkfifo(report)
    held = os.open(report, os.O_RDWR)
    try:
        result = runtime("start", container.id, timeout_s=50)
        assert result.status == 1
        assert "has not reported" in result.error
    finally:
        os.close(held)
        container.delete().ok()


def test_a_pipe_in_place_of_the_next_state_does_not_hang_update(
    runtime: Runtime, config: Config
) -> None:
    container = runtime.create(config, "sleep", "600")
    os.mkfifo(runtime.root / container.id / ".state.json")
    runtime("update", "--pids-limit", "77", container.id, timeout_s=20).ok()
    assert '"limit":77' in (runtime.root / container.id / "state.json").read_text()
    container.delete().ok()


def test_a_pipe_as_the_file_of_the_freezer_does_not_hang_state(
    runtime: Runtime, config: Config, workspace: Path
) -> None:
    container = runtime.create(config, "sleep", "600")
    file = runtime.root / container.id / "state.json"
    good = file.read_text()
    pipe = workspace / "pipe"
    os.mkfifo(pipe)
    file.write_text(json.dumps({**json.loads(good), "freezer": [2, str(pipe)]}))
    runtime("state", container.id, timeout_s=20)
    file.write_text(good)
    container.delete().ok()
