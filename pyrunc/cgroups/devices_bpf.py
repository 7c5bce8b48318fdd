# SPDX-License-Identifier: Apache-2.0
"""PURE: device rules -> the eBPF program of a cgroup2 (BPF_PROG_TYPE_CGROUP_DEVICE), as bytes.

The kernel calls the program with a pointer to struct bpf_cgroup_dev_ctx {u32 access_type; u32
major; u32 minor}: the low half of access_type is the type (1 block, 2 char), the high half the
requested access (1 mknod, 2 read, 4 write). It returns 1 to allow. Registers: r2 type, r3 access,
r4 major, r5 minor, r0 and r1 scratch.
"""

from __future__ import annotations

import struct

from pyrunc.cgroups.devices import ANY, EVERYTHING, MKNOD, READ, WRITE, Access

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
EXIT = 0x95

TYPES = {"b": 1, "c": 2}
ACCESS = ((MKNOD, 1), (READ, 2), (WRITE, 4))
TYPE, REQUEST, MAJOR, MINOR, SCRATCH, CONTEXT, RESULT = 2, 3, 4, 5, 1, 1, 0
INSTRUCTION = struct.Struct("<BBhi")


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


def _verdict(allow: bool) -> bytes:
    return instruction(MOVE_IMM, dst=RESULT, imm=int(allow)) + instruction(EXIT)


def _block(key: tuple[str, int, int], access: int, *, allow: bool) -> bytes:
    """Leave with the verdict if the request matches, else fall through to the next block."""
    kind, major, minor = key
    tests: list[tuple[int, int, int, int]] = [(JUMP_NOT_EQUAL_IMM, TYPE, 0, TYPES[kind])]
    before = b""
    if not (allow and access == EVERYTHING):
        before = instruction(MOVE_REG, dst=SCRATCH, src=REQUEST)
        before += instruction(AND_IMM, dst=SCRATCH, imm=kernel_access(access))
        # An exception that allows must cover the whole request; one that denies need only touch it.
        tests.append(
            (JUMP_NOT_EQUAL_REG, SCRATCH, REQUEST, 0) if allow else (JUMP_EQUAL_IMM, SCRATCH, 0, 0)
        )
    if major != ANY:
        tests.append((JUMP_NOT_EQUAL_IMM, MAJOR, 0, major))
    if minor != ANY:
        tests.append((JUMP_NOT_EQUAL_IMM, MINOR, 0, minor))
    end = _verdict(allow)
    code = before
    left = len(tests)
    for opcode, dst, src, imm in tests:
        left -= 1
        # Over the remaining tests and the two instructions of the verdict.
        code += instruction(opcode, dst=dst, src=src, off=left + 2, imm=imm)
    return code + end


def program(access: Access) -> bytes:
    blocks = [_block(key, bits, allow=not access.allow) for key, bits in access.exceptions.items()]
    return PROLOGUE + b"".join(blocks) + _verdict(access.allow)
