# SPDX-License-Identifier: Apache-2.0
"""Who hears what is said: each call has a sink of its own. Root is not needed for most of it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import pyrunc
from pyrunc.cli import main
from pyrunc.library import records
from pyrunc.log import log

THREADS = 100


def test_a_hundred_threads_never_hear_each_other() -> None:
    meeting = threading.Barrier(THREADS)
    heard: list[list[str]] = [[] for _ in range(THREADS)]

    def talk(number: int) -> None:
        with records.to(lambda level, message: heard[number].append(message)):
            for word in range(20):
                meeting.wait()
                log.warning(f"{number}:{word}")

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(talk, range(THREADS)))
    assert heard == [[f"{n}:{word}" for word in range(20)] for n in range(THREADS)]


def test_a_command_line_in_the_same_process_keeps_its_own_words(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    heard: list[str] = []
    pyrunc.Runtime(tmp_path, log=lambda level, message: heard.append(message)).list()
    assert main.main(["--root", str(tmp_path / "none"), "list"]) == 0
    assert "holds no containers" in capfd.readouterr().err
    assert heard == []


def test_what_a_sink_says_itself_does_not_come_back_and_its_faults_change_nothing(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    def sink(level: str, message: str) -> None:
        log.reset()
        log.warning("from the sink")
        raise ZeroDivisionError

    with records.to(sink), caplog.at_level(logging.ERROR, "pyrunc"):
        log.warning("something")
    assert capfd.readouterr().err.count("from the sink") == 1
    assert [one.message for one in caplog.records] == ["the sink of log records failed"]


@pytest.mark.root
def test_the_warnings_of_a_create_are_those_of_its_container(
    root: Path, script: Callable[[str], pyrunc.Spec]
) -> None:
    """Half of the containers ask for a capability that nobody knows, from many threads."""
    heard: list[str] = []
    library = pyrunc.Runtime(root, log=lambda level, message: heard.append(f"{level} {message}"))

    def one(number: int) -> tuple[str, ...]:
        names = [f"CAP_NUMBER_{number}"] if number % 2 else []
        with library.create(script("true").capabilities(*names)) as container:
            return container.warnings

    with ThreadPoolExecutor(10) as pool:
        said = list(pool.map(one, range(20)))
    for number, warnings in enumerate(said):
        assert len(warnings) == (number % 2 and len(said[1]))
        assert all(f"CAP_NUMBER_{number}" in text for text in warnings)
    assert len(heard) == sum(map(len, said))
    assert {line.split()[0] for line in heard} == {"warning"}
