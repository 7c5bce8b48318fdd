# SPDX-License-Identifier: Apache-2.0
"""Where the init is when its first cgroup is gone: who has moved it, and removed that, is unknown.

A service manager of the host, an administrator or the init itself can do so. What such a cgroup
holds may be others' too, so it is looked at, and changed only while the container is alone in it.
"""

from __future__ import annotations

import errno
import posix

from pyrunc.cgroups import layout, names
from pyrunc.cgroups.member import GONE, Cgroup
from pyrunc.errors import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.cgroups.group import CgroupSet

MAX_DEPTH = 64  # of processes that have started one another


def of_process(members: Sequence[Cgroup], pid: int) -> list[Cgroup]:
    """Return the cgroups in which a process is; none when that cannot be told."""
    try:
        own = layout.parse_own(layout.read_whole(f"/proc/{pid}/cgroup"))
    except OSError:
        return []
    cgroups = []
    for member in members:
        path = own.get(member.hierarchy.name)
        if path is None:
            return []
        parts = names.components(path, pointer="")  # refuses what lies outside our own namespace
        cgroups.append(Cgroup(member.hierarchy, parts=parts, kept=len(parts)))
    return cgroups


def follow(manager: CgroupSet, pid: int, start_time: int) -> None:
    """Put the cgroups in which the init is now in the place of those that are gone.

    They existed before, for what the set knows: nothing in them is killed, and none is removed.
    """
    from pyrunc.host import process

    gone = [member for member in manager.members if is_gone(member)]
    if not gone:
        return
    now = of_process(gone, pid)
    # The pid is compared after the look: what was read is about the init, which lives still.
    if not now or not process.alive(pid, start_time):
        return
    for before, after in zip(gone, now, strict=True):
        manager.members[manager.members.index(before)] = after
    manager.moved_init = pid


def is_gone(member: Cgroup) -> bool:
    """Open a cgroup, and return whether it is not there any more."""
    try:
        member.open()
    except OSError as error:
        if error.errno not in GONE:
            raise
        return True
    return False


def processes(manager: CgroupSet) -> tuple[list[int], list[int]]:
    """Return the processes of the container in its cgroups, and those of others."""
    theirs: list[int] = []
    others: list[int] = []
    for pid in manager.listed():
        (theirs if belongs(pid, manager.moved_init) else others).append(pid)
    return theirs, others


def signal(manager: CgroupSet, number: int) -> None:
    """Signal the container's processes, and none of others that are in the same cgroups."""
    from pyrunc.host import syscalls

    for pid in processes(manager)[0]:
        try:
            pidfd = syscalls.pidfd_open(pid)
        except OSError as error:
            if error.errno not in (errno.ESRCH, errno.EINVAL):
                raise
            continue
        try:
            if belongs(pid, manager.moved_init):  # still, now that the number is held
                syscalls.pidfd_send_signal(pidfd, number)
        except ProcessLookupError:
            pass
        finally:
            posix.close(pidfd)


def belongs(pid: int, init: int) -> bool:
    """Whether a process is in the pid namespace of the init, or descends from what is.

    Where the init is in ours, only what descends from the init belongs to it.
    """
    space = _pid_namespace(init)
    own = space == _pid_namespace("self")
    for _ in range(MAX_DEPTH):
        if pid == init or (not own and space and _pid_namespace(pid) == space):
            return True
        pid = _parent(pid)
        if pid <= 1:
            break
    return False


def _pid_namespace(pid: int | str) -> tuple[int, int] | None:
    try:
        status = posix.stat(f"/proc/{pid}/ns/pid")
    except OSError:  # it has ended, or is another user's
        return None
    return status.st_dev, status.st_ino


def _parent(pid: int) -> int:
    from pyrunc.host import process

    try:
        stat = process.read_stat(pid)
    except OSError:
        return 0
    return stat.parent if stat is not None else 0


def refuse_shared(manager: CgroupSet, action: str) -> None:
    """Raise Failure where the cgroups that the init has moved to hold processes of others."""
    _, others = processes(manager)
    if others:
        where = manager.members[-1].path
        raise Failure(
            f"cannot {action}: the container's cgroup is gone, and its init is in {where} with"
            f" {len(others)} process(es) of others: {', '.join(map(str, others[:8]))}",
            hint="move the container's processes to a cgroup of their own",
        )
