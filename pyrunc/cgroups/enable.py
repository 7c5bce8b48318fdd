# SPDX-License-Identifier: Apache-2.0
"""Enable controllers for a cgroup2, and say what stands in the way.

A controller is enabled in cgroup.subtree_control of every parent. Three rules of the kernel decide
what can be had below a parent that has processes of its own (the root excepted):

* it gives no controller but those that work on threads (THREADED);
* giving one of those makes it a `domain threaded` cgroup and every cgroup below it, unless that is
  made `threaded`, a `domain invalid` one, which takes no process;
* it does not become one while a cgroup below it that is not threaded has processes.

So below such a parent only what a resource needs is enabled.
"""

from __future__ import annotations

import errno
import posix

from pyrunc.cgroups import tree
from pyrunc.errors import HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyrunc.cgroups.member import Cgroup

THREADED = frozenset(("cpu", "cpuset", "perf_event", "pids"))


def offered(member: Cgroup) -> tuple[str, ...]:
    """Return the controllers that the hierarchy has at its top, which are read once."""
    hierarchy = member.hierarchy
    if hierarchy.offered is None:
        listed = tree.read_text(member.open_top(), "cgroup.controllers")
        hierarchy.offered = tuple(listed.split())
    return hierarchy.offered


def enable(member: Cgroup, *, wanted: Iterable[str] | None = None) -> frozenset[str]:
    """Enable controllers down to the cgroup, and return those that it has in the end.

    Without `wanted` these are all that can be had without changing what a parent with processes
    is. A controller that cannot be had is no error here: it matters only to a resource that needs
    it. HostError when the cgroup can take no process at all.
    """
    goal = frozenset(offered(member) if wanted is None else wanted)
    # The usual case, two reads: an earlier container has enabled everything already.
    have = frozenset(member.read("cgroup.controllers").split())
    # Below a threaded domain every domain controller is missing, if there are any.
    if not goal <= have or (wanted is None and goal <= THREADED):
        top = member.open_top()
        for depth in range(len(member.parts)):
            path = "/".join(member.parts[:depth]) or "."
            if depth:
                make_valid(top, path)
            _enable_in(top, path, goal, asked=wanted is not None)
        require_valid(member)
        have = frozenset(member.read("cgroup.controllers").split())
    member.controllers = have
    return have


def give(member: Cgroup) -> None:
    """Enable all controllers that a cgroup has for the cgroups below it, as far as that goes."""
    have = frozenset(member.read("cgroup.controllers").split())
    _enable_in(member.open(), ".", have, asked=True)


def _enable_in(top: int, path: str, goal: frozenset[str], *, asked: bool) -> None:
    can = tree.read_text(top, f"{path}/cgroup.controllers").split()
    enabled = tree.read_text(top, f"{path}/cgroup.subtree_control").split()
    missing = [name for name in can if name in goal and name not in enabled]
    if missing and _has_processes(top, path):
        missing = [name for name in missing if asked and name in THREADED]
    if not missing:
        return
    try:
        tree.write_at(top, f"{path}/cgroup.subtree_control", " ".join(f"+{one}" for one in missing))
    except OSError:
        # One that is refused (cpu while there are realtime tasks, a threaded parent) refuses the
        # whole line.
        for name in missing:
            try:
                tree.write_at(top, f"{path}/cgroup.subtree_control", f"+{name}")
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ENODEV):
                    return


def _has_processes(top: int, path: str) -> bool:
    """Say whether the kernel's rules for parents with processes apply; the root is exempt."""
    try:
        return _kind(top, path) != "" and bool(tree.read_at(top, f"{path}/cgroup.procs"))
    except OSError as error:
        # The processes of a threaded cgroup cannot be listed.
        return error.errno == errno.EOPNOTSUPP


def _kind(top: int, path: str) -> str:
    """Return the cgroup.type; "" for the root, which has no such file."""
    try:
        return tree.read_text(top, f"{path}/cgroup.type")
    except FileNotFoundError:
        return ""


def make_valid(top: int, path: str) -> None:
    """Make a cgroup below a threaded domain threaded, so that it can take processes."""
    if _kind(top, path) == "domain invalid":
        try:
            tree.write_at(top, f"{path}/cgroup.type", "threaded")
        except OSError:
            return  # `require_valid` says why


def require_valid(member: Cgroup) -> None:
    top, path = member.open_top(), "/".join(member.parts)
    make_valid(top, path)
    if _kind(top, path) == "domain invalid":
        raise HostError(
            f"the cgroup {member.path} cannot take processes: its type is 'domain invalid'",
            hint=f"a cgroup above it is a threaded domain that cannot be joined; {ELSEWHERE}",
        )


# -- why a controller is not there -----------------------------------------------------------------

ELSEWHERE = "choose a cgroupsPath below a cgroup that has no processes of its own"


def obstacle(member: Cgroup, controller: str) -> str:
    """Say why `enable` would fail to give the cgroup a controller, as far as can be seen before."""
    top = member.open_top()
    for depth in range(min(member.kept + 1, len(member.parts))):
        path = "/".join(member.parts[:depth]) or "."
        try:
            if controller in tree.read_text(top, f"{path}/cgroup.subtree_control").split():
                continue
        except OSError:
            return ""
        if controller not in THREADED and _has_processes(top, path):
            return _lacking(member, controller, depth + 1)
        file = f"{path}/cgroup.subtree_control"
        if not posix.access(file, posix.W_OK, dir_fd=top, effective_ids=True):
            return _lacking(member, controller, depth + 1)
    return ""


def explain(member: Cgroup, controller: str) -> str:
    """Which level lacks a controller, and why: the hint of `controller X not available`."""
    top = member.open_top()
    for depth in range(len(member.parts) + 1):
        path = "/".join(member.parts[:depth]) or "."
        try:
            can = tree.read_text(top, f"{path}/cgroup.controllers").split()
        except OSError:
            break
        if controller not in can:
            return _lacking(member, controller, depth)
    return ""


def _lacking(member: Cgroup, controller: str, depth: int) -> str:
    if depth == 0:
        return f"the kernel does not offer {member.hierarchy.mount} this controller"
    top, parent = member.open_top(), "/".join(member.parts[: depth - 1]) or "."
    where = f"{member.hierarchy.mount}/{parent}".removesuffix("/.")
    if _has_processes(top, parent):
        return f"{where} has processes of its own, {_refusal(controller)}; {ELSEWHERE}"
    kind = _kind(top, parent)
    if kind not in ("", "domain"):
        return (
            f"{where} is a {kind} cgroup, which cannot give controllers that are not thread-aware"
        )
    return (
        f"{where} does not give it: it is not in cgroup.subtree_control there; under systemd add"
        " Delegate=yes (or the controller) to the unit that owns it" + _drop_in(where)
    )


def _drop_in(where: str) -> str:
    """Return the file that makes the system's manager give controllers to those of users."""
    if "/user@" not in where:
        return ""
    file = "/etc/systemd/system/user@.service.d/delegate.conf"
    return f": `[Service]` and `Delegate=cpu cpuset io memory pids` in {file}, then a new session"


def _refusal(controller: str) -> str:
    if controller in THREADED:
        return (
            "and so have cgroups below it that are not threaded: the kernel lets it give"
            f" {controller} only to threaded ones"
        )
    return f"so it cannot give {controller} to cgroups below it"
