# SPDX-License-Identifier: Apache-2.0
"""Start pyrunc-init with a plan and answer it. The one impure module of this package.

Messages have a fixed size (messages.py), one packet each, both ways.
"""

from __future__ import annotations

import os
import time

from pyrunc.errors import Failure, HostError, InitError
from pyrunc.host import process, refusals, syscalls
from pyrunc.host.trace import trace
from pyrunc.init import image
from pyrunc.init.messages import AWAIT, ERROR, EXEC, FORKED, GO, HOOK, MESSAGE
from pyrunc.init.ops import RENDEZVOUS, RunHook
from pyrunc.log import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Final

    from pyrunc.init.plan import Plan

    # Takes a report, gives the descriptors that go back with the answer; they are closed then.
    Handler = Callable[["Message"], Sequence[int]]

FIRST_FREE: Final = 3  # descriptors above stdio
INHERIT: Final = (-1, -1, -1)  # as standard descriptors: those of the caller
PATIENCE_MS: Final = 30_000  # from one report of the init to the next (G5)
# Ops that take as long as programs and trees of others do; hooks have timeouts of their own.
LONG: Final = frozenset(("run_hook", "copy_up"))


class Message:
    """One report of the init, with the descriptors that came along."""

    __slots__ = ("detail", "fds", "op", "step", "type", "value")

    def __init__(self, data: bytes, fds: Sequence[int] = ()) -> None:
        if len(data) != MESSAGE.size:
            raise InitError(f"the init sent {len(data)} bytes instead of a message")
        self.type, self.op, self.step, self.value, detail = MESSAGE.unpack(data)
        self.detail = detail.rstrip(b"\0").decode("utf-8", "replace")
        self.fds = list(fds)


def go() -> bytes:
    return MESSAGE.pack(GO, 0, 0, 0, b"")


def _rendezvous(value: int) -> str:
    return RENDEZVOUS[value - 1] if 0 < value <= len(RENDEZVOUS) else str(value)


