# SPDX-License-Identifier: Apache-2.0
"""Freezing and thawing a cgroup, v1 and v2: bounded, and never left half done."""

from __future__ import annotations

import posix
import time

from pyrunc.cgroups import tree
from pyrunc.cgroups.member import GONE, Cgroup
from pyrunc.errors import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

FREEZE_S = 10.0
FIRST_WAIT_S = 0.0005
MAX_WAIT_S = 0.01
# How often the v1 freezer is asked again before the tasks are given a moment to move.
V1_SLEEP_EVERY = 25
V1_THAW_EVERY = 50
PARKED = ("__refrigerator", "get_signal", "do_freezer_trap")


def choose(members: list[Cgroup]) -> Cgroup | None:
    """Return the cgroup to freeze the container with: the v1 freezer's, else cgroup2's."""
    for member in members:
        if "freezer" in member.hierarchy.controllers:
            return member
    for member in members:
        if member.hierarchy.version == 2:
            return member
    return None


def frozen(member: Cgroup) -> bool:
    """Whether the cgroup itself was frozen (not a parent of it). A cgroup that is gone is not."""
    try:
        if member.hierarchy.version == 2:
            return member.read("cgroup.freeze") == "1" and "frozen 1" in member.read(
                "cgroup.events"
            )
        # THAWED is the usual answer and needs no second look.
        return (
            member.read("freezer.state") != "THAWED" and member.read("freezer.self_freezing") == "1"
        )
    except OSError as error:
        if error.errno in GONE:
            return False
        raise


def held_by(member: Cgroup, *, depth: int) -> str:
    """Return the path of the first cgroup down to a depth that holds what is below it frozen.

    On cgroup2 every level is asked what is wanted of it: one that is not yet frozen will be. A v1
    freezer knows about those above it. Empty: nothing is frozen, or there is no freezer.
    """
    top = member.open_top()
    if member.hierarchy.version == 2:
        file, free, first = "cgroup.freeze", "0", 1
    elif "freezer" in member.hierarchy.controllers:
        file, free, first = "freezer.state", "THAWED", depth
    else:
        return ""
    for level in range(max(first, 1), depth + 1):
        path = "/".join(member.parts[:level])
        try:
            if tree.read_text(top, f"{path}/{file}") != free:
                return f"{member.hierarchy.mount}/{path}"
        except OSError as error:
            if error.errno not in GONE:
                raise
            return ""
    return ""


def thaw(member: Cgroup) -> None:
    try:
        if member.hierarchy.version == 2:
            member.put("cgroup.freeze", "0")
        else:
            member.put("freezer.state", "THAWED")
    except OSError as error:
        if error.errno not in GONE:
            raise Failure(f"unable to thaw {member.path}", errno=error.errno or 0) from error


def thaw_all(member: Cgroup) -> None:
    """Thaw a cgroup and, on version 1, what is below it: a frozen task there takes no SIGKILL."""
    thaw(member)
    if member.hierarchy.version == 2:
        return
    for _, fd in tree.walk(member.open()):
        try:
            tree.write_at(fd, "freezer.state", "THAWED")
        except OSError as error:
            if error.errno not in GONE:
                raise


def freeze(member: Cgroup, *, limit_s: float = FREEZE_S) -> None:
    """Freeze, or thaw again and say which task did not stop."""
    step = _step_v2 if member.hierarchy.version == 2 else _step_v1
    deadline = time.monotonic() + limit_s
    turn = 0
    wait = FIRST_WAIT_S
    done = False
    try:
        while not (done := step(member, turn)) and time.monotonic() < deadline:
            turn += 1
            if member.hierarchy.version == 2 or turn % V1_SLEEP_EVERY == 0:
                time.sleep(wait)
                wait = min(wait * 2, MAX_WAIT_S)
        if not done:
            raise Failure(
                f"unable to freeze {member.path} within {limit_s:g} s", hint=blockers(member)
            )
    except OSError as error:
        raise Failure(f"unable to freeze {member.path}", errno=error.errno or 0) from error
    finally:
        if not done:
            thaw(member)


def _step_v2(member: Cgroup, turn: int) -> bool:
    if turn == 0:
        member.put("cgroup.freeze", "1")
    return "frozen 1" in member.read("cgroup.events")


def _step_v1(member: Cgroup, turn: int) -> bool:
    # A task in an uninterruptible sleep, or one that forks in that moment, keeps the state at
    # FREEZING. Writing again makes the kernel look again; now and then the others must run for a
    # moment so that it can come out.
    if turn % V1_THAW_EVERY == V1_THAW_EVERY - 1:
        member.put("freezer.state", "THAWED")
        time.sleep(FIRST_WAIT_S)
    if turn % V1_SLEEP_EVERY == 0 or turn % V1_THAW_EVERY == V1_THAW_EVERY - 1:
        member.put("freezer.state", "FROZEN")
    return member.read("freezer.state") == "FROZEN"


def blockers(member: Cgroup, *, read: Callable[[str], bytes] | None = None) -> str:
    """List the tasks in an uninterruptible sleep: pid, name, and where in the kernel they wait."""
    read = read or _read_proc
    waiting = []
    for pid in tree.subtree_pids(member.open()):
        try:
            state = parse_state(read(f"/proc/{pid}/stat"))
            if state is None or state[1] != "D":
                continue
            place = read(f"/proc/{pid}/wchan").decode("ascii", "replace").strip("0 \n")
        except OSError:
            continue
        # The v1 freezer parks its tasks in D, too.
        if place not in PARKED:
            waiting.append(f"{pid} ({state[0]}){' in ' + place if place else ''}")
    if not waiting:
        return "no single task is to blame; try again"
    return f"tasks in uninterruptible sleep: {', '.join(waiting[:8])}"


def parse_state(stat: bytes) -> tuple[str, str] | None:
    """/proc/PID/stat -> (name, state). The name may hold anything, parentheses, line ends."""
    head, _, tail = stat.rpartition(b")")
    name = head.partition(b"(")[2].decode("utf-8", "replace")
    fields = tail.split()
    if not fields:
        return None
    return "".join(letter if letter.isprintable() else "?" for letter in name), fields[0].decode()


def _read_proc(path: str) -> bytes:
    fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        return posix.read(fd, 4096)
    finally:
        posix.close(fd)
