# SPDX-License-Identifier: Apache-2.0
"""When a task appears in a pid namespace of others: as late as it can, with few rights left. PURE.

A process there that has CAP_SYS_PTRACE may trace whatever it sees, dumpable or not, if the init was
executed in the same user namespace (kernel: __ptrace_may_access asks in the one of the tracee's
memory). setns(2) of a pid namespace is for children, so nobody sees the task until it forks. All
that needs the host's powers therefore comes before the fork, and the fork comes after the last
capability was given up (D2.19). Decision 064 has what this costs.
"""

from __future__ import annotations

from pyrunc.init import hooks, ops
from pyrunc.init.process import take_terminal
from pyrunc.spec.constants import SCHEDULER_FLAGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.init.context import Context
    from pyrunc.init.ops import Op
    from pyrunc.init.process import FilterLike
    from pyrunc.spec.model import Config, Process

RESETS_ON_FORK = "SCHED_FLAG_RESET_ON_FORK"
assert RESETS_ON_FORK in SCHEDULER_FLAGS


def exposed(context: Context) -> bool:
    """Tell whether processes of a pid namespace that is joined may trace a task in it."""
    return "pid" in context.joined and not context.userns


def created_late(config: Config) -> bool:
    """Tell whether the first process of a container may be born with the container's rights.

    Hooks that run while the mounts are made are told its pid. In a cgroup for one process the
    fork must come before the cgroup is entered.
    """
    paths = {entry.type: entry.path for entry in config.linux.namespaces}
    resources = config.linux.resources
    pids = resources.pids if resources is not None else None
    return (
        bool(paths.get("pid"))
        and "user" not in paths
        and not hooks.while_mounting(config)
        and (pids is None or pids.limit != 1)
        and _survives_fork(config.process)
    )


def executed_late(context: Context, process: Process) -> bool:
    """Tell whether a process of `exec` is born with its own rights."""
    return exposed(context) and _survives_fork(process)


def _survives_fork(process: Process) -> bool:
    """Whether a child has the scheduler of its parent (kernel: sched_fork refuses a deadline)."""
    wanted = process.scheduler
    if wanted is None:
        return True
    return wanted.policy != "SCHED_DEADLINE" and RESETS_ON_FORK not in wanted.flags


def create_filters_early(context: Context, config: Config, filter: FilterLike | None) -> bool:
    """As `filters_early`; the hooks of `start` need a filter that is not in force yet."""
    if not context.forks_late or (config.hooks is not None and config.hooks.start_container):
        return False
    return filters_early(config.process, filter)


def filters_early(process: Process, filter: FilterLike | None) -> bool:
    """Tell whether the filter must be loaded before the fork, and lets pass what comes after it.

    Without no_new_privs it needs CAP_SYS_ADMIN, which the child shall not have.
    """
    if filter is None or process.no_new_privileges or filter.listener:
        return False
    return filter.lets_fork


def appear(
    process: Process,
    last: list[Op],
    filtered: list[Op],
    *,
    terminal: bool,
    enter: Sequence[Op] = (),
) -> list[Op]:
    """Fork, and do what only the process itself can do.

    It enters the cgroups of `enter`, and has its own session with the terminal. The look-ups of
    `last` come after it, since /proc/self is the child's, but before a filter that is `filtered`.
    """
    planned: list[Op] = [*last, *filtered] if filtered else []
    planned.append(ops.Fork(cgroup=0, action="start a process in the container's pid namespace"))
    planned += [*enter, ops.SetSession(action="start a new session")]
    planned += [take_terminal(process)] if terminal else []
    return planned if filtered else [*planned, *last]
