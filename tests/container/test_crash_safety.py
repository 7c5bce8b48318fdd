# SPDX-License-Identifier: Apache-2.0
"""Whatever moment the runtime is killed at, `delete --force` leaves nothing (AR-5).

The harness checks mounts, cgroups, processes and state after each test.
"""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.support.bundle import Config
from tests.support.runtime import Runtime
from tests.support.types import Create
from tests.support.wait import until

KILLS = 200
STARTUP_CALLS = 20  # of the interpreter: before the first call that is about containers


def kill_during(pyrunc: Runtime, argv: list[str], delay_s: float) -> int:
    """Start a command, kill it after a while; its exit status."""
    null = subprocess.DEVNULL
    with subprocess.Popen(argv, stdin=null, stdout=null, stderr=null) as child:
        time.sleep(delay_s)
        child.kill()
        return child.wait()


def create_argv(pyrunc: Runtime, config: Config, name: str) -> list[str]:
    return pyrunc.argv("create", "--bundle", config.bundle, name)


def duration(pyrunc: Runtime, config: Config) -> float:
    """How long an undisturbed create takes now."""
    name = pyrunc.new_id()
    begun = time.monotonic()
    kill_during(pyrunc, create_argv(pyrunc, config, name), 0.0)
    pyrunc("delete", "--force", name).ok()
    begun = time.monotonic()
    null = subprocess.DEVNULL
    argv = create_argv(pyrunc, config, name)
    subprocess.run(argv, stdin=null, stdout=null, stderr=null, check=True, timeout=30)
    took = time.monotonic() - begun
    pyrunc("delete", "--force", name).ok()
    return took


@pytest.mark.slow
def test_a_create_killed_at_random_moments_leaves_nothing(pyrunc: Runtime, config: Config) -> None:
    config.process["args"] = ["sleep", "600"]
    config.linux["resources"] = {"pids": {"limit": 50}, "memory": {"limit": 50 << 20}}
    config.write()
    took = duration(pyrunc, config)
    chance = random.Random(7)
    killed = 0
    for _ in range(KILLS):
        name = pyrunc.new_id()
        delay_s = chance.random() * took
        killed += kill_during(pyrunc, create_argv(pyrunc, config, name), delay_s) != 0
        result = pyrunc("delete", "--force", name).ok()
        assert result.stderr == ""
        assert not (pyrunc.root / name).exists()
    assert killed > KILLS // 4


def system_calls(trace: str) -> list[tuple[str, int]]:
    """The calls of an strace log in order, each with its number among those of its name."""
    seen: Counter[str] = Counter()
    found = []
    for line in trace.splitlines():
        match = re.match(r"(\w+)\(", line)
        if match:
            seen[match[1]] += 1
            found.append((match[1], seen[match[1]]))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["create", "start", "delete"])
def test_a_command_killed_at_any_of_its_system_calls_leaves_nothing(
    pyrunc: Runtime, config: Config, tmp_path: Path, verb: str
) -> None:
    """Not at random: once at each system call."""
    if not shutil.which("strace"):
        pytest.skip("the Debian package strace is missing")
    config.process["args"] = ["sleep", "600"]
    config.hook("poststop", "/bin/true")
    config.write()
    trace = tmp_path / "trace"
    null = subprocess.DEVNULL

    def strace(name: str, *options: str) -> None:
        if verb != "create":
            argv = create_argv(pyrunc, config, name)
            subprocess.run(argv, stdin=null, stdout=null, stderr=null, check=True, timeout=30)
        command = pyrunc.argv(verb, name)
        if verb == "create":
            command = create_argv(pyrunc, config, name)
        argv = ["strace", "-o", str(trace), *options, *command]
        subprocess.run(argv, stdin=null, stdout=null, stderr=null, check=False, timeout=60)

    probe = pyrunc.new_id()
    strace(probe)
    pyrunc("delete", "--force", probe).ok()
    calls = system_calls(trace.read_text())
    first = next((i for i, (name, _) in enumerate(calls) if name == "flock"), STARTUP_CALLS)
    assert len(calls) - first > 10
    # The other front ends do the same in the same order, but take ten times as long.
    step = 1 if pyrunc.program.name == "pyrunc" else 9
    for name, number in calls[max(0, first - 6) :: step]:
        container = pyrunc.new_id()
        strace(container, "-e", f"inject={name}:signal=KILL:when={number}")
        result = pyrunc("delete", "--force", container).ok()
        assert result.stderr == "", f"killed at {name} {number}"
        assert not (pyrunc.root / container).exists()


