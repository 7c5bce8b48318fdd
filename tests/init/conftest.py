# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests of the init: a small rootfs to spoil."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.init.harness import BUSYBOX, PROGRAM

APPLETS = ("sh", "cat", "ls", "id", "env", "stat", "mount", "readlink", "echo", "true", "sleep")


@pytest.fixture(autouse=True)
def built() -> None:
    if not PROGRAM.exists():
        pytest.fail(f"{PROGRAM} is missing: run `make`")


@pytest.fixture
def rootfs(clean_machine: None, tmp_path: Path) -> Path:
    """A rootfs with busybox that the test may change; a canary lies beside it."""
    if not BUSYBOX.exists():
        pytest.skip("the Debian package busybox-static is missing")
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(0o711)
    root = tmp_path / "rootfs"
    for name in ("bin", "dev", "etc", "proc", "sys", "tmp"):
        (root / name).mkdir(parents=True)
    shutil.copy(BUSYBOX, root / "bin" / "busybox")
    for name in APPLETS:
        os.symlink("busybox", root / "bin" / name)
    (tmp_path / "canary").mkdir()
    (tmp_path / "canary" / "file").write_text("untouched")
    return root


@pytest.fixture
def canary(rootfs: Path) -> Path:
    return rootfs.parent / "canary"
