# SPDX-License-Identifier: Apache-2.0
"""Reading the file of a bundle: bounded, a regular file, never through a symbolic link."""

from __future__ import annotations

import errno
import os
import stat

from pyrunc.errors import Failure
from pyrunc.spec.limits import MAX_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.spec.model import Config

CONFIG = "config.json"
OPEN_HINTS = {
    errno.ELOOP: "a symbolic link is not followed",
    errno.EACCES: "the caller must be able to enter each directory above it and to read it",
}


def load(bundle: str, name: str = CONFIG) -> Config:
    """Load and check the configuration of a bundle."""
    # The model is only needed here, and `state` or `kill` import this package for `strict`.
    from pyrunc.spec.config import parse_config

    data = read_bounded(os.path.join(bundle, name), name=name)
    return parse_config(data, source=name, bundle=os.path.abspath(bundle))


def read_named(path: str) -> tuple[bytes, str]:
    """Read a file that a command line names, or standard input for `-`; return text and name."""
    if path != "-":
        return read_bounded(path, name=path), path
    data = b""
    while len(data) <= MAX_BYTES and (part := os.read(0, 1 << 16)):
        data += part
    return data, "standard input"


def read_bounded(path: str, *, name: str = "", limit: int = MAX_BYTES) -> bytes:
    """Read a regular file, at most one byte more than the limit (which the reader refuses)."""
    name = name or path
    # O_NONBLOCK: a FIFO in the bundle must not hold us up.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
    try:
        fd = os.open(path, flags)
    except FileNotFoundError:
        raise Failure(
            f"JSON specification file {name} not found",
            detail=path,
            hint="a bundle holds a configuration (`pyrunc spec` writes one) and a root file system",
        ) from None
    except OSError as error:
        hint = OPEN_HINTS.get(error.errno or 0, "")
        raise Failure(f"cannot open {path}", errno=error.errno or 0, hint=hint) from None
    try:
        return _read(fd, path, limit)
    finally:
        os.close(fd)


def _read(fd: int, path: str, limit: int) -> bytes:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raise Failure(f"{path} is not a regular file")
    parts: list[bytes] = []
    left = limit + 1
    try:
        # The size of a file on procfs or FUSE says nothing, so read up to the end.
        while left and (part := os.read(fd, min(left, max(65536, status.st_size + 1)))):
            parts.append(part)
            left -= len(part)
    except OSError as error:
        raise Failure(f"cannot read {path}", errno=error.errno or 0) from None
    return parts[0] if len(parts) == 1 else b"".join(parts)
