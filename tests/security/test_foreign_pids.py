# SPDX-License-Identifier: Apache-2.0
"""A process with CAP_SYS_PTRACE in a pid namespace that a command joins: what it can seize.

It may seize every task that it sees, dumpable or not: there is no user namespace between them. So
what appears there has the container's rights and none of ours.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.bundle import Config
from tests.support.programs import PROGRAMS, static_program
from tests.support.runtime import Container, Runtime
from tests.support.types import Create
from tests.support.wait import until

ROUNDS = int(os.environ.get("PYRUNC_SEIZED_ROUNDS", "25"))
TRACER = ("CAP_KILL", "CAP_SYS_PTRACE")
MINE = 1 << 5 | 1 << 19  # these, as bits
SETUID = 1 << 7
LINE = re.compile(r"(\d+) (\S+) ([0-9a-f]{16}) ([0-9a-f]{16}) (\d+) (\S+) (\d+)")


@pytest.fixture(scope="module")
def seize(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("programs") / "seize"
    headers = ("-idirafter", "/usr/include", "-idirafter", "/usr/include/x86_64-linux-gnu")
    return static_program(PROGRAMS / "seize.c", target, "-O1", "-Wall", "-Werror", *headers)


PIDNS = (6, 17)  # the option of procfs that names a pid namespace
Hostile = Callable[[Config], Container]


@pytest.fixture
def hostile(create: Create, seize: Path) -> Hostile:
    """Start a container whose program seizes what it can until /tmp/stop is there."""

    def start(config: Config) -> Container:
        config.bind(seize, "/seize")
        config.capabilities(*TRACER)
        container = create(config, "sh", "-c", "/seize /tmp/stop; sleep 600").start()
        until(lambda: "ready" in container.output, "the tracer is ready")
        return container

    return start


def kernel() -> tuple[int, ...]:
    return tuple(int(number) for number in os.uname().release.split("-")[0].split(".")[:2])


def seized(container: Container) -> list[tuple[str, int, int, int]]:
    """End the watch: name, permitted and bounding set and count of directories of each victim."""
    container.config.file("/tmp/stop")
    until(lambda: "seized" in container.output, "the tracer says what it has seen")
    found = [LINE.fullmatch(line) for line in container.output.splitlines()]
    victims = [match for match in found if match]
    assert "?" not in container.output, container.output
    return [(hit[2], int(hit[3], 16), int(hit[4], 16), int(hit[7])) for hit in victims]


def judge(container: Container, own: int) -> None:
    """Nothing that was seized had more than `own`, or a directory of the host in its hands."""
    victims = seized(container)
    assert len(victims) >= ROUNDS // 2, f"the tracer was too slow: {container.output}"
    gifts = [victim for victim in victims if (victim[1] | victim[2]) & ~own]
    assert not gifts, f"{len(gifts)} of {len(victims)} had more than {own:#x}: {gifts[:3]}"
    assert not [victim for victim in victims if victim[0] == "pyrunc-init" and victim[3]]


def filtered(config: Config, *refused: str) -> None:
    """A filter that needs CAP_SYS_ADMIN to be loaded."""
    config.process["noNewPrivileges"] = False
    rule = {"names": list(refused), "action": "SCMP_ACT_ERRNO", "errnoRet": 38}
    config.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}


@pytest.mark.parametrize("kind", ["plain", "filter", "user"])
def test_an_exec_has_no_rights_of_the_host_when_it_appears(
    hostile: Hostile, config: Config, kind: str
) -> None:
    """D2.19, JN-10: not for a moment, also under a filter that only CAP_SYS_ADMIN can load."""
    if kind == "filter":
        filtered(config, "clone3", "mount", "unshare")
    container = hostile(config)
    flags = ["--user", "1000:1000"] if kind == "user" else []
    for _ in range(ROUNDS):
        container.runtime("exec", *flags, container.id, "true").ok()
    judge(container, MINE)


@pytest.mark.parametrize("kind", ["plain", "filter"])
def test_a_container_that_joins_has_no_rights_of_the_host_when_it_appears(
    hostile: Hostile, runtime: Runtime, make_config: Callable[[], Config], kind: str
) -> None:
    """D2.19, JN-10: every mount is there before a process of the other container sees it."""
    container, other = hostile(make_config()), make_config()
    other.namespace("pid", f"/proc/{container.pid}/ns/pid")
    other.capabilities("CAP_SETUID")
    if kind == "filter":
        filtered(other, "clone3", "mount", "unshare")
    other.process["args"] = ["sh", "-c", "cat /proc/1/comm; readlink /proc/self"]
    if kernel() < PIDNS:  # a child of ours makes its /proc
        other.without_mount("/proc")
    other.write()
    for _ in range(ROUNDS):
        result = runtime("run", "--bundle", other.bundle, runtime.new_id()).ok()
        if kernel() >= PIDNS:  # its /proc is that of the namespace that it has joined
            assert (result.lines[0], int(result.lines[1]) > 1) == ("sh", True)
    judge(container, MINE | SETUID)


def test_mounts_are_added_by_nobody_whom_the_container_sees(
    hostile: Hostile, config: Config, workspace: Path
) -> None:
    """D2.19, JN-10: `mounts add` does not enter the pid namespace, a new /proc belongs to it."""
    container = hostile(config)
    entries = [
        {"destination": "/mnt", "type": "tmpfs", "source": "tmpfs"},
        {"destination": "/var", "type": "proc", "source": "proc"},
    ]
    file = workspace / "mounts.json"
    file.write_text(json.dumps(entries))
    for _ in range(6):
        container.runtime("mounts", "add", container.id, file).ok()
    if kernel() >= PIDNS:
        assert "pyrunc-init" not in {victim[0] for victim in seized(container)}
    result = container.runtime("exec", container.id, "cat", "/var/1/comm").ok()
    assert result.stdout.strip() == "sleep"  # what the shell became


def test_a_filter_that_refuses_the_fork_comes_after_it(create: Create, config: Config) -> None:
    """JN-10: it is in force, whatever order that takes."""
    filtered(config, "clone", "clone3", "setsid", "mkdir", "mkdirat")
    container = create(config, "sleep", "600").start()
    container.runtime("exec", container.id, "test", "-d", "/tmp").ok()
    result = container.runtime("exec", container.id, "mkdir", "/tmp/new")
    assert "Function not implemented" in result.stderr
