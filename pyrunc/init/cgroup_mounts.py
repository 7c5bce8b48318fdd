# SPDX-License-Identifier: Apache-2.0
"""Mounts of type cgroup and cgroup2: the container's view of the host's hierarchies. PURE."""

from __future__ import annotations

from pyrunc.init import ops, paths
from pyrunc.init.mount_parts import ACCESS, attach, describe, finish, in_force
from pyrunc.spec import options as table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.init.cgroup_view import CgroupDirectory
    from pyrunc.init.mount_parts import Mounts
    from pyrunc.spec.model import Mount
    from pyrunc.spec.options import MountOptions

UNIFIED = "/sys/fs/cgroup"


FORCE_V1 = "run.oci.systemd.force_cgroup_v1"
SYSTEMD = "name=systemd"


def check_forced(mounts: Mounts, configured: Sequence[Mount]) -> None:
    """Check that the annotation names the mount point of a mount that shows cgroups."""
    forced = mounts.cgroup.forced
    shown = (one.destination for one in configured if one.type in ("cgroup", "cgroup2"))
    if forced not in shown:
        mounts.context.problem(
            f"/annotations/{FORCE_V1}",
            "no mount of type cgroup has this destination",
            value=forced,
        )


def plan(mounts: Mounts, mount: Mount, options: MountOptions) -> None:
    if mounts.cgroup.forced and mounts.cgroup.forced == mount.destination:
        _systemd(mounts, mount, options)
    elif mounts.cgroup.version == 1 and mount.type == "cgroup":
        _hierarchies(mounts, mount, options)
    else:
        _unified(mounts, mount, options)


def _own_data(mounts: Mounts, options: MountOptions, *, version: int) -> list[str]:
    """Return the options without those that the host's hierarchies have anyway.

    containerd copies the host's nsdelegate and memory_recursiveprot.
    """
    in_force = mounts.cgroup.in_force.get(version, ())
    return [option for option in options.data if option not in in_force]


def _sees_own(mounts: Mounts) -> bool:
    """Return whether a new mount shows the root of a cgroup namespace of the container's own."""
    return mounts.context.has("cgroup") and mounts.context.owns("cgroup")


def _unified(mounts: Mounts, mount: Mount, options: MountOptions) -> None:
    """cgroup2.

    Without a namespace a bind of the host's mount: a new one would reset the host's mount options.
    """
    slot, action = mounts.context.slot(), describe(mount, options)
    data = _own_data(mounts, options, version=2)
    if _sees_own(mounts):
        mounts.made.append(
            ops.NewMount(
                slot=slot,
                fstype="cgroup2",
                source=mount.source or "cgroup",
                options=data,
                attributes=options.attributes,
                pointer=mount.pointer,
                action=action,
            )
        )
    else:
        directory = next((entry for entry in mounts.cgroup.directories if entry.version == 2), None)
        if data:
            mounts.context.problem(
                mount.pointer + "/options",
                "options of cgroup2 need a cgroup namespace of the container",
                value=", ".join(data),
                hint="only those that the host's own mount has may be repeated",
            )
        path = directory.mount if directory else UNIFIED
        if directory and mounts.context.has("cgroup"):
            path = directory.path
        # Without cgroups of its own the container sees whatever the host has there. In a user
        # namespace mounts below are locked to it: they come along or the clone is refused.
        _bind(mounts, mount, options, slot=slot, path=path, recursive=directory is None)
    mounts.made += finish(mounts.context, mount, options, slot=slot)
    attach(mounts, mount, options, slot=slot, late=0)


