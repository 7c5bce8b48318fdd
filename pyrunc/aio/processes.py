# SPDX-License-Identifier: Apache-2.0
"""A program in a container, for tasks."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from pyrunc.aio import work
from pyrunc.aio.pipes import Reader, Writer
from pyrunc.library import processes as blocking
from pyrunc.library.parameters import check, kind_of
from pyrunc.library.processes import MOST_OUTPUT, Completed, TimeoutExpired


class Process:
    """A program in a container; see `pyrunc.Process`. `inner` is that object."""

    def __init__(self, inner: blocking.Process) -> None:
        self.inner = inner
        self._pipes: dict[str, Reader | Writer] = {}

    def __repr__(self) -> str:
        return f"aio.{self.inner!r}"

    @property
    def pid(self) -> int:
        """The number of the process on the host."""
        return self.inner.pid

    @property
    def pidfd(self) -> int:
        """The descriptor of the process, -1 when it is closed."""
        return self.inner.pidfd

    @property
    def terminal(self) -> int:
        """The master of its terminal, or -1."""
        return self.inner.terminal

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await work.shielded(self.inner.__exit__, kind, error, trace)

    @property
    def stdin(self) -> Writer:
        """The pipe into the program; close it for an end of file. StateError if there is none.

        `stdout` and `stderr` are the pipes out of it. What they have not read is still there for
        `communicate`.
        """
        file = self.inner.stdin
        pipe = self._pipes.setdefault("stdin", Writer(file))
        assert isinstance(pipe, Writer)
        return pipe

    @property
    def stdout(self) -> Reader:
        """The pipe from the program's standard output."""
        return self._reader("stdout")

    @property
    def stderr(self) -> Reader:
        """The pipe from the program's standard error."""
        return self._reader("stderr")

    def _reader(self, name: str) -> Reader:
        file = self.inner.stdout if name == "stdout" else self.inner.stderr
        pipe = self._pipes.setdefault(name, Reader(file))
        assert isinstance(pipe, Reader)
        return pipe

    def kill(self, signal: int | str = 9) -> bool:
        """Send a signal, a number or a name such as TERM; False when the process has ended."""
        return self.inner.kill(signal)

    def end(self) -> None:
        """Kill the process and all of its session, which is what it has started."""
        self.inner.end()

    @property
    def returncode(self) -> int | None:
        """The exit code, None while the process runs."""
        return self.inner.poll()

    def poll(self) -> int | None:
        """Return the exit code, None while the process runs."""
        return self.inner.poll()

    async def wait(self, timeout: float | None = None) -> int:
        """Return the exit code.

        TimeoutExpired, which is a TimeoutError, after `timeout` seconds; the process goes on then.
        """
        if kind := kind_of("wait", "timeout"):
            check("timeout", timeout, kind)
        try:
            async with asyncio.timeout(timeout):
                with self.inner._using():
                    while (code := self.inner.poll()) is None:
                        await work.readable(self.inner.pidfd)
                    return code
        except TimeoutError:
            raise TimeoutExpired(f"process {self.pid} did not end", seconds=timeout or 0) from None

    async def communicate(
        self, input: bytes = b"", *, timeout: float | None = None, limit: int = MOST_OUTPUT
    ) -> Completed:
        """As `pyrunc.Process.communicate`. When the caller is cancelled, the process is killed."""
        return await work.ended(
            lambda: self.inner.communicate(input, timeout=timeout, limit=limit), self.inner.end
        )

    def close(self) -> None:
        """Let go of the descriptors. A child that has not ended is not collected any more."""
        self.inner.close()
