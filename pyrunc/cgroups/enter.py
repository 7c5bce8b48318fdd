# SPDX-License-Identifier: Apache-2.0
"""How tasks get into the container's cgroups: the first one, and those of `exec`."""

from __future__ import annotations

import errno
import posix

from pyrunc.cgroups import delegate, layout, moved, names, tree
from pyrunc.cgroups.base import Entry
from pyrunc.cgroups.layout import DIRECTORY
from pyrunc.cgroups.member import Cgroup
from pyrunc.errors import Failure

# The container's cgroup is gone, or has become one that takes no process.
LEFT = (errno.ENOENT, errno.ENODEV, errno.EBUSY)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def entry(members: Sequence[Cgroup], *, clone: bool = True, leaf: str = "") -> Entry:
    """For the init. Without `clone` it enters a cgroup2 by writing, too."""
    return _open(members, {}, clone=clone, leaf=leaf)


def _open(
    members: Sequence[Cgroup],
    below: Mapping[str, str],
    *,
    clone: bool,
    leaf: str = "",
) -> Entry:
    """`below`: hierarchy name -> path beneath the container's cgroup."""
    if not members:
        return Entry("none")
    opened = Entry("tasks")
    fds: list[int] = []
    where = ""
    try:
        for member in members:
            path = below.get(member.hierarchy.name) or "."
            where = f"{member.path}/{path}".removesuffix("/.")
            if member.hierarchy.version == 1:
                fds.append(_open_file(member, path, "tasks"))
            elif clone:
                opened.into = _open_directory(member, path)
            else:
                fds.append(_open_file(member, path, "cgroup.procs"))
            if leaf and member.hierarchy.version == 2:
                opened.leaf = delegate.open_leaf(member, leaf)
    except OSError as error:
        opened.fds = tuple(fds)
        opened.close()
        raise Failure(f"cannot open the cgroup {where}", errno=error.errno or 0) from error
    opened.fds = tuple(fds)
    opened.kind = "tasks" if fds else "into"
    return opened


def _open_directory(member: Cgroup, path: str) -> int:
    if path == ".":  # verified when the member was opened
        return posix.open(path, DIRECTORY, dir_fd=member.open())
    return tree.open_verified(path, device=member.hierarchy.device, dir_fd=member.open())


def _open_file(member: Cgroup, path: str, name: str) -> int:
    return posix.open(f"{path}/{name}", tree.WRITE, dir_fd=member.open())


# -- exec ------------------------------------------------------------------------------------------


def parse_paths(values: Sequence[str], members: Sequence[Cgroup]) -> dict[str, str]:
    """PURE: `exec --cgroup [CONTROLLER[,CONTROLLER]:]PATH` -> hierarchy name -> path beneath."""
    paths: dict[str, str] = {}
    for value in values:
        listed, colon, path = value.rpartition(":")
        parts = "/".join(names.sub_path(path, pointer=""))
        wanted = listed.split(",") if colon else []
        for member in members:
            hierarchy = member.hierarchy
            chosen = hierarchy.controllers or (hierarchy.name.removeprefix("name="),)
            if not wanted or set(wanted).intersection(chosen):
                paths[hierarchy.name] = parts
        unknown = [
            name
            for name in wanted
            if not any(
                name in (*one.hierarchy.controllers, one.hierarchy.name.removeprefix("name="))
                for one in members
            )
        ]
        if unknown:
            raise Failure(f"--cgroup {value!r}: the container has no controller {unknown[0]!r}")
    return paths


def exec_entry(
    members: Sequence[Cgroup],
    *,
    below: Mapping[str, str],
    init_pid: int,
    clone: bool = True,
    leaf: bool = False,
) -> Entry:
    """For a process that joins: the container's cgroup, or one beneath it that exists.

    A container that manages its own cgroups (with `leaf` it is made to) may give controllers to the
    children of its cgroup, which then takes no processes, or leave its cgroup, which somebody then
    removes; the process goes where the init is now.
    """
    try:
        chosen = places(members, below=below, init_pid=init_pid, leaf=leaf)
        return _open(members, chosen, clone=clone)
    except Failure as failure:
        if below and failure.errno == errno.ENOENT:
            failure.hint = "--cgroup names a cgroup below the container's that must exist"
        if below or failure.errno not in LEFT:
            raise
        now = moved.of_process(members, init_pid)
        if not now:
            raise
    try:
        return _open(now, {}, clone=clone)
    finally:
        for member in now:
            member.close_fd()


def places(
    members: Sequence[Cgroup], *, below: Mapping[str, str], init_pid: int, leaf: bool
) -> dict[str, str]:
    """Hierarchy name -> path beneath the container's cgroup, for a process that joins."""
    chosen = dict(below)
    for member in members:
        if member.hierarchy.version == 2 and "" not in chosen:
            chosen[""] = _where_init_is(member, init_pid, always=leaf)
    return chosen


def _where_init_is(member: Cgroup, init_pid: int, *, always: bool) -> str:
    """Return the init's place below the container's cgroup; "" for that cgroup itself.

    Failure (EBUSY) when that takes no process, and the init is not below it.
    """
    try:
        if not always and not member.read("cgroup.subtree_control"):
            return ""
        own = layout.parse_own(layout.read_whole(f"/proc/{init_pid}/cgroup")).get("", "")
    except OSError:
        return ""
    base = "/" + "/".join(member.parts)
    rest = own.partition(f"{base}/")[2] if own.startswith(f"{base}/") else ""
    if not rest and own != base and not always:
        raise Failure(
            f"the cgroup {member.path} takes no process, it gives controllers to others",
            errno=errno.EBUSY,
        )
    return "/".join(names.components(rest, pointer="")) if rest else ""
