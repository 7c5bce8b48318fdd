# SPDX-License-Identifier: Apache-2.0
"""``python3 -m bench.load [RUNTIME...]``: what many commands cost, and what a container leaves.

- A burst: so many `create` one after the other without a pause, then `delete --force` of all.
- A storm: so many `exec` in one container, some at a time; each is timed from its start.
- What all processes of a `create` and an `exec` take together: processor time and system calls.
- What a created container holds of the machine's memory, and the least limit it can be made with.

Round by round the runtimes take turns, as in `bench`. Times mean something on a quiet machine only.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import bundles, footprint, machine, measure
from bench.runtime import ENVIRONMENT, Failed, Meter, Runtime, find

TREE = Path(__file__).resolve().parent.parent
TICK_S = 0.0002  # between looks at the processes of a storm
Row = dict[str, float]


def quantile(values: list[float], part: float) -> float:
    """Return the value that this part of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def rates(durations_s: list[float], elapsed_s: float, *, of: str) -> Row:
    """Make figures of many equal commands: how many a second, the middle one, the slow ones."""
    return {
        f"{of}, 1/s": len(durations_s) / elapsed_s,
        f"{of}, p50 ms": 1e3 * statistics.median(durations_s),
        f"{of}, p99 ms": 1e3 * quantile(durations_s, 0.99),
    }


def run_each(argvs: list[list[str]], *, at_once: int) -> tuple[list[float], float]:
    """Run commands, so many at a time; how long each took, and all together."""
    waiting = list(reversed(argvs))
    running: dict[int, float] = {}
    durations = []
    null = os.open(os.devnull, os.O_RDWR)
    files = [(os.POSIX_SPAWN_DUP2, null, fd) for fd in (0, 1, 2)]
    began = time.monotonic()
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                argv = waiting.pop()
                started = time.monotonic()
                running[os.posix_spawn(argv[0], argv, ENVIRONMENT, file_actions=files)] = started
            pid, status = os.wait()
            durations.append(time.monotonic() - running.pop(pid))
            if status:
                raise Failed(
                    f"{argvs[0][0]}: a command failed: {os.waitstatus_to_exitcode(status)}"
                )
    finally:
        os.close(null)
    return durations, time.monotonic() - began


def burst(runtime: Runtime, made: dict[str, Path], size: int) -> Row:
    """Create containers without a pause, then delete them by force."""
    names = [measure.new_id() for _ in range(size)]
    create = ["create", "--bundle", str(made["sleep"])]
    delete = [runtime.argv("delete", "--force", name) for name in names]
    try:
        created = run_each([runtime.argv(*create, name) for name in names], at_once=1)
        deleted = run_each(delete, at_once=1)
    except Failed:
        for name in names:
            measure.remove(runtime, name)
        raise
    return rates(*created, of="burst of create") | rates(*deleted, of="burst of delete --force")


@contextmanager
def container(runtime: Runtime, made: dict[str, Path], *, start: bool) -> Iterator[str]:
    """Keep a created or running container while something is measured."""
    name = measure.new_id()
    commands: list[tuple[str, ...]] = [("create", "--bundle", str(made["sleep"]), name)]
    if start:
        commands.append(("start", name))
    try:
        for words in commands:
            # No pipe: the container would keep it open.
            subprocess.run(
                runtime.argv(*words),
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=ENVIRONMENT,
            )
        yield name
    finally:
        measure.remove(runtime, name)


def storm(runtime: Runtime, made: dict[str, Path], size: int, at_once: int) -> Row:
    """Run a program in a running container again and again, as probes do."""
    with container(runtime, made, start=True) as name:
        argv = runtime.argv("exec", name, "/bin/true")
        return rates(*run_each([argv] * size, at_once=at_once), of="storm of exec")


def whole(runtime: Runtime, meter: Meter, made: dict[str, Path]) -> Row:
    """Return what all processes of a `create` and of an `exec` take together."""
    name = measure.new_id()
    create = runtime.argv("create", "--bundle", str(made["sleep"]), name)
    row = {}
    try:
        # What the command has waited for is in its own time already, the waiting init is not.
        mine = meter(create).cpu_ms
        row["create, all processes, CPU ms"] = mine + footprint.processor_ms(runtime, name)
        meter(runtime.argv("start", name))
        sample = meter(runtime.argv("exec", name, "/bin/true"))
        row["exec, all processes, CPU ms"] = sample.cpu_ms
    finally:
        measure.remove(runtime, name)
    return row | footprint.calls(runtime, made)


def memory(runtime: Runtime, made: dict[str, Path]) -> Row:
    with container(runtime, made, start=False) as name:
        row = footprint.memory(runtime, name)
    row["least memory limit, kB"] = footprint.least_limit_kb(runtime, made)
    return row


def collect(
    runtimes: list[Runtime], rounds: int, *steps: Callable[[Runtime], Row]
) -> dict[str, dict[str, list[float]]]:
    """Take the steps with each runtime in turn; runtime -> figure -> its values."""
    values: dict[str, dict[str, list[float]]] = {runtime.name: {} for runtime in runtimes}
    for _ in range(rounds):
        for step in steps:
            for runtime in runtimes:
                try:
                    row = step(runtime)
                except (Failed, OSError, subprocess.SubprocessError) as failure:
                    print(f"bench: {runtime.name}: {failure}", file=sys.stderr)
                    continue
                for figure, value in row.items():
                    values[runtime.name].setdefault(figure, []).append(value)
    return values


def table(values: dict[str, dict[str, list[float]]]) -> str:
    """Make a line for each figure: the median of each runtime, and half of its range."""
    figures = list(dict.fromkeys(figure for row in values.values() for figure in row))
    lines = [" " * 36 + "".join(f"{name:>22}" for name in values)]
    for figure in figures:
        cells = []
        for row in values.values():
            seen = row.get(figure)
            spread = (max(seen) - min(seen)) / 2 if seen else 0
            cells.append(f"{statistics.median(seen):.6g} ±{spread:.3g}" if seen else "-")
        lines.append(f"{figure:36}" + "".join(f"{cell:>22}" for cell in cells))
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.load", description="many commands at once")
    parser.add_argument("runtimes", nargs="*", metavar="RUNTIME", help="name, path or NAME=PATH")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--burst", type=int, default=300, help="containers of a burst")
    parser.add_argument("--storm", type=int, default=1000, help="exec of a storm")
    parser.add_argument("--at-once", type=int, default=10, help="exec at the same time")
    parser.add_argument("--output", type=Path, default=TREE / "build/bench")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("bench: needs root")
    machine.enter_private_mounts("bench.load")
    scratch = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        machine.empty_unified(scratch)
        made = bundles.make(scratch / "bundles")
        runtimes = find(arguments.runtimes, tree=TREE, state=machine.make_state(scratch))
        meter = Meter(scratch)
        values = collect(
            runtimes,
            arguments.rounds,
            lambda runtime: burst(runtime, made, arguments.burst),
            lambda runtime: storm(runtime, made, arguments.storm, arguments.at_once),
            lambda runtime: whole(runtime, meter, made),
            lambda runtime: memory(runtime, made),
        )
        print(table(values))
        write(values, arguments.output)
    finally:
        machine.leave(scratch)
        shutil.rmtree(scratch, ignore_errors=True)
    return 0


def write(values: Any, directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "load.json").write_text(json.dumps(values, indent=1) + "\n")
    print(f"\nwritten: {directory}/load.json")


if __name__ == "__main__":
    sys.exit(main())
