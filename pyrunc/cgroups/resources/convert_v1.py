# SPDX-License-Identifier: Apache-2.0
"""Convert linux.resources to writes to the control files of cgroup v1. PURE.

There is one function for each controller.
"""

from __future__ import annotations

import errno

from pyrunc.cgroups.resources import writes
from pyrunc.cgroups.resources.writes import Write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyrunc.spec.model_resources import Resources


def pids(resources: Resources) -> Iterator[Write]:
    if resources.pids is not None:
        value = writes.pids_value(resources.pids.limit)
        if value is not None:
            yield Write(
                "pids", file="pids.max", value=value, pointer=f"{resources.pids.pointer}/limit"
            )


def memory(resources: Resources) -> Iterator[Write]:
    node = resources.memory
    if node is None:
        return
    where = node.pointer
    if node.limit:
        # The kernel keeps limit <= memsw at every moment: which of the two goes first depends on
        # the old values.
        yield Write(
            "memory",
            file="memory.limit_in_bytes",
            value=node.limit,
            pointer=f"{where}/limit",
            group="memory",
        )
    total = writes.swap_total(resources)
    if total is not None:
        yield Write(
            "memory",
            file="memory.memsw.limit_in_bytes",
            value=total,
            pointer=f"{where}/swap",
            group="memory",
            # Without swap accounting the file is missing; no limit is then what there is.
            tolerate=(errno.ENOENT,) if total == -1 else (),
        )
    for name, file, value in (
        ("reservation", "memory.soft_limit_in_bytes", node.reservation),
        ("kernel", "memory.kmem.limit_in_bytes", node.kernel),
        ("kernelTCP", "memory.kmem.tcp.limit_in_bytes", node.kernel_tcp),
    ):
        if value:
            tolerate = (
                (errno.ENOENT, errno.EOPNOTSUPP) if value == -1 and name != "reservation" else ()
            )
            yield Write(
                "memory",
                file=file,
                value=value,
                pointer=f"{where}/{name}",
                tolerate=tolerate,
                advisory=name == "kernel" and value > 0,
            )
    swappiness = writes.swappiness(resources)
    if swappiness is not None:
        yield Write(
            "memory", file="memory.swappiness", value=swappiness, pointer=f"{where}/swappiness"
        )
    if node.disable_oom_killer:
        yield Write(
            "memory", file="memory.oom_control", value=1, pointer=f"{where}/disableOOMKiller"
        )
    if node.use_hierarchy is not None:
        yield Write(
            "memory",
            file="memory.use_hierarchy",
            value=int(node.use_hierarchy),
            pointer=f"{where}/useHierarchy",
        )


def blkio(resources: Resources) -> Iterator[Write]:
    node = resources.block_io
    if node is None:
        return
    for name, value in (("weight", node.weight), ("leaf_weight", node.leaf_weight)):
        if value:
            yield _weight(name, str(value), node.pointer)
    for device in node.weight_device:
        for name, value in (
            ("weight_device", device.weight),
            ("leaf_weight_device", device.leaf_weight),
        ):
            if value:
                yield _weight(name, f"{device.major}:{device.minor} {value}", device.pointer)
    for file, devices in (
        ("read_bps", node.throttle_read_bps_device),
        ("write_bps", node.throttle_write_bps_device),
        ("read_iops", node.throttle_read_iops_device),
        ("write_iops", node.throttle_write_iops_device),
    ):
        for item in devices:
            yield Write(
                "blkio",
                file=f"blkio.throttle.{file}_device",
                value=f"{item.major}:{item.minor} {item.rate}",
                pointer=item.pointer,
            )


def _weight(name: str, value: str, pointer: str) -> Write:
    """Since Linux 5.0 weights belong to the bfq scheduler, whose files say so."""
    return Write(
        "blkio",
        file=f"blkio.{name}",
        value=value,
        pointer=pointer,
        otherwise=Write("blkio", file=f"blkio.bfq.{name}", value=value, pointer=pointer),
    )


def cpu(resources: Resources) -> Iterator[Write]:
    node = resources.cpu
    if node is None:
        return
    if node.idle is not None:
        yield Write("cpu", file="cpu.idle", value=node.idle, pointer=f"{node.pointer}/idle")
    # An idle group has no weight: the kernel answers EINVAL.
    if node.shares and not node.idle:
        yield Write("cpu", file="cpu.shares", value=node.shares, pointer=f"{node.pointer}/shares")
    for name, file, value, group in (
        ("realtimePeriod", "cpu.rt_period_us", node.realtime_period, "realtime"),
        ("realtimeRuntime", "cpu.rt_runtime_us", node.realtime_runtime, "realtime"),
        ("period", "cpu.cfs_period_us", node.period, "bandwidth"),
        ("quota", "cpu.cfs_quota_us", node.quota, "bandwidth"),
    ):
        if value:
            yield Write(
                "cpu", file=file, value=value, pointer=f"{node.pointer}/{name}", group=group
            )
    if node.burst is not None:
        yield Write(
            "cpu",
            file="cpu.cfs_burst_us",
            value=node.burst,
            pointer=f"{node.pointer}/burst",
            group="bandwidth",
        )


def hugetlb(resources: Resources) -> Iterator[Write]:
    return writes.hugetlb(resources, suffix="limit_in_bytes")


def net_cls(resources: Resources) -> Iterator[Write]:
    if resources.network is not None and resources.network.class_id:
        yield Write(
            "net_cls",
            file="net_cls.classid",
            value=resources.network.class_id,
            pointer=f"{resources.network.pointer}/classID",
        )


def net_prio(resources: Resources) -> Iterator[Write]:
    if resources.network is None:
        return
    for item in resources.network.priorities:
        yield Write(
            "net_prio",
            file="net_prio.ifpriomap",
            value=f"{item.name} {item.priority}",
            pointer=item.pointer,
        )


CONVERTERS: dict[str, Callable[[Resources], Iterator[Write]]] = {
    "pids": pids,
    "memory": memory,
    "blkio": blkio,
    "cpu": cpu,
    "cpuset": writes.cpuset,
    "hugetlb": hugetlb,
    "rdma": writes.rdma,
    "net_cls": net_cls,
    "net_prio": net_prio,
}
