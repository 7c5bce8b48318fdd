# SPDX-License-Identifier: Apache-2.0
"""Out-of-memory kills: the counter, and a descriptor that says when to look at it again.

v1 signals an eventfd registered for memory.oom_control. On cgroup2 a poll for POLLPRI on an open
memory.events returns when the file changes (kernfs notifies pollers and inotify alike), and on
cgroup.events when the last process has gone.
"""

from __future__ import annotations

import errno
import posix
import select
import sys
import time

from pyrunc.cgroups import tree
from pyrunc.cgroups.member import GONE, Cgroup
from pyrunc.cgroups.stats import parse
from pyrunc.errors import Failure

SETTLE_S, SETTLE_ROUNDS = 0.02, 50


def kills(member: Cgroup) -> int:
    """Return the number of OOM kills; 0 when the cgroup or the counter is not there."""
    file = "memory.events" if member.hierarchy.version == 2 else "memory.oom_control"
    try:
        return parse.flat(member.read(file)).get("oom_kill", 0)
    except OSError as error:
        if error.errno in (*GONE, errno.EOPNOTSUPP):
            return 0
        raise


class Watch:
    """Waits for OOM kills and for the end of the cgroup."""

    def __init__(self, member: Cgroup) -> None:
        self.member = member
        self.seen = kills(member)
        self.fds: dict[int, int] = {}
        try:
            if member.hierarchy.version == 2:
                self._poll_file("cgroup.events")
                if tree.exists_at(member.open(), "memory.events"):  # the controller is enabled
                    self._poll_file("memory.events")
            else:
                self._register_v1()
        except OSError as error:
            self.close()
            raise Failure(
                f"cannot watch {member.path} for OOM events", errno=error.errno or 0
            ) from error

    def _poll_file(self, name: str) -> None:
        fd = posix.open(name, tree.READ, dir_fd=self.member.open())
        self.fds[fd] = select.POLLPRI
        posix.read(fd, 4096)  # poll reports changes since the last read

    def _register_v1(self) -> None:
        event = posix.eventfd(0, posix.EFD_CLOEXEC | posix.EFD_NONBLOCK)
        self.fds[event] = select.POLLIN
        control = posix.open("memory.oom_control", tree.READ, dir_fd=self.member.open())
        try:
            tree.write_at(self.member.open(), "cgroup.event_control", f"{event} {control}")
        finally:
            posix.close(control)

    def wait(self, timeout_ms: int) -> tuple[int, bool]:
        """(OOM events since the last call, whether the cgroup has ended)."""
        poll = select.poll()
        for fd, mask in self.fds.items():
            poll.register(fd, mask)
        signals = sum(self._consume(fd) for fd, _ in poll.poll(timeout_ms))
        ended = self.ended()
        if self.member.hierarchy.version == 1:
            # The signal comes before the counter moves. The last one is for the removal.
            return max(0, signals - ended), ended
        return self._new_kills(), ended

    def _consume(self, fd: int) -> int:
        """Return the count of an eventfd; 0 for a file that has changed."""
        try:
            if self.fds[fd] == select.POLLIN:
                return int.from_bytes(posix.read(fd, 8), sys.byteorder)
            posix.pread(fd, 4096, 0)
        except OSError as error:
            if error.errno not in (*GONE, errno.EAGAIN):
                raise
        return 0

    def _new_kills(self) -> int:
        """Return how often a process was killed or, where the kernel kills groups, a group."""
        new = self._advance()
        if not new or not self._kills_groups():
            return new
        # The processes of a group are killed one after the other.
        for _ in range(SETTLE_ROUNDS):
            time.sleep(SETTLE_S)
            if not self._advance():
                break
        return 1

    def _advance(self) -> int:
        before, self.seen = self.seen, max(kills(self.member), self.seen)
        return self.seen - before

    def _kills_groups(self) -> bool:
        """Return whether memory.oom.group is set for the cgroup or one above it."""
        parts, top = self.member.parts, self.member.open_top()
        for depth in range(len(parts), 0, -1):
            try:
                if tree.read_text(top, f"{'/'.join(parts[:depth])}/memory.oom.group") == "1":
                    return True
            except OSError:
                continue  # the controller is not enabled there, or the cgroup is gone
        return False

    def ended(self) -> bool:
        """Return whether the cgroup is removed or, on cgroup2, empty.

        On v1 the eventfd fires on removal, too.
        """
        try:
            if self.member.hierarchy.version == 2:
                return "populated 0" in self.member.read("cgroup.events")
            self.member.read("cgroup.procs")
        except OSError as error:
            if error.errno in GONE:
                return True
            raise
        return False

    def close(self) -> None:
        for fd in self.fds:
            posix.close(fd)
        self.fds = {}
