# SPDX-License-Identifier: Apache-2.0
"""The front end `library` of the tests takes its verbs through the library, and says what it did.

`make test-library` runs the suites of life cycle, exec, limits and hooks through it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.bundle import Config
from tests.support.library_front import FLAGS
from tests.support.runtime import FRONTS, Runtime

pytestmark = pytest.mark.root


def test_every_verb_goes_through_the_library(
    workspace: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = workspace / "used"
    monkeypatch.setenv("PYRUNC_LIBRARY_USED", str(used))
    root = workspace / "state"
    root.mkdir(mode=0o700)
    front, launcher = (Runtime(FRONTS[name], root) for name in ("library", "launcher"))
    assert front.run(config, "sh", "-c", "echo $0; exit 3").status == 3
    container = front.create(config, "sleep", "60", flags=("--pid-file", workspace / "pid"))
    container.delete()
    container = front.create(config, "sleep", "60")
    mine, theirs = (one("state", container.id).stdout for one in (front, launcher))
    assert mine == theirs
    container.start()
    for verb in ("pause", "resume"):
        container.command(verb).ok()
    front("update", "--pids-limit", "7", container.id).ok()
    assert front("exec", "--env", "A=b", container.id, "sh", "-c", "exit 4").status == 4
    container.command("kill", "KILL").ok()
    container.wait()
    container.delete(force=False).ok()
    verbs = used.read_text().split()
    assert set(verbs) == set(FLAGS)
    assert verbs.count("create") == 1  # the library has no pid file
    assert list(root.iterdir()) == []
