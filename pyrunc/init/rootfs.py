# SPDX-License-Identifier: Apache-2.0
"""The root file system: entered first, filled from inside, made the only one (AR-1). PURE."""

from __future__ import annotations

from pyrunc.init import ops, propagation
from pyrunc.init.propagation import POINTER as PROPAGATION
from pyrunc.spec.options import MOUNT_ATTR_RDONLY, MS_PRIVATE, MS_SHARED, MS_UNBINDABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.init.context import Context
    from pyrunc.init.ops import Op
    from pyrunc.spec.model import Config

POINTER = "/root/path"


class Root:
    """Where the container's root is while a plan is made."""

    __slots__ = ("host", "path", "pivot", "slot")

    def __init__(self, context: Context, path: str, *, pivot: bool) -> None:
        self.path = path
        self.pivot = pivot
        self.slot = context.slot()
        self.host = context.slot()


def part_from_host(config: Config) -> Op:
    """No mount of the container reaches the host but in what was cloned before.

    A clone of something unbindable could not be made, so that comes later.
    """
    flags = propagation.of_hosts(propagation.of_root(config))
    action = "make the mounts of the host private"
    return ops.PropagateRoot(flags=flags, pointer=PROPAGATION, action=action)


def attach(root: Root, context: Context, config: Config) -> list[Op]:
    """Plan the clone that becomes the root, and what it is to the host's mount of the rootfs.

    Where the init may not pass the directories above, root as the caller does it. In a mount
    namespace that others have the path may be theirs: not with root's rights.
    """
    action = f"use the rootfs {root.path}"
    ask = context.userns and context.host.euid == 0 and "mount" in context.new
    planned: list[Op] = [
        ops.AttachRoot(slot=root.slot, path=root.path, ask=int(ask), pointer=POINTER, action=action)
    ]
    if propagation.parts_root(propagation.of_root(config)):
        action = "make the root private"
        planned.append(
            ops.SetPropagation(
                slot=root.slot, flags=MS_PRIVATE, recursive=1, pointer=PROPAGATION, action=action
            )
        )
    return planned


def enter(root: Root) -> Op:
    return ops.EnterRoot(
        root=root.slot, host=root.host, pointer=POINTER, action=f"enter the rootfs {root.path}"
    )


def leave(root: Root) -> Op:
    return ops.LeaveRoot(host=root.host, action="leave the rootfs for what comes before pivot_root")


def change(root: Root) -> list[Op]:
    """From here on there is no way back to the host's files."""
    if root.pivot:
        action = f"pivot_root to {root.path}"
        return [ops.Pivot(slot=root.slot, pointer=POINTER, action=action)]
    action = f"move the rootfs {root.path} to /"
    return [ops.MoveRoot(slot=root.slot, path=root.path, pointer=POINTER, action=action)]


def chroot(path: str) -> Op:
    """Without a mount namespace nothing may be attached or moved."""
    return ops.ChangeRoot(path=path, pointer=POINTER, action=f"chroot to {path}")


def finish(config: Config) -> list[Op]:
    """Set what holds for the whole root, at the end.

    Shared and unbindable could not be set before, and read-only forbids to make anything.
    """
    planned: list[Op] = []
    wanted = propagation.of_root(config)
    if wanted & (MS_SHARED | MS_UNBINDABLE):
        action = f"make the root {config.linux.rootfs_propagation}"
        planned.append(ops.PropagateRoot(flags=wanted, pointer=PROPAGATION, action=action))
    if config.root.readonly:
        planned.append(
            ops.SetRootAttributes(
                set=MOUNT_ATTR_RDONLY,
                clear=0,
                recursive=0,
                pointer="/root/readonly",
                action="make the root read-only",
            )
        )
    return planned


def check_without_namespace(context: Context, config: Config) -> None:
    """In the host's mount namespace these would change the host.

    Mounts are left to the caller, as other runtimes do.
    """
    wanted = {
        "/root/readonly": config.root.readonly,
        PROPAGATION: config.linux.rootfs_propagation,
        "/linux/maskedPaths": config.linux.masked_paths,
        "/linux/readonlyPaths": config.linux.readonly_paths,
    }
    for pointer, value in wanted.items():
        if value:
            context.problem(
                pointer,
                "needs a mount namespace",
                hint='add {"type": "mount"} to linux.namespaces',
            )
