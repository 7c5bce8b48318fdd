# SPDX-License-Identifier: Apache-2.0
"""Which system calls a filter refuses to a program: by name and count.

The filter is loaded with every refusal turned into a notification. A supervisor answers each
notification with what the original filter says for this very call (`bpf.run`), and counts. The
program sees what it would see without, but for two things: a kill is SIGKILL instead of SIGSYS, and
the SIGSYS of a trap does not carry the call's number.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import struct
import sys

from pyrunc.errors import Failure
from pyrunc.host import syscalls
from pyrunc.seccomp import bpf, library, names, newer
from pyrunc.seccomp.filter import Filter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from threading import Thread
    from typing import NoReturn

    from pyrunc.seccomp.opcodes import Instruction

# linux/seccomp.h
NOTIF_RECV, NOTIF_SEND, NOTIF_ID_VALID = 0xC0502100, 0xC0182101, 0x40082102
NOTIFICATION = "=QII64s"  # struct seccomp_notif: id, pid, flags, data
RESPONSE = "=QqiI"  # struct seccomp_notif_resp: id, value, error, flags
NOTIFICATION_SIZE = 80

PASSES = (names.ALLOW, names.LOG)
MAX_CALLS = 4096  # different refusals that are kept apart
ROW = "=IIII"  # of the supervisor's report: architecture token, number, action, count
COMPLETE = bytes(16)  # the row that ends it
KEPT = "refused"  # the report in a state directory


def without_data(action: int) -> int:
    return action & names.ACTION_MASK


def observed(program: bytes) -> bytes:
    """Return the program with every refusal turned into a notification."""
    return bpf.encode(
        [
            (code, jt, jf, names.NOTIFY)
            if code == bpf.RET_K and without_data(value) not in PASSES
            else (code, jt, jf, value)
            for code, jt, jf, value in bpf.decode(program)
        ]
    )


class Refusal:
    """One kind of refused call."""

    __slots__ = ("action", "count", "number", "token")

    def __init__(self, token: int, number: int, action: int, count: int) -> None:
        self.token = token
        self.number = number
        self.action = action
        self.count = count

    @property
    def name(self) -> str:
        base = call_name(self.token, self.number)
        base = base or f"system call {self.number & ~names.X32_BIT}"
        if self.token == library.NATIVE:
            return base
        architecture = names.ARCHITECTURE_NAMES.get(self.token, hex(self.token))
        return f"{base} ({architecture})"

    @property
    def answer(self) -> str:
        action, data = without_data(self.action), self.action & names.DATA_MASK
        if action == names.ERRNO:
            return errno.errorcode.get(data, f"errno {data}") if data else "success without effect"
        if action == names.TRACE:
            return "ENOSYS (no tracer)"
        return {names.TRAP: "SIGSYS", names.KILL_PROCESS: "process killed"}.get(
            action, "thread killed"
        )

    def line(self) -> str:
        times = "once" if self.count == 1 else f"{self.count} times"
        return f"{self.name}: refused {times} ({self.answer})"


class Explanation:
    """A filter that lets refusals be counted.

    Load `filter`, give the listener to `start`, call `finish` when the program has ended.
    """

    __slots__ = (
        "_counts",
        "_directory",
        "_instructions",
        "_pid",
        "_report",
        "_thread",
        "filter",
        "threaded",
    )

    def __init__(self, original: Filter) -> None:
        flags = original.flags | names.NEW_LISTENER
        # Else every signal to a waiting task (Go's scheduler sends them all the time) repeats its
        # notification.
        if library.flags_known(flags | names.WAIT_KILLABLE_RECV):
            flags |= names.WAIT_KILLABLE_RECV
        self.filter = Filter(
            observed(original.program), flags=flags, listener=True, report=original.report
        )
        self._instructions = bpf.decode(original.program)
        self._pid = 0
        self._report = self._directory = -1
        # The supervisor is a thread: for a program with threads of its own, which cannot fork.
        self.threaded = False
        self._thread: Thread | None = None
        self._counts: dict[tuple[int, int, int], int] = {}

    def check(self, original: Filter, *, flag: str) -> None:
        """Raise a Failure where the filter cannot be watched."""
        if original.listener:
            raise Failure(
                f"{flag} needs the listener that this profile gives to an agent",
                pointer="/linux/seccomp/listenerPath",
            )
        (write,) = library.resolve(library.NATIVE, ["write"])
        if without_data(self.verdict(library.NATIVE, write)) not in PASSES:
            raise Failure(
                "this profile refuses write, which the init needs: no program can start under it",
                pointer="/linux/seccomp/syscalls",
            )

    def verdict(self, token: int, number: int, args: Iterable[int] = ()) -> int:
        """Return what the original filter returns."""
        return answer(self._instructions, token, number, args)

    def start(self, listener: int) -> None:
        """Start the supervisor, a process: the caller goes on waiting for the container's init.

        It ends when the last task with the filter has ended. The caller may close its `listener`.
        """
        if self.threaded:
            self._start_thread(os.dup(listener))
            return
        report, write_end = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            self._supervise_and_exit(listener, write_end)
        os.close(write_end)
        self._report = report
        if self._directory >= 0:
            os.close(self._directory)

    def _start_thread(self, listener: int) -> None:
        """Take over the descriptor."""
        from threading import Thread

        def run() -> None:
            try:
                self._counts = self.supervise(listener)
            finally:
                os.close(listener)

        self._thread = Thread(target=run, name="pyrunc-seccomp", daemon=True)
        self._thread.start()

    def keep_in(self, directory: int) -> None:
        """Have the report kept in a directory: nobody waits for it.

        A description of its own: the caller's holds a lock that must end with the caller.
        """
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        self._directory = os.open(f"/proc/self/fd/{directory}", flags)

    def _supervise_and_exit(self, listener: int, write_end: int) -> NoReturn:
        status = 1
        try:
            # A copy of the caller's sockets here would hide its death from the container's init.
            close_all_but(listener, write_end, self._directory)
            if self._directory >= 0:
                become_daemon()
            counts = self.supervise(listener)
            data = self.encode(counts)
            if self._directory >= 0:
                self._save(data)
            else:
                with open(write_end, "wb") as file:
                    file.write(data + COMPLETE)
            status = 0
        finally:
            os._exit(status)

    def _save(self, data: bytes) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            with open(os.open(KEPT, flags, 0o600, dir_fd=self._directory), "wb") as file:
                file.write(data)
        except OSError:  # the container is deleted, or its file system is full: nobody to tell
            return

    def encode(self, counts: dict[tuple[int, int, int], int]) -> bytes:
        """Return the report for `finish`, in the supervisor."""
        return b"".join(struct.pack(ROW, *key, count) for key, count in counts.items())

    def supervise(self, listener: int) -> dict[tuple[int, int, int], int]:
        """Answer notifications until no task with the filter is left.

        Returns counts by token, number, action.
        """
        counts: dict[tuple[int, int, int], int] = {}
        while True:
            ready = syscalls.poll([listener])
            if ready and not ready[0][1] & syscalls.POLLIN:
                return counts  # POLLHUP: the last task is gone
            request = bytearray(NOTIFICATION_SIZE)
            try:
                fcntl.ioctl(listener, NOTIF_RECV, request)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.EINTR):
                    continue  # a signal ended the call before we came to it
                raise
            key = self._answer(listener, request)
            if key in counts or len(counts) < MAX_CALLS:
                counts[key] = counts.get(key, 0) + 1

    def _answer(self, listener: int, request: bytearray) -> tuple[int, int, int]:
        cookie, pid, _, data = struct.unpack(NOTIFICATION, request)
        number, machine = struct.unpack_from("=II", data)
        action = bpf.run(self._instructions, data)
        kind = without_data(action)
        error = errno.ENOSYS
        if kind == names.ERRNO:
            error = action & names.DATA_MASK
        elif kind != names.TRACE:
            self._signal(listener, cookie, pid, kind)
        response = bytearray(struct.pack(RESPONSE, cookie, 0, -error, 0))
        try:
            fcntl.ioctl(listener, NOTIF_SEND, response)
        except OSError as failed:
            if failed.errno != errno.ENOENT:  # the task has ended meanwhile
                raise
        token = names.X32 if machine == names.X86_64 and number & names.X32_BIT else machine
        return token, number, action

    @staticmethod
    def _signal(listener: int, cookie: int, pid: int, kind: int) -> None:
        """Kill a process, or send SIGSYS as a trap does.

        A container's first process ignores every signal but SIGKILL from outside.
        """
        try:
            # While the notification is valid the task waits for us: the pid is still its own.
            fcntl.ioctl(listener, NOTIF_ID_VALID, struct.pack("=Q", cookie))
            os.kill(pid, signal.SIGSYS if kind == names.TRAP else signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError):
            return  # it has ended already

    def finish(self) -> list[Refusal] | None:
        """Wait for the supervisor; return what was refused, in the order of the first refusals.

        None when no program came so far.
        """
        if self._thread is not None:
            self._thread.join()
            return [Refusal(*key, count) for key, count in self._counts.items()]
        data = self._collect()
        return None if data is None else decode(data)

    def _collect(self) -> bytes | None:
        """Wait for the supervisor and return its report; None when it was not started."""
        if self._report < 0:
            return None
        report, self._report = self._report, -1
        return collect(self._pid, report, COMPLETE, name="supervisor of the system call filter")


def collect(pid: int, report: int, complete: bytes, *, name: str) -> bytes:
    """Read a child's report to its end, wait for the child; the descriptor is closed.

    Failure when the mark `complete` is not behind the report: the child did not come to its end.
    """
    with open(report, "rb") as file:
        data = file.read()
    reap(pid)
    if data[-len(complete) :] != complete:
        raise Failure(f"the {name} failed")
    return data[: -len(complete)]


def reap(pid: int) -> None:
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:  # collected already, by who waits for every child
        return


def answer(
    instructions: Sequence[Instruction], token: int, number: int, args: Iterable[int]
) -> int:
    """Return what a filter returns for a call."""
    machine = names.audit_arch(token)
    data = bpf.data(number, machine, list(args), high_first=sys.byteorder == "big")
    return bpf.run(instructions, data)


def call_name(token: int, number: int) -> str:
    """Return a system call's name, of those too that libseccomp does not know; "" without one."""
    return newer.name(token, number) or library.name_of(token, number)


def decode(data: bytes) -> list[Refusal]:
    """Read a report."""
    whole = len(data) - len(data) % struct.calcsize(ROW)
    return [Refusal(*fields) for fields in struct.iter_unpack(ROW, data[:whole])]


def close_all_but(*kept: int) -> None:
    first = 3
    for fd in sorted(fd for fd in kept if fd >= first):
        if fd > first:
            syscalls.close_range(first, fd - 1)
        first = fd + 1
    syscalls.close_range(first, 0xFFFFFFFF)


def become_daemon() -> None:
    """Let the caller's session and standard descriptors go: somebody may wait for their end."""
    os.setsid()
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)


def prepare(original: Filter) -> Explanation:
    """Make the explanation of a filter; a Failure where none is possible."""
    explanation = Explanation(original)
    explanation.check(original, flag="--explain-seccomp")
    return explanation


def lines(refusals: list[Refusal], *, limit: int = 20) -> list[str]:
    """Return the report for the user."""
    if not refusals:
        return ["seccomp: nothing was refused"]
    shown = [f"seccomp: {refusal.line()}" for refusal in refusals[:limit]]
    if len(refusals) > limit:
        shown.append(f"seccomp: and {len(refusals) - limit} more")
    return shown
