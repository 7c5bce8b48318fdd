# SPDX-License-Identifier: Apache-2.0
"""PURE: names of systemd units for a container (CG-6): `slice:prefix:name`, slices, paths."""

from __future__ import annotations

from pyrunc.errors import Failure

POINTER = "/linux/cgroupsPath"
UNIT_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@")
MAX_UNIT = 255
PREFIX = "pyrunc"
ROOT_SLICE = "-.slice"


class Unit:
    """The unit that stands for the container, and the slice that it is in."""

    __slots__ = ("name", "slice")

    def __init__(self, name: str, slice_name: str) -> None:
        self.name = name
        self.slice = slice_name

    @property
    def is_slice(self) -> bool:
        return self.name.endswith(".slice")

    def parts(self) -> tuple[str, ...]:
        """Return the cgroup below the manager's own, as components."""
        if self.is_slice:
            return expand_slice(self.name)
        return (*expand_slice(self.slice), self.name)


def _bad(value: str, why: str) -> Failure:
    return Failure(f"cgroupsPath {value[:120]!r} is not valid: {why}", pointer=POINTER)


def escape(name: str) -> str:
    """Escape what systemd does not allow in a unit name, as \\xNN; engines' names never need it."""
    return "".join(
        letter
        if letter in UNIT_CHARACTERS
        else "".join(f"\\x{byte:02x}" for byte in letter.encode("utf-8", "surrogateescape"))
        for letter in name
    )


def parse(cgroups_path: str | None, *, container_id: str, rootless: bool) -> Unit:
    """`slice:prefix:name`, or the defaults when there is no path."""
    default = "user.slice" if rootless else "system.slice"
    if not cgroups_path:
        return _unit(default, PREFIX, container_id, shown="")
    parts = cgroups_path.split(":")
    if len(parts) != 3:
        raise Failure(
            f"cgroupsPath {cgroups_path[:120]!r} is not valid:"
            " the systemd driver expects slice:prefix:name",
            pointer=POINTER,
            hint="for a path use --cgroup-manager=cgroupfs",
        )
    slice_name, prefix, name = parts
    return _unit(slice_name or default, prefix, name, shown=cgroups_path)


def _unit(slice_name: str, prefix: str, name: str, *, shown: str) -> Unit:
    if not prefix and not name:
        raise _bad(shown, "prefix and name are empty")
    if slice_name == "-":
        slice_name = ROOT_SLICE
    check_slice(slice_name)
    if name.endswith(".slice"):
        check_slice(name)
        return Unit(name, slice_name)
    # As the other runtimes name it, also when one of the two is empty: engines know the name.
    unit = f"{escape(prefix)}-{escape(name)}.scope"
    if len(unit) > MAX_UNIT:
        raise _bad(shown, f"the unit's name is longer than {MAX_UNIT} bytes")
    return Unit(unit, slice_name)


def check_slice(name: str) -> None:
    """Check that no parent of a slice, which the dashes separate, is empty."""
    stem = name.removesuffix(".slice")
    if not name.endswith(".slice") or len(name) > MAX_UNIT:
        raise _bad(name, "a slice ends in .slice")
    if not UNIT_CHARACTERS.issuperset(stem) or "/" in stem:
        raise _bad(name, "a slice's name has a character that systemd does not allow")
    if name != ROOT_SLICE and (not stem or "" in stem.split("-")):
        raise _bad(name, "a part between the dashes of the slice is empty")


def expand_slice(name: str) -> tuple[str, ...]:
    """a-b.slice -> a.slice, a-b.slice; the root slice is nothing."""
    if name == ROOT_SLICE:
        return ()
    parts = name.removesuffix(".slice").split("-")
    return tuple("-".join(parts[: depth + 1]) + ".slice" for depth in range(len(parts)))


def object_path(unit: str) -> str:
    """Return the D-Bus object of a unit."""
    escaped = "".join(
        letter
        if letter.isascii() and (letter.isalpha() or (letter.isdecimal() and index))
        else "".join(f"_{byte:02x}" for byte in letter.encode())
        for index, letter in enumerate(unit)
    )
    return f"/org/freedesktop/systemd1/unit/{escaped}"
