# SPDX-License-Identifier: Apache-2.0
"""Rules of `linux`: namespaces and what needs one, devices, network devices, RDT, memory policy.

PURE.
"""

from __future__ import annotations

from pyrunc.spec.check_mounts import check_mappings, components
from pyrunc.spec.check_process import check_label, check_list
from pyrunc.spec.check_resources import check_resources
from pyrunc.spec.check_seccomp import check_seccomp
from pyrunc.spec.check_sysctl import sysctl_path, sysctl_problem
from pyrunc.spec.constants import PERSONALITY_FLAGS, RDT_RESERVED
from pyrunc.spec.limits import MAX_CGROUP_DEPTH, MAX_INTERFACE, MAX_PATH
from pyrunc.spec.problems import Problems, join, show, suggestion

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.spec.model_linux import Device, IntelRdt, Linux, MemoryPolicy


# Without nodes these modes mean nothing; DEFAULT and LOCAL take none (kernel: EINVAL).
NEED_NODES = ("MPOL_BIND", "MPOL_INTERLEAVE", "MPOL_PREFERRED_MANY", "MPOL_WEIGHTED_INTERLEAVE")
WITHOUT_NODES = ("MPOL_DEFAULT", "MPOL_LOCAL")
BALANCING = ("MPOL_BIND", "MPOL_PREFERRED_MANY")


PING_GROUP_RANGE = "net/ipv4/ping_group_range"
SYSCTL_HINT = "set it on the host, or give the container a namespace that owns it"


def check_linux(linux: Linux, problems: Problems) -> None:
    _namespaces(linux, problems)
    if not problems.touches("/linux/namespaces"):
        _user_namespace(linux, problems)
        _needs_namespace(linux, problems)
        _sysctl(linux, problems)
    _net_devices(linux, problems)
    _devices(linux.devices, problems)
    if linux.cgroups_path:
        _cgroups_path(linux.cgroups_path, problems)
    if linux.resources is not None:
        check_resources(linux.resources, problems)
    if linux.seccomp is not None:
        check_seccomp(linux.seccomp, problems)
    check_label(linux.mount_label, "/linux/mountLabel", problems)
    if linux.intel_rdt is not None:
        _intel_rdt(linux.intel_rdt, problems)
    for index, name in enumerate(linux.personality.flags if linux.personality else ()):
        if name not in PERSONALITY_FLAGS:
            problems.add(
                f"/linux/personality/flags/{index}",
                "unknown flag of a personality",
                value=show(name),
                allowed=", ".join(PERSONALITY_FLAGS),
                hint=suggestion(name, PERSONALITY_FLAGS),
            )
    if linux.memory_policy is not None and linux.memory_policy.has("mode"):
        _memory_policy(linux.memory_policy, problems)


def _namespaces(linux: Linux, problems: Problems) -> None:
    seen: dict[str, str] = {}
    for entry in linux.namespaces:
        if entry.type in seen:
            problems.add(
                entry.pointer + "/type",
                f"duplicate {entry.type} namespace: {seen[entry.type]} is one already",
                hint="drop one of them",
            )
        elif entry.has("type"):
            seen[entry.type] = entry.pointer
        if entry.path and not entry.path.startswith("/"):
            problems.kind(entry.pointer + "/path", entry.path, "an absolute path")


def _user_namespace(linux: Linux, problems: Problems) -> None:
    user = linux.namespace("user")
    sides = (("uidMappings", linux.uid_mappings), ("gidMappings", linux.gid_mappings))
    for name, mappings in sides:
        pointer = f"/linux/{name}"
        if user is None and mappings:
            problems.add(
                pointer,
                "user namespace mappings specified, but user namespace isn't enabled in the config",
                hint="add {'type': 'user'} to /linux/namespaces",
            )
        elif user is not None and not user.path and not mappings and not problems.touches(pointer):
            problems.add(
                user.pointer,
                f"a new user namespace needs /linux/{name}",
                hint="or a path to join an existing one",
            )
        elif user is not None and user.path and mappings:
            problems.warn(pointer, "mappings must be those of the user namespace that is joined")
        check_mappings(mappings, pointer, problems)


