# SPDX-License-Identifier: Apache-2.0
"""Rules of a seccomp profile. Whether a system call exists is the compiler's business. PURE."""

from __future__ import annotations

from pyrunc.errors import Problem
from pyrunc.spec.constants import SECCOMP_ERRNO_ACTIONS
from pyrunc.spec.problems import Problems, show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.spec.model import Process
    from pyrunc.spec.model_linux import Seccomp

NOTIFY = "SCMP_ACT_NOTIFY"
MAX_ERRNO = 4095  # kernel: a filter's larger value is cut to this one

# What the init calls between the filter and the program, the last without no_new_privs.
NEEDED = ("execve", "write")
CAPSET = "capset"
REFUSES = {
    "SCMP_ACT_ERRNO": "refuses",
    "SCMP_ACT_KILL": "kills with SIGSYS whoever calls",
    "SCMP_ACT_KILL_THREAD": "kills with SIGSYS whoever calls",
    "SCMP_ACT_KILL_PROCESS": "kills with SIGSYS whoever calls",
    "SCMP_ACT_TRAP": "sends SIGSYS to whoever calls",
}

# The init reports the descriptor of the listener with it, after the filter is in place.
NOT_NOTIFIED = ("write",)


def check_seccomp(seccomp: Seccomp, problems: Problems) -> None:
    pointer = seccomp.pointer
    _errno(seccomp.default_action, seccomp.default_errno_ret, pointer, "defaultErrnoRet", problems)
    if seccomp.default_action == NOTIFY:
        problems.add(
            pointer + "/defaultAction",
            "SCMP_ACT_NOTIFY cannot be the default action: nothing could be started",
            value=NOTIFY,
        )
    notified = False
    for rule in seccomp.syscalls:
        if not rule.names and not problems.touches(rule.pointer):
            problems.add(rule.pointer + "/names", "a rule needs at least one system call")
        if rule.errno_ret is not None:
            _errno(rule.action, rule.errno_ret, rule.pointer, "errnoRet", problems)
        if rule.action == NOTIFY:
            notified = True
            _notified(rule.names, rule.pointer, problems)
    if notified and not seccomp.listener_path:
        problems.add(
            pointer,
            "SCMP_ACT_NOTIFY needs a listenerPath",
            hint="set it to the socket of the agent",
        )
    if seccomp.listener_path and not seccomp.listener_path.startswith("/"):
        problems.kind(pointer + "/listenerPath", seccomp.listener_path, "an absolute path")
    if seccomp.listener_metadata and not seccomp.listener_path:
        problems.add(pointer + "/listenerMetadata", "not allowed without listenerPath")


def start_calls(process: Process) -> tuple[str, ...]:
    """Return what the init calls under the filter, in the order of importance."""
    return NEEDED if process.no_new_privileges else (*NEEDED, CAPSET)


def judges_arguments(seccomp: Seccomp, needed: tuple[str, ...]) -> bool:
    """Whether a rule compares arguments of these calls."""
    return any(rule.args for rule in seccomp.syscalls if not set(needed).isdisjoint(rule.names))


def refuses_start(seccomp: Seccomp, needed: tuple[str, ...] = NEEDED) -> Problem | None:
    """Return what is wrong with a profile under which no program can be started, or None.

    The filter is in force when the init says that it is about to start the program, and when it
    does so.
    """
    for name in needed:
        actions = [rule.action for rule in seccomp.syscalls if name in rule.names]
        refused = [action for action in actions or [seccomp.default_action] if action in REFUSES]
        if not refused or len(refused) < len(actions):
            continue
        if any(rule.args for rule in seccomp.syscalls if name in rule.names):
            continue  # whatever is not compared falls to the default action
        action = refused[0] or ""
        words = f"the filter {REFUSES[action]} {name}"
        return unstartable(seccomp.pointer, words, name, value=action)
    return None


def unstartable(pointer: str, words: str, name: str, *, value: str = "") -> Problem:
    """Return the problem of a filter that refuses a call of every start."""
    return Problem(
        pointer,
        f"{words}, without which no program is started",
        value=value,
        hint=f"add {name} to the names of a rule with SCMP_ACT_ALLOW",
    )


def _notified(names: tuple[str, ...], pointer: str, problems: Problems) -> None:
    for index, name in enumerate(names):
        if name in NOT_NOTIFIED:
            problems.add(
                f"{pointer}/names/{index}",
                f"SCMP_ACT_NOTIFY cannot be used for {show(name)}: the init needs it itself",
            )


def _errno(
    action: str | None, errno: int | None, pointer: str, name: str, problems: Problems
) -> None:
    if errno is None or action is None:
        return
    if action not in SECCOMP_ERRNO_ACTIONS:
        problems.add(
            f"{pointer}/{name}",
            f"{action} returns no errno",
            value=str(errno),
            allowed="only with " + " or ".join(SECCOMP_ERRNO_ACTIONS),
        )
    elif action == "SCMP_ACT_ERRNO" and errno > MAX_ERRNO:
        problems.kind(f"{pointer}/{name}", errno, f"an errno from 0 to {MAX_ERRNO}")
