# SPDX-License-Identifier: Apache-2.0
"""What the user hears of a create that failed: the cause behind the error of its init."""

from __future__ import annotations

from pyrunc.errors import Failure, InitError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pyrunc.cgroups import Manager


def oom_killed(made: Sequence[Mapping[str, Any]], cgroup: Manager) -> Failure | None:
    """Whether the kernel killed the init for its memory; asked before the cgroup goes away."""
    if not any(record["kind"] == "cgroup" for record in made):
        return None
    try:
        kills = cgroup.oom_kills()
    except (Failure, OSError):
        return None
    if not kills:
        return None
    return InitError(
        "container init was OOM-killed (memory limit too low?)",
        pointer="/linux/resources/memory/limit",
        hint="the init needs some MiB before the program has its memory",
    )
