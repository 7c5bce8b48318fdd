# SPDX-License-Identifier: Apache-2.0
"""Making room below a new limit of memory before it is set, so that nobody is killed for it.

cgroup2 kills to get below a new memory.max. So memory.high is lowered first, which makes whoever
allocates reclaim and wait; memory.reclaim is asked for the rest, in portions, until the usage fits
or the time is up. v1 refuses a limit below the usage (EBUSY), after it has reclaimed: the limit is
tried again, with everything that can be reclaimed dropped by memory.force_empty in between.
"""

from __future__ import annotations

import errno
import posix
import time

from pyrunc.cgroups.member import NOT_THERE
from pyrunc.errors import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.cgroups.member import Cgroup
    from pyrunc.cgroups.update import Change

STEP_S = 0.02
# What one write to memory.reclaim asks for: small enough that the deadline is looked at in between.
PORTION = 32 << 20
USAGE_V1 = {
    "memory.limit_in_bytes": "memory.usage_in_bytes",
    "memory.memsw.limit_in_bytes": "memory.memsw.usage_in_bytes",
}
# Linux 6.16: O_NONBLOCK sets a limit without reclaiming; before, the write reclaims by itself.
AT_ONCE = posix.O_WRONLY | posix.O_NOFOLLOW | posix.O_CLOEXEC | posix.O_NONBLOCK


class Room:
    """What was changed to make room; `close` puts it back once the limits are in force, or not."""

    def __init__(self) -> None:
        self.written: list[Change] = []  # limits of v1 that were reached
        self._high: list[tuple[Cgroup, str]] = []

    def make(self, due: Sequence[Change], *, limit_s: float) -> None:
        """Reclaim until the usage is below each limit that becomes lower.

        Raises Failure with the number of bytes that are missing after `limit_s` seconds.
        """
        deadline = time.monotonic() + limit_s
        for change in due:
            value, file = change.write.value, change.write.file
            if not value.isdecimal() or not _at_least(change.before, int(value)):
                continue
            try:
                if file == "memory.max":
                    self._make_v2(change, deadline=deadline, limit_s=limit_s)
                elif file in USAGE_V1:
                    _make_v1(change, deadline=deadline, limit_s=limit_s)
                    self.written.append(change)
            except OSError as error:
                raise change.member.refused(change.write, error) from error

    def _make_v2(self, change: Change, *, deadline: float, limit_s: float) -> None:
        member, limit = change.member, int(change.write.value)
        before = member.read("memory.high")
        if _at_least(before, limit):
            _write_at_once(member, "memory.high", str(limit))
            self._high.append((member, before))
        while (over := int(member.read("memory.current")) - limit) > 0:
            if time.monotonic() >= deadline:
                raise _missed(change, over=over, limit_s=limit_s)
            if not _reclaim(member, min(over, PORTION)):
                time.sleep(STEP_S)

    def close(self, *, keep: Sequence[Change] = ()) -> list[str]:
        """Put memory.high back, but where `keep` has set it; returns what could not be restored."""
        chosen = {change.member for change in keep if change.write.file == "memory.high"}
        lost = []
        while self._high:
            member, before = self._high.pop()
            if member in chosen:
                continue
            try:
                member.put("memory.high", before)
            except OSError as error:
                lost.append(f"{member.path}/memory.high: {before} ({error.strerror})")
        return lost


def _at_least(value: str, limit: int) -> bool:
    """Whether a value of the kernel, which may be `max`, is not below `limit`."""
    return not value.isdecimal() or int(value) >= limit


def _write_at_once(member: Cgroup, name: str, value: str) -> None:
    fd = posix.open(name, AT_ONCE, dir_fd=member.open())
    try:
        posix.write(fd, value.encode())
    finally:
        posix.close(fd)


def _reclaim(member: Cgroup, size: int) -> bool:
    """Ask for `size` bytes; whether the kernel found them all."""
    try:
        member.put("memory.reclaim", str(size))
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EINTR):
            return False
        if error.errno in NOT_THERE:  # before Linux 5.19: a write of memory.high reclaims
            member.put("memory.high", member.read("memory.high"))
            return False
        raise
    return True


def _make_v1(change: Change, *, deadline: float, limit_s: float) -> None:
    member, dropped = change.member, False
    while not _limited(change):
        over = int(member.read(USAGE_V1[change.write.file])) - int(change.write.value)
        if over > 0 and time.monotonic() >= deadline:
            raise _missed(change, over=over, limit_s=limit_s)
        if not dropped:
            member.put("memory.force_empty", "0")
            dropped = True
        time.sleep(STEP_S)


def _limited(change: Change) -> bool:
    """Try the limit; whether the kernel took it, or has another objection than the usage."""
    try:
        change.member.put(change.write.file, change.write.value)
    except OSError as error:
        return error.errno != errno.EBUSY
    return True


def _missed(change: Change, *, over: int, limit_s: float) -> Failure:
    """Return the error for a limit that stays below the usage, by `over` bytes."""
    limit = int(change.write.value)
    return Failure(
        f"unable to set memory limit to {limit} (current usage: {limit + over}, {over} bytes above"
        f" it after {limit_s:g} s of reclaim)",
        pointer=change.write.pointer,
        hint="what is left is in use and cannot be swapped out: choose a higher limit or more time",
    )
