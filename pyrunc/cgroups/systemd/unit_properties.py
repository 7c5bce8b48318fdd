# SPDX-License-Identifier: Apache-2.0
"""PURE: resources -> properties of a systemd unit, as (name, (D-Bus signature, value)).

systemd writes these to the control files again at daemon-reload and when the unit changes: what it
knows and what we write must say the same, so every control that has a property is given both
ways. Controls without one stay as we wrote them, because systemd does not touch them.
"""

from __future__ import annotations

from pyrunc.cgroups.devices.rules import ANY, Access, access_text
from pyrunc.cgroups.resources import writes
from pyrunc.cgroups.resources.convert_v2 import DEFAULT_PERIOD, weight_of_shares
from pyrunc.cgroups.stats import parse
from pyrunc.errors import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from pyrunc.cgroups.systemd.unit_names import Unit
    from pyrunc.spec.model_resources import Resources

    Property = tuple[str, tuple[str, Any]]

INFINITY = 2**64 - 1
TEN_MS = 10_000
VERSION_PERIOD, VERSION_CPUSET, VERSION_IDLE, VERSION_OOM = 242, 244, 252, 253


def unit_properties(unit: Unit, *, container_id: str, pid: int, version: int) -> list[Property]:
    """Return the properties that every container's unit has."""
    found: list[Property] = [("Description", ("s", f"pyrunc container {container_id}"))]
    if unit.is_slice:
        found.append(("Wants", ("as", [unit.slice])))
    else:
        found.append(("Slice", ("s", unit.slice)))
        # The container's cgroup is ours to change below the unit.
        found.append(("Delegate", ("b", True)))
        if pid:
            found.append(("PIDs", ("au", [pid])))
    io = "IOAccounting" if version == 2 else "BlockIOAccounting"
    found.extend(
        (name, ("b", True)) for name in ("MemoryAccounting", "CPUAccounting", io, "TasksAccounting")
    )
    # Without this a shutdown stops containers before what they depend on.
    found.append(("DefaultDependencies", ("b", False)))
    return found


