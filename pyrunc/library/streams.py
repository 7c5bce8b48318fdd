# SPDX-License-Identifier: Apache-2.0
"""Standard descriptors of a program in a container, given as pipes, files, bytes or nothing.

Every descriptor that is opened here is close-on-exec and belongs to the `Streams` object: the
program's ends are closed as soon as it has them, ours with `close`.
"""

from __future__ import annotations

import fcntl
import os
from io import FileIO
from subprocess import DEVNULL, PIPE, STDOUT
from typing import IO, Any

from pyrunc.errors import StateError, UsageError
from pyrunc.host import syscalls
from pyrunc.library.arguments import quoted

Stream = int | bytes | IO[Any] | None
__all__ = ["DEVNULL", "PIPE", "STDOUT", "Stream", "Streams"]


class Streams:
    """Both ends of a program's three standard descriptors.

    theirs                 what the program gets as 0, 1 and 2
    stdin, stdout, stderr  our end of a pipe, -1 where there is none or it is closed
    """

    __slots__ = ("_files", "_ours", "_owned", "theirs")

    def __init__(self, stdin: Stream, stdout: Stream, stderr: Stream) -> None:
        """Open what is asked for.

        None and DEVNULL: /dev/null. PIPE: a pipe. STDOUT (of stderr): where stdout goes. bytes (of
        stdin): their content. Else a descriptor or an open file, which stays the caller's.
        """
        self._owned: list[int] = []
        self._ours: dict[str, int] = {}
        self._files: dict[str, FileIO] = {}
        try:
            first = self._input(stdin)
            second = self._output(stdout, "stdout")
            third = second if stderr == STDOUT else self._output(stderr, "stderr")
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
            read, self._ours["stdin"] = os.pipe2(os.O_CLOEXEC)
            return self._own(read)
        return _descriptor(stream, name="stdin")

    def _output(self, stream: Stream, name: str) -> int:
        """Return the program's end."""
        if stream is None or stream == DEVNULL:
            return self._null()
        if stream == PIPE:
            self._ours[name], write = os.pipe2(os.O_CLOEXEC)
            return self._own(write)
        return _descriptor(stream, name=name)

    @property
    def stdin(self) -> int:
        return self._fd("stdin")

    @property
    def stdout(self) -> int:
        return self._fd("stdout")

    @property
    def stderr(self) -> int:
        return self._fd("stderr")

    def _fd(self, name: str) -> int:
        file = self._files.get(name)
        if file is not None and file.closed:  # the user of `file` has closed it
            self._ours.pop(name, None)
        return self._ours.get(name, -1)

    def file(self, name: str) -> FileIO:
        """Return our end of a pipe as an unbuffered file; Failure where there is none.

        Unbuffered: what it has not read is still there for whoever reads the descriptor.
        """
        fd = self._fd(name)
        if fd < 0:
            raise StateError(
                f"{name} is no open pipe", hint=f"{name}=PIPE when the program is started"
            )
        if name not in self._files:
            self._files[name] = FileIO(fd, "wb" if name == "stdin" else "rb")
        return self._files[name]

    def close_theirs(self) -> None:
        """Close the program's ends: it has them, or will never have."""
        for fd in self._owned:
            os.close(fd)
        self._owned = []

    def close_stdin(self) -> None:
        self._close("stdin")

    def close(self) -> None:
        """Our ends."""
        for name in ("stdin", "stdout", "stderr"):
            self._close(name)

    def _close(self, name: str) -> None:
        fd, file = self._fd(name), self._files.get(name)
        self._ours.pop(name, None)
        if file is not None:
            file.close()
        elif fd >= 0:
            os.close(fd)


def _descriptor(stream: Stream, *, name: str) -> int:
    if isinstance(stream, bytes) or stream is None:
        raise UsageError(f"{name}: only stdin can be given as bytes")
    try:
        fd = stream if isinstance(stream, int) else int(stream.fileno())
        if fd < 0:
            raise UsageError(f"{name} {fd}: it is no descriptor and none of PIPE and DEVNULL")
        fcntl.fcntl(fd, fcntl.F_GETFD)
    except (OSError, ValueError, TypeError, OverflowError) as error:  # closed, or only in memory
        raise UsageError(
            f"{name} {quoted(stream)}: it has no descriptor ({error})",
            hint="use PIPE and read or write it yourself, or give stdin as bytes",
            value=quoted(stream),
        ) from None
    return fd
