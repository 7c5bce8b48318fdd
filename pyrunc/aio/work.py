# SPDX-License-Identifier: Apache-2.0
"""Calls of the blocking library from a task: in threads, and undone when nobody waits any more."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def thread(call: Callable[P, T], /, *args: P.args, **options: P.kwargs) -> T:
    """Run a call that ends soon in one of the loop's worker threads."""
    return await asyncio.to_thread(call, *args, **options)


async def shielded(call: Callable[P, T], /, *args: P.args, **options: P.kwargs) -> T:
    """As `thread`; the call comes to its end, whether or not somebody waits for it."""
    return await asyncio.shield(thread(call, *args, **options))


def own_thread(call: Callable[[], T]) -> asyncio.Future[T]:
    """Run a call that may take long in a thread of its own; there are few worker threads."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # None where T has it

    def work() -> None:
        result, problem = None, None
        try:
            result = context.run(call)
        except BaseException as error:
            problem = error
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, result, problem)
        del problem  # its traceback holds this frame

    threading.Thread(target=work, name="pyrunc-aio", daemon=True).start()
    return future


async def ended(call: Callable[[], T], end: Callable[[], object]) -> T:
    """Wait for a call in a thread of its own; `end` brings it to its end when that is cancelled."""
    future = own_thread(call)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        end()
        await asyncio.wait([future])
        if not future.cancelled():
            future.exception()  # nobody else asks for it
        raise


async def undone(call: Callable[[], T], undo: Callable[[T], object]) -> T:
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
    context = contextvars.copy_context()
    try:
        return await loop.run_in_executor(None, context.run, work)
    except asyncio.CancelledError:
        with lock:
            abandoned = True
            late = bool(made)
        if late:  # it was done, and nobody will hear of it
            loop.run_in_executor(None, undo, made[0])
        raise


async def readable(fd: int) -> None:
    """Until a descriptor can be read, or its other side is closed."""
    loop = asyncio.get_running_loop()
    await _ready(fd, loop.add_reader, loop.remove_reader)


async def writable(fd: int) -> None:
    """Until a descriptor can be written to, or its other side is closed."""
    loop = asyncio.get_running_loop()
    await _ready(fd, loop.add_writer, loop.remove_writer)


async def _ready(fd: int, add: Callable[..., object], remove: Callable[[int], object]) -> None:
    """Give the loop a duplicate: many may wait for one descriptor, or close it meanwhile."""
    ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    copy = os.dup(fd)
    add(copy, _settle, ready)
    try:
        await ready
    finally:
        remove(copy)
        os.close(copy)


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
