# SPDX-License-Identifier: Apache-2.0
"""Standard descriptors of a program in a container, given as pipes, files, bytes or nothing.

Every descriptor that is opened here is close-on-exec and belongs to the `Streams` object: the
program's ends are closed as soon as it has them, ours with `close`.
"""

from __future__ import annotations

import os
from subprocess import DEVNULL, PIPE, STDOUT
from typing import IO, Any

from pyrunc.errors import UsageError
from pyrunc.host import syscalls

Stream = int | bytes | IO[Any] | None
__all__ = ["DEVNULL", "PIPE", "STDOUT", "Stream", "Streams"]


class Streams:
    """Both ends of a program's three standard descriptors.

    theirs                 what the program gets as 0, 1 and 2
    stdin, stdout, stderr  our end of a pipe, -1 where there is none
    """

    __slots__ = ("_owned", "stderr", "stdin", "stdout", "theirs")

    def __init__(self, stdin: Stream, stdout: Stream, stderr: Stream) -> None:
        """Open what is asked for.

        None and DEVNULL: /dev/null. PIPE: a pipe. STDOUT (of stderr): where stdout goes. bytes (of
        stdin): their content. Else a descriptor or an open file, which stays the caller's.
        """
        self._owned: list[int] = []
        self.stdin = self.stdout = self.stderr = -1
        try:
            first = self._input(stdin)
            second, self.stdout = self._output(stdout)
            third, self.stderr = (second, -1) if stderr == STDOUT else self._output(stderr)
        except BaseException:
            self.close_theirs()
            self.close()
            raise
        self.theirs = (first, second, third)

    def _own(self, fd: int) -> int:
        self._owned.append(fd)
        return fd

    def _null(self) -> int:
        return self._own(os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC))

    def _input(self, stream: Stream) -> int:
        if stream is None or stream == DEVNULL:
            return self._null()
        if isinstance(stream, bytes):
            fd = self._own(syscalls.memfd_sealed(b"stdin", stream))
            os.lseek(fd, 0, os.SEEK_SET)
            return fd
        if stream == PIPE:
            read, self.stdin = os.pipe2(os.O_CLOEXEC)
            return self._own(read)
        return _descriptor(stream, name="stdin")

    def _output(self, stream: Stream) -> tuple[int, int]:
        """Return (the program's end, ours or -1)."""
        if stream is None or stream == DEVNULL:
            return self._null(), -1
        if stream == PIPE:
            read, write = os.pipe2(os.O_CLOEXEC)
            return self._own(write), read
        return _descriptor(stream, name="stdout or stderr"), -1

    def close_theirs(self) -> None:
        """Close the program's ends: it has them, or will never have."""
        for fd in self._owned:
            os.close(fd)
        self._owned = []

    def close_stdin(self) -> None:
        if self.stdin >= 0:
            os.close(self.stdin)
            self.stdin = -1

    def close(self) -> None:
        """Our ends."""
        self.close_stdin()
        for fd in (self.stdout, self.stderr):
            if fd >= 0:
                os.close(fd)
        self.stdout = self.stderr = -1


def _descriptor(stream: Stream, *, name: str) -> int:
    if isinstance(stream, int):
        if stream < 0:
            raise UsageError(f"{name}: {stream} is no descriptor and none of PIPE, DEVNULL, STDOUT")
        return stream
    if stream is None or isinstance(stream, bytes):
        raise UsageError(f"{name}: only stdin can be given as bytes")
    return int(stream.fileno())
