# SPDX-License-Identifier: Apache-2.0
"""The program as a process: started with hostile surroundings, by the hundred, or interrupted."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.runtime import TREE, Result

TIMEOUT_S = 120
BUILT = TREE / "build/launcher"


@pytest.fixture
def start(program: Path, tmp_path: Path) -> Callable[..., Result]:
    """start(*argv): run the program with a state directory of its own and an empty environment."""

    def start(
        *argv: str | bytes,
        env: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        **more: Any,
    ) -> Result:
        command = [*prefix, str(program), "--root", str(tmp_path / "state"), *argv]
        done = subprocess.run(
            command,
            check=False,
            env=dict(env or {}),
            capture_output=True,
            stdin=more.pop("stdin", subprocess.DEVNULL),
            timeout=TIMEOUT_S,
            **more,
        )
        text = (stream.decode(errors="surrogateescape") for stream in (done.stdout, done.stderr))
        return Result(tuple(map(os.fsdecode, command)), done.returncode, *text)

    return start


@pytest.fixture
def launcher(program: Path) -> Path:
    """The undumped program, for tests that only concern it."""
    said = subprocess.run([program, "--version"], check=True, capture_output=True, text=True)
    if "launcher: undumped" not in said.stdout:
        pytest.skip("the program under test is not the undumped launcher (--front launcher)")
    return program


@pytest.fixture
def built() -> Path:
    """The directory with the intermediate files of the launcher's build."""
    if not (BUILT / "undumped").exists():
        pytest.skip("the launcher was not built here: run `make`")
    return BUILT
