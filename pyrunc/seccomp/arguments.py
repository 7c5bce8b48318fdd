# SPDX-License-Identifier: Apache-2.0
"""Conditions on arguments as BPF: one block for a list of rules about one system call. PURE.

BPF sees 64-bit arguments as two 32-bit words. A block tests its rules in turn, the strictest first,
so that of several that match the strictest holds, as it does in the kernel between filters; none
matching means the default action.

On a 32-bit architecture (x32 and MIPS n32 are 32-bit to libseccomp too) only the lower word is
looked at.
"""

from __future__ import annotations

from _operator import itemgetter
from itertools import groupby

from pyrunc.seccomp.names import OPERATORS, WORD, strictness
from pyrunc.seccomp.opcodes import AND, JUMP_ABOVE, JUMP_AT_LEAST, JUMP_EQUAL, LOAD, RETURN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal

    from pyrunc.seccomp.opcodes import Instruction
    from pyrunc.seccomp.profile import Condition

    Shared = tuple[int, int, int]  # argument, mask, upper word
    Alternative = tuple[int, tuple[Condition, ...]]  # action, conditions that must all hold

NE, LT, LE, EQ, GE, GT, MASKED_EQ = (
    OPERATORS["SCMP_CMP_" + name] for name in ("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ")
)

JEQ, JGT, JGE = JUMP_EQUAL, JUMP_ABOVE, JUMP_AT_LEAST
ARGS = 16  # offset of args[0] in struct seccomp_data

ALL = (1 << 64) - 1
MOST = 200  # values that are tested together, within reach of a conditional jump

# Where a comparison goes on: the next instruction, the next condition, the next rule. Indices of a
# tuple of three.
NEXT, PASS, FAIL = 0, -1, -2

# __AUDIT_ARCH_64BIT, __AUDIT_ARCH_LE, __AUDIT_ARCH_CONVENTION_MIPS64_N32
BIT_64, LITTLE, N32 = 0x80000000, 0x40000000, 0x20000000


class Layout:
    """How an architecture shows arguments.

    `wide` if they have 64 bits, and the offsets of the words.
    """

    __slots__ = ("high", "low", "wide")

    def __init__(self, token: int) -> None:
        self.wide = bool(token & BIT_64) and not token & N32
        self.low, self.high = (0, 4) if token & LITTLE else (4, 0)

    def key(self) -> tuple[bool, int]:
        return self.wide, self.low


def narrow(value: int) -> int | None:
    """Return a 64-bit value as a 32-bit architecture can have it in an argument; None if it cannot.

    A sign-extended negative number is meant as its lower half.
    """
    if value <= WORD:
        return value
    return value & WORD if value >= (1 << 64) - (1 << 31) else None


# The two-word comparisons: for the upper word (jump, if true, if false) each in turn, then for the
# lower word.
WIDE = {
    EQ: (((JEQ, NEXT, FAIL),), (JEQ, PASS, FAIL)),
    NE: (((JEQ, NEXT, PASS),), (JEQ, FAIL, PASS)),
    GT: (((JGT, PASS, NEXT), (JEQ, NEXT, FAIL)), (JGT, PASS, FAIL)),
    GE: (((JGT, PASS, NEXT), (JEQ, NEXT, FAIL)), (JGE, PASS, FAIL)),
    LT: (((JGT, FAIL, NEXT), (JEQ, NEXT, PASS)), (JGE, FAIL, PASS)),
    LE: (((JGT, FAIL, NEXT), (JEQ, NEXT, PASS)), (JGT, FAIL, PASS)),
}
# What a 32-bit argument's comparison with a larger value comes to.
BEYOND = {EQ: False, NE: True, GT: False, GE: False, LT: True, LE: True}


