# SPDX-License-Identifier: Apache-2.0
"""PURE: values in the text format of GVariant, as D-Bus signatures with values for jeepney.

What unit properties are made of: booleans, numbers, strings, byte strings, arrays and tuples, with
or without a type (`uint64 5`, `@at [1, 2]`). Dictionaries and variants are no property of a unit.
"""

from __future__ import annotations

import re

from pyrunc.errors import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    Value = tuple[str, Any]

INTEGERS = {  # the lowest and the highest value of a type
    "y": (0, 2**8 - 1),
    "n": (-(2**15), 2**15 - 1),
    "q": (0, 2**16 - 1),
    "i": (-(2**31), 2**31 - 1),
    "u": (0, 2**32 - 1),
    "x": (-(2**63), 2**63 - 1),
    "t": (0, 2**64 - 1),
}
NAMES = {
    "boolean": "b",
    "byte": "y",
    "int16": "n",
    "uint16": "q",
    "int32": "i",
    "uint32": "u",
    "int64": "x",
    "uint64": "t",
    "double": "d",
    "string": "s",
    "objectpath": "o",
    "signature": "g",
}
BASIC = frozenset(NAMES.values())
STRINGS = ("s", "o", "g")
MOST_LEVELS = 8
WORD = re.compile(r"[A-Za-z0-9.+-]+")
INTEGER = re.compile(r"-?(0[xX][0-9a-fA-F]{1,16}|0[0-7]{0,22}|[1-9][0-9]{0,19})", re.ASCII)
FLOAT = re.compile(r"-?([0-9]{1,40}(\.[0-9]{0,40})?|\.[0-9]{1,40})([eE][+-]?[0-9]{1,3})?", re.ASCII)
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
LONG_ESCAPES = {"u": 4, "U": 8}  # hexadecimal digits that follow


def parse(text: str, *, pointer: str) -> Value:
    """Parse one value: (signature, value). Raises Failure."""
    reader = _Reader(text, pointer)
    value = reader.value("", MOST_LEVELS)
    reader.skip()
    if reader.at < len(text):
        reader.fail("value")
    return value


def element(signature: str) -> int:
    """Return the length of the first complete type of a signature, 0 when it is none."""
    head = signature[:1]
    if head in BASIC:
        return len(head)
    if head == "a":
        length = element(signature[1:])
        return length + 1 if length else 0
    if head != "(":
        return 0
    at = 1
    while signature[at : at + 1] != ")":
        length = element(signature[at:])
        if not length:
            return 0
        at += length
    return at + 1 if at > 1 else 0


