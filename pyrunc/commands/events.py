# SPDX-License-Identifier: Apache-2.0
"""events: statistics at an interval and out-of-memory kills, one JSON object a line."""

from __future__ import annotations

import time

from pyrunc import jsontext
from pyrunc.cli.output import emit
from pyrunc.errors import StateError, UsageError
from pyrunc.lifecycle.container import STOPPED, Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyrunc.cgroups import Manager
    from pyrunc.cli.flags import Args

# Go's units of a duration, in nanoseconds.
UNITS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}


def run(args: Args) -> int:
    interval_ms = duration_ms(args.text("interval"))
    container = Container.load(args.text("root"), args.positionals[0])
    if container.status() == STOPPED:
        raise StateError(f"container with id {container.id} is not running")
    manager = container.cgroup()
    group = container.rdt()

    def stats() -> dict[str, Any]:
        found = manager.stats()
        return found if group is None else {**found, "intel_rdt": group.stats()}

    if args.flag("stats"):
        _emit(container.id, "stats", stats())
        return 0
    _follow(container.id, manager, stats, interval_ms=interval_ms)
    return 0


def _emit(container_id: str, kind: str, data: object) -> None:
    record = {"type": kind, "id": container_id}
    if data is not None:
        record["data"] = data  # type: ignore[assignment]
    emit(jsontext.encode(record) + "\n")


def _follow(
    container_id: str, manager: Manager, stats: Callable[[], object], *, interval_ms: int
) -> None:
    """Until the cgroup is gone."""
    watch = manager.watch_oom()
    due = time.monotonic() + interval_ms / 1000
    try:
        while True:
            left_ms = max(0, int((due - time.monotonic()) * 1000))
            kills, ended = watch.wait(left_ms)
            for _ in range(kills):
                _emit(container_id, "oom", None)
            if ended:
                return
            if time.monotonic() >= due:
                _emit(container_id, "stats", stats())
                due = time.monotonic() + interval_ms / 1000
    finally:
        watch.close()


def duration_ms(text: str) -> int:
    """Parse a duration as Go writes it: 5s, 1m30s, 1.5h, 300ms."""
    rest, total = text.removeprefix("+"), 0.0
    if not rest or rest == "0":
        raise UsageError("duration interval must be greater than 0")
    if rest.startswith("-"):
        raise UsageError("duration interval must be greater than 0")
    while rest:
        number = rest[: len(rest) - len(rest.lstrip("0123456789."))]
        rest = rest[len(number) :]
        unit = rest[: len(rest) - len(rest.lstrip("nuµmsh"))]
        # "1m30s" has no letters in a row but those of one unit.
        if unit not in UNITS or not number.isascii() or not number.replace(".", "", 1).isdigit():
            raise UsageError(
                f'invalid duration "{text[:32]}" for --interval',
                hint="use a form such as 5s or 1m30s",
            )
        rest = rest[len(unit) :]
        total += float(number) * UNITS[unit]
    if total <= 0:
        raise UsageError("duration interval must be greater than 0")
    return max(1, int(total // 10**6))
