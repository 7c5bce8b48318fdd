# SPDX-License-Identifier: Apache-2.0
"""Mounts of a container without a mount namespace: they are in the caller's, and have to go again.

What was there before is left alone (MT-13): its mount ids are in the intent.
"""

from __future__ import annotations

import os

from pyrunc.host import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

MNT_DETACH = 2
UMOUNT_NOFOLLOW = 8
NAMESPACE = "/proc/self/ns/mnt"


def intent(below: str) -> dict[str, Any]:
    """Return the record to write down before mounts are made below a directory."""
    return {
        "below": below,
        "namespace": os.readlink(NAMESPACE),
        "before": [number for number, _path in mounts(below)],
    }


def undo(record: Mapping[str, Any]) -> None:
    """Unmount what is there and was not before, the latest first."""
    if os.readlink(NAMESPACE) != record["namespace"]:
        return  # the mounts are in a namespace that we do not see; it may be gone
    before = set(record["before"])
    for number, path in reversed(list(mounts(str(record["below"])))):
        if number in before:
            continue
        try:
            syscalls.umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW)
        except FileNotFoundError:  # it hangs below one that has just gone
            continue


def mounts(below: str) -> Iterable[tuple[int, str]]:
    """(mount id, path) of the mounts on a directory and below it, in the order of their making."""
    for entry in read("self"):
        if entry.point == below or entry.point.startswith(f"{below}/"):
            yield entry.id, entry.point


class Entry:
    """One line of /proc/PID/mountinfo."""

    __slots__ = ("device", "id", "options", "parent", "point", "root", "type")

    def __init__(self, line: str) -> None:
        fields = line.split(" ")
        self.id = int(fields[0])
        self.parent = int(fields[1])
        self.device = fields[2]
        self.root = unescape(fields[3])
        self.point = unescape(fields[4])
        self.type = fields[fields.index("-") + 1]
        self.options = fields[-1]  # those of the super block


def read(pid: int | str) -> list[Entry]:
    """Read the mounts that a process sees; OSError when it is gone."""
    with open(f"/proc/{pid}/mountinfo", "rb") as file:
        return parse(file.read())


def parse(data: bytes) -> list[Entry]:
    """Parse a mountinfo file.

    A name may hold all that Python takes for the end of a line, but the kernel escapes the
    newline.
    """
    return [Entry(line) for line in data.decode("utf-8", "surrogateescape").split("\n") if line]


def unescape(text: str) -> str:
    """Undo the kernel's escapes: space, tab, newline and backslash as octal numbers."""
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, char)
    return text
