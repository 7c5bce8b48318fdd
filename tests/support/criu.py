# SPDX-License-Identifier: Apache-2.0
"""CRIU for the runtime under test, and containers that are saved and brought back with it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support import machine, mountinfo
from tests.support.bundle import Config
from tests.support.programs import PROGRAMS, static_program
from tests.support.runtime import TIMEOUT_S, Container, Result, Runtime
from tests.support.wait import until
from tests.vm import criu as criu_cache


@pytest.fixture(scope="session")
def criu_program() -> Path:
    """A criu that works here; skips where guests or the kernel cannot have one."""
    if os.environ.get("IN_GUEST") and not criu_cache.ready():
        pytest.skip("guests have no network to fetch CRIU")
    try:
        found = criu_cache.program()
    except SystemExit as error:  # no network, or no such package
        pytest.fail(f"CRIU cannot be fetched: {error}", pytrace=False)
    done = subprocess.run([found, "check"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"CRIU does not work on this kernel: {done.stderr.strip()}")
    return found


@pytest.fixture
def criu(criu_program: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The runtime under test finds criu in its PATH."""
    monkeypatch.setenv("PATH", f"{criu_program.parent}:{os.environ['PATH']}")
    before = unified()
    yield criu_program
    # The runtimes that these tests are compared with leave the host without nsdelegate (pyrunc does
    # not: test_the_host_keeps_the_options_of_its_cgroups).
    if unified() != before:
        give_options(frozenset().union(*before.values()), tmp_path)


def unified() -> dict[str, frozenset[str]]:
    """What the cgroup2 was mounted with, by mount point."""
    table = mountinfo.parse(Path("/proc/self/mountinfo").read_text())
    return {mount.target: mount.data for mount in table.values() if mount.fstype == "cgroup2"}


def give_options(options: frozenset[str], directory: Path) -> None:
    """Give the host's cgroup2 these options: those of a new mount hold for all."""
    words = ["mount", "-t", "cgroup2", "-o", ",".join(["rw", *options]), "none", str(directory)]
    subprocess.run(words, check=True)
    subprocess.run(["umount", directory], check=True)


def need_feature(criu: Path, name: str, what: str) -> None:
    """Skip where the kernel lacks what a test is about."""
    argv = [str(criu), "check", "--feature", name]
    if subprocess.run(argv, capture_output=True, check=False).returncode:
        pytest.skip(f"this kernel has no {what}")


@dataclass
class Saving:
    """Starts containers, saves them, and brings them back, always to the same images."""

    runtime: Runtime
    images: Path
    made: list[Container] = field(default_factory=list)

    def begin(self, config: Config, *argv: str, output: bool = False) -> Container:
        """A running container. Its stdio is /dev/null, or with `output` a file of the host."""
        config.process["args"] = list(argv)
        config.write()
        container = Container(self.runtime, self.runtime.new_id(), config)
        self.made.append(container)
        self._start(container, "run", output=output).ok()
        return container

    def save(self, container: Container, *flags: str | Path) -> Result:
        return self.runtime("checkpoint", "--image-path", self.images, *flags, container.id)

    def restore(self, container: Container, *flags: str | Path, output: bool = False) -> Result:
        """The same id with the same bundle, detached."""
        return self._start(container, "restore", "--image-path", self.images, *flags, output=output)

    def _start(self, container: Container, verb: str, *flags: str | Path, output: bool) -> Result:
        bundle = container.config.bundle
        argv = self.runtime.argv(verb, "--detach", "--bundle", bundle, *flags, container.id)
        errors = bundle / f"{container.id}.err"
        with Path("/dev/null").open("r+b") as null, errors.open("w+b") as error:
            with container.output_file.open("ab") as out:
                # Errors of the runtime and the standard error of the program go one way.
                done = subprocess.run(
                    argv,
                    stdin=null,
                    stdout=out if output else null,
                    stderr=error if verb == "restore" and not output else (out if output else null),
                    check=False,
                    timeout=TIMEOUT_S,
                )
            error.seek(0)
            text = error.read().decode(errors="replace")
        return Result(tuple(argv), done.returncode, "", text)


@pytest.fixture
def saving(criu: Path, runtime: Runtime, workspace: Path) -> Iterator[Saving]:
    """Containers that are saved and restored; they are deleted after the test."""
    found = Saving(runtime, workspace / "images")
    yield found
    for container in found.made:
        runtime("delete", "--force", container.id)


@pytest.fixture(scope="session")
def keeper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A static program that keeps what CRIU has to save: locks, sockets, deleted files."""
    target = tmp_path_factory.mktemp("programs") / "keeper"
    return static_program(PROGRAMS / "keeper.c", target, "-O1", "-Wall", "-Werror")


def counter(file: str = "/tmp/count") -> tuple[str, ...]:
    """A program that appends a number to a file again and again, each one more than the last."""
    return ("sh", "-c", f"i=0; while :; do i=$((i+1)); echo $i >> {file}; sleep 0.02; done")


def counted(path: Path) -> list[int]:
    """The numbers that a counter has written as whole lines."""
    if not path.exists():
        return []
    return [int(line) for line in path.read_text().splitlines(keepends=True) if line[-1] == "\n"]


@pytest.fixture
def counting(saving: Saving, config: Config) -> Container:
    """A container that has counted for a while."""
    container = saving.begin(config, *counter())
    until(lambda: len(numbers(container)) > 3, "it counts")
    return container


def numbers(container: Container) -> list[int]:
    return counted(container.config.rootfs / "tmp/count")


def goes_on(container: Container) -> None:
    """It has counted on after the last number that was there, and has lost none."""
    before = len(numbers(container))
    until(lambda: len(numbers(container)) > before + 3, "it counts on")
    found = numbers(container)
    assert found == list(range(1, len(found) + 1))


def again(saving: Saving, container: Container, *flags: str | Path) -> None:
    """Save a container that counts and bring it back."""
    until(lambda: len(numbers(container)) > 3, "it counts")
    saving.save(container, *flags).ok()
    saving.restore(container, *flags).ok()
    goes_on(container)


def again_with_its_numbers(saving: Saving, container: Container) -> None:
    """The same where nothing hides the process numbers that it had: they must be free first."""
    until(lambda: len(numbers(container)) > 3, "it counts")
    saving.save(container).ok()
    machine.reap()
    until(lambda: saving.restore(container).status == 0, "the dead are collected")
    goes_on(container)


def inside(container: Container, *argv: str) -> str:
    return container.command("exec", *argv).ok().stdout


def said(container: Container) -> list[str]:
    """What the program keeper has said."""
    path = container.config.rootfs / "tmp/said"
    return path.read_text().split() if path.exists() else []


def keep(saving: Saving, config: Config, keeper: Path, *argv: str) -> Container:
    """A container with the program keeper, once it has what it shall keep."""
    config.bind(keeper, "/keeper")
    container = saving.begin(config, "/keeper", *argv)
    until(lambda: said(container), f"keeper {argv} has begun")
    return container


def says_again(container: Container, word: str) -> None:
    before = len(said(container))
    until(lambda: len(said(container)) > before + 2, "keeper goes on")
    assert said(container)[before:] == [word] * len(said(container)[before:])