def resource_properties(
    resources: Resources | None, *, version: int, manager: int
) -> list[Property]:
    """`version` of the cgroups, `manager`: systemd's own."""
    if resources is None:
        return []
    found = [*_memory(resources, version), *_cpu(resources, version, manager)]
    found += _cpuset(resources, version, manager)
    if resources.pids is not None and resources.pids.limit is not None:
        value = writes.pids_value(resources.pids.limit)
        found.append(("TasksMax", ("t", INFINITY if value == "max" else int(value or 1))))
    if resources.block_io is not None and resources.block_io.weight:
        weight = resources.block_io.weight
        if version == 2:
            found.append(("IOWeight", ("t", 1 + (weight - 10) * 9999 // 990)))
        else:
            found.append(("BlockIOWeight", ("t", weight)))
    if version == 2:
        for key, value in resources.unified.items():
            convert = UNIFIED.get(key)
            if convert is not None:
                found.extend(convert(value, manager))
    return found


def _limit(value: int) -> int:
    return INFINITY if value < 0 else value


def _memory(resources: Resources, version: int) -> list[Property]:
    node = resources.memory
    if node is None:
        return []
    found: list[Property] = []
    if node.limit:
        name = "MemoryMax" if version == 2 else "MemoryLimit"
        found.append((name, ("t", _limit(node.limit))))
    if version == 1:
        return found
    if node.reservation:
        found.append(("MemoryLow", ("t", _limit(node.reservation))))
    total = writes.swap_total(resources)
    if total is not None:
        swap = total - node.limit if total > 0 and node.limit and node.limit > 0 else total
        found.append(("MemorySwapMax", ("t", _limit(swap))))
    return found


def _cpu(resources: Resources, version: int, manager: int) -> list[Property]:
    node = resources.cpu
    if node is None:
        return []
    found: list[Property] = []
    if version == 1:
        if node.shares:
            found.append(("CPUShares", ("t", node.shares)))
    elif node.idle:
        if manager >= VERSION_IDLE:
            found.append(("CPUWeight", ("t", 0)))
    elif node.shares:
        found.append(("CPUWeight", ("t", weight_of_shares(node.shares))))
    if node.quota or node.period:
        found.extend(_quota(node.quota or 0, node.period or DEFAULT_PERIOD, manager))
    return found


def _quota(quota: int, period: int, manager: int) -> list[Property]:
    """systemd keeps microseconds per second, in steps of 10 ms: round up, never to nothing."""
    per_second = INFINITY
    if quota > 0:
        per_second = -(-quota * 1_000_000 // period)
        per_second = -(-per_second // TEN_MS) * TEN_MS
    found: list[Property] = [("CPUQuotaPerSecUSec", ("t", per_second))]
    if manager >= VERSION_PERIOD:
        found.append(("CPUQuotaPeriodUSec", ("t", period)))
    return found


def mask(text: str) -> list[int]:
    """0-3,7 as the bytes of a bit mask, lowest first."""
    try:
        bits = sum(1 << number for number in set(parse.ranges(text)))
    except ValueError as error:
        raise Failure(f"{text[:120]!r} is not a list such as 0-3,7") from error
    return list(bits.to_bytes((bits.bit_length() + 7) // 8 or 1, "little"))


def _cpuset(resources: Resources, version: int, manager: int) -> list[Property]:
    node = resources.cpu
    if node is None or version == 1 or manager < VERSION_CPUSET:
        return []
    return [
        (name, ("ay", bytes(mask(value))))
        for name, value in (("AllowedCPUs", node.cpus), ("AllowedMemoryNodes", node.mems))
        if value
    ]


def _bytes(name: str) -> Callable[[str, int], list[Property]]:
    return lambda value, manager: [(name, ("t", parse.number(value)))]


def _unified_cpu_max(value: str, manager: int) -> list[Property]:
    quota, _, period = value.partition(" ")
    return _quota(0 if quota == "max" else int(quota), int(period or DEFAULT_PERIOD), manager)


def _unified_set(name: str) -> Callable[[str, int], list[Property]]:
    def convert(value: str, manager: int) -> list[Property]:
        return [(name, ("ay", bytes(mask(value))))] if manager >= VERSION_CPUSET else []

    return convert


def _unified_oom(value: str, manager: int) -> list[Property]:
    if manager < VERSION_OOM:
        return []
    return [("OOMPolicy", ("s", "kill" if value.strip() == "1" else "continue"))]


def _unified_idle(value: str, manager: int) -> list[Property]:
    return [("CPUWeight", ("t", 0))] if value.strip() == "1" and manager >= VERSION_IDLE else []


UNIFIED: Mapping[str, Callable[[str, int], list[Property]]] = {
    "memory.max": _bytes("MemoryMax"),
    "memory.high": _bytes("MemoryHigh"),
    "memory.low": _bytes("MemoryLow"),
    "memory.min": _bytes("MemoryMin"),
    "memory.swap.max": _bytes("MemorySwapMax"),
    "memory.oom.group": _unified_oom,
    "pids.max": _bytes("TasksMax"),
    "cpu.weight": _bytes("CPUWeight"),
    "cpu.idle": _unified_idle,
    "cpu.max": _unified_cpu_max,
    "cpuset.cpus": _unified_set("AllowedCPUs"),
    "cpuset.mems": _unified_set("AllowedMemoryNodes"),
}


# -- devices ---------------------------------------------------------------------------------------


def device_properties(access: Access, *, classes: Mapping[tuple[str, int], str]) -> list[Property]:
    """DevicePolicy and DeviceAllow; `classes`: (type, major) -> name, as /proc/devices has them.

    systemd attaches a program of its own beside ours, and makes it again at daemon-reload.
    """
    if access.allow:
        # systemd cannot express "all but": its own filter lets everything pass, ours refuses.
        return [("DevicePolicy", ("s", "auto")), ("DeviceAllow", ("a(ss)", []))]
    entries = []
    for (kind, major, minor), bits in access.exceptions.items():
        family = "char" if kind == "c" else "block"
        letters = access_text(bits)
        if major == ANY:
            if minor == ANY:
                entries.append((f"{family}-*", letters))
        elif minor == ANY:
            name = classes.get((kind, major))
            if name is not None:
                entries.append((f"{family}-{name}", letters))
        else:
            entries.append((f"/dev/{family}/{major}:{minor}", letters))
    # An assignment adds to the list: empty it first.
    return [
        ("DevicePolicy", ("s", "strict")),
        ("DeviceAllow", ("a(ss)", [])),
        ("DeviceAllow", ("a(ss)", entries)),
    ]


def device_classes(text: str) -> dict[tuple[str, int], str]:
    """/proc/devices -> (type, major) -> name."""
    found: dict[tuple[str, int], str] = {}
    kind = ""
    for line in text.splitlines():
        if line.endswith("devices:"):
            kind = "c" if line.startswith("Character") else "b"
            continue
        number, _, name = line.strip().partition(" ")
        if number.isdecimal() and name:
            found.setdefault((kind, int(number)), name)
    return found
