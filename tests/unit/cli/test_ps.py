# SPDX-License-Identifier: Apache-2.0
"""The table of `ps`, made from what /proc says about a process."""

from __future__ import annotations

import os
import time

import pytest

from pyrunc.commands import ps
from pyrunc.errors import Failure

TICKS = os.sysconf("SC_CLK_TCK")


def stat(*, name: str = "sh", tty: int = 0, used_s: int = 0, start_s: int = 0) -> str:
    fields = ["S", "7", "1", "1", str(tty), *["0"] * 6, str(used_s * TICKS), *["0"] * 7]
    return f"12 ({name}) {' '.join(fields)} {start_s * TICKS} 0 0\n"


def row(text: str, command: str = "sh\0-c\0x y\0") -> dict[str, str]:
    now = time.time()
    cells = ps.row(12, 1000, text, command, now=now, since_boot=1000.0)
    return dict(zip(ps.HEADING, cells, strict=True))


def test_a_row_has_what_ps_shows() -> None:
    cells = row(stat(used_s=3725, start_s=0))
    assert cells["UID"] == "1000"
    assert cells["PID"] == "12"
    assert cells["PPID"] == "7"
    assert cells["TIME"] == "01:02:05"
    assert cells["CMD"] == "sh -c x y"
    assert cells["TTY"] == "?"


def test_the_share_of_the_processor_is_that_since_the_start() -> None:
    assert row(stat(used_s=100, start_s=800))["C"] == "50"


@pytest.mark.parametrize(
    ("device", "name"),
    [(0, "?"), (os.makedev(136, 3), "pts/3"), (os.makedev(137, 1), "pts/257"), (1025, "tty1")],
)
def test_a_terminal_is_named(device: int, name: str) -> None:
    assert row(stat(tty=device))["TTY"] == name


def test_a_process_without_arguments_is_shown_by_its_name_whatever_that_is() -> None:
    assert row(stat(name="a) S 1 (b"), command="")["CMD"] == "[a) S 1 (b]"


def test_what_a_container_calls_itself_does_not_reach_the_terminal() -> None:
    assert row(stat(), command="\033]0;x\007\n\0")["CMD"] == "?]0;x??"


def test_the_start_is_an_hour_a_day_or_a_year() -> None:
    now = time.mktime((2025, 6, 15, 12, 0, 0, 0, 0, -1))
    assert ps.started(now - 3600, now=now) == "11:00"
    assert ps.started(now - 5 * 86400, now=now) == "Jun10"
    assert ps.started(now - 300 * 86400, now=now) == "2024"


def test_the_columns_are_aligned_and_the_dead_are_left_out() -> None:
    lines = ps.table([os.getpid(), 2**30]).splitlines()
    assert len(lines) == 2
    assert lines[0].split() == list(ps.HEADING)
    end = lines[0].index("PID") + len("PID")
    assert lines[1][:end].split()[-1] == str(os.getpid())


def test_rows_of_the_program_are_chosen_by_the_pid_column() -> None:
    text = "USER PID CMD\nroot 1 a 22\nroot 22 b\n"
    assert ps.select_rows(text, [22]) == "USER PID CMD\nroot 22 b\n"
    with pytest.raises(Failure, match="couldn't find PID field"):
        ps.select_rows("USER CMD\n", [1])
