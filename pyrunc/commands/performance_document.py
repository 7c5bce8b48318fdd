# SPDX-License-Identifier: Apache-2.0
"""What makes containers slow on this host, measured: `info --performance`.

Settings are read and never changed. What each one costs is measured under the setting that is in
force: on a mount that is attached nowhere, and in a control group of our own, which is removed.
"""

from __future__ import annotations

import os
import signal
import time

from pyrunc.host import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

ROUNDS = 40
# Moves in a row share one wait for RCU; those of containers come one at a time.
MOVES, APART_S = 12, 0.03
FSCONFIG_CMD_CREATE = 6
MS = 10**6  # ns


def document(hierarchies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows: a setting or a count, its value, what was measured, median and most in ms."""
    groups = _Groups(hierarchies)
    return [
        _row("rcuExpedited", _number("/sys/kernel/rcu_expedited"), MOUNT, _mount),
        _row("mounts", _lines("/proc/self/mountinfo"), READ_MOUNTS, _read_mounts),
        _row("favordynmods", _favordynmods(), MOVE, groups.move),
        _row("controlGroups", _count_groups(), MAKE, groups.make),
    ]


MOUNT = "a tmpfs mounted and released; a release waits for RCU"
READ_MOUNTS = "a read of /proc/self/mountinfo, which grows with every mount"
MOVE = "a process moved between two control groups; without favordynmods it waits for RCU"
MAKE = "a control group made and removed"


def _row(
    name: str, value: object, method: str, measure: Callable[[], Iterator[int]]
) -> dict[str, Any]:
    row = {"name": name, "value": value, "measured": method}
    try:
        times = sorted(measure())
    except OSError as error:
        return {**row, "reason": f"not measured: {error.strerror}"}
    return {
        **row,
        "medianMs": round(times[len(times) // 2] / MS, 3),
        "mostMs": round(times[-1] / MS, 3),
        "rounds": len(times),
    }


def _timed(action: Callable[[], object]) -> int:
    began = time.perf_counter_ns()
    action()
    return time.perf_counter_ns() - began


# -- what is measured ------------------------------------------------------------------------------


def _mount() -> Iterator[int]:
    for _ in range(ROUNDS):
        yield _timed(_mount_and_release)


def _mount_and_release() -> None:
    fs = syscalls.fsopen("tmpfs")
    try:
        syscalls.fsconfig(fs, FSCONFIG_CMD_CREATE)
        os.close(syscalls.fsmount(fs))
    finally:
        os.close(fs)


def _read_mounts() -> Iterator[int]:
    for _ in range(ROUNDS):
        yield _timed(lambda: _lines("/proc/self/mountinfo"))


class _Groups:
    """Control groups of our own, below the one that we are in."""

    def __init__(self, hierarchies: list[dict[str, Any]]) -> None:
        writable = [row for row in hierarchies if row["writable"]]
        # The controller of processes is the cheapest to move between; cgroup2 has all in one.
        writable.sort(key=lambda row: (row["version"] != 2, "pids" not in row["controllers"]))
        self.base = _own(writable[0]) if writable else ""

    def _names(self) -> tuple[str, str]:
        if not self.base:
            raise PermissionError(1, "no control group that this caller may write to")
        stem = os.path.join(self.base, f"pyrunc-measures-{os.getpid()}")
        return f"{stem}-a", f"{stem}-b"

    def make(self) -> Iterator[int]:
        path = self._names()[0]
        for _ in range(ROUNDS):
            yield _timed(lambda: _make_and_remove(path))

    def move(self) -> Iterator[int]:
        paths = self._names()
        made = []
        pid = os.fork()
        if pid == 0:
            signal.pause()
            os._exit(0)
        try:
            for path in paths:
                os.mkdir(path)
                made.append(path)
            for number in range(MOVES):
                time.sleep(APART_S)
                yield _timed(lambda number=number: _enter(paths[number % 2], pid))  # type: ignore[misc]
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            for path in made:
                os.rmdir(path)


def _make_and_remove(path: str) -> None:
    os.mkdir(path)
    os.rmdir(path)


def _enter(path: str, pid: int) -> None:
    fd = os.open(os.path.join(path, "cgroup.procs"), os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, str(pid).encode())
    finally:
        os.close(fd)


def _own(row: dict[str, Any]) -> str:
    """Return the directory of the control group that we are in."""
    with open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            _number_text, controllers, path = line.rstrip("\n").split(":", 2)
            listed = controllers.split(",") if controllers else []
            if (row["version"] == 2 and not listed) or set(listed) & {*row["controllers"]}:
                return os.path.join(row["mount"], path.lstrip("/"))
    return ""


# -- settings and counts ---------------------------------------------------------------------------


def _number(path: str) -> int | None:
    try:
        with open(path, "rb") as file:
            return int(file.read(32).strip() or b"0")
    except (OSError, ValueError):
        return None


def _lines(path: str) -> int:
    with open(path, "rb") as file:
        return file.read().count(b"\n")


def _favordynmods() -> bool:
    """Tell whether a hierarchy is mounted so that moves do not wait (Linux 6.0)."""
    with open("/proc/self/mountinfo", "rb") as file:
        return any(b" - cgroup" in line and b"favordynmods" in line for line in file)


def _count_groups() -> int | None:
    """Return how many control groups there are, in the fullest hierarchy."""
    try:
        with open("/proc/cgroups", "rb") as file:
            return max(int(line.split()[2]) for line in file if not line.startswith(b"#"))
    except (OSError, ValueError, IndexError):
        return None
