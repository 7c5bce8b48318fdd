# SPDX-License-Identifier: Apache-2.0
"""What a system call's number decides, as BPF: a binary search over ranges of numbers. PURE.

The numbers of an architecture become a short list of ranges with one verdict each: an action, or a
block of `arguments` that looks further. The kernel then needs some seven comparisons for a call,
whatever the length of the profile.
"""

from __future__ import annotations

import struct
import sys
from _operator import itemgetter

from pyrunc.seccomp.names import (
    KILL_PROCESS,
    S390,
    S390X,
    X32,
    X32_BIT,
    X86_64,
    audit_arch,
    enosys,
)
from pyrunc.seccomp.opcodes import JUMP, JUMP_AT_LEAST, JUMP_EQUAL, LOAD, RETURN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import TypeAlias

    from pyrunc.seccomp.opcodes import Instruction
    from pyrunc.seccomp.tables import Table

    Leaf = tuple[int, int]  # first number, verdict: an action, or ~index of a block
    # Two numbers for each instruction: code, jt and jf as one word, and k. Few of the words differ,
    # so that little memory is touched.
    Program: TypeAlias = list[int]

# struct seccomp_data
NUMBER, ARCHITECTURE = 0, 4
CANCELLED = 0xFFFFFFFF

FAR = 255  # the farthest conditional jump
NEAR = 128  # as many leaves as one 8-bit jump can pass
END = 1 << 32  # numbers have 32 bits


def word(code: int, true: int = 0, false: int = 0) -> int:
    """Return the first half of a struct sock_filter."""
    if sys.byteorder == "little":
        return code | true << 16 | false << 24
    return code << 16 | true << 8 | false


LOADS, GOES, RETURNS = word(LOAD), word(JUMP), word(RETURN)
SKIPS = [
    word(JUMP_AT_LEAST, size) for size in range(FAR + 1)
]  # so many instructions, if at least k


def chunk_order(low: int, high: int) -> list[int]:
    """Return where each word of the search among CHUNK leaves comes from.

    First are CHUNK_WORDS, then the leaves' numbers, then their verdicts.
    """
    count = high - low
    if count == 1:
        return [0, len(CHUNK_WORDS) + CHUNK + low]
    middle = low + count // 2
    node = [count.bit_length() - 1, len(CHUNK_WORDS) + middle]
    return [*node, *chunk_order(low, middle), *chunk_order(middle, high)]


CHUNK = 16  # leaves whose search is put together in one step; a power of two
CHUNK_WORDS = (RETURNS, SKIPS[1], SKIPS[3], SKIPS[7], SKIPS[15])
CHUNK_CODE = itemgetter(*chunk_order(0, CHUNK))


def ranges(
    table: Table, verdicts: Sequence[int | None], *, default: int, newest: int
) -> list[Leaf]:
    """Return the verdicts of one architecture, from its lowest number on.

    `verdicts` holds those of names, by index, and None for names that the profile does not
    have.

    Above `newest`, the newest number of the profile, the answer for these is ENOSYS, so that a C
    library newer than the profile falls back to what the profile knows; END means no such answer.
    """
    beyond = enosys(audit_arch(table.token))
    low, high = table.private
    expected = X32_BIT if table.token == X32 else 0
    leaves: list[Leaf] = []
    current = None
    if newest < END and table.token in (S390, S390X):
        # Numbers too large for the instruction arrive as call 0, which has no name.
        leaves, current, expected = [(0, beyond)], beyond, 1
    for start, indexes in (*runs(table, newest), (END, [])):
        for cut in (expected, low, high + 1):
            if expected <= cut < start:  # nobody has named what lies between
                answer = default if cut <= newest or low <= cut <= high else beyond
                if answer != current:
                    leaves.append((cut, answer))
                    current = answer
        unnamed = default if start <= newest or low <= start <= high else beyond
        last: int | None = END  # no verdict
        for number, verdict in enumerate(map(verdicts.__getitem__, indexes), start):
            if verdict is not last:
                last = verdict
                answer = unnamed if verdict is None else verdict
                if answer != current:
                    leaves.append((number, answer))
                    current = answer
        expected = start + len(indexes)
    return leaves


def runs(table: Table, newest: int) -> Iterable[tuple[int, list[int]]]:
    """Return the segments of a table; one that goes beyond `newest` in two."""
    for start, indexes in table.segments:
        count = newest + 1 - start
        if 0 < count < len(indexes) and not table.is_private(start):
            yield start, indexes[:count]
            yield start + count, indexes[count:]
        else:
            yield start, indexes


def split(count: int) -> int:
    """Where a search among so many leaves splits them: at a chunk, if there are more than that."""
    return max(CHUNK, (count // 2 + CHUNK // 2) // CHUNK * CHUNK) if count > CHUNK else count // 2


def search_size(count: int) -> int:
    """Return the instructions of a search among so many leaves."""
    if count <= NEAR:
        return 2 * count - 1
    below, above = search_size(split(count)), search_size(count - split(count))
    return 1 + (below > FAR) + below + above


def search(program: Program, starts: Sequence[int], verdicts: Sequence[int]) -> None:
    """Append a binary search for the range of the number in the accumulator.

    A jump to a block is a return of the block's verdict; `link` replaces it.
    """
    count = len(starts)
    if count == CHUNK:
        program += CHUNK_CODE((*CHUNK_WORDS, *starts, *verdicts))
    elif count == 1:
        program += RETURNS, verdicts[0]
    else:
        middle = split(count)
        size = search_size(middle)
        if size <= FAR:
            program += SKIPS[size], starts[middle]
        else:
            program += word(JUMP_AT_LEAST, 0, 1), starts[middle], GOES, size
        search(program, starts[:middle], verdicts[:middle])
        search(program, starts[middle:], verdicts[middle:])


def section(program: Program, machine: int, leaves: Sequence[Leaf]) -> None:
    """Append the search of one AUDIT_ARCH value; other values jump over it.

    The accumulator holds the architecture.
    """
    starts, verdicts = zip(*leaves, strict=True)
    size = 1 + search_size(len(leaves))
    if size <= FAR:
        program += word(JUMP_EQUAL, 0, size), machine
    else:
        program += word(JUMP_EQUAL, 1, 0), machine, GOES, size
    program += LOADS, NUMBER
    search(program, starts, verdicts)


def machines(by_token: Mapping[int, list[Leaf]], *, default: int) -> dict[int, list[Leaf]]:
    """Return the leaves by AUDIT_ARCH value.

    x86_64 and x32 share one, and bit 30 of the number tells them apart.

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
    """Link the whole program, an array of struct sock_filter.

    An architecture that is not listed is killed.

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
                jump = starts[~program[place]] - place // 2 - 1
                program[place - 1 : place + 1] = GOES, jump
    return struct.pack(f"={len(program)}I", *program)
