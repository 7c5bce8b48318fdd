# SPDX-License-Identifier: Apache-2.0
"""The figures of the v1 controllers. Each reader gives its part of the object of `events`."""

from __future__ import annotations

from pyrunc.cgroups.member import Cgroup
from pyrunc.cgroups.stats import parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Reader = Callable[[Cgroup], dict[str, Any]]


def text(member: Cgroup, name: str) -> str | None:
    """Read a file; None when this kernel has no such file or does not answer for it."""
    try:
        return member.read(name)
    except OSError:
        return None


def number(member: Cgroup, name: str) -> int | None:
    content = text(member, name)
    return parse.number(content) if content else None


def present(**values: object) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def cpu(member: Cgroup) -> dict[str, Any]:
    stat = parse.flat(text(member, "cpu.stat") or "")
    return {
        "cpu": {
            "throttling": present(
                periods=stat.get("nr_periods"),
                throttledPeriods=stat.get("nr_throttled"),
                throttledTime=stat.get("throttled_time"),
            )
        }
    }


def cpuacct(member: Cgroup) -> dict[str, Any]:
    usage = present(total=number(member, "cpuacct.usage"))
    for kind in ("user", "kernel"):
        # cpuacct.stat counts ticks; these files, in nanoseconds, every supported kernel has.
        file = "cpuacct.usage_user" if kind == "user" else "cpuacct.usage_sys"
        value = number(member, file)
        if value is not None:
            usage[kind] = value
    usage.update(per_processor(text(member, "cpuacct.usage_all") or ""))
    return {"cpu": {"usage": usage}}


def per_processor(content: str) -> dict[str, list[int]]:
    """cpuacct.usage_all: a head line, then `cpu user system`."""
    rows = [line.split() for line in content.splitlines()[1:]]
    user = [int(row[1]) for row in rows if len(row) == 3]
    kernel = [int(row[2]) for row in rows if len(row) == 3]
    total = [one + other for one, other in zip(user, kernel, strict=True)]
    return {"percpu": total, "percpu_kernel": kernel, "percpu_user": user}


CPUSET_NUMBERS = (
    "cpu_exclusive",
    "mem_hardwall",
    "mem_exclusive",
    "memory_migrate",
    "memory_spread_page",
    "memory_spread_slab",
    "memory_pressure",
    "sched_load_balance",
)


def cpuset(member: Cgroup) -> dict[str, Any]:
    data: dict[str, Any] = {
        "cpus": parse.ranges(text(member, "cpuset.cpus") or ""),
        "mems": parse.ranges(text(member, "cpuset.mems") or ""),
    }
    for name in CPUSET_NUMBERS:
        value = number(member, f"cpuset.{name}")
        if value is not None:
            data[name] = value
    level = text(member, "cpuset.sched_relax_domain_level")
    if level:
        data["sched_relax_domain_level"] = int(level)  # -1 is a level
    return {"cpuset": data}


def _memory_kind(member: Cgroup, prefix: str) -> dict[str, Any]:
    usage = number(member, f"{prefix}.usage_in_bytes")
    if usage is None:
        return {}
    return present(
        limit=number(member, f"{prefix}.limit_in_bytes"),
        usage=usage,
        max=number(member, f"{prefix}.max_usage_in_bytes"),
        failcnt=number(member, f"{prefix}.failcnt"),
    )


def memory(member: Cgroup) -> dict[str, Any]:
    raw = parse.flat(text(member, "memory.stat") or "")
    data: dict[str, Any] = {
        "cache": raw.get("cache", 0),
        "raw": raw,
        "usage": _memory_kind(member, "memory"),
        "swap": _memory_kind(member, "memory.memsw"),
        "kernel": _memory_kind(member, "memory.kmem"),
        "kernelTCP": _memory_kind(member, "memory.kmem.tcp"),
    }
    return {"memory": data}


def pids(member: Cgroup) -> dict[str, Any]:
    limit = text(member, "pids.max")
    return {
        "pids": present(
            current=number(member, "pids.current"),
            limit=None if limit in (None, "max") else number(member, "pids.max"),
        )
    }


BLKIO = (
    ("ioServiceBytesRecursive", "io_service_bytes_recursive", "throttle.io_service_bytes"),
    ("ioServicedRecursive", "io_serviced_recursive", "throttle.io_serviced"),
    ("ioQueueRecursive", "io_queued_recursive", ""),
    ("ioServiceTimeRecursive", "io_service_time_recursive", ""),
    ("ioWaitTimeRecursive", "io_wait_time_recursive", ""),
    ("ioMergedRecursive", "io_merged_recursive", ""),
    ("ioTimeRecursive", "time_recursive", ""),
    ("sectorsRecursive", "sectors_recursive", ""),
)


def blkio(member: Cgroup) -> dict[str, Any]:
    """bfq's own figures where that scheduler is used, else those of throttling."""
    data: dict[str, Any] = {}
    for key, file, plain in BLKIO:
        for name in (f"bfq.{file}", file, plain):
            entries = parse.blkio(text(member, f"blkio.{name}") or "") if name else []
            if entries:
                data[key] = entries
                break
    return {"blkio": data}


def hugetlb(member: Cgroup) -> dict[str, Any]:
    return {"hugetlb": huge_pages(member, usage="usage_in_bytes", peak="max_usage_in_bytes")}


def huge_pages(member: Cgroup, *, usage: str, peak: str) -> dict[str, Any]:
    """Per page size, whose names are found in the file names."""
    from pyrunc.cgroups import tree

    data: dict[str, Any] = {}
    for name in tree.files(member.open(), prefix="hugetlb."):
        size, _, rest = name.removeprefix("hugetlb.").partition(".")
        if rest == usage:
            failures = parse.flat(text(member, f"hugetlb.{size}.events") or "").get("max")
            data[size] = present(
                usage=number(member, name),
                max=number(member, f"hugetlb.{size}.{peak}"),
                failcnt=failures
                if failures is not None
                else number(member, f"hugetlb.{size}.failcnt"),
            )
    return data


READERS: dict[str, Reader] = {
    "cpu": cpu,
    "cpuacct": cpuacct,
    "cpuset": cpuset,
    "memory": memory,
    "pids": pids,
    "blkio": blkio,
    "hugetlb": hugetlb,
}
