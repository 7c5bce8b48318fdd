# SPDX-License-Identifier: Apache-2.0
"""What is read from and written to a container's cgroups: events, processes, limits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pyrunc.errors import UsageError
from pyrunc.library.processes import UNKNOWN
from pyrunc.library.results import Event, ProcessEntry, Stats
from pyrunc.library.spec import Spec
from pyrunc.lifecycle import container as lifecycle

LOOK_MS = 1000  # how long a watch may last before the exit code is looked at


def change(
    resources: Mapping[str, Any],
    *,
    memory: int | str | None,
    cpus: float | None,
    pids: int | None,
) -> dict[str, Any]:
    """Return linux.resources with the limits of `Spec.limit`; UsageError when nothing is asked."""
    wanted = Spec({"linux": {"resources": dict(resources)}})
    loaded: dict[str, Any] = wanted.limit(memory=memory, cpus=cpus, pids=pids)["linux"]["resources"]
    if not loaded:
        raise UsageError("nothing to update: give resources, memory, cpus or pids")
    return loaded


def events(
    loaded: lifecycle.Container, *, poll: Callable[[], int | None], interval: float
) -> Iterator[Event]:
    """OOM kills as they come, figures every `interval` seconds, last the end."""
    manager = loaded.cgroup(now=True)
    watch = manager.watch_oom()
    try:
        due = time.monotonic() + interval
        ended = False
        while not ended:
            left_ms = max(0, int((due - time.monotonic()) * 1000))
            kills, ended = watch.wait(min(left_ms, LOOK_MS))
            yield from (Event("oom") for _ in range(kills))
            ended = ended or poll() is not None
            if not ended and time.monotonic() >= due:
                yield Event("stats", stats=Stats.of(manager.stats()))
                due = time.monotonic() + interval
        code = poll()
        yield Event("exit", returncode=None if code in (None, UNKNOWN) else code)
    finally:
        watch.close()
        manager.close()


def processes(loaded: lifecycle.Container) -> list[ProcessEntry]:
    """Return the processes in the container's cgroups, or its init where there are none."""
    manager = loaded.cgroup(now=True)
    try:
        pids = manager.pids() or [loaded.pid]
    finally:
        manager.close()
    return [ProcessEntry(pid, command) for pid in pids if (command := _command(pid))]


def _command(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            data = file.read(4096)
    except OSError:  # it has ended meanwhile
        return ""
    return data.rstrip(b"\0").replace(b"\0", b" ").decode("utf-8", "replace") or f"[{pid}]"
