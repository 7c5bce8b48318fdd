# SPDX-License-Identifier: Apache-2.0
"""What of conformance/ runs with every test run: the OCI programs, and a smoke test per engine."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path

import pytest

from tests.conformance.support import check, fetches
from tests.support.runtime import TREE

# The major versions that the newest engines have at least.
NEWEST = {"containerd": 2, "podman": 5, "docker": 28}

pytestmark = [pytest.mark.root, fetches]


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


@pytest.mark.parametrize("engine", ["containerd", "podman", "docker"])
def test_the_newest_engine_runs_execs_kills_and_removes(
    program: Path, tmp_path: Path, engine: str
) -> None:
    newer = TREE / "build/newer"
    check("conformance/newer", newer)
    check("conformance/engines/packages", engine, TREE / "build", "newest")
    runner = (sys.executable, "-m", "conformance.engines.run", engine, "--smoke")
    path = f"PATH={newer}/bin:{os.environ['PATH']}"
    check("env", path, *runner, "--runtime", f"sut={program}", "--report", tmp_path)
    subject = json.loads((tmp_path / f"{engine}-smoke.json").read_text())["subject"]
    assert int(subject.split()[1].split(".")[0]) >= NEWEST[engine], subject


def test_an_engine_asks_systemd_for_cgroups(program: Path) -> None:
    """In a guest: this machine's own cgroups may be without systemd."""
    check("conformance/engines/packages", "containerd")
    runner = (sys.executable, "-m", "conformance.engines.run", "containerd", "--smoke")
    argv = shlex.join([*map(str, runner), "--runtime", f"sut={program}", "--report", "/tmp/report"])
    guest = (sys.executable, "-m", "tests.vm.guest", "--mode", "systemd")
    check(*guest, "--", f"cd {shlex.quote(str(TREE))} && {argv}")
