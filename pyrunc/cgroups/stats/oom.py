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

from pyrunc.cgroups import tree
from pyrunc.cgroups.member import GONE, Cgroup
from pyrunc.cgroups.stats import parse
from pyrunc.errors import Failure


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
        """(OOM kills since the last call, whether the cgroup has ended)."""
        poll = select.poll()
        for fd, mask in self.fds.items():
            poll.register(fd, mask)
        for fd, _ in poll.poll(timeout_ms):
            self._consume(fd)
        ended = self.ended()
        now = kills(self.member)
        new, self.seen = max(0, now - self.seen), max(now, self.seen)
        return new, ended

    def _consume(self, fd: int) -> None:
        try:
            if self.fds[fd] == select.POLLIN:
                posix.read(fd, 8)
            else:
                posix.pread(fd, 4096, 0)
        except OSError as error:
            if error.errno not in (*GONE, errno.EAGAIN):
                raise

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
