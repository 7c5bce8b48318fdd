# SPDX-License-Identifier: Apache-2.0
"""PURE: device rules -> the eBPF program of a cgroup2 (BPF_PROG_TYPE_CGROUP_DEVICE), as bytes.

The kernel calls the program with a pointer to struct bpf_cgroup_dev_ctx {u32 access_type; u32
major; u32 minor}: the low half of access_type is the type (1 block, 2 char), the high half the
requested access (1 mknod, 2 read, 4 write). It returns 1 to allow. Registers: r2 type, r3 access,
r4 major, r5 minor, r0 and r1 scratch.

What the kernel's verifier makes of a program decides its form:

* It refuses an instruction that nothing leads to, so nothing follows an unconditional verdict.
* It follows every branch, a million instructions at most. An exception that is wider comes before
  a narrower one, and a major that has matched ends with the verdict of the base: no path compares
  a number that it knows with all the numbers that follow, which would cost the square of the rules.
* It keeps at most 8,192 branches for later: a comparison jumps over its verdict, not to it.
"""

from __future__ import annotations

import struct

from pyrunc.cgroups.devices.rules import ANY, EVERYTHING, MKNOD, READ, WRITE, Access

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pyrunc.cgroups.devices.rules import Key

# Opcodes (include/uapi/linux/bpf.h): class | source | operation.
LOAD_WORD = 0x61  # dst = *(u32 *)(src + off)
MOVE_REG = 0xBC  # 32 bits; the upper half becomes zero
MOVE_IMM = 0xB7
ADD_IMM = 0x04
AND_IMM = 0x54
SHIFT_RIGHT_IMM = 0x74
# 32 bits wide (Linux 5.1): the 64-bit ones sign-extend their immediate. Without a sign.
JUMP_EQUAL = 0x16
JUMP_NOT_EQUAL = 0x56
JUMP_GREATER = 0x26
EXIT = 0x95

TYPES = {"b": 1, "c": 2}
ACCESS = ((MKNOD, 1), (READ, 2), (WRITE, 4))
TYPE, REQUEST, MAJOR, MINOR, SCRATCH, CONTEXT, RESULT = 2, 3, 4, 5, 1, 1, 0
INSTRUCTION = struct.Struct("<BBhi")
SIZE = INSTRUCTION.size
REACH = 30000 * SIZE  # a jump reaches 32,767 instructions
CHUNK = 4000  # ranges of minors, of at most five instructions each

if TYPE_CHECKING:
    Minors = dict[int, int]  # minor -> access


def instruction(code: int, *, dst: int = 0, src: int = 0, off: int = 0, imm: int = 0) -> bytes:
    # imm is a signed 32-bit field; device numbers use all 32 bits of it.
    return INSTRUCTION.pack(code, dst | src << 4, off, imm - (1 << 32) if imm >= 1 << 31 else imm)


PROLOGUE = b"".join(
    (
        instruction(LOAD_WORD, dst=TYPE, src=CONTEXT, off=0),
        instruction(MOVE_REG, dst=REQUEST, src=TYPE),
        instruction(AND_IMM, dst=TYPE, imm=0xFFFF),
        instruction(SHIFT_RIGHT_IMM, dst=REQUEST, imm=16),
        instruction(LOAD_WORD, dst=MAJOR, src=CONTEXT, off=4),
        instruction(LOAD_WORD, dst=MINOR, src=CONTEXT, off=8),
    )
)
VERDICTS = {
    allow: instruction(MOVE_IMM, dst=RESULT, imm=int(allow)) + instruction(EXIT)
    for allow in (False, True)
}


def kernel_access(bits: int) -> int:
    return sum(there for here, there in ACCESS if bits & here)


def needed(exceptions: dict[Key, int]) -> dict[Key, int]:
    """Return the exceptions without those that a wider one says already."""
    return {
        (kind, major, minor): access
        for (kind, major, minor), access in exceptions.items()
        if not any(
            wider != (kind, major, minor) and access & ~exceptions.get(wider, 0) == 0
            for wider in ((kind, major, ANY), (kind, ANY, minor), (kind, ANY, ANY))
        )
    }


