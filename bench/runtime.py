# SPDX-License-Identifier: Apache-2.0
"""One runtime under measurement, and one measured command."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

# An engine gives a runtime next to nothing; the same for all.
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
TIMEOUT_S = 60
PEERS = "build/peers"
NEWEST = ("crun-static", "crun-newest", "runc-newest")


class Sample(NamedTuple):
    """What one command took."""

    wall_ms: float
    peak_kb: int
    faults: int
    cpu_ms: float


class Failed(Exception):
    pass


class Meter:
    """Runs commands through meter.c."""

    def __init__(self, directory: Path) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            raise SystemExit("bench: no C compiler (cc)")
        self.program = directory / "meter"
        source = Path(__file__).with_name("meter.c")
        subprocess.run([compiler, "-O2", "-static", source, "-o", self.program], check=True)

    def __call__(self, argv: list[str]) -> Sample:
        reader, writer = os.pipe()
        # A file and no pipe for what it says: a created container keeps it open.
        said = self.program.with_name("said")
        out = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC)
        try:
            done = subprocess.run(
                [str(self.program), str(writer), *argv],
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                pass_fds=(writer,),
                env=ENVIRONMENT,
                timeout=TIMEOUT_S,
            )
        finally:
            os.close(writer)
            os.close(out)
        with os.fdopen(reader) as pipe:
            words = pipe.readline().split()
        if done.returncode or len(words) != 6 or words[1] != "0":
            raise Failed(f"{' '.join(argv)}: {' '.join(words)}: {said.read_text()}")
        wall, _, peak, faults, user, system = map(int, words)
        return Sample(wall / 1e6, peak, faults, (user + system) / 1e3)


class Runtime:
    """A program with runc's command line and a state directory of its own."""

    def __init__(self, name: str, program: str, *, state: Path) -> None:
        self.name = name
        self.program = program
        self.state = state / name
        self.state.mkdir(mode=0o700)

    def argv(self, *words: str) -> list[str]:
        return [self.program, "--root", str(self.state), *words]

    def quietly(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command that is not measured."""
        return subprocess.run(
            self.argv(*words),
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=ENVIRONMENT,
            text=True,
            timeout=TIMEOUT_S,
        )

    def version(self) -> str:
        said = self.quietly("--version").stdout
        return " ".join(said.splitlines()[0].split()) if said else "unknown"


def newest(directory: Path) -> list[str]:
    """Return what `make bench-peers` has made."""
    return [f"{name}={directory / name}" for name in NEWEST if (directory / name).exists()]


def find(words: list[str], *, tree: Path, state: Path) -> list[Runtime]:
    """Return runtimes from ``name``, ``path`` or ``name=path``.

    By default these are this tree's and Debian's, and the newest peers if they have been made.
    """
    found = []
    for word in words or ["pyrunc", "crun", "runc", *newest(tree / PEERS)]:
        name, equals, path = word.rpartition("=")
        if not equals:
            name = os.path.basename(word)
            path = str(tree / "bin/pyrunc") if word == "pyrunc" else word
        program = shutil.which(path)
        if program is None:
            print(f"bench: {word} is not there, left out")
            continue
        found.append(Runtime(name, program, state=state))
    return found
