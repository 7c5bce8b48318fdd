# SPDX-License-Identifier: Apache-2.0
"""Finding cgroups, systemd units and RDT groups that belong to no container (`pyrunc doctor`).

A cgroup carries the path of the state directory that it was made for (`Cgroup.mark`): when that is
gone, it is a leftover. Where the kernel keeps no marks, leftovers are found from what is recorded:
the places in which containers were, and the names that the drivers give. `orphans` decides, purely;
`scan*` look. Nothing here removes: `remove` does, and nothing with processes unless told otherwise.
"""

from __future__ import annotations

import errno
import posix
import time

from pyrunc.cgroups import freezer, kill, layout, names, tree
from pyrunc.cgroups.layout import Hierarchy
from pyrunc.cgroups.member import MARKS, Cgroup
from pyrunc.cgroups.systemd import unit_names as units
from pyrunc.errors import Failure
from pyrunc.host import process
from pyrunc.spec.limits import MAX_CGROUP_DEPTH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping
    from typing import Any

REMOVE_S = 2.0


class Finding:
    """Something that belongs to no container: kind "cgroup", "unit" or "rdt"."""

    __slots__ = ("kind", "member", "name", "owner", "pids")

    def __init__(
        self,
        kind: str,
        *,
        name: str,
        pids: tuple[int, ...] = (),
        member: Cgroup | None = None,
        owner: str = "",
    ) -> None:
        self.kind = kind
        self.name = name
        self.pids = pids
        self.member = member
        self.owner = owner  # the state directory that its mark names

    def concerns(self, container_id: str) -> bool:
        """Whether it was made for a container: by its mark, else by its name."""
        if self.owner:
            return self.owner.rpartition("/")[2] == container_id
        last = self.name.rpartition("/")[2]
        return last in (container_id, f"{units.PREFIX}-{container_id}.scope")

    def text(self) -> str:
        held = f" with {len(self.pids)} process(es): {_listed(self.pids)}" if self.pids else ""
        name = "".join(letter if letter.isprintable() else "?" for letter in self.name)
        return f"{self.kind} {name} belongs to no container{held}"


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


def is_ours(path: str, *, parents: Container[str], ids: Container[str]) -> bool:
    """Whether we would have made a cgroup: a known id, or directly in a known parent."""
    head, _, last = path.rpartition("/")
    return last in ids or (bool(head) and head in parents)


def orphans(
    cgroups: Iterable[tuple[str, str]],
    *,
    live: set[tuple[str, str]],
    parents: Iterable[str] = (),
    ids: Iterable[str] = (),
) -> list[tuple[str, str]]:
    """Return the (mount, path) pairs that pyrunc made and that belong to no container.

    A cgroup above or below one of a living container is left out.
    """
    known_parents, known_ids = frozenset(parents), frozenset(ids)
    above = parents_of(live)
    return [
        (mount, path)
        for mount, path in cgroups
        if is_ours(path, parents=known_parents, ids=known_ids)
        and not related(mount, path, live=live, above=above)
    ]


def _prefixes(path: str) -> Iterator[str]:
    """Give the paths above a cgroup, from the deepest."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def parents_of(live: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return what is above the living: (mount, path)."""
    return {(mount, prefix) for mount, path in live for prefix in _prefixes(path)}


def related(
    mount: str, path: str, *, live: Container[tuple[str, str]], above: Container[tuple[str, str]]
) -> bool:
    """Whether a cgroup is one of the living, or above or below one.

    However many live, it takes as many look-ups as the path is deep.
    """
    if (mount, path) in live or (mount, path) in above:
        return True
    return any((mount, prefix) in live for prefix in _prefixes(path))


def orphan_units(loaded: Iterable[str], *, live: set[str], prefix: str = units.PREFIX) -> list[str]:
    """Return the scopes with names of ours that belong to no container."""
    return [
        name
        for name in loaded
        if name.startswith(f"{prefix}-") and name.endswith(".scope") and name not in live
    ]


# -- looking ---------------------------------------------------------------------------------------


def scan_cgroups(
    hierarchies: Iterable[Hierarchy], *, depth: int = MAX_CGROUP_DEPTH
) -> list[tuple[Hierarchy, str]]:
    """Every cgroup of every hierarchy, as a path without a leading slash."""
    marked = []
    for hierarchy in hierarchies:
        top = tree.open_hierarchy(hierarchy)
        for path, _ in tree.walk(top):
            if path and path.count("/") < depth:
                marked.append((hierarchy, path))
    return marked


def scan(
    records: Iterable[Mapping[str, Any]],
    *,
    lost: Iterable[Mapping[str, Any]] = (),
    ids: Iterable[str] = (),
    found_layout: layout.Layout | None = None,
) -> list[Finding]:
    """Find the cgroups that belong to no container.

    `records` are those of every living container, `lost` records (or intents) whose container
    is gone.

    `ids`: names that containers had. CgroupSet with those names, and those beside the lost ones in
    the same parent, are looked for.
    """
    host = found_layout or layout.probe()
    live, _ = owned(records)
    gone, _ = owned(lost)
    by_key = {
        (hierarchy.mount, path): hierarchy for hierarchy, path in scan_cgroups(host.hierarchies)
    }
    wanted = dict.fromkeys(orphans(by_key, live=live, ids=ids))
    wanted.update(dict.fromkeys(key for key in gone if key in by_key and key not in live))
    above = parents_of(live)
    for mount, path in by_key:
        if _is_left(mount, path) and not related(mount, path, live=live, above=above):
            wanted[mount, path] = None
    return [_finding(by_key[key], key[1]) for key in sorted(wanted)]


