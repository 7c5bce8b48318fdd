# SPDX-License-Identifier: Apache-2.0
"""What every driver offers, and the small objects that it hands to the rest of the program."""

from __future__ import annotations

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cgroups.layout import Hierarchy


class Owner:
    """Owns the descriptor `fd` of a directory; -1 while it is not open.

    A command leaves its descriptors to the end of its process, which saves it a call each. A
    library has no such end: where `tidy` is set, the descriptor is closed with its owner.
    """

    __slots__ = ("fd",)
    tidy = False
    if TYPE_CHECKING:
        fd: int

    def __del__(self) -> None:
        if Owner.tidy and self.fd >= 0:
            posix.close(self.fd)


class Entry:
    """How the init enters the cgroups.

    kind "tasks": `fds` are `tasks` files opened for writing; the init writes "0" to each. That
    moves the calling thread and, unlike cgroup.procs or a foreign pid, takes no system-wide lock.
    kind "into": there are none of those.
    kind "attach": call Manager.attach(pid) while the task waits. kind "none": nothing to do.
    `into` >= 0, with any kind: a cgroup2 directory for clone3(CLONE_INTO_CGROUP).
    `leaf` >= 0: a cgroup.procs file that the init writes "0" to once it has unshared its cgroup
    namespace.
    """

    __slots__ = ("fds", "into", "kind", "leaf")

    def __init__(
        self, kind: str, *, fds: tuple[int, ...] = (), into: int = -1, leaf: int = -1
    ) -> None:
        self.kind = kind
        self.fds = fds
        self.into = into
        self.leaf = leaf

    def release(self) -> list[int]:
        """Give the descriptors away, to be closed."""
        released = [fd for fd in (*self.fds, self.into, self.leaf) if fd >= 0]
        self.fds, self.into, self.leaf = (), -1, -1
        return released

    def close(self) -> None:
        for fd in self.release():
            posix.close(fd)


class View:
    """Facts for mounts of type cgroup: version 1 or 2; hierarchies with the container's path.

    `enters`: the init enters by itself (`entry` has descriptors); else it is attached from outside.
    `leaf`: it moves on to a leaf when it has its cgroup namespace.
    """

    __slots__ = ("enters", "hierarchies", "leaf", "version")

    def __init__(
        self,
        version: int,
        hierarchies: tuple[tuple[Hierarchy, str], ...],
        *,
        enters: bool = True,
        leaf: bool = False,
    ) -> None:
        self.version = version
        self.hierarchies = hierarchies
        self.enters = enters
        self.leaf = leaf
