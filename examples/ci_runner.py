#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A CI runner: the steps of a job one after another, each in a fresh container, the source shared.

ci_runner.py ROOTFS SOURCE STEP...: SOURCE is bound at /src, writable for this job; each STEP is a
shell command. The first step that fails ends the job.
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

STEP_TIMEOUT_S = 600


def main(rootfs: str, source: str, *steps: str) -> int:
    runtime = pyrunc.Runtime()
    spec = pyrunc.Spec.default(["sh"], rootfs=os.path.abspath(rootfs)).limit(memory="1g", pids=512)
    if os.geteuid() == 0:
        spec = spec.without_user_namespace()  # the source belongs to the caller
    spec = spec.bind(os.path.abspath(source), "/mnt", readonly=False).cwd("/mnt")
    for number, step in enumerate(steps, 1):
        print(f"== step {number}: {step}", flush=True)
        command = spec.args("sh", "-ec", step)
        with runtime.create(command, stdout=sys.stdout, stderr=sys.stderr) as container:
            container.start()
            try:
                code = container.wait(STEP_TIMEOUT_S)
            except pyrunc.TimeoutExpired as error:
                print(f"== step {number}: {error}")
                return 1
        if code:
            print(f"== step {number} failed with {code}")
            return code
    print("== done")
    return 0


if __name__ == "__main__":
    if len(sys.argv) < 4:
        raise SystemExit(__doc__)
    raise SystemExit(main(*sys.argv[1:]))
