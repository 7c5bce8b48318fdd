# SPDX-License-Identifier: Apache-2.0
"""The init program as a sealed memory file: a private copy that no container can write to.

The launcher carries the program inside; otherwise it is read from the package and compared with the
digest that the build recorded, so that a file swapped on disk is never run.
"""

from __future__ import annotations

import errno
import os
import stat

from pyrunc import buildinfo
from pyrunc.errors import HostError
from pyrunc.host import syscalls

MAX_SIZE = 256 * 1024
NAME = "pyrunc-init"  # beside this module


def open_init() -> int:
    """Make a new sealed, executable memory file that holds the init program."""
    try:
        return syscalls.memfd_sealed(b"pyrunc-init", init_image(), exec=True)
    except OSError as error:
        if error.errno != errno.EACCES:
            raise HostError("cannot make the init's memory file", errno=error.errno or 0) from None
        raise HostError(
            "cannot make an executable memory file for the init: the kernel forbids it",
            errno=errno.EACCES,
            hint="set the sysctl vm.memfd_noexec to 0 or 1",
        ) from None


def init_image() -> bytes:
    if buildinfo.INIT_IMAGE is not None:
        return buildinfo.INIT_IMAGE
    # Frozen modules have no __file__; they never come here.
    path = os.path.join(os.path.dirname(__file__), NAME)
    image = _read(path)
    _verify(image, path=path)
    return image


def _read(path: str) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise HostError(
            f"cannot open the init program {path}",
            errno=error.errno or 0,
            hint="build it with `make`",
        ) from None
    try:
        facts = os.fstat(fd)
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > MAX_SIZE:
            raise HostError(f"{path} is not a regular file of at most {MAX_SIZE} bytes")
        return os.read(fd, MAX_SIZE)
    finally:
        os.close(fd)


def _verify(image: bytes, *, path: str) -> None:
    try:
        from pyrunc.init.digest import SHA256
    except ImportError:
        raise HostError(f"no digest is recorded for {path}", hint="build it with `make`") from None
    if _sha256(image) != SHA256:
        raise HostError(
            f"{path} is not the init program of this build: its SHA-256 differs",
            hint="install pyrunc again, or build it with `make`",
        )


def _sha256(data: bytes) -> str:
    # CPython's own implementation is enough for 64 KB; hashlib would load OpenSSL (some 5 ms).
    try:
        from _sha256 import sha256  # type: ignore[import-not-found]
    except ImportError:
        from hashlib import sha256
    digest: str = sha256(data).hexdigest()
    return digest
