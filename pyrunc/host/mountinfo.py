# SPDX-License-Identifier: Apache-2.0
"""The parser of /proc/PID/mountinfo (proc_pid_mountinfo(5)).

A name may hold all that Python takes for the end of a line, but the kernel escapes the newline:
lines end at newlines only. Bytes that are no UTF-8 become lone surrogates, as in `os.fsdecode`.
"""

from __future__ import annotations

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

ESCAPES = (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\"))  # backslash: last


class Entry:
    """One mount.

    `device` is MAJOR:MINOR, `root` the path in the file system that is on top at `point`, `type`
    the kind of file system, `attributes` the options of the mount itself, such as ro and nosuid,
    `options` those of the super block. `id` and `parent` are mount ids,
    which the kernel gives to others when a mount is gone.
    """

    __slots__ = ("attributes", "device", "id", "options", "parent", "point", "root", "type")

    def __init__(self, line: str) -> None:
        fields = line.split(" ")
        end = fields.index("-", 6)  # optional fields are between; names before have no space
        self.id = int(fields[0])
        self.parent = int(fields[1])
        self.device = fields[2]
        self.root = unescape(fields[3])
        self.point = unescape(fields[4])
        self.attributes = tuple(fields[5].split(","))
        self.type = fields[end + 1]
        self.options = tuple(fields[-1].split(","))

    @property
    def device_number(self) -> int:
        """The device as stat's st_dev has it."""
        major, _, minor = self.device.partition(":")
        return posix.makedev(int(major), int(minor))


def parse(data: bytes, *, types: tuple[str, ...] = ()) -> Iterator[Entry]:
    """Iterate over the mounts in the order of the file, those of some types or all."""
    marks = tuple(f" - {name} ".encode() for name in types)
    for line in data.split(b"\n"):
        # Of hundreds of mounts few are of the types: do not split the others.
        if not line or (marks and not any(mark in line for mark in marks)):
            continue
        entry = Entry(line.decode("utf-8", "surrogateescape"))
        if not types or entry.type in types:  # a source may hold the mark, too
            yield entry


def read(pid: int | str = "self") -> list[Entry]:
    """Read the mounts that a process sees; OSError when it is gone."""
    with open(f"/proc/{pid}/mountinfo", "rb") as file:
        return list(parse(file.read()))


def unescape(text: str) -> str:
    """Undo the kernel's escapes: space, tab, newline and backslash as octal numbers."""
    if "\\" not in text:
        return text
    for code, letter in ESCAPES:
        text = text.replace(code, letter)
    return text
