# SPDX-License-Identifier: Apache-2.0
"""Mounts of a container without a mount namespace: they are in the caller's, and have to go again.

What was there before is left alone (MT-13): its mount ids are in the intent.
"""

from __future__ import annotations

import os

from pyrunc.host import mountinfo, syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

MNT_DETACH = 2
UMOUNT_NOFOLLOW = 8
NAMESPACE = "/proc/self/ns/mnt"


def intent(below: str) -> dict[str, Any]:
    """Return the record to write down before mounts are made below a directory."""
    return {
        "below": below,
        "namespace": os.readlink(NAMESPACE),
        "before": [number for number, _path in mounts(below)],
    }


def undo(record: Mapping[str, Any]) -> None:
    """Unmount what is there and was not before, the latest first."""
    if os.readlink(NAMESPACE) != record["namespace"]:
        return  # the mounts are in a namespace that we do not see; it may be gone
    before = set(record["before"])
    for number, path in reversed(list(mounts(str(record["below"])))):
        if number in before:
            continue
        try:
            syscalls.umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW)
        except FileNotFoundError:  # it hangs below one that has just gone
            continue


def mounts(below: str) -> Iterable[tuple[int, str]]:
    """(mount id, path) of the mounts on a directory and below it, in the order of their making."""
    for entry in mountinfo.read():
        if entry.point == below or entry.point.startswith(f"{below}/"):
            yield entry.id, entry.point
