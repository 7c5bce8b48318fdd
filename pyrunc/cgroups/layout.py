# SPDX-License-Identifier: Apache-2.0
"""Where this host mounts its cgroup hierarchies, and where the caller is in them.

Read once per command from /proc/self/mountinfo and /proc/self/cgroup; the parsers are pure. A
hierarchy carries the device number of its superblock: a directory opened later is verified by
comparing fstat's st_dev with it, which says that the directory belongs to a cgroup file system
(CG-1) without another system call.
"""

from __future__ import annotations

import errno
import posix

from pyrunc.cgroups.base import Owner
from pyrunc.errors import HostError
from pyrunc.host import mountinfo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pyrunc.host.mountinfo import Entry as Mount

DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC
UNIFIED = "/sys/fs/cgroup"
BELOW = f"{UNIFIED}/"
# The place of a mount that another covers, or that the caller has no way to.
UNREACHABLE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.EPERM)
CGROUP2_MAGIC = 0x63677270


class Hierarchy(Owner):
    """One mounted hierarchy.

    `name` is "" for cgroup2, the controllers ("cpu,cpuacct") or "name=x" for a v1 one.
    """

    __slots__ = ("controllers", "device", "mount", "name", "offered", "own", "version")

    def __init__(
        self,
        *,
        name: str,
        controllers: tuple[str, ...],
        version: int,
        mount: str,
        device: int,
        own: str = "/",
        fd: int = -1,
    ) -> None:
        self.name = name
        self.controllers = controllers
        self.version = version
        self.mount = mount
        self.device = device
        self.fd = fd  # the mount, verified; -1: not opened yet
        self.own = own  # the caller's cgroup, seen from the mount
        self.offered: tuple[str, ...] | None = None  # the controllers of a cgroup2, once read


class Layout:
    """The hierarchies of the host: at most one is a cgroup2, and it is the last.

    The kind is "v1", "hybrid" or "v2"; v1 hierarchies that have only a name make no host hybrid.
    """

    __slots__ = ("hierarchies", "kind")

    def __init__(self, hierarchies: Iterable[Hierarchy]) -> None:
        self.hierarchies = tuple(sorted(hierarchies, key=lambda item: item.version))
        old = any(item.controllers for item in self.hierarchies)
        new = any(item.version == 2 for item in self.hierarchies)
        self.kind = "hybrid" if old and new else "v2" if new else "v1"


def cgroup_mounts(data: bytes) -> list[Mount]:
    """Return the mounts of cgroup file systems in a mountinfo file, in its order."""
    return list(mountinfo.parse(data, types=("cgroup", "cgroup2")))


def shared_options(mounts: list[Mount]) -> dict[int, frozenset[str]]:
    """Return for each version the options that all of the host's mounts of it have.

    They belong to a hierarchy, so that they are in force for every further mount.
    """
    shared: dict[int, frozenset[str]] = {}
    for mounted in mounts:
        version, options = 2 if mounted.type == "cgroup2" else 1, frozenset(mounted.options)
        shared[version] = shared.get(version, options) & options
    return shared


def parse_own(data: bytes) -> dict[str, str]:
    """/proc/PID/cgroup: hierarchy name ("" for cgroup2) -> path.

    A cgroup's name may hold all that Python takes for the end of a line, but no newline.
    """
    own = {}
    for line in filter(None, data.decode("utf-8", "surrogateescape").split("\n")):
        _, _, rest = line.partition(":")
        name, _, path = rest.partition(":")
        own[name] = path
    return own


def _below_mount(path: str, root: str) -> str:
    """Return a path of /proc/PID/cgroup as seen below a mount with this root.

    A bind mount shows a part of the hierarchy.
    """
    if root == "/" or root.startswith("/.."):
        return path
    if path == root:
        return "/"
    return path[len(root) :] if path.startswith(root + "/") else path


def _name(mounted: Mount, own: dict[str, str]) -> str | None:
    """How /proc/self/cgroup names a v1 mount: its controllers in the kernel's order, or name=x."""
    for option in mounted.options:
        if option.startswith("name="):
            return option
    options = frozenset(mounted.options)
    for name in own:
        if name and options.issuperset(name.split(",")):
            return name
    return None


