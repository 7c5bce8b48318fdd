# SPDX-License-Identifier: Apache-2.0
"""Attributes of a process that are not rights, such as umask, scheduling and limits. PURE."""

from __future__ import annotations

from pyrunc.init import ops
from pyrunc.spec.constants import (
    CAPABILITIES,
    IO_CLASS_SHIFT,
    IO_CLASSES,
    MEMORY_POLICIES,
    MEMORY_POLICY_FLAGS,
    PERSONALITIES,
    PERSONALITY_FLAGS,
    RLIMITS,
    SCHEDULER_FLAGS,
    SCHEDULER_POLICIES,
)
from pyrunc.spec.readers import is_decimal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.init.context import Context
    from pyrunc.init.ops import Op
    from pyrunc.spec.model import Process, Scheduler
    from pyrunc.spec.model_linux import Linux, MemoryPolicy, Personality

UNLIMITED = 2**64 - 1  # RLIM_INFINITY
CAP_SYS_RESOURCE = CAPABILITIES["CAP_SYS_RESOURCE"]
DEFAULT_UMASK = 0o022
MAX_NUMBER = 16384  # processors or nodes: what a bit mask of 2 KiB holds
WORD = 8  # the kernel wants whole words


def number_mask(text: str) -> bytes | None:
    """Parse a list such as `0-3,7`, `0-15:2/4` or `all` to a bit mask of whole words.

    None when the text is no list.
    """
    mask = 0
    for part in text.split(","):
        bits = _range_mask(part.strip(" "))
        if not bits:
            return None
        mask |= bits
    size = -(-mask.bit_length() // (8 * WORD)) * WORD
    return mask.to_bytes(size, "little")


def _range_mask(part: str) -> int:
    """Return the bits of one range (kernel: bitmap_parselist).

    `A-B:used/group` takes the first `used` of each `group`.
    """
    if part == "all":
        return (1 << 8 * WORD) - 1
    ends, _, stride = part.partition(":")
    first, dash, last = ends.partition("-")
    used, _, group = stride.partition("/")
    numbers = [first, *([last] if dash else []), *([used, group] if stride else [])]
    if not all(is_decimal(number, digits=5) for number in numbers):
        return 0
    low, high = int(first), int(last) if dash else int(first)
    if not low <= high < MAX_NUMBER:
        return 0
    if not stride:
        return (1 << high + 1) - (1 << low)
    step, width = int(group), int(used)
    if not 0 < width <= step:
        return 0
    return sum(1 << bit for bit in range(low, high + 1) if (bit - low) % step < width)


def umask(process: Process) -> list[Op]:
    mask = process.user.umask
    return [ops.SetUmask(mask=DEFAULT_UMASK if mask is None else mask, action="set the umask")]


def affinity(context: Context, process: Process) -> list[Op]:
    """For `exec`: the processors given, else every processor that the cgroup's cpuset has."""
    wanted = process.exec_cpu_affinity
    if wanted is None or not (wanted.initial or wanted.final):
        return [reset_affinity()]
    if not wanted.final:
        return []  # the parent set the initial one
    pointer = wanted.pointer + "/final"
    mask = b"" if wanted.final == "all" else number_mask(wanted.final)
    if mask is None:
        context.problem(pointer, "no list of processors", value=wanted.final, allowed="0-3,7")
        return []
    action = f"run on the processors {wanted.final}"
    return [ops.SetAffinity(mask=mask, pointer=pointer, action=action)]


def reset_affinity() -> Op:
    """Without this the program would inherit the processors that the caller happened to run on."""
    return ops.SetAffinity(mask=b"", action="run on every processor of the cpuset")


def initial_affinity(process: Process) -> bytes | None:
    """Return the mask that the parent gives the init of an `exec` before it enters the cgroup."""
    wanted = process.exec_cpu_affinity
    return number_mask(wanted.initial) if wanted is not None and wanted.initial else None


def scheduling(context: Context, process: Process) -> list[Op]:
    """Scheduler and I/O priority."""
    planned: list[Op] = []
    if process.scheduler is not None:
        planned.append(_scheduler(process.scheduler))
    wanted = process.io_priority
    if wanted is not None:
        value = IO_CLASSES[wanted.class_] << IO_CLASS_SHIFT | wanted.priority
        action = f"set the I/O priority {wanted.class_} {wanted.priority}"
        planned.append(ops.SetIoPriority(value=value, pointer=wanted.pointer, action=action))
    return planned


def _scheduler(wanted: Scheduler) -> Op:
    flags = 0
    for name in wanted.flags:
        flags |= SCHEDULER_FLAGS[name]
    return ops.SetScheduler(
        policy=SCHEDULER_POLICIES[wanted.policy],
        flags=flags,
        nice=wanted.nice or 0,
        priority=wanted.priority or 0,
        runtime=wanted.runtime or 0,
        deadline=wanted.deadline or 0,
        period=wanted.period or 0,
        pointer=wanted.pointer,
        action=f"set the scheduling policy {wanted.policy}",
    )


def memory_and_domain(context: Context, linux: Linux) -> list[Op]:
    """Personality and NUMA policy, before a filter could forbid the calls."""
    planned: list[Op] = []
    if linux.personality is not None:
        planned += _personality(linux.personality)
    if linux.memory_policy is not None:
        planned += _memory_policy(context, linux.memory_policy)
    return planned


def _personality(wanted: Personality) -> list[Op]:
    persona = PERSONALITIES[wanted.domain]
    for name in wanted.flags:
        persona |= PERSONALITY_FLAGS[name]
    action = f"set the personality {' '.join((wanted.domain, *wanted.flags))}"
    return [ops.SetPersonality(persona=persona, pointer=wanted.pointer, action=action)]


def _memory_policy(context: Context, wanted: MemoryPolicy) -> list[Op]:
    mode = MEMORY_POLICIES[wanted.mode]
    for name in wanted.flags:
        mode |= MEMORY_POLICY_FLAGS[name]
    nodes = number_mask(wanted.nodes) if wanted.nodes else b""
    if nodes is None:
        pointer = wanted.pointer + "/nodes"
        context.problem(pointer, "no list of nodes", value=wanted.nodes or "", allowed="0-3,7")
        return []
    action = f"set the memory policy {wanted.mode}"
    return [ops.SetMemoryPolicy(mode=mode, nodes=nodes, pointer=wanted.pointer, action=action)]


def rlimits(context: Context, process: Process) -> list[tuple[int, int, int]]:
    """Return (resource, soft, hard) for the parent, which sets them.

    The right to raise them is lost inside a user namespace, and low ones must not hurt the
    init.
    """
    if _limits_itself(context, process):
        return []
    return [(RLIMITS[entry.type], entry.soft, entry.hard) for entry in process.rlimits]


def limit_action(resource: int, soft: int, hard: int) -> str:
    """Return what fits "cannot ...": a limit by its name, and what it would be."""
    name = next(name for name, number in RLIMITS.items() if number == resource)
    words = ["unlimited" if value == UNLIMITED else str(value) for value in (soft, hard)]
    return f"set {name} to {'/'.join(words)}"


def limits(context: Context, process: Process) -> list[Op]:
    """Limits that the init sets itself, while its ids and rights are still the caller's."""
    if not _limits_itself(context, process):
        return []
    return [
        ops.SetLimit(
            resource=RLIMITS[entry.type],
            soft=entry.soft,
            hard=entry.hard,
            pointer=entry.pointer,
            action=limit_action(RLIMITS[entry.type], entry.soft, entry.hard),
        )
        for entry in process.rlimits
    ]


def _limits_itself(context: Context, process: Process) -> bool:
    """Without CAP_SYS_RESOURCE the kernel lets nobody set the limits of another user's process."""
    other = (process.user.uid, process.user.gid) != (context.root_uid, context.root_gid)
    return other and not context.host.permitted >> CAP_SYS_RESOURCE & 1
