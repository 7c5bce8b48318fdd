# SPDX-License-Identifier: Apache-2.0
"""Parts of state.json that are made once, at create, for the commands to come."""

from __future__ import annotations

import os
import time
from errno import ENODEV, ENOENT

from pyrunc.log import utc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any


def freezer_file(record: Mapping[str, Any]) -> list[Any] | None:
    """Version and path of the file that says whether the container is frozen, for `state`.

    Both files know of the cgroups above, too.
    """
    groups = record.get("cgroups") or ()
    for group in groups:
        if "freezer" in group["controllers"]:
            return [1, f"{group['mount']}/{group['path']}/freezer.state"]
    for group in groups:
        if group["version"] == 2:
            return [2, f"{group['mount']}/{group['path']}/cgroup.events"]
    return None


def maybe_frozen(where: Sequence[Any]) -> bool:
    """Tell whether a cgroup is frozen, or one above it; `where`: version and path of its file.

    One that is gone may have been left by its processes for another, which is.
    """
    version, path = where
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return error.errno == ENOENT
    try:
        text = os.read(fd, 64)
    except OSError as error:  # ENODEV: it is going
        return error.errno == ENODEV
    finally:
        os.close(fd)
    return b"frozen 0" not in text if version == 2 else text.strip() != b"THAWED"


def may_hold_frozen(where: Sequence[Any]) -> bool:
    """Whether there are cgroups below that may be frozen alone: on version 1 these do not die."""
    version, path = where
    try:
        return version == 1 and os.stat(os.path.dirname(path)).st_nlink > 2
    except OSError:  # it is gone
        return False


def now() -> str:
    """RFC 3339 with nanoseconds, in UTC."""
    return rfc3339(time.time_ns())


def rfc3339(time_ns: int) -> str:
    """Return the text of a time in nanoseconds since 1970."""
    seconds, nanoseconds = divmod(time_ns, 10**9)
    return f"{utc(seconds)}.{nanoseconds:09d}Z"
