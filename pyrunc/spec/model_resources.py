# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: RUF023 - __slots__ has the order of PROPERTIES
"""The model of `linux.resources`, which is also what `update --resources` reads. PURE."""

from __future__ import annotations

from pyrunc.spec.constants import DEVICE_RULE_TYPES
from pyrunc.spec.readers import (
    BOOLEAN,
    INT64,
    LINE,
    TEXT_MAP,
    UINT16,
    UINT32,
    UINT64,
    Node,
    choice,
    integer,
    node,
    node_map,
    nodes,
)

WHOLE = (-1, 2**32 - 1)  # a device number; -1 is "all", as engines write it


class DeviceRule(Node):
    __slots__ = ("allow", "type", "major", "minor", "access")
    PROPERTIES = {
        "allow!": BOOLEAN,
        "type": choice(("", *DEVICE_RULE_TYPES), noun="device type"),
        "major": integer(WHOLE),
        "minor": integer(WHOLE),
        "access": LINE,
    }

    allow: bool
    type: str | None
    major: int | None
    minor: int | None
    access: str | None


class Memory(Node):
    __slots__ = (
        "limit",
        "reservation",
        "swap",
        "kernel",
        "kernel_tcp",
        "swappiness",
        "disable_oom_killer",
        "use_hierarchy",
        "check_before_update",
    )
    PROPERTIES = {
        "limit": integer(INT64),
        "reservation": integer(INT64),
        "swap": integer(INT64),
        "kernel": integer(INT64),
        "kernelTCP": integer(INT64),
        "swappiness": integer(UINT64),
        "disableOOMKiller": BOOLEAN,
        "useHierarchy": BOOLEAN,
        "checkBeforeUpdate": BOOLEAN,
    }

    limit: int | None
    reservation: int | None
    swap: int | None
    kernel: int | None
    kernel_tcp: int | None
    swappiness: int | None
    disable_oom_killer: bool | None
    use_hierarchy: bool | None
    check_before_update: bool | None


class Cpu(Node):
    __slots__ = (
        "shares",
        "quota",
        "burst",
        "period",
        "realtime_runtime",
        "realtime_period",
        "cpus",
        "mems",
        "idle",
    )
    PROPERTIES = {
        "shares": integer(UINT64),
        "quota": integer(INT64),
        "burst": integer(UINT64),
        "period": integer(UINT64),
        "realtimeRuntime": integer(INT64),
        "realtimePeriod": integer(UINT64),
        "cpus": LINE,
        "mems": LINE,
        "idle": integer(INT64),
    }

    shares: int | None
    quota: int | None
    burst: int | None
    period: int | None
    realtime_runtime: int | None
    realtime_period: int | None
    cpus: str | None
    mems: str | None
    idle: int | None


class Pids(Node):
    """A limit of null is unset: clients of `update` write it."""

    __slots__ = ("limit",)
    PROPERTIES = {"limit": integer(INT64)}

    limit: int | None


class WeightDevice(Node):
    __slots__ = ("major", "minor", "weight", "leaf_weight")
    PROPERTIES = {
        "major!": integer(UINT32),
        "minor!": integer(UINT32),
        "weight": integer(UINT16),
        "leafWeight": integer(UINT16),
    }

    major: int
    minor: int
    weight: int | None
    leaf_weight: int | None


class ThrottleDevice(Node):
    __slots__ = ("major", "minor", "rate")
    PROPERTIES = {
        "major!": integer(UINT32),
        "minor!": integer(UINT32),
        "rate!": integer(UINT64),
    }

    major: int
    minor: int
    rate: int


class BlockIo(Node):
    __slots__ = (
        "weight",
        "leaf_weight",
        "weight_device",
        "throttle_read_bps_device",
        "throttle_write_bps_device",
        "throttle_read_iops_device",
        "throttle_write_iops_device",
    )
    PROPERTIES = {
        "weight": integer(UINT16),
        "leafWeight": integer(UINT16),
        "weightDevice": nodes(WeightDevice),
        "throttleReadBpsDevice": nodes(ThrottleDevice),
        "throttleWriteBpsDevice": nodes(ThrottleDevice),
        "throttleReadIOPSDevice": nodes(ThrottleDevice),
        "throttleWriteIOPSDevice": nodes(ThrottleDevice),
    }

    weight: int | None
    leaf_weight: int | None
    weight_device: tuple[WeightDevice, ...]
    throttle_read_bps_device: tuple[ThrottleDevice, ...]
    throttle_write_bps_device: tuple[ThrottleDevice, ...]
    throttle_read_iops_device: tuple[ThrottleDevice, ...]
    throttle_write_iops_device: tuple[ThrottleDevice, ...]


class HugepageLimit(Node):
    __slots__ = ("page_size", "limit")
    PROPERTIES = {"pageSize!": LINE, "limit!": integer(UINT64)}

    page_size: str
    limit: int


class InterfacePriority(Node):
    __slots__ = ("name", "priority")
    PROPERTIES = {"name!": LINE, "priority!": integer(UINT32)}

    name: str
    priority: int


class Network(Node):
    __slots__ = ("class_id", "priorities")
    PROPERTIES = {"classID": integer(UINT32), "priorities": nodes(InterfacePriority)}

    class_id: int | None
    priorities: tuple[InterfacePriority, ...]


class Rdma(Node):
    __slots__ = ("hca_handles", "hca_objects")
    PROPERTIES = {"hcaHandles": integer(UINT32), "hcaObjects": integer(UINT32)}

    hca_handles: int | None
    hca_objects: int | None


class Resources(Node):
    __slots__ = (
        "devices",
        "memory",
        "cpu",
        "pids",
        "block_io",
        "hugepage_limits",
        "network",
        "rdma",
        "unified",
    )
    PROPERTIES = {
        "devices": nodes(DeviceRule),
        "memory": node(Memory),
        "cpu": node(Cpu),
        "pids": node(Pids),
        "blockIO": node(BlockIo),
        "hugepageLimits": nodes(HugepageLimit),
        "network": node(Network),
        "rdma": node_map(Rdma),
        "unified": TEXT_MAP,
    }

    devices: tuple[DeviceRule, ...]
    memory: Memory | None
    cpu: Cpu | None
    pids: Pids | None
    block_io: BlockIo | None
    hugepage_limits: tuple[HugepageLimit, ...]
    network: Network | None
    rdma: dict[str, Rdma]
    unified: dict[str, str]
