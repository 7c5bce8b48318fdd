# SPDX-License-Identifier: Apache-2.0
"""Ways into a JSON document that may be anything: pointers, objects and arrays. PURE.

A document of a caller's is not looked at before a container is made of it; a step that meets
something of another kind than it needs is a UsageError with the pointer.
"""

from __future__ import annotations

from pyrunc.errors import UsageError
from pyrunc.library.arguments import quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def parts_of(pointer: str) -> list[str]:
    """Split a JSON pointer."""
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def child(value: Any, part: str) -> tuple[Any] | None:
    """Return the member of an object or an array, or None where there is none."""
    if isinstance(value, dict) and part in value:
        return (value[part],)
    at = index_of(part)
    if isinstance(value, list) and at is not None and at < len(value):
        return (value[at],)
    return None


def index_of(part: str) -> int | None:
    """Return the number of an element; None for what is no number as RFC 6901 has them."""
    plain = part.isascii() and part.isdigit() and (part == "0" or part[0] != "0")
    return int(part) if plain and len(part) < 10 else None


def members(document: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return the object at a place to be changed; what is absent or null on the way is made."""
    place: Any = document
    for depth, name in enumerate(names, 1):
        if place.get(name) is None:
            place[name] = {}
        place = place[name]
        if not isinstance(place, dict):
            raise _other_kind("/" + "/".join(names[:depth]), place, "an object")
    return place  # type: ignore[no-any-return]


def rows(document: dict[str, Any], *names: str, kind: type) -> list[Any]:
    """Return the array at a place to be changed, whose elements are of a kind."""
    *above, last = names
    place = members(document, *above)
    if place.get(last) is None:
        place[last] = []
    value = place[last]
    if not isinstance(value, list) or not all(isinstance(row, kind) for row in value):
        words = "an array of objects" if kind is dict else "an array of texts"
        raise _other_kind("/" + "/".join(names), value, words)
    return value


def replace(document: dict[str, Any], pointer: str, value: Any) -> None:
    """Put a value at a pointer; objects on the way are made, "-" is the end of an array."""
    *parents, last = parts_of(pointer)
    place: Any = document
    for part in parents:
        if isinstance(place, dict) and place.get(part) is None:
            place[part] = {}
        inner = child(place, part)
        if inner is None:
            raise no_place(pointer, place)
        (place,) = inner
    if isinstance(place, dict):
        place[last] = value
    elif isinstance(place, list) and last in ("-", str(len(place))):
        place.append(value)
    elif child(place, last) is not None:
        place[int(last)] = value
    else:
        raise no_place(pointer, place)


def no_place(pointer: str, above: Any) -> UsageError:
    return UsageError(
        f"{pointer}: there is no such place below {quoted(above)}: an object has names, an array "
        "numbers up to its length, and nothing else has members",
        pointer=pointer,
        value=quoted(above),
    )


def _other_kind(pointer: str, value: Any, words: str) -> UsageError:
    return UsageError(
        f"{pointer} {quoted(value)}: it must be {words}", pointer=pointer, value=quoted(value)
    )
