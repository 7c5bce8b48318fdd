# SPDX-License-Identifier: Apache-2.0
"""A process that this program has started in a container: its output, its end, its exit code.

The process is held by a pidfd, never by its number. Waiting polls that descriptor: no signal
handler, no thread, no polling in a loop. Any thread may wait; the one that comes first collects the
exit status for all.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from io import FileIO
from types import TracebackType
from typing import NoReturn

from pyrunc.errors import StateError
from pyrunc.host import process, syscalls
from pyrunc.library.parameters import checked
from pyrunc.library.streams import Streams
from pyrunc.spec.signals import parse_signal

CHUNK = 65536
PIPE_MAX = 1 << 20  # more than a pipe that nobody has enlarged can hold (16 pages), in bytes
MOST_MS = 2**31 - 1  # of poll(2): a C integer
MOST_OUTPUT = 1 << 30  # bytes that are kept of an output where nothing else is said
UNKNOWN = -1  # exit code of a process that somebody else has collected


class TimeoutExpired(StateError, TimeoutError):
    """Something did not happen in time; `seconds` is the time that it had."""

    errno: int

    def __init__(self, message: str, *, seconds: float) -> None:
        super().__init__(f"{message} within {seconds:g} s")
        self.seconds = seconds


@dataclass(frozen=True)
class Completed:
    """How a program ended.

    Its exit code (128 plus the signal that ended it), what it printed, and whether it was killed
    because its time was over.
    """

    returncode: int
    stdout: bytes
    stderr: bytes
    timed_out: bool = False

    @property
    def text(self) -> str:
        """The standard output as text; bytes that are no UTF-8 are replaced."""
        return self.stdout.decode("utf-8", "replace")

    def check(self) -> Completed:
        """Return this result again; StateError when the exit code is not 0."""
        if self.returncode:
            last = self.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
            raise StateError(f"the program ended with {self.returncode}", detail="".join(last))
        return self


class Process:
    """A started program.

    At the end of a ``with`` block it is killed; `close` alone lets go of the descriptors, and the
    program goes on. `pid` is its number on the host, `pidfd` its descriptor, `terminal` the master
    of its terminal or -1.
    """

    def __init__(
        self, *, pid: int, pidfd: int, streams: Streams, terminal: int = -1, child: bool = True
    ) -> None:
        """Take over `pidfd`, `streams` and `terminal` (the master of its terminal, or -1).

        `child`: this program is its parent.
        """
        self.pid = pid
        self.pidfd = pidfd
        self.streams = streams
        self.terminal = terminal
        self._child = child
        self._lock = threading.Lock()
        self._code: int | None = None if pidfd >= 0 else UNKNOWN  # it had ended already
        self._users = 0  # threads that wait or communicate: the descriptors must outlast them
        self._closed = False
        self._maker = os.getpid()  # a fork of it has a copy of this handle, and ends nothing

    def __repr__(self) -> str:
        return f"Process({self.pid})"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{self!r} holds descriptors of this program and cannot be pickled: give the id of the "
            "container to the other one, where Runtime.get makes a handle of it"
        )

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if os.getpid() == self._maker and self.poll() is None:
            self.end()
            self.wait()
        self.close()

    @property
    def stdin(self) -> FileIO:
        """The pipe into the program, unbuffered; close it for an end of file. StateError if none.

        `stdout` and `stderr` are the pipes out of it. What they have not read is still there for
        `communicate`.
        """
        return self.streams.file("stdin")

    @property
    def stdout(self) -> FileIO:
        """The pipe from the program's standard output, unbuffered."""
        return self.streams.file("stdout")

    @property
    def stderr(self) -> FileIO:
        """The pipe from the program's standard error, unbuffered."""
        return self.streams.file("stderr")

    @checked
    def kill(self, signal: int | str = process.SIGKILL) -> bool:
        """Send a signal, a number or a name such as TERM; False when the process has ended."""
        number = number_of(signal)
        with self._lock:
            return self._code is None and self.pidfd >= 0 and process.signal(self.pidfd, number)

    def end(self) -> None:
        """Kill the process and all of its session, which is what it has started.

        A program with a session of its own is not reached; the end of the container ends it.
        """
        if self.kill():
            process.kill_session(self.pid)

    def __del__(self) -> None:
        """Let go of the descriptors of a handle that nobody has closed."""
        if getattr(self, "_closed", True):
            return
        if self.pidfd >= 0:
            warnings.warn(f"{self!r} was not closed", ResourceWarning, source=self, stacklevel=2)
        self._users = 0
        self._closed = True
        self._let_go()

    @property
    def returncode(self) -> int | None:
        """The exit code, None while the process runs."""
        return self.poll()

    def poll(self) -> int | None:
        """Return the exit code, None while the process runs."""
        with self._lock:
            if self._code is None and self.pidfd >= 0:
                self._code = self._collect()
            return self._code

    def _collect(self) -> int | None:
        if not self._child:
            return exit_code_of(self.pidfd) if process.wait_dead(self.pidfd, 0) else None
        try:
            ended = syscalls.waitid_pidfd(self.pidfd, nohang=True)
        except ChildProcessError:  # reaped by a handler of this program, or a child of our parent
            return exit_code_of(self.pidfd) if process.wait_dead(self.pidfd, 0) else None
        if ended is None:
            return None
        code, status = ended
        return status if code == syscalls.CLD_EXITED else 128 + status

    @checked
    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code.

        TimeoutExpired after `timeout` seconds; the process goes on then.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._using():
            while (code := self.poll()) is None:
                if (
                    not process.wait_dead(self.pidfd, _milliseconds(deadline))
                    and timeout is not None
                ):
                    raise TimeoutExpired(f"process {self.pid} did not end", seconds=timeout)
            return code

    @contextlib.contextmanager
    def _using(self) -> Iterator[None]:
        """Keep the descriptors open meanwhile: a number that is closed may be given to others."""
        with self._lock:
            if self._closed and self._code is None:
                raise StateError(f"the handle of process {self.pid} is closed")
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                self._let_go()

    @checked
    def communicate(
        self, input: bytes = b"", *, timeout: float | None = None, limit: int = MOST_OUTPUT
    ) -> Completed:
        """Feed standard input, read both outputs to their ends, wait.

        When `timeout` seconds are over, the process is killed. Of each output at most `limit` bytes
        are kept. With a terminal, `input` is what is typed, and what it shows is the output.
        """
        with self._using():
            return self._communicate(input, timeout=timeout, limit=limit)

    def _communicate(self, input: bytes, *, timeout: float | None, limit: int) -> Completed:
        deadline = None if timeout is None else time.monotonic() + timeout
        pump = _Pump(self.streams, input, limit=limit, terminal=self.terminal)
        try:
            timed_out = not pump.run(deadline, until=self.pidfd)
            if timed_out:
                self.end()
                pump.run(time.monotonic() + 1, until=self.pidfd)  # what it had written
            try:
                code = self.wait(None if timed_out or deadline is None else _seconds(deadline))
            except TimeoutExpired:
                timed_out = True
                self.end()
                code = self.wait()
            pump.drain()
        finally:
            pump.close()
        self.streams.close()
        return Completed(code, pump.output(0), pump.output(1), timed_out)

    def close(self) -> None:
        """Let go of the descriptors. A child that has not ended is not collected any more.

        Where other threads wait for the process, the last of them closes the descriptors.
        """
        self.poll()
        with self._lock:
            self._closed = True
            self._let_go()

    def _let_go(self) -> None:
        if not self._closed or self._users:
            return
        self.streams.close()
        for fd in (self.pidfd, self.terminal):
            if fd >= 0:
                os.close(fd)
        self.pidfd = self.terminal = -1


