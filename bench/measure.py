# SPDX-License-Identifier: Apache-2.0
"""The measurements: each returns samples of one runtime; ``__main__`` interleaves the runtimes."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from bench.runtime import ENVIRONMENT, Failed, Meter, Runtime, Sample

NUMBERS = itertools.count(1)
PARALLEL = 50
DEATH_TIMEOUT_S = 10
Samples = dict[str, list[Sample]]
Step = Callable[[Runtime, Meter, dict[str, Path], Samples], None]


def new_id() -> str:
    return f"bench-{os.getpid()}-{next(NUMBERS)}"


def wait_for_death(runtime: Runtime, name: str) -> None:
    """Not measured: SIGKILL is sent by `kill`, the kernel then needs its time."""
    deadline = time.monotonic() + DEATH_TIMEOUT_S
    while '"stopped"' not in runtime.quietly("state", name).stdout:
        if time.monotonic() > deadline:
            raise Failed(f"{runtime.name}: {name} does not die")
        time.sleep(0.002)


def remove(runtime: Runtime, name: str) -> None:
    runtime.quietly("delete", "--force", name)


def life(runtime: Runtime, meter: Meter, bundles: dict[str, Path], samples: Samples) -> None:
    """create, state, start, kill, delete of one container."""
    name = new_id()
    bundle = str(bundles["sleep"])
    try:
        steps = {"create": meter(runtime.argv("create", "--bundle", bundle, name))}
        steps["state"] = meter(runtime.argv("state", name))
        steps["start"] = meter(runtime.argv("start", name))
        steps["kill"] = meter(runtime.argv("kill", name, "KILL"))
        wait_for_death(runtime, name)
        steps["delete"] = meter(runtime.argv("delete", name))
    except Failed:
        remove(runtime, name)
        raise
    for step, sample in steps.items():
        samples[step].append(sample)
    samples["life"].append(total(list(steps.values())))


def total(parts: list[Sample]) -> Sample:
    return Sample(
        sum(part.wall_ms for part in parts),
        max(part.peak_kb for part in parts),
        sum(part.faults for part in parts),
        sum(part.cpu_ms for part in parts),
    )


def run_true(runtime: Runtime, meter: Meter, bundles: dict[str, Path], samples: Samples) -> None:
    name = new_id()
    try:
        samples["run"].append(meter(runtime.argv("run", "--bundle", str(bundles["true"]), name)))
    except Failed:
        remove(runtime, name)
        raise


def exec_true(runtime: Runtime, meter: Meter, bundles: dict[str, Path], samples: Samples) -> None:
    name = new_id()
    try:
        meter(runtime.argv("create", "--bundle", str(bundles["sleep"]), name))
        meter(runtime.argv("start", name))
        samples["exec"].append(meter(runtime.argv("exec", name, "/bin/true")))
    finally:
        remove(runtime, name)


def docker(runtime: Runtime, meter: Meter, bundles: dict[str, Path], samples: Samples) -> None:
    """create of a container as Docker configures it."""
    name = new_id()
    argv = runtime.argv("create", "--bundle", str(bundles["docker"]), name)
    try:
        samples["create-docker"].append(meter(argv))
    finally:
        remove(runtime, name)


def version(runtime: Runtime, meter: Meter, _: dict[str, Path], samples: Samples) -> None:
    samples["version"].append(meter(runtime.argv("--version")))


ROUND = (version, life, exec_true, run_true, docker)


def parallel(runtime: Runtime, bundles: dict[str, Path]) -> float:
    """Containers created per second when 50 `create` are started at once."""
    names = [new_id() for _ in range(PARALLEL)]
    bundle = str(bundles["sleep"])
    begin = time.monotonic()
    started = [
        subprocess.Popen(
            runtime.argv("create", "--bundle", bundle, name),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=ENVIRONMENT,
        )
        for name in names
    ]
    failed = sum(process.wait() != 0 for process in started)
    seconds = time.monotonic() - begin
    for name in names:
        remove(runtime, name)
    if failed:
        raise Failed(f"{runtime.name}: {failed} of {PARALLEL} parallel creates failed")
    return PARALLEL / seconds


def container_memory(runtime: Runtime, meter: Meter, bundles: dict[str, Path]) -> int:
    """Resident kB of the process that waits in a created container."""
    name = new_id()
    try:
        meter(runtime.argv("create", "--bundle", str(bundles["sleep"]), name))
        found = re.search(r'"pid":\s*(\d+)', runtime.quietly("state", name).stdout)
        if found is None:
            raise Failed(f"{runtime.name}: state tells no pid")
        status = Path(f"/proc/{found.group(1)}/status").read_text()
    finally:
        remove(runtime, name)
    sizes = re.findall(r"^Rss(?:Anon|File|Shmem):\s+(\d+) kB", status, re.M)
    return sum(map(int, sizes))


def system_calls(runtime: Runtime, bundles: dict[str, Path]) -> dict[str, int]:
    """System calls of the command's own process, without those of the container's."""
    if shutil.which("strace") is None:
        return {}
    name = new_id()
    counts = {}
    commands = {
        "create": ("create", "--bundle", str(bundles["sleep"]), name),
        "state": ("state", name),
        "start": ("start", name),
        "exec": ("exec", name, "/bin/true"),
        "kill": ("kill", name, "KILL"),
        "delete": ("delete", name),
    }
    output = runtime.state.parent / "strace"
    try:
        for command, words in commands.items():
            if command == "delete":
                wait_for_death(runtime, name)
            # Without -f: the threads of one process share a count in no tool; the init is not ours.
            subprocess.run(
                ["strace", "-qq", "-o", str(output), *runtime.argv(*words)],
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=ENVIRONMENT,
            )
            counts[command] = len(re.findall(r"^[a-z_0-9]+\(", output.read_text(), re.M))
    finally:
        remove(runtime, name)
    return counts


def new_samples() -> Samples:
    return defaultdict(list)
