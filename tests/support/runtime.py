# SPDX-License-Identifier: Apache-2.0
"""The program under test: pyrunc through one of its front ends, or a peer to test the tests."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from tests.support.bundle import Config
from tests.support.machine import TOKEN

TREE = Path(__file__).resolve().parents[2]
FRONTS = {
    "launcher": TREE / "bin/pyrunc",
    "boot": TREE / "build/pyrunc-boot",
    "stock": TREE / "build/pyrunc-stock",
    "library": TREE / "tests/support/pyrunc-library",
}
TIMEOUT_S = 60
NUMBERS: Iterator[int] = itertools.count(1)


# The paths of a test and the ids of its containers: its own words, not those of the program.
OWN = re.compile(
    rf"/[^\s\"']*/pytest-[0-9]+(?:/[^\s\"':,;()]*)?|{TOKEN}-[0-9]+|{TREE}[^\s\"':,;()]*"
)


class Failed(AssertionError):
    """A command that had to succeed did not."""


class Message(str):
    """What a program has said, in which `in` finds no word that only a path of the test has.

    What is looked for and is itself a path (it has a slash) or an id is found anywhere.
    """

    @property
    def words(self) -> str:
        return OWN.sub("", self)

    def __contains__(self, part: object) -> bool:
        own = isinstance(part, str) and ("/" in part or TOKEN in part)
        return str.__contains__(self if own else self.words, part)  # type: ignore[operator]

    def lower(self) -> Message:
        return Message(super().lower())


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    argv: tuple[str, ...]
    status: int
    stdout: str
    stderr: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "stderr", Message(self.stderr))

    def ok(self) -> Result:
        """This result, if the command succeeded."""
        if self.status:
            raise Failed(f"{' '.join(self.argv)}: status {self.status}\n{self.stderr}{self.stdout}")
        return self

    @property
    def lines(self) -> list[str]:
        return self.stdout.splitlines()

    @property
    def error(self) -> Message:
        """The first line on the standard error, which is all that engines show."""
        return Message((self.stderr.splitlines() or [""])[0])


@dataclass
class Runtime:
    """A runtime program with a state directory of its own."""

    program: Path
    root: Path
    globals: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """pyrunc, runc or crun."""
        return "pyrunc" if self.program.name.startswith("pyrunc") else self.program.name

    def argv(self, *args: str | Path) -> list[str]:
        return [str(self.program), "--root", str(self.root), *self.globals, *map(str, args)]

    def __call__(
        self,
        *args: str | Path,
        stdin: str = "",
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
        pass_fds: Sequence[int] = (),
        timeout_s: float = TIMEOUT_S,
        prefix: Sequence[str] = (),
    ) -> Result:
        """Run one command to its end. A command that hangs is killed and the test fails."""
        argv = [*prefix, *self.argv(*args)]
        # Files, not pipes: a container that outlives the command would keep a pipe open.
        with TemporaryFile() as given, TemporaryFile() as out, TemporaryFile() as err:
            given.write(stdin.encode())
            given.seek(0)
            child = subprocess.Popen(
                argv,
                stdin=given,
                stdout=out,
                stderr=err,
                env=dict(os.environ) if env is None else env,
                cwd=cwd,
                pass_fds=pass_fds,
                start_new_session=True,
            )
            _wait(child, timeout_s)
            texts = []
            for stream in (out, err):
                stream.seek(0)
                texts.append(stream.read().decode(errors="surrogateescape"))
        return Result(tuple(argv), child.returncode, *texts)

    def new_id(self) -> str:
        """An id that no other test of any session uses; the harness finds leftovers by it."""
        return f"{TOKEN}-{next(NUMBERS)}"

    def run(
        self, config: Config, *argv: str, flags: Sequence[str | Path] = (), **more: Any
    ) -> Result:
        """`run` a program in a new container to its end."""
        if argv:
            config.process["args"] = list(argv)
        config.write()
        return self("run", "--bundle", config.bundle, *flags, self.new_id(), **more)

    def create(self, config: Config, *argv: str, flags: Sequence[str | Path] = ()) -> Container:
        """`create` a container that waits for `start`; its output goes to a file."""
        if argv:
            config.process["args"] = list(argv)
        config.write()
        container = Container(self, self.new_id(), config)
        container.create(*flags)
        return container


def _wait(child: subprocess.Popen[bytes], timeout_s: float) -> None:
    try:
        child.wait(timeout_s)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        argv = " ".join(map(str, child.args))  # type: ignore[arg-type]
        raise Failed(f"{argv}: still running after {timeout_s} s") from None


@dataclass
class Container:
    """A container that was created and may be started, killed and deleted."""

    runtime: Runtime
    id: str
    config: Config

    @property
    def output_file(self) -> Path:
        return self.config.bundle / f"{self.id}.out"

    @property
    def output(self) -> str:
        """What the container has written so far."""
        return self.output_file.read_text(errors="surrogateescape")

    def create(self, *flags: str | Path) -> None:
        with self.output_file.open("wb") as output, Path("/dev/null").open() as null:
            argv = self.runtime.argv("create", "--bundle", self.config.bundle, *flags, self.id)
            done = subprocess.run(
                argv, stdin=null, stdout=output, stderr=output, check=False, timeout=TIMEOUT_S
            )
        Result(tuple(argv), done.returncode, "", self.output).ok()

    def command(self, verb: str, *args: str | Path) -> Result:
        return self.runtime(verb, self.id, *args)

    def start(self) -> Container:
        self.command("start").ok()
        return self

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.command("state").ok().stdout)
        return found

    @property
    def pid(self) -> int:
        return int(self.state()["pid"])

    def wait(self, status: str = "stopped", *, patience_s: float = 20) -> Container:
        """Wait until the container has this status."""
        from tests.support.wait import until

        until(
            lambda: self.state()["status"] == status,
            f"{self.id} is {status}",
            patience_s=patience_s,
        )
        return self

    def delete(self, *, force: bool = True) -> Result:
        return self.runtime("delete", *(["--force"] if force else []), self.id)


def find_program(name: str, front: str) -> Path:
    """The program that `--runtime` and `--front` (or PYRUNC_FRONT) mean."""
    if not name:
        return FRONTS[front]
    found = shutil.which(name)
    if not found:
        raise FileNotFoundError(f"no runtime {name}")
    return Path(found)