def _needs_namespace(linux: Linux, problems: Problems) -> None:
    mount = linux.namespace("mount")
    for name, paths in (
        ("maskedPaths", linux.masked_paths),
        ("readonlyPaths", linux.readonly_paths),
    ):
        if paths and mount is None:
            problems.add(
                f"/linux/{name}",
                "unable to restrict sys entries without a private MNT namespace",
                hint="add {'type': 'mount'} to /linux/namespaces",
            )
    time = linux.namespace("time")
    if linux.time_offsets and time is None:
        problems.add(
            "/linux/timeOffsets",
            "time namespace offsets specified, but time namespace isn't enabled in the config",
            hint="add {'type': 'time'} to /linux/namespaces",
        )
    elif linux.time_offsets and time is not None and time.path:
        problems.add(
            "/linux/timeOffsets", "the offsets of a time namespace that is joined cannot be set"
        )


def _sysctl(linux: Linux, problems: Problems) -> None:
    own = {entry.type for entry in linux.namespaces}
    for key, value in linux.sysctl.items():
        message = sysctl_problem(key, value, own=own)
        if message:
            hint = SYSCTL_HINT if " namespace" in message else ""
            problems.add(join("/linux/sysctl", key), message, hint=hint)
        elif sysctl_path(key) == PING_GROUP_RANGE:
            _ping_group_range(linux, key, value, problems)


def _ping_group_range(linux: Linux, key: str, value: str, problems: Problems) -> None:
    """Refuse groups without a mapping: the kernel translates both ends of the range."""
    user = linux.namespace("user")
    if user is None or user.path:
        return
    for word in value.split():
        if word.isdecimal() and not any(
            entry.has("container_id", "size")
            and entry.container_id <= int(word) < entry.container_id + entry.size
            for entry in linux.gid_mappings
        ):
            problems.add(
                join("/linux/sysctl", key),
                f"group {word} is not in linux.gidMappings",
                value=show(value),
                hint="both ends of the range must be mapped",
            )
            return


# -- network devices -------------------------------------------------------------------------------


def interface_problem(name: str) -> str:
    """Why a name is no name of a network interface (kernel: dev_valid_name), or ""."""
    if not name or name in (".", ".."):
        return "not the name of a network interface"
    if len(name.encode()) > MAX_INTERFACE:
        return f"longer than {MAX_INTERFACE} bytes"
    if any(char in "/:" or char.isspace() or not char.isprintable() for char in name):
        return "'/', ':' and white space are not allowed in a name"
    return ""


def _net_devices(linux: Linux, problems: Problems) -> None:
    alone = linux.namespace("network") is not None or problems.touches("/linux/namespaces")
    if linux.net_devices and not alone:
        problems.add(
            "/linux/netDevices",
            "unable to move network devices without a private NET namespace",
            hint="add {'type': 'network'} to /linux/namespaces",
        )
    targets: dict[str, str] = {}
    for source, device in linux.net_devices.items():
        target = device.name or source
        for name, pointer in ((source, device.pointer), (target, device.pointer + "/name")):
            wrong = interface_problem(name)
            if wrong:
                problems.add(pointer, f"invalid interface name: {wrong}", value=show(name))
                break
        if target in targets and "%d" not in target:
            problems.add(
                device.pointer,
                f"two devices would be called {show(target)}: {targets[target]} is the other",
            )
        targets.setdefault(target, device.pointer)


# -- devices ---------------------------------------------------------------------------------------


