# SPDX-License-Identifier: Apache-2.0
"""Untrusted programs, for tasks."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from types import TracebackType

from pyrunc.aio import work
from pyrunc.aio.container import Container, made
from pyrunc.aio.runtime import Runtime
from pyrunc.library import runtime as blocking_runtime
from pyrunc.library import sandbox as blocking
from pyrunc.library.sandbox import OUTPUT_LIMIT, Result, Stop
from pyrunc.library.spec import Spec


class Sandbox:
    """Run untrusted programs; see `pyrunc.Sandbox`, which takes the same arguments.

    `inner` is that object. Its pool is filled by `async with`.
    """

    def __init__(
        self,
        rootfs: str | os.PathLike[str],
        *,
        memory: int | str | None = "256m",
        cpus: float | None = None,
        pids: int | None = 64,
        scratch: int | str = "64m",
        spec: Spec | None = None,
        runtime: Runtime | blocking_runtime.Runtime | None = None,
        program: Sequence[str] = (),
        pool: int = 0,
        explain: bool = False,
    ) -> None:
        self.inner = blocking.Unfilled(
            rootfs,
            memory=memory,
            cpus=cpus,
            pids=pids,
            scratch=scratch,
            spec=spec,
            runtime=runtime.inner if isinstance(runtime, Runtime) else runtime,
            program=program,
            pool=pool,
            explain=explain,
        )
        self.runtime = (
            runtime if isinstance(runtime, Runtime) else Runtime.around(self.inner.runtime)
        )
        self.spec = self.inner.spec

    async def __aenter__(self) -> Sandbox:
        await work.undone(self.inner.fill, lambda _: self.inner.close())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Delete the containers that wait."""
        await work.shielded(self.inner.close)

    async def waiting(self) -> Container:
        """Make a container that waits to run `program`."""
        return await made(self.inner.waiting, self.runtime)

    async def run(
        self,
        args: Sequence[str] | None = None,
        *,
        input: bytes = b"",
        timeout: float | None = None,
        files: Mapping[str, bytes] | None = None,
        env: Mapping[str, str] | None = None,
        output_limit: int = OUTPUT_LIMIT,
        stop: Stop | None = None,
    ) -> Result:
        """As `pyrunc.Sandbox.run`. When the caller is cancelled, the program is killed."""
        stop = stop or Stop()
        return await work.ended(
            lambda: self.inner.run(
                args,
                input=input,
                timeout=timeout,
                files=files,
                env=env,
                output_limit=output_limit,
                stop=stop,
            ),
            stop.set,
        )
