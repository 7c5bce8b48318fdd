# SPDX-License-Identifier: Apache-2.0
"""Classic BPF: the instructions that filters are made of (linux/bpf_common.h). PURE."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    Instruction = tuple[int, int, int, int]  # struct sock_filter: code, jt, jf, k

INSTRUCTION_SIZE = 8  # sizeof(struct sock_filter)
MAX_INSTRUCTIONS = 4096  # BPF_MAXINSNS

LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
AND = 0x54  # BPF_ALU | BPF_AND | BPF_K
JUMP = 0x05  # BPF_JMP | BPF_JA
JUMP_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
JUMP_ABOVE = 0x25  # BPF_JMP | BPF_JGT | BPF_K
JUMP_AT_LEAST = 0x35  # BPF_JMP | BPF_JGE | BPF_K
RETURN = 0x06  # BPF_RET | BPF_K
