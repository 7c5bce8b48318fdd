# SPDX-License-Identifier: Apache-2.0
"""PURE: linux.resources -> writes to cgroup2 control files. One function per controller."""

from __future__ import annotations

import errno
import math

from pyrunc.cgroups.resources import writes
from pyrunc.cgroups.resources.writes import Write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyrunc.spec.model_resources import Resources

DEFAULT_PERIOD = 100000


def weight_of_shares(shares: int) -> int:
    """cpu.shares (2..262144, default 1024) -> cpu.weight (1..10000, default 100).

    A quadratic curve in the logarithms through (2, 1), (1024, 100) and (262144, 10000), as the
    other runtimes have agreed on; the older straight line gave the default of 1024 shares a weight
    of 39.
    """
    if shares <= 2:
        return 1
    if shares >= 262144:
        return 10000
    level = math.log2(shares)
    return math.ceil(10 ** ((level * level + 125 * level) / 612 - 7 / 34))


def limit_text(value: int) -> str:
    return "max" if value < 0 else str(value)


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
    _refuse_v1_memory(resources)
    if node.kernel and node.kernel > 0:
        # No cgroup2 has the file: the attempt leaves the same note as on a v1 kernel without it.
        yield Write(
            "memory",
            file="memory.kmem.limit_in_bytes",
            value=node.kernel,
            pointer=f"{node.pointer}/kernel",
            advisory=True,
        )
    total = writes.swap_total(resources)
    if total is not None:
        # v2 limits swap by itself; the configuration gives the sum.
        swap = (
            "max"
            if total < 0
            else str(total - node.limit if node.limit and node.limit > 0 else total)
        )
        yield Write(
            "memory",
            file="memory.swap.max",
            value=swap,
            pointer=f"{node.pointer}/swap",
            # A kernel without swap accounting has nothing to limit.
            tolerate=(errno.ENOENT,) if swap in ("max", "0") else (),
        )
    if node.limit:
        yield Write(
            "memory",
            file="memory.max",
            value=limit_text(node.limit),
            pointer=f"{node.pointer}/limit",
        )
    if node.reservation:
        yield Write(
            "memory",
            file="memory.low",
            value=limit_text(node.reservation),
            pointer=f"{node.pointer}/reservation",
        )


def _refuse_v1_memory(resources: Resources) -> None:
    """Refuse what v2 lacks, unless the value asks for what v2 does anyway."""
    node = resources.memory
    assert node is not None
    for name, value, neutral in (
        ("kernelTCP", node.kernel_tcp, (None, 0, -1)),
        ("swappiness", writes.swappiness(resources), (None,)),
        ("disableOOMKiller", node.disable_oom_killer, (None, False)),
        ("useHierarchy", node.use_hierarchy, (None, True)),
    ):
        if value not in neutral:
            raise writes.not_on(2, f"memory.{name}", f"{node.pointer}/{name}")


def blkio(resources: Resources) -> Iterator[Write]:
    node = resources.block_io
    if node is None:
        return
    if node.leaf_weight:
        raise writes.not_on(2, "blockIO.leafWeight", f"{node.pointer}/leafWeight")
    if node.weight:
        # bfq keeps the old range 1..1000 in a file of its own; io.weight is 1..10000.
        yield Write(
            "io",
            file="io.bfq.weight",
            value=node.weight,
            pointer=f"{node.pointer}/weight",
            otherwise=Write(
                "io",
                file="io.weight",
                value=1 + (node.weight - 10) * 9999 // 990,
                pointer=f"{node.pointer}/weight",
            ),
        )
    for device in node.weight_device:
        if device.leaf_weight:
            raise writes.not_on(
                2, "blockIO.weightDevice.leafWeight", f"{device.pointer}/leafWeight"
            )
        if device.weight:
            yield Write(
                "io",
                file="io.bfq.weight",
                value=f"{device.major}:{device.minor} {device.weight}",
                pointer=device.pointer,
            )
    for key, devices in (
        ("rbps", node.throttle_read_bps_device),
        ("wbps", node.throttle_write_bps_device),
        ("riops", node.throttle_read_iops_device),
        ("wiops", node.throttle_write_iops_device),
    ):
        for item in devices:
            yield Write(
                "io",
                file="io.max",
                value=f"{item.major}:{item.minor} {key}={item.rate or 'max'}",
                pointer=item.pointer,
            )


def cpu(resources: Resources) -> Iterator[Write]:
    node = resources.cpu
    if node is None:
        return
    for name, value in (
        ("realtimeRuntime", node.realtime_runtime),
        ("realtimePeriod", node.realtime_period),
    ):
        if value:
            raise writes.not_on(2, f"cpu.{name}", f"{node.pointer}/{name}")
    if node.idle is not None:
        yield Write("cpu", file="cpu.idle", value=node.idle, pointer=f"{node.pointer}/idle")
    # An idle group has no weight: the kernel answers EINVAL.
    if node.shares and not node.idle:
        yield Write(
            "cpu",
            file="cpu.weight",
            value=weight_of_shares(node.shares),
            pointer=f"{node.pointer}/shares",
        )
    if node.burst is not None:
        yield Write(
            "cpu",
            file="cpu.max.burst",
            value=node.burst,
            pointer=f"{node.pointer}/burst",
            group="bandwidth",
        )
    if node.quota or node.period:
        quota = node.quota if node.quota and node.quota > 0 else "max"
        yield Write(
            "cpu",
            file="cpu.max",
            value=f"{quota} {node.period or DEFAULT_PERIOD}",
            pointer=f"{node.pointer}/quota",
            group="bandwidth",
        )


def hugetlb(resources: Resources) -> Iterator[Write]:
    return writes.hugetlb(resources, suffix="max")


def net_cls(resources: Resources) -> Iterator[Write]:
    node = resources.network
    if node is None:
        return
    if node.class_id:
        raise writes.not_on(2, "network.classID", f"{node.pointer}/classID")
    if node.priorities:
        raise writes.not_on(2, "network.priorities", f"{node.pointer}/priorities")
    yield from ()


CONVERTERS: dict[str, Callable[[Resources], Iterator[Write]]] = {
    "pids": pids,
    "memory": memory,
    "blkio": blkio,
    "cpu": cpu,
    "cpuset": writes.cpuset,
    "hugetlb": hugetlb,
    "rdma": writes.rdma,
    "net_cls": net_cls,
}
