# SPDX-License-Identifier: Apache-2.0
"""Rules of a profile that do not do what they seem to. PURE.

For ``pyrunc check``; nothing here is an error, and docs/security-warnings.md explains each.
"""

from __future__ import annotations

from pyrunc.errors import Problem
from pyrunc.seccomp import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyrunc.spec.model_linux import Seccomp, SyscallArg, SyscallRule

# Arguments of which the kernel takes the lower 32 bits, whatever the upper half of the register
# holds.
INT_ARGUMENTS = {
    "accept4": (0, 3),
    "bpf": (0, 2),
    "clone": (0,),
    "dup3": (0, 1, 2),
    "epoll_create1": (0,),
    "epoll_ctl": (0, 1, 2),
    "eventfd2": (0, 1),
    "execveat": (0, 4),
    "fcntl": (0, 1),
    "futex": (1, 2),
    "getsockopt": (0, 1, 2),
    "inotify_init1": (0,),
    "ioctl": (0, 1),
    "keyctl": (0,),
    "kill": (0, 1),
    "linkat": (0, 2, 4),
    "lseek": (0, 2),
    "madvise": (2,),
    "memfd_create": (1,),
    "mknod": (1, 2),
    "mknodat": (0, 2, 3),
    "open": (1, 2),
    "openat": (0, 2, 3),
    "perf_event_open": (1, 2, 3),
    "personality": (0,),
    "pidfd_open": (0, 1),
    "pidfd_send_signal": (0, 1, 3),
    "pipe2": (1,),
    "prctl": (0,),
    "prlimit64": (0, 1),
    "quotactl": (0, 2),
    "reboot": (0, 1, 2),
    "recvfrom": (0, 3),
    "renameat2": (0, 2, 4),
    "sched_setscheduler": (0, 1),
    "seccomp": (0, 1),
    "sendto": (0, 3, 5),
    "setns": (0, 1),
    "setsockopt": (0, 1, 2, 4),
    "signalfd4": (0, 3),
    "socket": (0, 1, 2),
    "socketpair": (0, 1, 2),
    "syslog": (0, 2),
    "tgkill": (0, 1, 2),
    "timerfd_create": (0, 1),
    "umount2": (1,),
    "unlinkat": (0, 2),
    "userfaultfd": (0,),
}

# Operators that a value with upper bits stops matching, and those that it begins to match.
LOST = ("SCMP_CMP_EQ", "SCMP_CMP_LT", "SCMP_CMP_LE")
GAINED = ("SCMP_CMP_NE", "SCMP_CMP_GT", "SCMP_CMP_GE")

UPPER = 0xFFFFFFFF << 32

# A call whose arguments a rule can judge, and its successor, whose arguments lie in memory.
SUCCESSORS = {"clone": "clone3", "openat": "openat2"}


def warnings(node: Seccomp | None, *, ignored: Sequence[str] = ()) -> list[Problem]:
    """Return warnings about a profile.

    `ignored` are the names that the compiler did not know (`Filter.report`).
    """
    if node is None:
        return []
    problems = list(_unknown(node, ignored))
    default = names.ACTIONS.get(node.default_action, names.ALLOW)
    fixed = {
        name: rule
        for rule in reversed(node.syscalls)
        if not rule.args and rule.action != node.default_action
        for name in rule.names
    }
    for rule in node.syscalls:
        problems += _shadowed(node, rule, fixed)
        for arg in rule.args:
            problems += _evadable(rule, arg, default)
            problems += _stray(arg)
    return problems + list(_succeeded(node))


def _unknown(node: Seccomp, ignored: Sequence[str]) -> Iterator[Problem]:
    for place, rule in enumerate(node.syscalls):
        unknown = [name for name in rule.names if name in ignored]
        if unknown:
            yield Problem(
                f"{node.pointer}/syscalls/{place}/names",
                "no such system calls are known; the rule has no effect on them [unknown-syscall]",
                value=", ".join(unknown),
            )