def build(
    mounts: list[Mount],
    own: dict[str, str],
    *,
    opened: Callable[[Mount], int | None] = lambda mounted: -1,
) -> Layout:
    """Put the two files together. Of the mounts of one hierarchy the first whole one is taken.

    A host is what lies at the standard place. Mounts elsewhere are another program's (a VPN client
    that needs net_cls, a container's file system): they count only where there are no others.
    """
    hierarchies: dict[str, Hierarchy] = {}
    standard = [one for one in mounts if one.point == UNIFIED or one.point.startswith(BELOW)]
    for mounted in sorted(standard or mounts, key=_rank):
        name = "" if mounted.type == "cgroup2" else _name(mounted, own)
        if name is None or name in hierarchies or name not in own:
            continue
        fd = opened(mounted)
        if fd is None:
            continue
        hierarchies[name] = Hierarchy(
            name=name,
            controllers=() if name.startswith("name=") or not name else tuple(name.split(",")),
            version=2 if mounted.type == "cgroup2" else 1,
            mount=mounted.point,
            device=mounted.device_number,
            own=_below_mount(own[name], mounted.root),
            fd=fd,
        )
    if "" in hierarchies and hierarchies[""].mount == UNIFIED:
        # What is mounted on a directory of the cgroup2 is no part of a host that has all of it.
        for name in [name for name, hierarchy in hierarchies.items() if hierarchy.controllers]:
            _close(hierarchies.pop(name))
    return Layout(hierarchies.values())


def _rank(mounted: Mount) -> tuple[bool, bool]:
    return (mounted.type == "cgroup2" and mounted.point != UNIFIED, mounted.root != "/")


def _close(hierarchy: Hierarchy) -> None:
    if hierarchy.fd >= 0:
        posix.close(hierarchy.fd)
        hierarchy.fd = -1


def read_whole(path: str) -> bytes:
    fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        chunks = []
        while chunk := posix.read(fd, 65536):
            chunks.append(chunk)
        return b"".join(chunks)
    finally:
        posix.close(fd)


def open_mount(mounted: Mount) -> int | None:
    """Open a mount; None where another mount covers it, since mountinfo lists such mounts too."""
    try:
        fd = posix.open(mounted.point, DIRECTORY)
    except OSError as error:
        # Anything else (EMFILE) is no reason to do without a hierarchy and its limits.
        if error.errno in UNREACHABLE:
            return None
        raise
    if posix.fstat(fd).st_dev == mounted.device_number:
        return fd
    posix.close(fd)
    return None


def open_unified(path: str = UNIFIED) -> Hierarchy | None:
    """Open a cgroup2 at its usual place; None: look at all mounts."""
    from pyrunc.host import syscalls

    try:
        fd = posix.open(path, DIRECTORY)
    except OSError as error:
        if error.errno in UNREACHABLE:
            return None
        raise
    facts = posix.fstat(fd)
    # The kernel's own root has inode 1; in a cgroup namespace, or where a part is mounted, another
    # directory is on top.
    if syscalls.filesystem_magic(fd) != CGROUP2_MAGIC or facts.st_ino != 1:
        posix.close(fd)
        return None
    return Hierarchy(name="", controllers=(), version=2, mount=path, device=facts.st_dev, fd=fd)


def probe(*, proc: str = "/proc/self") -> Layout:
    try:
        own = parse_own(read_whole(f"{proc}/cgroup"))
        # No v1 hierarchy is in use: the usual host, whose mounts (there may be hundreds) need not
        # be read.
        unified = open_unified() if list(own) == [""] else None
        if unified is not None:
            unified.own = own[""]
            return Layout([unified])
        layout = build(cgroup_mounts(read_whole(f"{proc}/mountinfo")), own, opened=open_mount)
    except OSError as error:
        subject = error.filename or f"{proc}/cgroup"
        raise HostError(f"cannot find the cgroups: {subject}", errno=error.errno or 0) from error
    if not layout.hierarchies:
        raise HostError(
            "no cgroup file system is mounted",
            hint="mount cgroup2 on /sys/fs/cgroup, or use --cgroup-manager=disabled",
        )
    return layout
