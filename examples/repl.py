#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A sandboxed shell that remembers: one container, one command a line, limits on all of them.

repl.py ROOTFS: reads commands from standard input, runs each with `exec` in the same container, and
prints its output and exit code. `!stats` shows what the container has used.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

try:
    import pyrunc
except ModuleNotFoundError:  # it is not installed, but this is its checkout, built with `make`
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    import pyrunc

COMMAND_TIMEOUT_S = 10


def main(rootfs: str) -> int:
    spec = pyrunc.Spec.default(["sleep", "86400"], rootfs=os.path.abspath(rootfs))
    spec = spec.mount("/tmp", type="tmpfs", options=["size=16m", "mode=1777"]).cwd("/tmp")
    with pyrunc.Runtime().create(spec.limit(memory="64m", pids=64)) as container:
        container.start()
        for line in sys.stdin:
            if line.strip() == "!stats":
                stats = container.stats()
                print(f"{stats.memory.usage >> 10} KiB, {stats.cpu.usage_ns / 1e6:.0f} ms")
                continue
            done = container.exec(["sh", "-c", line], timeout=COMMAND_TIMEOUT_S)
            sys.stdout.write((done.stdout + done.stderr).decode("utf-8", "replace"))
            if done.timed_out:
                print(f"[killed after {COMMAND_TIMEOUT_S} s]")
            elif done.returncode:
                print(f"[{done.returncode}]")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    raise SystemExit(main(sys.argv[1]))
