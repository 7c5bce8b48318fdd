# SPDX-License-Identifier: Apache-2.0
"""Terminals: their size and their mode, over ``pyrunc._native`` (csrc/native/terminal.c).

Every function raises ``OSError``, for a descriptor that is no terminal with ENOTTY.
"""

from __future__ import annotations

from pyrunc._native import ffi, lib
from pyrunc.host.syscalls import check


def get_winsize(fd: int) -> tuple[int, int]:
    """``(rows, columns)`` of a terminal."""
    rows = ffi.new("unsigned short *")
    columns = ffi.new("unsigned short *")
    check(lib.native_get_winsize(fd, rows, columns))
    return rows[0], columns[0]


def set_winsize(fd: int, rows: int, columns: int) -> None:
    """Set the size of a terminal."""
    check(lib.native_set_winsize(fd, rows, columns))


def raw(fd: int, *, lines: bool = False) -> bytes:
    """Pass on what is typed, or with `lines` that alone, as it is; for `restore`."""
    saved = ffi.new("uint8_t[]", lib.native_terminal_state_size())
    check(lib.native_terminal_raw(fd, lines, saved))
    return bytes(ffi.buffer(saved))


def plain(fd: int) -> None:
    """Do not turn the line ends of a terminal's output into CR LF."""
    check(lib.native_terminal_plain(fd))


def end_of_input(fd: int, *, exhausted: bool) -> tuple[bytes, bool]:
    """Return what ends the input of a terminal in its mode, and whether that knows no lines.

    Asked of the master. With `exhausted` a mode without lines lets every read end that finds
    nothing.
    """
    told = check(lib.native_terminal_end(fd, exhausted))
    byte = told & 0xFF
    return bytes((byte,)) if byte else b"", bool(told & lib.NATIVE_END_RAW)


def restore(fd: int, state: bytes) -> None:
    """Give a terminal the mode back that it had before `raw`."""
    if len(state) != lib.native_terminal_state_size():
        raise ValueError("not a state that raw returned")
    check(lib.native_terminal_restore(fd, state))
