# SPDX-License-Identifier: Apache-2.0
"""Stay with a process to its end: forward signals, relay its terminal, reap its orphans."""

from __future__ import annotations

import errno
import os
import select

from pyrunc import process, rendezvous, syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as signals
    from typing import Final

    from pyrunc.activation import Relay as NotifyRelay
else:
    import _signal as signals  # `signal` imports enum (3 ms) to give the same functions other types

# Never forwarded: the kernel's own answers to a fault of this program, what cannot be caught, and
# what is sent to this program for its own sake.
KEPT: Final = frozenset(
    (
        signals.SIGKILL,
        signals.SIGSTOP,
        signals.SIGURG,
        signals.SIGPIPE,
        signals.SIGSEGV,
        signals.SIGBUS,
        signals.SIGFPE,
        signals.SIGILL,
    )
)
CHUNK: Final = 65536
SIGNAL_SIZE: Final = 128  # struct signalfd_siginfo; it begins with the number, 32 bits
STDIN, STDOUT = 0, 1


class Foreground:
    """Signals are held back from the moment this is made, so that none is lost before `wait`."""

    __slots__ = ("_signals",)

    def __init__(self) -> None:
        self._signals = syscalls.hold_signals(KEPT)
        # An inherited "ignore" would make the kernel throw exit statuses away.
        signals.signal(signals.SIGCHLD, signals.SIG_DFL)

    def wait(
        self, pid: int, pidfd: int, *, terminal: int = -1, notify: NotifyRelay | None = None
    ) -> int:
        """The exit code of the process: its own, or 128 plus the signal that ended it."""
        relay = _Relay(terminal) if terminal >= 0 else None
        try:
            while True:
                status = self._reap(pid)
                if status is not None:
                    return status
                if self._step(pidfd, relay, notify):
                    notify = None
        finally:
            if relay is not None:
                relay.finish()
            if notify is not None:
                notify.drain()

    def _step(self, pidfd: int, relay: _Relay | None, notify: NotifyRelay | None) -> bool:
        """Deal with what has happened; True when the container has said that it is ready."""
        told = False
        poll = select.poll()
        poll.register(self._signals, select.POLLIN)
        if relay is not None:
            relay.register(poll)
        if notify is not None:
            notify.register(poll)
        for fd, events in poll.poll():
            if fd == self._signals:
                data = os.read(fd, SIGNAL_SIZE * 32)
                for offset in range(0, len(data), SIGNAL_SIZE):
                    number = int.from_bytes(data[offset : offset + 4], "little")
                    self._forward(number, pidfd, relay)
            elif notify is not None and fd == notify.fd:
                told = notify.receive()
            elif relay is not None:
                relay.move(fd, events)
        return told

    def _forward(self, number: int, pidfd: int, relay: _Relay | None) -> None:
        if number == signals.SIGWINCH and relay is not None:
            relay.resize()
        elif number != signals.SIGCHLD:
            process.signal(pidfd, number)

    def _reap(self, pid: int) -> int | None:
        """Collect every child that has ended; a subreaper gets those of the container as well."""
        found = None
        while True:
            try:
                ended, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return found
            if ended == 0:
                return found
            if ended == pid:
                found = exit_code(status)


def exit_code(status: int) -> int:
    if os.WIFSIGNALED(status):
        return 128 + os.WTERMSIG(status)
    return os.WEXITSTATUS(status)


class _Relay:
    """Between the terminal of the container and our standard input and output."""

    __slots__ = ("_input", "_master", "_output", "_saved")

    def __init__(self, master: int) -> None:
        self._master = master
        self._input: int = STDIN
        self._output = True
        self._saved: bytes | None = None
        if os.isatty(STDIN):
            self._saved = syscalls.terminal_raw(STDIN)
        self.resize()

    def resize(self) -> None:
        """The terminal of the container gets the size of ours."""
        rendezvous.copy_window(self._master)

    def register(self, poll: select.poll) -> None:
        if self._output:
            poll.register(self._master, select.POLLIN)
        if self._input >= 0:
            poll.register(self._input, select.POLLIN)

    def move(self, fd: int, events: int) -> None:
        if fd == self._master:
            self._output = _copy(self._master, STDOUT)
        elif not _copy(fd, self._master):
            self._input = -1

    def finish(self) -> None:
        """Bring what the container has written last, and give our terminal back."""
        poll = select.poll()
        poll.register(self._master, select.POLLIN)
        while self._output and poll.poll(0):
            self._output = _copy(self._master, STDOUT)
        if self._saved is not None:
            syscalls.terminal_restore(STDIN, self._saved)


def _copy(source: int, target: int) -> bool:
    """Move what is there; False at the end of the source or when the target is gone."""
    try:
        data = memoryview(os.read(source, CHUNK))
        if not data:
            return False
        while data:
            data = data[os.write(target, data) :]
    except OSError as error:
        # EIO: the last process has closed the other side of the terminal.
        if error.errno in (errno.EIO, errno.EPIPE, errno.EBADF):
            return False
        raise
    return True
