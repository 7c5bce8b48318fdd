# SPDX-License-Identifier: Apache-2.0
"""Processes of the host by pid and start time, and signals through pidfds only.

A pid alone names nobody: it may have been given to another process. A start time (field 22 of
/proc/PID/stat) makes it a name, and a pidfd that was opened before the start time was compared
keeps it one. Start times are counted from the boot, so a name that is kept in a file goes with the
boot's own.
"""

from __future__ import annotations

import errno
import os
import select

from pyrunc.errors import Failure
from pyrunc.host import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

SIGKILL: Final = 9
DEAD: Final = "ZXx"  # zombies and the dying have ended as far as users can tell

KILL_PATIENCE_MS: Final = 10_000
# linux/pidfd.h: struct pidfd_info of Linux 6.13, whose last member is the exit status.
PIDFD_INFO_SIZE: Final = 64
PIDFD_INFO_EXIT: Final = 1 << 3
PIDFD_GET_INFO: Final = 3 << 30 | PIDFD_INFO_SIZE << 16 | 0xFF << 8 | 11
BOOT_ID: Final = "/proc/sys/kernel/random/boot_id"


class Stat:
    """What /proc/PID/stat says; `fields` are those behind the name. Few are asked for."""

    __slots__ = ("_fields",)

    def __init__(self, fields: list[bytes]) -> None:
        self._fields = fields

    @property
    def state(self) -> str:
        return self._fields[0].decode()

    @property
    def parent(self) -> int:
        return int(self._fields[1])

    @property
    def session(self) -> int:
        return int(self._fields[3])

    @property
    def start_time(self) -> int:
        """In clock ticks since the boot."""
        return int(self._fields[19])

    @property
    def wait_status(self) -> int:
        """The `exit_code` of proc(5), of a zombie; 0 for who may not trace it."""
        return int(self._fields[49])


def read_stat(pid: int) -> Stat | None:
    """None when there is no such process."""
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        data = os.read(fd, 4096)
    except ProcessLookupError:  # it ended between the two calls
        return None
    finally:
        os.close(fd)
    # The name of the program may hold spaces and brackets; the last bracket ends it.
    return Stat(data[data.rindex(b")") + 2 :].split())


def boot_id() -> str:
    """Return the kernel's id of this boot; empty where /proc does not show it."""
    try:
        fd = os.open(BOOT_ID, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # a /proc of processes only (subset=pid), or a mask over /proc/sys
        return ""
    try:
        return os.read(fd, 64).decode().strip()
    finally:
        os.close(fd)


def this_boot(recorded: str | None) -> bool:
    """Return whether what was recorded in a boot can still exist.

    A record without a boot id is taken for one of this boot.
    """
    return not recorded or recorded == (boot_id() or recorded)


def alive(pid: int, start_time: int) -> bool:
    """Whether this very process runs."""
    if pid <= 1:
        return False
    found = read_stat(pid)
    return found is not None and found.start_time == start_time and found.state not in DEAD


def open_pidfd(pid: int, start_time: int) -> int:
    """Open a pidfd of the process with this pid and start time; -1 when it has ended.

    The caller closes it.
    """
    if pid <= 1:
        return -1
    try:
        pidfd = syscalls.pidfd_open(pid)
    except ProcessLookupError:
        return -1
    except OSError as error:
        # The process has been reaped, but its number is still that of a session of others.
        if error.errno == errno.EINVAL:
            return -1
        raise
    if alive(pid, start_time):
        return pidfd
    os.close(pidfd)
    return -1


def signal(pidfd: int, number: int) -> bool:
    """Send a signal; False when the process has ended."""
    try:
        syscalls.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return False
    except PermissionError as error:
        raise Failure(f"cannot send signal {number}", errno=error.errno or errno.EPERM) from None
    return True


def kill_session(leader: int) -> None:
    """Kill every process of a session. Its number is not given to others while it has a member."""
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        seen = read_stat(int(entry))
        if seen is None or seen.session != leader:
            continue
        member = open_pidfd(int(entry), seen.start_time)
        if member >= 0:
            signal(member, SIGKILL)
            os.close(member)


def kill_tracer(pid: int, name: str) -> None:
    """Kill the program of this name that traces a process, if one does.

    A traced process that has ended waits to be reaped by its tracer, and an init for all of its pid
    namespace.
    """
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            tracer_line = next(line for line in file if line.startswith(b"TracerPid:"))
        tracer = int(tracer_line.split()[1])
        with open(f"/proc/{tracer}/comm", "rb") as file:
            same = file.read().strip() == name.encode()
    except (FileNotFoundError, ProcessLookupError):
        return
    stat = read_stat(tracer) if same else None
    pidfd = open_pidfd(tracer, stat.start_time) if stat is not None else -1
    if pidfd >= 0:
        signal(pidfd, SIGKILL)
        os.close(pidfd)


def wait_dead(pidfd: int, timeout_ms: int) -> bool:
    """Wait until the process has ended (it may stay a zombie of somebody else)."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(timeout_ms))


def zombie_status(pid: int, start_time: int) -> int | None:
    """Return the wait status of a process that its parent has not collected; None: not known.

    To who may not trace it the kernel shows 0 instead: a link of its tells which of both it is.
    """
    stat = read_stat(pid)
    if stat is None or stat.start_time != start_time or stat.state != "Z":
        return None
    try:
        os.readlink(f"/proc/{pid}/exe")
    except FileNotFoundError:  # a zombie executes nothing
        return stat.wait_status
    except OSError:
        return None
    return None


def exit_code(status: int) -> int:
    """Return a wait status as shells show it: a code, or 128 plus the number of the signal."""
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def exit_status(pidfd: int) -> int | None:
    """Return the wait status of a process that has ended; None: not known.

    The pidfd was opened while it lived (PIDFD_GET_INFO with PIDFD_INFO_EXIT, since Linux 6.15).
    """
    import fcntl

    info = bytearray(PIDFD_INFO_SIZE)
    info[:8] = PIDFD_INFO_EXIT.to_bytes(8, "little")
    try:
        fcntl.ioctl(pidfd, PIDFD_GET_INFO, info)
    except OSError:  # an older kernel, or it still runs
        return None
    if not int.from_bytes(info[:8], "little") & PIDFD_INFO_EXIT:
        return None
    return int.from_bytes(info[60:64], "little", signed=True)
