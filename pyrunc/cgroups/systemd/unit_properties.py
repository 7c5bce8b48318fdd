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
DEFAULT_WEIGHT = 100
NICE_WEIGHTS = (  # the kernel's table for -20 to 19; 1024 is nice 0
    *(88761, 71755, 56483, 46273, 36291, 29154, 23254, 18705, 14949, 11916),
    *(9548, 7620, 6100, 4904, 3906, 3121, 2501, 1991, 1586, 1277),
    *(1024, 820, 655, 526, 423, 335, 272, 215, 172, 137),
    *(110, 87, 70, 56, 45, 36, 29, 23, 18, 15),
)
SUFFIXES = {"k": 10, "m": 20, "g": 30, "t": 40, "p": 50, "e": 60}
TEN_MS = 10_000
VERSION_MAJOR = 240  # from which on a device class may be the number of a driver
PIDS = "pids.max"
NEWEST = 999  # what no version lacks
VERSION_PERIOD, VERSION_CPUSET, VERSION_IDLE, VERSION_OOM = 242, 244, 252, 253


def with_room(resources: Resources | None) -> Resources | None:
    """Return the same resources with a limit of two processes in the place of one."""
    if resources is None:
        return None
    few = resources.pids is not None and resources.pids.limit in (0, 1)
    if not few and resources.unified.get(PIDS) not in ("0", "1"):
        return resources
    from copy import copy  # a rare case

    wider = copy(resources)
    if few:
        wider.pids = copy(resources.pids)
        assert wider.pids is not None
        wider.pids.limit = 2
    if PIDS in resources.unified:
        wider.unified = {**resources.unified, PIDS: "2"}
    return wider


def show(signature: str, value: Any) -> str:
    """Return the value of a property in the words of `systemctl show`, or nearly."""
    if signature == "b":
        return "yes" if value else "no"
    if value == INFINITY and signature == "t":
        return "infinity"
    if isinstance(value, bytes):
        return value.hex(" ")
    if isinstance(value, list | tuple):
        return " ".join(
            " ".join(map(str, one)) if isinstance(one, tuple) else str(one) for one in value
        )
    return str(value)


def unit_properties(unit: Unit, *, container_id: str, pid: int, version: int) -> list[Property]:
    """Return the properties that every container's unit has."""
    properties: list[Property] = [("Description", ("s", f"pyrunc container {container_id}"))]
    if unit.is_slice:
        properties.append(("Wants", ("as", [unit.slice])))
    else:
        properties.append(("Slice", ("s", unit.slice)))
        # The container's cgroup is ours to change below the unit.
        properties.append(("Delegate", ("b", True)))
        if pid:
            properties.append(("PIDs", ("au", [pid])))
    io = "IOAccounting" if version == 2 else "BlockIOAccounting"
    properties.extend(
        (name, ("b", True)) for name in ("MemoryAccounting", "CPUAccounting", io, "TasksAccounting")
    )
    # Without this a shutdown stops containers before what they depend on.
    properties.append(("DefaultDependencies", ("b", False)))
    return properties


