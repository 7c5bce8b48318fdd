# SPDX-License-Identifier: Apache-2.0
"""What is said of a container, as typed values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pyrunc.errors import Problem


@dataclass(frozen=True)
class Cpu:
    """Processor time in ns, of all processors together, and how often the quota stopped it."""

    usage_ns: int = 0
    user_ns: int = 0
    system_ns: int = 0
    periods: int = 0
    throttled_periods: int = 0
    throttled_ns: int = 0


@dataclass(frozen=True)
class Memory:
    """Bytes; `limit` is 0 where there is none, `peak` where the kernel keeps none."""

    usage: int = 0
    peak: int = 0
    limit: int = 0
    failures: int = 0


@dataclass(frozen=True)
class Pids:
    """Tasks, and their limit: 0 for none."""

    current: int = 0
    limit: int = 0


@dataclass(frozen=True)
class Stats:
    """Figures of a container's cgroups; `raw` is the object that `pyrunc events --stats` prints."""

    cpu: Cpu
    memory: Memory
    pids: Pids
    raw: Mapping[str, Any] = field(repr=False)

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Stats:
        cpu, memory, pids = (raw.get(name) or {} for name in ("cpu", "memory", "pids"))
        usage, throttling = cpu.get("usage") or {}, cpu.get("throttling") or {}
        figures = memory.get("usage") or {}
        limit = figures.get("limit", 0)
        return cls(
            Cpu(
                usage.get("total", 0),
                usage.get("user", 0),
                usage.get("kernel", 0),
                throttling.get("periods", 0),
                throttling.get("throttledPeriods", 0),
                throttling.get("throttledTime", 0),
            ),
            Memory(
                figures.get("usage", 0),
                figures.get("max", 0),
                0 if limit >= NO_LIMIT else limit,
                figures.get("failcnt", 0),
            ),
            Pids(pids.get("current", 0), pids.get("limit", 0)),
            raw,
        )


NO_LIMIT = 1 << 62  # what the kernel says for none: near 2**63 on v1, 2**64 - 1 on v2


@dataclass(frozen=True)
class Event:
    """Something that happened to a container.

    ``oom``: the kernel has killed for memory (cgroup v1: has run out of it, which may be told more
    than once for one kill). ``stats``: figures, at the interval. ``exit``: the
    container has ended, with its exit code or None where it is not known.
    """

    type: str
    stats: Stats | None = None
    returncode: int | None = None


@dataclass(frozen=True)
class Entry:
    """A container in a list: `created` is a time in UTC as text, `owner` the uid of who made it.

    `pid` is 0 for one that has stopped.
    """

    id: str
    pid: int
    status: str
    bundle: str
    created: str
    owner: int
    annotations: Mapping[str, str] = field(repr=False)

    @classmethod
    def of(cls, shown: Mapping[str, Any], state: Mapping[str, Any]) -> Entry:
        return cls(
            id=shown["id"],
            pid=shown.get("pid", 0),
            status=shown["status"],
            bundle=shown["bundle"],
            created=state["created"],
            owner=state["owner"],
            annotations=dict(shown.get("annotations") or {}),
        )


@dataclass(frozen=True)
class ProcessEntry:
    """One process of a container, by its number on the host."""

    pid: int
    command: str


@dataclass(frozen=True)
class MountEntry:
    """A mount as the container's init sees it."""

    id: int
    point: str
    type: str
    options: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """What `check` tells; the configuration can be used when there are no errors."""

    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        return not self.errors


@dataclass(frozen=True)
class Operation:
    """One op of a plan.

    Its name, its text as `pyrunc explain` prints it, and where in the configuration it comes from.
    """

    name: str
    text: str
    pointer: str


@dataclass(frozen=True)
class Explained:
    """What `create` would do: cgroup writes (path, value), then the ops of the init."""

    writes: tuple[tuple[str, str], ...]
    operations: tuple[Operation, ...]
    warnings: tuple[Problem, ...]
    policies: tuple[str, ...]
    text: str
