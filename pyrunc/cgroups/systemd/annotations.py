# SPDX-License-Identifier: Apache-2.0
"""PURE: unit properties that annotations give (`org.systemd.property.X`), in GVariant text.

A name that ends in Sec is a time in seconds and becomes the ...USec that D-Bus knows.
"""

from __future__ import annotations

from pyrunc.errors import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Property = tuple[str, tuple[str, Any]]

PREFIX = "org.systemd.property."
# What the driver itself decides: placement, membership and access may not come from an annotation.
RESERVED = frozenset(["Slice", "Wants", "PIDs", "Delegate", "DevicePolicy", "DeviceAllow"])
USEC = 1_000_000


def properties(annotations: Mapping[str, str]) -> list[Property]:
    """Return the properties in the order of their names."""
    added = []
    for key in sorted(annotations):
        if key.startswith(PREFIX):
            pointer = f"/annotations/{key}"
            name = key.removeprefix(PREFIX)
            if len(name) < 3 or not (name.isascii() and name.isalpha()):
                raise Failure(
                    f"annotation {key[:120]!r} names no unit property: letters only, at least 3",
                    pointer=pointer,
                )
            if name in RESERVED:
                raise Failure(
                    f"annotation {key!r} cannot set {name}: the systemd driver sets it itself",
                    pointer=pointer,
                )
            added.append(_in_microseconds(name, _parse(annotations[key], pointer), pointer))
    return added


def _parse(text: str, pointer: str) -> tuple[str, Any]:
    from pyrunc.cgroups.systemd import gvariant

    return gvariant.parse(text, pointer=pointer)


def _in_microseconds(name: str, value: tuple[str, Any], pointer: str) -> Property:
    signature, content = value
    if not name.endswith("Sec") or name.endswith(("USec", "NSec")):
        return name, value
    if signature not in "dynqiuxt" or content < 0 or content * USEC >= 2**64:
        raise Failure(f"{name} must be a number of seconds", pointer=pointer)
    return f"{name.removesuffix('Sec')}USec", ("t", int(content * USEC))
