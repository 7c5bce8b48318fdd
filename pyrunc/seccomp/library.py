# SPDX-License-Identifier: Apache-2.0
"""libseccomp's tables: which number a system call has on which architecture. Also the one kernel
query of this package.
"""

from __future__ import annotations

from pyrunc._native import ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

UNKNOWN = -1  # __NR_SCMP_ERROR


def version() -> str:
    found = lib.seccomp_version()
    return f"{found.major}.{found.minor}.{found.micro}"


def native_architecture() -> int:
    return int(lib.seccomp_arch_native())


def knows_architecture(token: int) -> bool:
    return bool(lib.seccomp_syscall_resolve_name_arch(token, b"read") >= 0)


def encode(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def resolve(names: Iterable[bytes]) -> list[int]:
    """Native numbers, pseudo numbers below -1 for calls that only other architectures have,
    UNKNOWN.
    """
    find = lib.seccomp_syscall_resolve_name
    return [find(name) for name in names]


def resolve_for(token: int, names: Iterable[bytes]) -> list[int]:
    """The numbers on one architecture; negative where it lacks the call."""
    find = lib.seccomp_syscall_resolve_name_arch
    return [find(token, name) for name in names]


def name_of(token: int, number: int) -> str:
    """The name of a number on an architecture, or an empty string."""
    found = lib.seccomp_syscall_resolve_num_arch(token, number)
    if not found:
        return ""
    try:
        return bytes(ffi.string(found)).decode("ascii", "replace")
    finally:
        lib.free(found)


def numbers_of(token: int, names: Collection[str], numbers: Iterable[int]) -> dict[str, int]:
    """Those of the names that one of the numbers has."""
    found = {name_of(token, number): number for number in numbers}
    return {name: number for name, number in found.items() if name in names}


def flags_known(flags: int) -> bool:
    """Whether the running kernel knows these SECCOMP_FILTER_FLAG_* bits."""
    return bool(lib.native_seccomp_flags_known(flags))
