# SPDX-License-Identifier: Apache-2.0
"""Enable controllers for a cgroup2, in cgroup.subtree_control of each of its parents."""

from __future__ import annotations

import errno

from pyrunc.cgroups import tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyrunc.cgroups.member import Cgroup


def enable(member: Cgroup, *, wanted: Iterable[str] | None = None) -> frozenset[str]:
    """Enable the wanted controllers (None: all that the top offers) down to the cgroup.

    Returns those that the cgroup has in the end.

    Never fails: a controller that cannot be had matters only to a resource that needs it.
    """
    top = member.open_top()
    goal = wanted if wanted is not None else tree.read_text(top, "cgroup.controllers").split()
    # The usual case, two reads: an earlier container has enabled everything already.
    have = member.read("cgroup.controllers").split()
    if set(goal) <= set(have):
        return frozenset(have)
    for depth in range(len(member.parts)):
        _enable_in(top, "/".join(member.parts[:depth]) or ".", goal)
    return frozenset(member.read("cgroup.controllers").split())


def _enable_in(top: int, path: str, goal: Iterable[str]) -> None:
    offered = tree.read_text(top, f"{path}/cgroup.controllers").split()
    enabled = tree.read_text(top, f"{path}/cgroup.subtree_control").split()
    missing = [f"+{name}" for name in goal if name in offered and name not in enabled]
    if not missing:
        return
    try:
        tree.write_at(top, f"{path}/cgroup.subtree_control", " ".join(missing))
    except OSError:
        # One that is refused (cpu while there are realtime tasks, a threaded parent) refuses the
        # whole line.
        for name in missing:
            try:
                tree.write_at(top, f"{path}/cgroup.subtree_control", name)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ENODEV):
                    return


def explain(member: Cgroup, controller: str) -> str:
    """Which level lacks a controller, and why: the hint of `controller X not available`."""
    top = member.open_top()
    for depth in range(len(member.parts) + 1):
        path = "/".join(member.parts[:depth]) or "."
        try:
            offered = tree.read_text(top, f"{path}/cgroup.controllers").split()
        except OSError:
            break
        if controller not in offered:
            return _lacking(member, top, depth)
    return ""


def _lacking(member: Cgroup, top: int, depth: int) -> str:
    if depth == 0:
        return f"the kernel does not offer {member.hierarchy.mount} this controller"
    parent = "/".join(member.parts[: depth - 1]) or "."
    where = f"{member.hierarchy.mount}/{parent}".removesuffix("/.")
    try:
        kind = tree.read_text(top, f"{parent}/cgroup.type")
    except OSError:
        kind = "domain"  # the top has no such file
    if kind != "domain":
        return (
            f"{where} is a {kind} cgroup, which cannot give controllers that are not thread-aware"
        )
    try:
        busy = depth > 1 and bool(tree.pids_at(top, file=f"{parent}/cgroup.procs"))
    except OSError:
        busy = False
    if busy:
        return f"{where} has processes of its own, so it cannot give controllers to its children"
    return (
        f"{where} does not give it: it is not in cgroup.subtree_control there; under systemd add"
        " Delegate=yes (or the controller) to the unit that owns it"
    )
