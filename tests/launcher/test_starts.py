# SPDX-License-Identifier: Apache-2.0
"""Many starts at once, and starts that a signal interrupts."""

from __future__ import annotations

import concurrent.futures
import os
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

PARALLEL = 64
STARTS = 10_000


def run_quietly(argv: list[str]) -> tuple[int, str]:
    """Exit status (negative: the signal) and standard error of one start."""
    reader, writer = os.pipe()
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
        (os.POSIX_SPAWN_DUP2, writer, 2),
    ]
    pid = os.posix_spawn(argv[0], argv, {}, file_actions=actions)
    os.close(writer)
    with os.fdopen(reader, errors="replace") as pipe:
        said = pipe.read()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said


def test_ten_thousand_starts_by_64_callers_at_once_all_succeed(
    program: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    fast = request.config.getoption("--front") == "launcher"
    count = STARTS if fast else STARTS // 20  # the other front ends need 20 times as long
    argv = [str(program), "--root", str(tmp_path), "state", "absent"]
    expected = run_quietly(argv)
    assert expected[0] == 1
    with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
        outcomes = Counter(pool.map(lambda _: run_quietly(argv), range(count)))
    assert outcomes == {expected: count}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_at_any_moment_of_the_start_ends_it_without_noise(
    program: Path, tmp_path: Path, number: int, request: pytest.FixtureRequest
) -> None:
    """From before the first instruction to after the last: an end, and no half a message."""
    if number == signal.SIGINT and request.config.getoption("--front") == "stock":
        pytest.skip("the stock interpreter reports a SIGINT during its own start by a traceback")
    argv = [str(program), "--root", str(tmp_path), "list", "--quiet"]
    actions = [(os.POSIX_SPAWN_OPEN, fd, str(tmp_path / "said"), os.O_RDWR | os.O_CREAT, 0o600)
               for fd in (1, 2)]  # fmt: skip
    for step in range(200):
        pid = os.posix_spawn(argv[0], argv, {}, file_actions=actions)
        time.sleep(step * 15e-6)
        os.kill(pid, number)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert status in (0, 130, -number)
    assert "Traceback" not in (tmp_path / "said").read_text()
