# SPDX-License-Identifier: Apache-2.0
"""The programs of examples/, run as a user would."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.runtime import TREE

pytestmark = pytest.mark.root


def example(
    name: str, *words: str | Path, workspace: Path, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run an example from the checkout, without a word of where it is, in another directory."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, TREE / "examples" / name, *words],
        input=stdin, capture_output=True, text=True, timeout=60, cwd=workspace,
        env={**env, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip


@pytest.mark.parametrize("path", sorted((TREE / "examples").glob("*.py")))
def test_an_example_is_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) < 80


def test_the_judge_tells_right_from_wrong(workspace: Path, base: Path) -> None:
    tests = workspace / "tests"
    tests.mkdir()
    for name, given, expected in (("add", "1 2\n", "3\n"), ("wrong", "2 2\n", "5\n")):
        (tests / f"{name}.in").write_text(given)
        (tests / f"{name}.out").write_text(expected)
    (tests / "slow.in").write_text("slow\n")
    (tests / "slow.out").write_text("")
    program = ["/bin/sh", "-c", "read a b; [ $a = slow ] && /bin/sleep 60; echo $((a + b))"]
    done = example("judge.py", base, tests, *program, workspace=workspace)
    verdicts = {line.split()[0]: line[21:45].strip() for line in done.stdout.splitlines()}
    assert verdicts == {
        "add": "accepted", "slow": "time limit exceeded", "wrong": "wrong answer",
    }, done.stderr  # fmt: skip
    assert done.returncode == 1


def test_the_ci_runner_stops_at_the_first_failure(workspace: Path, base: Path) -> None:
    source = workspace / "source"
    source.mkdir()
    steps = ("echo built >made", "cat made; exit 4", "echo never")
    done = example("ci_runner.py", base, source, *steps, workspace=workspace)
    assert done.returncode == 4, done.stderr
    assert "built" in done.stdout
    assert "never" not in done.stdout.split("== step 2")[1]
    assert (source / "made").read_text() == "built\n"


def test_the_repl_keeps_what_commands_leave(workspace: Path, base: Path) -> None:
    done = example("repl.py", base, workspace=workspace, stdin="echo x >f\ncat f\nexit 3\n!stats\n")
    lines = done.stdout.splitlines()
    assert lines[:2] == ["x", "[3]"], done.stderr
    assert lines[2].endswith(" ms")
