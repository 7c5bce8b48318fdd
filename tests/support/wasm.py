# SPDX-License-Identifier: Apache-2.0
"""WebAssembly modules, put together byte by byte: no compiler is needed for a few instructions."""

from __future__ import annotations

from collections.abc import Sequence

INTERFACE = "wasi_snapshot_preview1"
I32 = b"\x7f"
MESSAGE = b"hello\n"
FD_WRITE, PROC_EXIT, START = 0, 1, 2  # functions by index: two imports, one of the module


def _unsigned(number: int) -> bytes:
    """Return a number as LEB128."""
    head = bytes([number & 0x7F | (0x80 if number > 0x7F else 0)])
    return head + _unsigned(number >> 7) if number > 0x7F else head


def _const(number: int) -> bytes:
    """Return the instruction i32.const, whose operand is signed LEB128."""
    operand = b""
    while True:
        low, number = number & 0x7F, number >> 7
        if (number, low & 0x40) in ((0, 0), (-1, 0x40)):
            return b"\x41" + operand + bytes([low])
        operand += bytes([low | 0x80])


def _vector(items: Sequence[bytes]) -> bytes:
    return _unsigned(len(items)) + b"".join(items)


def _name(text: str) -> bytes:
    return _unsigned(len(text)) + text.encode()


def _section(number: int, *items: bytes) -> bytes:
    body = _vector(items)
    return bytes([number]) + _unsigned(len(body)) + body


def _function(*parameters: bytes, results: Sequence[bytes] = ()) -> bytes:
    return b"\x60" + _vector(parameters) + _vector(results)


def _call(function: int) -> bytes:
    return b"\x10" + _unsigned(function)


def _loop(body: bytes) -> bytes:
    return b"\x03\x40" + body + b"\x0c\0\x0b"


def module(code: bytes) -> bytes:
    """Return a command of WASI: a memory of one page with a message, and what it does."""
    # A vector of one buffer (address, length) at 0, the count of written bytes at 8, the text at
    # 16.
    data = b"".join(number.to_bytes(4, "little") for number in (16, len(MESSAGE), 0, 0)) + MESSAGE
    body = _vector([]) + code + b"\x0b"
    return b"".join(
        [
            b"\0asm" + (1).to_bytes(4, "little"),
            _section(1, _function(*[I32] * 4, results=[I32]), _function(I32), _function()),
            _section(
                2,
                _name(INTERFACE) + _name("fd_write") + b"\0\0",
                _name(INTERFACE) + _name("proc_exit") + b"\0\1",
            ),
            _section(3, b"\2"),
            _section(5, b"\0\1"),
            _section(7, _name("memory") + b"\2\0", _name("_start") + b"\0" + bytes([START])),
            _section(10, _unsigned(len(body)) + body),
            _section(11, b"\0" + _const(0) + b"\x0b" + _unsigned(len(data)) + data),
        ]
    )


# Writes the message; its exit status is the error number of WASI, 0 or 63 for "not permitted".
WRITE = module(_const(1) + _const(0) + _const(1) + _const(8) + _call(FD_WRITE) + _call(PROC_EXIT))
NOT_PERMITTED = 63
SPIN = module(_loop(b""))
# Takes 16 MiB more of memory (memory.grow) and writes to all of it (memory.fill), again and again.
GREEDY = module(
    _loop(
        _const(256)
        + (b"\x40\0\x1a" + _const(0) + _const(1) + b"\x3f\0" + _const(1 << 16) + b"\x6c\xfc\x0b\0")
    )
)
