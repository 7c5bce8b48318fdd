# SPDX-License-Identifier: Apache-2.0
"""The directories of images and work files, and the descriptors of a container's stdio.

What is in the images becomes processes with the rights of their time, and the log of criu is
written by root: both directories must be the caller's alone (CK-1).
"""

from __future__ import annotations

import os
import stat
from errno import ENOENT, ENOTDIR

from pyrunc import jsontext
from pyrunc.errors import Failure, HostError, UsageError
from pyrunc.lifecycle.state_root import check_ours

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

USUAL: Final = "checkpoint"  # below the current directory, as runc has it
DESCRIPTORS: Final = "descriptors.json"
MAX_DESCRIPTORS: Final = 65536
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Directory:
    """An open directory."""

    __slots__ = ("_before", "fd", "path")

    def __init__(self, path: str, fd: int) -> None:
        self.path = path
        self.fd = fd
        self._before: os.stat_result | None = None

    def lend(self, gid: int) -> None:
        """Let a group open the files of the directory, until `close`.

        The root of a user namespace reads the images of its own processes.
        """
        self._before = os.fstat(self.fd)
        os.fchown(self.fd, -1, gid)
        os.fchmod(self.fd, 0o710)

    def close(self) -> None:
        if self.fd < 0:
            return
        if self._before is not None:
            os.fchown(self.fd, -1, self._before.st_gid)
            os.fchmod(self.fd, stat.S_IMODE(self._before.st_mode))
        os.close(self.fd)
        self.fd = -1


def open_images(path: str, *, make: bool) -> Directory:
    """Open the directory of --image-path; `make`: create it if it does not exist."""
    return _open(path or USUAL, flag="image-path", make=make)


def open_work(path: str) -> Directory | None:
    """Open the directory of --work-path; None when work files go beside the images."""
    return _open(path, flag="work-path", make=True) if path else None


def _open(path: str, *, flag: str, make: bool) -> Directory:
    path = os.path.abspath(path)
    try:
        if make:
            _make(path)
        fd = os.open(path, _DIRECTORY)
    except OSError as error:
        raise HostError(
            f"cannot open the directory of --{flag} {path}",
            errno=error.errno or ENOENT,
            hint="" if make else "it is what `checkpoint --image-path` has written",
        ) from None
    hint = f"chmod go-w {path}, or use another directory"
    check_ours(fd, f"the directory of --{flag} {path}", hint=hint)
    return Directory(path, fd)


def _make(path: str) -> None:
    """mkdir with parents; what is made is for its owner alone."""
    missing = []
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for directory in reversed(missing):
        os.mkdir(directory, 0o700)


def check_parent(images: Directory, parent: str) -> None:
    """--parent-path leads from the images to earlier ones: criu stores it as it is."""
    if not parent:
        return
    if parent.startswith("/"):
        raise UsageError(
            f"--parent-path {parent}: it must be relative to the directory of --image-path"
        )
    try:
        status = os.stat(parent, dir_fd=images.fd)
    except OSError as error:
        raise Failure(f"invalid --parent-path {parent}", errno=error.errno or ENOENT) from None
    if not stat.S_ISDIR(status.st_mode):
        raise Failure(f"invalid --parent-path {parent}", errno=ENOTDIR)


def write_descriptors(images: Directory, names: list[str]) -> None:
    """Write what the descriptors 0 to 2 of the container were, in runc's and crun's file."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(DESCRIPTORS, flags, 0o600, dir_fd=images.fd)
    try:
        os.write(fd, jsontext.encode(names).encode("utf-8", "surrogateescape"))
    finally:
        os.close(fd)


def read_descriptors(images: Directory) -> list[str]:
    """Read the names of the descriptors 0 to 2; none where the file is absent."""
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        fd = os.open(DESCRIPTORS, flags, dir_fd=images.fd)
    except FileNotFoundError:
        return []
    try:
        names = jsontext.decode(os.read(fd, MAX_DESCRIPTORS).decode("utf-8", "replace"))
    except ValueError:
        names = None
    finally:
        os.close(fd)
    if not isinstance(names, list):
        raise Failure(f"{images.path}/{DESCRIPTORS} is damaged")
    return [str(name) for name in names[:3]]


def has_network(images: Directory) -> bool:
    """Whether the images hold interfaces, so that the network can be made again from them."""
    return any(name.startswith("netdev-") for name in os.listdir(images.fd))