def comparison(layout: Layout, condition: Condition) -> list[Instruction] | Literal[True, False]:
    """Return the code of a condition, with PASS and FAIL as jumps; a bool if none is needed."""
    argument, operator, value, second = condition
    low = (LOAD, 0, 0, ARGS + 8 * argument + layout.low)
    high = (LOAD, 0, 0, ARGS + 8 * argument + layout.high)
    if operator == MASKED_EQ:
        # As documented by libseccomp, both sides are masked.
        words = [(low, value & WORD, second & WORD)]
        if layout.wide:
            words.insert(0, (high, value >> 32, second >> 32))
        code: list[Instruction] = []
        for load, mask, datum in words:
            if mask:
                code += [load, (AND, 0, 0, mask), (JEQ, NEXT, FAIL, datum & mask)]
        return code or True
    upper, (jump, true, false) = WIDE[operator]
    if not layout.wide:
        narrowed = narrow(value)
        return BEYOND[operator] if narrowed is None else [low, (jump, true, false, narrowed)]
    return [
        high,
        *[(code, yes, no, value >> 32) for code, yes, no in upper],
        low,
        (jump, true, false, value & WORD),
    ]


def conjunction(
    layout: Layout, action: int, conditions: Sequence[Condition]
) -> list[Instruction] | None:
    """Return `action` if all conditions hold, else go on behind. None if that is impossible."""
    parts: list[list[Instruction]] = []
    for condition in conditions:
        part = comparison(layout, condition)
        if part is False:
            return None
        if part is not True:
            parts.append(part)
    size = sum(len(part) for part in parts)
    result: list[Instruction] = []
    for part in parts:
        passed = len(result) + len(part)
        for code, true, false, value in part:
            place = len(result) + 1
            there = (0, size + 1 - place, passed - place)  # NEXT, FAIL, PASS
            result.append((code, there[true], there[false], value))
    return [*result, (RETURN, 0, 0, action)]


def test_of(layout: Layout, conditions: Sequence[Condition]) -> tuple[Shared | None, int]:
    """Return what conditions share with others of their kind, and the lower word of the value.

    Only conditions that one value of one argument meets do; of others None.
    """
    argument, operator, value, second = conditions[0]
    if len(conditions) == 1 and operator == MASKED_EQ:
        mask = value if layout.wide else value & WORD
        return (argument, mask, (second & mask) >> 32), second & mask & WORD
    if len(conditions) == 1 and operator == EQ:
        wanted = value if layout.wide else narrow(value)
        if wanted is not None:
            return (argument, ALL, wanted >> 32), wanted & WORD
    return None, 0


def membership(
    layout: Layout, action: int, shared: Shared, words: Sequence[int]
) -> list[Instruction]:
    """Return `action` if the argument is one of the values, else go on behind.

    `words` are the lower words of the values.
    """
    argument, mask, upper = shared
    base = ARGS + 8 * argument
    code: list[Instruction] = [(LOAD, 0, 0, base + layout.low)]
    if mask & WORD != WORD:
        code.append((AND, 0, 0, mask & WORD))
    last = len(words) - 1
    code += [(JEQ, last - place, 0, word) for place, word in enumerate(words[:last])]
    code += [(JEQ, 0, 1, words[last]), (RETURN, 0, 0, action)]
    if layout.wide and mask > WORD:
        head: list[Instruction] = [(LOAD, 0, 0, base + layout.high)]
        if mask >> 32 != WORD:
            head.append((AND, 0, 0, mask >> 32))
        code = [*head, (JEQ, 0, len(code), upper), *code]
    return code


def block(
    layout: Layout, alternatives: Sequence[Alternative], *, default: int
) -> list[Instruction]:
    """Return the code for one system call."""
    result: list[Instruction] = []
    tests = [
        (action, *test_of(layout, conditions), conditions)
        for action, conditions in sorted(alternatives, key=lambda each: strictness(each[0]))
    ]
    for (action, shared), group in groupby(tests, key=itemgetter(0, 1)):
        alike = list(group)
        words = [*dict.fromkeys(word for _, _, word, _ in alike)]
        if shared is not None and 1 < len(words) <= MOST:
            result += membership(layout, action, shared, words)
            continue
        for *_, conditions in alike:
            code = conjunction(layout, action, conditions)
            if code is not None:
                result += code
                if len(code) == 1:  # always true: nothing behind is reached
                    return result
    return [*result, (RETURN, 0, 0, default)]
