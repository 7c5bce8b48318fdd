# SPDX-License-Identifier: Apache-2.0
"""The encoding of CRIU's messages."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrunc.checkpoint import protocol
from pyrunc.checkpoint.wire import BOOL, INT, TEXT, decode, encode

TABLE: dict[str, Any] = {
    "number": (1, INT),
    "yes": (2, BOOL),
    "text": (3, TEXT),
    "inner": (4, {"number": (1, INT), "text": (16, TEXT)}),
}


@pytest.mark.parametrize(
    ("message", "data"),
    [
        # The examples of the encoding's own documentation.
        ({"number": 150}, "08 96 01"),
        ({"inner": {"number": 150}}, "22 03 08 96 01"),
        ({"number": -1}, "08 ff ff ff ff ff ff ff ff ff 01"),
        ({"text": "testing"}, "1a 07 74 65 73 74 69 6e 67"),
        ({"yes": True}, "10 01"),
        ({"inner": {"text": "x"}}, "22 04 82 01 01 78"),
        ({}, ""),
    ],
)
def test_messages_are_encoded_as_the_documentation_has_it(
    message: dict[str, Any], data: str
) -> None:
    assert encode(message, TABLE) == bytes.fromhex(data)
    assert decode(bytes.fromhex(data), TABLE) == message


def test_a_list_is_a_repeated_field_and_none_is_no_field() -> None:
    assert encode({"text": ["a", "b"], "number": None}, TABLE) == b"\x1a\x01a\x1a\x01b"


def test_fields_that_are_not_known_are_skipped() -> None:
    """Every kind of them: newer versions of CRIU send more."""
    unknown = b"\x48\x01" + b"\x51" + bytes(8) + b"\x5a\x02xx" + b"\x65" + bytes(4)
    assert decode(unknown + b"\x08\x05", TABLE) == {"number": 5}


TORN = ("08", "08 ff", "1a 05 61 62", "1a", "0b", "08" + 10 * " ff", "18 01")


@pytest.mark.parametrize("data", TORN)
def test_what_is_no_message_is_refused(data: str) -> None:
    with pytest.raises(ValueError, match=r"cut short|of another"):
        decode(bytes.fromhex(data), TABLE)


MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "number": st.integers(-(2**63), 2**63 - 1),
        "yes": st.booleans(),
        "text": st.text(max_size=300),
        "inner": st.fixed_dictionaries({"number": st.integers(0, 2**31)}),
    },
)


@given(MESSAGES)
def test_what_is_encoded_is_decoded(message: dict[str, Any]) -> None:
    assert decode(encode(message, TABLE), TABLE) == message


@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_be_refused(data: bytes) -> None:
    try:
        decode(data, protocol.ANSWER)
    except ValueError:
        return


def test_no_number_of_a_field_is_used_twice() -> None:
    for table in (protocol.OPTIONS, protocol.REQUEST, protocol.ANSWER, protocol.FEATURES):
        numbers = [number for number, _kind in table.values()]
        assert len(numbers) == len(set(numbers))
