# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: RUF023 - __slots__ has the order of PROPERTIES
"""The model of the property `linux`, without `resources` (see `model_resources`). PURE."""

from __future__ import annotations

from pyrunc.spec.constants import (
    CLOCKS,
    DEVICE_TYPES,
    MEMORY_POLICIES,
    MEMORY_POLICY_FLAGS,
    NAMESPACES,
    PERSONALITIES,
    SECCOMP_ACTIONS,
    SECCOMP_ARCHITECTURES,
    SECCOMP_FLAGS,
    SECCOMP_OPERATORS,
)
from pyrunc.spec.limits import MAX_ID
from pyrunc.spec.model_resources import Resources
from pyrunc.spec.options import PROPAGATIONS
from pyrunc.spec.readers import (
    BOOLEAN,
    INT64,
    LINE,
    PATH,
    PATH_OR_NOTHING,
    TEXT,
    TEXT_MAP,
    TEXTS,
    UINT32,
    UINT64,
    Node,
    choice,
    integer,
    items,
    node,
    node_map,
    nodes,
    or_none,
)


class IdMapping(Node):
    __slots__ = ("container_id", "host_id", "size")
    PROPERTIES = {
        "containerID!": integer(UINT32),
        "hostID!": integer(UINT32),
        "size!": integer(UINT32),
    }

    container_id: int
    host_id: int
    size: int


class Namespace(Node):
    __slots__ = ("type", "path")
    PROPERTIES = {"type!": choice(NAMESPACES, noun="namespace"), "path": LINE}

    type: str
    path: str | None


class TimeOffset(Node):
    __slots__ = ("secs", "nanosecs")
    PROPERTIES = {
        "secs": (integer(INT64)[0], 0),
        "nanosecs": (integer((0, 999_999_999))[0], 0),  # kernel: below NSEC_PER_SEC
    }

    secs: int
    nanosecs: int


class Device(Node):
    __slots__ = ("type", "path", "major", "minor", "file_mode", "uid", "gid")
    PROPERTIES = {
        "type!": choice(DEVICE_TYPES, noun="device type"),
        "path!": PATH,
        "major": integer((0, 2**12 - 1)),
        "minor": integer((0, 2**20 - 1)),
        "fileMode": integer((0, 2**32 - 1)),  # with file type bits, which engines write
        "uid": integer((0, MAX_ID)),
        "gid": integer((0, MAX_ID)),
    }

    type: str
    path: str
    major: int | None
    minor: int | None
    file_mode: int | None
    uid: int | None
    gid: int | None


class NetDevice(Node):
    __slots__ = ("name",)
    PROPERTIES = {"name": LINE}

    name: str | None


class SyscallArg(Node):
    __slots__ = ("index", "value", "value_two", "op")
    PROPERTIES = {
        "index!": integer((0, 5)),
        "value!": integer(UINT64),
        "valueTwo": (integer(UINT64)[0], 0),
        "op!": choice(SECCOMP_OPERATORS, noun="seccomp operator"),
    }

    index: int
    value: int
    value_two: int
    op: str


class SyscallRule(Node):
    __slots__ = ("names", "action", "errno_ret", "args")
    PROPERTIES = {
        "names!": TEXTS,
        "action!": choice(SECCOMP_ACTIONS, noun="seccomp action"),
        "errnoRet": integer((0, 65535)),
        "args": nodes(SyscallArg),
    }

    names: tuple[str, ...]
    action: str
    errno_ret: int | None
    args: tuple[SyscallArg, ...]


class Seccomp(Node):
    """`flags` is None when absent: then the runtime chooses."""

    __slots__ = (
        "default_action",
        "default_errno_ret",
        "architectures",
        "flags",
        "listener_path",
        "listener_metadata",
        "syscalls",
    )
    PROPERTIES = {
        "defaultAction!": choice(SECCOMP_ACTIONS, noun="seccomp action"),
        "defaultErrnoRet": integer((0, 65535)),
        "architectures": items(choice(SECCOMP_ARCHITECTURES, noun="seccomp architecture")),
        "flags": or_none(items(choice(SECCOMP_FLAGS, noun="seccomp flag"))),
        "listenerPath": TEXT,
        "listenerMetadata": TEXT,
        "syscalls": nodes(SyscallRule),
    }

    default_action: str
    default_errno_ret: int | None
    architectures: tuple[str, ...]
    flags: tuple[str, ...] | None
    listener_path: str | None
    listener_metadata: str | None
    syscalls: tuple[SyscallRule, ...]


