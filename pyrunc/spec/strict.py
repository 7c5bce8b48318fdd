# SPDX-License-Identifier: Apache-2.0
"""Strict, bounded JSON, for `config.json`, `--process`, `--resources` and `state.json`.

Stricter than RFC 8259 where parsers are known to disagree or where a value could not reach the
kernel unchanged: duplicate keys, NUL, lone surrogates, NaN and Infinity, overlong numbers and
overdeep nesting are refused. Lengths are bounded before anything is converted.

The work is done by whichever C scanner is there: the standard library's `_json`, or simplejson's
`_speedups` where the interpreter has no `_json` (a static launcher). Both are driven directly: the
packages `json` and `simplejson` cost 11 ms of imports. A file of 45 KB takes 0.2 ms with either
and twenty times that without; half of it is the measure before and the look at the keys.

Only a text that is wrong, or that may be, is read again by `pyrunc.spec.locate`, which finds
the line, the column and the pointer.

PURE.
"""

from __future__ import annotations

from pyrunc.errors import ConfigErrors, Problem
from pyrunc.spec.limits import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_DIGITS,
    MAX_FLOAT,
    MAX_NODES,
    WHITESPACE,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Scanner = Callable[[str, int], tuple[Any, int]]

# For the depth: every bracket becomes a brace, and everything else but quotes goes.
_FOLD = bytes.maketrans(b"[]", b"{}")
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b'[]{}"')


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate key")
    return members


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError("too many digits")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits) if len(digits) <= MAX_FLOAT else float("inf")
    if value - value != 0:
        raise ValueError("not a finite number")
    return value


def _constant(name: str) -> None:
    raise ValueError(name)


class _Context:
    """The options that both scanners read from their context."""

    strict = True
    encoding = None  # simplejson
    array_hook = None  # simplejson
    object_hook = None
    object_pairs_hook = staticmethod(_object)
    parse_int = staticmethod(_integer)
    parse_float = staticmethod(_float)
    parse_constant = staticmethod(_constant)


_scanner: Scanner | None = None


def scanner() -> Scanner:
    """Return the fastest scanner of this interpreter: a C one, else that of `locate`."""
    global _scanner
    if _scanner is None:
        _scanner = choose_scanner(("_json", "simplejson._speedups", "_speedups"))
    return _scanner


def choose_scanner(names: tuple[str, ...]) -> Scanner:
    for name in names:
        try:
            module = __import__(name, None, None, ("make_scanner",))
        except ImportError:
            continue
        scan: Scanner = module.make_scanner(_Context)
        return scan
    from pyrunc.spec.locate import scan_once

    return scan_once


def depth(data: bytes) -> int:
    """How deep arrays and objects nest, without recursion (exact for valid JSON).

    One round removes the innermost containers, so the rounds count the depth.
    """
    braces = _outside_strings(_unescaped(data).translate(_FOLD, _NOT_BRACKETS))
    rounds = 0
    while braces and rounds <= MAX_DEPTH:
        braces = braces.replace(b"{}", b"")
        rounds += 1
    return rounds


def nodes(data: bytes) -> int:
    """Return an upper bound of the number of values, without reading them."""
    if len(data) < MAX_NODES:  # a value and what separates it from the next take two bytes
        return len(data)
    outside = _outside_strings(_unescaped(data))
    return outside.count(b",") + outside.count(b"{") + outside.count(b"[") + 1


def _unescaped(data: bytes) -> bytes:
    """Without escaped quotes, which do not end a string."""
    return data.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in data else data


def _outside_strings(data: bytes) -> bytes:
    # Two quotes with nothing between them are an empty string, or the end of one and the start of
    # the next. Without them, what is inside stays inside, and little is left to split.
    data = data.replace(b'""', b"")
    return b"".join(data.split(b'"')[::2]) if b'"' in data else data


def decode(data: bytes, *, source: str = "config.json") -> Any:
    """Return the value of a JSON text, or ConfigErrors that say where it is wrong."""
    if len(data) > MAX_BYTES:
        raise _refusal(source, f"{len(data)} bytes are too many", allowed=f"at most {MAX_BYTES}")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise _refusal(source, f"line {line}, column {column}: not valid UTF-8") from None
    if nodes(data) > MAX_NODES:
        raise _refusal(source, "too many values", allowed=f"at most {MAX_NODES}")
    if depth(data) > MAX_DEPTH:
        _explain(text, source)  # or brackets that do not match, which the scanner refuses
    start = len(text) - len(text.lstrip(WHITESPACE))
    try:
        value, end = scanner()(text, start)
    except (ValueError, StopIteration, RecursionError, SystemError, ImportError):
        # The scanners word their errors with their packages. `_json` looks json.decoder up among
        # the loaded modules (SystemError when it is not there) or imports it: versions differ.
        _explain(text, source)
        raise _refusal(source, "not valid JSON") from None
    if text[end:].strip(WHITESPACE) or _may_be_unsafe(text):
        _explain(text, source)
    return value


def _may_be_unsafe(text: str) -> bool:
    """NUL and lone surrogates can only be written as escapes once UTF-8 is valid."""
    return "\\u" in text and ("\\u0000" in text or "\\ud" in text or "\\uD" in text)


def _explain(text: str, source: str) -> None:
    """Read the text slowly; raise where it is wrong, return when it is right after all."""
    from pyrunc.spec.locate import BadJson, check

    try:
        check(text)
    except BadJson as bad:
        problem = bad.problem(text)
    else:
        return
    raise ConfigErrors((problem,), source=source)


def _refusal(source: str, message: str, *, allowed: str = "") -> ConfigErrors:
    return ConfigErrors((Problem("", message, allowed=allowed),), source=source)
