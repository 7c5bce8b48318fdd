# SPDX-License-Identifier: Apache-2.0
"""pyrunc with one property taken away, for a suite to find: what finds nothing proves nothing.

Usage: broken.py KIND ARGUMENT...
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TREE = Path(__file__).resolve().parents[3]
PYTHON = f"python{sys.version_info[0]}.{sys.version_info[1]}"
sys.path[:0] = [str(TREE), str(TREE / f".venv/lib/{PYTHON}/site-packages")]

from pyrunc.__main__ import main  # noqa: E402
from pyrunc.lifecycle import delete  # noqa: E402
from pyrunc.lifecycle.create import Create  # noqa: E402
from pyrunc.lifecycle.state import StateDirectory  # noqa: E402


def _nothing(*_: Any, **__: Any) -> None:
    """Do nothing."""


def without_undo() -> None:
    """A create that fails takes nothing back."""
    setattr(Create, "undo", _nothing)  # noqa: B010


def without_locks() -> None:
    """Every command has the container for itself, or so it thinks, and thinks for a while."""
    setattr(StateDirectory, "_flock", lambda *_: True)  # noqa: B010
    setattr(StateDirectory, "is_current", lambda *_: True)  # noqa: B010
    removes = StateDirectory.remove

    def remove_late(directory: StateDirectory) -> None:
        time.sleep(0.02)
        removes(directory)

    setattr(StateDirectory, "remove", remove_late)  # noqa: B010
    # The second barrier: processes of a lost state are found by the marks of their cgroups.
    setattr(delete, "_end_lost", _nothing)  # noqa: B010


BREAKS: dict[str, Callable[[], None]] = {"undo": without_undo, "locks": without_locks}


def front_end(directory: Path, kind: str) -> Path:
    """Write a program that is pyrunc without a property."""
    program = directory / "pyrunc"
    argv = f"{sys.executable} -ISB -Xutf8 {Path(__file__).resolve()} {kind}"
    program.write_text(f'#!/bin/sh\nexec {argv} "$@"\n')
    program.chmod(0o755)
    return program


if __name__ == "__main__":
    BREAKS[sys.argv[1]]()
    del sys.argv[1]
    main()
