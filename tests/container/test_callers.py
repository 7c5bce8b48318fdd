# SPDX-License-Identifier: Apache-2.0
"""What a caller hands down without a word: ignored and blocked signals, standard descriptors that
are no terminal.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import pytest

from tests.support.bundle import Config
from tests.support.runtime import Container, Result, Runtime
from tests.support.terminal import Terminal

Create = Callable[..., Container]
Run = Callable[..., Result]

CALLER = """
import os, signal, sys
for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
    if sys.argv[1] == "ignores":
        signal.signal(number, signal.SIG_IGN)
if sys.argv[1] == "blocks":
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
os.umask(0o777)
os.execv(sys.argv[2], sys.argv[2:])
"""


@pytest.fixture(params=["ignores", "blocks"])
def caller(request: pytest.FixtureRequest) -> list[str]:
    """The words before a command line whose caller does this to every signal, as daemons do."""
    return [sys.executable, "-c", CALLER, request.param]


def test_the_signals_of_the_caller_do_not_matter_to_run(
    runtime: Runtime, config: Config, caller: list[str]
) -> None:
    result = runtime.run(config, "sh", "-c", "cat /etc/group; exit 7", prefix=caller)
    assert (result.status, result.stderr) == (7, "")


def test_the_signals_of_the_caller_do_not_matter_to_the_verbs_that_leave(
    pyrunc: Runtime, create: Create, config: Config, caller: list[str]
) -> None:
    """create, start, exec with and without --detach, kill, delete."""
    container = create(config, "sleep", "600")
    pyrunc("start", container.id, prefix=caller).ok()
    status = ("grep", "-E", "SigBlk|SigIgn", "/proc/self/status")
    found = pyrunc("exec", container.id, *status, prefix=caller).ok().lines
    assert [line.split()[1] for line in found] == ["0" * 16] * 2
    file = config.bundle / "pid"
    flags = ("--detach", "--pid-file", file)
    pyrunc("exec", *flags, container.id, "sh", "-c", "exit 5", prefix=caller).ok()
    assert os.waitstatus_to_exitcode(os.waitpid(int(file.read_text()), 0)[1]) == 5
    other = pyrunc.new_id()
    pyrunc("run", "--detach", "--bundle", config.bundle, other, prefix=caller).ok()
    pyrunc("kill", other, "KILL", prefix=caller).ok()
    pyrunc("delete", "--force", other, prefix=caller).ok()
    pyrunc("create", "--bundle", config.bundle, other, prefix=caller).ok()
    pyrunc("delete", "--force", other, prefix=caller).ok()


def test_hooks_are_waited_for_whatever_the_caller_ignores(
    runtime: Runtime, config: Config, caller: list[str]
) -> None:
    config.hook("createRuntime", "/bin/sh", "-c", "exit 3")
    result = runtime.run(config, "true", prefix=caller)
    assert result.status == 1
    assert "3" in result.stderr


def test_the_end_of_an_input_that_is_no_terminal_is_the_end_of_the_containers(
    pyrunc: Runtime, config: Config
) -> None:
    """A shell that got its terminal by `pyrunc spec`, started where nobody types."""
    config.process["terminal"] = True
    result = pyrunc.run(config, "sh", stdin="echo $((6 * 7))\n", timeout_s=20).ok()
    assert "42" in result.stdout
    # More than one reader, and one that changes the mode of the terminal in between.
    script = "cat; stty raw; stty cooked; cat; head -n 1; echo the end"
    assert pyrunc.run(config, "sh", "-c", script, timeout_s=20).ok().lines[-1] == "the end"


def test_the_end_of_an_input_ends_a_program_that_reads_byte_by_byte(
    pyrunc: Runtime, config: Config
) -> None:
    """There no character means the end: one that was repeated for ever was the input."""
    config.process["terminal"] = True
    script = "stty raw -echo; cat | wc -c; stty raw -echo; cat; cat | wc -c; echo the end"
    output = pyrunc.run(config, "sh", "-c", script, timeout_s=40).ok().stdout
    # What was sent before the mode changed is input, too; the last reader gets nothing at all.
    words = output.replace("\x04", "").replace("\0", "").split()
    assert words[-3:] == ["0", "the", "end"]


def test_a_line_that_is_not_whole_reaches_the_program_before_the_end(
    pyrunc: Runtime, config: Config
) -> None:
    config.process["terminal"] = True
    script = "cat; echo; echo the end"
    lines = pyrunc.run(config, "sh", "-c", script, stdin="half", timeout_s=20).ok().lines
    assert lines[-2:] == ["halfhalf", "the end"]  # the first is the echo


def test_a_terminal_that_is_relayed_to_a_file_ends_its_lines_in_lf(
    pyrunc: Runtime, config: Config
) -> None:
    config.process["terminal"] = True
    assert pyrunc.run(config, "echo", "one\ntwo").ok().stdout == "one\ntwo\n"


def test_a_terminal_of_exec_that_is_relayed_to_a_file_ends_its_lines_in_lf(
    running: Container,
) -> None:
    result = running.runtime("exec", "--tty", running.id, "sh", "-c", "test -t 0; echo one; cat")
    assert result.ok().stdout == "one\n"


def test_the_callers_terminal_stays_text_for_others_when_the_output_goes_elsewhere(
    pyrunc: Runtime, config: Config
) -> None:
    """`run ... | cat`: cat writes to the terminal that run has made raw for what is typed."""
    config.process["terminal"] = True
    config.process["args"] = ["sh", "-c", "echo ready; read word; echo got $word"]
    config.write()
    argv = pyrunc.argv("run", "--bundle", config.bundle, pyrunc.new_id())
    terminal = Terminal(["sh", "-c", '"$@" | cat', "sh", *argv])
    try:
        terminal.expect("ready\r\n")
        terminal.type("x\r")
        terminal.expect("got x\r\n")
        assert terminal.end() == 0
    finally:
        terminal.close()
