# SPDX-License-Identifier: Apache-2.0
"""``python3 -m bench.filter [PYRUNC]``: what the filter of Docker's default profile costs `create`.

From the debug log of real creates, each a new process: compiled and stored (the cache is removed
before), then from the cache.
"""

from __future__ import annotations

import argparse
import re
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path

from bench import bundles
from bench.runtime import ENVIRONMENT, Runtime

TREE = Path(__file__).resolve().parent.parent
LINE = re.compile(r"(compiled|from the cache) in ([\d.]+) ms \(([\d.]+) ms")


def create(runtime: Runtime, bundle: Path, name: str) -> tuple[str, float, float]:
    """Where the filter came from, the wall-clock time and the processor time, in ms."""
    argv = runtime.argv("--debug", "create", "--bundle", str(bundle), name)
    argv[1:1] = ["--log", str(runtime.state.parent / "log")]
    log = runtime.state.parent / "log"
    log.unlink(missing_ok=True)
    null = subprocess.DEVNULL
    subprocess.run(argv, check=True, env=ENVIRONMENT, stdin=null, stdout=null, stderr=null)
    runtime.quietly("delete", "--force", name)
    found = LINE.search(log.read_text())
    if found is None:
        raise SystemExit("bench: the debug log says nothing of a filter")
    return found[1], float(found[2]), float(found[3])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("program", nargs="?", default=str(TREE / "bin/pyrunc"))
    parser.add_argument("--rounds", type=int, default=40)
    arguments = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="bench-", dir="/dev/shm"))
    try:
        bundle = bundles.make(scratch / "bundles")["docker"]
        runtime = Runtime("pyrunc", arguments.program, state=scratch)
        samples: dict[str, list[tuple[float, float]]] = {}
        for number in range(arguments.rounds):
            shutil.rmtree(runtime.state / ".seccomp", ignore_errors=True)
            for turn in range(2):
                source, *times = create(runtime, bundle, f"bench-filter-{number}-{turn}")
                samples.setdefault(source, []).append((times[0], times[1]))
        print(f"{'':16}{'wall ms':>20}{'processor ms':>20}   (least, median of {arguments.rounds})")
        for source, taken in samples.items():
            cells = [
                f"{min(one):.2f}, {statistics.median(one):.2f}" for one in zip(*taken, strict=True)
            ]
            print(f"{source:16}{cells[0]:>20}{cells[1]:>20}")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
