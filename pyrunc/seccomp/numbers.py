# SPDX-License-Identifier: Apache-2.0
"""What a system call's number decides, as BPF: a binary search over ranges of numbers. PURE.

The numbers of an architecture become a short list of ranges with one verdict each: an action, or a
block of `arguments` that looks further. The kernel then needs some seven comparisons for a call,
whatever the length of the profile.
"""

from __future__ import annotations

import struct
import sys

from pyrunc.seccomp.names import (
    ARM,
    KILL_PROCESS,
    S390,
    S390X,
    X32,
    X32_BIT,
    X86_64,
    audit_arch,
    enosys,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from typing import TypeAlias

    Instruction = tuple[int, int, int, int]  # code, jt, jf, k of struct sock_filter
    Leaf = tuple[int, int]  # first number, verdict: an action, or ~index of a block
    # Two numbers for each instruction: code, jt and jf as one word, and k. Few of the words differ,
    # so that little memory is touched.
    Program: TypeAlias = list[int]

# linux/bpf_common.h
LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
JUMP = 0x05  # BPF_JMP | BPF_JA
JUMP_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
JUMP_AT_LEAST = 0x35  # BPF_JMP | BPF_JGE | BPF_K
RETURN = 0x06  # BPF_RET | BPF_K

# struct seccomp_data
NUMBER, ARCHITECTURE = 0, 4
CANCELLED = 0xFFFFFFFF

FAR = 255  # the farthest conditional jump
NEAR = 128  # a search among so many leaves can be jumped over
END = 1 << 32  # numbers have 32 bits
MAX_INSTRUCTIONS = 4096  # BPF_MAXINSNS


def word(code: int, true: int = 0, false: int = 0) -> int:
    """The first half of a struct sock_filter."""
    if sys.byteorder == "little":
        return code | true << 16 | false << 24
    return code << 16 | true << 8 | false


LOADS, GOES, RETURNS = word(LOAD), word(JUMP), word(RETURN)
SKIPS = [
    word(JUMP_AT_LEAST, size) for size in range(FAR + 1)
]  # so many instructions, if at least k

# Ranges that do not grow with new system calls, so that the newest number of a profile is looked
# for outside: ARM's private calls (cacheflush, set_tls), and the x32 twins of old x86_64 calls.
NOWHERE = (0, -1)
PRIVATE_RANGES = {ARM: (0x0F0000, 0x0FFFFF), X32: (X32_BIT + 512, X32_BIT + 547)}


def newest(token: int, numbers: Collection[int]) -> int:
    """The largest number that the profile names on this architecture, or -1."""
    low, high = PRIVATE_RANGES.get(token, NOWHERE)
    largest = max(numbers, default=-1)
    if low <= largest <= high:
        largest = max((number for number in numbers if not low <= number <= high), default=-1)
    return largest


def ranges(token: int, verdicts: Mapping[int, int], *, default: int, named: int) -> list[Leaf]:
    """The verdicts of one architecture, from its lowest number on; `verdicts` holds those of the
    profile.

    Above `named`, the newest number of the profile, the answer is ENOSYS, so that a C library newer
    than the profile falls back to what the profile knows; -1 means no such answer.
    """
    low, high = PRIVATE_RANGES.get(token, NOWHERE)
    beyond = default if named < 0 else enosys(audit_arch(token))
    if named >= 0 and token in (S390, S390X):
        # Numbers too large for the instruction arrive as call 0 (setup), which nobody uses
        # otherwise.
        verdicts = {**verdicts, 0: beyond}
    leaves: list[Leaf] = []
    current = None
    expected = X32_BIT if token == X32 else 0
    for number in (*sorted(verdicts), END):
        if number > expected:  # nobody has named what lies between
            for cut in (expected, low, high + 1):
                if expected <= cut < number:
                    verdict = default if cut <= named or low <= cut <= high else beyond
                    if verdict != current:
                        leaves.append((cut, verdict))
                        current = verdict
        if number < END:
            verdict = verdicts[number]
            if verdict != current:
                leaves.append((number, verdict))
                current = verdict
        expected = number + 1
    return leaves


def search_size(count: int) -> int:
    """The instructions of a search among so many leaves."""
    if count <= NEAR:
        return 2 * count - 1
    below, above = search_size(count // 2), search_size(count - count // 2)
    return 1 + (below > FAR) + below + above


def search(program: Program, leaves: Sequence[Leaf], low: int, high: int) -> None:
    """Append a binary search among leaves[low:high] for the range of the number in the accumulator.

    A jump to a block has the verdict as its target; `link` replaces it.
    """
    while high - low > 1:
        middle = (low + high) // 2
        below = middle - low
        size = 2 * below - 1 if below <= NEAR else search_size(below)
        if size <= FAR:
            program += SKIPS[size], leaves[middle][0]
        else:
            program += word(JUMP_AT_LEAST, 0, 1), leaves[middle][0], GOES, size
        if below == 1:
            verdict = leaves[low][1]
            program += GOES if verdict < 0 else RETURNS, verdict
        else:
            search(program, leaves, low, middle)
        low = middle
    verdict = leaves[low][1]
    program += GOES if verdict < 0 else RETURNS, verdict


def section(program: Program, machine: int, leaves: Sequence[Leaf]) -> None:
    """Append the search of one AUDIT_ARCH value; other values jump over it. The accumulator holds
    the architecture.
    """
    size = 1 + search_size(len(leaves))
    if size <= FAR:
        program += word(JUMP_EQUAL, 0, size), machine
    else:
        program += word(JUMP_EQUAL, 1, 0), machine, GOES, size
    program += LOADS, NUMBER
    search(program, leaves, 0, len(leaves))


def machines(by_token: Mapping[int, list[Leaf]], *, default: int) -> dict[int, list[Leaf]]:
    """The leaves by AUDIT_ARCH value: x86_64 and x32 share one, and bit 30 of the number tells them
    apart.

    Whoever is not listed is killed like an unlisted architecture; number -1 is a call that a tracer
    has cancelled.
    """
    result = {token: leaves for token, leaves in by_token.items() if token not in (X86_64, X32)}
    if X86_64 in by_token or X32 in by_token:
        result[X86_64] = [
            *by_token.get(X86_64, [(0, KILL_PROCESS)]),
            *by_token.get(X32, [(X32_BIT, KILL_PROCESS), (CANCELLED, default)]),
        ]
    return result


def link(
    by_machine: Mapping[int, Sequence[Leaf]], blocks: Sequence[Sequence[Instruction]]
) -> bytes:
    """The whole program, as an array of struct sock_filter. An architecture that is not listed is
    killed.

    What a call means there is unknown.
    """
    program = [LOADS, ARCHITECTURE]
    for machine, leaves in by_machine.items():
        section(program, machine, leaves)
    program += RETURNS, KILL_PROCESS
    searches = len(program)
    starts = []
    for block in blocks:
        starts.append(len(program) // 2)
        for code, true, false, value in block:
            program += word(code, true, false), value
    if blocks:
        for place in range(1, searches, 2):
            if program[place] < 0:
                program[place] = starts[~program[place]] - place // 2 - 1
    return struct.pack(f"={len(program)}I", *program)
