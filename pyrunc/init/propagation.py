# SPDX-License-Identifier: Apache-2.0
"""Which mounts take part in what is mounted elsewhere: linux.rootfsPropagation and mount options.

The host's mounts are copied with the mount namespace, as peers, and made slaves (or private) at
once. A clone that is made before is still a peer: only those are that shall be (decision 025).

PURE.
"""

from __future__ import annotations

from pyrunc.spec.options import (
    MS_PRIVATE,
    MS_REC,
    MS_SHARED,
    MS_SLAVE,
    MS_UNBINDABLE,
    PROPAGATIONS,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.spec.model import Config

POINTER = "/linux/rootfsPropagation"
APART = MS_PRIVATE | MS_UNBINDABLE


def of_root(config: Config) -> int:
    """Return the flags (MS_*) of linux.rootfsPropagation; 0 if it is not given."""
    return PROPAGATIONS.get(config.linux.rootfs_propagation or "", 0)


def of_hosts(root: int) -> int:
    """Return what the host's mounts become in the container's namespace, with MS_REC.

    It is also what a clone without an option of its own is, unless the root is shared.
    """
    return MS_REC | (MS_PRIVATE if root & APART else MS_SLAVE)


def parts_root(root: int) -> bool:
    """Tell whether the clone of the rootfs has to leave the host's, whose slave it is.

    Only a root that was asked to be a slave receives what the host mounts below the rootfs.
    """
    return not root & (MS_SLAVE | APART)


def is_before(root: int, options: Sequence[int]) -> bool:
    """Tell whether a bind is cloned while the host's mounts are peers.

    With a shared root every bind is. Else a recursive value (and the default) is about all mounts,
    and one that is not is about the root alone: there the options of a mount hold.
    """
    if root & MS_SHARED:
        return True
    return (
        root != 0 and not root & MS_REC and any(flag & (MS_SHARED | MS_SLAVE) for flag in options)
    )


def of_peer(root: int, options: Sequence[int], *, userns: bool) -> int:
    """Return what a clone that is a peer of the host's must become before its options; 0: nothing.

    A namespace of another user never has peers of the host (mount_namespaces(7)).
    """
    if not is_before(root, options):
        return of_hosts(root)
    stays = root & MS_SHARED or any(flag & MS_SHARED for flag in options)
    return 0 if stays and not userns else MS_SLAVE | MS_REC
