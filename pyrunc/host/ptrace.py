# SPDX-License-Identifier: Apache-2.0
"""Stop a process and all that it starts before and after each system call.

A notification of a system call filter would do with less, but a signal that comes while a task
waits for its answer ends the call: fork fails with EINTR then. A traced task is only held.
"""

from __future__ import annotations

import errno
import os
import signal
import struct

from pyrunc.host import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, Protocol

    class Watcher(Protocol):
        """Whoever looks at the calls."""

        def enters(self, pid: int, architecture: int, number: int, args: tuple[int, ...]) -> None:
            """Look at a call that a task is about to make."""

        def leaves(self, pid: int, value: int) -> None:
            """Look at what it has returned."""


# linux/ptrace.h
SYSCALL, SEIZE, INTERRUPT, LISTEN, GET_SYSCALL_INFO = 24, 0x4206, 0x4207, 0x4208, 0x420E
OPTIONS: Final = 0x01 | 0x02 | 0x04 | 0x08 | 0x10  # TRACESYSGOOD, FORK, VFORK, CLONE, EXEC
EVENT_STOP: Final = 128
ENTRY, EXIT = 1, 2
INFO_SIZE: Final = 88
HEAD: Final = "=BxxxIQQ"  # struct ptrace_syscall_info: op, architecture, two pointers
WALL: Final = 0x40000000  # __WALL: threads, too
IN_A_CALL: Final = signal.SIGTRAP | 0x80
STOPS: Final = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)


def seize(pid: int) -> None:
    """Become the tracer of a process; what it starts is traced, too.

    It stops before it goes on, so that no call is missed.
    """
    syscalls.ptrace(SEIZE, pid, 0, OPTIONS)
    syscalls.ptrace(INTERRUPT, pid, 0, 0)


def follow(first: int, watcher: Watcher) -> None:
    """Serve all traced tasks until the first one has ended."""
    while True:
        try:
            pid, status = os.waitpid(-1, WALL)
        except ChildProcessError:
            return
        if not os.WIFSTOPPED(status):
            if pid == first:
                return
            continue
        try:
            _serve(pid, status, watcher)
        except ProcessLookupError:  # it was killed
            continue


def _serve(pid: int, status: int, watcher: Watcher) -> None:
    """Look at one stop, and let the task go on."""
    number, event, deliver = os.WSTOPSIG(status), status >> 16, 0
    if number == IN_A_CALL:
        _tell(pid, watcher)
    elif event == EVENT_STOP and number in STOPS:
        syscalls.ptrace(LISTEN, pid, 0, 0)  # it stays stopped until somebody continues it
        return
    elif not event:
        deliver = number
    syscalls.ptrace(SYSCALL, pid, 0, deliver)


def _tell(pid: int, watcher: Watcher) -> None:
    info = bytearray(INFO_SIZE)
    syscalls.ptrace(GET_SYSCALL_INFO, pid, len(info), syscalls.address(info))
    operation, architecture, _, _ = struct.unpack_from(HEAD, info)
    if operation == ENTRY:
        number, *args = struct.unpack_from("=7Q", info, struct.calcsize(HEAD))
        watcher.enters(pid, architecture, number & 0xFFFFFFFF, tuple(args))
    elif operation == EXIT:
        watcher.leaves(pid, struct.unpack_from("=q", info, struct.calcsize(HEAD))[0])


def attach_from_child(pid: int, report: int) -> bool:
    """Seize, and write the errno to a pipe that the parent waits for; True when it is done."""
    try:
        seize(pid)
    except OSError as error:
        os.write(report, bytes((error.errno or errno.EPERM,)))
        return False
    os.write(report, b"\0")
    return True