def _bind(
    mounts: Mounts,
    mount: Mount,
    options: MountOptions,
    *,
    slot: int,
    path: str,
    recursive: bool = False,
) -> None:
    """After the rendezvous `namespaces`: the container's cgroups do not exist before."""
    action = describe(mount, options)
    mounts.made += [
        ops.CloneTree(
            slot=slot,
            path=path,
            recursive=int(recursive),
            nofollow=0,
            type=0,
            rdev=0,
            ask=0,
            pointer=mount.pointer,
            action=action,
        ),
        ops.SetAttributes(
            slot=slot,
            set=options.attributes & ACCESS,
            clear=0,
            recursive=int(recursive),
            keep_locked=1,
            explicit=0,
            pointer=mount.pointer + "/options",
            action=action,
        ),
    ]


def _systemd(mounts: Mounts, mount: Mount, options: MountOptions) -> None:
    """Only the v1 hierarchy name=systemd, for a systemd inside that is too old for cgroup2."""
    named = next((one for one in mounts.cgroup.directories if one.name == SYSTEMD), None)
    if named is None:
        mounts.context.problem(
            f"/annotations/{FORCE_V1}",
            "the hierarchy name=systemd is not mounted on this host: mount it with"
            " `mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd`",
            value=mount.destination,
        )
        return
    slot, action = mounts.context.slot(), describe(mount, options)
    if _sees_own(mounts):
        mounts.made.append(_hierarchy(mount, options, named, slot=slot, action=action))
    else:
        _bind(mounts, mount, options, slot=slot, path=named.path)
    mounts.made += finish(mounts.context, mount, options, slot=slot)
    attach(mounts, mount, options, slot=slot, late=0)


def _hierarchies(mounts: Mounts, mount: Mount, options: MountOptions) -> None:
    """Plan a tmpfs with a directory for each v1 hierarchy.

    Links have the names of the controllers that share one.
    """
    context, action = mounts.context, describe(mount, options)
    if data := _own_data(mounts, options, version=1):
        context.problem(
            mount.pointer + "/options",
            "a mount of all cgroup v1 hierarchies has no options of its own",
            value=", ".join(data),
        )
    slot = context.slot()
    mounts.made.append(
        ops.NewMount(
            slot=slot,
            fstype="tmpfs",
            source="cgroup",
            options=["mode=755", *([mounts.label] if mounts.label else [])],
            attributes=options.attributes & ~table.MOUNT_ATTR_RDONLY,
            pointer=mount.pointer,
            action=action,
        )
    )
    mounts.made += finish(context, mount, options, slot=slot)
    attach(mounts, mount, options, slot=slot, late=options.attributes & table.MOUNT_ATTR_RDONLY)
    top = paths.absolute(mount.destination).rstrip("/")
    for directory in mounts.cgroup.directories:
        name = directory.mount.rstrip("/").rpartition("/")[2]
        part = context.slot()
        if _sees_own(mounts):
            mounts.made.append(_hierarchy(mount, options, directory, slot=part, action=action))
        else:
            _bind(mounts, mount, options, slot=part, path=directory.path)
        mounts.expected[part] = (in_force(options), 0)
        mounts.inside.append(
            ops.Attach(
                slot=part, path=f"{top}/{name}", flags=0, pointer=mount.pointer, action=action
            )
        )
        for link in name.split(","):
            if link != name:
                mounts.inside.append(
                    ops.MakeSymlink(
                        path=f"{top}/{link}",
                        target=name,
                        replace=0,
                        pointer=mount.pointer,
                        action=action,
                    )
                )


def _hierarchy(
    mount: Mount, options: MountOptions, directory: CgroupDirectory, *, slot: int, action: str
) -> ops.NewMount:
    """Return a new mount of an existing hierarchy, which its name or its controllers identify."""
    named = directory.name.startswith("name=")
    keys = [directory.name] if named else directory.name.split(",")
    return ops.NewMount(
        slot=slot,
        fstype="cgroup2" if directory.version == 2 else "cgroup",
        source=directory.name.removeprefix("name=") or "cgroup",
        options=keys if directory.version == 1 else [],
        attributes=options.attributes,
        pointer=mount.pointer,
        action=action,
    )
