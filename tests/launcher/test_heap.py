# SPDX-License-Identifier: Apache-2.0
"""The allocator under the dumped heap."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.runtime import TREE

SOURCE = TREE / "csrc/launcher"


@pytest.fixture(scope="module")
def heap_test(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    target = tmp_path_factory.mktemp("heap") / "heap_test"
    sources = [Path(__file__).parent / "heap_test.c", SOURCE / "memory.c", SOURCE / "space.c"]
    flags = ["-static", "-O2", "-fno-builtin", "-Wall", "-Wextra", "-Werror", f"-I{SOURCE}"]
    subprocess.run([compiler, *flags, *sources, "-o", target], check=True)
    return target


def test_blocks_never_overlap_and_keep_their_content(heap_test: Path) -> None:
    done = subprocess.run([heap_test], check=False, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ok\n", "")
