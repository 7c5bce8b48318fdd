# SPDX-License-Identifier: Apache-2.0
"""PURE: unit properties that annotations give (`org.systemd.property.X`), in GVariant text.

The subset that engines and people use: booleans, numbers with or without a type, strings, arrays of
strings. A name that ends in Sec is a time in seconds and becomes the ...USec that D-Bus knows.
"""

from __future__ import annotations

from pyrunc.errors import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Property = tuple[str, tuple[str, Any]]

PREFIX = "org.systemd.property."
NUMBERS = {
    "byte": ("y", 0, 2**8 - 1),
    "int16": ("n", -(2**15), 2**15 - 1),
    "uint16": ("q", 0, 2**16 - 1),
    "int32": ("i", -(2**31), 2**31 - 1),
    "uint32": ("u", 0, 2**32 - 1),
    "int64": ("x", -(2**63), 2**63 - 1),
    "uint64": ("t", 0, 2**64 - 1),
}
# What the driver itself decides: placement, membership and access may not come from an annotation.
RESERVED = frozenset(
    ["Slice", "Wants", "PIDs", "Delegate", "DevicePolicy", "DeviceAllow", "DefaultDependencies"]
)
USEC = 1_000_000


def properties(annotations: Mapping[str, str]) -> list[Property]:
    """Return the properties in the order of their names."""
    found = []
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
            found.append(_in_microseconds(name, parse(annotations[key], pointer=pointer), pointer))
    return found


def _in_microseconds(name: str, value: tuple[str, Any], pointer: str) -> Property:
    signature, content = value
    if not name.endswith("Sec") or name.endswith(("USec", "NSec")):
        return name, value
    if signature not in "dynqiuxt" or content < 0 or content * USEC >= 2**64:
        raise Failure(f"{name} must be a number of seconds", pointer=pointer)
    return f"{name.removesuffix('Sec')}USec", ("t", int(content * USEC))


def parse(text: str, *, pointer: str) -> tuple[str, Any]:
    """GVariant text -> (signature, value)."""
    stripped = text.strip()
    if stripped in ("true", "false"):
        return "b", stripped == "true"
    if stripped[:1] in ("'", '"'):
        return "s", _string(stripped, pointer)
    if stripped.startswith("[") and stripped.endswith("]"):
        return "as", [_string(item.strip(), pointer) for item in _items(stripped[1:-1])]
    kind, _, number = stripped.rpartition(" ")
    return _number(kind.strip() or "", number, pointer)


def _number(kind: str, text: str, pointer: str) -> tuple[str, Any]:
    plain = text.removeprefix("-")
    if kind in ("", "double") and plain.replace(".", "", 1).isdecimal() and (kind or "." in plain):
        return "d", float(text)
    signature, low, high = NUMBERS.get(kind or "int32", ("", 0, 0))
    if signature and plain.isdecimal() and plain.isascii() and len(plain) <= 20:
        value = int(text)
        if low <= value <= high:
            return signature, value
    raise Failure(
        f"{(kind + ' ' + text).strip()[:120]!r} is not a GVariant value",
        pointer=pointer,
        hint="write true, 15, uint64 5000000, 'text' or ['a', 'b']",
    )


def _string(text: str, pointer: str) -> str:
    quote = text[:1]
    if quote not in ("'", '"') or len(text) < 2 or not text.endswith(quote):
        raise Failure(f"{text[:120]!r} is not a GVariant string", pointer=pointer)
    result = []
    letters = iter(text[1:-1])
    for letter in letters:
        if letter == quote:
            raise Failure(f"{text[:120]!r} is not a GVariant string", pointer=pointer)
        if letter == "\\":
            letter = next(letters, "\\")
            letter = {"n": "\n", "t": "\t"}.get(letter, letter)
        result.append(letter)
    return "".join(result)


def _items(text: str) -> list[str]:
    """Split at commas that are in no string."""
    items: list[str] = []
    current = ""
    quote = ""
    escaped = False
    for letter in text:
        if letter == "," and not quote:
            items.append(current)
            current = ""
            continue
        if escaped:
            escaped = False
        elif letter == "\\":
            escaped = True
        elif quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        current += letter
    return [*items, current] if current.strip() else items
