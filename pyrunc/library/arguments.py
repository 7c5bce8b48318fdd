# SPDX-License-Identifier: Apache-2.0
"""What a value that a caller gives can be: texts, numbers, paths, sizes, JSON pointers. PURE.

Types are asked for by what they can do, as the annotations of the library say it: a `Sequence` is
no text, a `Mapping` has keys, a number is no truth value.
"""

from __future__ import annotations

from pyrunc.errors import MAX_VALUE, UsageError, shorten
from pyrunc.spec.signals import SIGRTMAX, signal_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Final

    Kind = tuple[Callable[[Any], bool], str]  # whether a value is allowed; what is, in words

UNITS: Final = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
MOST_BYTES: Final = (1 << 63) - 1
LONGEST_SIZE: Final = 64  # characters of a size
MOST_ID: Final = (1 << 32) - 2  # the last number is "none"


def is_text(value: object) -> bool:
    """Whether the kernel takes it for a word: no NUL, and it can be encoded."""
    if not isinstance(value, str) or "\0" in value:
        return False
    try:
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def is_path(value: object) -> bool:
    path = value if isinstance(value, str) else getattr(value, "__fspath__", str)()
    return is_text(path) and path != ""


def is_mapping(value: object) -> bool:
    return hasattr(value, "keys") and hasattr(type(value), "__getitem__")


def is_sequence(value: object) -> bool:
    if isinstance(value, str | bytes | bytearray | memoryview) or is_mapping(value):
        return False
    return hasattr(type(value), "__getitem__") and hasattr(type(value), "__len__")


def is_bytes(value: object) -> bool:
    return isinstance(value, bytes | bytearray | memoryview)


def is_flag(value: object) -> bool:
    return isinstance(value, bool)


def is_number(value: object) -> bool:
    """Whether it is a number, infinity too, but not NaN."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def is_signal(value: object) -> bool:
    if isinstance(value, str):
        return signal_number(value) is not None
    return whole(0, SIGRTMAX)(value)


def is_user(value: object) -> bool:
    if isinstance(value, tuple):
        return len(value) == 2 and all(map(whole(0, MOST_ID), value))
    return whole(0, MOST_ID)(value)


def is_absolute(value: object) -> bool:
    return is_text(value) and str(value).startswith("/")


def is_pointer(value: object) -> bool:
    """Whether it is a JSON pointer (RFC 6901); the empty one is the whole document."""
    if not isinstance(value, str) or (value and not value.startswith("/")):
        return False
    return all(part[:1] in ("0", "1") for part in value.split("~")[1:])


def is_variable(value: object) -> bool:
    return is_text(value) and value != "" and "=" not in str(value)


def is_stream(value: object) -> bool:
    return value is None or whole(-3, MOST_ID)(value) or hasattr(value, "fileno")


def whole(least: int, most: int) -> Callable[[object], bool]:
    def inside(value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most

    return inside


def or_none(kind: Kind) -> Kind:
    inner, allowed = kind
    return (lambda value: value is None or inner(value)), f"{allowed}, or None"


def each(item: Callable[[Any], bool]) -> Callable[[object], bool]:
    """Whether it is a sequence of such items; a text is none."""

    def inside(value: Any) -> bool:
        return is_sequence(value) and all(item(value[at]) for at in range(len(value)))

    return inside


def pairs(name: Callable[[Any], bool], item: Callable[[Any], bool]) -> Callable[[object], bool]:
    """Whether it is a mapping of such names to such items."""

    def inside(value: Any) -> bool:
        return is_mapping(value) and all(name(key) and item(value[key]) for key in value.keys())  # noqa: SIM118 (all that dict() needs)

    return inside


def of_class(name: str) -> Callable[[object], bool]:
    """Whether it is an object of a class of the library's, which this module does not import."""

    def inside(value: object) -> bool:
        kinds = (kind for kind in type(value).__mro__ if kind.__name__ == name)
        return any(kind.__module__.startswith("pyrunc.") for kind in kinds)

    return inside


def is_size(value: Any) -> bool:
    """Whether `bytes_of` takes it."""
    try:
        bytes_of(value)
    except UsageError:
        return False
    return True


def quoted(value: object) -> str:
    """Return a bounded repr, also of what has none of its own or is large."""
    if isinstance(value, str | bytes) and len(value) > MAX_VALUE:
        return f"{value[:MAX_VALUE]!r}… ({len(value)} characters)"
    try:
        return shorten(value)
    except Exception:  # it is an object of the caller's, or nested without an end
        return f"<{type(value).__name__}>"


def bytes_of(size: int | str) -> int:
    """Return a number of bytes, given as one or as a text such as 64m, 1.5g, 100kb, 1GiB."""
    number = _parsed(size) if isinstance(size, str) else size
    if number is None or not whole(-MOST_BYTES, MOST_BYTES)(number):
        raise UsageError(
            f"{quoted(size)} is no size: use a number of bytes, or a text such as 64m",
            value=quoted(size),
        )
    return number


def is_room(value: Any) -> bool:
    """Whether it is a size of something: 0 would be no limit for a tmpfs."""
    return is_size(value) and bytes_of(value) > 0


def _parsed(size: str) -> int | None:
    if not size.isascii() or len(size) > LONGEST_SIZE:
        return None
    text = size.strip().lower().removesuffix("b").removesuffix("i")
    unit = text[-1:] if text[-1:].isalpha() else ""
    digits = text.removesuffix(unit).rstrip() if unit else text
    if unit not in UNITS or not digits.replace(".", "", 1).isdigit():
        return None
    return int(float(digits) * UNITS[unit])


def words(args: Sequence[str]) -> list[str]:
    """Return a program with its arguments; UsageError for a single text, which is no list."""
    if not each(is_text)(args) or not args:
        raise UsageError(
            f"args {quoted(args)}: a program and its arguments, such as ['ls', '-l']",
            value=quoted(args),
        )
    return list(args)


def between(name: str, limit: int | float, least: int | float, most: int) -> Any:
    """Refuse what the kernel or the specification takes for no limit at all, or cannot count."""
    if not least <= limit <= most:
        message = f"{name} {limit}: at least {least:g}, at most {most}; None is no limit"
        raise UsageError(message, value=str(limit))
    return limit
