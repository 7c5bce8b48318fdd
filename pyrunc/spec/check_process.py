# SPDX-License-Identifier: Apache-2.0
"""Rules of a process: environment, limits, capabilities, scheduling. Also for `exec --process`.

PURE.
"""

from __future__ import annotations

from pyrunc.spec.constants import CAPABILITIES, CAPABILITY_SETS, SCHEDULER_FLAGS
from pyrunc.spec.limits import MAX_LABEL, MAX_STRING, MAX_STRINGS
from pyrunc.spec.problems import Problems, show, suggestion

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.spec.model import Capabilities, Process, Rlimit, Scheduler


def check_process(process: Process, problems: Problems) -> None:
    pointer = process.pointer
    if not process.args and not problems.touches(pointer + "/args"):
        problems.add(pointer + "/args", "args must not be empty", allowed="the program to run")
    _cwd(process, problems)
    _strings(process, problems)
    if process.capabilities is not None:
        _capabilities(process.capabilities, problems)
    _rlimits(process.rlimits, problems)
    if process.scheduler is not None and process.scheduler.has("policy"):
        _scheduler(process.scheduler, problems)
    for name, label in (
        ("apparmorProfile", process.apparmor_profile),
        ("selinuxLabel", process.selinux_label),
    ):
        check_label(label, f"{pointer}/{name}", problems)
    affinity = process.exec_cpu_affinity
    if affinity is not None:
        check_list(affinity.initial, f"{pointer}/execCPUAffinity/initial", problems, of="CPUs")
        check_list(affinity.final, f"{pointer}/execCPUAffinity/final", problems, of="CPUs")


def _cwd(process: Process, problems: Problems) -> None:
    if not process.has("cwd"):
        return
    cwd, pointer = process.cwd, process.pointer + "/cwd"
    if cwd == "":
        problems.add(pointer, "Cwd property must not be empty", allowed="an absolute path")
    elif not cwd.startswith("/"):
        problems.add(pointer, "Cwd must be an absolute path", value=show(cwd), hint=f"use '/{cwd}'")


def _strings(process: Process, problems: Problems) -> None:
    """Refuse strings for which execve would return E2BIG, before anything is made."""
    total = 0
    for name, strings in (("args", process.args), ("env", process.env)):
        for index, text in enumerate(strings):
            size = len(text) if text.isascii() else len(text.encode())
            total += size + 1
            if size > MAX_STRING:
                problems.add(
                    f"{process.pointer}/{name}/{index}",
                    f"{size} bytes are too long",
                    allowed=f"at most {MAX_STRING}",
                )
    if total > MAX_STRINGS:
        problems.add(
            process.pointer,
            f"args and env of {total} bytes are too long",
            allowed=f"at most {MAX_STRINGS}",
        )
    check_environment(process.env, process.pointer + "/env", problems)


def check_environment(variables: tuple[str, ...], pointer: str, problems: Problems) -> None:
    for index, variable in enumerate(variables):
        at = variable.find("=")
        if at < 1:
            wrong = "missing '='" if at < 0 else "name cannot be empty"
            problems.add(
                f"{pointer}/{index}",
                f"invalid environment variable: {wrong}",
                value=show(variable),
                allowed="NAME=VALUE",
            )


def _capabilities(capabilities: Capabilities, problems: Problems) -> None:
    """Unknown names are warned of and dropped: engines pass names of newer kernels."""
    for kind in CAPABILITY_SETS:
        for index, name in enumerate(getattr(capabilities, kind) or ()):
            if name not in CAPABILITIES and not problems.crowded():
                problems.warn(
                    f"{capabilities.pointer}/{kind}/{index}",
                    f"unknown capability {show(name)} is ignored",
                    hint=suggestion(name, CAPABILITIES),
                )
    permitted = set(capabilities.permitted or ())
    inheritable = set(capabilities.inheritable or ())
    for index, name in enumerate(capabilities.ambient or ()):
        missing = [
            kind
            for kind, names in (("permitted", permitted), ("inheritable", inheritable))
            if name not in names
        ]
        if missing and name in CAPABILITIES:
            problems.warn(
                f"{capabilities.pointer}/ambient/{index}",
                f"{name} cannot be raised: it is not {' and not '.join(missing)}",
            )
    for index, name in enumerate(capabilities.effective or ()):
        if name in CAPABILITIES and name not in permitted:
            problems.add(
                f"{capabilities.pointer}/effective/{index}",
                f"{name} is effective but not permitted",
                hint="add it to permitted",
            )


