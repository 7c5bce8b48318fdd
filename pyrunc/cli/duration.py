# SPDX-License-Identifier: Apache-2.0
"""Durations of the command line. PURE."""

from __future__ import annotations

from pyrunc.errors import UsageError

# Go's units of a duration, in nanoseconds.
UNITS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}


def duration_ms(text: str, *, flag: str) -> int:
    """Parse a duration as Go writes it: 5s, 1m30s, 1.5h, 300ms; UsageError for another text."""
    rest, total = text.removeprefix("+"), 0.0
    if not rest or rest == "0":
        raise UsageError(f"duration {flag} must be greater than 0")
    if rest.startswith("-"):
        raise UsageError(f"duration {flag} must be greater than 0")
    while rest:
        number = rest[: len(rest) - len(rest.lstrip("0123456789."))]
        rest = rest[len(number) :]
        unit = rest[: len(rest) - len(rest.lstrip("nuµmsh"))]
        # "1m30s" has no letters in a row but those of one unit.
        if unit not in UNITS or not number.isascii() or not number.replace(".", "", 1).isdigit():
            raise UsageError(
                f'invalid duration "{text[:32]}" for --{flag}',
                hint="use a form such as 5s or 1m30s",
            )
        rest = rest[len(unit) :]
        total += float(number) * UNITS[unit]
    if total <= 0:
        raise UsageError(f"duration {flag} must be greater than 0")
    return max(1, int(total // 10**6))