def _devices(devices: tuple[Device, ...], problems: Problems) -> None:
    seen: dict[tuple[str, ...], Device] = {}
    for device in devices:
        if not device.has("type", "path"):
            continue
        for name, number in (("major", device.major), ("minor", device.minor)):
            where = f"{device.pointer}/{name}"
            if number is None and device.type != "p" and not problems.touches(where):
                problems.add(device.pointer, f"the property '{name}' is required")
        parts = tuple(components(device.path))
        if not parts or ".." in device.path.split("/") or parts[0] in ("proc", "sys"):
            problems.add(
                device.pointer + "/path",
                "not a place for a device",
                value=show(device.path),
                allowed="a path without '..' that is not below /proc or /sys",
            )
        other = seen.setdefault(parts, device)
        if _identity(other) != _identity(device):
            problems.add(
                device.pointer + "/path",
                f"{other.pointer} is another device with this path",
                value=show(device.path),
            )


def _identity(device: Device) -> tuple[str, int | None, int | None]:
    kind = "c" if device.type == "u" else device.type
    return (kind, None, None) if kind == "p" else (kind, device.major, device.minor)


# -- names that become directories ----------------------------------------------------------------


def _cgroups_path(path: str, problems: Problems) -> None:
    """Both forms: a path, or `slice:prefix:name` (the driver is not known here)."""
    pointer = "/linux/cgroupsPath"
    parts = [part for part in path.split("/") if part]
    if ".." in parts or "." in parts:
        problems.add(pointer, "'.' and '..' are not allowed in a cgroup path", value=show(path))
    elif not parts:
        problems.add(pointer, "the root of the cgroups is not for a container", value=show(path))
    elif len(parts) > MAX_CGROUP_DEPTH or len(path.encode()) > MAX_PATH:
        problems.add(
            pointer,
            "the cgroup path is too deep or too long",
            allowed=f"at most {MAX_CGROUP_DEPTH} levels, {MAX_PATH} bytes",
        )


def _intel_rdt(rdt: IntelRdt, problems: Problems) -> None:
    pointer = rdt.pointer
    name = rdt.clos_id
    if name and name != "/" and ("/" in name or name in (".", "..", *RDT_RESERVED)):
        problems.add(
            pointer + "/closID",
            "not the name of a group",
            value=show(name),
            allowed="one path component, or '/' for the root group",
        )
    if rdt.mem_bw_schema and not rdt.mem_bw_schema.startswith("MB:"):
        problems.kind(pointer + "/memBwSchema", rdt.mem_bw_schema, "one line that starts with MB:")
    schema = rdt.l3_cache_schema
    if schema and not schema.startswith(("L3:", "L3CODE:", "L3DATA:")):
        problems.warn(pointer + "/l3CacheSchema", "should start with L3:", value=show(schema))
    for name, value in (("enableCMT", rdt.enable_cmt), ("enableMBM", rdt.enable_mbm)):
        if value:
            problems.warn(
                f"{pointer}/{name}",
                "the specification no longer has this property; it is ignored",
                hint="use 'enableMonitoring'",
            )


def _memory_policy(policy: MemoryPolicy, problems: Problems) -> None:
    mode, pointer = policy.mode, policy.pointer
    check_list(policy.nodes, pointer + "/nodes", problems, of="memory nodes")
    if mode in WITHOUT_NODES and policy.nodes:
        problems.add(pointer + "/nodes", f"{mode} takes no nodes", value=show(policy.nodes))
    if mode in NEED_NODES and not policy.nodes:
        problems.add(pointer, f"{mode} needs nodes", hint="set 'nodes', for example to '0'")
    flags = set(policy.flags)
    if {"MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"} <= flags:
        problems.add(
            pointer + "/flags", "MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES exclude each other"
        )
    if mode in WITHOUT_NODES and flags:
        problems.add(pointer + "/flags", f"{mode} takes no flags", value=show(policy.flags[0]))
    elif "MPOL_F_NUMA_BALANCING" in flags and mode not in BALANCING:
        problems.add(
            pointer + "/flags",
            f"MPOL_F_NUMA_BALANCING does not go with {mode}",
            allowed=" or ".join(BALANCING),
        )
