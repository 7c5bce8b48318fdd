# SPDX-License-Identifier: Apache-2.0
"""Control groups: where a container is placed, what it may use, who is in it, and how it goes away.

    names place                    PURE  paths of cgroups
    resources/                     PURE  linux.resources to writes
    devices/rules, devices/program PURE  device rules to a state of access, and to a BPF program
    devices/v1, devices/attach           applying them on v1 and v2
    layout tree member                   the mounted hierarchies and descriptors beneath them
    base group limits                    what both drivers share
    fs, systemd/manager                  the drivers: what `resolve` and `from_record` return
    enter delegate enable cpuset         entering a cgroup, and what must be set up for it
    freezer kill update rdt doctor       pausing, ending, changing, Intel RDT, leftovers
    moved                                an init that has left its cgroup, which is gone
    stats/                               what `events` reports (stats/parse is PURE)

The driver and all paths are in the record that the state file keeps: later commands look at nothing
else.
"""

from __future__ import annotations

from pyrunc.cgroups import delegate, fs, layout
from pyrunc.errors import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Manager = fs.FsManager

DRIVERS = ("cgroupfs", "systemd", "disabled")


def resolve(
    driver: str,
    cgroups_path: str | None,
    container_id: str,
    *,
    rootless: bool = False,
    annotations: Mapping[str, str] | None = None,
    shown: bool = False,
) -> Manager:
    """Choose the container's cgroups. Looks at the host, changes nothing.

    `shown`: the container sees a writable cgroup2 as the root of its own cgroup namespace.
    """
    asked = delegate.leaf(annotations) if annotations else ""
    if driver == "disabled":
        return fs.FsManager([], driver="disabled", rootless=rootless)
    if driver == "systemd":
        from pyrunc.cgroups.systemd import manager

        chosen: Manager = manager.resolve(
            layout.probe(),
            cgroups_path=cgroups_path,
            container_id=container_id,
            rootless=rootless,
            annotations=annotations or {},
            leaf=asked,
        )
    elif driver == "cgroupfs":
        chosen = fs.FsManager.resolve(
            layout.probe(),
            cgroups_path=cgroups_path,
            container_id=container_id,
            rootless=rootless,
            leaf=asked,
        )
    else:
        raise Failure(f"unknown cgroup manager {driver!r} (allowed: {', '.join(DRIVERS)})")
    if shown and chosen.pure:
        chosen.leaf = asked or delegate.offered(annotations or {})
    return chosen


def from_record(record: Mapping[str, Any]) -> Manager:
    """Return the manager of an existing container from what `record()` gave."""
    driver = record.get("driver")
    if driver == "systemd":
        from pyrunc.cgroups.systemd import manager

        return manager.from_record(record)
    if driver not in DRIVERS:
        raise Failure(f"the saved state names an unknown cgroup manager: {driver!r}")
    return fs.FsManager.from_record(record)
