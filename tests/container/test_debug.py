# SPDX-License-Identifier: Apache-2.0
"""--debug tells each decision and each step of run and exec, with its time."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from tests.support.bundle import Config
from tests.support.runtime import Container, Runtime

Create = Callable[..., Container]


def told(log: Path) -> tuple[list[str], list[float]]:
    """The texts of the debug records and their times in milliseconds."""
    found = []
    for line in log.read_text().splitlines():
        record = json.loads(line)
        match = re.fullmatch(r" *([0-9]+\.[0-9]{2}) ms  (.*)", record["msg"])
        if match:
            assert record["level"] == "debug"
            found.append((float(match[1]), match[2]))
    return [text for _time, text in found], [time for time, _text in found]


def in_order(texts: list[str], *wanted: str) -> None:
    """Each of the wanted texts begins a record, in this order."""
    at = 0
    for text in wanted:
        at = next((n for n in range(at, len(texts)) if texts[n].startswith(text)), -1)
        assert at >= 0, (text, texts)


def test_run_tells_each_step_with_its_time(pyrunc: Runtime, config: Config) -> None:
    config.hook("createRuntime", "/bin/true")
    config.hook("poststart", "/bin/true")
    config.process["args"] = ["true"]
    config.write()
    log = config.bundle / "log"
    options = ("--debug", "--log", log, "--log-format", "json")
    result = pyrunc(*options, "run", "--bundle", config.bundle, pyrunc.new_id()).ok()
    assert result.stderr == ""
    texts, times = told(log)
    in_order(
        texts,
        "read config.json",
        "planned ",
        "claimed the id",
        "started the init",
        "made the cgroups",
        "answered the init: namespaces",
        "createRuntime hook #0 runs: /bin/true",
        "createRuntime hook #0 has ended",
        "saved the state",
        "let the init pass its gate",
        "the program runs",
        "poststart hook #0 runs",
    )
    assert times == sorted(times)
    assert 0 < times[-1] < 60_000
    assert "cgroup, ipc, mount, network, pid, uts" in texts[1]


def test_exec_tells_each_step_with_its_time(create: Create, config: Config) -> None:
    container = create(config, "sleep", "600").start()
    log = config.bundle / "log"
    options = ("--debug", "--log", log, "--log-format", "json")
    container.runtime(*options, "exec", container.id, "true").ok()
    texts, times = told(log)
    in_order(texts, "planned ", "started process", "answered the init: ready", "the program runs")
    assert str(container.pid) in texts[0]
    assert times == sorted(times)


def test_without_debug_nothing_is_told(pyrunc: Runtime, config: Config) -> None:
    config.process["args"] = ["true"]
    config.write()
    log = config.bundle / "log"
    pyrunc("--log", log, "run", "--bundle", config.bundle, pyrunc.new_id()).ok()
    assert log.read_text() == ""
