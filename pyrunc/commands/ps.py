# SPDX-License-Identifier: Apache-2.0
"""ps: the processes of a container, as pids or as the rows of the host's ps program."""

from __future__ import annotations

import os

from pyrunc import jsontext, syscalls
from pyrunc.container import STOPPED, Container
from pyrunc.errors import Failure
from pyrunc.log import log
from pyrunc.output import emit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.flags import Args

PROGRAMS = ("/usr/bin/ps", "/bin/ps")
DEFAULT_OPTIONS = ("-ef",)


def run(args: Args) -> int:
    container = Container.load(args.text("root"), args.positionals[0])
    status = container.status()
    pids = [] if status == STOPPED else container.cgroup().pids()
    if status != STOPPED and not pids:
        pids = [container.pid]
        log.warning("the container has no cgroup of its own: only its first process is shown")
    if args.text("format") == "json":
        emit(jsontext.encode(pids) + "\n")
        return 0
    # containerd passes all options as one argument.
    options = " ".join(args.positionals[1:]).split() or DEFAULT_OPTIONS
    emit(select_rows(_run_ps(options), pids))
    return 0


def select_rows(text: str, pids: Sequence[int]) -> str:
    """The heading, and the rows whose PID column holds one of the pids."""
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
        raise Failure("the host has no ps program", hint="use --format json")
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
        raise Failure(f"ps {' '.join(options)}: failed")
    return text
