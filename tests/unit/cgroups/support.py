# SPDX-License-Identifier: Apache-2.0
"""Helpers: hierarchies in a temporary directory, an eBPF interpreter."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

from pyrunc.cgroups.layout import Hierarchy
from pyrunc.cgroups.member import Cgroup
from pyrunc.cgroups.resources import convert
from tests.support.cgroups import resources

ALL_V1 = dict.fromkeys(
    [
        "cpu",
        "cpuacct",
        "cpuset",
        "memory",
        "devices",
        "freezer",
        "blkio",
        "pids",
        "hugetlb",
        "rdma",
        "net_cls",
        "net_prio",
    ],
    1,
)
ALL_V2 = dict.fromkeys(["cpu", "cpuset", "io", "memory", "pids", "hugetlb", "rdma", "misc"], 2)


def written(versions: dict[str, int], **properties: Any) -> list[tuple[str, str]]:
    """What the resources become on a host with these controllers."""
    default = 1 if 1 in versions.values() else 2
    found = convert.to_writes(resources(**properties), versions=versions, default=default)
    return [(write.file, write.value) for write in found]


def v1(**properties: Any) -> list[tuple[str, str]]:
    return written(ALL_V1, **properties)


def v2(**properties: Any) -> list[tuple[str, str]]:
    return written(ALL_V2, **properties)


def directory_member(
    root: Path, *, version: int, controllers: tuple[str, ...] = (), files: dict[str, str]
) -> Cgroup:
    """A member whose cgroup is an ordinary directory with captured kernel text in it."""
    group = root / "group"
    group.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (group / name).write_text(content)
    if "cgroup.controllers" in files:  # the top offers what the cgroup has
        (root / "cgroup.controllers").write_text(files["cgroup.controllers"])
    hierarchy = Hierarchy(
        name="" if version == 2 else ",".join(controllers),
        controllers=controllers,
        version=version,
        mount=str(root),
        device=os.stat(root).st_dev,
    )
    return Cgroup(hierarchy, parts=("group",), kept=0)


JUMPS = (0x05, 0x16, 0x26, 0x56)


def check_reachable(code: bytes) -> None:
    """What the kernel's check_cfg refuses: what nothing leads to, and leaving without an exit."""
    program = [struct.unpack_from("<BBhi", code, offset) for offset in range(0, len(code), 8)]
    reached: set[int] = set()
    waiting = [0]
    while waiting:
        at = waiting.pop()
        if at in reached:
            continue
        assert 0 <= at < len(program), f"a jump leaves the program, to {at}"
        reached.add(at)
        operation, _, offset, _ = program[at]
        if operation in JUMPS:
            assert offset >= 0, f"instruction {at} jumps back"
            waiting.append(at + 1 + offset)
        if operation not in (0x05, 0x95):
            waiting.append(at + 1)
    unreachable = sorted(set(range(len(program))) - reached)
    assert not unreachable, f"unreachable insn {unreachable[0]}"


class Machine:
    """As much of the eBPF machine as device programs use; anything else is an error."""

    def __init__(self, code: bytes) -> None:
        assert len(code) % 8 == 0
        self.program = [
            struct.unpack_from("<BBhi", code, offset) for offset in range(0, len(code), 8)
        ]

    def run(self, *, kind: int, access: int, major: int, minor: int) -> int:
        context = struct.pack("<III", kind | access << 16, major, minor)
        registers: list[int | None] = [None] * 11
        registers[1] = -1  # the context pointer
        counter = 0
        for _ in range(len(self.program) + 1):
            code, operands, offset, imm = self.program[counter]
            dst, src = operands & 15, operands >> 4
            counter += 1
            if code == 0x95:
                result = registers[0]
                assert result is not None
                return result
            counter += self._step(registers, code, dst, src, offset, imm, context)
        raise AssertionError("the program does not end")

    @staticmethod
    def _step(
        registers: list[int | None],
        code: int,
        dst: int,
        src: int,
        offset: int,
        imm: int,
        context: bytes,
    ) -> int:
        low = imm & 0xFFFFFFFF
        if code == 0x61:
            assert registers[src] == -1, "a load from something else than the context"
            registers[dst] = struct.unpack_from("<I", context, offset)[0]
            return 0
        if code == 0xB7:
            registers[dst] = imm
            return 0
        if code == 0xBC:
            registers[dst] = _known(registers, src) & 0xFFFFFFFF
            return 0
        if code == 0x05:
            return offset
        value = _known(registers, dst)
        if code == 0x54:
            registers[dst] = value & low
        elif code == 0x04:
            registers[dst] = (value + low) & 0xFFFFFFFF
        elif code == 0x74:
            registers[dst] = (value & 0xFFFFFFFF) >> imm
        elif code == 0x56:
            return offset if value & 0xFFFFFFFF != low else 0
        elif code == 0x16:
            return offset if value & 0xFFFFFFFF == low else 0
        elif code == 0x26:
            return offset if value & 0xFFFFFFFF > low else 0
        else:
            raise AssertionError(f"unknown instruction {code:#x}")
        return 0


def _known(registers: list[int | None], number: int) -> int:
    value = registers[number]
    assert value is not None, f"r{number} is read before it is written"
    assert value >= 0, "arithmetic on a pointer"
    return value
