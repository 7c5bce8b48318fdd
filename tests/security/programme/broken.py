# SPDX-License-Identifier: Apache-2.0
"""pyrunc with one property taken away, for a suite to find: what finds nothing proves nothing.

Usage: broken.py KIND ARGUMENT...
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

TREE = Path(__file__).resolve().parents[3]
PYTHON = f"python{sys.version_info[0]}.{sys.version_info[1]}"
sys.path[:0] = [str(TREE), str(TREE / f".venv/lib/{PYTHON}/site-packages")]

from pyrunc.__main__ import main  # noqa: E402
from pyrunc.cgroups import doctor  # noqa: E402
from pyrunc.cgroups.fs import FsManager  # noqa: E402
from pyrunc.lifecycle.create import Create  # noqa: E402


def _nothing(*_: Any, **__: Any) -> None:
    """Do nothing."""


def without_undo() -> None:
    """A create that fails takes nothing back."""
    setattr(Create, "undo", _nothing)  # noqa: B010


def without_cgroups() -> None:
    """Whoever deletes a container leaves its cgroups, and who looks for their marks finds none."""
    setattr(FsManager, "destroy", _nothing)  # noqa: B010
    setattr(doctor, "end_marked", lambda *_, **__: 0)  # noqa: B010


BREAKS: dict[str, Callable[[], None]] = {"undo": without_undo, "cgroups": without_cgroups}


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
