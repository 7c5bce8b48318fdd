# SPDX-License-Identifier: Apache-2.0
"""The figures of `events`: the sources of both versions merged into one object.

Each controller is read from the hierarchy that has it. A file that this kernel lacks leaves its
figures out; numbers that are zero are left out too, as the other runtimes do.
"""

from __future__ import annotations

from pyrunc.cgroups.member import Cgroup
from pyrunc.cgroups.stats import v1, v2

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def collect(members: list[Cgroup]) -> dict[str, Any]:
    """All figures of a container; an empty object when it has no cgroup."""
    data: dict[str, Any] = {}
    beside = any(member.hierarchy.controllers for member in members)
    for member in members:
        for controller in member.hierarchy.controllers:
            reader = v1.READERS.get(controller)
            if reader is not None:
                merge(data, reader(member))
        if member.hierarchy.version == 2:
            for reader in v2.BESIDE_V1 if beside else v2.READERS:
                merge(data, reader(member), keep=True)
    pruned: dict[str, Any] = prune(data)
    return pruned


def merge(data: dict[str, Any], more: dict[str, Any], *, keep: bool = False) -> None:
    """Add figures, level by level; with `keep` what is there already stays."""
    for key, value in more.items():
        old = data.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            merge(old, value, keep=keep)
        elif not (keep and key in data):
            data[key] = value


def prune(value: Any) -> Any:
    """Leave out zeros, empty lists and empty objects; raw and psi stay whole."""
    if not isinstance(value, dict):
        return value
    kept = {}
    for key, item in value.items():
        cleaned = item if key in ("raw", "psi") else prune(item)
        if cleaned or (cleaned == 0 and key == "limit"):
            kept[key] = cleaned
    return kept
