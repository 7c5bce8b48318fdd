# SPDX-License-Identifier: Apache-2.0
"""What users of docker-py, podman-py and of sandboxes have reported, replayed on the library."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import pyrunc

pytestmark = pytest.mark.root
Script = Callable[[str], pyrunc.Spec]
EVERY_BYTE = bytes(range(256))


@pytest.fixture
def container(library: pyrunc.Runtime, script: Script) -> pyrunc.Container:
    """A container that waits for commands; the test closes it."""
    return library.create(script("while :; do sleep 1; done")).start()


def test_closing_standard_input_is_the_end_of_it(library: pyrunc.Runtime, script: Script) -> None:
    """docker-py#1507: the program waited for more for ever."""
    with library.create(script("cat; echo end"), stdin=pyrunc.PIPE, stdout=pyrunc.PIPE) as one:
        one.start()
        one.stdin.write(b"data\n")
        one.stdin.close()
        assert one.wait(20) == 0
        assert one.stdout.readall() == b"data\nend\n"


def test_no_input_is_the_end_of_it_too(container: pyrunc.Container) -> None:
    """moby#37870: a command that reads an empty standard input hung now and then."""
    with container:
        for _ in range(20):
            assert not container.exec(["cat"], timeout=20).timed_out


def test_both_outputs_are_bytes_and_never_mixed(container: pyrunc.Container) -> None:
    """docker-py#704, #3058, #3172, podman-py#322: mixed, or None for an empty one."""
    with container:
        both = container.exec(["sh", "-c", "echo out; echo err >&2"])
        assert (both.stdout, both.stderr) == (b"out\n", b"err\n")
        assert container.exec(["sh", "-c", "echo err >&2"]).stdout == b""
        assert container.exec(["echo"]).stderr == b""


def test_every_byte_arrives_and_nothing_else(container: pyrunc.Container) -> None:
    """docker-py#2044, python-on-whales#606: bytes of a framing; output that is no UTF-8."""
    with container:
        done = container.exec(["cat"], input=EVERY_BYTE * 300)
        assert done.stdout == EVERY_BYTE * 300
        assert done.text.count("\ufffd") > 0
        failed = container.exec(["sh", "-c", "printf '\\376bad' >&2; exit 3"])
        with pytest.raises(pyrunc.StateError) as error:
            failed.check()
        assert "bad" in error.value.detail


def test_what_is_printed_at_once_is_never_lost(container: pyrunc.Container) -> None:
    """docker-py#3332: a command that ends at once had no output."""
    with container:
        for number in range(50):
            assert container.exec(["echo", str(number)]).text == f"{number}\n"


def test_a_hundred_threads_share_one_runtime_and_one_container(
    container: pyrunc.Container,
) -> None:
    """docker-py#3229, #3409: not safe, stuck when many commands run at once."""
    go = threading.Barrier(100)

    def one(number: int) -> tuple[int, str]:
        go.wait()
        done = container.exec(["sh", "-c", f"cat; exit {number % 7}"], input=b"%d" % number)
        return done.returncode, done.text

    with container, ThreadPoolExecutor(100) as pool:
        assert list(pool.map(one, range(100))) == [(n % 7, str(n)) for n in range(100)]


def test_a_command_that_ends_its_container_returns(library: pyrunc.Runtime, script: Script) -> None:
    """docker-py#1269: exec_start hung when the command killed the container."""
    for _ in range(5):
        with library.create(
            script("trap 'exit 5' TERM; while :; do sleep 0.05; done")
        ) as container:
            container.start()
            done = container.exec(["sh", "-c", "kill 1; sleep 60"], timeout=30)
            assert not done.timed_out
            assert done.returncode == 137
            assert container.wait(20) == 5
            with pytest.raises(pyrunc.StateError, match="stopped container"):
                container.exec(["true"])


def test_events_of_a_container_that_has_stopped_end(
    library: pyrunc.Runtime, script: Script
) -> None:
    """docker-py#3291, #1195: figures went on after the end, or the call hung."""
    with library.create(script("exit 3")) as container:
        container.start().wait(20)
        assert [event.type for event in container.events(interval=0.01)] == ["exit"]
        stats = container.stats()
        assert (stats.pids.current, stats.cpu.usage_ns > 0) == (0, True)
    with pytest.raises(pyrunc.StateError, match="does not exist"):
        container.stats()


def test_a_program_that_never_seems_to_run(library: pyrunc.Runtime, script: Script) -> None:
    """podman-py#102, #201: waiting for "running" hung, and the code was no number."""
    for _ in range(20):
        with library.create(script("exit 6")) as container:
            assert container.start().wait() == 6


def test_two_faults_at_once_are_both_told(library: pyrunc.Runtime, script: Script) -> None:
    """docker-py#2257: a missing image and a wrong mount hung in silence."""
    wrong = script("true").set("/root/path", "/no-such-image").bind("/no-such-source", "/mnt")
    pointers = {problem.pointer for problem in library.check(wrong.cwd("x")).errors}
    assert "/process/cwd" in pointers
    with pytest.raises(pyrunc.Failure, match="no-such-image"):
        library.run(wrong)


def test_a_killed_program_leaves_no_zombie(library: pyrunc.Runtime, script: Script) -> None:
    """rllm#918: the sandbox process was killed and never collected."""
    assert library.run(script("sleep 60"), timeout=0.1).timed_out
    with library.create(script("sleep 60")) as container:
        container.start()
        assert container.exec(["sleep", "60"], timeout=0.1).timed_out
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_the_environment_of_the_caller_stays_outside(
    library: pyrunc.Runtime, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """agent-sandbox#876: tokens of the orchestrator were in the environment of untrusted code."""
    monkeypatch.setenv("SECRET_TOKEN", "secret")
    with library.create(script("sleep 60")) as container:
        container.start()
        for done in (library.run(script("env")), container.exec(["env"])):
            assert done.returncode == 0
            assert "secret" not in done.text


def test_a_time_out_ends_what_a_command_has_started(container: pyrunc.Container) -> None:
    """inspect_ai#3663, ProgramBench#31: the processes of the command went on in the container."""
    text = "sleep 61 & (sleep 62 &) ; nohup sleep 63 >/dev/null 2>&1 & sleep 64"
    with container:
        assert container.exec(["sh", "-c", text], timeout=0.3).timed_out
        deadline = time.monotonic() + 20
        while "sleep 6" in str(container.processes()) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert "sleep 6" not in str(container.processes())


def test_a_thousand_handles_leave_no_descriptor(container: pyrunc.Container) -> None:
    """docker-py and ResourceWarning: every handle is closed with its block."""
    with container:
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(1000):
            with container.runtime.get(container.id) as handle:
                assert handle.poll() is None
        assert len(list(Path("/proc/self/fd").iterdir())) == before
