# SPDX-License-Identifier: Apache-2.0
"""What a system call's number decides, as BPF: a binary search over ranges of numbers. PURE.

The numbers of an architecture become a short list of ranges with one verdict each: an action, or a
block of `arguments` that looks further. The kernel then needs some seven comparisons for a call,
whatever the length of the profile.
"""

from __future__ import annotations

import struct

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
    from collections.abc import Iterable, Mapping, Sequence

    Instruction = tuple[int, int, int, int]  # code, jt, jf, k of struct sock_filter
    Leaf = tuple[int, int]  # first number, verdict: an action, or ~index of a block

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
MAX_INSTRUCTIONS = 4096  # BPF_MAXINSNS

# Ranges that do not grow with new system calls, so that the newest number of a profile is looked
# for outside: ARM's private calls (cacheflush, set_tls), and the x32 twins of old x86_64 calls.
NOWHERE = (0, -1)
PRIVATE_RANGES = {ARM: (0x0F0000, 0x0FFFFF), X32: (X32_BIT + 512, X32_BIT + 547)}


def newest(token: int, numbers: Iterable[int]) -> int:
    """The largest number that the profile names on this architecture, or -1."""
    low, high = PRIVATE_RANGES.get(token, NOWHERE)
    return max((number for number in numbers if not low <= number <= high), default=-1)


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
    cuts = {X32_BIT if token == X32 else 0, *verdicts, *[number + 1 for number in verdicts]}
    if named >= 0 and high > 0:
        cuts.update((low, high + 1))
    leaves: list[Leaf] = []
    current = None
    for cut in sorted(cuts):
        verdict = verdicts.get(cut)
        if verdict is None:
            verdict = default if cut <= named or low <= cut <= high else beyond
        if verdict != current:
            leaves.append((cut, verdict))
            current = verdict
    return leaves


def tree(leaves: Sequence[Leaf], low: int, high: int) -> list[Instruction]:
    """A binary search among leaves[low:high] for the range of the number in the accumulator.

    `link` resolves jumps to blocks.
    """
    if high - low == 1:
        verdict = leaves[low][1]
        return [(JUMP if verdict < 0 else RETURN, 0, 0, verdict)]
    middle = (low + high) // 2
    below, above = tree(leaves, low, middle), tree(leaves, middle, high)
    start, size = leaves[middle][0], len(below)
    if size <= FAR:
        return [(JUMP_AT_LEAST, size, 0, start), *below, *above]
    return [(JUMP_AT_LEAST, 0, 1, start), (JUMP, 0, 0, size), *below, *above]


def section(machine: int, leaves: Sequence[Leaf]) -> list[Instruction]:
    """The tree of one AUDIT_ARCH value; other values jump over it. The accumulator holds the
    architecture.
    """
    body = [(LOAD, 0, 0, NUMBER), *tree(leaves, 0, len(leaves))]
    if len(body) <= FAR:
        return [(JUMP_EQUAL, 0, len(body), machine), *body]
    return [(JUMP_EQUAL, 1, 0, machine), (JUMP, 0, 0, len(body)), *body]


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
    stage: list[Instruction] = [(LOAD, 0, 0, ARCHITECTURE)]
    for machine, leaves in by_machine.items():
        stage += section(machine, leaves)
    stage.append((RETURN, 0, 0, KILL_PROCESS))
    starts = []
    end = len(stage)
    for block in blocks:
        starts.append(end)
        end += len(block)
    flat: list[int] = []
    for place, (code, true, false, value) in enumerate(stage):
        flat += (code, true, false, value if value >= 0 else starts[~value] - place - 1)
    for block in blocks:
        for instruction in block:
            flat += instruction
    return struct.pack("=" + "HBBI" * end, *flat)
