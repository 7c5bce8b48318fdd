# SPDX-License-Identifier: Apache-2.0
"""The figures of cgroup2, in the form that v1 gave them. Times are nanoseconds."""

from __future__ import annotations

from pyrunc.cgroups.member import Cgroup
from pyrunc.cgroups.stats import parse
from pyrunc.cgroups.stats.v1 import huge_pages, number, present, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Reader = Callable[[Cgroup], dict[str, Any]]

US = 1000


def cpu(member: Cgroup) -> dict[str, Any]:
    stat = parse.flat(text(member, "cpu.stat") or "")

    def nanoseconds(key: str) -> int | None:
        return stat[key] * US if key in stat else None

    return {
        "cpu": {
            "usage": present(
                total=nanoseconds("usage_usec"),
                user=nanoseconds("user_usec"),
                kernel=nanoseconds("system_usec"),
            ),
            "throttling": present(
                periods=stat.get("nr_periods"),
                throttledPeriods=stat.get("nr_throttled"),
                throttledTime=nanoseconds("throttled_usec"),
            ),
            **_psi(member, "cpu"),
        }
    }


def _psi(member: Cgroup, controller: str) -> dict[str, Any]:
    found = parse.pressure(text(member, f"{controller}.pressure") or "")
    return {"psi": found} if found else {}


def cpuset(member: Cgroup) -> dict[str, Any]:
    return {
        "cpuset": {
            "cpus": parse.ranges(text(member, "cpuset.cpus.effective") or ""),
            "mems": parse.ranges(text(member, "cpuset.mems.effective") or ""),
        }
    }


def memory(member: Cgroup) -> dict[str, Any]:
    usage = number(member, "memory.current")
    if usage is None:
        return {}
    raw = parse.flat(text(member, "memory.stat") or "")
    events = parse.flat(text(member, "memory.events") or "")
    main = present(
        limit=number(member, "memory.max"),
        usage=usage,
        max=number(member, "memory.peak"),
        failcnt=events.get("max"),
    )
    data: dict[str, Any] = {"cache": raw.get("file", 0), "raw": raw, "usage": main}
    swap = number(member, "memory.swap.current")
    if swap is not None:
        data["swap"] = _sum_with_swap(member, main, swap)
    data.update(_psi(member, "memory"))
    return {"memory": data}


def _sum_with_swap(member: Cgroup, main: dict[str, Any], swap: int) -> dict[str, Any]:
    """Clients read swap as v1 gave it: memory and swap together."""
    limit, swap_limit = main.get("limit"), number(member, "memory.swap.max")
    peak, swap_peak = main.get("max"), number(member, "memory.swap.peak")
    events = parse.flat(text(member, "memory.swap.events") or "")
    unlimited = parse.UNLIMITED in (limit, swap_limit)
    return present(
        usage=main["usage"] + swap,
        limit=None
        if limit is None or swap_limit is None
        else parse.UNLIMITED
        if unlimited
        else limit + swap_limit,
        max=None if peak is None or swap_peak is None else peak + swap_peak,
        failcnt=events.get("fail"),
    )


def pids(member: Cgroup) -> dict[str, Any]:
    limit = text(member, "pids.max")
    return {
        "pids": present(
            current=number(member, "pids.current"),
            limit=None if limit in (None, "max") else number(member, "pids.max"),
        )
    }


IO_KEYS = (
    ("ioServiceBytesRecursive", (("rbytes", "Read"), ("wbytes", "Write"), ("dbytes", "Discard"))),
    ("ioServicedRecursive", (("rios", "Read"), ("wios", "Write"), ("dios", "Discard"))),
)


def io(member: Cgroup) -> dict[str, Any]:
    devices = parse.nested(text(member, "io.stat") or "")
    data: dict[str, Any] = {}
    for key, columns in IO_KEYS:
        entries: list[dict[str, Any]] = []
        for device, values in devices.items():
            major, _, minor = device.partition(":")
            if not major.isdecimal() or not minor.isdecimal():
                continue
            entries.extend(
                {"major": int(major), "minor": int(minor), "op": operation, "value": values[column]}
                for column, operation in columns
                if column in values
            )
        if entries:
            data[key] = entries
    data.update(_psi(member, "io"))
    return {"blkio": data}


def hugetlb(member: Cgroup) -> dict[str, Any]:
    return {"hugetlb": huge_pages(member, usage="current", peak="peak")}


def pressure(member: Cgroup) -> dict[str, Any]:
    """Beside v1 hierarchies a cgroup2 has the pressure also of what it has no controller for."""
    return {
        name: _psi(member, controller)
        for name, controller in (("cpu", "cpu"), ("memory", "memory"), ("blkio", "io"))
    }


READERS: dict[str, Reader] = {
    "cpu": cpu,
    "cpuset": cpuset,
    "memory": memory,
    "pids": pids,
    "io": io,
    "hugetlb": hugetlb,
}
BESIDE_V1: dict[str, Reader] = {**READERS, "pressure": pressure}
