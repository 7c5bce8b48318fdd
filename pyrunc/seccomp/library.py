# SPDX-License-Identifier: Apache-2.0
"""libseccomp's tables, which number a system call has where, and one query of the kernel."""

from __future__ import annotations

from pyrunc._native import ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

UNKNOWN = -1  # __NR_SCMP_ERROR


def _version() -> str:
    found = lib.seccomp_version()
    return f"{found.major}.{found.minor}.{found.micro}"


VERSION = _version()
NATIVE = int(lib.seccomp_arch_native())  # what this program was built for


def knows_architecture(token: int) -> bool:
    return bool(lib.seccomp_syscall_resolve_name_arch(token, b"read") >= 0)


def resolve(token: int, names: Sequence[str]) -> list[int]:
    """Return the numbers of the names on one architecture.

    Below -1: only others have the call; UNKNOWN: the library has no number.
    """
    numbers = ffi.new("int[]", len(names))
    lib.native_seccomp_numbers(token, _encode(names), numbers, len(names))
    return ffi.unpack(numbers, len(names)) if names else []


def _encode(names: Sequence[str]) -> bytes:
    """Join names with a NUL after each (after the last, that of every bytes)."""
    text = "\0".join(names)
    if text.count("\0") >= len(names):
        # No call has such a name; cut at the NUL it would be another's.
        text = "\0".join(["" if "\0" in name else name for name in names])
    return text.encode("utf-8", "surrogateescape")


def name_of(token: int, number: int) -> str:
    """Return the name of a number on an architecture, or an empty string."""
    text = lib.seccomp_syscall_resolve_num_arch(token, number)
    if not text:
        return ""
    try:
        return bytes(ffi.string(text)).decode("ascii", "replace")
    finally:
        lib.free(text)


def numbers_of(token: int, names: Collection[str], numbers: Iterable[int]) -> dict[str, int]:
    """Those of the names that one of the numbers has."""
    found = {name_of(token, number): number for number in numbers}
    return {name: number for name, number in found.items() if name in names}


def flags_known(flags: int) -> bool:
    """Whether the running kernel knows these SECCOMP_FILTER_FLAG_* bits."""
    return bool(lib.native_seccomp_flags_known(flags))
