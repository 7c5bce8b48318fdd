# SPDX-License-Identifier: Apache-2.0
"""One container's cgroup in one hierarchy: its path, whether it existed before, its descriptor."""

from __future__ import annotations

import errno
import posix

from pyrunc.cgroups import names, tree
from pyrunc.cgroups.base import Owner
from pyrunc.cgroups.layout import Hierarchy
from pyrunc.cgroups.resources.writes import Write
from pyrunc.errors import Failure, HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

UNLIMITED = 2**63 - 2**16  # as v1 shows it, whatever the size of a page
GONE = (errno.ENOENT, errno.ENODEV)
NOT_THERE = (errno.ENOENT, errno.EOPNOTSUPP)
# Who made a cgroup, for `doctor`: kernfs keeps extended attributes. A container cannot write the
# first; the second is for callers who may not either, and only cgroup2 has it.
MARKS = ("trusted.pyrunc", "user.pyrunc")
DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)


class Cgroup(Owner):
    """`kept` leading components existed before the container: they are never removed."""

    __slots__ = ("claimed", "controllers", "hierarchy", "kept", "marked", "notes", "parts")

    def __init__(
        self, hierarchy: Hierarchy, *, parts: tuple[str, ...], kept: int, claimed: bool = False
    ) -> None:
        self.hierarchy = hierarchy
        self.parts = parts
        self.kept = kept
        self.claimed = claimed  # a cgroup that existed, was found empty, and is ours now
        self.controllers: frozenset[str] | None = None  # of a cgroup2: what is enabled, once known
        self.notes: list[str] = []  # what the kernel lacks and nobody needs
        self.marked = False  # the mark that was read is this container's
        self.fd = -1

    @classmethod
    def placed(cls, hierarchy: Hierarchy, parts: tuple[str, ...]) -> Cgroup:
        """Make a new member; find out which part of the path exists, from the leaf upwards."""
        top = tree.open_hierarchy(hierarchy)
        kept = len(parts)
        while kept and not posix.access("/".join(parts[:kept]), posix.F_OK, dir_fd=top):
            kept -= 1
        return cls(hierarchy, parts=parts, kept=kept)

    def present(self) -> bool:
        return posix.access("/".join(self.parts), posix.F_OK, dir_fd=self.open_top())

    def writable(self) -> bool:
        """Whether the caller may make what is missing of the path."""
        start = "/".join(self.parts[: min(self.kept, len(self.parts) - 1)]) or "."
        return posix.access(
            start, posix.W_OK | posix.X_OK, dir_fd=self.open_top(), effective_ids=True
        )

    @classmethod
    def from_record(
        cls, record: Mapping[str, Any], *, known: dict[str, tuple[str, ...]] | None = None
    ) -> Cgroup:
        """Make a member from a record; the state file is untrusted, so the path is checked again.

        `known` keeps what has passed: a container's path is the same in most hierarchies.
        """
        hierarchy = Hierarchy(
            name=str(record["name"]),
            controllers=tuple(map(str, record["controllers"])),
            version=int(record["version"]),
            mount=str(record["mount"]),
            device=int(record["device"]),
        )
        path = str(record["path"])
        parts = known.get(path) if known is not None else None
        if parts is None:
            parts = names.components(path, pointer="")
            if known is not None:
                known[path] = parts
        if not parts or not hierarchy.mount.startswith("/"):
            raise Failure("the saved state names no cgroup")
        return cls(
            hierarchy, parts=parts, kept=int(record["kept"]), claimed=bool(record["claimed"])
        )

    def record(self) -> dict[str, object]:
        return {
            "name": self.hierarchy.name,
            "controllers": list(self.hierarchy.controllers),
            "version": self.hierarchy.version,
            "mount": self.hierarchy.mount,
            "device": self.hierarchy.device,
            "path": "/".join(self.parts),
            "kept": self.kept,
            "claimed": self.claimed,
        }

    @property
    def path(self) -> str:
        """For messages and `explain`; never opened to write."""
        return f"{self.hierarchy.mount}/{'/'.join(self.parts)}"

    @property
    def ours(self) -> bool:
        """Whether the container may kill in it and remove it (CG-8)."""
        return self.claimed or self.kept < len(self.parts)

    def open_top(self) -> int:
        return tree.open_hierarchy(self.hierarchy)

    def open(self) -> int:
        """Open the cgroup; OSError when it is gone."""
        if self.fd < 0:
            # One open and one fstat: st_dev ties the leaf to the superblock that was verified at
            # create.
            self.fd = tree.open_verified(self.path, device=self.hierarchy.device)
        return self.fd

    def release(self) -> list[int]:
        owners = [owner for owner in (self, self.hierarchy) if owner.fd >= 0]
        released = [owner.fd for owner in owners]
        for owner in owners:
            owner.fd = -1
        return released

    def close(self) -> None:
        for fd in self.release():
            posix.close(fd)

    def close_fd(self) -> None:
        if self.fd >= 0:
            posix.close(self.fd)
            self.fd = -1

    def make(self) -> bool:
        """mkdir with parents. True when it is new."""
        top = self.open_top()
        try:
            self.fd, present = tree.make_path(top, self.parts, device=self.hierarchy.device)
        except OSError as error:
            raise HostError(
                f"cannot create the cgroup {self.path}",
                errno=error.errno or 0,
                hint=self._why(error),
            ) from error
        # What we saw when we looked may be gone since, or have been made by somebody else.
        new = present < len(self.parts)
        self.kept = min(self.kept, present) if new else present
        return new

    def look_again(self) -> None:
        """See whether the cgroup that was there is there still."""
        if self.kept == len(self.parts) and not self.present():
            self.kept -= 1

    def is_of_another(self, owner: str) -> bool:
        """Whether a mark says that the cgroup was made for another container than `owner`'s."""
        self.marked = False
        if not owner or self.claimed:
            return False
        for name in MARKS:
            try:
                marked = posix.getxattr(self.path, name, follow_symlinks=False)
            except (OSError, AttributeError):  # none, or gone; CPython 3.11 has no call with musl
                continue
            self.marked = marked == owner.encode("utf-8", "surrogateescape")
            return not self.marked
        return False

    def mark(self, owner: str) -> None:
        """Write down whose cgroup it is. Without it path and device say that, so it may fail."""
        if self.kept == len(self.parts):
            return  # somebody else has made it
        for name in MARKS:
            try:
                posix.setxattr(self.open(), name, owner.encode("utf-8", "surrogateescape"))
            except (OSError, AttributeError):
                continue
            return

    def _why(self, error: OSError) -> str:
        if error.errno == errno.EAGAIN:
            return "a parent cgroup's cgroup.max.descendants or cgroup.max.depth is reached"
        if error.errno == errno.ENOSPC:
            return "a parent cgroup's limits are exhausted, or its cpuset is empty"
        return ""

    def _removed_by_mark(self) -> bool:
        """Whether rmdir has removed the one cgroup that was made.

        Its mark, which was read just now, says what the superblock of an opened parent would: that
        the path leads to the cgroup of this container.
        """
        if not self.marked or self.kept != len(self.parts) - 1:
            return False
        self.marked = False
        try:
            posix.rmdir(self.path)
        except OSError:  # busy, mostly; why, is found out with descriptors
            return False
        return True

    def remove(self, deadline: float) -> bool:
        """Remove the cgroup and the parents made for it. False when it is busy at the deadline."""
        self.close_fd()
        if self._removed_by_mark():
            return True
        try:
            top = self.open_top()
        except HostError as error:
            if error.errno == errno.ENOENT:  # the hierarchy is not mounted any more
                return True
            raise
        try:
            done = tree.remove(top, self.parts, deadline=deadline)
        except Failure as failure:
            if failure.errno == errno.EROFS and self.claimed:
                return True  # it was there before, and stays
            raise
        if done and self.kept < len(self.parts) - 1:
            tree.remove_empty_parents(top, self.parts, existing=self.kept)
        return done

    def pids(self) -> list[int]:
        try:
            return tree.subtree_pids(self.open())
        except OSError as error:
            if error.errno in GONE:
                return []
            raise

    def read(self, name: str) -> str:
        return tree.read_text(self.open(), name)

    def put(self, name: str, value: str) -> None:
        tree.write_at(self.open(), name, value)

    def write(self, write: Write) -> None:
        """Apply one write with its fallback and its tolerated errnos; OSError when it fails."""
        try:
            self.put(write.file, write.value)
        except OSError as error:
            if error.errno == errno.ENOENT and write.otherwise is not None:
                self.write(write.otherwise)
            elif write.advisory and error.errno in NOT_THERE:
                self.note(write)
            elif error.errno not in write.tolerate:
                raise
        else:
            if write.advisory and int(self.read(write.file)) >= UNLIMITED:
                self.note(write)

    def note(self, write: Write) -> None:
        """Keep that an advisory write has no effect here."""
        self.notes.append(f"{write.pointer}: ignored: this kernel has no {write.file}")

    def apply(self, writes: Iterable[Write]) -> None:
        """Do the writes in order.

        Of a group, those that fail with EINVAL are tried again at its end.
        """
        waiting: list[Write] = []
        for write in writes:
            if waiting and waiting[0].group != write.group:
                self._settle(waiting)
            try:
                self.write(write)
            except OSError as error:
                if not write.group or error.errno not in (errno.EINVAL, errno.EBUSY):
                    raise self.refused(write, error) from error
                waiting.append(write)
        self._settle(waiting)

    def apply_in_row(self, writes: Iterable[Write]) -> None:
        """Do writes without a fallback; a file with several values in a row is opened once."""
        name, fd = "", -1
        try:
            for write in writes:
                try:
                    if write.file != name:
                        if fd >= 0:
                            posix.close(fd)
                            fd = -1
                        fd = posix.open(write.file, tree.WRITE, dir_fd=self.open())
                        name = write.file
                    posix.write(fd, write.value.encode())
                except OSError as error:
                    raise self.refused(write, error) from error
        finally:
            if fd >= 0:
                posix.close(fd)

    def _settle(self, waiting: list[Write]) -> None:
        for write in reversed(waiting):
            try:
                self.write(write)
            except OSError as error:
                raise self.refused(write, error) from error
        waiting.clear()

    def refused(self, write: Write, error: OSError) -> Failure:
        code = error.errno or 0
        if write.controller == "memory" and code == errno.EBUSY:
            return self._too_small(write)
        if code == errno.ENOENT:
            return Failure(
                f"cannot set {write.file}: this kernel has no such control"
                f" (controller {write.controller} not available in {self.path})",
                pointer=write.pointer,
                errno=code,
            )
        return Failure(
            f"cannot write {write.value!r} to {self.path}/{write.file}",
            pointer=write.pointer,
            errno=code,
            hint=HINTS.get((write.file, code), HINTS.get((write.controller, code), "")),
        )

    def _too_small(self, write: Write) -> Failure:
        try:
            now, peak = self.read("memory.usage_in_bytes"), self.read("memory.max_usage_in_bytes")
        except OSError:
            now = peak = "unknown"
        return Failure(
            f"unable to set memory limit to {write.value}"
            f" (current usage: {now}, peak usage: {peak})",
            pointer=write.pointer,
            errno=errno.EBUSY,
            hint="it is below what the container uses; the limit is in bytes, 64m are 67108864",
        )


HINTS = {
    ("cpuset", errno.ERANGE): "a processor or memory node of the list is not on this host",
    ("cpuset", errno.EACCES): "the parent cgroup does not have these processors or memory nodes",
    ("cpuset", errno.EINVAL): "a processor or memory node of the list is not on this host",
    ("cpuset.cpus", errno.ENOSPC): "the list is empty after removing what the parent lacks",
    ("cpu", errno.EINVAL): "the value is out of the kernel's range, or larger than the parent's",
    ("blkio", errno.ENODEV): "there is no such block device",
    ("io", errno.ENODEV): "there is no such block device",
    ("io", errno.EOPNOTSUPP): "the device's io scheduler does not take weights",
    ("rdma", errno.ENODEV): "there is no such RDMA device",
    (
        "devices",
        errno.EPERM,
    ): "the parent cgroup does not allow this device, or the caller lacks CAP_SYS_ADMIN",
}
