# SPDX-License-Identifier: Apache-2.0
"""System calls of a command and of everything that it starts, as strace saw them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

LINE = re.compile(r"^(\d+) +(?:<\.\.\. )?(\w+)(?: resumed>)?\(?(.*?)\)? *= (-?\w+)(.*)$")


@dataclass(frozen=True)
class Call:
    """One system call that has returned."""

    pid: int
    name: str
    args: str
    result: str
    note: str

    @property
    def failed(self) -> bool:
        return self.result == "-1"


def prefix(output: Path, *names: str) -> list[str]:
    """What to put before a command so that its calls are written to a file."""
    if not shutil.which("strace"):
        pytest.skip("the Debian package strace is missing")
    # -y: descriptors with their paths; -qq: no messages about attaching and exits.
    chosen = ["-e", f"trace={','.join(names)}"] if names else []
    return [
        "strace",
        "-f",
        "-y",
        "-qq",
        "-s",
        "256",
        "-e",
        "signal=none",
        *chosen,
        "-o",
        str(output),
    ]


def parse(output: Path) -> list[Call]:
    """The calls in the order in which they returned."""
    found = []
    pending: dict[int, str] = {}
    for raw in output.read_text(errors="replace").splitlines():
        line = raw
        pid = int(line.split(None, 1)[0])
        if line.endswith("<unfinished ...>"):
            pending[pid] = line.removesuffix("<unfinished ...>")
            continue
        if " resumed>" in line and pid in pending:
            line = pending.pop(pid) + line.partition(" resumed>")[2]
        matched = LINE.match(line)
        if matched:
            number, name, args, result, note = matched.groups()
            found.append(Call(int(number), name, args, result, note.strip()))
    return found


def named(calls: Sequence[Call], *names: str) -> list[Call]:
    return [call for call in calls if call.name in names]


def init_processes(calls: Sequence[Call]) -> set[int]:
    """The processes that have become pyrunc-init, and what these have forked."""
    inits = {
        call.pid
        for call in calls
        if call.name == "execveat" and "AT_EMPTY_PATH" in call.args and not call.failed
    }
    for call in calls:
        if (
            call.name in ("clone", "clone3", "fork", "vfork")
            and call.pid in inits
            and call.result.isdigit()
        ):
            inits.add(int(call.result))
    return inits
