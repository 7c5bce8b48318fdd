# SPDX-License-Identifier: Apache-2.0
"""linux.resources.pids: only the container's own processes count."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from tests.support.bundle import Config
from tests.support.runtime import Container, Result, Runtime

Create = Callable[..., Container]
Run = Callable[..., Result]
Hold = Callable[..., int]


@pytest.mark.parametrize("limit", [1, 0])
def test_a_limit_of_one_process_is_enough_to_start(run: Run, config: Config, limit: int) -> None:
    """0 means 1: a cgroup that may hold nothing starts nothing."""
    config.linux["resources"] = {"pids": {"limit": limit}}
    assert run(config, "echo", "started").ok().stdout == "started\n"


def test_a_limit_of_one_process_holds(run: Run, config: Config) -> None:
    config.linux["resources"] = {"pids": {"limit": 1}}
    result = run(config, "sh", "-c", "true & wait; echo no")
    assert "can't fork" in result.stderr


@pytest.mark.parametrize("kinds", [("user",), ("time",), ("pid",), ("user", "pid"), ("cgroup",)])
def test_a_limit_of_one_process_is_enough_with_other_namespaces(
    pyrunc: Runtime, config: Config, holder: Hold, kinds: tuple[str, ...]
) -> None:
    """pid: one that is joined; cgroup: none of its own."""
    config.linux["resources"] = {"pids": {"limit": 1}}
    if "user" in kinds:
        config.user_namespace()
    if "time" in kinds:
        if subprocess.run(["unshare", "--time", "true"], capture_output=True).returncode:
            pytest.skip("the kernel has no time namespaces")
        config.namespace("time")
    if "pid" in kinds:
        keeper = holder("--pid", "--fork", "--kill-child")
        config.namespace("pid", f"/proc/{keeper}/ns/pid_for_children")
    if "cgroup" in kinds:
        config.without_namespace("cgroup")
    assert pyrunc.run(config, "echo", "started").ok().stdout == "started\n"


@pytest.mark.parametrize("user", [False, True])
def test_exec_enters_a_container_that_is_at_its_limit(
    pyrunc: Runtime, create: Create, config: Config, user: bool
) -> None:
    config.linux["resources"] = {"pids": {"limit": 1}}
    if user:
        config.user_namespace()
    container = create(config, "sleep", "600").start()
    assert pyrunc("exec", container.id, "echo", "hi").ok().stdout == "hi\n"
    inside = pyrunc("exec", container.id, "cat", "/proc/self/cgroup").ok().lines
    assert inside == pyrunc("exec", container.id, "cat", "/proc/1/cgroup").ok().lines