def number_of(signal: int | str) -> int:
    """Return the number of a signal that is one by its name."""
    return parse_signal(signal) if isinstance(signal, str) else int(signal)


class _Pump:
    """Moves bytes between us and a program, as its descriptors are ready."""

    def __init__(self, streams: Streams, input: bytes, *, limit: int, terminal: int) -> None:
        self._streams = streams
        self._input = memoryview(input)
        self._limit = limit
        self._kept: list[list[bytes]] = [[], []]
        self._size = [0, 0]
        shown = streams.stdout if terminal < 0 else terminal
        self._open = {fd: at for at, fd in enumerate((shown, streams.stderr)) if fd >= 0}
        self._into = streams.stdin  # what is fed, or -1
        if terminal >= 0 and input:
            self._into = os.dup(terminal)  # its end is no end of the terminal
        if self._into >= 0:
            os.set_blocking(self._into, False)
            self._feed()

    def output(self, at: int) -> bytes:
        return b"".join(self._kept[at])

    def run(self, deadline: float | None, *, until: int) -> bool:
        """Move bytes until both outputs are at their ends or the process of the pidfd has ended.

        False when the time is over before. What others still write after the end is not waited
        for, and a pipe that is never empty does not hold up the deadline.
        """
        while self._open or self._into >= 0:
            poll = select.poll()
            poll.register(until, select.POLLIN)
            for fd in self._open:
                poll.register(fd, select.POLLIN)
            if self._into >= 0:
                poll.register(self._into, select.POLLOUT)
            left_ms = _milliseconds(deadline)
            ready = poll.poll(left_ms)
            if not ready:
                return False
            fds = {fd for fd, _ in ready}
            if self._into in fds:
                self._feed()
            for fd in fds & self._open.keys():
                self._take(fd)
            if until in fds:  # its children may hold the pipes, but nobody waits for those
                return True
            if left_ms == 0:
                return False
        return True

    def drain(self) -> None:
        """Read what is in the pipes of a program that has ended.

        No more than pipes can hold: children that outlive it may write for ever.
        """
        end = sum(self._size) + len(self._open) * PIPE_MAX
        while self._open and sum(self._size) < end:
            poll = select.poll()
            for fd in self._open:
                poll.register(fd, select.POLLIN)
            ready = poll.poll(0)
            if not ready:
                return
            for fd, _ in ready:
                self._take(fd)

    def _take(self, fd: int) -> None:
        at = self._open[fd]
        try:
            data = os.read(fd, CHUNK)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            data = b""  # of a terminal that nobody has open on the other side
        if not data:
            del self._open[fd]
            return
        room = self._limit - self._size[at]
        self._size[at] += len(data)
        if room > 0:
            self._kept[at].append(data[:room])

    def _feed(self) -> None:
        try:
            while self._input:
                self._input = self._input[os.write(self._into, self._input) :]
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionResetError):  # the program does not read it
            self._input = memoryview(b"")
        except OSError as error:
            if error.errno != errno.EIO:  # of a terminal: nobody has the other side open
                raise
        if self._into == self._streams.stdin:
            self._streams.close_stdin()
        else:
            os.close(self._into)
        self._into = -1

    def close(self) -> None:
        """Let go of the terminal that is being fed; the streams are the process's."""
        if self._into >= 0 and self._into != self._streams.stdin:
            os.close(self._into)
        self._into = -1


def _seconds(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())


def _milliseconds(deadline: float | None) -> int:
    """Return what is left for poll(2), whose time-outs are C integers; -1: no end."""
    return -1 if deadline is None else int(min(_seconds(deadline) * 1000 + 0.999, MOST_MS))


def exit_code_of(pidfd: int) -> int:
    """Return the exit code that the kernel keeps behind a pidfd (Linux 6.15), or UNKNOWN."""
    status = process.exit_status(pidfd)
    return UNKNOWN if status is None else process.exit_code(status)
