# SPDX-License-Identifier: Apache-2.0
"""Bind mounts: clones of what the host has, or of what lies in the container's root already.

PURE.
"""

from __future__ import annotations

from pyrunc.init import mount_idmap, ops, paths, propagation
from pyrunc.init.mount_parts import ACCESS, attach, describe, filled, finish, inside_root
from pyrunc.spec import options as table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.init.context import Context
    from pyrunc.init.mount_parts import Mounts
    from pyrunc.init.ops import Op
    from pyrunc.spec.model import Mount
    from pyrunc.spec.options import MountOptions

PROC_SUPER_MAGIC = 0x9FA0


def plan(mounts: Mounts, mount: Mount, options: MountOptions) -> None:
    context, pointer, action = mounts.context, mount.pointer, describe(mount, options)
    source = mount.source or ""
    if options.copy_symlink and source in mounts.links:
        _copy_link(mounts, mount)
        return
    if inside_root(mounts, mount):
        slot = _clone_inside(mounts, mount, options)
        target = mounts.inside
    elif mount_idmap.wanted(mount, options):
        slot = mounts.request_slot
        mounts.request_slot += 1
        request = mount_idmap.request(context, mount, options, sys_admin=mounts.sys_admin)
        mounts.requests.append((request, slot))
        target = mounts.made
        target += _part(mounts, mount, options, slot=slot)
    else:
        slot = context.slot()
        target = _clone(mounts, mount, options, slot=slot)
    late = table.MOUNT_ATTR_RDONLY if filled(mount) else 0
    target += _bind_attributes(context, mount, options, slot=slot, leave=late)
    target += finish(context, mount, options, slot=slot)
    attach(mounts, mount, options, slot=slot, late=options.attributes & late)
    if paths.is_proc(mount.destination):
        mounts.inside.append(
            ops.VerifyMount(
                path="/proc",
                attributes=0,
                magic=PROC_SUPER_MAGIC,
                index=0,
                pointer=pointer,
                action=action,
            )
        )


def _clone(mounts: Mounts, mount: Mount, options: MountOptions, *, slot: int) -> list[Op]:
    """Clone a mount of the host, and return the part of the plan where it is made."""
    context = mounts.context
    target = mounts.made if mounts.in_order else mounts.sources
    peer = propagation.is_before(mounts.propagation, options.propagation)
    if peer:
        target = mounts.peers
    target.append(
        ops.CloneTree(
            slot=slot,
            path=mount.source or "",
            recursive=int(options.recursive),
            nofollow=int(options.src_nofollow),
            type=0,
            rdev=0,
            ask=int(context.userns and context.host.euid == 0),
            pointer=mount.pointer + "/source",
            action=describe(mount, options),
        )
    )
    if peer:
        target += _part(mounts, mount, options, slot=slot)
    return target


def _part(mounts: Mounts, mount: Mount, options: MountOptions, *, slot: int) -> list[Op]:
    """Make a clone that is a peer of the host's what it would be if it were made later.

    The parent's clones are peers, too: those of id-mapped mounts.
    """
    flags = propagation.of_peer(
        mounts.propagation, options.propagation, userns=mounts.context.userns
    )
    if not flags:
        return []
    return [
        ops.SetPropagation(
            slot=slot,
            flags=flags & ~table.MS_REC,
            recursive=1,
            pointer=mount.pointer + "/options",
            action=describe(mount, options),
        )
    ]


def _clone_inside(mounts: Mounts, mount: Mount, options: MountOptions) -> int:
    """Clone a source that lies in the container's root, when all before it is attached.

    Peers look for it with the host's root, where a link of the image leads to the host's files.
    Here it leads to the image's, and for a running container nowhere. Returns the slot.
    """
    context, path = mounts.context, inside_root(mounts, mount)
    slot, action = context.slot(), describe(mount, options)
    mounts.inside.append(
        ops.CloneInside(
            slot=slot,
            path=path,
            recursive=int(options.recursive),
            nofollow=int(options.src_nofollow),
            resolve=mounts.inside_resolve,
            proc=int(paths.components(path)[:1] == ("proc",)),
            pointer=mount.pointer + "/source",
            action=action,
        )
    )
    if mount_idmap.wanted(mount, options):
        # The clone was made in the container's namespaces, so that its flags are locked there.
        mounts.mapped.append(mount_idmap.request(context, mount, options, sys_admin=False))
        mounts.inside.append(ops.MapMount(slot=slot, pointer=mount.pointer, action=action))
    return slot


def _bind_attributes(
    context: Context, mount: Mount, options: MountOptions, *, slot: int, leave: int
) -> list[Op]:
    """As the remount of a bind mount does: with one flag given, those that are not are cleared.

    Access times are the source's unless an option names them; one that says which rule it shall not
    be (`atime`, `nostrictatime`) leaves the others alone.
    """
    cleared = options.attributes_cleared
    given = options.attributes & (ACCESS | table.MOUNT_ATTR_NODIRATIME)
    if options.atime_set:
        given |= options.atime
    if not given and not cleared and not options.atime_set:
        return []
    clear = ACCESS & ~given
    if options.atime_set:
        clear |= table.MOUNT_ATTR__ATIME
    if cleared & table.MOUNT_ATTR_NODIRATIME:
        clear |= table.MOUNT_ATTR_NODIRATIME
    pointer, action = mount.pointer + "/options", describe(mount, options)
    planned: list[Op] = [
        ops.SetAttributes(
            slot=slot,
            set=given & ~leave,
            clear=clear,
            recursive=0,
            keep_locked=int(context.confined),
            explicit=cleared & (ACCESS | table.MOUNT_ATTR_NODIRATIME),
            pointer=pointer,
            action=action,
        )
    ]
    if rules := options.atime_reset:
        planned.append(
            ops.ResetAtime(
                slot=slot,
                rules=rules,
                keep_locked=int(context.confined),
                pointer=pointer,
                action=action,
            )
        )
    return planned


def _copy_link(mounts: Mounts, mount: Mount) -> None:
    mounts.inside.append(
        ops.MakeSymlink(
            path=paths.absolute(mount.destination),
            target=mounts.links[mount.source or ""],
            replace=0,
            pointer=mount.pointer,
            action=f"copy the symbolic link {mount.source} to {mount.destination}",
        )
    )
