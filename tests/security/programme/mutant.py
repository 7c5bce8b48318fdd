# SPDX-License-Identifier: Apache-2.0
"""S8's front end: pyrunc with one mutation of the plan that its planner has made.

Usage: mutant.py "INDEX KIND BLUNT" LIST PROGRAM ARGUMENT...
KIND is none, drop, double, move, or FIELD:BIT. An op named BLUNT keeps all that it should take
away. The ops are written to LIST, one a line. It gives itself a mount namespace: a plan without one
changes the caller's. LIST.own has its own ones.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

TREE = Path(__file__).resolve().parents[3]
# linux/sched.h: CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWNET
NEW_NAMES = 0x04000000 | 0x08000000 | 0x40000000
PYTHON = f"python{sys.version_info[0]}.{sys.version_info[1]}"
sys.path[:0] = [str(TREE), str(TREE / f".venv/lib/{PYTHON}/site-packages")]

from pyrunc.__main__ import main  # noqa: E402
from pyrunc.init.plan import Plan  # noqa: E402
from tests.support import machine  # noqa: E402


def mutated(ops: tuple[Any, ...], index: int, kind: str) -> tuple[Any, ...]:
    """The ops with one mutation."""
    if kind == "none":
        return ops
    head, op, tail = ops[:index], ops[index], ops[index + 1 :]
    if kind == "drop":
        return head + tail
    if kind == "double":
        return (*head, op, op, *tail)
    if kind == "move":  # behind the next one
        return (*head, *tail[:1], op, *tail[1:])
    field, _, bit = kind.partition(":")
    setattr(op, field, getattr(op, field) ^ 1 << int(bit))
    return ops


def line(op: Any) -> str:
    """An op and its numbers, from which the mutations follow."""
    words = [op.NAME, op.pointer or "-"]
    for field in op.FIELDS:
        value = getattr(op, field)
        if isinstance(value, int):
            words.append(f"{field}={value}")
    return " ".join(words)


def patch(spec: str, listing: str) -> None:
    """Let every plan be encoded with the mutation."""
    index, kind, blunt = spec.split()
    encode = Plan.encode

    def encode_mutated(plan: Plan) -> bytes:
        Path(listing).write_text("\n".join(line(op) for op in plan.ops) + "\n")
        for op in plan.ops:
            if str(op.NAME) == blunt:
                setattr(op, "keep", (1 << 64) - 1)  # noqa: B010
        plan.ops = mutated(plan.ops, int(index), kind)
        return encode(plan)

    setattr(Plan, "encode", encode_mutated)  # noqa: B010


if __name__ == "__main__":
    # A mutant without its unshare changes what it is in: let that be ours alone.
    machine.check(machine.LIBC.unshare(machine.CLONE_NEWNS | NEW_NAMES), "unshare")
    machine.mount("none", "/", flags=machine.MS_REC | machine.MS_PRIVATE)
    links = [os.readlink(f"/proc/self/ns/{name}") for name in os.listdir("/proc/self/ns")]
    Path(f"{sys.argv[2]}.own").write_text("\n".join(links))
    patch(sys.argv[1], sys.argv[2])
    del sys.argv[1:3]
    sys.argv = sys.argv[1:]
    main()
