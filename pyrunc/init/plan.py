# SPDX-License-Identifier: Apache-2.0
"""A plan: the ops of one init, their encoding, their text, and words for their failures. PURE."""

from __future__ import annotations

from struct import pack

from pyrunc.errors import InitError
from pyrunc.init import explain, failures
from pyrunc.init.ops import DIGEST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.errors import Problem
    from pyrunc.init.mount_idmap import MountRequest
    from pyrunc.init.ops import Op

MAGIC = b"PYRUNC\0\1"
HEADER = 32


class Plan:
    """What one init does, and what its parent has to know about it.

    `objects` names the descriptors that the parent hands over at the start, in the order of their
    slots from 1. `requests` are the mounts that the parent makes at the rendezvous `mounts`;
    `mapped` are those, by their pointers, that it gets at the rendezvous `map` to map their ids;
    `rlimits` (resource, soft, hard) are set from outside when the init is ready. `host_mounts` is
    the directory below which mounts are made in the caller's own mount namespace, if any.
    """

    __slots__ = ("host_mounts", "mapped", "object_names", "ops", "requests", "rlimits", "warnings")

    def __init__(
        self,
        ops: Sequence[Op],
        *,
        objects: Sequence[str] = (),
        requests: Sequence[MountRequest] = (),
        mapped: Sequence[MountRequest] = (),
        rlimits: Sequence[tuple[int, int, int]] = (),
        warnings: Sequence[Problem] = (),
        host_mounts: str = "",
    ) -> None:
        self.ops = tuple(ops)
        self.object_names = tuple(objects)
        self.requests = tuple(requests)
        self.mapped = {request.pointer: request for request in mapped}
        self.rlimits = tuple(rlimits)
        self.warnings = tuple(warnings)
        self.host_mounts = host_mounts

    @property
    def objects(self) -> int:
        """How many descriptors the parent hands over at the start."""
        return len(self.object_names)

    def encode(self) -> bytes:
        """Encode the plan as the init reads it."""
        body = b"".join([op.encode() for op in self.ops])
        length = HEADER + len(body)
        return pack("<8sQIIII", MAGIC, DIGEST, length, len(self.ops), self.objects, 0) + body

    def explain(self) -> str:
        """One line per op: what really runs."""
        return explain.text(self)

    def failure(
        self, op: int, step: int, errno: int, detail: str = "", refused: str = ""
    ) -> InitError:
        """Return the error for a report {op, step, errno} of the init."""
        if not 0 <= op < len(self.ops):
            # Before the first op: the init refuses to start, or does not understand its plan.
            return InitError("cannot start the init", errno=errno, detail=detail)
        failed = self.ops[op]
        name = failed.STEPS[step] if 0 <= step < len(failed.STEPS) else str(step)
        told = detail
        message, errno, detail = failures.sentence(failed, name, errno, detail, refused)
        return InitError(
            message,
            pointer=failed.pointer,
            op=failed.NAME,
            step=name,
            errno=errno,
            hint=failures.hint(failed.NAME, name, errno, told),
            detail=detail,
        )
