# SPDX-License-Identifier: Apache-2.0
"""Giving a container its own cgroup to manage: ownership, and a leaf for its processes.

One switch, the annotation `org.pyrunc.cgroup.writable: "true"`. It needs cgroup2, a cgroup
namespace of the container's own and, to be of use, a cgroup mount without `ro`. Then

* the cgroup and its delegation files belong to the container's root (as mapped on the host): not
  the limits, which stay the host's;
* the init enters the cgroup, makes its cgroup namespace there, and then moves on to the leaf `init`
  below it. A cgroup with processes may not give controllers to its children; this one has none, so
  the container can write to cgroup.subtree_control at once.

The limits are one level above the processes then: /proc/PID/cgroup names the leaf.
"""

from __future__ import annotations

import posix

from pyrunc.cgroups import layout, tree
from pyrunc.cgroups.member import Member
from pyrunc.errors import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

ANNOTATION = "org.pyrunc.cgroup.writable"
LEAF = "init"
DELEGATE = "/sys/kernel/cgroup/delegate"
DEFAULT_FILES = ("cgroup.procs", "cgroup.threads", "cgroup.subtree_control")


def requested(annotations: Mapping[str, str]) -> bool:
    value = annotations.get(ANNOTATION, "false")
    if value not in ("true", "false"):
        raise Failure(
            f"annotation {ANNOTATION} is {value[:40]!r} (allowed: true, false)",
            pointer=f"/annotations/{ANNOTATION}",
        )
    return value == "true"


def files(*, path: str = DELEGATE) -> tuple[str, ...]:
    """The files that the kernel means to be given away with a cgroup."""
    try:
        listed = layout.read_whole(path).decode("ascii", "replace").split()
    except OSError:  # before Linux 4.15
        return DEFAULT_FILES
    return tuple(name for name in listed if "/" not in name)


def make_leaf(member: Member) -> None:
    try:
        posix.mkdir(LEAF, 0o755, dir_fd=member.open())
    except FileExistsError:
        return
    except OSError as error:
        raise Failure(f"cannot make {member.path}/{LEAF}", errno=error.errno or 0) from error


def give(member: Member, *, uid: int, gid: int, leaf_too: bool) -> None:
    """chown the cgroup with its delegation files, and the leaf."""
    fd = member.open()
    try:
        _own(fd, uid=uid, gid=gid)
        if not leaf_too:
            return
        leaf = tree.open_verified(LEAF, device=member.hierarchy.device, dir_fd=fd)
        try:
            _own(leaf, uid=uid, gid=gid)
        finally:
            posix.close(leaf)
    except OSError as error:
        raise Failure(
            f"cannot give {member.path} to the container", errno=error.errno or 0
        ) from error


def _own(fd: int, *, uid: int, gid: int) -> None:
    posix.chown(fd, uid, gid)
    for name in files():
        try:
            posix.chown(name, uid, gid, dir_fd=fd, follow_symlinks=False)
        except FileNotFoundError:  # of a controller that is not enabled here
            continue


def open_leaf(member: Member) -> int:
    """The leaf's cgroup.procs, for the init to write 0 to from inside its new cgroup namespace."""
    return posix.open(f"{LEAF}/cgroup.procs", tree.WRITE, dir_fd=member.open())
