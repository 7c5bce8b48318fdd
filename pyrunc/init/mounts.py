# SPDX-License-Identifier: Apache-2.0
"""The mounts of a container: detached objects made while the host is visible, attached in the root.

A plan holds them in four parts: `sources` (clones of what the host has), `made` (new file systems
and what needs the container's namespaces), `inside` (attached, in the order of the configuration)
and `late` (read-only at last: what lies below had to be made first).

PURE.
"""

from __future__ import annotations

from pyrunc.init import binds, cgroup_mounts, mount_idmap, ops, paths, upper_layer
from pyrunc.init.mount_parts import (
    ACCESS,
    REAL_DIRECTORY,
    attach,
    describe,
    filled,
    finish,
    inside_root,
)
from pyrunc.spec import options as table
from pyrunc.spec.options import parse_mount_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.init.mount_parts import Mounts
    from pyrunc.init.ops import Op
    from pyrunc.spec.model import Config, Mount
    from pyrunc.spec.options import MountOptions

REQUESTS_AT_ONCE = 200  # the kernel passes 253 descriptors in a message (SCM_MAX_FD)
NOTIFY_DIRECTORY = "/run/notify"

# One super block for all mounts of these, or none that a reader could write: the mount is read-
# only, not it.
SHARED_SUPERBLOCKS = frozenset(
    ("proc", "sysfs", "tmpfs", "ramfs", "devtmpfs", "devpts", "mqueue", "cgroup", "cgroup2", "bpf",
     "debugfs", "tracefs", "securityfs", "pstore", "configfs", "efivarfs", "binfmt_misc", "fusectl",
     "hugetlbfs", "selinuxfs")
)  # fmt: skip
UNLABELLED = frozenset(("proc", "sysfs", "cgroup", "cgroup2"))
# type -> (kind of the namespace that it shows, where the host has it)
OF_A_NAMESPACE = {
    "proc": ("pid", "/proc"),
    "sysfs": ("network", "/sys"),
    "mqueue": ("ipc", "/dev/mqueue"),
}


def plan(mounts: Mounts, config: Config, *, notify: str = "") -> None:
    """Every mount of the configuration, then the directory of the notification socket."""
    parsed = [(mount, parse_mount_options(mount)) for mount in config.mounts]
    # The parent's answer fills slots in a row.
    mapped = sum(
        mount_idmap.wanted(mount, options) and not inside_root(mounts, mount)
        for mount, options in parsed
    )
    mounts.request_slot = mounts.context.slot(mapped) if mapped else 0
    for mount, options in parsed:
        if paths.is_dev(mount.destination):
            mounts.dev_mounted = True
            mounts.dev_bound = mounts.dev_bound or options.bind
        if not _allowed(mounts, mount, options):
            continue
        if _needs_mount(options):
            _classic(mounts, mount, options)
        elif options.bind:
            binds.plan(mounts, mount, options)
        elif mount.type in ("cgroup", "cgroup2"):
            cgroup_mounts.plan(mounts, mount, options)
        else:
            _new(mounts, mount, options)
    if mounts.cgroup.forced:
        cgroup_mounts.check_forced(mounts, config.mounts)
    if notify:
        _notify(mounts, notify)


def symlink_sources(config: Config) -> list[str]:
    """Return the sources whose link text the plan needs."""
    sources = []
    for mount in config.mounts:
        if mount.source and parse_mount_options(mount).copy_symlink:
            sources.append(mount.source)
    return sources


def await_requests(mounts: Mounts) -> list[Op]:
    """Fetch the mounts that the parent made."""
    planned: list[Op] = []
    slots = [slot for _request, slot in mounts.requests]
    for start in range(0, len(slots), REQUESTS_AT_ONCE):
        part = slots[start : start + REQUESTS_AT_ONCE]
        first = mounts.requests[start][0]
        planned.append(
            ops.Await(
                name=ops.RENDEZVOUS_MOUNTS,
                slot=part[0],
                count=len(part),
                pointer=first.pointer,
                action="wait for the parent to make id-mapped mounts",
            )
        )
    return planned


def _allowed(mounts: Mounts, mount: Mount, options: MountOptions) -> bool:
    """Refuse to cover entries of /proc that show identity or labels (MT-7)."""
    parts = paths.components(mount.destination)
    if parts[:1] != ("proc",):
        return True
    pointer = mount.pointer + "/destination"
    if len(parts) > 1 and parts not in paths.PROC_FILES:
        message = f'"{mount.destination}" cannot be mounted because it is inside /proc'
        hint = "only lxcfs's files may be covered there, such as /proc/meminfo"
        mounts.context.problem(pointer, message, hint=hint)
        return False
    if len(parts) == 1 and not options.bind and mount.type != "proc":
        message = f'"{mount.destination}" cannot be mounted because it is not of type proc'
        mounts.context.problem(pointer, message, value=mount.type or "")
        return False
    return True


def _notify(mounts: Mounts, directory: str) -> None:
    """Plan the socket to which the program sends `READY=1`."""
    context, slot = mounts.context, mounts.context.slot()
    attributes = ACCESS & ~table.MOUNT_ATTR_NOSYMFOLLOW
    mounts.expected[slot] = (attributes, 0)
    action = f"bind {directory} on {NOTIFY_DIRECTORY}"
    mounts.sources += [
        ops.CloneTree(
            slot=slot, path=directory, recursive=0, nofollow=0, type=0, rdev=0, ask=0, action=action
        ),
        ops.SetAttributes(
            slot=slot,
            set=attributes,
            clear=0,
            recursive=0,
            keep_locked=int(context.confined),
            explicit=0,
            action=action,
        ),
    ]
    mounts.inside.append(ops.Attach(slot=slot, path=NOTIFY_DIRECTORY, flags=0, action=action))


