# SPDX-License-Identifier: Apache-2.0
"""What is known of a container that has ended: when, how, and what its cgroups have counted.

The first command that looks keeps the answer in the state directory until `delete`: the figures may
go with their cgroup, and the time at which the end was noticed is only known then.
"""

from __future__ import annotations

import os

from pyrunc import jsontext
from pyrunc.errors import Failure
from pyrunc.host import process
from pyrunc.lifecycle import hook_results
from pyrunc.lifecycle.record import now, rfc3339
from pyrunc.lifecycle.state import CONFIG, END, STARTED
from pyrunc.log import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from pyrunc.cgroups import Manager
    from pyrunc.lifecycle.container import Container

COUNTED: Final = frozenset(("cpu", "memory", "pressure"))  # controllers whose figures are kept
SIGSYS: Final = 31
SHOWN: Final = 5  # names in a sentence
ENDING: Final = "exit_group"
KILLING: Final = ("SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD")


def examine(container: Container, *, exit_code: int | None = None) -> dict[str, Any]:
    """Return what is known of a stopped container, and keep it.

    `exit_code` is what the caller has seen: a code, or 128 plus the number of a signal.
    """
    report = _kept(container)
    if report and exit_code is None:
        if "refusedCalls" not in report and (counted := _counted(container)) is not None:
            return {**report, "refusedCalls": counted}  # its counting has ended after the container
        return report
    if exit_code is None:
        exit_code = exit_code_of(process.zombie_status(container.pid, container.start_time))
    report = {
        "created": container.state.get("created", ""),
        "started": _started(container),
        "foundDead": now(),
        **_figures(container),
        "hooks": hook_results.read(container.directory) or None,
        "refusedCalls": _counted(container),
    }
    if exit_code is not None:
        report["exitStatus"] = exit_code
    report = {key: value for key, value in report.items() if value not in ("", None)}
    _keep(container, report)
    return report


def exit_code_of(status: int | None) -> int | None:
    """Return a wait status, where it is known, as shells show it."""
    return None if status is None else process.exit_code(status)


def write_record(container: Container) -> None:
    """Log how a container ended: a line, and a field for each figure in JSON and the journal."""
    report = examine(container)
    told = {
        name: value if isinstance(value, str) else jsontext.encode(value)
        for name, value in report.items()
    }
    figures = ", ".join(f"{name}={value}" for name, value in told.items() if value[:1] not in "{[")
    log.write("info", f"{container.id}: the end: {figures}", **told)


def _keep(container: Container, found: dict[str, Any]) -> None:
    try:
        container.directory.write(END, jsontext.encode(found))
    except OSError as error:  # a full or foreign directory: it is told all the same
        log.debug(f"{container.id}: {END} cannot be kept: {error}")


def _kept(container: Container) -> dict[str, Any]:
    try:
        found = jsontext.decode(container.directory.read(END) or "{}")
    except (Failure, OSError, ValueError):  # of another hand: look again
        return {}
    return found if isinstance(found, dict) else {}


def _counted(container: Container) -> dict[str, Any] | None:
    """Return what the supervisor of `create --explain-seccomp` has counted."""
    if not container.state.get("explained"):
        return None
    text = container.directory.read("refused")
    if text is None:
        return None
    from pyrunc.seccomp import refusals

    rows = refusals.decode(text.encode("utf-8", "surrogateescape"))
    return {row.name: {"count": row.count, "answer": row.answer} for row in rows}


def _started(container: Container) -> str:
    """Return when `start` wrote to the gate, which keeps the time of its last write.

    File times are those of the kernel's last tick: some ms before a clock that was read just now.
    """
    try:
        status = os.stat(STARTED, dir_fd=container.directory.fd, follow_symlinks=False)
    except OSError:  # never started
        return ""
    return max(rfc3339(status.st_mtime_ns), str(container.state.get("created", "")))


def _figures(container: Container) -> dict[str, Any]:
    if not process.this_boot(container.state.get("boot")):
        return {}
    manager = container.cgroup()
    try:
        return _count(manager)
    except (Failure, OSError):  # the cgroup is gone
        return {}
    finally:
        manager.close()


def _count(manager: Manager) -> dict[str, Any]:
    from pyrunc.cgroups.stats import parse, v1

    stats = manager.stats(only=COUNTED)
    memory, throttling = stats.get("memory", {}), stats.get("cpu", {}).get("throttling", {})
    peak = memory.get("usage", {}).get("max")
    member = manager.find("memory")
    # systemd removes the cgroup with its last process: what it has counted is not known then.
    counted = member is not None and member.present()
    counts = {"oomKills": manager.oom_kills()} if counted else {}
    if peak is None and member is not None:
        peak = v1.number(member, "memory.peak")
    pids = manager.find("pids")
    events = v1.text(pids, "pids.events") if pids is not None else None
    more = {
        "memoryPeak": peak,
        "throttledPeriods": throttling.get("throttledPeriods"),
        "throttledTime": throttling.get("throttledTime"),
        "pidsAtLimit": parse.flat(events).get("max") if events else None,
        "memoryPressure": memory.get("psi"),
    }
    return {**counts, **{key: value for key, value in more.items() if value is not None}}


def sentence(container: Container, exit_code: int) -> str:
    """Say why a process has ended that the kernel killed; empty when there is nothing to say."""
    if exit_code == 128 + process.SIGKILL:
        kills = _figures(container).get("oomKills", 0)
        return f"OOM-killed (out-of-memory kills in the container: {kills})" if kills else ""
    if exit_code == 128 + SIGSYS:
        return f"killed by SIGSYS: the filter refused {_refused(container)}"
    return ""


def _refused(container: Container) -> str:
    """Return what the filter kills for; the kernel does not tell which call it was."""
    from pyrunc.spec.config import parse_config

    data = (container.directory.read(CONFIG) or "{}").encode("utf-8", "surrogateescape")
    seccomp = parse_config(data, source=CONFIG).linux.seccomp
    if seccomp is None:
        return "a system call (it is not the container's)"
    if seccomp.default_action in KILLING:
        listed = any(ENDING in rule.names for rule in seccomp.syscalls)
        maybe = "" if listed else f", perhaps {ENDING}, with which programs end,"
        return f"a system call that it does not list{maybe} (`run --explain-seccomp` names it)"
    names = [name for rule in seccomp.syscalls if rule.action in KILLING for name in rule.names]
    shown = ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
    return shown if len(names) == 1 else f"one of {shown} (`run --explain-seccomp` names it)"
