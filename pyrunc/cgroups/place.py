# SPDX-License-Identifier: Apache-2.0
"""Place the container's cgroup in a hierarchy, from cgroupsPath and the caller's own cgroup.

PURE, for the fs drivers.
"""

from __future__ import annotations

from pyrunc.cgroups import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cgroups.layout import Hierarchy


def own_parts(hierarchy: Hierarchy) -> tuple[str, ...]:
    """Return the cgroup that a relative path starts from: the caller's own.

    On v2 its parent: a cgroup with processes may not give controllers to its children.
    """
    # A cgroup outside the caller's cgroup namespace is shown as /.. and cannot be reached: start at
    # the root.
    parts = tuple(part for part in hierarchy.own.split("/") if part)
    if ".." in parts:
        return ()
    return parts[:-1] if hierarchy.version == 2 else parts


def components(cgroups_path: str | None, *, container_id: str) -> tuple[str, ...]:
    """cgroupsPath, or the container's id where there is none; below the own cgroup if relative."""
    if cgroups_path:
        return names.cgroups_path(cgroups_path)
    return names.components(container_id, pointer="")
