# SPDX-License-Identifier: Apache-2.0
"""``python3 -m bench.cgroups [--rounds N]``: what the cgroups of a container add to its `create`.

Round by round in turn: the bare placement on a cgroup2 (mkdir and open, without which no task can
be put anywhere) and everything that `create` does in its place, step by step. Medians, in ms. Where
controllers are on v1 hierarchies the limits are written there. In `create` the init makes its
namespaces meanwhile, so that a part of this is not waited for.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pyrunc.cgroups import layout
from pyrunc.cgroups.fs import FsManager
from pyrunc.spec import parse_resources

MB = 1 << 20
WARM_UP = 10
LIMIT_MS = 1.0
WANTED: dict[str, dict[str, Any]] = {
    "pids": {"pids": {"limit": 100}},
    "memory": {"memory": {"limit": 256 * MB, "reservation": 64 * MB, "swap": 512 * MB}},
    "cpu": {"cpu": {"shares": 512, "quota": 50000, "period": 100000}},
    "cpuset": {"cpu": {"cpus": "0", "mems": "0"}},
}
RULES = [
    {"allow": False, "access": "rwm"},
    {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"},
]
STEPS = ("bare placement", "find the place", "make it", "limits", "device program", "open it")
Samples = dict[str, list[float]]


class Clock:
    """Times steps one after the other."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        started = time.perf_counter_ns()
        yield
        self.samples[name].append((time.perf_counter_ns() - started) / 1e6)


def resources(controllers: list[str]) -> dict[str, Any]:
    """As much as the cgroup2 has controllers for."""
    found: dict[str, Any] = {"devices": RULES}
    for name in controllers:
        for group, node in WANTED.get(name, {}).items():
            found[group] = {**found.get(group, {}), **node}
    return found


def finder() -> Callable[[], layout.Layout]:
    """Return how `create` finds the cgroup2 of a host that has no other hierarchy.

    Beside v1 hierarchies the same calls are made for the cgroup2 alone.
    """
    host = layout.probe()
    if host.kind == "v2":
        return layout.probe
    mount = host.hierarchies[-1].mount

    def find() -> layout.Layout:
        own = layout.parse_own(layout.read_whole("/proc/self/cgroup"))
        hierarchy = layout.open_unified(mount)
        assert hierarchy is not None
        hierarchy.own = own[""]
        return layout.Layout([hierarchy])

    return find


def bare(clock: Clock, mount: str) -> None:
    top = os.open(mount, os.O_RDONLY | os.O_DIRECTORY)
    name = f"bench-{os.getpid()}-bare"
    with clock.step("bare placement"):
        os.mkdir(name, dir_fd=top)
        fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=top)
    os.close(fd)
    os.rmdir(name, dir_fd=top)
    os.close(top)


def whole(
    clock: Clock, wanted: bytes, host: Callable[[], layout.Layout], beside: layout.Layout | None
) -> None:
    parsed = parse_resources(wanted)
    path = f"/bench-{os.getpid()}"
    with clock.step("find the place"):
        manager = FsManager.resolve(host(), cgroups_path=path, container_id="x")
        manager.mark = "/run/pyrunc/bench"
    with clock.step("make it"):
        manager.prepare()
    limited = manager
    if beside is not None:
        limited = FsManager.resolve(beside, cgroups_path=path, container_id="x")
        limited.prepare()
    with clock.step("limits"):
        limited.put(limited.writes(parsed))
    with clock.step("device program"):
        manager.apply_devices(parsed)
    with clock.step("open it"):
        entry = manager.entry()
    entry.close()
    for one in {manager, limited}:
        one.destroy()
        one.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.cgroups", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    find = finder()
    mount = find().hierarchies[-1].mount
    host = layout.probe()
    beside = None
    with open(f"{mount}/cgroup.controllers") as file:
        controllers = file.read().split()
    if host.kind != "v2":
        beside = layout.Layout([one for one in host.hierarchies if one.version == 1])
        controllers = [name for one in beside.hierarchies for name in one.controllers]
    wanted = json.dumps(resources(controllers)).encode()
    samples: Samples = {}
    for number in range(WARM_UP + rounds):
        if number in (0, WARM_UP):
            samples = {name: [] for name in STEPS}
        for turn in range(2):
            if (number + turn) % 2:
                bare(Clock(samples), mount)
            else:
                whole(Clock(samples), wanted, find, beside)
    limits = [name for name in WANTED if name in controllers]
    print(f"Linux {platform.release()}, {mount}, limits of {', '.join(limits) or 'none'}")
    medians = {name: statistics.median(samples[name]) for name in STEPS}
    for name in STEPS:
        print(f"{name:20} {medians[name]:7.3f} ms")
    more = sum(medians[name] for name in STEPS[1:]) - medians[STEPS[0]]
    print(f"{'more than bare':20} {more:7.3f} ms (at most {LIMIT_MS:g})")
    return 0 if more <= LIMIT_MS else 1


if __name__ == "__main__":
    raise SystemExit(main())
