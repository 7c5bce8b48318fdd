# SPDX-License-Identifier: Apache-2.0
"""Finding cgroups, systemd units and RDT groups that belong to no container (`pyrunc doctor`).

What the program made carries no mark in the kernel, so leftovers are found from what is recorded:
the places in which containers were, and the names that the drivers give. `orphans` decides, purely;
`scan_*` look. Nothing here removes: `remove` does, and only an empty cgroup unless told otherwise.
"""

from __future__ import annotations

import errno
import posix
import time

from pyrunc.cgroups import freezer, kill, layout, names, tree, units
from pyrunc.cgroups.layout import Hierarchy
from pyrunc.cgroups.member import Member
from pyrunc.errors import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

REMOVE_S = 2.0


class Finding:
    """Something that belongs to no container: kind "cgroup", "unit" or "rdt"."""

    __slots__ = ("kind", "member", "name", "pids")

    def __init__(
        self, kind: str, *, name: str, pids: tuple[int, ...] = (), member: Member | None = None
    ) -> None:
        self.kind = kind
        self.name = name
        self.pids = pids
        self.member = member

    def text(self) -> str:
        held = f" with {len(self.pids)} process(es): {_listed(self.pids)}" if self.pids else ""
        return f"{self.kind} {self.name} belongs to no container{held}"


def _listed(pids: tuple[int, ...]) -> str:
    return ", ".join(map(str, pids[:8])) + (", ..." if len(pids) > 8 else "")


# -- PURE ------------------------------------------------------------------------------------------


def owned(records: Iterable[Mapping[str, Any]]) -> tuple[set[tuple[str, str]], set[str]]:
    """From the records of all containers: (mount, path) of their cgroups, and their units."""
    paths: set[tuple[str, str]] = set()
    unit_names: set[str] = set()
    for record in records:
        for item in record.get("cgroups", ()):
            paths.add((str(item["mount"]), str(item["path"])))
        if record.get("unit"):
            unit_names.add(str(record["unit"]))
    return paths, unit_names


def is_ours(path: str, *, parents: Iterable[str], ids: Iterable[str]) -> bool:
    """Whether we would have made a cgroup: a known id, or directly in a known parent."""
    head, _, last = path.rpartition("/")
    return last in set(ids) or (bool(head) and head in set(parents))


def orphans(
    found: Iterable[tuple[str, str]],
    *,
    live: set[tuple[str, str]],
    parents: Iterable[str] = (),
    ids: Iterable[str] = (),
) -> list[tuple[str, str]]:
    """Of (mount, path) pairs, those that we made and no container has: neither they, nor what is
    above or below them."""
    known_parents, known_ids = frozenset(parents), frozenset(ids)
    result = []
    for mount, path in found:
        if not is_ours(path, parents=known_parents, ids=known_ids):
            continue
        related = any(
            mount == other_mount
            and (path == other or path.startswith(f"{other}/") or other.startswith(f"{path}/"))
            for other_mount, other in live
        )
        if not related:
            result.append((mount, path))
    return result


def orphan_units(found: Iterable[str], *, live: set[str], prefix: str = units.PREFIX) -> list[str]:
    """The scopes named as we name them, of no container."""
    return [
        name
        for name in found
        if name.startswith(f"{prefix}-") and name.endswith(".scope") and name not in live
    ]


# -- looking ---------------------------------------------------------------------------------------


def scan_cgroups(
    hierarchies: Iterable[Hierarchy], *, depth: int = names.MAX_DEPTH
) -> list[tuple[Hierarchy, str]]:
    """Every cgroup of every hierarchy, as a path without a leading slash."""
    found = []
    for hierarchy in hierarchies:
        top = tree.open_hierarchy(hierarchy)
        for path, _ in tree.walk(top):
            if path and path.count("/") < depth:
                found.append((hierarchy, path))
    return found


def scan(
    records: Iterable[Mapping[str, Any]],
    *,
    lost: Iterable[Mapping[str, Any]] = (),
    ids: Iterable[str] = (),
    found_layout: layout.Layout | None = None,
) -> list[Finding]:
    """`records`: of every living container. `lost`: records (or intents) whose container is gone.

    `ids`: names that containers had. Cgroups with those names, and those beside the lost ones in
    the same parent, are looked for.
    """
    host = found_layout or layout.probe()
    lost = list(lost)
    live, _ = owned(records)
    gone, _ = owned(lost)
    every = scan_cgroups(host.hierarchies)
    by_key = {(hierarchy.mount, path): hierarchy for hierarchy, path in every}
    wanted = orphans(by_key, live=live, ids=ids)
    wanted += [key for key in gone if key in by_key and key not in live and key not in wanted]
    findings = []
    for mount, path in sorted(wanted):
        member = Member(by_key[mount, path], parts=tuple(path.split("/")), kept=0, claimed=True)
        member.kept = len(member.parts)  # its parents are somebody else's
        findings.append(
            Finding("cgroup", name=member.path, pids=tuple(member.pids()), member=member)
        )
    return findings


def scan_units(records: Iterable[Mapping[str, Any]], *, user: bool = False) -> list[Finding]:
    """Scopes of ours that no container has. Asks systemd."""
    from pyrunc.cgroups import manager1

    _, live = owned(records)
    manager = manager1.connect(user=user)
    try:
        loaded = manager.list_units([f"{units.PREFIX}-*.scope"])
    finally:
        manager.close()
    return [Finding("unit", name=name) for name in orphan_units(loaded, live=live)]


def scan_rdt(
    records: Iterable[Mapping[str, Any]], *, ids: Iterable[str], mount: str | None
) -> list[Finding]:
    """RDT groups with a container's name that no container has."""
    if mount is None:
        return []
    live = {str(record["name"]) for record in records}
    wanted = set(ids)
    try:
        present = sorted(posix.listdir(mount))
    except OSError:
        return []
    return [
        Finding("rdt", name=f"{mount}/{name}")
        for name in present
        if name in wanted and name not in live
    ]


# -- repairing -------------------------------------------------------------------------------------


def remove(finding: Finding, *, end_processes: bool = False, user: bool = False) -> None:
    """Remove a leftover. A cgroup with processes only when the caller says so."""
    if finding.kind == "unit":
        from pyrunc.cgroups import manager1

        manager = manager1.connect(user=user)
        try:
            manager.stop(finding.name)
        finally:
            manager.close()
    elif finding.kind == "rdt":
        posix.rmdir(finding.name)
    elif finding.member is not None:
        _remove_cgroup(finding.member, end_processes=end_processes)


def _remove_cgroup(member: Member, *, end_processes: bool) -> None:
    pids = member.pids()
    if pids and not end_processes:
        raise Failure(
            f"{member.path} has {len(pids)} process(es): {_listed(tuple(pids))}",
            errno=errno.EBUSY,
            hint="look at them first; with --fix --force they are killed",
        )
    if pids:
        kill.kill([member])
    if not member.remove(time.monotonic() + REMOVE_S):
        raise Failure(
            f"unable to remove the cgroup {member.path}",
            errno=errno.EBUSY,
            hint=freezer.blockers(member),
        )