def _shadowed(node: Seccomp, rule: SyscallRule, fixed: dict[str, SyscallRule]) -> Iterator[Problem]:
    """Rules that another one without conditions makes void."""
    if rule.action == node.default_action:
        return
    void = [
        name
        for name in rule.names
        if name in fixed
        and fixed[name] is not rule
        and (fixed[name].action, fixed[name].errno_ret) != (rule.action, rule.errno_ret)
    ]
    if void:
        yield Problem(
            rule.pointer,
            f"has no effect on {', '.join(void)}: the rule without conditions at "
            f"{fixed[void[0]].pointer} outweighs it [shadowed-rule]",
        )


def _evadable(rule: SyscallRule, arg: SyscallArg, default: int) -> Iterator[Problem]:
    """Warn of 64-bit comparisons of 32-bit arguments.

    A garbage upper half turns them to the caller's advantage.
    """
    action = names.ACTIONS.get(rule.action, names.ALLOW)
    strict = names.strictness(action) < names.strictness(default)
    lenient = names.strictness(action) > names.strictness(default)
    masked_wide = arg.op == "SCMP_CMP_MASKED_EQ" and bool(arg.value & UPPER)
    weak = (strict and (arg.op in LOST or masked_wide)) or (lenient and arg.op in GAINED)
    if not weak:
        return
    for name in rule.names:
        if arg.index in INT_ARGUMENTS.get(name, ()):
            value = (arg.value_two or 0) if masked_wide else arg.value
            yield Problem(
                arg.pointer,
                f"{name} takes the lower 32 bits of argument {arg.index}, but {arg.op} compares "
                "64: a value with upper bits evades the rule [evadable-comparison]",
                value=str(arg.value),
                hint=_advice(arg.op, value),
            )


def _advice(op: str, value: int) -> str:
    if op in ("SCMP_CMP_EQ", "SCMP_CMP_MASKED_EQ"):
        return (
            f'use SCMP_CMP_MASKED_EQ with "value": {names.WORD}, "valueTwo": {value & names.WORD}'
        )
    if op in GAINED:
        return "list the permitted values with SCMP_CMP_MASKED_EQ, or refuse the others with it"
    return f'refuse upper bits too: SCMP_CMP_GT with "value": {names.WORD}'


def _stray(arg: SyscallArg) -> Iterator[Problem]:
    second = arg.value_two or 0
    if arg.op == "SCMP_CMP_MASKED_EQ" and second & ~arg.value:
        yield Problem(
            arg.pointer + "/valueTwo",
            "bits outside of the mask in value are not compared [stray-mask-bits]",
            value=hex(second & ~arg.value),
            hint="value is the mask, valueTwo what the masked argument must be",
        )


def _passes(action: str) -> bool:
    return names.ACTIONS.get(action) in (names.ALLOW, names.LOG)


def _succeeded(node: Seccomp) -> Iterator[Problem]:
    """Warn of a restricted call beside its successor that passes."""
    for name, successor in SUCCESSORS.items():
        rules = [
            rule
            for rule in node.syscalls
            if name in rule.names and rule.action != node.default_action
        ]
        if _passes(node.default_action):
            restricting = [rule for rule in rules if not _passes(rule.action)]
        elif any(_passes(rule.action) and not rule.args for rule in rules):
            restricting = []
        else:
            restricting = rules
        if restricting and _verdict_passes(node, successor):
            yield Problem(
                restricting[0].pointer,
                f"{successor} passes what this rule about {name} refuses, and its arguments lie in "
                "memory, where no filter can look [successor-passes]",
                hint=f'refuse {successor} with "errnoRet": 38: programs fall back to {name}',
            )


def _verdict_passes(node: Seccomp, name: str) -> bool:
    for rule in node.syscalls:
        if name in rule.names and not rule.args and rule.action != node.default_action:
            return _passes(rule.action)
    return _passes(node.default_action)
