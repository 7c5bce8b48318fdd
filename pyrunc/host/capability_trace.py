# SPDX-License-Identifier: Apache-2.0
"""Which capabilities the kernel has granted to some processes, and in which system calls.

The tracepoint cap_capable (Linux 6.14) reports every look at a capability with its answer. A look
is no use by itself: a refused one changes nothing, and every mapping of memory asks for
CAP_SYS_ADMIN, to let root have the last few pages. So only granted looks count, and the kernel's
own stack tells which call each came from.
"""

from __future__ import annotations

import errno
import os
import re

from pyrunc.host import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

EVENT: Final = "events/capability/cap_capable"
FSCONFIG_CMD_CREATE: Final = 6
NOSUID_NODEV_NOEXEC: Final = 0x2 | 0x4 | 0x8  # MOUNT_ATTR_*
# /proc/self/ns/pid of the first pid namespace (PROC_PID_INIT_INO): trace events carry its numbers.
FIRST_PID_NAMESPACE: Final = 0xEFFFFFFC
BUFFER_KIB: Final = 8192  # for each processor
LOOK: Final = re.compile(rb"-(\d+) +\[.*: cap_capable: .* cap (\d+), ret (-?\d+)\Z")
STACK: Final = re.compile(rb"-(\d+) +\[.*: <stack trace>\Z")
LOST: Final = b" EVENTS]"
# The accounting of memory: what it asks for is granted or not, and the call goes on.
# The second: whether our own process may trace a program that gains privileges.
HARMLESS: Final = (b"vm_enough_memory", b"ptracer_capable")
CALL: Final = re.compile(rb"__(?:(?:x64|ia32|arm64|se|do)_)?(?:compat_)?sys_(\w+)\Z")


class NotPossible(Exception):
    """The kernel does not tell here, for the reason in the text."""


class CapabilityTrace:
    """A trace instance of its own; `close` removes it."""

    __slots__ = (
        "_functions",
        "_name",
        "_pending",
        "_pipe",
        "_rest",
        "_root",
        "_stack",
        "lost",
        "used",
    )

    def __init__(self) -> None:
        self.used: dict[int, set[str]] = {}  # number of the capability -> names of system calls
        self.lost = False  # the buffer ran over
        self._rest = b""
        self._pending: dict[int, int] = {}  # process -> capability whose stack has not come yet
        self._stack = -1  # the capability whose stack is being read
        self._functions: list[bytes] = []
        if os.stat("/proc/self/ns/pid").st_ino != FIRST_PID_NAMESPACE:
            raise NotPossible("this is not the first pid namespace, whose numbers traces carry")
        self._root = _tracefs()
        self._name = f"instances/pyrunc-{os.getpid()}"
        self._pipe = -1
        try:
            _remove_abandoned(self._root)
            os.mkdir(self._name, dir_fd=self._root)
            self._set("buffer_size_kb", str(BUFFER_KIB))
            self._set("options/event-fork", "1")
            self._set(f"{EVENT}/filter", "ret == 0")
            self._set(f"{EVENT}/trigger", "stacktrace if ret == 0")
            self._pipe = self._open("trace_pipe", os.O_RDONLY | os.O_NONBLOCK)
        except OSError as error:
            self.close()
            older = error.errno == errno.ENOENT
            raise NotPossible(
                "the kernel has no tracepoint cap_capable (Linux 6.14)" if older else str(error)
            ) from None

    def _open(self, name: str, flags: int) -> int:
        return os.open(f"{self._name}/{name}", flags | os.O_CLOEXEC, dir_fd=self._root)

    def _set(self, name: str, text: str, *, more: bool = False) -> None:
        fd = self._open(name, os.O_WRONLY | (os.O_APPEND if more else os.O_TRUNC))
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)

    def follow(self, pid: int) -> None:
        """Trace a process as well, and what it starts from now on."""
        self._set("set_event_pid", f"{pid}\n", more=True)
        self._set(f"{EVENT}/enable", "1")

    def drain(self) -> None:
        """Read what has come."""
        while True:
            try:
                data = os.read(self._pipe, 65536)
            except BlockingIOError:
                return
            if not data:
                return
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                self._line(line)

    def _line(self, line: bytes) -> None:
        """Take one line: a look, the head of its stack, or a function of it, the innermost first.

        Triggers run behind their event, so a stack belongs to the last look of its process.
        """
        if line.startswith(b" => "):
            self._functions.append(line[4:].strip())
            return
        self._end_stack()
        if look := LOOK.search(line):
            self._pending[int(look[1])] = int(look[2])
        elif stack := STACK.search(line):
            self._stack = self._pending.pop(int(stack[1]), -1)
        elif LOST in line:
            self.lost = True

    def _end_stack(self) -> None:
        """Count the look whose stack is complete."""
        capability, functions = self._stack, self._functions
        self._stack, self._functions = -1, []
        if capability < 0 or _is_harmless(functions):
            return
        calls = [found[1].decode() for found in map(CALL.match, functions) if found]
        self.used.setdefault(capability, set()).add(calls[-1] if calls else "")

    def finish(self) -> None:
        """Read the rest: all that was granted until now is in `used`."""
        self._set("tracing_on", "0")
        self.drain()
        self._end_stack()
        for capability in self._pending.values():  # their stacks were lost
            self.used.setdefault(capability, set()).add("")

    def close(self) -> None:
        """Remove the instance."""
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1
        if _is_there(self._root, self._name):
            os.rmdir(self._name, dir_fd=self._root)
        os.close(self._root)


def _is_harmless(functions: list[bytes]) -> bool:
    return any(mark in name for name in functions for mark in HARMLESS)


def _is_there(root: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=root)
    except FileNotFoundError:
        return False
    return True


def _tracefs() -> int:
    """Open a tracefs that nobody else sees: hosts mount theirs late or not at all."""
    try:
        fs = syscalls.fsopen("tracefs")
        try:
            syscalls.fsconfig(fs, FSCONFIG_CMD_CREATE)
            return syscalls.fsmount(fs, NOSUID_NODEV_NOEXEC)
        finally:
            os.close(fs)
    except OSError as error:
        raise NotPossible(f"no tracefs for this caller ({error.strerror})") from None


def _remove_abandoned(root: int) -> None:
    """Remove the instances of processes that were killed."""
    instances = os.open("instances", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=root)
    try:
        for name in os.listdir(instances):
            owner = name.removeprefix("pyrunc-")
            if name != owner and owner.isdigit() and not os.path.exists(f"/proc/{owner}"):
                os.rmdir(name, dir_fd=instances)
    finally:
        os.close(instances)
