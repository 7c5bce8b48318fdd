# SPDX-License-Identifier: Apache-2.0
"""The library for asyncio: the same operations, awaitable and cancellable.

What makes or changes a container runs in a worker thread; waiting for the end of a process and for
its output uses the event loop. An operation that is cancelled finishes in its thread, and what it
made is deleted then: nothing leaks.
"""

from __future__ import annotations

import asyncio
import builtins
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from pyrunc.library import container as blocking
from pyrunc.library import processes
from pyrunc.library import runtime as blocking_runtime
from pyrunc.library import sandbox as blocking_sandbox
from pyrunc.library.creation import Configuration
from pyrunc.library.processes import Completed
from pyrunc.library.results import Entry, Event, Explained, MountEntry, ProcessEntry, Report, Stats
from pyrunc.library.streams import PIPE

P = ParamSpec("P")
T = TypeVar("T")


async def _thread(call: Callable[P, T], /, *args: P.args, **options: P.kwargs) -> T:
    return await asyncio.to_thread(call, *args, **options)


async def _thread_undone(call: Callable[[], T], undo: Callable[[T], object]) -> T:
    """Return what a call in a thread gives; undo that when the caller is cancelled meanwhile."""
    lock, made = threading.Lock(), list[T]()
    abandoned = False

    def work() -> T:
        result = call()
        with lock:
            wanted = not abandoned
            made.append(result)
        if not wanted:
            undo(result)
        return result

    loop = asyncio.get_running_loop()
    try:
        return await loop.run_in_executor(None, work)
    except asyncio.CancelledError:
        with lock:
            abandoned = True
            late = bool(made)
        if late:  # it was done, and nobody will hear of it
            loop.run_in_executor(None, undo, made[0])
        raise


class Process:
    """A program in a container; see `pyrunc.Process`."""

    def __init__(self, inner: processes.Process) -> None:
        self.inner = inner

    @property
    def pid(self) -> int:
        return self.inner.pid

    async def __aenter__(self) -> Process:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.inner.poll() is None:
            await _thread(self.inner.end)
            await asyncio.shield(self.wait())
        self.inner.close()

    def kill(self, signal: int | str = 9) -> bool:
        return self.inner.kill(signal)

    async def wait(self, timeout: float | None = None) -> int:
        """Return the exit code.

        TimeoutError after `timeout` seconds.
        """
        async with asyncio.timeout(timeout):
            while (code := self.inner.poll()) is None:
                await _readable(self.inner.pidfd)
            return code

    async def communicate(
        self, input: bytes = b"", *, timeout: float | None = None, limit: int = 1 << 30
    ) -> Completed:
        """As `pyrunc.Process.communicate`. When the caller is cancelled, the process is killed."""
        task = asyncio.ensure_future(
            asyncio.to_thread(self.inner.communicate, input, timeout=timeout, limit=limit)
        )
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            self.inner.end()  # then the thread comes to its end
            await asyncio.wait([task])
            raise


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