def _skip_unless(register: int, number: int, body: bytes) -> bytes:
    """Return the body, for one number only."""
    skip = instruction(JUMP_NOT_EQUAL, dst=register, off=len(body) // SIZE, imm=number)
    return skip + body


def _request(access: int, body: bytes, *, allow: bool) -> bytes:
    """Return the body, for a request that matches the access of an exception.

    An exception that allows must cover the whole request; one that denies need only touch it.
    """
    if allow and access == EVERYTHING:
        return body
    bits = kernel_access(access)
    mask, skip = (0xFFFFFFFF & ~bits, JUMP_NOT_EQUAL) if allow else (bits, JUMP_EQUAL)
    return (
        instruction(MOVE_REG, dst=SCRATCH, src=REQUEST)
        + instruction(AND_IMM, dst=SCRATCH, imm=mask)
        + instruction(skip, dst=SCRATCH, off=len(body) // SIZE)
        + body
    )


def ranges(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Return the numbers as ranges (first, last), in their order."""
    joined: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if joined and joined[-1][1] == number - 1:
            joined[-1] = (joined[-1][0], number)
        else:
            joined.append((number, number))
    return joined


def _range(first: int, last: int, verdict: bytes) -> bytes:
    """Return the verdict, for a minor of a range only."""
    if first == last:
        return _skip_unless(MINOR, first, verdict)
    # One comparison, of the distance: two would leave a path on either side of the range.
    return (
        instruction(MOVE_REG, dst=SCRATCH, src=MINOR)
        + instruction(ADD_IMM, dst=SCRATCH, imm=-first & 0xFFFFFFFF)
        + instruction(JUMP_GREATER, dst=SCRATCH, off=len(verdict) // SIZE, imm=last - first)
        + verdict
    )


def _minors(minors: Minors, *, allow: bool) -> list[bytes]:
    """Return code for the exceptions of one major, in pieces that can be jumped over."""
    verdict = VERDICTS[allow]
    pieces = []
    if ANY in minors:
        pieces.append(_request(minors[ANY], verdict, allow=allow))
    by_access: dict[int, list[int]] = {}
    for minor, access in minors.items():
        if minor != ANY:
            by_access.setdefault(access, []).append(minor)
    for access, numbers in by_access.items():
        listed = ranges(numbers)
        for start in range(0, len(listed), CHUNK):
            code = b"".join(_range(*one, verdict) for one in listed[start : start + CHUNK])
            pieces.append(_request(access, code, allow=allow))
    return pieces


def _major(major: int, minors: Minors, *, allow: bool) -> list[bytes]:
    """Return code for one major or any, in pieces that can be jumped over."""
    pieces = _minors(minors, allow=allow)
    if major == ANY:
        return pieces
    if not allow or minors.get(ANY) != EVERYTHING:
        pieces[-1] += VERDICTS[not allow]  # whatever else could match has come before
    return [_skip_unless(MAJOR, major, piece) for piece in pieces]


def _blocks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Put the pieces together to what can be jumped over."""
    block = b""
    for piece in pieces:
        if block and len(block) + len(piece) > REACH:
            yield block
            block = b""
        block += piece
    if block:
        yield block


def program(access: Access) -> bytes:
    rules = needed(access.exceptions)
    allow = not access.allow
    code = PROLOGUE
    every = rules.get(("c", ANY, ANY))
    if every is not None and rules.get(("b", ANY, ANY)) == every:
        # There are no other types.
        if allow and every == EVERYTHING:
            return VERDICTS[allow]
        code += _request(every, VERDICTS[allow], allow=allow)
        del rules["c", ANY, ANY], rules["b", ANY, ANY]
    for kind, number in TYPES.items():
        majors: dict[int, Minors] = {}
        for (type_, major, minor), bits in rules.items():
            if type_ == kind:
                majors.setdefault(major, {})[minor] = bits
        pieces = [
            piece
            for major in sorted(majors)  # ANY is the smallest
            for piece in _major(major, majors[major], allow=allow)
        ]
        code += b"".join(_skip_unless(TYPE, number, block) for block in _blocks(pieces))
    return code + VERDICTS[access.allow]