def end_marked(owner: str, *, dry_run: bool = False) -> int:
    """Kill what is in the cgroups that were made for a state directory, and remove them.

    Returns how many there were. A `dry_run` only looks.
    """
    hierarchies = layout.probe().hierarchies
    try:
        marked = [
            place for place in scan_cgroups(hierarchies) if mark(place[0].mount, place[1]) == owner
        ]
        for place in () if dry_run else marked:
            remove(_finding(*place), end_processes=True)
        return len(marked)
    finally:
        for hierarchy in hierarchies:
            if hierarchy.fd >= 0:
                posix.close(hierarchy.fd)
                hierarchy.fd = -1


def _finding(hierarchy: Hierarchy, path: str) -> Finding:
    member = Cgroup(hierarchy, parts=tuple(path.split("/")), kept=0, claimed=True)
    member.kept = len(member.parts)  # its parents are somebody else's
    owner = mark(hierarchy.mount, path)
    pids = tuple(member.pids())
    return Finding("cgroup", name=member.path, pids=pids, member=member, owner=owner)


def mark(mount: str, path: str) -> str:
    """Return the state directory that a cgroup was made for; empty for those of others."""
    for name in MARKS:
        try:
            value = posix.getxattr(f"{mount}/{path}", name, follow_symlinks=False)
        except (OSError, AttributeError):  # none, or gone; CPython 3.11 has no call with musl
            continue
        text = value.decode("utf-8", "surrogateescape")
        return text if text.startswith("/") else ""
    return ""


def _is_left(mount: str, path: str) -> bool:
    """Whether the state directory or the `check` that a cgroup was made for is gone."""
    trial = names.trial_of(path.rpartition("/")[2])
    if trial is not None:
        stat = process.read_stat(trial[0])
        return stat is None or stat.start_time != trial[1]
    owner = mark(mount, path)
    return bool(owner) and not exists(owner)


def exists(state_directory: str) -> bool:
    try:
        posix.lstat(state_directory)
    except FileNotFoundError:
        return False
    except OSError:  # we cannot tell
        return True
    return True


def scan_units(
    records: Iterable[Mapping[str, Any]],
    *,
    user: bool = False,
    found_layout: layout.Layout | None = None,
) -> list[Finding]:
    """Scopes of ours that no container has. Asks systemd.

    A scope whose cgroup is marked belongs to the container that the mark names, of whatever root.
    """
    from pyrunc.cgroups.systemd import calls

    _, live = owned(records)
    host = found_layout or layout.probe()
    manager = calls.connect(user=user)
    try:
        loaded = manager.list_units([f"{units.PREFIX}-*.scope"])
    finally:
        manager.close()
    places = {
        path.rpartition("/")[2]: (hierarchy, path)
        for hierarchy, path in scan_cgroups(host.hierarchies)
    }
    findings = []
    for name in orphan_units(loaded, live=live):
        place = places.get(name)
        owner = mark(place[0].mount, place[1]) if place is not None else ""
        if owner and exists(owner):
            continue
        inside = _finding(*place) if place is not None else None
        pids = inside.pids if inside is not None else ()
        member = inside.member if inside is not None else None
        findings.append(Finding("unit", name=name, pids=pids, member=member, owner=owner))
    return findings


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
    """Remove a leftover. One with processes only when the caller says so."""
    if finding.kind == "unit":
        from pyrunc.cgroups.systemd import calls

        _refuse_populated(finding.name, finding.pids, end_processes=end_processes)
        if finding.pids and finding.member is not None:
            # An init does not hear systemd's SIGTERM, and the SIGKILL comes after 90 s.
            kill.kill([finding.member])
        manager = calls.connect(user=user)
        try:
            manager.stop(finding.name)
        finally:
            manager.close()
    elif finding.kind == "rdt":
        posix.rmdir(finding.name)
    elif finding.member is not None:
        _remove_cgroup(finding.member, end_processes=end_processes)


def _refuse_populated(name: str, pids: tuple[int, ...], *, end_processes: bool) -> None:
    if pids and not end_processes:
        raise Failure(
            f"{name} has {len(pids)} process(es): {_listed(pids)}",
            errno=errno.EBUSY,
            hint="look at them first; `pyrunc doctor --fix --force` kills them",
        )


def _remove_cgroup(member: Cgroup, *, end_processes: bool) -> None:
    if not member.present():
        return  # with its unit, or the cgroup above it
    pids = tuple(member.pids())
    _refuse_populated(member.path, pids, end_processes=end_processes)
    if pids:
        kill.kill([member])
    if not member.remove(time.monotonic() + REMOVE_S):
        raise Failure(
            f"unable to remove the cgroup {member.path}",
            errno=errno.EBUSY,
            hint=freezer.blockers(member),
        )
