# SPDX-License-Identifier: Apache-2.0
"""The plan of `exec`: join a running container and become one more program of it. PURE.

The container is hostile: what the task needs is opened before it joins, nothing in the container
decides about rights, and it can be looked at or traced only when the program runs (JN-1 to JN-8).
"""

from __future__ import annotations

from pyrunc.init import (
    attributes,
    capabilities,
    exposure,
    labels,
    landlock,
    namespaces,
    ops,
    process,
    times,
)
from pyrunc.init import rootfs as roots
from pyrunc.init.context import Context
from pyrunc.init.plan import Plan
from pyrunc.spec.constants import NAMESPACES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyrunc.host.facts import Host
    from pyrunc.init.ops import Op
    from pyrunc.init.process import FilterLike
    from pyrunc.spec.model import Process
    from pyrunc.spec.model_linux import Linux

TARGET = 1  # the slot of the pidfd of the container's init
SOURCE = "process"


def compile_exec(
    wanted: Process,
    host: Host,
    *,
    joined: Iterable[str],
    linux: Linux,
    rootfs: str = "",
    annotations: dict[str, str] | None = None,
    tasks: int = 0,
    attached: bool = False,
    seccomp: FilterLike | None = None,
    oom_score_adj: int | None = None,
    listen_fds: int = 0,
    preserve_fds: int = 0,
    no_new_keyring: bool = False,
    console: bool | None = None,
    traced: bool = False,
) -> Plan:
    """Compile the whole plan.

    `joined` are the kinds of namespaces that the container does not share with the caller, `linux`
    the container's configuration, `rootfs` its root where it has no mount namespace. The parent
    hands over the pidfd and then `tasks` cgroup files; a cgroup2 it enters for the init when it
    starts it. `attached`: it moves the init at a rendezvous instead. `oom_score_adj` is the
    container's, for a process that has none.
    """
    context = settle(
        host, linux, frozenset(joined), tasks=tasks + traced, annotations=annotations or {}
    )
    process.check(context, wanted)
    labels.check(context, wanted)
    terminal = bool(wanted.terminal) if console is None else console
    environment = process.Environment(wanted.env, listen_fds=listen_fds)
    score = oom_score_adj if wanted.oom_score_adj is None else wanted.oom_score_adj
    context.forks_late = exposure.executed_late(context, wanted)
    early, late, proc = _label_proc(context, wanted)
    planned = times.trace_times(2 + tasks if traced else 0)
    planned += namespaces.begin(context, oom_score_adj=score, pointer="/oomScoreAdj")
    planned += early
    planned += process.lend_stdio(context, wanted)
    planned += _enter(context, tasks=tasks, attached=attached, rootfs=rootfs)
    planned += late
    planned += _session(wanted, proc=proc, context=context, keyring=not no_new_keyring)
    planned += attributes.umask(wanted)
    if terminal:
        planned += process.console(wanted, bind=False, take=not context.forks_late)
    planned += attributes.affinity(context, wanted)
    planned += attributes.scheduling(context, wanted)
    planned += attributes.memory_and_domain(context, linux)
    planned += labels.program(context, wanted, proc=proc)
    planned += process.enter_cwd(wanted, create=False, retry_later=True)
    planned += process.stdio(context, wanted)
    sets = capabilities.resolve(context, wanted)
    planned += attributes.limits(context, wanted)
    planned += process.credentials(context, wanted, sets, seccomp)
    last = process.enter_cwd(wanted, create=False, retry_later=False)
    last += process.look_up(wanted, environment)
    last += landlock.plan(context, wanted, annotations or {})
    filtered = process.filter_ops(wanted, sets, seccomp)
    if context.forks_late:
        enter = _enter_cgroups(tasks, attached=attached)
        early = filtered if exposure.filters_early(wanted, seccomp) else []
        last = exposure.appear(wanted, last, early, terminal=terminal, enter=enter)
        filtered = [] if early else filtered
    planned += last
    listens = seccomp is not None and seccomp.listener
    planned.append(process.close_descriptors(listen_fds + preserve_fds))
    planned += [*namespaces.open_up(context), *filtered] if listens else []
    planned.append(process.ready())
    planned += [] if listens else filtered
    planned.append(process.execute(wanted, environment, preserved=listen_fds + preserve_fds))
    context.finish()
    return Plan(
        planned,
        objects=("process", *("tasks",) * tasks, *((times.OBJECT,) if traced else ())),
        rlimits=attributes.rlimits(context, wanted),
        warnings=context.warnings,
    )


