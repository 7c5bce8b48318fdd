# SPDX-License-Identifier: Apache-2.0
"""SIGKILL to everything in the container's cgroups, and only there (CG-8, PD-1, PD-3)."""

from __future__ import annotations

import errno
import posix

from pyrunc.cgroups import freezer, tree
from pyrunc.cgroups.member import GONE, Cgroup
from pyrunc.errors import Failure

SIGKILL = 9
ROUNDS = 100


def kill(members: list[Cgroup]) -> None:
    """cgroup.kill where there is a cgroup2; what is left (a v1 host, old kernels) by pidfd."""
    for member in members:
        if member.hierarchy.version == 2:
            try:
                member.put("cgroup.kill", "1")
            except OSError as error:
                # ENOENT: a kernel before 5.14, or the cgroup is gone. EOPNOTSUPP: a threaded
                # cgroup.
                if error.errno not in (*GONE, errno.EOPNOTSUPP):
                    raise Failure(f"cannot kill {member.path}", errno=error.errno or 0) from error
            else:
                if len(members) == 1:
                    return
    listing = freezer.choose(members)
    if listing is None and members:
        listing = members[0]
    if listing is not None:
        signal_all(listing, SIGKILL)


def signal_all(member: Cgroup, signal: int) -> int:
    """Signal every process of a cgroup and of those below it; how many got it.

    The cgroup is frozen meanwhile, so that none can fork away from the list; a SIGKILL for a v1
    frozen task takes effect when it is thawed, which happens on every path.
    """
    try:
        pids = tree.subtree_pids(member.open())
    except OSError as error:
        if error.errno in GONE:
            return 0
        raise
    if not pids:
        return 0
    can_freeze = member.hierarchy.version == 2 or "freezer" in member.hierarchy.controllers
    was_frozen = freezer.frozen(member) if can_freeze else False
    try:
        if can_freeze and not was_frozen:
            _try_freeze(member)
        return _signal_members(member, signal)
    finally:
        # v1: only thawed tasks die. v2 kills frozen tasks itself, and a paused container stays
        # paused.
        if can_freeze and signal == SIGKILL:
            freezer.thaw_all(member)
        elif can_freeze and not was_frozen:
            freezer.thaw(member)


def _try_freeze(member: Cgroup) -> None:
    try:
        freezer.freeze(member, limit_s=0.5)
    except Failure:
        return  # a task that does not stop is signalled all the same; the rounds catch its forks


def _signal_members(member: Cgroup, signal: int) -> int:
    from pyrunc.host import syscalls

    done: set[int] = set()
    for _ in range(ROUNDS):
        pids = [pid for pid in tree.subtree_pids(member.open()) if pid not in done]
        if not pids:
            break
        pidfds = []
        for pid in pids:
            done.add(pid)
            try:
                pidfds.append((pid, syscalls.pidfd_open(pid)))
            except OSError as error:
                # ESRCH: gone. EINVAL: a thread that does not lead its group; the leader is in the
                # list as well.
                if error.errno not in (errno.ESRCH, errno.EINVAL):
                    raise
        # A pid may have been given to somebody else between the list and pidfd_open; it may not any
        # more.
        still = set(tree.subtree_pids(member.open()))
        for pid, pidfd in pidfds:
            try:
                if pid in still:
                    syscalls.pidfd_send_signal(pidfd, signal)
            except OSError as error:
                if error.errno != errno.ESRCH:
                    raise
            finally:
                posix.close(pidfd)
    return len(done)
