# SPDX-License-Identifier: Apache-2.0
"""No wait for an init is without an end (G5)."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from pyrunc.errors import InitError
from pyrunc.host import process, syscalls
from pyrunc.init import launch, ops
from pyrunc.init.launch import Child
from pyrunc.init.plan import Plan


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Child, int]]:
    """An init that never says a word, and its end of the socket."""
    monkeypatch.setattr(launch, "PATIENCE_MS", 50)
    monkeypatch.setattr(process, "KILL_PATIENCE_MS", 50)
    sync, theirs = syscalls.socketpair_seqpacket(patience_ms=launch.PATIENCE_MS)
    with subprocess.Popen(["sleep", "600"]) as sleeper:
        pidfd = os.pidfd_open(sleeper.pid)
        yield Child(pid=sleeper.pid, pidfd=pidfd, sync=sync, plan=Plan([])), theirs
        sleeper.kill()
    os.close(theirs)


def serve(child: Child, **more: object) -> None:
    child.serve({}, until=0, on_forked=lambda: None, **more)  # type: ignore[arg-type]


def test_an_init_that_was_stopped_is_given_up(silent: tuple[Child, int]) -> None:
    child, _ = silent
    os.kill(child.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
    with pytest.raises(InitError, match="has not reported") as caught:
        serve(child)
    assert "SIGSTOP" in caught.value.hint
    child.kill()


def test_an_init_that_is_held_up_on_purpose_is_waited_for(silent: tuple[Child, int]) -> None:
    child, _ = silent
    asked = []

    def frozen() -> bool:
        asked.append(True)
        return len(asked) < 3

    with pytest.raises(InitError, match="has not reported"):
        serve(child, held_up=frozen)
    assert len(asked) == 3
    child.kill()


def test_a_plan_with_hooks_may_take_long(
    silent: tuple[Child, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    child, theirs = silent
    monkeypatch.setattr(launch, "LONG", frozenset(("set_session",)))
    child.plan = Plan([ops.SetSession()])
    waits = []
    receive = syscalls.recv_message

    def counted(fd: int, size: int, room: int) -> object:
        waits.append(fd)
        if len(waits) == 3:
            os.write(theirs, b"x")
        return receive(fd, size, room)

    monkeypatch.setattr(syscalls, "recv_message", counted)
    with pytest.raises(InitError, match="instead of a message"):
        serve(child)
    assert len(waits) == 3
    child.kill()


def test_a_task_that_does_not_end_is_left(silent: tuple[Child, int]) -> None:
    """As one in an uninterruptible sleep, which no signal ends."""
    child, _ = silent
    child._past = [os.pidfd_open(child.pid)]
    child._reap_past()
    assert child._past == []
    child.kill()
