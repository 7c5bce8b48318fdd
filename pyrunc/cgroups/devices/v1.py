# SPDX-License-Identifier: Apache-2.0
"""The devices controller of cgroup v1: from what the kernel has to what the configuration asks
for."""

from __future__ import annotations

from pyrunc.cgroups import devices
from pyrunc.cgroups.member import Member
from pyrunc.cgroups.writes import Write


def apply(
    member: Member, target: devices.Access, *, new: bool = False, old: devices.Access | None = None
) -> None:
    """`new`: nobody is in the cgroup, so that it may be denied everything before the rules.

    `old` is what was applied before: the kernel hides the exceptions of a base that allows.
    """
    if new and not target.allow:
        current = devices.Access(True)
    else:
        current = devices.parse_list(member.read("devices.list"))
        if current.allow and old is not None and old.allow:
            current = old
    member.apply_in_row(
        Write("devices", file=file, value=line, pointer="/linux/resources/devices")
        for file, line in devices.transition(current, target)
    )
