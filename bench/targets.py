# SPDX-License-Identifier: Apache-2.0
"""What pyrunc must reach, and whether it does."""

from __future__ import annotations

from typing import Any

SLACK = 1.10  # a ratio may be missed by this much in the best of the runs

# (command, peer, the most that pyrunc's median may be of the peer's). "crun-static" is the newest
# crun, where one is given by path under that name.
RATIOS = (
    ("state", "crun", 0.5),
    ("kill", "crun", 0.5),
    *((command, "runc", 0.35) for command in ("state", "kill", "start", "delete")),
    *((command, "crun-static", 1.0) for command in ("state", "kill", "start", "delete")),
    ("life", "crun", 0.65),
    ("life", "runc", 0.45),
    ("create", "crun", 0.8),
    ("exec", "crun", 0.7),
    ("exec", "runc", 0.4),
)
PEAK_KB = 12 * 1024
CONTAINER_KB = 300


class Check:
    """One target: what it is called, the value, the limit (a value may be at most that)."""

    __slots__ = ("limit", "name", "value")

    def __init__(self, name: str, value: float, limit: float) -> None:
        self.name = name
        self.value = value
        self.limit = limit

    @property
    def met(self) -> bool:
        return self.value <= self.limit * SLACK

    def __str__(self) -> str:
        verdict = "ok" if self.value <= self.limit else "close" if self.met else "MISSED"
        return f"{self.name:36}{self.value:10.3g}  (at most {self.limit:g}) {verdict}"


def checks(results: dict[str, Any]) -> list[Check]:
    """All targets that the measured runtimes allow to judge."""
    ours = results["pyrunc"]
    found = []
    for command, peer, limit in RATIOS:
        if peer not in results:
            continue
        value = ours["commands"][command]["median_ms"]
        ratio = value / results[peer]["commands"][command]["median_ms"]
        found.append(Check(f"{command} / {peer}", ratio, limit))
    if "crun" in results:
        slower = results["crun"]["parallel"] / ours["parallel"]
        found.append(Check("50 creates at once: crun / pyrunc", slower, 1.0))
    peak = max(numbers["peak_kb"] for numbers in ours["commands"].values())
    found.append(Check("peak memory of a command, kB", peak, PEAK_KB))
    found.append(Check("memory of a created container, kB", ours["container_kb"], CONTAINER_KB))
    return found


def best(runs: list[list[Check]]) -> list[Check]:
    """Of each target the best value of several runs."""
    return [min(same, key=lambda check: check.value) for same in zip(*runs, strict=True)]
