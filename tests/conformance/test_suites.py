# SPDX-License-Identifier: Apache-2.0
"""What of conformance/ runs with every test run: the OCI programs, and a smoke test per engine."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.runtime import TREE

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(bool(os.environ.get("IN_GUEST")), reason="guests have no network to fetch"),
]


def check(*argv: str | Path) -> None:
    """Run a command in the checkout; fail with what it printed."""
    done = subprocess.run(
        [str(word) for word in argv],
        cwd=TREE,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        pytest.fail(f"status {done.returncode}\n{done.stdout[-20000:]}", pytrace=False)


def test_the_oci_validation_programs_pass_or_are_explained(program: Path, tmp_path: Path) -> None:
    tree = TREE / "build/oci"
    check("conformance/oci/build.sh", tree)
    programs = tree / "go/src/github.com/opencontainers/runtime-tools"
    runner = (sys.executable, "-m", "conformance.oci.run", "--tree", programs)
    check(*runner, "--runtime", f"sut={program}", "--report", tmp_path)


@pytest.mark.parametrize("engine", ["containerd", "podman", "docker"])
def test_an_engine_runs_execs_kills_and_removes(program: Path, tmp_path: Path, engine: str) -> None:
    check("conformance/engines/packages", engine)
    runner = (sys.executable, "-m", "conformance.engines.run", engine, "--smoke")
    check(*runner, "--runtime", f"sut={program}", "--report", tmp_path)


def test_an_engine_asks_systemd_for_cgroups(program: Path) -> None:
    """In a guest: this machine's own cgroups may be without systemd."""
    check("conformance/engines/packages", "containerd")
    runner = (sys.executable, "-m", "conformance.engines.run", "containerd", "--smoke")
    argv = shlex.join([*map(str, runner), "--runtime", f"sut={program}", "--report", "/tmp/report"])
    guest = (sys.executable, "-m", "tests.vm.guest", "--mode", "systemd")
    check(*guest, "--", f"cd {shlex.quote(str(TREE))} && {argv}")
