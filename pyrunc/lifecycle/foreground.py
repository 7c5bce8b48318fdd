# SPDX-License-Identifier: Apache-2.0
"""Stay with a process to its end: forward signals, relay its terminal, reap its orphans."""

from __future__ import annotations

import errno
import os
import select

from pyrunc.host import process, syscalls, terminals
from pyrunc.lifecycle import handover

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as signals
    from typing import Final

    from pyrunc.lifecycle.service_manager import Relay as NotifyRelay
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
PIPE_BUF: Final = 4096  # a pipe that is ready takes so much without blocking
GONE: Final = (errno.EIO, errno.EPIPE, errno.EBADF)
SIGNAL_SIZE: Final = 128  # struct signalfd_siginfo; it begins with the number, 32 bits
STDIN, STDOUT = 0, 1
RAW_ENDS: Final = 3  # how often line editors are told, which read byte by byte
FIRST_END_MS: Final = 50
LAST_END_MS: Final = 5000


class Foreground:
    """Signals are held back from the moment this is made, so that none is lost before `wait`."""

    __slots__ = ("_signals",)

    def __init__(self) -> None:
        self._signals = syscalls.hold_signals(KEPT)

    def wait(
        self, pid: int, pidfd: int, *, terminal: int = -1, notify: NotifyRelay | None = None
    ) -> int:
        """Wait for the process; return its exit code, or 128 plus the signal that ended it."""
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
        ready = poll.poll(relay.patience() if relay is not None else None)
        if relay is not None and not ready:
            relay.end_again()
        for fd, events in ready:
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
        code = None
        while True:
            try:
                ended, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return code
            if ended == 0:
                return code
            if ended == pid:
                code = process.exit_code(status)


class _Relay:
    """Between the terminal of the container and our standard input and output.

    What one side does not take is kept, and nothing more is read for it, so that signals are
    forwarded meanwhile. The master is ours alone and does not block. Our standard output is shared
    with others, so its mode stays: it is written to when it is ready, no more than a pipe takes.

    The end of an input that is no terminal becomes the character for it. A terminal's end of file
    holds for one read, and one that was not read yet is lost when the program changes the mode of
    the terminal, as shells do: so it is sent again and again. To a program that reads byte by byte
    it is a byte as any other: it gets a few, then its reads end empty.
    """

    __slots__ = (
        "_end_ms",
        "_input",
        "_master",
        "_output",
        "_raw_ends",
        "_saved",
        "_shown",
        "_typed",
    )

    def __init__(self, master: int) -> None:
        os.set_blocking(master, False)
        self._master = master
        self._input: int = STDIN
        self._output = True
        self._typed = b""  # for the container
        self._shown = b""  # for us
        self._end_ms: int | None = None  # until the end of the input is sent again
        self._raw_ends = 0  # how often in a row it was sent to a program that reads bytes
        self._saved: bytes | None = None
        if os.isatty(STDIN):
            self._saved = terminals.raw(STDIN, lines=not os.isatty(STDOUT))
        self.resize()

    def patience(self) -> int | None:
        """How many milliseconds to wait for an event; None: for ever."""
        return self._end_ms

    def end_again(self) -> None:
        """Nothing happened for that long: tell the program again that no more will be typed."""
        assert self._end_ms is not None
        self._end_ms = min(self._end_ms * 2, LAST_END_MS)
        if not self._typed:
            self._typed = self._end()
            self._type()

    def _end(self) -> bytes:
        """Return what tells the program that no more will be typed; empty: it knows."""
        try:
            byte, raw = terminals.end_of_input(self._master, exhausted=self._raw_ends >= RAW_ENDS)
        except OSError as error:
            if error.errno in GONE:
                return b""
            raise
        self._raw_ends = self._raw_ends + 1 if raw else 0
        return byte

    def resize(self) -> None:
        """Give the terminal of the container the size of the caller's."""
        handover.copy_window(self._master)

    def register(self, poll: select.poll) -> None:
        events = select.POLLOUT if self._typed else 0
        if self._shown:
            poll.register(STDOUT, select.POLLOUT)
        elif self._output:
            events |= select.POLLIN
        if events:
            poll.register(self._master, events)
        if self._input >= 0 and not self._typed:
            poll.register(self._input, select.POLLIN)

    def move(self, fd: int, events: int) -> None:
        if fd == STDOUT:
            self._show()
        elif fd == self._input:
            typed = _read(fd)
            if typed is None:
                self._input, self._end_ms = -1, FIRST_END_MS
            self._typed = self._end() if typed is None else typed
            self._type()
        else:
            self._type()
            if self._output and not self._shown and events & ~select.POLLOUT:
                self._take()

    def _take(self) -> None:
        shown = _read(self._master)
        self._output = shown is not None
        self._shown = shown or b""

    def _show(self) -> None:
        written = _write(STDOUT, self._shown[:PIPE_BUF])
        self._shown = self._shown[written:] if written >= 0 else b""
        self._output = self._output and written >= 0

    def _type(self) -> None:
        written = _write(self._master, self._typed)
        self._typed = self._typed[written:] if written >= 0 else b""

    def finish(self) -> None:
        """Bring what the container has written last, and give our terminal back."""
        source, target = select.poll(), select.poll()
        source.register(self._master, select.POLLIN)
        target.register(STDOUT, select.POLLOUT)
        while self._output and (self._shown or source.poll(0)):
            if self._shown:
                target.poll()
                self._show()
            else:
                self._take()
        if self._saved is not None:
            terminals.restore(STDIN, self._saved)


def _read(fd: int) -> bytes | None:
    """Read what is there; None at the end."""
    try:
        return os.read(fd, CHUNK) or None
    except BlockingIOError:
        return b""
    except OSError as error:
        # EIO: the last process has closed the other side of the terminal.
        if error.errno in GONE:
            return None
        raise


def _write(fd: int, data: bytes) -> int:
    """How much the target has taken; -1 when it is gone."""
    try:
        return os.write(fd, data) if data else 0
    except BlockingIOError:
        return 0
    except OSError as error:
        if error.errno in GONE:
            return -1
        raise