# -- new file systems ------------------------------------------------------------------------------


def _new(mounts: Mounts, mount: Mount, options: MountOptions) -> None:
    context, kind = mounts.context, mount.type or ""
    slot = context.slot()
    namespace, host_path = OF_A_NAMESPACE.get(kind, ("", ""))
    early = bool(namespace) and context.borrows(namespace)
    early = early or (kind == "proc" and context.forks_late)
    if namespace and not early and not context.owns(namespace):
        _from_host(mounts, mount, options, slot=slot, path=host_path)
        return
    late = _late_attributes(mount)
    data = list(options.data)
    if mounts.label and kind not in UNLABELLED:
        data.append(mounts.label)
    path = paths.absolute(mount.destination)
    # The owner of the network namespace is somebody else.
    more = table.MOUNT_ATTR_RDONLY if early and kind == "sysfs" else 0
    target = mounts.early if early else mounts.made
    if options.upper_size:
        target += upper_layer.plan(mounts, mount, options)
    target.append(
        _new_mount(
            "" if early and kind == "proc" else kind,
            mount,
            options,
            slot=slot,
            data=data,
            attributes=(options.attributes | more) & ~late,
        )
    )
    target += finish(context, mount, options, slot=slot)
    action = describe(mount, options)
    if kind == "tmpfs" and not any(option.startswith("mode=") for option in data):
        mounts.inside.append(
            ops.InheritMode(slot=slot, path=path, pointer=mount.pointer, action=action)
        )
    if options.tmpcopyup:
        if kind != "tmpfs":
            pointer = mount.pointer + "/options"
            context.problem(pointer, "tmpcopyup is only for tmpfs", value=kind)
        mounts.inside.append(
            ops.CopyUp(slot=slot, path=path, pointer=mount.pointer, action=f"copy up {path}")
        )
    late &= options.attributes
    attach(mounts, mount, options, slot=slot, late=late, attributes=more)


def _new_mount(
    kind: str, mount: Mount, options: MountOptions, *, slot: int, data: list[str], attributes: int
) -> Op:
    """Plan a new file system; no kind: a procfs of the pid namespace that was joined."""
    given = [*superblock(mount, options), *data]
    source, action = mount.source or mount.type or "", describe(mount, options)
    if not kind:
        return ops.NewJoinedProc(
            slot=slot,
            source=source,
            options=given,
            attributes=attributes,
            pointer=mount.pointer,
            action=action,
        )
    return ops.NewMount(
        slot=slot,
        fstype=kind,
        source=source,
        options=given,
        attributes=attributes,
        pointer=mount.pointer,
        action=action,
    )


def superblock(mount: Mount, options: MountOptions) -> list[str]:
    """Return the flags of the super block.

    A disk that is mounted read-only must not be written to, not even its journal.
    """
    return [
        key
        for key in (*options.superblock, *options.superblock_cleared)
        if key not in ("ro", "rw") or mount.type not in SHARED_SUPERBLOCKS
    ]


def _late_attributes(mount: Mount) -> int:
    """Return the attributes to set late: a tmpfs and /dev get their content before."""
    late = mount.type == "tmpfs" or filled(mount)
    return table.MOUNT_ATTR_RDONLY if late else 0


def _from_host(
    mounts: Mounts, mount: Mount, options: MountOptions, *, slot: int, path: str
) -> None:
    """Bind the host's mount of the same namespace, where the kernel would refuse a new one.

    sysfs becomes read-only, as the owner of the network namespace is somebody else.
    """
    context, pointer = mounts.context, mount.pointer
    action = f"{describe(mount, options)} (a bind of {path}, as the namespace is shared)"
    if options.data:
        context.problem(
            pointer + "/options",
            f"{mount.type} of a shared namespace cannot have options of its own",
            value=", ".join(options.data),
        )
    given = options.attributes & ACCESS
    if mount.type == "sysfs":
        given |= table.MOUNT_ATTR_RDONLY
    mounts.sources.append(
        ops.CloneTree(
            slot=slot,
            path=path,
            recursive=int(mount.type in REAL_DIRECTORY),
            nofollow=0,
            type=0,
            rdev=0,
            ask=0,
            pointer=pointer,
            action=action,
        )
    )
    if given:
        mounts.sources.append(
            ops.SetAttributes(
                slot=slot,
                set=given,
                clear=0,
                recursive=1,
                keep_locked=1,
                explicit=0,
                pointer=pointer + "/options",
                action=action,
            )
        )
    mounts.sources += finish(context, mount, options, slot=slot)
    attach(mounts, mount, options, slot=slot, late=0, attributes=given)


def _needs_mount(options: MountOptions) -> bool:
    """Tell whether it is for mount(2) alone.

    A bind has no inode versions of its own: the file system has them, or has not.
    """
    alone = table.MS_REMOUNT if options.bind else table.MS_REMOUNT | table.MS_I_VERSION
    return bool(options.flags & alone)


def _classic(mounts: Mounts, mount: Mount, options: MountOptions) -> None:
    """Plan mount(2), which alone can change an existing mount or keep versions of inodes."""
    flags = options.flags | (table.MS_BIND if options.bind else 0)
    mounts.inside.append(
        ops.MountClassic(
            path=paths.absolute(mount.destination),
            fstype=mount.type or "",
            source=mount.source or "",
            flags=flags,
            data=",".join(options.data),
            pointer=mount.pointer,
            action=describe(mount, options),
        )
    )
