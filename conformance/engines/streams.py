# SPDX-License-Identifier: Apache-2.0
"""A client of the streams of `exec` and `attach`: a WebSocket whose messages begin with a channel.

The server listens in the network namespace of the daemon, so a busybox there carries the bytes.
"""

from __future__ import annotations

import base64
import os
import struct
import subprocess
from collections.abc import Iterator
from types import TracebackType
from typing import BinaryIO, Self
from urllib.parse import urlsplit

from conformance.engines.engine import expect

PROTOCOL = "v4.channel.k8s.io"
STDIN, STDOUT, STDERR, STATUS, RESIZE = range(5)
BINARY, CLOSE = 2, 8
FINAL = MASKED = 0x80
SHORT, WORD, LONG = 125, 126, 127


class Stream:
    """A conversation with a program. `network` is the name of a network namespace."""

    def __init__(self, network: str, url: str):
        parts = urlsplit(url)
        carrier = ("nsenter", f"--net=/run/netns/{network}", "busybox", "nc")
        self.process = subprocess.Popen(
            [*carrier, str(parts.hostname), str(parts.port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.out: BinaryIO = self.process.stdin  # type: ignore[assignment]  # a pipe of bytes
        self.back: BinaryIO = self.process.stdout  # type: ignore[assignment]  # a pipe of bytes
        key = base64.b64encode(os.urandom(16)).decode()
        lines = (
            *(f"GET {parts.path} HTTP/1.1", f"Host: {parts.netloc}", "Connection: Upgrade"),
            *("Upgrade: websocket", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}"),
            *(f"Sec-WebSocket-Protocol: {PROTOCOL}", "", ""),
        )
        self._write("\r\n".join(lines).encode())
        status = self.back.readline()
        expect(b" 101 " in status, repr(status))
        while self.back.readline().strip():
            pass

    def _write(self, data: bytes) -> None:
        self.out.write(data)
        self.out.flush()

    def send(self, channel: int, data: bytes) -> None:
        """Send a message of at most 124 bytes; what a client sends is masked, with zeros here."""
        message = bytes([channel]) + data
        self._write(bytes([FINAL | BINARY, MASKED | len(message)]) + bytes(4) + message)

    def messages(self) -> Iterator[tuple[int, bytes]]:
        """Iterate over (channel, data) until the other side closes."""
        while len(head := self.back.read(2)) == 2 and head[0] & 0x0F != CLOSE:
            size = head[1] & ~MASKED
            if size > SHORT:
                width = {WORD: ">H", LONG: ">Q"}[size]
                (size,) = struct.unpack(width, self.back.read(struct.calcsize(width)))
            message = self.back.read(size)
            if message:
                yield message[0], message[1:]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()
        self.out.close()
        self.back.close()
