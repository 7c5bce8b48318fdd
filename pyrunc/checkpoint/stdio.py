# SPDX-License-Identifier: Apache-2.0
"""The standard descriptors of a container that lead out of it: CRIU must not save their files."""

from __future__ import annotations

import os
import stat

from pyrunc.host import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection


def names(pid: int, *, inside: Collection[int]) -> list[str]:
    """Return what the descriptors 0 to 2 of a process are.

    A file on none of the mounts `inside` is ``file[mount id:inode]``, which is its name for
    CRIU.
    """
    targets = []
    for fd in range(3):
        try:
            targets.append(_name(f"/proc/{pid}/fd/{fd}", inside))
        except FileNotFoundError:  # closed
            targets.append("")
    return targets


def _name(path: str, inside: Collection[int]) -> str:
    link = os.readlink(path)
    facts = os.stat(path)
    if not stat.S_ISREG(facts.st_mode) and not stat.S_ISCHR(facts.st_mode):
        return link
    mount = syscalls.mount_id(syscalls.AT_FDCWD, path, 0)
    if mount in inside or _is_terminal(facts):
        return link
    return f"file[{mount:x}:{facts.st_ino:x}]"


def _is_terminal(facts: os.stat_result) -> bool:
    """Major numbers of terminals: tty, console and tty devices, pty slaves."""
    major = os.major(facts.st_rdev)
    return stat.S_ISCHR(facts.st_mode) and (major in (4, 5) or 136 <= major <= 143)


def is_file(fd: int) -> bool:
    try:
        return stat.S_ISREG(os.fstat(fd).st_mode)
    except OSError:  # closed
        return False


def external(found: list[str]) -> list[str]:
    """Return the names that CRIU has to be told when it saves."""
    files = [name for name in found if name.startswith("file[")]
    sockets = [name.replace("socket:[", "unix[") for name in found if name.startswith("socket:[")]
    return list(dict.fromkeys(files + sockets))
