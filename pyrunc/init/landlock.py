# SPDX-License-Identifier: Apache-2.0
"""Landlock: the domain of the annotation `org.pyrunc.landlock`, for create and exec. PURE.

The rule set is built and entered by the program's user, inside the root and after the last look-up:
what comes then opens nothing. The filter of linux.seccomp comes later, so that it need not allow
Landlock's calls. startContainer hooks run in the domain, as they run under the filter.
"""

from __future__ import annotations

from pyrunc.init import ops
from pyrunc.spec import landlock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyrunc.init.context import Context
    from pyrunc.init.ops import Op
    from pyrunc.spec.model import Process

LOG_NEW_EXEC_ON = 2  # LANDLOCK_RESTRICT_SELF_LOG_NEW_EXEC_ON


def plan(context: Context, process: Process, annotations: Mapping[str, str]) -> list[Op]:
    """Return the ops; none without the annotation. Problems go to the context."""
    text = annotations.get(landlock.ANNOTATION)
    if text is None:
        return []
    domain = landlock.parse(text, abi=context.host.landlock, report=context.problem)
    if not process.no_new_privileges:
        context.problem(
            f"{process.pointer}/noNewPrivileges",
            f"must be true for the annotation {landlock.ANNOTATION}",
            hint="a program that gains privileges would leave what the domain means to keep in",
        )
    if domain is None:
        return []
    slot, handled = context.slot(), domain.handled
    made = ops.CreateRuleset(
        slot=slot,
        fs=handled[landlock.FS],
        net=handled[landlock.NET],
        scoped=handled[landlock.SCOPED],
        pointer=landlock.POINTER,
        action="make the Landlock rule set",
    )
    return [
        made,
        *(_allow(rule, slot) for rule in domain.rules),
        ops.RestrictSelf(
            slot=slot,
            flags=LOG_NEW_EXEC_ON if domain.log else 0,
            pointer=landlock.POINTER,
            action="enter the Landlock domain",
        ),
    ]


def _allow(rule: landlock.Rule, slot: int) -> Op:
    if rule.path:
        rights = landlock.names(landlock.FS, rule.access)
        return ops.AllowPath(
            slot=slot,
            path=rule.path,
            access=rule.access,
            pointer=rule.pointer,
            action=f"allow {rights} below {rule.path} (Landlock)",
        )
    rights = landlock.names(landlock.NET, rule.access)
    return ops.AllowPort(
        slot=slot,
        port=rule.port,
        access=rule.access,
        pointer=rule.pointer,
        action=f"allow {rights} on port {rule.port} (Landlock)",
    )
