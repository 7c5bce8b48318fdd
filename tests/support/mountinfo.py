# SPDX-License-Identifier: Apache-2.0
"""The mount table as the kernel tells it, read from inside a container."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mount:
    """One line of /proc/PID/mountinfo."""

    root: str
    target: str
    options: frozenset[str]
    propagation: frozenset[str]
    fstype: str
    source: str
    data: frozenset[str]


def parse(text: str) -> dict[str, Mount]:
    """The topmost mount on each target."""
    found = {}
    for line in text.splitlines():
        head, _, tail = line.partition(" - ")
        fields, end = head.split(), tail.split()
        propagation = frozenset(field.partition(":")[0] for field in fields[6:])
        target = fields[4].encode().decode("unicode_escape")
        found[target] = Mount(
            root=fields[3],
            target=target,
            options=frozenset(fields[5].split(",")),
            propagation=propagation,
            fstype=end[0],
            source=end[1],
            data=frozenset(end[2].split(",") if len(end) > 2 else ()),
        )
    return found
