# SPDX-License-Identifier: Apache-2.0
"""The slow JSON reader: finds the line, the column and the pointer of what is wrong in a text.

Read only after the C scanner refused a text, or where no C scanner exists. It refuses exactly what
`pyrunc.spec.strict` refuses. Recursion is bounded by the depth that is allowed.

PURE.
"""

from __future__ import annotations

from pyrunc.errors import Problem, shorten
from pyrunc.spec.limits import MAX_DEPTH, MAX_DIGITS, MAX_FLOAT, WHITESPACE
from pyrunc.spec.problems import join

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ESCAPES = {
    '"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t",
}  # fmt: skip
LITERALS = {"t": ("true", True), "f": ("false", False), "n": ("null", None)}
CONSTANTS = ("NaN", "Infinity", "-Infinity")
DIGITS = "0123456789"


class BadJson(ValueError):
    """What is wrong, where in the text, and below which pointer."""

    def __init__(self, message: str, *, at: int, pointer: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.at = at
        self.pointer = pointer
        self.hint = hint

    def problem(self, text: str) -> Problem:
        line = text.count("\n", 0, self.at) + 1
        column = self.at - text.rfind("\n", 0, self.at)
        message = f"line {line}, column {column}: {self.message}"
        return Problem(self.pointer, message, hint=self.hint)


def check(text: str) -> Any:
    """Return the value of a whole text; BadJson where it is wrong."""
    value, end = scan_once(text, skip(text, 0))
    end = skip(text, end)
    if end != len(text):
        raise BadJson("text after the end of the value", at=end, pointer="")
    return value


def scan_once(text: str, start: int) -> tuple[Any, int]:
    """Has the interface of the C scanners."""
    return _value(text, start, "", 0)


def skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in WHITESPACE:
        at += 1
    return at


def _value(text: str, at: int, pointer: str, depth: int) -> tuple[Any, int]:
    first = text[at : at + 1]
    if first == '"':
        return _string(text, at, pointer)
    if first in ("{", "["):
        if depth == MAX_DEPTH:
            raise BadJson(f"nested deeper than {MAX_DEPTH}", at=at, pointer=pointer)
        read = _object if first == "{" else _array
        return read(text, skip(text, at + 1), pointer, depth + 1)
    if first in LITERALS:
        word, value = LITERALS[first]
        if text.startswith(word, at):
            return value, at + len(word)
    for constant in CONSTANTS:
        if text.startswith(constant, at):
            raise BadJson(f"{constant} is not a JSON number", at=at, pointer=pointer)
    if first == "-" or (first in DIGITS and first):
        return _number(text, at, pointer)
    raise _unexpected(text, at, pointer, "a value")


def _object(text: str, at: int, pointer: str, depth: int) -> tuple[dict[str, Any], int]:
    members: dict[str, Any] = {}
    if text[at : at + 1] == "}":
        return members, at + 1
    while True:
        if text[at : at + 1] != '"':
            raise _unexpected(text, at, pointer, "a property name in double quotes")
        start = at
        name, at = _string(text, at, pointer)
        below = join(pointer, name)
        if name in members:
            raise BadJson(f"duplicate key {shorten(name)}", at=start, pointer=below)
        at = skip(text, at)
        if text[at : at + 1] != ":":
            raise _unexpected(text, at, below, "':'")
        members[name], at = _value(text, skip(text, at + 1), below, depth)
        at = skip(text, at)
        mark = text[at : at + 1]
        if mark == "}":
            return members, at + 1
        if mark != ",":
            raise _unexpected(text, at, below, "',' or '}'")
        at = skip(text, at + 1)


def _array(text: str, at: int, pointer: str, depth: int) -> tuple[list[Any], int]:
    items: list[Any] = []
    if text[at : at + 1] == "]":
        return items, at + 1
    while True:
        below = f"{pointer}/{len(items)}"
        item, at = _value(text, at, below, depth)
        items.append(item)
        at = skip(text, at)
        mark = text[at : at + 1]
        if mark == "]":
            return items, at + 1
        if mark != ",":
            raise _unexpected(text, at, below, "',' or ']'")
        at = skip(text, at + 1)


def _string(text: str, at: int, pointer: str) -> tuple[str, int]:
    parts: list[str] = []
    start, at = at, at + 1
    while True:
        quote = text.find('"', at)
        if quote < 0:
            raise BadJson("a string without end", at=start, pointer=pointer)
        escape = text.find("\\", at, quote)
        end = quote if escape < 0 else escape
        chunk = text[at:end]
        if chunk and min(chunk) < " ":
            offset = next(i for i, char in enumerate(chunk) if char < " ")
            message = f"control character {chunk[offset]!r} in a string: write it as an escape"
            raise BadJson(message, at=at + offset, pointer=pointer)
        parts.append(chunk)
        if escape < 0:
            return "".join(parts), quote + 1
        char, at = _escape(text, escape, pointer)
        parts.append(char)


def _escape(text: str, at: int, pointer: str) -> tuple[str, int]:
    letter = text[at + 1 : at + 2]
    if letter in ESCAPES:
        return ESCAPES[letter], at + 2
    if letter != "u":
        raise BadJson(f"unknown escape '\\{letter}'", at=at, pointer=pointer)
    code, end = _code(text, at, pointer), at + 6
    if code == 0:
        raise BadJson("NUL in a string", at=at, pointer=pointer)
    if 0xD800 <= code < 0xDC00 and text.startswith("\\u", end):
        low = _code(text, end, pointer)
        if 0xDC00 <= low < 0xE000:
            return chr(0x10000 + ((code - 0xD800) << 10) + low - 0xDC00), end + 6
    if 0xD800 <= code < 0xE000:
        raise BadJson("half of a surrogate pair in a string", at=at, pointer=pointer)
    return chr(code), end


def _code(text: str, at: int, pointer: str) -> int:
    digits = text[at + 2 : at + 6]
    if len(digits) == 4 and all(digit in "0123456789abcdefABCDEF" for digit in digits):
        return int(digits, 16)
    raise BadJson("\\u needs four hexadecimal digits", at=at, pointer=pointer)


def _digits(text: str, at: int) -> int:
    """Behind the digits from here, or so far that there are too many."""
    end = min(len(text), at + MAX_FLOAT + 1)
    while at < end and text[at] in DIGITS:
        at += 1
    return at


def _number(text: str, start: int, pointer: str) -> tuple[int | float, int]:
    first = start + (text[start] == "-")
    end = _digits(text, first)
    if end == first:
        raise _unexpected(text, end, pointer, "a digit")
    if text[first] == "0" and end > first + 1:
        raise BadJson("a number with a leading zero", at=start, pointer=pointer)
    whole = end
    if text[end : end + 1] == ".":
        end = _some_digits(text, end + 1, pointer)
    if text[end : end + 1] in ("e", "E"):
        end += 1
        end = _some_digits(text, end + (text[end : end + 1] in ("+", "-")), pointer)
    if end - start > (MAX_DIGITS if end == whole else MAX_FLOAT):
        raise BadJson("a number with too many digits", at=start, pointer=pointer)
    if end == whole:
        return int(text[start:end]), end
    value = float(text[start:end])
    if value - value != 0:
        raise BadJson("a number that is too large", at=start, pointer=pointer)
    return value, end


def _some_digits(text: str, at: int, pointer: str) -> int:
    end = _digits(text, at)
    if end == at:
        raise _unexpected(text, at, pointer, "a digit")
    return end


def _unexpected(text: str, at: int, pointer: str, wanted: str) -> BadJson:
    if at >= len(text):
        return BadJson(f"the text ends where {wanted} is expected", at=at, pointer=pointer)
    hint = "is there a comma too many?" if text[at] in "}]" else ""
    return BadJson(f"{text[at]!r} where {wanted} is expected", at=at, pointer=pointer, hint=hint)