async def _readable(fd: int) -> None:
    """Until a descriptor can be read. The loop gets a duplicate: many may wait for one process."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    copy = os.dup(fd)
    loop.add_reader(copy, _settle, ready)
    try:
        await ready
    finally:
        loop.remove_reader(copy)
        os.close(copy)


class Container(Process):
    """A container; see `pyrunc.Container`."""

    inner: blocking.Container

    def __init__(self, inner: blocking.Container) -> None:
        super().__init__(inner)
        self.id = inner.id

    async def __aenter__(self) -> Container:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.shield(_thread(self.inner.__exit__, kind, error, trace))

    async def status(self) -> str:
        return await _thread(lambda: self.inner.status)

    async def state(self) -> dict[str, Any]:
        return await _thread(lambda: self.inner.state)

    async def start(self) -> Container:
        await _thread(self.inner.start)
        return self

    async def pause(self) -> None:
        await _thread(self.inner.pause)

    async def resume(self) -> None:
        await _thread(self.inner.resume)

    async def delete(self, *, force: bool = False) -> None:
        await asyncio.shield(_thread(self.inner.delete, force=force))

    async def spawn(self, args: Sequence[str], **options: Any) -> Process:
        made = await _thread_undone(
            lambda: self.inner.spawn(args, **options), lambda one: one.__exit__(None, None, None)
        )
        return Process(made)

    async def exec(
        self,
        args: Sequence[str],
        *,
        input: bytes = b"",
        timeout: float | None = None,
        **options: Any,
    ) -> Completed:
        stdin = PIPE if input else None
        started = await self.spawn(args, stdin=stdin, stdout=PIPE, stderr=PIPE, **options)
        async with started as one:
            return await one.communicate(input, timeout=timeout)

    async def update(self, resources: Mapping[str, Any] | None = None, **options: Any) -> list[str]:
        return await _thread(self.inner.update, resources, **options)

    async def stats(self) -> Stats:
        return await _thread(self.inner.stats)

    async def events(self, *, interval: float = 5.0) -> AsyncIterator[Event]:
        """OOM kills, figures and the end; closing the iterator lets go of its descriptors."""
        iterator = self.inner.events(interval=interval)
        try:
            while (event := await asyncio.shield(_thread(next, iterator, None))) is not None:
                yield event
        finally:
            await asyncio.shield(_thread(_close, iterator))

    async def processes(self) -> list[ProcessEntry]:
        return await _thread(self.inner.processes)

    async def mounts(self) -> list[MountEntry]:
        return await _thread(self.inner.mounts)

    async def oom_kills(self) -> int:
        return await _thread(self.inner.oom_kills)

    async def refused(self) -> list[str]:
        return await _thread(self.inner.refused)

    async def checkpoint(
        self, images: str | os.PathLike[str], *, leave_running: bool = False
    ) -> None:
        await _thread(self.inner.checkpoint, images, leave_running=leave_running)

    async def restore(self, images: str | os.PathLike[str], **options: Any) -> Container:
        made = await _thread_undone(
            lambda: self.inner.restore(images, **options), lambda one: one.delete(force=True)
        )
        return Container(made)


def _close(iterator: Any) -> None:
    """Close a generator, once the step that a thread still takes is over."""
    while True:
        try:
            iterator.close()
            return
        except ValueError:  # it is executing
            time.sleep(0.01)


class Runtime:
    """A state root; see `pyrunc.Runtime`, which takes the same arguments."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.inner = blocking_runtime.Runtime(*args, **options)

    async def check(self, spec: Configuration) -> Report:
        return await _thread(self.inner.check, spec)

    async def explain(self, spec: Configuration) -> Explained:
        return await _thread(self.inner.explain, spec)

    async def create(self, spec: Configuration, **options: Any) -> Container:
        made = await _thread_undone(
            lambda: self.inner.create(spec, **options), lambda one: one.delete(force=True)
        )
        return Container(made)

    async def run(
        self,
        spec: Configuration,
        *,
        input: bytes = b"",
        timeout: float | None = None,
        **options: Any,
    ) -> Completed:
        stdin = PIPE if input else None
        made = await self.create(spec, stdin=stdin, stdout=PIPE, stderr=PIPE, **options)
        async with made as container:
            await container.start()
            return await container.communicate(input, timeout=timeout)

    async def get(self, id: str) -> Container:
        return Container(await _thread(self.inner.get, id))

    async def restore(
        self, images: str | os.PathLike[str], spec: Configuration, **options: Any
    ) -> Container:
        made = await _thread_undone(
            lambda: self.inner.restore(images, spec, **options), lambda one: one.delete(force=True)
        )
        return Container(made)

    async def delete(self, id: str, *, force: bool = False) -> None:
        await asyncio.shield(_thread(self.inner.delete, id, force=force))

    async def list(self) -> builtins.list[Entry]:
        return await _thread(self.inner.list)

    async def features(self) -> dict[str, Any]:
        return await _thread(self.inner.features)

    async def info(self) -> dict[str, Any]:
        return await _thread(self.inner.info)

    async def ids(self) -> builtins.list[str]:
        return await _thread(self.inner.ids)

    async def doctor(self) -> builtins.list[str]:
        return await _thread(self.inner.doctor)


class Sandbox:
    """Run untrusted programs; see `pyrunc.Sandbox`, which takes the same arguments."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._make: Callable[[], blocking_sandbox.Sandbox] = lambda: blocking_sandbox.Sandbox(
            *args, **options
        )
        self._inner: blocking_sandbox.Sandbox | None = None

    async def __aenter__(self) -> Sandbox:
        self._inner = await _thread_undone(self._make, lambda box: box.close())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._inner is not None:
            await asyncio.shield(_thread(self._inner.close))

    async def run(
        self, args: Sequence[str] | None = None, **options: Any
    ) -> blocking_sandbox.Result:
        """As `pyrunc.Sandbox.run`. When the caller is cancelled, the program is killed."""
        assert self._inner is not None
        stop = blocking_sandbox.Stop()
        task = asyncio.ensure_future(asyncio.to_thread(self._inner.run, args, stop=stop, **options))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            stop.set()
            await asyncio.wait([task])
            raise
