# SPDX-License-Identifier: Apache-2.0
"""Classic BPF as seccomp(2) runs it: decoding, checking, running. PURE.

`refusals` asks it for the verdict of the original filter, and the tests compare it with the kernel
and with the meaning of the profile. It knows the whole instruction set that the kernel accepts for
seccomp (seccomp_check_filter).
"""

from __future__ import annotations

import struct

from pyrunc.seccomp.opcodes import INSTRUCTION_SIZE, JUMP, LOAD, MAX_INSTRUCTIONS, RETURN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyrunc.seccomp.opcodes import Instruction

FORMAT = "HBBI"  # struct sock_filter: code, jt, jf, k
DATA_SIZE = 64  # struct seccomp_data: nr, arch, instruction_pointer, args
SCRATCH = 16  # BPF_MEMWORDS
MASK = 0xFFFFFFFF

LD_ABS, RET_K, JA = LOAD, RETURN, JUMP
LD_LEN, LDX_LEN, LD_IMM, LDX_IMM = 0x80, 0x81, 0x00, 0x01
LD_MEM, LDX_MEM, ST, STX = 0x60, 0x61, 0x02, 0x03
RET_A, TAX, TXA, NEG = 0x16, 0x07, 0x87, 0x84

# The operation bits of ALU (0x04) and JMP (0x05) instructions; bit 3 (0x08) takes X instead of k.
ALU: dict[int, Callable[[int, int], int | None]] = {
    0x00: lambda a, b: a + b,
    0x10: lambda a, b: a - b,
    0x20: lambda a, b: a * b,
    0x30: lambda a, b: a // b if b else None,
    0x40: lambda a, b: a | b,
    0x50: lambda a, b: a & b,
    0x60: lambda a, b: a << (b & 31),
    0x70: lambda a, b: a >> (b & 31),
    0xA0: lambda a, b: a ^ b,
}
JUMPS: dict[int, Callable[[int, int], bool]] = {
    0x10: lambda a, b: a == b,
    0x20: lambda a, b: a > b,
    0x30: lambda a, b: a >= b,
    0x40: lambda a, b: a & b != 0,
}


class InvalidProgram(ValueError):
    """The kernel would refuse to load this."""


def decode(program: bytes) -> list[Instruction]:
    if len(program) % INSTRUCTION_SIZE:
        raise InvalidProgram(f"{len(program)} bytes are no whole number of instructions")
    return [(code, jt, jf, k) for code, jt, jf, k in struct.iter_unpack("=" + FORMAT, program)]


def encode(instructions: Sequence[Instruction]) -> bytes:
    flat = [field for instruction in instructions for field in instruction]
    return struct.pack("=" + FORMAT * len(instructions), *flat)


def check(instructions: Sequence[Instruction]) -> None:
    """Raise what the kernel would: size, known codes, loads, jumps, a return at the end."""
    size = len(instructions)
    if not 0 < size <= MAX_INSTRUCTIONS:
        raise InvalidProgram(f"{size} instructions")
    if instructions[-1][0] not in (RET_K, RET_A):
        raise InvalidProgram("no return at the end")
    for place, instruction in enumerate(instructions):
        wrong = _fault(instruction, size - place - 1)
        if wrong:
            raise InvalidProgram(f"{wrong} at {place}: code {instruction[0]:#x}")


def _fault(instruction: Instruction, behind: int) -> str:
    """Return what is wrong with an instruction that has this many behind it."""
    code, jt, jf, k = instruction
    if code & 0x07 == 0x05:
        if code != JA and code & 0xF0 not in JUMPS:
            return "unknown jump"
        return "jump outside of the program" if (k if code == JA else max(jt, jf)) >= behind else ""
    if code & 0x07 == 0x04:
        return "" if code == NEG or code & 0xF0 in ALU else "unknown operation"
    if code == LD_ABS:
        return "load outside of the data" if k % 4 or k >= DATA_SIZE else ""
    if code in (LD_MEM, LDX_MEM, ST, STX):
        return "scratch word that does not exist" if k >= SCRATCH else ""
    known = code in (LD_LEN, LDX_LEN, LD_IMM, LDX_IMM, RET_K, RET_A, TAX, TXA)
    return "" if known else "unknown instruction"


def data(number: int, arch: int, args: Sequence[int] = (), *, high_first: bool = False) -> bytes:
    """struct seccomp_data of a call; missing arguments are 0.

    With `high_first` the words of 64-bit fields stand as on a big-endian machine.
    """
    words = [number & MASK, arch, 0, 0]
    for arg in [*args, 0, 0, 0, 0, 0, 0][:6]:
        words += (arg >> 32, arg & MASK) if high_first else (arg & MASK, arg >> 32)
    return struct.pack("=16I", *words)


def run(instructions: Sequence[Instruction], call: bytes) -> int:
    """Return what the program returns for a struct seccomp_data."""
    words = struct.unpack("=16I", call)
    memory = [0] * SCRATCH
    accumulator = index = place = 0
    while True:
        code, jt, jf, k = instructions[place]
        place += 1
        kind = code & 0x07
        if code == LD_ABS:
            accumulator = words[k >> 2]
        elif code == JA:
            place += k
        elif kind == 0x05:
            operand = index if code & 0x08 else k
            place += jt if JUMPS[code & 0xF0](accumulator, operand) else jf
        elif code == RET_K:
            return k
        elif code == RET_A:
            return accumulator
        elif code == NEG:
            accumulator = -accumulator & MASK
        elif kind == 0x04:
            result = ALU[code & 0xF0](accumulator, index if code & 0x08 else k)
            if result is None:
                return 0  # the kernel answers a division by zero with 0: kill
            accumulator = result & MASK
        else:
            accumulator, index = _move(code, k, accumulator, index, memory)


def _move(code: int, k: int, accumulator: int, index: int, memory: list[int]) -> tuple[int, int]:
    """Do loads of constants and scratch words, stores, and transfers between the registers."""
    if code == ST:
        memory[k] = accumulator
    elif code == STX:
        memory[k] = index
    elif code in (LD_IMM, LD_LEN, LD_MEM, TXA):
        accumulator = {LD_IMM: k, LD_LEN: DATA_SIZE, TXA: index}.get(code, memory[k % SCRATCH])
    else:
        index = {LDX_IMM: k, LDX_LEN: DATA_SIZE, TAX: accumulator}.get(code, memory[k % SCRATCH])
    return accumulator, index