def resource_properties(
    resources: Resources | None, *, version: int, manager: int
) -> list[Property]:
    """`version` of the cgroups, `manager`: systemd's own."""
    if resources is None:
        return []
    properties = [*_memory(resources, version), *_cpu(resources, version, manager)]
    properties += _cpuset(resources, version, manager)
    if version == 2:
        try:
            properties += _weight(resources, manager)
        except ValueError:
            key = "cpu.weight" if "cpu.weight" in resources.unified else "cpu.weight.nice"
            raise _no_value(resources, key) from None
    if resources.pids is not None and resources.pids.limit is not None:
        value = writes.pids_value(resources.pids.limit)
        properties.append(("TasksMax", ("t", INFINITY if value == "max" else int(value or 1))))
    if resources.block_io is not None and resources.block_io.weight:
        weight = resources.block_io.weight
        if version == 2:
            properties.append(("IOWeight", ("t", 1 + (weight - 10) * 9999 // 990)))
        else:
            properties.append(("BlockIOWeight", ("t", weight)))
    if version == 2:
        for key, value in resources.unified.items():
            convert = UNIFIED.get(key)
            if convert is not None:
                try:
                    properties.extend(convert(value, manager))
                except ValueError:
                    raise _no_value(resources, key) from None
    return properties


def _no_value(resources: Resources, key: str) -> Failure:
    return Failure(
        f"unified resource {key} is {resources.unified[key][:80]!r}: no value for systemd",
        pointer=f"{resources.pointer}/unified/{key}",
    )


def _limit(value: int) -> int:
    return INFINITY if value < 0 else value


def _memory(resources: Resources, version: int) -> list[Property]:
    node = resources.memory
    if node is None:
        return []
    properties: list[Property] = []
    if node.limit:
        name = "MemoryMax" if version == 2 else "MemoryLimit"
        properties.append((name, ("t", _limit(node.limit))))
    if version == 1:
        return properties
    if node.reservation:
        properties.append(("MemoryLow", ("t", _limit(node.reservation))))
    total = writes.swap_total(resources)
    if total is not None:
        swap = total - node.limit if total > 0 and node.limit and node.limit > 0 else total
        properties.append(("MemorySwapMax", ("t", _limit(swap))))
    return properties


def _cpu(resources: Resources, version: int, manager: int) -> list[Property]:
    node = resources.cpu
    if node is None:
        return []
    properties: list[Property] = []
    if version == 1 and node.shares:
        properties.append(("CPUShares", ("t", node.shares)))
    if node.quota or node.period:
        properties.extend(_quota(node.quota or 0, node.period or DEFAULT_PERIOD, manager))
    return properties


def weight_of_nice(nice: int) -> int:
    """Return the cpu.weight that the kernel makes of a nice value, -20 to 19.

    Raises ValueError.
    """
    if not -20 <= nice <= 19:
        raise ValueError(nice)
    return (NICE_WEIGHTS[nice + 20] * DEFAULT_WEIGHT + 512) // 1024


def _weight(resources: Resources, manager: int) -> list[Property]:
    """Give the weight, which is 0 for an idle group and 100 again for one that is idle no more."""
    node, unified = resources.cpu, resources.unified
    idle = node.idle if node is not None else None
    if "cpu.idle" in unified:
        idle = int(unified["cpu.idle"].strip() == "1")
    weight = None
    if idle and manager >= VERSION_IDLE:
        weight = 0
    elif idle:
        return []
    elif "cpu.weight" in unified:
        weight = amount(unified["cpu.weight"])
    elif "cpu.weight.nice" in unified:
        weight = weight_of_nice(int(unified["cpu.weight.nice"]))
    elif node is not None and node.shares:
        weight = weight_of_shares(node.shares)
    elif idle is not None and manager >= VERSION_IDLE:
        weight = DEFAULT_WEIGHT
    return [("CPUWeight", ("t", weight))] if weight is not None else []


def _quota(quota: int, period: int, manager: int) -> list[Property]:
    """systemd keeps microseconds per second, in steps of 10 ms: round up, never to nothing."""
    per_second = INFINITY
    if quota > 0:
        per_second = -(-quota * 1_000_000 // period)
        per_second = -(-per_second // TEN_MS) * TEN_MS
    properties: list[Property] = [("CPUQuotaPerSecUSec", ("t", per_second))]
    if manager >= VERSION_PERIOD:
        properties.append(("CPUQuotaPeriodUSec", ("t", period)))
    return properties


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
    return lambda value, manager: [(name, ("t", amount(value)))]


def amount(text: str) -> int:
    """Return a number as the kernel reads it, 64M or 0x40 too; "max" is all ones.

    Raises ValueError.
    """
    plain = text.strip()
    if plain == "max":
        return INFINITY
    shift = SUFFIXES.get(plain[-1:].lower(), 0)
    value = int(plain[:-1] if shift else plain, 0 if plain[:2].lower() == "0x" else 10) << shift
    if not 0 <= value <= INFINITY:
        raise ValueError(text)
    return value


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


UNIFIED: Mapping[str, Callable[[str, int], list[Property]]] = {
    "memory.max": _bytes("MemoryMax"),
    "memory.high": _bytes("MemoryHigh"),
    "memory.low": _bytes("MemoryLow"),
    "memory.min": _bytes("MemoryMin"),
    "memory.swap.max": _bytes("MemorySwapMax"),
    "memory.oom.group": _unified_oom,
    "pids.max": _bytes("TasksMax"),
    "cpu.max": _unified_cpu_max,
    "cpuset.cpus": _unified_set("AllowedCPUs"),
    "cpuset.mems": _unified_set("AllowedMemoryNodes"),
}


# -- devices ---------------------------------------------------------------------------------------


def device_properties(
    access: Access, *, manager: int, classes: Callable[[], Mapping[tuple[str, int], str]]
) -> list[Property]:
    """Return DevicePolicy and DeviceAllow; `classes`: (type, major) -> name of /proc/devices.

    systemd attaches a program of its own beside ours, and makes it again at daemon-reload. A device
    needs the consent of both: what systemd cannot express is given to it wider, never left out.
    """
    if access.allow:
        # systemd cannot express "all but": its own filter lets everything pass, ours refuses.
        return [("DevicePolicy", ("s", "auto")), ("DeviceAllow", ("a(ss)", []))]
    entries: dict[str, int] = {}
    for (kind, major, minor), bits in access.exceptions.items():
        family = "char" if kind == "c" else "block"
        if major == ANY:
            name = f"{family}-*"  # with one minor number, too
        elif minor != ANY:
            name = f"/dev/{family}/{major}:{minor}"
        elif manager >= VERSION_MAJOR:
            name = f"{family}-{major}"  # also of a driver that is loaded later
        else:
            name = f"{family}-{classes().get((kind, major), '*')}"
        entries[name] = entries.get(name, 0) | bits
    # An assignment adds to the list: empty it first.
    return [
        ("DevicePolicy", ("s", "strict")),
        ("DeviceAllow", ("a(ss)", [])),
        ("DeviceAllow", ("a(ss)", [(name, access_text(bits)) for name, bits in entries.items()])),
    ]


def device_classes(text: str) -> dict[tuple[str, int], str]:
    """/proc/devices -> (type, major) -> name."""
    classes: dict[tuple[str, int], str] = {}
    kind = ""
    for line in text.splitlines():
        if line.endswith("devices:"):
            kind = "c" if line.startswith("Character") else "b"
            continue
        number, _, name = line.strip().partition(" ")
        if number.isdecimal() and name:
            classes.setdefault((kind, int(number)), name)
    return classes
