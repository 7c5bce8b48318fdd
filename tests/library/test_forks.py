# SPDX-License-Identifier: Apache-2.0
"""Creates of many threads go on at once, and forks of the program wait for them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

import pyrunc
from pyrunc.library.forks import Gate

PATIENCE_S = 20.0


def thread(work: Callable[[], object]) -> threading.Thread:
    started = threading.Thread(target=work, daemon=True)
    started.start()
    return started


def test_many_are_inside_at_once() -> None:
    gate, meeting = Gate(), threading.Barrier(10, timeout=PATIENCE_S)

    def inside(_: int) -> None:
        with gate, gate:
            meeting.wait()

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(inside, range(10)))


def test_a_fork_waits_for_others_and_lets_nobody_in_before_it() -> None:
    gate, said = Gate(), list[str]()
    leave, late_came = threading.Event(), threading.Event()

    def fork() -> None:
        gate.before_fork()
        said.append("fork")
        gate.after_in_parent()

    def late() -> None:
        late_came.set()
        with gate:
            said.append("late")

    def first() -> None:
        with gate:
            entered.set()
            leave.wait(PATIENCE_S)
            with gate:  # who is inside may come in again
                said.append("first")

    entered = threading.Event()
    threads = [thread(first)]
    assert entered.wait(PATIENCE_S)
    threads.append(thread(fork))
    while not gate._forks:
        pass
    threads.append(thread(late))
    assert late_came.wait(PATIENCE_S)
    assert said == []
    leave.set()
    for one in threads:
        one.join(PATIENCE_S)
    assert said == ["first", "fork", "late"]


def test_who_is_inside_may_fork() -> None:
    gate = Gate()
    with gate:
        gate.before_fork()
        gate.after_in_child()
    gate.before_fork()
    gate.after_in_parent()


@pytest.mark.root
def test_a_hundred_threads_create_at_once(
    library: pyrunc.Runtime, script: Callable[[str], pyrunc.Spec]
) -> None:
    """They are all in the middle of a create before the first is done with its program."""
    meeting = threading.Barrier(100, timeout=PATIENCE_S * 3)

    def one(number: int) -> str:
        with library.create(script(f"echo {number}"), stdout=pyrunc.PIPE) as container:
            meeting.wait()
            return container.start().communicate().text

    with ThreadPoolExecutor(100) as pool:
        assert list(pool.map(one, range(100))) == [f"{number}\n" for number in range(100)]
