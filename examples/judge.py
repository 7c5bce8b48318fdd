#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A judge of programs: run a solution on each test, compare its output, bound time and memory.

judge.py ROOTFS TESTS COMMAND...: TESTS is a directory of NAME.in and NAME.out; COMMAND runs in the
image ROOTFS. Prints a verdict for each test; exits with 1 unless all are accepted.
"""

from __future__ import annotations

import sys
from pathlib import Path

try:
    import pyrunc
except ModuleNotFoundError:  # it is not installed, but this is its checkout, built with `make`
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    import pyrunc

TIME_S = 2.0
MEMORY = "64m"


def verdict(result: pyrunc.Result, expected: bytes) -> str:
    if result.timed_out:
        return "time limit exceeded"
    if result.oom_killed:
        return "memory limit exceeded"
    if result.returncode:
        return f"runtime error ({result.returncode})"
    if result.stdout.split() != expected.split():
        return "wrong answer"
    return "accepted"


def main(rootfs: str, tests: str, *command: str) -> int:
    failed = 0
    with pyrunc.Sandbox(rootfs, memory=MEMORY, program=command, pool=2) as box:
        for given in sorted(Path(tests).glob("*.in")):
            result = box.run(input=given.read_bytes(), timeout=TIME_S)
            said = verdict(result, given.with_suffix(".out").read_bytes())
            failed += said != "accepted"
            peak, seconds = result.peak_memory >> 10, result.cpu_seconds
            print(f"{given.stem:20} {said:24} {seconds * 1000:7.0f} ms {peak:8} KiB", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        raise SystemExit(__doc__)
    raise SystemExit(main(*sys.argv[1:]))
