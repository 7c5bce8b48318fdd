# SPDX-License-Identifier: Apache-2.0
"""Reports about today's engines and the runtime below them, replayed (docs/field.md)."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.support.bundle import Config
from tests.support.criu import Saving, counter, numbers
from tests.support.runtime import Container, Runtime
from tests.support.types import Create, Sockets
from tests.support.wait import readable, until

RTMIN_3 = 37


@pytest.mark.root
def test_root_is_put_into_a_directory_that_only_another_user_may_enter(
    create: Create, config: Config
) -> None:
    """`docker exec -u root` where the WORKDIR of the image is the home of its user."""
    own = config.rootfs / "home/test"
    own.mkdir(parents=True, mode=0o700)
    os.chown(own, 1000, 1000)
    config.process["user"] = {"uid": 1000, "gid": 1000}
    config.process["cwd"] = "/home/test"
    config.capabilities("CAP_DAC_OVERRIDE")
    container = create(config, "sleep", "1000").start()
    process = {
        "args": ["pwd"],
        "cwd": "/home/test",
        "user": {"uid": 0, "gid": 0},
        "capabilities": config.process["capabilities"],
        "env": config.process["env"],
    }
    file = config.bundle / "process.json"
    file.write_text(json.dumps(process))
    done = container.runtime("exec", "--process", file, container.id)
    assert done.ok().stdout == "/home/test\n"


@pytest.mark.parametrize("name", ["SIGRTMIN+3", "RTMIN+3", str(RTMIN_3)])
def test_systemd_is_told_to_stop_by_a_real_time_signal(
    pyrunc: Runtime, create: Create, config: Config, name: str
) -> None:
    """Its STOPSIGNAL. runc knows the number only, crun the names, too."""
    script = f"trap 'exit 7' {RTMIN_3}; echo up; while :; do sleep 0.05; done"
    container = create(config, "sh", "-c", script).start()
    until(lambda: "up" in container.output, "the trap is set")
    pyrunc("kill", container.id, name).ok()
    container.wait("stopped")


def test_a_container_that_is_paused_before_its_start_is_deleted(
    create: Create, config: Config
) -> None:
    """A pod that is deleted before it is ready, while something has frozen its cgroup."""
    container = create(config, "sleep", "1000")
    pid = container.pid
    container.command("pause").ok()
    container.delete().ok()
    assert not runs(pid)
    assert "does not exist" in container.command("state").stderr


def runs(pid: int) -> bool:
    """Whether a process is there and not only waits for its parent."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return fields[0] != "Z"


def test_the_size_of_a_terminal_is_there_before_the_program(
    create: Create, config: Config, workspace: Path, fd_socket: Sockets
) -> None:
    """`exec -t`: the resize that engines send comes after the program has looked."""
    container = create(config, "sleep", "1000").start()
    process = {
        "args": ["stty", "size"],
        "cwd": "/",
        "terminal": True,
        "consoleSize": {"height": 31, "width": 117},
        "user": {"uid": 0, "gid": 0},
        "env": config.process["env"],
    }
    file = config.bundle / "process.json"
    file.write_text(json.dumps(process))
    console = fd_socket(workspace / "console.sock")
    flags = ("--detach", "--process", file, "--console-socket", console.path)
    container.runtime("exec", *flags, container.id).ok()
    master, seen = console.wait(), b""
    while b"\n" not in seen:
        assert readable(master, 20), seen
        seen += os.read(master, 4096)
    assert seen.split() == [b"31", b"117"]


def test_a_restored_container_is_in_the_cgroup_of_its_new_name(
    saving: Saving, config: Config, pyrunc: Runtime
) -> None:
    """CRIU knows the old one, and a kubelet ends what it finds in cgroups of no pod."""
    saving.runtime = pyrunc
    config.linux.pop("cgroupsPath", None)
    first = saving.begin(config, *counter())
    until(lambda: len(numbers(first)) > 3, "it counts")
    saving.save(first).ok()
    second = Container(pyrunc, pyrunc.new_id(), config)
    saving.made.append(second)
    saving.restore(second).ok()
    text = Path(f"/proc/{second.pid}/cgroup").read_text()
    assert second.id in text
    assert first.id not in text


@pytest.mark.root
def test_a_limit_that_may_not_be_raised_is_named(pyrunc: Runtime, config: Config) -> None:
    """A database of a compose file wants `memlock: -1`, below an engine that may not give it."""
    infinite = 2**64 - 1
    limit = {"type": "RLIMIT_MEMLOCK", "soft": infinite, "hard": infinite}
    config.process["rlimits"] = [limit]
    prefix = ["setpriv", "--bounding-set=-sys_resource", "prlimit", "--memlock=65536:65536"]
    refused = pyrunc.run(config, "true", prefix=prefix)
    assert refused.status == 1
    assert "cannot set RLIMIT_MEMLOCK to unlimited/unlimited" in refused.stderr
    assert "operation not permitted" in refused.stderr.lower()
