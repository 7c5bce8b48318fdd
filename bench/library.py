# SPDX-License-Identifier: Apache-2.0
"""``python3 -m bench.library [--check]``: a container's life through the library and by commands.

The same bundle, in turn: create, start, wait and delete in this process; the launcher four times
by `subprocess`, with `state` until the program has ended; one `run` of the launcher; and `start`,
the library's start of a container that waits. Counted
are wall-clock and processor time, page faults, and the system calls of the process that calls (of
the commands, for the launcher), without those of the container's init.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

TREE = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TREE), *map(str, (TREE / ".venv/lib").glob("python3*/site-packages"))]

import pyrunc  # noqa: E402
from bench import bundles  # noqa: E402
from bench.runtime import ENVIRONMENT  # noqa: E402

LAUNCHER = TREE / "bin/pyrunc"
WARM_UP = 3
COUNTED = 5  # lives whose system calls are counted
CALL = re.compile(r"^[a-z_0-9]+\(", re.M)
QUIET: dict[str, Any] = {
    "stdin": subprocess.DEVNULL,
    "stdout": subprocess.DEVNULL,
    "stderr": subprocess.DEVNULL,
}


class Cost(NamedTuple):
    """What one life took."""

    wall_ms: float
    cpu_ms: float
    faults: int


def library_life(runtime: pyrunc.Runtime, bundle: Path) -> None:
    with runtime.create(bundle) as container:
        container.start()
        container.wait()


def commands(root: Path, bundle: Path, name: str) -> dict[str, list[str]]:
    words = {
        "create": ["create", "--bundle", str(bundle), name],
        "start": ["start", name],
        "state": ["state", name],
        "delete": ["delete", name],
    }
    return {verb: [str(LAUNCHER), "--root", str(root), *words[verb]] for verb in words}


def command_life(root: Path, bundle: Path) -> None:
    argv = commands(root, bundle, "life")
    for verb in ("create", "start"):
        subprocess.run(argv[verb], check=True, env=ENVIRONMENT, **QUIET)
    state = b""
    while b'"stopped"' not in state:
        state = subprocess.run(argv["state"], stdout=subprocess.PIPE, env=ENVIRONMENT).stdout
    subprocess.run(argv["delete"], check=True, env=ENVIRONMENT, **QUIET)


def command_run(root: Path, bundle: Path) -> None:
    argv = [str(LAUNCHER), "--root", str(root), "run", "--bundle", str(bundle), "run"]
    subprocess.run(argv, check=True, env=ENVIRONMENT, **QUIET)


def waiting_start(runtime: pyrunc.Runtime, bundle: Path) -> Cost:
    """Return what the start of a container that waits takes, as those of a sandbox's pool do."""
    with runtime.create(bundle) as container:
        cost = measured(lambda: container.start() and None)
        container.wait()
    return cost


def used() -> tuple[float, int]:
    """Return processor time and faults of this process and its children."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in both), sum(one.ru_minflt for one in both)


def measured(life: Callable[[], None]) -> Cost:
    cpu_s, faults = used()
    begin = time.perf_counter()
    life()
    wall_s = time.perf_counter() - begin
    cpu_after_s, faults_after = used()
    return Cost(wall_s * 1e3, (cpu_after_s - cpu_s) * 1e3, faults_after - faults)


def traced(argv: list[str], output: Path) -> int:
    """Return how many system calls a program makes, without its children."""
    command = ["strace", "-qq", "-o", str(output), *argv]
    subprocess.run(command, check=True, env=ENVIRONMENT, **QUIET)
    return len(CALL.findall(output.read_text()))


def count_calls(scratch: Path, bundle: Path) -> dict[str, int]:
    """Return the system calls of one life; nothing without strace."""
    if shutil.which("strace") is None:
        return {}
    output, root = scratch / "strace", scratch / "traced"
    script = [sys.executable, "-m", "bench.library", "--lives"]
    few, many = (
        traced([*script, str(number), str(root), str(bundle)], output)
        for number in (1, 1 + COUNTED)
    )
    argv = commands(root, bundle, "life")
    total = 0
    for verb in ("create", "start", "state", "delete"):
        while verb == "delete" and not ended(argv["state"]):
            time.sleep(0.01)
        total += traced(argv[verb], output)
    run = [str(LAUNCHER), "--root", str(root), "run", "--bundle", str(bundle), "run"]
    return {
        "library": round((many - few) / COUNTED),
        "commands": total,
        "run": traced(run, output),
    }


def ended(argv: list[str]) -> bool:
    state = subprocess.run(argv, stdout=subprocess.PIPE, env=ENVIRONMENT, check=True).stdout
    return b'"stopped"' in state


def table(costs: dict[str, list[Cost]], calls: dict[str, int]) -> str:
    rows = [f"{'':10}{'ms':>8}{'best':>8}{'cpu ms':>8}{'faults':>8}{'calls':>8}"]
    for name, found in costs.items():
        wall, cpu, faults = (statistics.median(column) for column in zip(*found, strict=True))
        best = min(cost.wall_ms for cost in found)
        said = calls.get(name, "-")
        rows.append(f"{name:10}{wall:8.2f}{best:8.2f}{cpu:8.2f}{faults:8.0f}{said:>8}")
    return "\n".join(rows)


def measure(rounds: int, scratch: Path) -> dict[str, list[Cost]]:
    """Round by round, each way in turn; who is first changes."""
    bundle = bundles.make(scratch / "bundles")["true"]
    runtime = pyrunc.Runtime(scratch / "library")
    ways: list[tuple[str, Callable[[], None]]] = [
        ("library", lambda: library_life(runtime, bundle)),
        ("commands", lambda: command_life(scratch / "commands", bundle)),
        ("run", lambda: command_run(scratch / "commands", bundle)),
    ]
    costs: dict[str, list[Cost]] = {name: [] for name, _ in ways}
    for number in range(WARM_UP + rounds):
        shift = number % len(ways)
        for name, life in ways[shift:] + ways[:shift]:
            cost = measured(life)
            if number >= WARM_UP:
                costs[name].append(cost)
        if number >= WARM_UP:
            costs.setdefault("start", []).append(waiting_start(runtime, bundle))
    return costs


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.library", description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--check", action="store_true", help="fail when the library is slower")
    parser.add_argument("--lives", nargs=3, metavar=("N", "ROOT", "BUNDLE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.lives:
        number, root, bundle = arguments.lives
        runtime = pyrunc.Runtime(root)
        for _ in range(int(number)):
            library_life(runtime, Path(bundle))
        return 0
    # On a tmpfs, as the state of a machine is: syncs cost nothing there.
    scratch = Path(tempfile.mkdtemp(prefix="bench-", dir="/run" if os.geteuid() == 0 else None))
    try:
        costs = measure(arguments.rounds, scratch)
        print(table(costs, count_calls(scratch, scratch / "bundles/true")))
    finally:
        shutil.rmtree(scratch)
    wall = {name: statistics.median(cost.wall_ms for cost in costs[name]) for name in costs}
    return int(arguments.check and wall["library"] > wall["commands"])


if __name__ == "__main__":
    sys.exit(main())
