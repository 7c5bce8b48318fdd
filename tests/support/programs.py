# SPDX-License-Identifier: Apache-2.0
"""Static programs for containers whose image cannot run any other."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.runtime import TREE

PROGRAMS = TREE / "tests/container/programs"


def static_program(source: Path, target: Path, *flags: str) -> Path:
    """Compile a C program; skips without the compiler, and fails where it finds an error."""
    if not shutil.which("musl-gcc"):
        pytest.skip("the Debian package musl-tools is missing")
    subprocess.run(["musl-gcc", "-static", *flags, "-o", target, source], check=True)
    return target
