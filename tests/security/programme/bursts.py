# SPDX-License-Identifier: Apache-2.0
"""S9: bursts of random commands by several workers on a few ids.

No command hangs or fails by accident, no signal reaches a stranger, and nothing is left in the end.
"""

from __future__ import annotations

import random
import signal
import subprocess
import threading
from collections.abc import Iterator

from tests.security.programme.place import FOUND, SURVIVED, Place, Verdict, unclear
from tests.support.runtime import Failed

BURSTS, WORKERS, COMMANDS, IDS = 100, 4, 25, 3
VERBS = ("create", "run", "start", "delete", "delete --force", "kill", "state", "list", "exec")
# What no interleaving may end in.
NEVER = ("not empty", "unable to remove", "may be left")


class Bursts:
    """The cases `seed N`: each a hundred commands."""

    name = "S9"
    title = "random commands at the same time"

    def __init__(self, place: Place) -> None:
        self.place = place
        self.config = place.config()
        self.config.process["args"] = ["sleep", "0.3"]
        self.config.write()

    def cases(self) -> Iterator[str]:
        yield from (f"seed {seed}" for seed in range(BURSTS))

    def judge(self, case: str) -> Verdict:
        seed = int(case.split()[1])
        ids = [self.place.runtime.new_id() for _ in range(IDS)]
        wrong: list[str] = []
        stranger = subprocess.Popen(["sleep", "600"])
        threads = [
            threading.Thread(target=self._work, args=(seed * WORKERS + n, ids, wrong))
            for n in range(WORKERS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if stranger.poll() is not None:
            wrong.append("a signal has reached a stranger")
        stranger.send_signal(signal.SIGKILL)
        stranger.wait()
        hung = [verdict for verdict in map(self.place.delete, ids) if verdict]
        found = hung[0] if hung else self.place.left(ids[0])
        if wrong:
            return Verdict(FOUND, wrong[0])
        return found or Verdict(SURVIVED)

    def _work(self, seed: int, ids: list[str], wrong: list[str]) -> None:
        chance = random.Random(seed)
        for _ in range(COMMANDS):
            words = self._words(chance.choice(VERBS), chance.choice(ids))
            try:
                result = self.place.call(*words)
            except Failed as hung:
                wrong.append(str(hung)[-200:])
                return
            why = unclear(result) if result.status and words[0] not in ("run", "exec") else ""
            why = why or next((word for word in NEVER if word in result.stderr), "")
            if why:
                wrong.append(f"{words[0]}: {why}")

    def _words(self, verb: str, name: str) -> tuple[str, ...]:
        bundle = ("--bundle", str(self.config.bundle))
        more = {
            "create": (*bundle, name),
            "run": (*bundle, name),
            "kill": (name, "KILL"),
            "list": (),
            "exec": (name, "true"),
        }
        return (*verb.split(), *more.get(verb, (name,)))
