# SPDX-License-Identifier: Apache-2.0
"""PURE: the names that a configuration may bring into the cgroup file systems (CG-2, CG-3).

Everything here refuses rather than cleans: a path that needs cleaning is one that somebody did not
mean.
"""

from __future__ import annotations

from pyrunc.errors import Failure
from pyrunc.spec.limits import MAX_CGROUP_DEPTH

MAX_PATH = 4096
TRIAL = "pyrunc-check"  # .PID.START: a cgroup that `check` has made, and its thread
MAX_FILE = 64
MAX_COMPONENT = 255

# Sizes of huge pages are in upper case: hugetlb.2MB.max.
FILE_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.")


def _bad(noun: str, value: str, why: str, pointer: str) -> Failure:
    return Failure(f"{noun} {value[:120]!r} is not valid: {why}", pointer=pointer)


def components(path: str, *, pointer: str, noun: str = "cgroup path") -> tuple[str, ...]:
    """Return the components of a cgroup path; a leading slash is allowed."""
    if len(path.encode("utf-8", "surrogateescape")) > MAX_PATH:
        raise _bad(noun, path, f"longer than {MAX_PATH} bytes", pointer)
    parts = tuple(path.removeprefix("/").split("/")) if path.strip("/") else ()
    if len(parts) > MAX_CGROUP_DEPTH:
        raise _bad(noun, path, f"deeper than {MAX_CGROUP_DEPTH} levels", pointer)
    for part in parts:
        if part in ("", ".", ".."):
            raise _bad(noun, path, f"a component is {part!r}", pointer)
        if any(ord(letter) < 32 or ord(letter) == 127 for letter in part):
            raise _bad(noun, path, "it has a control character", pointer)
        if len(part.encode("utf-8", "surrogateescape")) > MAX_COMPONENT:
            raise _bad(noun, path, f"a component is longer than {MAX_COMPONENT} bytes", pointer)
    return parts


def trial(pid: int, start_time: int) -> str:
    """Return the name of the cgroup in which a thread tries limits."""
    return f"{TRIAL}.{pid}.{start_time}"


def trial_of(name: str) -> tuple[int, int] | None:
    """Return the pid and the start time in the name of a trial; None: it is no such name."""
    head, *rest = name.split(".")
    if head != TRIAL or len(rest) != 2 or not all(one.isdecimal() for one in rest):
        return None
    return (int(rest[0]), int(rest[1])) if max(map(len, rest)) < 20 else None


def cgroups_path(path: str, *, pointer: str = "/linux/cgroupsPath") -> tuple[str, ...]:
    parts = components(path, pointer=pointer, noun="cgroupsPath")
    if not parts:
        raise _bad("cgroupsPath", path, "it names the root of the hierarchy", pointer)
    return parts


def sub_path(path: str, *, pointer: str = "") -> tuple[str, ...]:
    """Return a path beneath the container's cgroup (exec --cgroup); empty for "/" and ""."""
    return components(path, pointer=pointer, noun="sub-cgroup")


def control_file(name: str, *, pointer: str) -> str:
    """Check the configured name of a control file: one component, `controller.parameter`."""
    if not 0 < len(name) <= MAX_FILE or not FILE_CHARACTERS.issuperset(name):
        raise _bad("control file", name, "it must be [A-Za-z0-9_.]{1,64}", pointer)
    controller, dot, rest = name.partition(".")
    wrong = not dot or not controller or not rest or rest.startswith(".") or ".." in name
    if wrong or controller != controller.lower():
        raise _bad("control file", name, "it must look like controller.parameter", pointer)
    return name
