# SPDX-License-Identifier: Apache-2.0
"""JSON texts of our own: state files, hook input, output of commands.

(config.json is read by spec/, strictly.)

The library's `json` package costs 10 ms to import, most of it for `re`; its C scanner alone costs
0.3 ms and is all that reading needs.
"""

from __future__ import annotations

from pyrunc.log import quote_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class _Context:
    """What the C scanner asks for: plain types, and numbers as Python reads them."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float
    encoding = "utf-8"  # simplejson
    array_hook = None  # simplejson

    def __init__(self) -> None:
        self.memo: dict[str, str] = {}


def decode(text: str) -> Any:
    """The value of a JSON text; ValueError when it is none."""
    text = text.strip(" \t\n\r")
    try:
        value, end = _make_scanner()(_Context())(text, 0)
    except StopIteration as stop:
        raise ValueError(f"no JSON value at character {stop.value}") from None
    except SystemError:
        # The scanner words its errors with the package `json`, and fails at that when it is not
        # there.
        raise ValueError("not a JSON text") from None
    if end != len(text):
        raise ValueError(f"more text after the JSON value, at character {end}")
    return value


def _make_scanner() -> Any:
    try:
        return __import__("_json").make_scanner
    except ImportError:  # the launcher links simplejson's scanner in
        return __import__("simplejson._speedups", None, None, ("make_scanner",)).make_scanner


def encode(value: Any, *, indent: int | str = 0) -> str:
    """A JSON text of ASCII characters; with `indent`, one member a line."""
    if isinstance(indent, int):
        indent = " " * indent
    return _encode(value, indent, "\n" if indent else "")


def _encode(value: Any, indent: str, newline: str) -> str:
    if isinstance(value, str):
        return quote(value)
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, (int, float)):
        return repr(value)
    inner = newline + indent
    colon = ": " if indent else ":"
    if isinstance(value, dict):
        items = [
            f"{quote(str(key))}{colon}{_encode(item, indent, inner)}" for key, item in value.items()
        ]
        ends = "{}"
    elif isinstance(value, (list, tuple)):
        items = [_encode(item, indent, inner) for item in value]
        ends = "[]"
    else:
        raise TypeError(f"{type(value).__name__} has no JSON form")
    if not items:
        return ends
    return ends[0] + inner + ("," + inner).join(items) + newline + ends[1]


def quote(text: str) -> str:
    """A JSON string."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return quote_json(text)
