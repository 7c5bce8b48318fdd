# SPDX-License-Identifier: Apache-2.0
"""Where a suite works: a bundle, a canary tree, state roots, and the machine as it was before."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.support import canary as canaries
from tests.support import machine
from tests.support.bundle import Config, make_bundle
from tests.support.canary import Canary
from tests.support.programs import PROGRAMS, static_program
from tests.support.runtime import TREE, Result, Runtime

SURVIVED, REFUSED, LEFT, FOUND = "survived", "refused", "left behind", "found"
PATIENCE_S = 20
# What no failure may be told by.
UNCLEAR = ("internal error", "Traceback", "panic:", "SIGSEGV")


@dataclass(frozen=True)
class Verdict:
    """How a case ended.

    `survived`: the program ran with all that was asked for. `refused`: a clear error, nothing left.
    `left behind`: something stays that `delete --force` does not remove. `found`: a fault.
    """

    outcome: str
    detail: str = ""

    @property
    def good(self) -> bool:
        return self.outcome in (SURVIVED, REFUSED)


Judge = Callable[[str], Verdict]


@dataclass
class Place:
    """One subject with all that its cases need. The base is a busybox root file system."""

    runtime: Runtime
    workspace: Path
    base: Path
    probe: Path
    bundles: int = 0
    canary: Canary = field(init=False)
    before: machine.Snapshot = field(init=False)

    def __post_init__(self) -> None:
        self.canary = canaries.plant(self.workspace / "canary")
        self.before = machine.Snapshot()

    def config(self) -> Config:
        """A new bundle in which /bin/probe is our program."""
        self.bundles += 1
        made = make_bundle(self.base, self.workspace / f"bundle{self.bundles}")
        made.bind(self.probe, "/bin/probe", "bind", "ro", "nosuid", "nodev")
        return made

    def call(self, *args: str | Path, prefix: Sequence[str] = ()) -> Result:
        return self.runtime(*args, prefix=prefix, timeout_s=PATIENCE_S)

    def left(self, name: str, said: str = "") -> Verdict | None:
        """What the case has left, when what the runtime still lists has been deleted by force."""
        hung = self.delete(name)
        if hung is not None:
            return hung
        left = self.before.leftovers(patience_s=1.0)
        left += [f"state {entry.name}" for entry in entries(self.runtime.root)]
        changed = self.canary.changes()
        if changed:
            self.canary = Canary(self.canary.top, canaries.look(self.canary.top))
            return Verdict(FOUND, f"changed outside the container: {', '.join(changed)}")
        if not left:
            return None
        self.tidy()
        return Verdict(LEFT, f"{said}: {'; '.join(left)}"[:300])

    def delete(self, name: str) -> Verdict | None:
        """`delete --force`, while we reap what has become our child, as the first process would.

        What a pid namespace has left must be reaped before its own first process can end.
        """
        argv = self.runtime.argv("delete", "--force", name)
        null = subprocess.DEVNULL
        child = subprocess.Popen(argv, stdin=null, stdout=null, stderr=null, start_new_session=True)
        end = time.monotonic() + PATIENCE_S
        while child.poll() is None:
            if time.monotonic() > end:
                child.kill()
                child.wait()
                return Verdict(FOUND, "delete hangs")
            for pid in machine.children_and_dead() - {child.pid}:
                with suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
            time.sleep(0.002)
        return None

    def tidy(self) -> None:
        """Remove what a case has left, so that the next one is judged for itself."""
        for pid in machine.children().keys() - self.before.children.keys():
            os.kill(pid, 9)
        machine.reap()
        for entry in entries(self.runtime.root):
            subprocess.run(["rm", "-rf", entry], check=False)
        machine.remove_cgroups()
        self.before = machine.Snapshot()


def entries(root: Path) -> list[Path]:
    """What is in a state root but for names that begin with a dot."""
    return [entry for entry in root.iterdir() if not entry.name.startswith(".")]


def unclear(result: Result) -> str:
    """Why a failure is not told well, or nothing."""
    if result.status < 0 or 128 < result.status < 193:
        return f"ended by signal, status {result.status}"
    if not result.stderr.strip():
        return f"status {result.status} without a word"
    return next((f"{word}: {result.stderr[:200]}" for word in UNCLEAR if word in result.stderr), "")


def sample(cases: Sequence[str], limit: int) -> list[str]:
    """At most `limit` of the cases (0: all), evenly spread."""
    if not limit or len(cases) <= limit:
        return list(cases)
    return [cases[i * len(cases) // limit] for i in range(limit)]


def make_place(program: Path, workspace: Path, base: Path) -> Place:
    """A place of its own for one subject."""
    workspace.mkdir(parents=True, exist_ok=True)
    root = workspace / "state"
    root.mkdir(mode=0o700, exist_ok=True)
    headers = ("-idirafter", "/usr/include", "-idirafter", "/usr/include/x86_64-linux-gnu")
    probe = static_program(PROGRAMS / "probe.c", workspace / "probe", "-O1", *headers)
    return Place(Runtime(program, root), workspace, base, probe)


def digest(program: Path) -> str:
    """What tells one build of a program from another."""
    return hashlib.sha256(program.resolve().read_bytes()).hexdigest()[:12]


def injector(directory: Path) -> Path:
    """The fault injector, compiled."""
    source, target = TREE / "tests/security/programme/inject.c", directory / "inject"
    if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
        subprocess.run(["cc", "-O2", "-Wall", "-Werror", "-o", target, source], check=True)
    return target