def settle(
    host: Host,
    linux: Linux,
    joined: frozenset[str],
    *,
    tasks: int = 0,
    annotations: dict[str, str],
    source: str = SOURCE,
) -> Context:
    """Return the context of a task that joins a container; slots begin after the objects."""
    context = Context(host, source=source, objects=1 + tasks)
    context.joined = joined
    if "user" in joined:
        context.uid_mappings, context.gid_mappings = linux.uid_mappings, linux.gid_mappings
        context.root_uid = namespaces.mapped_root(linux.uid_mappings)
        context.root_gid = namespaces.mapped_root(linux.gid_mappings)
        context.setgroups = not namespaces.denies_setgroups(linux, host)
    elif host.in_userns:
        context.setgroups = not host.setgroups_denied
    if namespaces.keeps_groups(annotations):
        context.setgroups, context.keep_groups = False, True
    return context


def _enter(context: Context, *, tasks: int, attached: bool, rootfs: str) -> list[Op]:
    """Plan to enter all namespaces at once or none, as the container's root (JN-2, JN-3).

    The cgroups come after the fork: the container may be at its limit of processes, which counts
    who forks there and not who enters. A caller who may not move the container's root, as the
    systemd of a user does not, moves itself before it becomes that root.
    """
    enter = _enter_cgroups(tasks, attached=attached)
    planned = namespaces.drop_groups(context)
    if context.joined:
        planned.append(join_container(context.joined))
    planned.append(ops.CloseSlot(slot=TARGET))
    if rootfs and not context.has("mount"):
        planned.append(roots.chroot(rootfs))
    if context.forks_late:
        return [*planned, *namespaces.become_root(context)]
    become, fork = namespaces.become_root(context), _fork(context)
    if namespaces.caller_is_root(context):
        return [*planned, *become, *fork, *enter]
    return [*planned, *fork, *enter, *become]


def _enter_cgroups(tasks: int, *, attached: bool) -> list[Op]:
    if tasks:
        action = "enter the container's cgroups"
        return [ops.JoinCgroup(slot=TARGET + 1, count=tasks, action=action)]
    if attached:
        action = "wait for the parent to move this process into the container's cgroup"
        return [ops.Await(name=ops.RENDEZVOUS_CGROUPS, slot=0, count=0, action=action)]
    return []


def join_container(kinds: Iterable[str]) -> Op:
    """Join namespaces of the container's first process, all of them or none."""
    ordered = sorted(kinds, key=list(NAMESPACES).index)
    action = f"join the container's namespaces ({', '.join(ordered)})"
    return ops.JoinProcess(slot=TARGET, flags=namespaces.flags(ordered), action=action)


def become_process(context: Context) -> list[Op]:
    """After the join: its root user, and a process inside its pid and time namespaces."""
    return [*namespaces.become_root(context), *_fork(context)]


def _fork(context: Context) -> list[Op]:
    if context.has("pid") or context.has("time"):
        return [ops.Fork(cgroup=0, action="start a process in the container")]
    return []


def _label_proc(context: Context, wanted: Process) -> tuple[list[Op], list[Op], int]:
    """Ops before the join, ops after it, and the slot of a procfs for the label files.

    A container with a user namespace masks parts of /proc, so that the kernel gives no new one
    there; with privilege a detached one of the host's side serves.
    """
    if not labels.wanted(wanted):
        return [], [], 0
    slot = context.slot()
    action = "open /proc for security labels"
    if context.host.rootless:
        return [ops.OpenProc(slot=slot, kind=ops.PROC_HOST, action=action)], [], slot
    new = [ops.OpenProc(slot=slot, kind=ops.PROC_PIDS, action=action)]
    before = context.userns or context.forks_late  # it shows who is in the pid namespace
    return (list(new), [], slot) if before else ([], list(new), slot)


def _session(wanted: Process, *, proc: int, context: Context, keyring: bool) -> list[Op]:
    planned = labels.keyring(wanted, proc=proc, begin=True) if keyring else []
    planned += namespaces.session(context, keyring=keyring)
    planned += labels.keyring(wanted, proc=proc, begin=False) if keyring else []
    return planned