class IntelRdt(Node):
    __slots__ = (
        "clos_id",
        "schemata",
        "l3_cache_schema",
        "mem_bw_schema",
        "enable_monitoring",
        "enable_cmt",
        "enable_mbm",
    )
    PROPERTIES = {
        "closID": LINE,
        "schemata": items(LINE),
        "l3CacheSchema": TEXT,
        "memBwSchema": LINE,
        "enableMonitoring": BOOLEAN,
        "enableCMT": BOOLEAN,
        "enableMBM": BOOLEAN,
    }

    clos_id: str | None
    schemata: tuple[str, ...]
    l3_cache_schema: str | None
    mem_bw_schema: str | None
    enable_monitoring: bool | None
    enable_cmt: bool | None
    enable_mbm: bool | None


class Personality(Node):
    __slots__ = ("domain", "flags")
    PROPERTIES = {"domain!": choice(PERSONALITIES, noun="personality domain"), "flags": TEXTS}

    domain: str
    flags: tuple[str, ...]


class MemoryPolicy(Node):
    __slots__ = ("mode", "nodes", "flags")
    PROPERTIES = {
        "mode!": choice(MEMORY_POLICIES, noun="memory policy"),
        "nodes": LINE,
        "flags": items(choice(MEMORY_POLICY_FLAGS, noun="memory policy flag")),
    }

    mode: str
    nodes: str | None
    flags: tuple[str, ...]


class Linux(Node):
    __slots__ = (
        "namespaces",
        "uid_mappings",
        "gid_mappings",
        "time_offsets",
        "devices",
        "net_devices",
        "cgroups_path",
        "resources",
        "rootfs_propagation",
        "seccomp",
        "sysctl",
        "masked_paths",
        "readonly_paths",
        "mount_label",
        "intel_rdt",
        "personality",
        "memory_policy",
    )
    PROPERTIES = {
        "namespaces": nodes(Namespace),
        "uidMappings": nodes(IdMapping),
        "gidMappings": nodes(IdMapping),
        "timeOffsets": node_map(TimeOffset, names=dict.fromkeys(CLOCKS), noun="clock"),
        "devices": nodes(Device),
        "netDevices": node_map(NetDevice),
        "cgroupsPath": LINE,
        "resources": node(Resources),
        "rootfsPropagation": choice(("", *PROPAGATIONS), noun="propagation"),
        "seccomp": node(Seccomp),
        "sysctl": TEXT_MAP,
        "maskedPaths": items(PATH_OR_NOTHING),
        "readonlyPaths": items(PATH_OR_NOTHING),
        "mountLabel": LINE,
        "intelRdt": node(IntelRdt),
        "personality": node(Personality),
        "memoryPolicy": node(MemoryPolicy),
    }

    namespaces: tuple[Namespace, ...]
    uid_mappings: tuple[IdMapping, ...]
    gid_mappings: tuple[IdMapping, ...]
    time_offsets: dict[str, TimeOffset]
    devices: tuple[Device, ...]
    net_devices: dict[str, NetDevice]
    cgroups_path: str | None
    resources: Resources | None
    rootfs_propagation: str | None
    seccomp: Seccomp | None
    sysctl: dict[str, str]
    masked_paths: tuple[str, ...]
    readonly_paths: tuple[str, ...]
    mount_label: str | None
    intel_rdt: IntelRdt | None
    personality: Personality | None
    memory_policy: MemoryPolicy | None

    def namespace(self, kind: str) -> Namespace | None:
        """Return the namespace of a kind that the container creates or joins."""
        for entry in self.namespaces:
            if entry.type == kind:
                return entry
        return None
