# SPDX-License-Identifier: Apache-2.0
"""linux.sysctl: written by a task in the container's namespaces.

What may be set is `spec.check_sysctl`'s (PS-6).

PURE.
"""

from __future__ import annotations

from pyrunc.errors import Problem
from pyrunc.init import ops
from pyrunc.spec.check_sysctl import sysctl_path, sysctl_problem
from pyrunc.spec.problems import join

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pyrunc.init.context import Context
    from pyrunc.init.ops import Op

POINTER = "/linux/sysctl"


def check(sysctls: Mapping[str, str], *, own: Collection[str]) -> list[Problem]:
    """List what is wrong with sysctls.

    `own` are the kinds of namespaces that the container does not share.
    """
    messages = ((name, sysctl_problem(name, value, own=own)) for name, value in sysctls.items())
    return [Problem(join(POINTER, name), message) for name, message in messages if message]


def write(context: Context, sysctls: Mapping[str, str]) -> list[Op]:
    """Through a procfs that is opened for nothing else (PS-2), while the host's is visible."""
    if not sysctls:
        return []
    context.problems += check(sysctls, own=context.new | context.joined)
    # A new procfs needs a pid namespace that the user namespace owns. /proc/sys shows the
    # namespaces of the task that looks, whatever procfs it is.
    kind = ops.PROC_FULL if context.owns("pid") else ops.PROC_HOST
    slot = context.slot()
    planned: list[Op] = [ops.OpenProc(slot=slot, kind=kind, action="open /proc/sys")]
    for name, value in sysctls.items():
        planned.append(
            ops.WriteProc(
                proc=slot,
                path="sys/" + sysctl_path(name),
                value=value,
                readback="",
                tolerate=0,
                pointer=join(POINTER, name),
                action=f'set sysctl "{name}" to "{value}"',
            )
        )
    return [*planned, ops.CloseSlot(slot=slot)]
