# SPDX-License-Identifier: Apache-2.0
"""PURE: device rules -> the eBPF program of a cgroup2 (BPF_PROG_TYPE_CGROUP_DEVICE), as bytes.

The kernel calls the program with a pointer to struct bpf_cgroup_dev_ctx {u32 access_type; u32
major; u32 minor}: the low half of access_type is the type (1 block, 2 char), the high half the
requested access (1 mknod, 2 read, 4 write). It returns 1 to allow. Registers: r2 type, r3 access,
r4 major, r5 minor, r0 and r1 scratch.
"""

from __future__ import annotations

import struct

from pyrunc.cgroups.devices.rules import ANY, EVERYTHING, MKNOD, READ, WRITE, Access

TYPE_CHECKING = False

# Opcodes (include/uapi/linux/bpf.h): class | source | operation.
LOAD_WORD = 0x61  # dst = *(u32 *)(src + off)
MOVE_REG = 0xBC  # 32 bits; the upper half becomes zero
MOVE_IMM = 0xB7
AND_IMM = 0x54
SHIFT_RIGHT_IMM = 0x74
# 32 bits wide (Linux 5.1): the 64-bit ones sign-extend their immediate.
JUMP_NOT_EQUAL_IMM = 0x56
JUMP_NOT_EQUAL_REG = 0x5E
JUMP_EQUAL_IMM = 0x16
JUMP_EQUAL_REG = 0x1E
JUMP = 0x05
EXIT = 0x95

TYPES = {"b": 1, "c": 2}
ACCESS = ((MKNOD, 1), (READ, 2), (WRITE, 4))
TYPE, REQUEST, MAJOR, MINOR, SCRATCH, CONTEXT, RESULT = 2, 3, 4, 5, 1, 1, 0
INSTRUCTION = struct.Struct("<BBhi")
CHUNK = 2000  # exceptions: jumps reach 32767 instructions


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


def kernel_access(bits: int) -> int:
    return sum(there for here, there in ACCESS if bits & here)


# (opcode, dst, src, offset, immediate); the offset TO_VERDICT leads to the verdict of the chunk.
if TYPE_CHECKING:
    Line = tuple[int, int, int, int, int]
TO_VERDICT = -1


def _verdict(allow: bool) -> bytes:
    return instruction(MOVE_IMM, dst=RESULT, imm=int(allow)) + instruction(EXIT)


def _unless(opcode: int, register: int, value: int, body: list[Line]) -> list[Line]:
    """Return the body, skipped when the comparison holds."""
    return [(opcode, register, 0, len(body), value), *body]


def _request(access: int, *, allow: bool) -> list[Line]:
    """To the verdict when the request matches the access of an exception.

    One that allows must cover the whole request; one that denies need only touch it.
    """
    if allow and access == EVERYTHING:
        return [(JUMP, 0, 0, TO_VERDICT, 0)]
    found: list[Line] = [
        (MOVE_REG, SCRATCH, REQUEST, 0, 0),
        (AND_IMM, SCRATCH, 0, 0, kernel_access(access)),
    ]
    if allow:
        found.append((JUMP_EQUAL_REG, SCRATCH, REQUEST, TO_VERDICT, 0))
    else:
        found.append((JUMP_NOT_EQUAL_IMM, SCRATCH, 0, TO_VERDICT, 0))
    return found


def _number(register: int, number: int, body: list[Line]) -> list[Line]:
    """Return the body for one number, or for any."""
    if number == ANY:
        return body
    if len(body) == 1 and body[0][0] == JUMP:
        return [(JUMP_EQUAL_IMM, register, 0, TO_VERDICT, number)]
    return _unless(JUMP_NOT_EQUAL_IMM, register, number, body)


def _chunk(rules: dict[tuple[str, int, int], int], *, allow: bool) -> bytes:
    """Compare type and major once for all rules that share them.

    The kernel's verifier follows each branch, which is most of what a program costs a create.
    """
    rest = dict(rules)
    lines: list[Line] = []
    every = rest.get(("c", ANY, ANY))
    if every is not None and rest.get(("b", ANY, ANY)) == every:
        # There are no other types.
        lines += _request(every, allow=allow)
        del rest["c", ANY, ANY], rest["b", ANY, ANY]
    for kind, number in TYPES.items():
        majors: dict[int, list[Line]] = {}
        for (type_, major, minor), access in rest.items():
            if type_ == kind:
                body = _number(MINOR, minor, _request(access, allow=allow))
                majors.setdefault(major, []).extend(body)
        body = [line for major, found in majors.items() for line in _number(MAJOR, major, found)]
        if body:
            lines += _unless(JUMP_NOT_EQUAL_IMM, TYPE, number, body)
    last = len(lines)
    code = b"".join(
        instruction(code, dst=dst, src=src, imm=imm, off=last - at if off == TO_VERDICT else off)
        for at, (code, dst, src, off, imm) in enumerate(lines)
    )
    # Over the verdict, for a request that nothing has matched.
    return code + instruction(JUMP, off=2) + _verdict(allow)


def program(access: Access) -> bytes:
    rules = list(access.exceptions.items())
    chunks = [
        _chunk(dict(rules[start : start + CHUNK]), allow=not access.allow)
        for start in range(0, len(rules), CHUNK)
    ]
    return PROLOGUE + b"".join(chunks) + _verdict(access.allow)