def test_an_init_ends_with_its_creator(pyrunc: Runtime, config: Config, tmp_path: Path) -> None:
    """AR-5: until "created" is committed nobody else would ever end it."""
    config.process["args"] = ["sleep", "600"]
    config.hook("createRuntime", "/bin/sh", "-c", f"echo > {tmp_path}/in; sleep 600")
    config.write()
    name = pyrunc.new_id()
    null = subprocess.DEVNULL
    argv = create_argv(pyrunc, config, name)
    with subprocess.Popen(argv, stdin=null, stdout=null, stderr=null) as child:
        until((tmp_path / "in").exists, "the hook runs")
        inits = _inits(child.pid)
        assert inits
        child.kill()
    until(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in inits), "the init ends")
    state = pyrunc("state", name)
    assert state.status == 1
    assert "does not exist" in state.error
    pyrunc("delete", "--force", name).ok()


def _inits(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text()
        except OSError:
            continue
        if stat.rsplit(")", 1)[1].split()[1] == str(parent) and "(pyrunc-init)" in stat:
            found.append(int(entry.name))
    return found


def test_a_half_created_container_does_not_exist_for_others(
    pyrunc: Runtime, config: Config
) -> None:
    config.write()
    (pyrunc.root / "half").mkdir()
    for verb in ("state", "start", "kill", "delete"):
        result = pyrunc(verb, "half")
        assert result.status == 1
        assert "does not exist" in result.error
        if verb != "delete":
            assert pyrunc("create", "--bundle", config.bundle, "half").status == 1
    assert not (pyrunc.root / "half").exists()


def test_a_damaged_state_is_removed_by_force(
    pyrunc: Runtime, create: Create, config: Config
) -> None:
    container = create(config, "sleep", "600")
    pid = container.pid
    state = pyrunc.root / container.id / "state.json"
    good = state.read_text()
    state.write_text(good[:100])
    refused = container.command("state")
    assert refused.status == 1
    assert "cannot be read" in refused.error
    assert "delete --force" in refused.stderr
    container.delete().ok()
    until(lambda: not Path(f"/proc/{pid}/exe").exists(), "the init ends")


def test_two_deletes_at_once_both_succeed(create: Create, config: Config) -> None:
    container = create(config, "sleep", "600").start()
    argv = container.runtime.argv("delete", "--force", container.id)
    both = [subprocess.Popen(argv, stderr=subprocess.PIPE) for _ in range(3)]
    results = [(one.wait(30), one.communicate()[1]) for one in both]
    assert results == [(0, b"")] * 3


def test_a_delete_waits_for_no_start_that_hangs(
    create: Create, config: Config, tmp_path: Path
) -> None:
    """`start` holds the lock while a hook runs; `delete --force` kills the container first."""
    config.file("/hook", "#!/bin/sh\necho > /tmp/in; sleep 600\n", mode=0o755)
    config.hook("startContainer", "/hook")
    container = create(config, "sleep", "600")
    argv = container.runtime.argv("start", container.id)
    with subprocess.Popen(argv, stderr=subprocess.PIPE) as start:
        until((config.rootfs / "tmp/in").exists, "the hook runs")
        container.delete().ok()
        assert start.wait(20) == 1


def test_parallel_creates_of_one_id_make_one_container(pyrunc: Runtime, config: Config) -> None:
    config.process["args"] = ["sleep", "600"]
    config.write()
    name = pyrunc.new_id()
    argv = create_argv(pyrunc, config, name)
    null = subprocess.DEVNULL
    many = [subprocess.Popen(argv, stdin=null, stdout=null, stderr=null) for _ in range(6)]
    assert sorted(one.wait(60) for one in many) == [0, 1, 1, 1, 1, 1]
    pyrunc("delete", "--force", name).ok()
