# SPDX-License-Identifier: Apache-2.0
"""Giving a container its own cgroup to manage: ownership, and a leaf for its processes.

A container that sees a writable cgroup2 as the root of its own cgroup namespace gets it, unless it
may hold CAP_SYS_ADMIN without a user namespace (decision 050). The annotation
`org.pyrunc.cgroup.writable` asks for it with "true", an error where there is no such cgroup, and
declines it with "false". Then

* the cgroup and its delegation files belong to the container's root (as mapped on the host): not
  the limits, which stay the host's;
* the init enters the cgroup, makes its cgroup namespace there, and then moves on to the leaf `init`
  below it. A cgroup with processes may not give controllers to its children; this one has none, so
  the container can write to cgroup.subtree_control at once.

The limits are one level above the processes then: /proc/PID/cgroup names the leaf.

`run.oci.delegate-cgroup: NAME`, which crun honours, is the same with another name for the leaf. Of
a systemd scope `run.oci.systemd.subgroup: NAME` names a cgroup that becomes the container's in
place of the scope's own.
"""

from __future__ import annotations

import posix

from pyrunc.cgroups import layout, names, tree
from pyrunc.cgroups.member import Cgroup
from pyrunc.errors import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

ANNOTATION = "org.pyrunc.cgroup.writable"
NAMED = "run.oci.delegate-cgroup"
SUBGROUP = "run.oci.systemd.subgroup"
LEAF = "init"
DELEGATE = "/sys/kernel/cgroup/delegate"
DEFAULT_FILES = ("cgroup.procs", "cgroup.threads", "cgroup.subtree_control")


def leaf(annotations: Mapping[str, str]) -> str:
    """Return the name of the leaf that the annotations ask for; empty when they ask for none."""
    if annotations.get(NAMED):
        return single(annotations[NAMED], noun=NAMED)
    return LEAF if _requested(annotations) else ""


def offered(annotations: Mapping[str, str]) -> str:
    """Return the leaf of a container that can manage its cgroup and says nothing about it."""
    return "" if ANNOTATION in annotations or annotations.get(NAMED) else LEAF


def subgroup(annotations: Mapping[str, str]) -> str:
    """Return the name of the container's cgroup below the scope; empty: the scope's own."""
    return single(annotations.get(SUBGROUP, ""), noun=SUBGROUP)


def single(name: str, *, noun: str) -> str:
    """Return a name that is a single path component, or empty; ConfigError for another."""
    if not name:
        return ""
    pointer = f"/annotations/{noun}"
    parts = names.components(name, pointer=pointer, noun=noun)
    if parts != (name,) or name.startswith("cgroup."):
        raise Failure(
            f"{noun} {name[:120]!r} is not valid: it must be the name of one cgroup, not of a path"
            " and not of a control file",
            pointer=pointer,
        )
    return name


def _requested(annotations: Mapping[str, str]) -> bool:
    value = annotations.get(ANNOTATION, "false")
    if value not in ("true", "false"):
        raise Failure(
            f"annotation {ANNOTATION} is {value[:40]!r} (allowed: true, false)",
            pointer=f"/annotations/{ANNOTATION}",
        )
    return value == "true"


def files(*, path: str = DELEGATE) -> tuple[str, ...]:
    """Return the files that the kernel means to be given away with a cgroup."""
    try:
        listed = layout.read_whole(path).decode("ascii", "replace").split()
    except OSError:  # before Linux 4.15
        return DEFAULT_FILES
    return tuple(name for name in listed if "/" not in name)


def make_leaf(member: Cgroup, name: str) -> None:
    try:
        posix.mkdir(name, 0o755, dir_fd=member.open())
    except FileExistsError:
        return
    except OSError as error:
        raise Failure(f"cannot make {member.path}/{name}", errno=error.errno or 0) from error


def give(member: Cgroup, *, uid: int, gid: int, leaf_name: str) -> None:
    """chown the cgroup with its delegation files, and the leaf if it has one."""
    fd = member.open()
    try:
        _own(fd, uid=uid, gid=gid)
        if not leaf_name:
            return
        leaf_fd = tree.open_verified(leaf_name, device=member.hierarchy.device, dir_fd=fd)
        try:
            _own(leaf_fd, uid=uid, gid=gid)
        finally:
            posix.close(leaf_fd)
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


def open_leaf(member: Cgroup, name: str) -> int:
    """Open the leaf's cgroup.procs, for the init to write 0 to in its new cgroup namespace."""
    return posix.open(f"{name}/cgroup.procs", tree.WRITE, dir_fd=member.open())
