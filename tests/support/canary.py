# SPDX-License-Identifier: Apache-2.0
"""A tree outside every root file system that no container may read, change or add to."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

SECRET = "canary-content"


@dataclass(frozen=True)
class Canary:
    """The tree and what it looked like."""

    top: Path
    before: dict[str, tuple[int | str, ...]]

    @property
    def file(self) -> Path:
        return self.top / "file"

    @property
    def directory(self) -> Path:
        return self.top / "directory"

    def changes(self) -> list[str]:
        """Names that have come, gone or changed in content, owner, mode or inode time."""
        after = look(self.top)
        names = sorted(after.keys() | self.before.keys())
        return [name for name in names if after.get(name) != self.before.get(name)]


def look(top: Path) -> dict[str, tuple[int | str, ...]]:
    found: dict[str, tuple[int | str, ...]] = {}
    for directory, names, files in os.walk(top):
        for name in [*names, *files, "."]:
            path = os.path.join(directory, name)
            facts = os.lstat(path)
            content = Path(path).read_text() if name in files and not os.path.islink(path) else ""
            found[os.path.relpath(path, top)] = (
                facts.st_mode,
                facts.st_uid,
                facts.st_gid,
                facts.st_ino,
                facts.st_ctime_ns,
                content,
            )
    return found


def plant(top: Path) -> Canary:
    """Make the tree with the names that a set-up by path would touch."""
    (top / "directory").mkdir(parents=True)
    (top / "file").write_text(SECRET)
    for name in (
        "null",
        "zero",
        "full",
        "random",
        "urandom",
        "tty",
        "ptmx",
        "console",
        "fd",
        "core",
    ):
        (top / "directory" / name).write_text(SECRET)
    for name in ("pts", "shm", "mqueue", "self", "sys"):
        (top / "directory" / name).mkdir()
    return Canary(top, look(top))