def _rlimits(limits: tuple[Rlimit, ...], problems: Problems) -> None:
    seen: dict[str, str] = {}
    for limit in limits:
        if not limit.has("type"):
            continue
        if limit.type in seen:
            problems.add(
                limit.pointer + "/type",
                f"{limit.type} is already set by {seen[limit.type]}",
                hint="keep one of them",
            )
        else:
            seen[limit.type] = limit.pointer
        if limit.has("soft", "hard") and limit.soft > limit.hard:
            problems.add(
                limit.pointer + "/soft",
                f"the soft limit {limit.soft} is above the hard limit",
                allowed=f"at most {limit.hard}",
            )


def _scheduler(scheduler: Scheduler, problems: Problems) -> None:
    policy, pointer = scheduler.policy, scheduler.pointer
    realtime = policy in ("SCHED_FIFO", "SCHED_RR")
    priority = scheduler.priority or 0
    if realtime and not 1 <= priority <= 99:
        problems.add(
            pointer + "/priority", f"wrong priority {priority} for {policy}", allowed="1 to 99"
        )
    if not realtime and priority:
        problems.add(
            pointer + "/priority",
            f"a priority is only for SCHED_FIFO and SCHED_RR, not for {policy}",
            value=str(priority),
            allowed="0",
        )
    if policy == "SCHED_DEADLINE":
        _deadline(scheduler, problems)
        return
    for name in ("runtime", "deadline", "period"):
        if getattr(scheduler, name):
            problems.add(
                f"{pointer}/{name}",
                f"{name} is only for SCHED_DEADLINE, not for {policy}",
                allowed="0",
            )
    for index, flag in enumerate(scheduler.flags):
        if flag in ("SCHED_FLAG_RECLAIM", "SCHED_FLAG_DL_OVERRUN") and flag in SCHEDULER_FLAGS:
            problems.add(f"{pointer}/flags/{index}", f"{flag} is only for SCHED_DEADLINE")


def _deadline(scheduler: Scheduler, problems: Problems) -> None:
    """Check the kernel's rule: 0 < runtime <= deadline <= period; a period of 0 is the deadline."""
    runtime, deadline = scheduler.runtime or 0, scheduler.deadline or 0
    period = scheduler.period or deadline
    if not 0 < runtime <= deadline <= period:
        problems.add(
            scheduler.pointer,
            f"wrong times for SCHED_DEADLINE: runtime {runtime}, deadline {deadline}, "
            f"period {period}",
            allowed="0 < runtime <= deadline <= period",
        )


def check_label(label: str | None, pointer: str, problems: Problems) -> None:
    if label and len(label.encode()) > MAX_LABEL:
        problems.add(
            pointer, f"{len(label.encode())} bytes are too long", allowed=f"at most {MAX_LABEL}"
        )


def check_list(text: str | None, pointer: str, problems: Problems, *, of: str) -> None:
    """Check a list of CPUs or memory nodes such as `0-3,7` (kernel: bitmap_parselist)."""
    if text and not all(_is_range(part.strip(" ")) for part in text.split(",")):
        problems.add(
            pointer, f"not a list of {of}", value=show(text), allowed="numbers and ranges: 0-3,7"
        )


def _is_range(part: str) -> bool:
    if part == "all":
        return True
    ends, _, stride = part.partition(":")
    first, dash, last = ends.partition("-")
    if not _is_index(first) or (dash and not (_is_index(last) and int(first) <= int(last))):
        return False
    used, _, group = stride.partition("/")
    return not stride or (bool(dash) and _is_index(used) and _is_index(group))


def _is_index(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 7
