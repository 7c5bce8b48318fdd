# SPDX-License-Identifier: Apache-2.0
"""Which criu is run, and which files and directories may be trusted to steer it."""

from __future__ import annotations

import os
import stat
from errno import EACCES, ENOENT

from pyrunc.errors import HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

NAME: Final = "criu"
USUAL_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
INSTALL: Final = "install CRIU (the package criu), or put its directory into PATH"


def search_path() -> str:
    """$PATH; engines call some commands without one."""
    return os.environ.get("PATH") or USUAL_PATH


def find() -> str:
    """Find criu; HostError when there is none, or none that is safe to run."""
    for directory in search_path().split(":"):
        path = f"{directory}/{NAME}"
        if directory.startswith("/") and os.path.isfile(path) and os.access(path, os.X_OK):
            path = os.path.realpath(path)
            check_trusted(path, noun="the program criu")
            return path
    raise HostError(
        f'CRIU is not installed: "{NAME}": executable file not found in $PATH',
        hint=INSTALL,
    )


def available() -> bool:
    """Whether `checkpoint` and `restore` find a criu; it is not run."""
    try:
        find()
    except HostError:
        return False
    return True


def environment() -> list[bytes]:
    """Return criu's environment: where tar, ip and iptables are, and variables meant for criu."""
    kept = [b"PATH=" + os.fsencode(search_path())]
    for name, value in os.environb.items():
        if name.startswith(b"CRIU_"):
            kept.append(name + b"=" + value)
    return kept


def check_trusted(path: str, *, noun: str, pointer: str = "") -> None:
    """Check that nobody but root could replace a file that root acts upon."""
    for place in (path, os.path.dirname(path)):
        try:
            facts = os.stat(place)
        except OSError as error:
            raise HostError(
                f"cannot find {noun}: {place}", errno=error.errno or ENOENT, pointer=pointer
            ) from None
        sticky = stat.S_ISDIR(facts.st_mode) and facts.st_mode & stat.S_ISVTX
        if facts.st_uid not in (0, os.geteuid()) or (facts.st_mode & 0o022 and not sticky):
            raise HostError(
                f"{noun} is not safe to use: {place} can be changed by others "
                f"(owner {facts.st_uid}, mode {stat.S_IMODE(facts.st_mode):o})",
                errno=EACCES,
                pointer=pointer,
                hint=f"chown root {place} and chmod go-w {place}",
            )