class Child:
    """A started init: its process, its end of the sync socket, and the plan that it executes."""

    __slots__ = ("_past", "hooks", "pid", "pidfd", "plan", "start_time", "sync")

    def __init__(self, *, pid: int, pidfd: int, sync: int, plan: Plan) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.sync = sync
        self.plan = plan
        self.start_time = 0
        self.hooks: list[tuple[RunHook, int]] = []  # those that the init has run, and their ms
        self._past: list[int] = []  # pidfds of tasks that forked and ended

    def note_start_time(self) -> int:
        """Return the start time of the init; (pid, start time) identifies a process."""
        found = process.read_stat(self.pid)
        self.start_time = found.start_time if found is not None else 0
        return self.start_time

    def serve(
        self,
        handlers: Mapping[int, Handler],
        *,
        until: int,
        on_forked: Callable[[], None],
        held_up: Callable[[], bool] = lambda: False,
    ) -> None:
        """Answer the init until the rendezvous `until`, or with 0 until its program runs.

        An init that says nothing for half a minute is given up with InitError, unless its plan
        may take long or `held_up` says that it is kept waiting on purpose.
        """
        while True:
            data, fds = self._receive(held_up)
            if not data:
                raise self._ended()
            message = Message(data, fds)
            if message.type == AWAIT:
                self._answer(message, handlers)
                log.step("answered the init: %s", _rendezvous(message.value))
                if message.value == until:
                    self._reap_past()
                    return
            elif message.type == FORKED:
                self._past.append(self.pidfd)
                self.pid, self.pidfd = message.value, -1
                self.pidfd = syscalls.pidfd_open(self.pid)
                log.step("the init goes on as process %d", self.pid)
                on_forked()
            elif message.type == ERROR:
                raise self._failure(message)
            elif message.type == HOOK:
                op = self.plan.ops[message.op]
                if isinstance(op, RunHook):
                    self.hooks.append((op, message.value))
            elif message.type == EXEC:
                if until == 0:
                    self._await_exec(held_up)
                    log.step("the program runs")
                    self._reap_past()
                    return
            else:
                raise InitError(f"the init sent a message of unknown type {message.type}")

    def _receive(self, held_up: Callable[[], bool]) -> tuple[bytes, list[int]]:
        """Wait for a message. A process of the same user can stop the init at any time."""
        while True:
            try:
                return syscalls.recv_message(self.sync, MESSAGE.size, 4)
            except BlockingIOError:  # PATIENCE_MS are over
                if held_up() or any(op.NAME in LONG for op in self.plan.ops):
                    continue
            seen = process.read_stat(self.pid)
            raise InitError(
                f"the init has not reported for {PATIENCE_MS // 1000} s",
                hint="it was stopped by a signal (SIGSTOP)"
                if seen is not None and seen.state in "Tt"
                else "it may wait for a device or a network file system",
            )

    def _answer(self, message: Message, handlers: Mapping[int, Handler]) -> None:
        handler = handlers.get(message.value)
        if handler is None:
            name = _rendezvous(message.value)
            raise InitError(f"the init asks for {name}, which its parent does not know")
        began = time.time_ns() if trace.on else 0
        try:
            answer = handler(message)
        finally:
            for fd in message.fds:
                os.close(fd)
        if trace.on:
            trace.child(f"rendezvous {RENDEZVOUS[message.value - 1]}", began)
        try:
            syscalls.send_message(self.sync, go(), answer)
        except BrokenPipeError:
            raise self._ended() from None
        finally:
            syscalls.close_all(answer)

    def _await_exec(self, held_up: Callable[[], bool]) -> None:
        """After EXEC: the end of the stream is success, since the socket closes at the execve."""
        data, _fds = self._receive(held_up)
        if data:
            message = Message(data)
            raise self._failure(message)

    def _failure(self, message: Message) -> Failure:
        refused = refusals.of_init(message.value)
        failure = self.plan.failure(
            message.op, message.step, message.value, message.detail, refused
        )
        if refused:
            failure.hint = refusals.ADVICE
        return failure

    def _ended(self) -> Failure:
        """Return the failure of an init that ended without a report.

        One that still lives (the packet was not taken for another reason) ends with our end of the
        socket.
        """
        self.close_sync()
        ended = _reap(self.pidfd) or (0, 0)
        code, status = ended
        os.close(self.pidfd)
        self.pidfd = -1
        how = f"with status {status}" if code == syscalls.CLD_EXITED else f"by signal {status}"
        return InitError(
            f"the init ended without a report{f', {how}' if code else ''}",
            hint="SIGKILL: perhaps the memory limit is too low"
            if status == process.SIGKILL
            else "",
        )

    def _reap_past(self) -> None:
        for pidfd in self._past:
            _reap(pidfd)
            os.close(pidfd)
        self._past = []

    def close_sync(self) -> None:
        if self.sync >= 0:
            os.close(self.sync)
            self.sync = -1

    def kill(self) -> None:
        """End the init, whatever it does; nothing of it remains."""
        self.close_sync()
        for pidfd in (*self._past, self.pidfd):
            if pidfd >= 0:
                self._end(pidfd)
                try:
                    _reap(pidfd)
                except OSError:  # a filter around us: others reap it, and its end is what counts
                    process.wait_dead(pidfd, process.KILL_PATIENCE_MS)
                os.close(pidfd)
        self._past = []
        self.pidfd = -1

    def _end(self, pidfd: int) -> None:
        try:
            process.signal(pidfd, process.SIGKILL)
        except (Failure, OSError) as error:
            if not refusals.refused_calls(error.errno or 0):
                raise
            if pidfd == self.pidfd:  # else it ends by itself, as it has forked
                os.kill(self.pid, process.SIGKILL)  # a child of ours that nobody has reaped

    def close(self) -> None:
        """Let go of a container that goes on without us."""
        self.close_sync()
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1


def _reap(pidfd: int) -> tuple[int, int] | None:
    """Reap a child that ends now; None when it does not, as one that waits for a device.

    None too when it was reaped already: the program that uses the library may ignore SIGCHLD or
    wait for whatever child ends.
    """
    try:
        ended = syscalls.waitid_pidfd(pidfd, nohang=True)
        if ended is None and process.wait_dead(pidfd, process.KILL_PATIENCE_MS):
            ended = syscalls.waitid_pidfd(pidfd, nohang=True)
    except ChildProcessError:
        return None
    return ended


def spawn(
    plan: Plan,
    objects: Sequence[int] = (),
    *,
    preserve_fds: int = 0,
    stdio: Sequence[int] = INHERIT,
    cgroup_fd: int = -1,
) -> Child:
    """Start the init; it begins with the plan at once. `stdio`: its first three descriptors."""
    base = FIRST_FREE + preserve_fds
    sync, theirs = syscalls.socketpair_seqpacket(patience_ms=PATIENCE_MS)
    plan_fd = exe = -1
    try:
        plan_fd = syscalls.memfd_sealed(b"pyrunc-plan", plan.encode())
        exe = image.open_init()
        pid, pidfd = syscalls.spawn(
            exe,
            b"pyrunc-init:%d" % base,
            [theirs, plan_fd, exe, *objects],
            base=base,
            stdio=stdio,
            cgroup_fd=cgroup_fd,
        )
    except BaseException as error:
        os.close(sync)
        if not isinstance(error, OSError):
            raise
        raise HostError(
            f"cannot start the init: {error.filename or 'memory file'}", errno=error.errno or 0
        ) from error
    finally:
        syscalls.close_all((theirs, plan_fd, exe))
    return Child(pid=pid, pidfd=pidfd, sync=sync, plan=plan)
