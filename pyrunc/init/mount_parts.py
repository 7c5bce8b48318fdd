# SPDX-License-Identifier: Apache-2.0
"""What all kinds of mounts have in common while they are planned. PURE."""

from __future__ import annotations

from pyrunc.init import ops, paths
from pyrunc.spec import options as table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyrunc.init.cgroup_view import CgroupView
    from pyrunc.init.context import Context
    from pyrunc.init.mount_idmap import MountRequest
    from pyrunc.init.ops import Op
    from pyrunc.spec.model import Mount
    from pyrunc.spec.options import MountOptions

ACCESS = (
    table.MOUNT_ATTR_RDONLY
    | table.MOUNT_ATTR_NOSUID
    | table.MOUNT_ATTR_NODEV
    | table.MOUNT_ATTR_NOEXEC
    | table.MOUNT_ATTR_NOSYMFOLLOW
)
REAL_DIRECTORY = frozenset(("proc", "sysfs"))  # reached without any symbolic link (MT-6)


class Mounts:
    """The mounts of one container while they are planned."""

    __slots__ = (
        "cgroup",
        "context",
        "dev_bound",
        "dev_mounted",
        "early",
        "expected",
        "in_order",
        "inside",
        "inside_resolve",
        "label",
        "late",
        "links",
        "made",
        "mapped",
        "peers",
        "propagation",
        "request_slot",
        "requests",
        "root_slot",
        "rootfs",
        "sources",
        "sys_admin",
    )

    def __init__(
        self,
        context: Context,
        *,
        cgroup: CgroupView,
        label: str = "",
        links: Mapping[str, str] | None = None,
        sys_admin: bool = False,
        root_slot: int = 0,
        rootfs: str = "",
        inside_resolve: int = 0,
        in_order: bool = False,
        propagation: int = 0,
    ) -> None:
        self.context = context
        self.cgroup = cgroup
        self.label = label  # an option for new file systems
        self.links = links or {}  # the targets of symbolic links, for `copy-symlink`
        self.sys_admin = sys_admin
        self.rootfs = rootfs  # the host's path of the container's root
        self.root_slot = root_slot  # of the container's root, for a mount over it
        self.inside_resolve = inside_resolve  # RESOLVE_* for sources in the container's root
        # mountinfo lists by age since Linux 6.8: binds are cloned between the new file systems.
        self.in_order = in_order
        self.propagation = propagation  # MS_* of the root; 0: not given
        self.early: list[Op] = []  # before a new user namespace: of namespaces that it does not own
        self.peers: list[Op] = []  # clones of the host's mounts while those are peers
        self.sources: list[Op] = []
        self.made: list[Op] = []
        self.inside: list[Op] = []
        self.late: list[Op] = []
        # Slots of what is attached: the attributes in force at the end, and those of the last pass.
        self.expected: dict[int, tuple[int, int]] = {}
        self.dev_bound = False  # /dev is a bind: what is in it is the host's business
        self.dev_mounted = False  # something lies on /dev, so that the directory exists
        self.request_slot = 0  # of the next one
        self.requests: list[tuple[MountRequest, int]] = []
        self.mapped: list[MountRequest] = []  # of clones that the init makes (`map_mount`)


def describe(mount: Mount, options: MountOptions) -> str:
    """Describe the mount as part of a sentence."""
    if options.bind:
        return f"bind {mount.source} on {mount.destination}"
    return f"mount {mount.type} on {mount.destination}"


def finish(context: Context, mount: Mount, options: MountOptions, *, slot: int) -> list[Op]:
    """Recursive attributes and propagation, before anybody can see the mount."""
    planned: list[Op] = []
    action = describe(mount, options)
    if options.recursive_set or options.recursive_clear:
        clear = options.recursive_clear
        planned.append(
            ops.SetAttributes(
                slot=slot,
                set=options.recursive_set,
                clear=clear,
                recursive=1,
                keep_locked=int(context.confined),
                explicit=clear & ~table.MOUNT_ATTR__ATIME,
                pointer=mount.pointer + "/options",
                action=action,
            )
        )
    for flags in options.propagation:
        planned.append(
            ops.SetPropagation(
                slot=slot,
                flags=flags & ~table.MS_REC,
                recursive=int(bool(flags & table.MS_REC)),
                pointer=mount.pointer + "/options",
                action=action,
            )
        )
    return planned


def in_force(options: MountOptions) -> int:
    """Return the attributes that the options ask for, those of the last pass (recursive) last."""
    wanted = options.attributes | options.recursive_set
    return wanted & ~options.recursive_clear & ACCESS


def attach(
    mounts: Mounts,
    mount: Mount,
    options: MountOptions,
    *,
    slot: int,
    late: int,
    attributes: int = 0,
) -> None:
    """Attach a mount in its place.

    `late` are the attributes that are applied in the last pass, `attributes` what the mount has
    besides what the options ask for.
    """
    mounts.expected[slot] = (in_force(options) | attributes, late)
    if paths.is_root(mount.destination):
        _cover_root(mounts, mount, options, slot=slot, late=late)
        return
    flags = ops.ATTACH_KEEP if late else 0
    if mount.type in REAL_DIRECTORY and not options.bind:
        flags |= ops.ATTACH_REAL_DIRECTORY
    if paths.components(mount.destination)[:1] == ("proc",):
        flags |= ops.ATTACH_PROC_ALLOWED
    if options.dest_nofollow:
        flags |= ops.ATTACH_NOFOLLOW
    action = describe(mount, options)
    mounts.inside.append(
        ops.Attach(
            slot=slot,
            path=paths.absolute(mount.destination),
            flags=flags,
            pointer=mount.pointer,
            action=action,
        )
    )
    if late:
        mounts.late += _finish_late(mount, slot=slot, late=late)


def _finish_late(mount: Mount, *, slot: int, late: int) -> list[Op]:
    return [
        ops.SetAttributes(
            slot=slot,
            set=late,
            clear=0,
            recursive=0,
            keep_locked=0,
            explicit=0,
            pointer=mount.pointer + "/options",
            action=f"make {mount.destination} read-only",
        ),
        ops.CloseSlot(slot=slot),
    ]


def _cover_root(
    mounts: Mounts, mount: Mount, options: MountOptions, *, slot: int, late: int
) -> None:
    """Make a mount on `/` the root.

    Later mounts are made in it, and pivot_root puts the image below out of reach.
    """
    action = describe(mount, options)
    if not mounts.context.has("mount"):
        mounts.context.problem(
            mount.pointer + "/destination",
            "a mount on / needs a mount namespace",
            hint='add {"type": "mount"} to linux.namespaces',
        )
    mounts.inside.append(
        ops.CoverRoot(slot=slot, root=mounts.root_slot, pointer=mount.pointer, action=action)
    )
    if late:
        mounts.late += _finish_late(mount, slot=slot, late=late)
    else:
        mounts.inside.append(ops.CloseSlot(slot=slot))


def inside_root(mounts: Mounts, mount: Mount) -> str:
    """Return the path in the container's root of a source that lies in it; "" for others.

    The whole host as the root is what it was: there the caller's rights may count (decision 003).
    """
    if mounts.rootfs == "/" and mounts.context.userns:
        return ""
    return paths.inside(mount.source or "", mounts.rootfs) if mounts.rootfs else ""


def filled(mount: Mount) -> bool:
    """We make directories or nodes in it."""
    return paths.is_dev(mount.destination) or paths.is_root(mount.destination)
