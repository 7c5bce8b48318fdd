# SPDX-License-Identifier: Apache-2.0
"""A compiled filter."""

from __future__ import annotations

from pyrunc.seccomp.names import ARCHITECTURE_NAMES
from pyrunc.seccomp.opcodes import INSTRUCTION_SIZE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Report:
    """What the compiler did with the profile, for the debug log and for `check`."""

    __slots__ = ("ignored", "skipped_architectures", "stub")

    def __init__(
        self,
        *,
        ignored: Sequence[str] = (),
        skipped_architectures: Sequence[str] = (),
        stub: Sequence[tuple[int, int]] = (),
    ) -> None:
        self.ignored = tuple(ignored)  # names that no table knows
        self.skipped_architectures = tuple(skipped_architectures)  # unknown to libseccomp
        self.stub = tuple(stub)  # architecture token, newest number: ENOSYS above it

    def lines(self) -> list[str]:
        """Sentences for the debug log."""
        lines = []
        if self.ignored:
            lines.append(f"seccomp: unknown system calls are ignored: {', '.join(self.ignored)}")
        if self.skipped_architectures:
            lines.append(
                "seccomp: architectures unknown to libseccomp are left out (their calls are "
                f"killed): {', '.join(self.skipped_architectures)}"
            )
        for token, number in self.stub:
            name = ARCHITECTURE_NAMES.get(token, hex(token))
            lines.append(f"seccomp: {name}: numbers above {number} answer ENOSYS")
        return lines


class Filter:
    """The program for seccomp(2), the flags to load it with, and whether it has a listener.

    `listener` is 1, or what the init shall do with it instead of having it fetched.
    """

    __slots__ = ("cached", "flags", "listener", "program", "report")

    def __init__(
        self, program: bytes, *, flags: int, listener: bool, report: Report, cached: bool = False
    ) -> None:
        self.program = program  # an array of struct sock_filter
        self.flags = flags  # SECCOMP_FILTER_FLAG_*, with NEW_LISTENER if there is a listener
        self.listener = int(listener)
        self.report = report
        self.cached = cached

    @property
    def lets_fork(self) -> bool:
        """Whether the init can load it before its last fork."""
        from pyrunc.seccomp.passes import lets_fork

        return lets_fork(self.program)

    def __len__(self) -> int:
        """Instructions."""
        return len(self.program) // INSTRUCTION_SIZE
