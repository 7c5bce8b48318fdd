# SPDX-License-Identifier: Apache-2.0
"""The posture: what is seen in the root at last is what the plan has put there (AR-7). PURE.

A mount that others have moved away with a directory of a shared volume, or that a fallback has left
without its flags, is an error and never a container that looks right.
"""

from __future__ import annotations

from pyrunc.init import ops
from pyrunc.spec.options import MS_REMOUNT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyrunc.init.ops import Op

CONSOLE = "/dev/console"


def mounts(
    filled: Sequence[Op], expected: Mapping[int, tuple[int, int]], *, early: bool
) -> list[Op]:
    """Plan a check for every mount among the ops that fill the root, in their order.

    `expected` says for slots which attributes their mounts must have, and which of these are
    applied in the last pass; `early` is before that.
    """
    planned: list[ops.VerifyMount] = []
    for op in filled:
        path, attributes = "", 0
        if isinstance(op, ops.Attach | ops.CoverRoot):
            wanted, late = expected.get(op.slot, (0, 0))
            attributes = wanted & ~late if early else wanted
            path = op.path if isinstance(op, ops.Attach) else "/"
        elif isinstance(op, ops.OpenConsole) and op.bind:
            path = CONSOLE
        elif isinstance(op, ops.MountClassic) and not op.flags & MS_REMOUNT:
            path = op.path
        elif isinstance(op, ops.MountClassic):
            for check in planned:  # whose flags it changes is known in the root alone
                check.attributes = 0
        if path:
            planned.append(_check(path, attributes, index=len(planned) + 1, pointer=op.pointer))
    return list(planned)


def _check(path: str, attributes: int, *, index: int, pointer: str) -> ops.VerifyMount:
    return ops.VerifyMount(
        path=path,
        attributes=attributes,
        magic=0,
        index=index,
        pointer=pointer,
        action=f"check what is mounted on {path}",
    )


def root() -> Op:
    """Whatever happened before: / is the container's root."""
    return ops.VerifyRoot(pointer="/root/path", action="check the root")
