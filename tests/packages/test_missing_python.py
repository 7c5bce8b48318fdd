# SPDX-License-Identifier: Apache-2.0
"""What is said where network devices cannot be moved: no interpreter, no library, a broken one.

The launcher lies in a prefix of the test's, and in a mount namespace of its own there is nothing to
be executed in the place of /usr/bin/python3.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pyrunc.helpers.run import PYTHONS
from tests.support.bundle import Config
from tests.support.runtime import TREE, Result, Runtime

PYROUTE2 = "the Python library pyroute2 is not in"
Starts = Callable[..., Result]


@pytest.fixture
def prefix(workspace: Path) -> Path:
    """An installation without helpers, whose site-packages are empty."""
    top = workspace / "prefix"
    (top / "bin").mkdir(parents=True)
    shutil.copy2(TREE / "bin/pyrunc", top / "bin/pyrunc")
    (top / "libexec/pyrunc/site-packages").mkdir(parents=True)
    (top / "libexec/pyrunc/pyrunc").symlink_to(TREE / "pyrunc")
    return top


@pytest.fixture
def starts(prefix: Path, runtime: Runtime, config: Config) -> Starts:
    """Run a command of that installation for a container with a network device."""
    config.linux["netDevices"] = {"lo": {"name": "other"}}
    config.process["args"] = ["true"]
    config.write()
    program = Runtime(prefix / "bin/pyrunc", runtime.root)

    def start(*, verb: str = "run", without: Sequence[str] = ()) -> Result:
        hidden = [os.path.realpath(path) for path in without if os.path.exists(path)]
        hide = "".join(f"mount --bind {prefix}/nothing {path}; " for path in hidden)
        (prefix / "nothing").write_text("")
        words = {"run": ("--bundle", config.bundle, runtime.new_id()), "check": (config.bundle,)}
        shell = ("unshare", "-m", "sh", "-ec", f'{hide}exec "$@"', "sh")
        return program(verb, *words.get(verb, ()), prefix=shell)

    return start


@pytest.mark.parametrize("verb", ["run", "info"])
def test_a_missing_interpreter_is_named(starts: Starts, verb: str) -> None:
    result = starts(verb=verb, without=PYTHONS)
    text = result.stderr + result.stdout
    for python in PYTHONS:
        assert f"{python} is missing" in text
    assert PYROUTE2 not in text


@pytest.mark.parametrize("verb", ["run", "info"])
def test_a_missing_library_is_named(starts: Starts, prefix: Path, verb: str) -> None:
    """With one interpreter, that another place has none does not matter."""
    result = starts(verb=verb)
    text = result.stderr + result.stdout
    assert f"{PYROUTE2} {prefix}/libexec/pyrunc/site-packages" in text
    for python in PYTHONS:
        assert f"{python} is missing" not in text


def test_check_finds_it_beforehand(starts: Starts) -> None:
    assert PYROUTE2 in starts(verb="check").stdout
    text = starts(verb="check", without=PYTHONS).stdout
    assert f"{PYTHONS[0]} is missing" in text
    assert PYROUTE2 not in text


def test_a_library_of_another_python_says_what_python_says(starts: Starts, prefix: Path) -> None:
    """It is there, and cannot be imported."""
    (prefix / "libexec/pyrunc/site-packages/pyroute2").mkdir()
    result = starts()
    assert "cannot import name 'IPRoute' from 'pyroute2'" in result.error
    assert "libraries serve the Python they were installed for" in result.stderr
