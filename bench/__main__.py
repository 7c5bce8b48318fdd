# SPDX-License-Identifier: Apache-2.0
"""``python3 -m bench [--check] [RUNTIME...]``; a RUNTIME is a name, a path, or NAME=PATH."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import bundles, machine, measure, report, targets
from bench.runtime import Failed, Meter, Runtime, find

TREE = Path(__file__).resolve().parent.parent
CHECK_RUNS = 3
WARM_UP = 2


def attempt(step: measure.Step, runtime: Runtime, *arguments: Any) -> None:
    """Run a step; what a runtime cannot do is reported and left out, and the others go on."""
    try:
        step(runtime, *arguments)
    except Failed as failure:
        print(f"bench: {runtime.name}: {failure}", file=sys.stderr)


def measure_all(runtimes: list[Runtime], meter: Meter, made: dict[str, Path], rounds: int) -> Any:
    """Round by round, each runtime in turn; who is first changes, so that no place counts."""
    samples = {runtime.name: measure.new_samples() for runtime in runtimes}
    for number in range(WARM_UP + rounds):
        shift = number % len(runtimes)
        for runtime in runtimes[shift:] + runtimes[:shift]:
            for step in measure.ROUND:
                kept = samples[runtime.name] if number >= WARM_UP else measure.new_samples()
                attempt(step, runtime, meter, made, kept)
    parallel: dict[str, list[float]] = {runtime.name: [] for runtime in runtimes}
    for _ in range(3):
        for runtime in runtimes:
            parallel[runtime.name].append(measure.parallel(runtime, made))
    return {
        runtime.name: {
            "program": runtime.version(),
            "commands": report.summary(samples[runtime.name]),
            "parallel": max(parallel[runtime.name]),
            "container_kb": measure.container_memory(runtime, meter, made),
            "system_calls": measure.system_calls(runtime, made),
        }
        for runtime in runtimes
    }


def write(results: dict[str, Any], directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    machine = {"kernel": platform.release(), "processors": os.cpu_count()}
    text = json.dumps({"machine": machine, "runtimes": results}, indent=1)
    (directory / "bench.json").write_text(text + "\n")
    (directory / "bench.svg").write_text(report.chart(results))
    print(f"\nwritten: {directory}/bench.json, {directory}/bench.svg")


def run_check(runs: list[dict[str, Any]]) -> int:
    checked = targets.best([targets.checks(results) for results in runs])
    print(f"\nmust reach (best of {len(runs)} runs):")
    print("\n".join(map(str, checked)))
    return 0 if all(check.met for check in checked) else 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description="measure OCI runtimes")
    parser.add_argument("runtimes", nargs="*", metavar="RUNTIME", help="name, path or NAME=PATH")
    parser.add_argument("--rounds", type=int, default=30, help="samples of each command")
    parser.add_argument("--check", action="store_true", help="fail when a target is missed")
    parser.add_argument("--output", type=Path, default=TREE / "build/bench")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("bench: needs root")
    machine.enter_private_mounts()
    scratch = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        machine.empty_unified(scratch)
        meter = Meter(scratch)
        made = bundles.make(scratch / "bundles")
        runtimes = find(arguments.runtimes, tree=TREE, state=machine.make_state(scratch))
        if not runtimes:
            raise SystemExit("bench: no runtime to measure")
        runs = []
        for _ in range(CHECK_RUNS if arguments.check else 1):
            runs.append(measure_all(runtimes, meter, made, arguments.rounds))
            print(report.table(runs[-1]))
        write(runs[-1], arguments.output)
        return run_check(runs) if arguments.check and "pyrunc" in runs[-1] else 0
    finally:
        machine.leave(scratch)
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
