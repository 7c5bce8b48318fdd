# SPDX-License-Identifier: Apache-2.0
"""--policy FILE.py: policies from a file, applied before anything is planned.

The file defines `policy(spec, host)`, or a list POLICIES of such functions; `Spec` and `Refusal`
are names in it. It is code that runs with the rights of the caller, so root loads only what nobody
but root can change: the file, each directory above it, and each link that leads there.
"""

from __future__ import annotations

import errno
import os
import stat

from pyrunc.errors import Failure, UsageError
from pyrunc.host import facts
from pyrunc.library import policies
from pyrunc.library.spec import Spec
from pyrunc.spec.load import read_named

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.library.policies import Change, Policy

MAX_LINKS = 40  # as the kernel
GROUP_OR_OTHERS = stat.S_IWGRP | stat.S_IWOTH


class Transform:
    """Changes the bytes of a configuration as the policies say; `changes` tells what they did."""

    __slots__ = ("_policies", "changes")

    def __init__(self, paths: Sequence[str]) -> None:
        self._policies: list[Policy] = [one for path in paths for one in load(path)]
        self.changes: list[Change] = []

    def __call__(self, data: bytes) -> bytes:
        spec, self.changes = policies.apply(self._policies, Spec.parse(data), facts.probe())
        return spec.json().encode("utf-8", "surrogateescape") if self.changes else data


def load(path: str) -> list[Policy]:
    """Return the policies of a file; Failure when it is not trustworthy or has none."""
    real = trusted(path) if os.geteuid() == 0 else os.path.realpath(path)
    data, _source = read_named(real)
    names: dict[str, object] = {"__name__": "policy", "Spec": Spec, "Refusal": policies.Refusal}
    try:
        exec(compile(data, real, "exec"), names)
    except (Exception, SystemExit) as error:  # its exit is not that of the command
        raise Failure(f"cannot load the policy {path}: {type(error).__name__}: {error}") from error
    declared = names.get("POLICIES", [names["policy"]] if "policy" in names else [])
    if not isinstance(declared, list | tuple) or not declared or not all(map(callable, declared)):
        raise UsageError(
            f"--policy {path}: it defines no function `policy` and no list POLICIES of functions"
        )
    return list(declared)


def trusted(path: str) -> str:
    """Return the path without links; Failure when somebody but root can change what it names.

    Every directory and every link on the way is looked at: who can move a link chooses the file.
    """
    place, left, links = "/", os.path.abspath(path).split("/")[1:], 0
    _check_trust(path, place)
    while left:
        step = left.pop(0)
        if step in ("", "."):
            continue
        place = os.path.dirname(place) if step == ".." else os.path.join(place, step)
        if not _check_trust(path, place):
            continue
        links += 1
        if links > MAX_LINKS:
            raise Failure(f"cannot load the policy {path}", errno=errno.ELOOP)
        target = os.readlink(place)
        place = "/" if target.startswith("/") else os.path.dirname(place)
        left[:0] = target.split("/")
    return place


def _check_trust(path: str, place: str) -> bool:
    """Refuse what somebody but root can change; returns whether it is a link."""
    try:
        status = os.lstat(place)
    except OSError as error:
        raise Failure(f"cannot load the policy {path}", errno=error.errno or 0) from None
    link = stat.S_ISLNK(status.st_mode)  # its mode means nothing
    shared = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
    if status.st_uid != 0 or (status.st_mode & GROUP_OR_OTHERS and not shared and not link):
        raise Failure(
            f"cannot load the policy {path}: others than root can change {place}",
            hint="it is code that runs as root: give it, and all directories above, to root",
        )
    return link
