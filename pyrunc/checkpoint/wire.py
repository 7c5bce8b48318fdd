# SPDX-License-Identifier: Apache-2.0
"""The part of the Protocol Buffers encoding that CRIU's messages use. PURE.

https://protobuf.dev/programming-guides/encoding: a message is a row of fields, each a key
(``number << 3 | wire type``) and a value; numbers are varints, texts and messages are preceded by
their length. A table says what the numbers mean: ``{name: (number, kind)}``, where a kind is INT,
BOOL, TEXT or the table of another message. Fields that the table does not know are skipped, as the
encoding asks of every reader.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any, Final

INT: Final = "int"
BOOL: Final = "bool"
TEXT: Final = "text"

VARINT: Final = 0
FIXED64: Final = 1
DELIMITED: Final = 2
FIXED32: Final = 5

SEVEN_BITS: Final = 0x7F
MORE: Final = 0x80
SIGN: Final = 1 << 63
WORD: Final = 1 << 64
MAX_VARINT: Final = 10  # bytes


def encode(message: Mapping[str, Any], table: Mapping[str, Any]) -> bytes:
    """Return the bytes of a message.

    A list or tuple is a repeated field; None leaves a field out.
    """
    encoded = bytearray()
    for name, value in message.items():
        number, kind = table[name]
        for item in value if isinstance(value, list | tuple) else (value,):
            if item is not None:
                encoded += _field(number, kind, item)
    return bytes(encoded)


def _field(number: int, kind: Any, value: Any) -> bytes:
    if kind in (INT, BOOL):
        return _varint(number << 3 | VARINT) + _varint(int(value) % WORD)
    data = encode(value, kind) if kind != TEXT else value.encode("utf-8", "surrogateescape")
    return _varint(number << 3 | DELIMITED) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > SEVEN_BITS:
        encoded.append(value & SEVEN_BITS | MORE)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def decode(data: bytes, table: Mapping[str, Any]) -> dict[str, Any]:
    """Decode the known fields of a message; a repeated one has its last value.

    ValueError when the bytes are no message.
    """
    names = {number: (name, kind) for name, (number, kind) in table.items()}
    message: dict[str, Any] = {}
    for number, value in _fields(data):
        name, kind = names.get(number, ("", ""))
        if not name:
            continue
        if isinstance(value, int) != (kind in (INT, BOOL)):
            raise ValueError(f"field {name} is of another type")
        message[name] = _value(kind, value)
    return message


def _value(kind: Any, value: Any) -> Any:
    if kind == INT:
        return value - WORD if value & SIGN else value
    if kind == BOOL:
        return bool(value)
    if kind == TEXT:
        return value.decode("utf-8", "surrogateescape")
    return decode(value, kind)


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Iterate over the fields as (number, value)."""
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            value, at = _read_varint(data, at)
            yield number, value
            continue
        size = {FIXED64: 8, FIXED32: 4}.get(wire, -1)
        if wire == DELIMITED:
            size, at = _read_varint(data, at)
        if size < 0 or at + size > len(data):
            raise ValueError("a message is cut short, or of another encoding")
        yield number, data[at : at + size]
        at += size


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a number, and where the next one begins."""
    value = 0
    for place, byte in enumerate(data[at : at + MAX_VARINT]):
        value |= (byte & SEVEN_BITS) << 7 * place
        if not byte & MORE:
            return value % WORD, at + place + 1
    raise ValueError("a number is cut short, or too long")
