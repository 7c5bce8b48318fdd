# SPDX-License-Identifier: Apache-2.0
"""Signals by name and number: the numbering that x86, arm, riscv, powerpc and s390 share. PURE."""

from __future__ import annotations

from pyrunc.errors import StateError

# fmt: off
SIGNALS = {
    "SIGHUP": 1, "SIGINT": 2, "SIGQUIT": 3, "SIGILL": 4, "SIGTRAP": 5, "SIGABRT": 6, "SIGIOT": 6,
    "SIGBUS": 7, "SIGFPE": 8, "SIGKILL": 9, "SIGUSR1": 10, "SIGSEGV": 11, "SIGUSR2": 12,
    "SIGPIPE": 13, "SIGALRM": 14, "SIGTERM": 15, "SIGSTKFLT": 16, "SIGCHLD": 17, "SIGCLD": 17,
    "SIGCONT": 18, "SIGSTOP": 19, "SIGTSTP": 20, "SIGTTIN": 21, "SIGTTOU": 22, "SIGURG": 23,
    "SIGXCPU": 24, "SIGXFSZ": 25, "SIGVTALRM": 26, "SIGPROF": 27, "SIGWINCH": 28, "SIGIO": 29,
    "SIGPOLL": 29, "SIGPWR": 30, "SIGSYS": 31, "SIGUNUSED": 31,
}
SIGRTMIN, SIGRTMAX = 34, 64  # the C library keeps 32 and 33 for itself
# fmt: on


def signal_number(text: str) -> int | None:
    """Parse a signal: a number (0 to 64) or a name in any case, SIG being optional; RTMIN+n."""
    if text.isascii() and text.isdigit():
        number = int(text) if len(text) <= 3 else 999
        return number if number <= SIGRTMAX else None
    name = text.upper()
    if not name.startswith("SIG"):
        name = "SIG" + name
    if name in SIGNALS:
        return SIGNALS[name]
    for base, sign, start in (("SIGRTMIN", "+", SIGRTMIN), ("SIGRTMAX", "-", SIGRTMAX)):
        if name == base:
            return start
        offset = name.removeprefix(base + sign)
        if offset != name and offset.isascii() and offset.isdigit() and len(offset) <= 2:
            number = start + int(sign + offset)
            return number if SIGRTMIN <= number <= SIGRTMAX else None
    return None


def parse_signal(text: str) -> int:
    """Return the number of a signal as `signal_number` takes it; StateError for anything else."""
    number = signal_number(text)
    if number is None:
        raise StateError(
            f'unknown signal "{text}"',
            hint=f"use a number from 0 to {SIGRTMAX}, or a name such as TERM or RTMIN+3",
        )
    return number
