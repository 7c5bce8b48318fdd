# SPDX-License-Identifier: Apache-2.0
"""The mount options of cgroup2, which belong to the host and not to a mount.

CRIU mounts cgroup2 anew and asks for no options; in the initial cgroup namespace the kernel takes
those of the newest mount for all (cgroup-v2.rst, Mounting). Without `nsdelegate` a cgroup namespace
is no boundary: a container that may write to its cgroups could raise its own limits.
"""

from __future__ import annotations

import os

from pyrunc.host import mountinfo, syscalls
from pyrunc.log import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

NOT_OURS = frozenset(("rw", "ro", "seclabel"))  # shown for every file system


class KeptOptions:
    """Has the options of cgroup2 afterwards that it has before."""

    __slots__ = ("_options", "_point")

    def __enter__(self) -> Self:
        self._point, self._options = find()
        return self

    def __exit__(self, *_: object) -> None:
        if not self._options - find()[1]:
            return
        try:
            set_options(self._point, self._options)
        except OSError as error:
            options = ",".join(sorted(self._options))
            log.warning(
                "criu has changed the mount options of cgroup2 for the whole host, and they cannot "
                f"be set again ({error.strerror}): mount -o remount,{options} {self._point}"
            )


def find() -> tuple[str, frozenset[str]]:
    """Where cgroup2 is mounted, and its options; ("", nothing) when it is not mounted."""
    for entry in mountinfo.read():
        if entry.type == "cgroup2":
            return entry.point, frozenset(entry.options) - NOT_OURS
    return "", frozenset()


def set_options(point: str, options: frozenset[str]) -> None:
    """Have exactly these options. OSError where that is not allowed."""
    fd = syscalls.fspick(point)
    try:
        for option in sorted(options):
            syscalls.fsconfig(fd, syscalls.FSCONFIG_SET_FLAG, option)
        syscalls.fsconfig(fd, syscalls.FSCONFIG_CMD_RECONFIGURE)
    finally:
        os.close(fd)
