# SPDX-License-Identifier: Apache-2.0
"""S9: bursts of random commands by several workers on a few ids.

No command hangs or fails by accident, no signal reaches a stranger, and nothing is left in the end.
A container that no command names lives through all of it as it was. One more worker has an id of
its own: nobody else names it, so that each of its commands has one right answer. Most commands wait
at a random one of their system calls: what is asked before it may be wrong after it.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.security.programme.faults import call_names
from tests.security.programme.place import FOUND, SURVIVED, Place, Verdict, injector, unclear
from tests.support import machine
from tests.support.bundle import Config
from tests.support.runtime import Failed

BURSTS, WORKERS, COMMANDS, IDS = 100, 4, 25, 3
VERBS = (
    *("create", "run", "start", "delete", "delete --force", "kill", "state", "list", "exec"),
    *("pause", "resume", "update", "ps"),
)
# Where a command waits: at one of the first calls by which it deals with the others.
DELAYED, FIRST, DELAYS_MS = 0.7, 4, (10, 40, 120)
CALLS = (
    *("flock", "renameat", "renameat2", "mkdirat", "unlinkat", "openat", "newfstatat", "fstat"),
    *("pidfd_open", "pidfd_send_signal", "execve", "wait4", "waitid", "clone3", "write", "poll"),
)
LONELY_LIVES = 4
# What the only one who names an id is told: the command, the state that must follow ("" is none).
LIFE = (
    ("create", "created"),
    ("start", "running"),
    ("pause", "paused"),
    ("resume", "running"),
    ("exec", "running"),
    ("update", "running"),
    ("delete --force", ""),
)
# What no interleaving may end in.
NEVER = ("not empty", "unable to remove", "may be left")


class Bursts:
    """The cases `seed N`: each a hundred commands."""

    name = "S9"
    title = "random commands at the same time"

    def __init__(self, place: Place) -> None:
        self.place = place
        self.stranger = 0
        self.inject = injector(place.workspace)
        self.numbers = {name: number for number, name in call_names().items()}
        self.config = place.config()
        self.config.process["args"] = ["sleep", "0.3"]
        self.config.write()
        self.patient = place.config()
        self.patient.process["args"] = ["sleep", "600"]
        self.patient.write()

    def cases(self) -> Iterator[str]:
        yield from (f"seed {seed}" for seed in range(BURSTS))

    def judge(self, case: str) -> Verdict:
        seed = int(case.split()[1])
        ids = [self.place.runtime.new_id() for _ in range(IDS)]
        wrong: list[str] = []
        lonely, bystander = (self.place.runtime.new_id() for _ in range(2))
        threads = [
            threading.Thread(target=self._work, args=(seed * WORKERS + n, ids, wrong))
            for n in range(WORKERS)
        ]
        threads.append(threading.Thread(target=self._live_alone, args=(lonely, wrong)))
        with self._untouched(bystander, wrong), _stranger(wrong) as self.stranger:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            wrong += self._unknown(ids, bystander)
        hung = [verdict for verdict in map(self.place.delete, (*ids, lonely)) if verdict]
        found = hung[0] if hung else self.place.left(ids[0])
        if wrong:
            return Verdict(FOUND, wrong[0])
        return found or Verdict(SURVIVED)

    @contextmanager
    def _untouched(self, name: str, wrong: list[str]) -> Iterator[None]:
        """A running container that no command names, the same at the end as at the beginning."""
        for verb in ("create", "start"):
            self.place.call(*self._words(verb, name, self.patient)).ok()
        before = self._seen(name)
        yield
        if self._seen(name) != before:
            wrong.append(f"a container that nobody named was {before} and is {self._seen(name)}")
        self.place.delete(name)

    def _seen(self, name: str) -> tuple[str, int]:
        """Status and pid in the state; ("", 0) without one."""
        result = self.place.call("state", name)
        if result.status:
            return "", 0
        state = json.loads(result.stdout)
        return state["status"], state["pid"]

    def _unknown(self, ids: list[str], bystander: str) -> list[str]:
        """Containers that no state tells of: `delete --force` would find these by their marks."""
        machine.reap()
        known = {self._seen(name)[1] for name in (*ids, bystander)}
        living = {pid for pid, program in machine.children().items() if program == "sleep"}
        lost = living - known - self.place.before.children.keys() - {self.stranger}
        return [f"no state tells of process {pid}" for pid in sorted(lost)]

    def _live_alone(self, name: str, wrong: list[str]) -> None:
        for _ in range(LONELY_LIVES):
            for verb, status in LIFE:
                result = self.place.call(*self._words(verb, name, self.patient))
                after = self._seen(name)[0]
                if result.status or after != status:
                    wrong.append(f"alone: {verb}: {after or 'no state'}: {result.stderr[-200:]}")
                    return

    def _work(self, seed: int, ids: list[str], wrong: list[str]) -> None:
        chance = random.Random(seed)
        for _ in range(COMMANDS):
            verb = chance.choice(VERBS)
            config = self.config if verb == "run" else self.patient
            words = self._words(verb, chance.choice(ids), config)
            try:
                result = self.place.call(*words, prefix=self._delay(chance))
            except Failed as hung:
                wrong.append(str(hung)[-200:])
                return
            why = unclear(result) if result.status and words[0] not in ("run", "exec") else ""
            why = why or next((word for word in NEVER if word in result.stderr), "")
            if why:
                wrong.append(f"{words[0]}: {why}")
            if words[0] == "pause":  # a `run` would wait for as long as nobody resumes
                self.place.call("resume", words[-1])

    def _delay(self, chance: random.Random) -> list[str]:
        """What goes before a command that waits somewhere."""
        if chance.random() > DELAYED:
            return []
        call = f"{chance.randint(1, FIRST)}@{self.numbers[chance.choice(CALLS)]}"
        return [str(self.inject), "/dev/null", "parent", call, str(-chance.choice(DELAYS_MS))]

    def _words(self, verb: str, name: str, config: Config) -> tuple[str, ...]:
        bundle = ("--bundle", str(config.bundle))
        more = {
            "create": (*bundle, name),
            "run": (*bundle, name),
            "kill": (name, "KILL"),
            "list": (),
            "exec": (name, "true"),
            "update": ("--pids-limit", "100", name),
        }
        return (*verb.split(), *more.get(verb, (name,)))


@contextmanager
def _stranger(wrong: list[str]) -> Iterator[int]:
    """A process of nobody's container, which no signal may reach."""
    stranger = subprocess.Popen(["sleep", "600"])
    yield stranger.pid
    if stranger.poll() is not None:
        wrong.append("a signal has reached a stranger")
    stranger.send_signal(signal.SIGKILL)
    stranger.wait()
