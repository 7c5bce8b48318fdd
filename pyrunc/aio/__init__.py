# SPDX-License-Identifier: Apache-2.0
"""The library for asyncio: the same names with the same arguments, awaitable and cancellable.

What makes, changes or asks for something is a coroutine; what does not wait (`kill`, `end`, `poll`,
`returncode`, `close`, `bundle_path`) is called as it is. What makes or changes a container runs in
a worker thread; waiting for a program takes a thread of its own or the event loop, so that any
number may wait. An operation that is cancelled finishes in its thread, and what it made is deleted
then: nothing leaks.
"""

from __future__ import annotations

from pyrunc.aio.container import Container
from pyrunc.aio.pipes import Reader, Writer
from pyrunc.aio.processes import Process
from pyrunc.aio.runtime import Runtime
from pyrunc.aio.sandbox import Sandbox

__all__ = ["Container", "Process", "Reader", "Runtime", "Sandbox", "Writer"]
