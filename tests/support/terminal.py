# SPDX-License-Identifier: Apache-2.0
"""The other ends of what a runtime hands over: terminals, console sockets, notification sockets."""

from __future__ import annotations

import array
import fcntl
import os
import pty
import socket
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from tests.support.wait import readable


class FdSocket:
    """Listens on a socket file and takes one message with its descriptors."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data = b""
        self.fds: list[int] = []
        # A path may be longer than the kernel takes: bind through the directory.
        self._directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(f"/proc/self/fd/{self._directory}/{path.name}")
        self._listener.listen()
        self._listener.settimeout(30)
        self._thread = threading.Thread(target=self._take)
        self._thread.start()

    def _take(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # closed: nobody came
            return
        with connection:
            data, ancillary, _flags, _address = connection.recvmsg(4096, socket.CMSG_SPACE(64))
        self.data = data
        for _level, _type, content in ancillary:
            self.fds += array.array("i", content[: len(content) // 4 * 4])

    def wait(self) -> int:
        """The descriptor that came."""
        self._thread.join(30)
        assert len(self.fds) == 1, f"{len(self.fds)} descriptors came with {self.data!r}"
        return self.fds[0]

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(30)
        for fd in (*self.fds, self._directory):
            os.close(fd)


class Terminal:
    """A command whose standard descriptors are a terminal of ours."""

    def __init__(self, argv: Sequence[str], *, rows: int = 24, columns: int = 80) -> None:
        self.master, peer = pty.openpty()
        self.size(rows, columns)
        self.seen = b""
        self.process = subprocess.Popen(
            argv, stdin=peer, stdout=peer, stderr=peer, start_new_session=True
        )
        os.close(peer)

    def size(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def expect(self, text: str, *, patience_s: float = 20) -> str:
        """Read until the text was seen; what was seen."""
        read_until(self, text.encode(), patience_s)
        return self.seen.decode(errors="replace")

    def end(self) -> int:
        """Read to the end; the exit status."""
        read_until(self, None, 20)
        return self.process.wait(20)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)


def read_until(terminal: Terminal, text: bytes | None, patience_s: float) -> None:
    deadline = time.monotonic() + patience_s
    while text is None or text not in terminal.seen:
        if readable(terminal.master, 0.1):
            try:
                data = os.read(terminal.master, 4096)
            except OSError:  # the other side is closed
                data = b""
            if not data and text is None:
                return
            terminal.seen += data
            if not data:
                raise AssertionError(f"the end came before {text!r}: {terminal.seen!r}")
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {patience_s} s: {text!r} in {terminal.seen!r}")


def window(fd: int) -> tuple[int, int]:
    """Rows and columns of a terminal."""
    rows, columns, _, _ = struct.unpack("HHHH", fcntl.ioctl(fd, termios.TIOCGWINSZ, bytes(8)))
    return rows, columns
