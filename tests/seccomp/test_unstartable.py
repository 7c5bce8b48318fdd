# SPDX-License-Identifier: Apache-2.0
"""Filters under which no program starts, and under which the init has to end all the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pyrunc.errors import ConfigErrors
from pyrunc.lifecycle.filter import refuse_unstartable
from pyrunc.spec.config import parse_config
from tests.support.bundle import Config, default_values
from tests.support.runtime import Result, Runtime

Run = Callable[..., Result]
CALLS = [
    "read", "write", "close", "openat", "exit", "exit_group", "fstat", "mmap", "mprotect", "brk",
    "rt_sigaction", "rt_sigprocmask", "ioctl", "access", "getpid", "arch_prctl", "poll", "capset",
    "set_tid_address", "getuid", "setuid", "execve", "prctl", "seccomp", "fcntl",
]  # fmt: skip


def profile(default: str, *refused: str) -> dict[str, Any]:
    """A list of what is allowed, without some names."""
    names = [name for name in CALLS if name not in refused]
    return {"defaultAction": default, "syscalls": [{"names": names, "action": "SCMP_ACT_ALLOW"}]}


@pytest.mark.root
@pytest.mark.parametrize(
    ("default", "words"),
    [
        ("SCMP_ACT_ERRNO", "refuses execve"),
        ("SCMP_ACT_KILL", "SIGSYS"),
        ("SCMP_ACT_KILL_PROCESS", "SIGSYS"),
        ("SCMP_ACT_TRAP", "SIGSYS"),
    ],
)
def test_a_filter_that_refuses_execve_is_an_error_that_says_so(
    pyrunc: Runtime, config: Config, clean_machine: None, default: str, words: str
) -> None:
    config.linux["seccomp"] = profile(default, "execve")
    result = pyrunc.run(config, "true", timeout_s=20)
    assert result.status == 1
    assert words in result.error
    assert "execve" in result.error
    assert "/linux/seccomp" in result.stderr
    found = pyrunc("check", config.bundle)
    assert found.status == 1
    assert words in found.stdout


@pytest.mark.root
def test_a_start_that_fails_ends_although_the_filter_refuses_to_exit(
    pyrunc: Runtime, config: Config, clean_machine: None
) -> None:
    """The init has no call left to end with, and is the first process of its pid namespace."""
    config.linux["seccomp"] = profile("SCMP_ACT_ERRNO", "exit", "exit_group")
    config.file("bin/wrong", "no program", mode=0o755)
    result = pyrunc.run(config, "/bin/wrong", timeout_s=20)
    assert result.status == 1
    assert "exec format error" in result.error


@pytest.mark.root
def test_a_program_may_lose_the_call_that_ends_it(
    pyrunc: Runtime, config: Config, clean_machine: None
) -> None:
    config.linux["seccomp"] = profile("SCMP_ACT_ERRNO", "exit_group")
    pyrunc.run(config, "true", timeout_s=20).ok()


def seccomp_of(default: str, *rules: dict[str, Any]) -> Any:
    values = default_values()
    values["linux"]["seccomp"] = {"defaultAction": default, "syscalls": list(rules)}
    import json

    return parse_config(json.dumps(values).encode(), source="config.json")


def rule(action: str, *names: str, **more: Any) -> dict[str, Any]:
    return {"names": list(names), "action": action, **more}


@pytest.mark.parametrize(
    "config",
    [
        seccomp_of("SCMP_ACT_ALLOW"),
        seccomp_of("SCMP_ACT_LOG", rule("SCMP_ACT_ERRNO", "mkdir")),
        seccomp_of("SCMP_ACT_ERRNO", rule("SCMP_ACT_ALLOW", "execve", "write")),
        seccomp_of(
            "SCMP_ACT_ERRNO", rule("SCMP_ACT_LOG", "execve"), rule("SCMP_ACT_ALLOW", "write")
        ),
        seccomp_of(
            "SCMP_ACT_ALLOW",
            rule("SCMP_ACT_ERRNO", "write", args=[{"index": 0, "value": 77, "op": "SCMP_CMP_EQ"}]),
        ),
    ],
)
def test_a_filter_that_lets_the_init_pass_is_not_refused(config: Any) -> None:
    refuse_unstartable(config, source="config.json")


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (seccomp_of("SCMP_ACT_ERRNO"), "execve"),
        (seccomp_of("SCMP_ACT_ERRNO", rule("SCMP_ACT_ALLOW", "execve")), "write"),
        (seccomp_of("SCMP_ACT_ALLOW", rule("SCMP_ACT_KILL", "execve")), "execve"),
        (seccomp_of("SCMP_ACT_ALLOW", rule("SCMP_ACT_TRAP", "read", "write")), "write"),
    ],
)
def test_a_filter_that_stops_the_init_is_refused(config: Any, name: str) -> None:
    with pytest.raises(ConfigErrors, match=name):
        refuse_unstartable(config, source="config.json")
