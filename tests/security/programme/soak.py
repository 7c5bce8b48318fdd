# SPDX-License-Identifier: Apache-2.0
"""S14: thousands of lives, and of execs in one container; what the kernel counts stays the same."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from tests.security.programme.place import FOUND, SURVIVED, Place, Verdict
from tests.support.runtime import Container, Failed

BATCH = 100
LIVES, EXECS = 10_000, 1_000
SETTLE_S = 5
SLACK = 40  # of the counters of the whole machine, which others move too


def counters() -> dict[str, int]:
    """What only grows where something leaks."""
    mine = [line for line in Path("/proc/keys").read_text().splitlines() if " _ses" in line]
    return {
        "session keys": len(mine),
        "mounts": len(Path("/proc/self/mountinfo").read_text().splitlines()),
    }


def memory_kib(pid: int) -> int:
    """Resident memory of a process."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0])


class Soak:
    """The cases `lives N` and `execs N`: a batch each."""

    name = "S14"
    title = "many lives and execs"

    def __init__(self, place: Place, batch: int = BATCH) -> None:
        self.place = place
        self.batch = batch
        self.config = place.config()
        self.config.process["args"] = ["sleep", "600"]
        self.config.write()

    def cases(self) -> Iterator[str]:
        for number in range(LIVES // BATCH):
            yield f"lives {number}"
            if number < EXECS // BATCH:
                yield f"execs {number}"

    def judge(self, case: str) -> Verdict:
        kind, _ = case.split()
        before = counters()
        container = self.place.runtime.create(self.config)
        try:
            why = self._lives(container) if kind == "lives" else self._execs(container)
        except (Failed, AssertionError) as failed:
            why = str(failed)[:200]
        left = self.place.left(container.id)
        end = time.monotonic() + SETTLE_S  # keys and namespaces are taken apart a little later
        while time.monotonic() < end and any(
            count > before[name] + SLACK for name, count in counters().items()
        ):
            time.sleep(0.1)
        grown = [name for name, count in counters().items() if count > before[name] + SLACK]
        if grown and not why:
            why = f"{self.batch} {kind} leave more {', '.join(grown)}"
        return left or (Verdict(FOUND, why) if why else Verdict(SURVIVED))

    def _lives(self, container: Container) -> str:
        for _ in range(self.batch):
            container.start()
            container.command("kill", "KILL").ok()
            container.delete().ok()
            container = self.place.runtime.create(self.config)
        container.delete().ok()
        return ""

    def _execs(self, container: Container) -> str:
        container.start()
        pid = container.pid
        container.command("exec", "true").ok()
        before = (memory_kib(pid), len(os.listdir(f"/proc/{pid}/fd")))
        for _ in range(self.batch):
            container.command("exec", "true").ok()
        after = (memory_kib(pid), len(os.listdir(f"/proc/{pid}/fd")))
        return "" if after == before else f"memory and descriptors: {before}, then {after}"
