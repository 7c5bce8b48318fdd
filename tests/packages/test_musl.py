# SPDX-License-Identifier: Apache-2.0
"""The wheel for distributions with musl, under an interpreter that is linked with musl."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.bundle import BUSYBOX

TREE = Path(__file__).resolve().parents[2]
LIFE = TREE / "tests/packages/life.sh"
PYTHON = TREE / "build/packaging/musl-python"
# What pip would choose there; the interpreter has no zlib, so the host's pip unpacks.
PLATFORM = ("--platform", f"musllinux_1_2_{os.uname().machine}", "--only-binary", ":all:")
VERSION = ("--implementation", "cp", "--python-version", "3.11", "--abi", "cp311", "--abi", "abi3")
pytestmark = pytest.mark.heavy


def run(*words: str | Path, **environment: str) -> str:
    done = subprocess.run(
        words, capture_output=True, text=True, env={"PATH": os.environ["PATH"], **environment}
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_it_needs_the_c_library_of_musl_and_no_other(musl_wheel: Path, tmp_path: Path) -> None:
    """A wheel may carry the tag and still be linked with the glibc of who built it."""
    with zipfile.ZipFile(musl_wheel) as content:
        path = content.extract("pyrunc/_native.abi3.so", tmp_path)
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", run("readelf", "-dW", path))
    assert needed == ["libc.so"]


@pytest.fixture(scope="module")
def program(musl_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of the wheel and of the wheels of its libraries, run by that interpreter."""
    if not (PYTHON / "bin/python3").exists():
        run(sys.executable, "-m", "tests.packages.musl_python", PYTHON, PYTHONPATH=str(TREE))
    site = tmp_path_factory.mktemp("site")
    pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    words = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", site)
    requirements = ("--requirement", TREE / "requirements.txt", musl_wheel)
    run(*words, *PLATFORM, *VERSION, *requirements, **pip)
    program = site / "pyrunc-of-the-wheel"
    start = f'exec {PYTHON}/bin/python3 -m pyrunc "$@"'
    program.write_text(f"#!/bin/sh\nPYTHONPATH={site} PYTHONDONTWRITEBYTECODE=1 {start}\n")
    program.chmod(0o755)
    return program


@pytest.mark.root
def test_a_container_lives_under_it(program: Path) -> None:
    """`check` among it, whose schema library has a part in Rust."""
    lines = run("sh", LIFE, program, BUSYBOX).splitlines()
    assert lines[0].startswith("process 1 of ")
    assert lines[1].startswith("joined process ")
    assert lines[-1] == "0 error(s), 0 warning(s)"
