# SPDX-License-Identifier: Apache-2.0
"""The interpreter knows what the kernel accepts; the package costs nothing until it is needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pyrunc.seccomp import bpf

ALLOW = (bpf.RET_K, 0, 0, 0x7FFF0000)
KILL = (bpf.RET_K, 0, 0, 0)
LOAD = (bpf.LD_ABS, 0, 0, 0)


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ([], "0 instructions"),
        ([LOAD], "no return at the end"),
        ([ALLOW] * 4097, "4097 instructions"),
        ([(0x15, 1, 0, 5), ALLOW], "jump outside of the program at 0"),
        ([(0x15, 0, 255, 5), ALLOW, KILL], "jump outside of the program at 0"),
        ([(bpf.JA, 0, 0, 1), ALLOW], "jump outside of the program at 0"),
        ([(bpf.LD_ABS, 0, 0, 64), ALLOW], "load outside of the data at 0"),
        ([(bpf.LD_ABS, 0, 0, 2), ALLOW], "load outside of the data at 0"),
        ([(0x28, 0, 0, 0), ALLOW], "unknown instruction at 0"),
        ([(0xF5, 0, 0, 0), ALLOW], "unknown jump at 0"),
        ([(0xF4, 0, 0, 0), ALLOW], "unknown operation at 0"),
        ([(bpf.ST, 0, 0, 16), ALLOW], "scratch word that does not exist at 0"),
    ],
)
def test_what_the_kernel_would_not_load_is_refused(
    program: list[tuple[int, int, int, int]], reason: str
) -> None:
    """SC-3"""
    with pytest.raises(bpf.InvalidProgram, match=reason):
        bpf.check(program)


def test_half_an_instruction_is_refused() -> None:
    with pytest.raises(bpf.InvalidProgram, match="no whole number"):
        bpf.decode(bpf.encode([ALLOW]) + b"\0")


@pytest.mark.parametrize(
    ("middle", "result"),
    [
        ([(0x04, 0, 0, 5)], 12),  # +
        ([(0x14, 0, 0, 8)], 0xFFFFFFFF),  # -
        ([(0x24, 0, 0, 0x80000001)], 0x80000007),  # *
        ([(0x34, 0, 0, 2)], 3),  # /
        ([(0x44, 0, 0, 8)], 15),  # |
        ([(0x54, 0, 0, 5)], 5),  # &
        ([(0x64, 0, 0, 31)], 0x80000000),  # <<
        ([(0x74, 0, 0, 1)], 3),  # >>
        ([(0xA4, 0, 0, 1)], 6),  # ^
        ([(bpf.NEG, 0, 0, 0)], 0xFFFFFFF9),
        ([(bpf.TAX, 0, 0, 0), (bpf.LD_IMM, 0, 0, 1), (0x0C, 0, 0, 0)], 8),  # + x
        ([(bpf.LDX_IMM, 0, 0, 0), (0x3C, 0, 0, 0)], 0),  # / x, which is 0: the program ends
        ([(bpf.ST, 0, 0, 3), (bpf.LD_LEN, 0, 0, 0), (bpf.LDX_MEM, 0, 0, 3), (0x1C, 0, 0, 0)], 57),
        ([(bpf.LDX_LEN, 0, 0, 0), (bpf.STX, 0, 0, 0), (bpf.LD_MEM, 0, 0, 0)], 64),
        ([(bpf.LDX_IMM, 0, 0, 9), (bpf.TXA, 0, 0, 0)], 9),
        ([(bpf.LDX_IMM, 0, 0, 7), (0x1D, 1, 0, 0), KILL], 7),  # jump if equal to x
        ([(0x45, 0, 1, 8), ALLOW], 7),  # jump if bits are set
    ],
)
def test_instructions_compute_what_the_kernel_computes(
    middle: list[tuple[int, int, int, int]], result: int
) -> None:
    program = [LOAD, *middle, (bpf.RET_A, 0, 0, 0)]
    bpf.check(program)
    assert bpf.run(program, bpf.data(7, 0)) == result


def test_data_has_the_layout_of_the_kernel() -> None:
    little = bpf.data(5, 6, [0x1_0000_0002])
    assert little == b"\5\0\0\0\6\0\0\0" + bytes(8) + b"\2\0\0\0\1\0\0\0" + bytes(40)
    assert bpf.data(5, 6, [0x1_0000_0002], high_first=True)[16:24] == b"\1\0\0\0\2\0\0\0"


def test_importing_the_package_loads_nothing_else_until_there_is_a_profile() -> None:
    code = (
        "import sys, pyrunc.seccomp; assert pyrunc.seccomp.compile(None) is None;"
        "print(sorted(name for name in sys.modules if 'pyrunc' in name or 'cffi' in name))"
    )
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", "import sys; sys.path.insert(0, '.');" + code],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == "['pyrunc', 'pyrunc.seccomp']"
