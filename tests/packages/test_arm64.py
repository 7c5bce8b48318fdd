# SPDX-License-Identifier: Apache-2.0
"""The init that is cross-built for arm64, under the emulator of programs."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from pyrunc.init.image import MAX_SIZE
from tests.init.harness import PROGRAM

EMULATOR = "qemu-aarch64-static"
pytestmark = pytest.mark.skipif("PYRUNC_INIT" not in os.environ, reason="`make test-arm64`")


def emulated(*words: str) -> subprocess.CompletedProcess[str]:
    if not shutil.which(EMULATOR):
        pytest.skip(f"{EMULATOR} is missing (apt-get install qemu-user-static)")
    command = [EMULATOR, *words[:2], str(PROGRAM), *words[2:]]
    return subprocess.run(command, capture_output=True, text=True)


def test_it_is_for_arm64_and_for_large_pages() -> None:
    said = subprocess.run(
        ["readelf", "-hlW", str(PROGRAM)], capture_output=True, text=True, check=True
    ).stdout
    assert "AArch64" in said
    loads = [line.split() for line in said.splitlines() if line.split()[:1] == ["LOAD"]]
    assert loads
    assert {line[-1] for line in loads} == {"0x10000"}
    assert PROGRAM.stat().st_size <= MAX_SIZE


def test_it_refuses_to_be_started_by_hand() -> None:
    done = emulated("-0", "pyrunc-init")
    assert done.returncode == 255
    assert "started by pyrunc only" in done.stderr


def test_it_refuses_descriptors_that_are_not_there() -> None:
    done = emulated("-0", "pyrunc-init:100")
    assert done.returncode not in (0, -11)
    assert "pyrunc-init" in done.stderr
