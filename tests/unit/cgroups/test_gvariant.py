# SPDX-License-Identifier: Apache-2.0
"""The text format of GVariant, in which annotations give properties of units."""

from __future__ import annotations

from typing import Any

import pytest

from pyrunc.cgroups.systemd import gvariant
from pyrunc.errors import Failure


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("true", ("b", True)),
        ("15", ("i", 15)),
        ("-1", ("i", -1)),
        ("0x1F", ("i", 31)),
        ("-0x10", ("i", -16)),
        ("010", ("i", 8)),
        ("uint64 5000000", ("t", 5000000)),
        ("uint64 0xffffffffffffffff", ("t", 2**64 - 1)),
        ("@t 5", ("t", 5)),
        ("byte 7", ("y", 7)),
        ("1.5", ("d", 1.5)),
        ("1e3", ("d", 1000.0)),
        ("double 2", ("d", 2.0)),
        ("'mixed'", ("s", "mixed")),
        ('"it\'s"', ("s", "it's")),
        ("'a\\'b'", ("s", "a'b")),
        ("'\\u00e9'", ("s", "\u00e9")),
        ("objectpath '/a'", ("o", "/a")),
        ("['a', 'b,c']", ("as", ["a", "b,c"])),
        ("[]", ("as", [])),
        ("@as []", ("as", [])),
        ("[byte 1]", ("ay", b"\x01")),
        ("[byte 1, 2]", ("ay", b"\x01\x02")),
        ("@ay [1, 0xff]", ("ay", b"\x01\xff")),
        ("b'a\\001'", ("ay", b"a\x01\x00")),
        ("[uint32 1, 2]", ("au", [1, 2])),
        ("[('/dev/sda', uint64 5)]", ("a(st)", [("/dev/sda", 5)])),
        ("@a(st) []", ("a(st)", [])),
        ("  [ 'a' ]  ", ("as", ["a"])),
    ],
)
def test_gvariant_text(text: str, expected: tuple[str, Any]) -> None:
    assert gvariant.parse(text, pointer="") == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "yes", "uint64 -1", "byte 256", "2147483648", "'a", "'a'b'", "٣", "uint9 1"),
        *("[1", "[1 2]", "[1, 'a']", "@ay ['a']", "@a{ss} []", "<1>", "08", "0x", "1e", "@", "@as"),
        *(
            "byte",
            "()",
            "@(ss) ('a',)",
            "b'\u0100'",
            "'\\u00'",
            "[" * 200,
            "@" + "a" * 200 + "s []",
        ),
        "uint32 uint32 uint32 uint32 uint32 uint32 uint32 uint32 uint32 1",
    ],
)
def test_what_is_no_gvariant_value_is_refused(text: str) -> None:
    with pytest.raises(Failure, match="is not a GVariant"):
        gvariant.parse(text, pointer="/annotations/x")
