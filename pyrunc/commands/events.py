# SPDX-License-Identifier: Apache-2.0
"""events: statistics at an interval and out-of-memory kills, one JSON object a line."""

from __future__ import annotations

import os
import time

from pyrunc import jsontext
from pyrunc.cli.duration import duration_ms
from pyrunc.cli.output import emit
from pyrunc.errors import StateError
from pyrunc.host import process
from pyrunc.lifecycle.container import STOPPED, Container

MOVE_S = 0.1  # what a cgroup that was left may take to be removed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyrunc.cgroups import Manager
    from pyrunc.cli.flags import Args


def run(args: Args) -> int:
    interval_ms = duration_ms(args.text("interval"), flag="interval")
    container = Container.load(args.text("root"), args.positionals[0])
    if container.status() == STOPPED:
        if args.flag("stats"):
            from pyrunc.lifecycle import post_mortem

            _emit(container.id, "postMortem", post_mortem.examine(container))
            return 0
        raise StateError(f"container with id {container.id} is not running")
    group = container.rdt()

    def stats(manager: Manager) -> dict[str, Any]:
        statistics = manager.stats()
        return statistics if group is None else {**statistics, "intel_rdt": group.stats()}

    if args.flag("stats"):
        _emit(container.id, "stats", stats(container.cgroup(now=True)))
        return 0
    due = 0.0
    end = End(container)
    while process.alive(container.pid, container.start_time):
        manager = container.cgroup(now=True)
        due = _follow(container, manager, stats, end, interval_ms=interval_ms, due=due)
        if process.alive(container.pid, container.start_time):
            time.sleep(MOVE_S)  # its init leaves the cgroup for another
    end.look()
    return 0


class End:
    """Keeps the exit status for `state`: the kernel tells it to who has held the init (6.15)."""

    def __init__(self, container: Container) -> None:
        self.container = container
        self.pidfd = process.open_pidfd(container.pid, container.start_time)

    def look(self) -> None:
        """See whether the container has ended; what is seen is kept once."""
        if self.pidfd < 0 or not process.wait_dead(self.pidfd, 0):
            return
        from pyrunc.lifecycle import post_mortem

        if self.container.directory.is_current():
            code = post_mortem.exit_code_of(process.exit_status(self.pidfd))
            post_mortem.examine(self.container, exit_code=code)
        os.close(self.pidfd)
        self.pidfd = -1


def _emit(container_id: str, kind: str, data: object) -> None:
    record = {"type": kind, "id": container_id}
    if data is not None:
        record["data"] = data  # type: ignore[assignment]
    emit(jsontext.encode(record) + "\n")


def _follow(
    container: Container,
    manager: Manager,
    stats: Callable[[Manager], object],
    end: End,
    *,
    interval_ms: int,
    due: float,
) -> float:
    """Until the cgroup is gone or empty; returns when the next figures are due."""
    watch = manager.watch_oom()
    due = due or time.monotonic() + interval_ms / 1000
    try:
        while True:
            left_ms = max(0, int((due - time.monotonic()) * 1000))
            kills, ended = watch.wait(left_ms)
            end.look()
            for _ in range(kills):
                _emit(container.id, "oom", None)
            # What the init has moved to may stay when the container has ended.
            if ended or (manager.moved_init and container.status() == STOPPED):
                return due
            if time.monotonic() >= due:
                _emit(container.id, "stats", stats(manager))
                due = time.monotonic() + interval_ms / 1000
    finally:
        watch.close()
        manager.close()
