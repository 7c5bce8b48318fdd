# SPDX-License-Identifier: Apache-2.0
"""What is read from and written to a container's cgroups: events, processes, limits."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pyrunc import jsontext
from pyrunc.errors import Problem, UsageError
from pyrunc.host import process
from pyrunc.library.processes import UNKNOWN
from pyrunc.library.results import Event, ProcessEntry, Stats
from pyrunc.library.spec import Spec
from pyrunc.lifecycle import container as lifecycle
from pyrunc.spec.config import parse_resources

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
    limits: dict[str, Any] = wanted.limit(memory=memory, cpus=cpus, pids=pids)["linux"]["resources"]
    if not limits:
        raise UsageError("nothing to update: give resources, memory, cpus or pids")
    warnings: list[Problem] = []
    parse_resources(jsontext.encode(limits).encode(), source="resources", warnings=warnings)
    for problem in warnings:  # what is ignored would change nothing, in silence
        if "ignored" in problem.message:
            raise UsageError(
                f"resources: {problem.line()}",
                pointer=problem.pointer,
                value=problem.value,
                hint=problem.hint,
            )
    return limits


def events(
    loaded: lifecycle.Container, *, poll: Callable[[], int | None], interval: float
) -> Iterator[Event]:
    """OOM kills as they come, figures every `interval` seconds, last the end."""
    manager = loaded.cgroup(now=True)
    watch = _End(loaded) if manager.find("memory") is None else manager.watch_oom()
    try:
        due = time.monotonic() + interval
        ended = False
        while not ended:
            left_ms = max(0.0, (due - time.monotonic()) * 1000)
            kills, ended = watch.wait(int(min(left_ms, LOOK_MS)))
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


class _End:
    """Waits for the end alone: without a memory cgroup nobody is killed for a limit."""

    def __init__(self, loaded: lifecycle.Container) -> None:
        self._pidfd = process.open_pidfd(loaded.pid, loaded.start_time)

    def wait(self, timeout_ms: int) -> tuple[int, bool]:
        return 0, self._pidfd < 0 or process.wait_dead(self._pidfd, timeout_ms)

    def close(self) -> None:
        if self._pidfd >= 0:
            os.close(self._pidfd)


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
