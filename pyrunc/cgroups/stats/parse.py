# SPDX-License-Identifier: Apache-2.0
"""PURE: the text formats of cgroup files -> numbers."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

UNLIMITED = 2**64 - 1
MAX_LIST = 65536  # processors and nodes: more in a range than that is no such list


def number(text: str) -> int:
    """One value; "max" is all ones, as clients expect it. v1 files hold -1 for some limits."""
    text = text.strip()
    if text == "max":
        return UNLIMITED
    value = int(text)
    return value if value >= 0 else UNLIMITED


def flat(text: str) -> dict[str, int]:
    """Lines of `key value` (memory.stat, cpu.stat, memory.events). Others are skipped."""
    counts = {}
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if value.lstrip("-").isdecimal():
            counts[key] = int(value)
    return counts


def nested(text: str) -> dict[str, dict[str, int]]:
    """Lines of `name key=value key=value` (io.stat, io.max, rdma.max)."""
    by_name: dict[str, dict[str, int]] = {}
    for line in text.splitlines():
        name, *pairs = line.split()
        values = by_name.setdefault(name, {})
        for pair in pairs:
            key, _, value = pair.partition("=")
            if value == "max" or value.isdecimal():
                values[key] = number(value)
    return by_name


def ranges(text: str) -> list[int]:
    """Parse a list such as 0-3,7 (cpuset.cpus)."""
    numbers: list[int] = []
    for part in text.strip().split(","):
        if not part:
            continue
        first, dash, last = part.partition("-")
        low, high = int(first), int(last if dash else first)
        if high - low > MAX_LIST:
            raise ValueError(f"{part!r} is no list of processors or nodes")
        numbers.extend(range(low, high + 1))
    return numbers


def pressure(text: str) -> dict[str, Any]:
    """Parse a *.pressure file: {some: {avg10, avg60, avg300, total}, full: ...}."""
    by_kind: dict[str, Any] = {}
    for line in text.splitlines():
        kind, *pairs = line.split()
        if kind not in ("some", "full"):
            continue
        values: dict[str, float] = {}
        for pair in pairs:
            key, _, value = pair.partition("=")
            values[key] = int(value) if key == "total" else float(value)
        by_kind[kind] = values
    return by_kind


def blkio(text: str) -> list[dict[str, Any]]:
    """Parse a v1 blkio file: lines of `major:minor Operation value` or `major:minor value`."""
    rows = []
    for line in text.splitlines():
        fields = line.split()
        device, _, rest = fields[0].partition(":") if fields else ("", "", "")
        if not device.isdecimal() or not rest.isdecimal() or not fields[-1].isdecimal():
            continue  # "Total 0", or a device that has gone
        rows.append(
            {
                "major": int(device),
                "minor": int(rest),
                "op": fields[1] if len(fields) == 3 else "",
                "value": int(fields[-1]),
            }
        )
    return rows
