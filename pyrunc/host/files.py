# SPDX-License-Identifier: Apache-2.0
"""Files below a descriptor, where names may be anything."""

from __future__ import annotations

import os

from pyrunc.errors import Failure

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(parent: int, name: str, fd: int) -> None:
    """Remove below a descriptor; symbolic links are removed, never followed (ST-7)."""
    device = os.fstat(fd).st_dev
    for entry in os.listdir(fd):
        try:
            os.unlink(entry, dir_fd=fd)
        except FileNotFoundError:
            continue
        except (IsADirectoryError, PermissionError):
            child = os.open(entry, DIRECTORY, dir_fd=fd)
            try:
                if os.fstat(child).st_dev != device:
                    raise Failure(
                        f"something is mounted on {name}/{entry} in the state directory"
                    ) from None
                remove_tree(fd, entry, child)
            finally:
                os.close(child)
    try:
        os.rmdir(name, dir_fd=parent)
    except FileNotFoundError:  # another delete was quicker
        return
