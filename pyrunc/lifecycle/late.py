# SPDX-License-Identifier: Apache-2.0
"""The ops after the gate, kept in the state by `create` so that `start` can word a failure."""

from __future__ import annotations

from pyrunc.errors import InitError
from pyrunc.host import refusals
from pyrunc.init import failures

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pyrunc.init.plan import Plan


def to_record(plan: Plan) -> dict[str, Any]:
    """Return the ops after the gate, as far as `start` needs them to word a failure."""
    names = [op.NAME for op in plan.ops]
    first = names.index("wait_at_gate")
    return {
        "first": first,
        "ops": [
            {
                "name": op.NAME,
                "steps": list(op.STEPS),
                "what": op.action,
                "pointer": op.pointer,
                "path": getattr(op, "path", ""),
                "argv": list(getattr(op, "argv", ("",)))[:1],
                "timeoutMs": getattr(op, "timeout_ms", 0),
            }
            for op in plan.ops[first:]
        ],
    }


class LateOp:
    """An op restored from the state, with the attributes that the look-up of hints reads."""

    __slots__ = ("NAME", "STEPS", "action", "argv", "path", "pointer", "timeout_ms")

    def __init__(self, record: Mapping[str, Any]) -> None:
        self.NAME: str = record["name"]
        self.STEPS: list[str] = record["steps"]
        self.action: str = record["what"]
        self.pointer: str = record["pointer"]
        self.path: str = record.get("path", "")
        self.argv: list[str] = record.get("argv", [""])
        self.timeout_ms: int = record.get("timeoutMs", 0)


def find(late: Mapping[str, Any], op: int) -> LateOp | None:
    """Return the op with an index in the plan; None: it is none of the last ones."""
    index = op - int(late["first"])
    return LateOp(late["ops"][index]) if 0 <= index < len(late["ops"]) else None


def failure(late: Mapping[str, Any], op: int, step: int, errno: int, detail: bytes) -> InitError:
    """Return the error for a failure after the gate.

    The plan is gone, but its last ops are in the state.
    """
    failed = find(late, op)
    if failed is None:
        return InitError("cannot start the program", errno=errno)
    name = failed.STEPS[step] if step < len(failed.STEPS) else str(step)
    text = detail.rstrip(b"\0").decode("utf-8", "replace")
    told, refused = text, refusals.of_init(errno)
    message, number, text = failures.sentence(failed, name, errno, text, refused)
    return InitError(
        message,
        pointer=failed.pointer,
        op=failed.NAME,
        step=name,
        errno=number,
        hint=refusals.ADVICE if refused else failures.hint(failed.NAME, name, number, told),
        detail=text,
    )
