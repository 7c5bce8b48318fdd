# SPDX-License-Identifier: Apache-2.0
"""Reading the file of a bundle and files that a command line names: bounded in size and time."""

from __future__ import annotations

import errno
import os
import stat
from time import monotonic

from pyrunc.errors import Failure
from pyrunc.spec.limits import MAX_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.spec.model import Config

CONFIG = "config.json"
FOREVER = float("inf")
PATIENCE_S = 10  # for the writer of a pipe in a bundle
OWN_DESCRIPTORS = ("/dev/stdin", "/dev/fd/", "/proc/self/fd/")
OPEN_HINTS = {
    errno.ELOOP: "a symbolic link leads to itself",
    errno.ENXIO: "a socket is no file to read from",
    errno.EACCES: "the caller must be able to enter each directory above it and to read it",
}


def load(bundle: str, name: str = CONFIG) -> Config:
    """Load and check the configuration of a bundle."""
    # The model is only needed here, and `state` or `kill` import this package for `strict`.
    from pyrunc.spec.config import parse_config

    data = read_bounded(os.path.join(bundle, name), name=name)
    return parse_config(data, source=name, bundle=os.path.abspath(bundle))


def read_named(path: str) -> tuple[bytes, str]:
    """Read what a command line names, or standard input for `-`; return text and name.

    Pipes are read to their end, however long that takes: the caller writes into them.
    """
    if path != "-":
        return read_bounded(path, name=path, patience_s=FOREVER), path
    return _read(0, "standard input", MAX_BYTES, patience_s=FOREVER), "standard input"


def read_bounded(
    path: str, *, name: str = "", limit: int = MAX_BYTES, patience_s: float = PATIENCE_S
) -> bytes:
    """Read a file or pipe, at most one byte more than the limit (which the reader refuses).

    Links are followed: the caller has named the path, or the bundle that it lies in. Somebody must
    have written to a pipe, and closed it, within `patience_s` seconds.
    """
    name = name or path
    # O_NONBLOCK: without it, opening a FIFO waits for a writer.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    try:
        fd = _own_descriptor(path) if path.startswith(OWN_DESCRIPTORS) else os.open(path, flags)
    except FileNotFoundError as error:
        if name == path:  # named on the command line; nothing here is about bundles
            raise Failure(f"cannot open {path}", errno=error.errno or 0) from None
        raise Failure(
            f"JSON specification file {name} not found",
            detail=path,
            hint="a bundle holds a configuration (`pyrunc spec` writes one) and a root file system",
        ) from None
    except OSError as error:
        hint = OPEN_HINTS.get(error.errno or 0, "")
        raise Failure(f"cannot open {path}", errno=error.errno or 0, hint=hint) from None
    try:
        return _read(fd, path, limit, patience_s=patience_s)
    finally:
        os.close(fd)


def _own_descriptor(path: str) -> int:
    """Duplicate what /dev/stdin or /dev/fd/N names: opened anew, a socket would be refused."""
    number = path.rpartition("/")[2].replace("stdin", "0")
    if not (number.isascii() and number.isdigit()):
        raise FileNotFoundError(errno.ENOENT, path)
    return os.dup(int(number))


def _read(fd: int, path: str, limit: int, *, patience_s: float) -> bytes:
    status = os.fstat(fd)
    regular = stat.S_ISREG(status.st_mode)
    if not regular and (stat.S_ISDIR(status.st_mode) or stat.S_ISBLK(status.st_mode)):
        raise Failure(f"{path} is not a regular file")
    parts: list[bytes] = []
    left = limit + 1
    until = 0.0 if regular else monotonic() + patience_s
    try:
        while left:
            if not regular:
                _await_data(fd, path, until - monotonic())
            # The size of a file on procfs or FUSE says nothing, so read up to the end.
            part = os.read(fd, min(left, max(65536, status.st_size + 1)))
            if not part:
                break
            parts.append(part)
            left -= len(part)
    except OSError as error:
        raise Failure(f"cannot read {path}", errno=error.errno or 0) from None
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _await_data(fd: int, path: str, left_s: float) -> None:
    """Wait for data or the end of a pipe; one that nobody has opened yet has neither."""
    import select

    poll = select.poll()
    poll.register(fd, select.POLLIN)
    if not poll.poll(None if left_s == FOREVER else max(0, left_s) * 1000):
        raise Failure(
            f"{path} is a pipe that nobody has written to its end",
            hint=f"the writer has {PATIENCE_S} seconds; a file has no such limit",
        )
