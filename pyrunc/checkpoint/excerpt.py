# SPDX-License-Identifier: Apache-2.0
"""What CRIU's log says about a failure. PURE."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

MARK: Final = "Error ("
# What CRIU reports as an error and does without: the right to raise a limit of its own.
HARMLESS: Final = ("RLIMIT_NOFILE for self",)
BEFORE: Final = 4  # lines before an error that are shown with it
MOST: Final = 30
WIDEST: Final = 200

# Part of an error of CRIU -> what to do.
HINTS: Final = (
    ("vDSO", "this CRIU is older than the kernel: install a newer one"),
    ("vdso", "this CRIU is older than the kernel: install a newer one"),
    ("--tcp-established", "add --tcp-established, or --tcp-close to drop the connections"),
    ("--ext-unix-sk", "add --ext-unix-sk"),
    ("--shell-job", "the process has the caller's terminal: add --shell-job"),
    ("--file-locks", "add --file-locks"),
    ("link-remap", "a deleted file is open: add --link-remap"),
    ("ghost", "a deleted file is open and large: --link-remap keeps it"),
    ("iptables-restore", "install iptables, or use --network-lock nftables or skip"),
    ("In-flight", "a connection is being made: try again, or add --tcp-skip-in-flight"),
    ("splice: -1", "pipes of 4 MiB are needed: sysctl fs.pipe-max-size=4194304"),
    ("Can't get rlimit", "processes of other users need CAP_SYS_RESOURCE in the caller"),
    ("dirty", "the kernel cannot track memory changes (CONFIG_MEM_SOFT_DIRTY)"),
    ("tracking", "the kernel cannot track memory changes (CONFIG_MEM_SOFT_DIRTY)"),
)


class Summary:
    """The first error, the lines around every error, and advice."""

    __slots__ = ("first", "hint", "lines")

    def __init__(self, log: str) -> None:
        rows = log.splitlines()
        errors = [number for number, row in enumerate(rows) if is_error(row)]
        self.first = message(rows[errors[0]]) if errors else ""
        self.lines = _around(rows, errors)
        text = "\n".join(rows[number] for number in errors)
        self.hint = next((advice for part, advice in HINTS if part in text), "")


def is_error(row: str) -> bool:
    return MARK in row and not any(text in row for text in HARMLESS)


def message(row: str) -> str:
    """Return an error without the time, the pid and the place in CRIU's sources."""
    text = row.partition(MARK)[2].partition("): ")[2]
    return (text or row).strip()


def _around(rows: list[str], errors: list[int]) -> list[str]:
    """Numbered lines, with a gap shown as three dots."""
    excerpt: list[str] = []
    last = -1
    for number in errors:
        first = max(last + 1, number - BEFORE)
        if excerpt and first > last + 1:
            excerpt.append("...")
        excerpt += [f"{at + 1}: {rows[at][:WIDEST]}" for at in range(first, number + 1)]
        last = number
    return excerpt[:MOST]
