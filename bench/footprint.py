# SPDX-License-Identifier: Apache-2.0
"""What a container holds and what all processes of a command do, whichever runtime made it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from bench import measure
from bench.runtime import ENVIRONMENT, Failed, Runtime

CGROUPS = Path("/sys/fs/cgroup")
LEAST_KB, MOST_KB, STEP_KB = 64, 64 * 1024, 64  # limits that are tried
TRACE_TIMEOUT_S = 30


def pid_of(runtime: Runtime, name: str) -> int:
    told = re.search(r'"pid":\s*(\d+)', runtime.quietly("state", name).stdout)
    if told is None:
        raise Failed(f"{runtime.name}: state tells no pid")
    return int(told.group(1))


def processor_ms(runtime: Runtime, name: str) -> float:
    """Return the processor time of the process that waits in a created container."""
    schedule = Path(f"/proc/{pid_of(runtime, name)}/schedstat").read_text()
    return int(schedule.split()[0]) / 1e6


def private_dirty_kb(smaps: str) -> int:
    """Return the sum of what smaps says that only this process has, and has written."""
    return sum(map(int, re.findall(r"^Private_Dirty:\s+(\d+) kB", smaps, re.MULTILINE)))


def memory_group(membership: str) -> tuple[str, str]:
    """Return where the memory of a process is charged, from /proc/PID/cgroup: mount and path."""
    unified = ("", "")
    for line in membership.splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return "memory", path
        if not controllers:
            unified = ("", path)
    return unified


def charged_kb(pid: int) -> float:
    """Return what the container's memory cgroup is charged with, the kernel's part included."""
    mount, path = memory_group(Path(f"/proc/{pid}/cgroup").read_text())
    name = "memory.usage_in_bytes" if mount else "memory.current"
    return int((CGROUPS / mount / path.lstrip("/") / name).read_text()) / 1024


def memory(runtime: Runtime, name: str) -> dict[str, float]:
    pid = pid_of(runtime, name)
    smaps = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return {
        "container, private dirty kB": private_dirty_kb(smaps),
        "container, charged kB": charged_kb(pid),
    }


def least(works: Callable[[int], bool], *, low: int, high: int, step: int) -> int:
    """Return the least of low, low + step, ... high that works, if all above it do.

    ValueError: not even `high` works.
    """
    if not works(high):
        raise ValueError(f"{high} is too little")
    first, last = 0, (high - low) // step
    while first < last:
        middle = (first + last) // 2
        if works(low + middle * step):
            last = middle
        else:
            first = middle + 1
    return low + last * step


def least_limit_kb(runtime: Runtime, bundles: dict[str, Path]) -> int:
    """Return the least memory limit with which `create` works."""
    config = json.loads((bundles["sleep"] / "config.json").read_text())
    bundle = runtime.state.parent / f"limited-{runtime.name}"
    bundle.mkdir(exist_ok=True)

    def works(limit_kb: int) -> bool:
        config["linux"]["resources"]["memory"] = {"limit": limit_kb * 1024}
        (bundle / "config.json").write_text(json.dumps(config))
        name = measure.new_id()
        try:
            argv = runtime.argv("create", "--bundle", str(bundle), name)
            null = subprocess.DEVNULL
            done = subprocess.run(
                argv, check=False, stdin=null, stdout=null, stderr=null, env=ENVIRONMENT
            )
            # A runtime may say that all is well and leave a process that the kernel kills.
            return done.returncode == 0 and '"created"' in runtime.quietly("state", name).stdout
        finally:
            measure.remove(runtime, name)

    try:
        return least(works, low=LEAST_KB, high=MOST_KB, step=STEP_KB)
    except ValueError:
        raise Failed(f"{runtime.name}: create fails with a limit of {MOST_KB} kB") from None


def count(trace: str) -> int:
    """Count the system calls in what `strace -f` has written, one that was interrupted once."""
    return len(re.findall(r"^\d+ +\w+\(", trace, re.MULTILINE))


def ended(trace: str) -> bool:
    """Whether the first process of a trace has ended; a container's goes on."""
    first = re.match(r"\d+", trace)
    return (
        first is not None
        and re.search(rf"^{first[0]} +\+\+\+ exited", trace, re.MULTILINE) is not None
    )


def calls(runtime: Runtime, bundles: dict[str, Path]) -> dict[str, float]:
    """Return the system calls of all processes of the commands, until the command ends."""
    if shutil.which("strace") is None:
        return {}
    name = measure.new_id()
    commands = {
        "create": ("create", "--bundle", str(bundles["sleep"]), name),
        "start": ("start", name),
        "exec": ("exec", name, "/bin/true"),
    }
    output = runtime.state.parent / "strace-all"
    try:
        return {
            f"{verb}, all processes, calls": _traced(runtime.argv(*words), output)
            for verb, words in commands.items()
        }
    finally:
        measure.remove(runtime, name)


def _traced(argv: list[str], output: Path) -> int:
    output.unlink(missing_ok=True)
    null = subprocess.DEVNULL
    deadline = time.monotonic() + TRACE_TIMEOUT_S
    command = ["strace", "-f", "-q", "-o", str(output), *argv]
    with subprocess.Popen(command, stdin=null, stdout=null, stderr=null, env=ENVIRONMENT) as tracer:
        try:
            while not output.exists() or not ended(output.read_text(errors="replace")):
                if time.monotonic() > deadline:
                    raise Failed(f"{argv[0]}: does not end under strace")
                time.sleep(0.01)
        finally:
            tracer.kill()  # it lets go of the container, which goes on
    return count(output.read_text(errors="replace"))
