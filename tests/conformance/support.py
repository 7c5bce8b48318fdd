# SPDX-License-Identifier: Apache-2.0
"""Commands of conformance/ that must succeed, some of which fetch what they need."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.runtime import TREE

fetches = pytest.mark.skipif(
    bool(os.environ.get("IN_GUEST")), reason="guests have no network to fetch"
)


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
