# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the container tests: programs built for inside, and namespaces to join."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.runtime import Runtime
from tests.support.wait import until

PROGRAMS = Path(__file__).parent / "programs"


@pytest.fixture(autouse=True)
def _clean(clean_machine: None) -> None:
    """Every container test is checked for leftovers."""


@pytest.fixture
def pyrunc(runtime: Runtime) -> Runtime:
    """The runtime under test if it is pyrunc: for what the peers do otherwise or not at all."""
    if runtime.name != "pyrunc":
        pytest.skip("about pyrunc only")
    return runtime


@pytest.fixture(scope="session")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A static program that asks the kernel what no busybox applet can tell."""
    if not shutil.which("musl-gcc"):
        pytest.skip("the Debian package musl-tools is missing")
    target = tmp_path_factory.mktemp("programs") / "probe"
    source = PROGRAMS / "probe.c"
    subprocess.run(
        ["musl-gcc", "-static", "-O1", "-Wall", "-Werror", "-idirafter", "/usr/include",
         "-idirafter", "/usr/include/x86_64-linux-gnu", "-o", target, source],
        check=True,
    )  # fmt: skip
    return target


@pytest.fixture
def holder(workspace: Path) -> Iterator[Callable[..., int]]:
    """holder(*unshare options): the pid of a process that keeps namespaces to be joined."""
    started: list[subprocess.Popen[bytes]] = []

    def hold(*options: str) -> int:
        ready = workspace / f"ready{len(started)}"
        script = f'touch "{ready}"; exec sleep 600'
        argv = ["unshare", *options, "--", "sh", "-c", script]
        started.append(subprocess.Popen(argv, start_new_session=True))
        until(ready.exists, f"unshare {' '.join(options)}")
        return started[-1].pid

    yield hold
    for process in started:
        process.kill()
        process.wait()
