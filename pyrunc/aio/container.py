# SPDX-License-Identifier: Apache-2.0
"""One container, for tasks."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pyrunc.aio import work
from pyrunc.aio.processes import Process
from pyrunc.library import container as blocking
from pyrunc.library.processes import MOST_OUTPUT, Completed
from pyrunc.library.records import Sink
from pyrunc.library.results import Event, MountEntry, ProcessEntry, Stats
from pyrunc.library.spec import Spec
from pyrunc.library.streams import PIPE, Stream

if TYPE_CHECKING:
    from pyrunc.aio.runtime import Runtime

RETRY_S = 0.01


class Container(Process):
    """A container; see `pyrunc.Container`. `inner` is that object, `runtime` who made it.

    What is read from the state root is a coroutine here: `status`, `state` and `spec`.
    """

    inner: blocking.Container

    def __init__(self, inner: blocking.Container, runtime: Runtime) -> None:
        super().__init__(inner)
        self.id = inner.id
        self.runtime = runtime
        self.warnings = inner.warnings

    @property
    def sink(self) -> Sink:
        """What gets the records of this container's calls: the `log` of its runtime."""
        return self.inner.sink

    # -- life --------------------------------------------------------------------------------------

    async def status(self) -> str:
        """Return created, running, paused or stopped."""
        return await work.thread(lambda: self.inner.status)

    async def state(self) -> dict[str, Any]:
        """Return the state as the OCI specification defines it."""
        return await work.thread(lambda: self.inner.state)

    async def spec(self) -> Spec:
        """Return the configuration that it was made of, after policies and with absolute paths."""
        return await work.thread(lambda: self.inner.spec)

    async def start(self) -> Container:
        """Let the program run. InitError when it cannot be executed."""
        await work.thread(self.inner.start)
        return self

    def kill(self, signal: int | str = 9) -> bool:
        """Signal the init, with SIGKILL everything; False when the container has stopped."""
        return self.inner.kill(signal)

    def end(self) -> None:
        """Kill everything in the container."""
        self.inner.end()

    async def pause(self) -> None:
        """Freeze all processes."""
        await work.shielded(self.inner.pause)

    async def resume(self) -> None:
        """Let frozen processes go on."""
        await work.shielded(self.inner.resume)

    async def delete(self, *, force: bool = False) -> None:
        """Remove the container; `force` kills it first. It is not given up when cancelled."""
        await work.shielded(self.inner.delete, force=force)

    # -- more processes ----------------------------------------------------------------------------

    async def spawn(
        self,
        args: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        user: int | tuple[int, int] | None = None,
        terminal: bool = False,
        stdin: Stream = None,
        stdout: Stream = None,
        stderr: Stream = None,
    ) -> Process:
        """Start one more process; see `pyrunc.Container.spawn`. When cancelled, it is killed."""
        inner = await work.undone(
            lambda: self.inner.spawn(
                args,
                env=env,
                cwd=cwd,
                user=user,
                terminal=terminal,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
            ),
            lambda process: process.__exit__(None, None, None),
        )
        return Process(inner)

    async def exec(
        self,
        args: Sequence[str],
        *,
        input: bytes = b"",
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        user: int | tuple[int, int] | None = None,
        terminal: bool = False,
        limit: int = MOST_OUTPUT,
    ) -> Completed:
        """Run one more program to its end; see `pyrunc.Container.exec`.

        When the caller is cancelled, it is killed.
        """
        started = await self.spawn(
            args,
            env=env,
            cwd=cwd,
            user=user,
            terminal=terminal,
            stdin=PIPE if input else None,
            stdout=PIPE,
            stderr=PIPE,
        )
        async with started as process:
            return await process.communicate(input, timeout=timeout, limit=limit)

    # -- limits and figures ------------------------------------------------------------------------

    async def update(
        self,
        resources: Mapping[str, Any] | None = None,
        *,
        memory: int | str | None = None,
        cpus: float | None = None,
        pids: int | None = None,
        dry_run: bool = False,
        reclaim: float = 0.0,
    ) -> list[str]:
        """Change limits; see `pyrunc.Container.update`."""
        return await work.shielded(
            self.inner.update,
            resources,
            memory=memory,
            cpus=cpus,
            pids=pids,
            dry_run=dry_run,
            reclaim=reclaim,
        )

    async def stats(self) -> Stats:
        """Return the figures of the container's cgroups."""
        return await work.thread(self.inner.stats)

    async def oom_kills(self) -> int:
        """How many processes of the container the kernel has killed for its memory limit."""
        return await work.thread(self.inner.oom_kills)

    async def events(self, *, interval: float = 5.0) -> AsyncIterator[Event]:
        """OOM kills, figures and the end; closing the iterator lets go of its descriptors."""
        iterator = self.inner.events(interval=interval)
        try:
            while (event := await work.own_thread(lambda: next(iterator, None))) is not None:
                yield event
        finally:
            await work.shielded(_close, iterator)

    async def processes(self) -> list[ProcessEntry]:
        """Return the processes in the container's cgroups."""
        return await work.thread(self.inner.processes)

    async def mounts(self) -> list[MountEntry]:
        """Return the mounts that the init sees."""
        return await work.thread(self.inner.mounts)

    # -- checkpoints -------------------------------------------------------------------------------

    async def checkpoint(
        self, images: str | os.PathLike[str], *, leave_running: bool = False
    ) -> None:
        """Save the container with CRIU into a directory; see `pyrunc.Container.checkpoint`."""
        await work.shielded(self.inner.checkpoint, images, leave_running=leave_running)

    async def restore(
        self,
        images: str | os.PathLike[str],
        *,
        stdin: Stream = None,
        stdout: Stream = None,
        stderr: Stream = None,
    ) -> Container:
        """Bring it back after `checkpoint`; see `pyrunc.Container.restore`."""
        return await made(
            lambda: self.inner.restore(images, stdin=stdin, stdout=stdout, stderr=stderr),
            self.runtime,
        )

    async def refused(self) -> list[str]:
        """Return the system calls that the filter refused, a line each."""
        return await work.thread(self.inner.refused)


async def made(make: Callable[[], blocking.Container], runtime: Runtime) -> Container:
    """Make a container in a thread; it is deleted when the caller is cancelled meanwhile."""
    inner = await work.undone(make, lambda container: container.delete(force=True))
    return Container(inner, runtime)


def _close(iterator: Iterator[Event]) -> None:
    """Close a generator, once the step that a thread still takes is over."""
    while True:
        try:
            iterator.close()  # type: ignore[attr-defined]  # it is a generator
            return
        except ValueError:  # it is executing
            time.sleep(RETRY_S)
