# SPDX-License-Identifier: Apache-2.0
"""linux.maskedPaths and linux.readonlyPaths.

The covers come from the host, never from the container (MT-9).

PURE.
"""

from __future__ import annotations

from pyrunc.init import ops
from pyrunc.init.devices import S_IFCHR, makedev
from pyrunc.spec.options import (
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_RDONLY,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.init.context import Context
    from pyrunc.init.ops import Op
    from pyrunc.spec.model_linux import Linux

# One block and one inode beside the root's: kernels before 6.6 count the root, and an empty
# read-only tmpfs can hold nothing anyway.
EMPTY = ("nr_blocks=1", "nr_inodes=2")
ATTRIBUTES = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC


class Masks:
    """Ops that hide and protect paths, by the time when they run.

    `sources` run before the root is entered, `made` with the ids of the container, `inside` at
    the end.
    """

    __slots__ = ("inside", "made", "sources")

    def __init__(self) -> None:
        self.sources: list[Op] = []
        self.made: list[Op] = []
        self.inside: list[Op] = []


def plan(context: Context, linux: Linux, *, label: str) -> Masks:
    masks = Masks()
    for index, path in enumerate(linux.readonly_paths):
        masks.inside.append(
            ops.MakeReadonly(
                path=path,
                pointer=f"/linux/readonlyPaths/{index}",
                action=f"make {path} read-only",
            )
        )
    if linux.masked_paths:
        _mask(context, masks, linux.masked_paths, label=label)
    return masks


def _mask(context: Context, masks: Masks, masked: tuple[str, ...], *, label: str) -> None:
    null, directory = context.slot(), context.slot()
    masks.sources.append(
        ops.CloneTree(
            slot=null,
            path="/dev/null",
            recursive=0,
            nofollow=1,
            type=S_IFCHR,
            rdev=makedev(1, 3),
            ask=0,
            pointer="/linux/maskedPaths",
            action="clone /dev/null of the host",
        )
    )
    masks.made.append(
        ops.NewMount(
            slot=directory,
            fstype="tmpfs",
            source="tmpfs",
            options=[*EMPTY, *([label] if label else [])],
            attributes=ATTRIBUTES,
            pointer="/linux/maskedPaths",
            action="make an empty directory to mask others",
        )
    )
    for index, path in enumerate(masked):
        masks.inside.append(
            ops.Mask(
                path=path,
                null=null,
                directory=directory,
                pointer=f"/linux/maskedPaths/{index}",
                action=f"mask {path}",
            )
        )
    masks.inside += [ops.CloseSlot(slot=null), ops.CloseSlot(slot=directory)]
