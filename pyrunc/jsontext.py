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
    """Decode a JSON text; ValueError when it is none."""
    text = text.strip(" \t\n\r")
    try:
        value, end = _speedups().make_scanner(_Context())(text, 0)
    except StopIteration as stop:
        raise ValueError(f"no JSON value at character {stop.value}") from None
    except SystemError:
        # The scanner words its errors with the package `json`, and fails at that when it is not
        # there.
        raise ValueError("not a JSON text") from None
    if end != len(text):
        raise ValueError(f"more text after the JSON value, at character {end}")
    return value


_module: Any = None


def _speedups() -> Any:
    """Return the C module, looked for once: a search that fails asks every importer."""
    global _module
    if _module is None:
        try:
            _module = __import__("_json")
        except ImportError:  # the launcher links simplejson's in
            _module = __import__("simplejson._speedups", None, None, ("make_encoder",))
    return _module


def encode(value: Any, *, indent: int | str = 0) -> str:
    """Encode a value as ASCII characters; with `indent`, one member a line."""
    if not indent:
        return "".join(_encoder()(value, 0))
    if isinstance(indent, int):
        indent = " " * indent
    return _encode(value, indent, "\n")


# What only simplejson's encoder takes: use_decimal, namedtuple_as_object, tuple_as_array,
# int_as_string_bitcount, item_sort_key, encoding, for_json, ignore_nan, Decimal, iterable_as_array
_SIMPLEJSON = (False, False, True, None, None, None, False, False, None, False)


def _encoder() -> Any:
    """Return the C encoder, which knows no indentation: texts for people are made below."""
    speedups = _speedups()
    quoted = speedups.encode_basestring_ascii
    more: tuple[object, ...] = ()
    if speedups.__name__ != "_json":
        more = ({}, *_SIMPLEJSON)  # {}: keys that are quoted already
    return speedups.make_encoder(None, _refuse, quoted, None, ":", ",", False, False, True, *more)


def _refuse(value: object) -> Any:
    raise TypeError(f"{type(value).__name__} has no JSON form")


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
    if isinstance(value, dict):
        items = [
            f"{quote(str(key))}: {_encode(item, indent, inner)}" for key, item in value.items()
        ]
        ends = "{}"
    elif isinstance(value, (list, tuple)):
        items = [_encode(item, indent, inner) for item in value]
        ends = "[]"
    else:
        _refuse(value)
    if not items:
        return ends
    return ends[0] + inner + ("," + inner).join(items) + newline + ends[1]


def quote(text: str) -> str:
    """Return a text as a JSON string."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return quote_json(text)
