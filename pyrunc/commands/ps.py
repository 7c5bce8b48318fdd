# SPDX-License-Identifier: Apache-2.0
"""List the processes of a container: pids, a table from /proc, or rows of the host's ps."""

from __future__ import annotations

import os
import time

from pyrunc import jsontext
from pyrunc.cli.output import emit
from pyrunc.errors import Failure
from pyrunc.host import syscalls
from pyrunc.lifecycle.container import STOPPED, Container
from pyrunc.log import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.cli.flags import Args

PROGRAMS = ("/usr/bin/ps", "/bin/ps")
FULL = (["-ef"], ["-fe"], ["-e", "-f"])  # what the table is
HEADING = ("UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD")
RIGHT = frozenset(("PID", "PPID", "C"))
DAY_S = 86400
PTS_MAJORS = range(136, 144)  # each has 256 minors
TTY_MAJOR = 4


def run(args: Args) -> int:
    container = Container.load(args.text("root"), args.positionals[0])
    status = container.status()
    # containerd takes an empty list for a shim that leaked, and ends what lives on.
    pids = container.pids_left() if status == STOPPED else container.cgroup(now=True).pids()
    if status != STOPPED and not pids:
        pids = [container.pid]
        log.warning("the container has no cgroup of its own: only its first process is shown")
    if args.text("format") == "json":
        emit(jsontext.encode(pids) + "\n")
        return 0
    # containerd passes all options as one argument.
    options = " ".join(args.positionals[1:]).split()
    emit(select_rows(_run_ps(options), pids) if options and options not in FULL else table(pids))
    return 0


# -- from /proc ------------------------------------------------------------------------------------


def table(pids: Sequence[int]) -> str:
    """As `ps -ef` writes it, with numbers for users: names are the container's business."""
    now, since_boot = time.time(), time.clock_gettime(time.CLOCK_BOOTTIME)
    rows: list[tuple[str, ...]] = [HEADING]
    for pid in pids:
        try:
            uid = os.stat(f"/proc/{pid}").st_uid
            stat = _read(f"/proc/{pid}/stat")
            command = _read(f"/proc/{pid}/cmdline")
        except OSError:  # it has ended
            continue
        rows.append(row(pid, uid, stat, command, now=now, since_boot=since_boot))
    widths = [max(len(one[column]) for one in rows) for column in range(len(HEADING) - 1)]
    return "".join(_line(one, widths) for one in rows)


def _line(cells: tuple[str, ...], widths: Sequence[int]) -> str:
    padded = [
        cell.rjust(width) if name in RIGHT else cell.ljust(width)
        for cell, width, name in zip(cells, widths, HEADING, strict=False)
    ]
    return " ".join((*padded, cells[-1])) + "\n"


def row(
    pid: int, uid: int, stat: str, command: str, *, now: float, since_boot: float
) -> tuple[str, ...]:
    """PURE: the cells of one process. `stat` and `command` are its files below /proc."""
    name = stat[stat.index("(") + 1 : stat.rindex(")")]
    fields = stat[stat.rindex(")") + 2 :].split()
    parent, terminal = fields[1], int(fields[4])
    ticks = os.sysconf("SC_CLK_TCK")
    used = (int(fields[11]) + int(fields[12])) // ticks
    age = max(since_boot - int(fields[19]) / ticks, 0.01)
    shown = " ".join(command.rstrip("\0").split("\0")) or f"[{name}]"
    return (
        str(uid),
        str(pid),
        parent,
        str(min(int(used * 100 / age), 99)),
        started(now - age, now=now),
        terminal_name(terminal),
        f"{used // 3600:02}:{used // 60 % 60:02}:{used % 60:02}",
        "".join(letter if letter.isprintable() else "?" for letter in shown),
    )


def started(moment: float, *, now: float) -> str:
    """Return a start time as the hour of today, the day of this year, or the year."""
    when, today = time.localtime(moment), time.localtime(now)
    if now - moment < DAY_S:
        return time.strftime("%H:%M", when)
    return time.strftime("%b%d" if when.tm_year == today.tm_year else "%Y", when)


def terminal_name(device: int) -> str:
    major, minor = os.major(device), os.minor(device)
    if major in PTS_MAJORS:
        return f"pts/{(major - PTS_MAJORS.start) * 256 + minor}"
    return f"tty{minor}" if major == TTY_MAJOR else "?"


def _read(path: str) -> str:
    with open(path, "rb", buffering=0) as file:
        return file.read(65536).decode("utf-8", "surrogateescape")


# -- from the program ------------------------------------------------------------------------------


def select_rows(text: str, pids: Sequence[int]) -> str:
    """Return the heading, and the rows whose PID column holds one of the pids."""
    lines = text.splitlines()
    heading = lines[0].split() if lines else []
    if "PID" not in heading:
        raise Failure("couldn't find PID field in ps output", hint="choose ps options that show it")
    column = heading.index("PID")
    wanted = {str(pid) for pid in pids}
    rows = [
        line
        for line in lines[1:]
        if line.split()[column : column + 1][0:1] and line.split()[column] in wanted
    ]
    return "".join(line + "\n" for line in (lines[0], *rows))


def _run_ps(options: Sequence[str]) -> str:
    program = next((path for path in PROGRAMS if os.access(path, os.X_OK)), "")
    if not program:
        raise Failure(
            f"ps {' '.join(options)}: the host has no ps program",
            hint="leave the options away, or use --format json",
        )
    read, write = os.pipe2(os.O_CLOEXEC)
    _pid, pidfd = syscalls.run_program(
        program.encode(),
        [b"ps", *(os.fsencode(word) for word in options)],
        [os.fsencode(f"{name}={value}") for name, value in os.environ.items()],
        stdout_fd=write,
    )
    os.close(write)
    with open(read, encoding="utf-8", errors="surrogateescape") as stream:
        text = stream.read()
    ended = syscalls.waitid_pidfd(pidfd)
    os.close(pidfd)
    if ended != (syscalls.CLD_EXITED, 0):
        raise Failure(
            f"ps {' '.join(options)}: failed",
            hint="without options the table is made without the ps program",
        )
    return text
