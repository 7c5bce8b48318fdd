# SPDX-License-Identifier: Apache-2.0
"""Files below a descriptor, where names may be anything."""

from __future__ import annotations

import errno
import os

from pyrunc.errors import Failure

ROUNDS = 100
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(parent: int, name: str, fd: int) -> None:
    """Remove below a descriptor; symbolic links are removed, never followed (ST-7).

    Others may still put files into it: it is emptied again, a bounded number of times.
    """
    for _ in range(ROUNDS):
        _empty(name, fd)
        try:
            os.rmdir(name, dir_fd=parent)
        except FileNotFoundError:  # another delete was quicker
            return
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
        else:
            return
    raise Failure(f"{name} in the state directory does not stay empty", errno=errno.ENOTEMPTY)


def _empty(name: str, fd: int) -> None:
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