class _Reader:
    def __init__(self, text: str, pointer: str) -> None:
        self.text = text
        self.pointer = pointer
        self.at = 0

    def fail(self, noun: str) -> NoReturn:
        raise Failure(
            f"{self.text[:120]!r} is not a GVariant {noun}",
            pointer=self.pointer,
            hint="write true, 15, uint64 5000000, 'text', ['a', 'b'] or [byte 1]",
        )

    def skip(self) -> None:
        while self.text[self.at : self.at + 1].isspace():
            self.at += 1

    def next(self, wanted: str) -> bool:
        """Skip white space and take a character if it is the wanted one."""
        self.skip()
        found = self.text[self.at : self.at + 1] == wanted
        self.at += found
        return found

    def value(self, kind: str, levels: int) -> Value:
        """Read a value of a type, of any type when `kind` is empty."""
        if not levels:
            self.fail(f"value of less than {MOST_LEVELS} levels")
        if self.next("@"):
            given = self.text[self.at : self.at + 64].split(maxsplit=1)[:1]
            self.at += len(given[0]) if given else 0
            if not given or element(given[0]) != len(given[0]) or kind not in ("", given[0]):
                self.fail("type")
            return self.value(given[0], levels - 1)
        head = self.text[self.at : self.at + 2]
        if head[:1] in ("'", '"') and head:
            return self.string(kind)
        if head in ("b'", 'b"'):
            return self.byte_string(kind)
        if self.next("["):
            return self.array(kind, levels)
        if self.next("("):
            return self.tuple(kind, levels)
        return self.word(kind, levels)

    def word(self, kind: str, levels: int) -> Value:
        match = WORD.match(self.text, self.at)
        if match is None:
            self.fail("value")
        word = match[0]
        self.at = match.end()
        named = NAMES.get(word)
        if named is not None and kind in ("", named):
            return self.value(named, levels - 1)
        if word in ("true", "false") and kind in ("", "b"):
            return "b", word == "true"
        if INTEGER.fullmatch(word) and (kind or "i") in INTEGERS:
            digits = word.lstrip("-")
            octal = digits.isdecimal() and digits.startswith("0")
            number = int(digits, 8 if octal else 0) * (-1 if word.startswith("-") else 1)
            low, high = INTEGERS[kind or "i"]
            if low <= number <= high:
                return kind or "i", number
        plain = word.lstrip("-").isdecimal()  # 2 is a double only where one is wanted
        if FLOAT.fullmatch(word) and (kind == "d" or (not kind and not plain)):
            return "d", float(word)
        self.fail("value")

    def array(self, kind: str, levels: int) -> Value:
        if kind and not kind.startswith("a"):
            self.fail("value")
        inner = kind[1:]
        items: list[Any] = []
        while not self.next("]"):
            if items and not self.next(","):
                self.fail("array")
            inner, item = self.value(inner, levels - 1)
            items.append(item)
        inner = inner or "s"  # of an empty list nothing is known; those of units hold strings
        return f"a{inner}", bytes(items) if inner == "y" else items

    def tuple(self, kind: str, levels: int) -> Value:
        if kind and not kind.startswith("("):
            self.fail("value")
        left, types = kind[1:-1], ""
        items: list[Any] = []
        while not self.next(")"):
            if items and not self.next(","):
                self.fail("tuple")
            if items and self.next(")"):  # ('a',)
                break
            size = element(left)
            if kind and not size:
                self.fail("value")
            inner, item = self.value(left[:size], levels - 1)
            left, types = left[size:], types + inner
            items.append(item)
        if left or not items:
            self.fail("tuple")
        return f"({types})", tuple(items)

    def string(self, kind: str) -> Value:
        if kind and kind not in STRINGS:
            self.fail("value")
        return kind or "s", self.quoted("string")

    def byte_string(self, kind: str) -> Value:
        """Read b'...', which ends with a zero byte that is not written."""
        if kind not in ("", "ay"):
            self.fail("value")
        self.at += 1
        text = self.quoted("byte string")
        if any(ord(letter) > 255 for letter in text):
            self.fail("byte string")
        return "ay", text.encode("latin-1") + b"\0"

    def quoted(self, noun: str) -> str:
        quote = self.text[self.at]
        self.at += 1
        result = []
        while (letter := self.text[self.at : self.at + 1]) != quote:
            if not letter:
                self.fail(noun)
            self.at += 1
            result.append(self.escape(noun) if letter == "\\" else letter)
        self.at += 1
        return "".join(result)

    def escape(self, noun: str) -> str:
        letter = self.text[self.at : self.at + 1]
        self.at += 1
        if noun == "byte string":
            octal = re.compile(r"[0-7]{1,3}").match(self.text, self.at - 1)
            if octal:
                self.at = octal.end()
                return chr(int(octal[0], 8))
        size = LONG_ESCAPES.get(letter, 0) if noun == "string" else 0
        if size:
            digits = self.text[self.at : self.at + size]
            self.at += size
            if not re.fullmatch(f"[0-9a-fA-F]{{{size}}}", digits) or int(digits, 16) > 0x10FFFF:
                self.fail(noun)
            return chr(int(digits, 16))
        if not letter:
            self.fail(noun)
        return ESCAPES.get(letter, letter)
