# SPDX-License-Identifier: Apache-2.0
"""Bring the devices controller of cgroup v1 from its present rules to the configured ones."""

from __future__ import annotations

import errno

from pyrunc.cgroups.devices import rules
from pyrunc.cgroups.member import Cgroup
from pyrunc.cgroups.resources.writes import Write
from pyrunc.errors import Failure


def apply(
    member: Cgroup,
    target: rules.Access,
    *,
    new: bool = False,
    old: rules.Access | None = None,
    lenient: bool = False,
) -> None:
    """Write the difference between the present rules and `target`.

    `lenient`: the files may be the caller's, but the kernel takes rules only from root of the host
    (CAP_SYS_ADMIN). A user's devices are guarded by their permissions, as on version 2.

    `new`: the cgroup has no process yet, so everything may be denied before the rules are
    written.

    `old` is what was applied before: devices.list shows only `a *:* rwm` while everything is
    allowed.
    """
    if new and not target.allow:
        current = rules.Access(True)
    else:
        current = rules.parse_list(member.read("devices.list"))
        if current.allow and old is not None and old.allow:
            current = old
    try:
        member.apply_in_row(
            Write("devices", file=file, value=line, pointer="/linux/resources/devices")
            for file, line in rules.transition(current, target)
        )
    except Failure as failure:
        if not lenient or failure.errno not in (errno.EPERM, errno.EACCES):
            raise
