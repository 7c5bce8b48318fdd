# SPDX-License-Identifier: Apache-2.0
"""Standard input and output of a restored container are those of `restore`, whatever they were."""

from __future__ import annotations

import os
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest

from tests.support.bundle import Config
from tests.support.criu import Saving
from tests.support.runtime import TIMEOUT_S, Container
from tests.support.wait import until

TALK = "i=0; while :; do i=$((i+1)); echo o$i; echo e$i >&2; sleep 0.02; done"
HOLD = "while [ -e /tmp/hold ]; do sleep 0.02; done"
READ = f"while read line; do echo $line >> /tmp/lines; {HOLD}; done"


@dataclass
class Streams:
    """Starts a container, and brings it back, with standard descriptors of the test's."""

    saving: Saving

    def __call__(
        self,
        container: Container,
        verb: str,
        *flags: str | Path,
        stdin: Any = subprocess.DEVNULL,
        stdout: Any = subprocess.DEVNULL,
        stderr: Any = subprocess.DEVNULL,
    ) -> int:
        runtime = self.saving.runtime
        words = ("--detach", "--bundle", container.config.bundle, *flags, container.id)
        done = subprocess.run(
            runtime.argv(verb, *words),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            check=False,
            timeout=TIMEOUT_S,
        )
        return done.returncode

    def restore(self, container: Container, **streams: Any) -> int:
        return self(container, "restore", "--image-path", self.saving.images, **streams)


@pytest.fixture
def streams(saving: Saving) -> Streams:
    return Streams(saving)


def container_with(saving: Saving, config: Config, script: str) -> Container:
    config.process["args"] = ["sh", "-c", script]
    config.write()
    container = Container(saving.runtime, saving.runtime.new_id(), config)
    saving.made.append(container)
    return container


@pytest.fixture
def saved(streams: Streams, saving: Saving, config: Config, workspace: Path) -> Container:
    """A container that was saved while it wrote to two files, neither of them opened to append."""
    container = container_with(saving, config, TALK)
    with (workspace / "out").open("w") as out, (workspace / "err").open("w") as err:
        assert streams(container, "run", stdout=out, stderr=err) == 0
    until(lambda: len(lines(workspace / "err")) > 3, "it talks")
    saving.save(container).ok()
    return container


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def numbers(text: list[str], letter: str) -> list[int]:
    """The numbers behind a letter; each must follow the one before."""
    found = [int(line.removeprefix(letter)) for line in text if line.startswith(letter)]
    assert found == list(range(found[0], found[0] + len(found)))
    return found


def test_new_files_are_written_from_their_beginning(
    streams: Streams, saved: Container, workspace: Path
) -> None:
    last = numbers(lines(workspace / "out"), "o")[-1]
    new, error = workspace / "new", workspace / "error"
    with new.open("w") as out, error.open("w") as err:
        assert streams.restore(saved, stdout=out, stderr=err) == 0
    until(lambda: len(lines(new)) > 3 and len(lines(error)) > 3, "it talks on")
    saved.delete().ok()
    assert numbers(lines(new), "o")[0] == last + 1
    assert lines(error)[0].startswith("e")
    assert "\0" not in new.read_text()


def test_a_file_is_written_behind_what_the_caller_has_written(
    streams: Streams, saved: Container, workspace: Path
) -> None:
    """The descriptor is the caller's own: what the caller writes later does not lie over it."""
    log = workspace / "log"
    with log.open("w") as out:
        out.write("before\n")
        out.flush()
        assert streams.restore(saved, stdout=out) == 0
        until(lambda: len(lines(log)) > 3, "it talks on")
        saved.delete().ok()
        out.write("after\n")
    text = lines(log)
    assert (text[0], text[-1]) == ("before", "after")
    assert len(numbers(text, "o")) == len(text) - 2


def test_output_goes_nowhere_when_it_is_told_to(streams: Streams, saved: Container) -> None:
    assert streams.restore(saved) == 0
    assert [os.readlink(f"/proc/{saved.pid}/fd/{fd}") for fd in (1, 2)] == ["/dev/null"] * 2


def first_line(stream: IO[str]) -> str:
    return stream.readline().strip()


def test_output_goes_to_a_pipe(streams: Streams, saved: Container) -> None:
    read, write = os.pipe()
    with os.fdopen(read) as reader, os.fdopen(write, "w") as writer:
        assert streams.restore(saved, stdout=writer) == 0
        assert first_line(reader).startswith("o")
        saved.delete().ok()


def test_output_goes_to_a_socket(streams: Streams, saved: Container) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, ours.makefile() as reader:
        assert streams.restore(saved, stderr=theirs) == 0
        assert first_line(reader).startswith("e")
        saved.delete().ok()


def test_in_a_user_namespace_the_caller_s_file_is_enough(
    streams: Streams, saving: Saving, config: Config, workspace: Path
) -> None:
    """Nobody inside could open it again: its directory is the caller's alone."""
    config.user_namespace()
    private = workspace / "private"
    private.mkdir(mode=0o700)
    container = container_with(saving, config, TALK)
    with (private / "out").open("w") as out:
        assert streams(container, "run", stdout=out) == 0
    until(lambda: len(lines(private / "out")) > 3, "it talks")
    saving.save(container).ok()
    with (private / "new").open("w") as out:
        os.fchmod(out.fileno(), 0o600)
        assert streams.restore(container, stdout=out) == 0
    until(lambda: len(lines(private / "new")) > 3, "it talks on")


def test_a_file_that_is_read_goes_on_where_it_was(
    streams: Streams, saving: Saving, config: Config, workspace: Path
) -> None:
    """The program reads byte by byte and has had the first line."""
    source, heard = workspace / "source", config.rootfs / "tmp/lines"
    source.write_text("one\ntwo\nthree\n")
    config.file("tmp/hold")
    container = container_with(saving, config, f"{READ}; sleep 600")
    with source.open() as given:
        assert streams(container, "run", stdin=given) == 0
    until(lambda: lines(heard) == ["one"], "it has read a line")
    saving.save(container).ok()
    (config.rootfs / "tmp/hold").unlink()
    with source.open() as given:
        assert streams.restore(container, stdin=given) == 0
    until(lambda: lines(heard) == ["one", "two", "three"], "it has read the others")
