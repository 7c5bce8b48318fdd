# SPDX-License-Identifier: Apache-2.0
"""Our ends of a program's standard descriptors, for tasks.

Nothing is kept here: what a reader has not returned is still there for `communicate`.
"""

from __future__ import annotations

import asyncio
import os
import select
from collections.abc import AsyncIterator
from io import FileIO

from pyrunc.aio import work
from pyrunc.errors import StateError
from pyrunc.library.parameters import BYTES, COUNT_OR_ALL, check

CHUNK = 65536
# Bytes that a pipe takes at once when poll(2) says that it can be written to.
ROOM = select.PIPE_BUF


class _Pipe:
    def __init__(self, file: FileIO) -> None:
        self._file = file
        self._turn = asyncio.Lock()  # of tasks: a second one would block the loop

    @property
    def closed(self) -> bool:
        """Whether our end is closed."""
        return self._file.closed

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._file.fileno()

    def close(self) -> None:
        """Close our end."""
        self._file.close()

    def _fd(self) -> int:
        if self._file.closed:
            raise StateError("the pipe is closed")
        return self._file.fileno()


class Reader(_Pipe):
    """What a program writes. Lines can be iterated over: ``async for line in process.stdout``."""

    async def read(self, size: int = -1) -> bytes:
        """Return what is there, at most `size` bytes, or everything to the end; b"" at the end."""
        check("size", size, COUNT_OR_ALL)
        async with self._turn:
            if size >= 0:
                return await self._some(size)
            parts = []
            while part := await self._some(CHUNK):
                parts.append(part)
            return b"".join(parts)

    async def readall(self) -> bytes:
        """Return everything to the end."""
        return await self.read()

    async def readline(self) -> bytes:
        """Return a line with its end; b"" at the end of the pipe."""
        async with self._turn:
            line = bytearray()
            while not line.endswith(b"\n") and (part := await self._some(1)):
                line += part
            return bytes(line)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while line := await self.readline():
            yield line

    async def _some(self, size: int) -> bytes:
        if not select_now(self._fd(), select.POLLIN):
            await work.readable(self._fd())
        return os.read(self._fd(), size)


class Writer(_Pipe):
    """What a program reads. Closing it is the end of the program's input."""

    async def write(self, data: bytes) -> int:
        """Write all of `data`, however long the program lets us wait; return its length.

        BrokenPipeError when the program reads no more.
        """
        check("data", data, BYTES)
        whole = left = memoryview(data).cast("B")
        async with self._turn:
            while left:
                if not select_now(self._fd(), select.POLLOUT):
                    await work.writable(self._fd())
                left = left[os.write(self._fd(), left[:ROOM]) :]
        return len(whole)


def select_now(fd: int, event: int) -> bool:
    """Whether a descriptor is ready."""
    poll = select.poll()
    poll.register(fd, event)
    return bool(poll.poll(0))
