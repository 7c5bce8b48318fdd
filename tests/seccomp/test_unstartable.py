# SPDX-License-Identifier: Apache-2.0
"""Filters under which no program starts, and under which the init has to end all the same."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from typing import Any

import pytest

from pyrunc.errors import ConfigErrors
from pyrunc.lifecycle.filter import compile_filter, refuse_unstartable
from pyrunc.seccomp.filter import Filter
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
    """The C library then tries exit(2), or from glibc 2.41 on, executes what is no instruction."""
    config.linux["seccomp"] = profile("SCMP_ACT_ERRNO", "exit_group")
    assert pyrunc.run(config, "true", timeout_s=20).status in (0, 128 + signal.SIGSEGV)


def seccomp_of(default: str, *rules: dict[str, Any]) -> Any:
    values = default_values()
    values["linux"]["seccomp"] = {"defaultAction": default, "syscalls": list(rules)}
    return parse_config(json.dumps(values).encode(), source="config.json")


def rule(action: str, *names: str, **more: Any) -> dict[str, Any]:
    return {"names": list(names), "action": action, **more}


def compiled(config: Any) -> Filter:
    seccomp = compile_filter(config, cache=None)
    assert seccomp is not None
    return seccomp


def compare(value: int, op: str = "SCMP_CMP_GT", index: int = 0) -> list[dict[str, Any]]:
    return [{"index": index, "value": value, "op": op}]


EXECVE_WRITE = rule("SCMP_ACT_ALLOW", "execve", "write")


@pytest.mark.parametrize(
    "config",
    [
        seccomp_of("SCMP_ACT_ALLOW"),
        seccomp_of("SCMP_ACT_LOG", rule("SCMP_ACT_ERRNO", "mkdir")),
        seccomp_of("SCMP_ACT_ERRNO", EXECVE_WRITE),
        seccomp_of(
            "SCMP_ACT_ERRNO", rule("SCMP_ACT_LOG", "execve"), rule("SCMP_ACT_ALLOW", "write")
        ),
        seccomp_of(
            "SCMP_ACT_ALLOW", rule("SCMP_ACT_ERRNO", "write", args=compare(77, "SCMP_CMP_EQ"))
        ),
        # A tracer may be there by the time of the start.
        seccomp_of("SCMP_ACT_TRACE", rule("SCMP_ACT_ALLOW", "write")),
        seccomp_of("SCMP_ACT_KILL", EXECVE_WRITE),
    ],
)
def test_a_filter_that_lets_the_init_pass_is_not_refused(config: Any) -> None:
    refuse_unstartable(config, compiled(config), source="config.json")


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (seccomp_of("SCMP_ACT_ERRNO"), "execve"),
        (seccomp_of("SCMP_ACT_ERRNO", rule("SCMP_ACT_ALLOW", "execve")), "write"),
        (seccomp_of("SCMP_ACT_ALLOW", rule("SCMP_ACT_KILL", "execve")), "execve"),
        (seccomp_of("SCMP_ACT_ALLOW", rule("SCMP_ACT_TRAP", "read", "write")), "write"),
        (seccomp_of("SCMP_ACT_ALLOW", rule("SCMP_ACT_ERRNO", "write", args=compare(2))), "write"),
        (seccomp_of("SCMP_ACT_ALLOW", rule("SCMP_ACT_KILL", "execve", args=compare(0))), "execve"),
        (
            seccomp_of(
                "SCMP_ACT_ERRNO",
                rule("SCMP_ACT_ALLOW", "write"),
                rule("SCMP_ACT_ALLOW", "execve", args=compare(0, "SCMP_CMP_EQ", 2)),
            ),
            "execve",
        ),
    ],
)
def test_a_filter_that_stops_the_init_is_refused(config: Any, name: str) -> None:
    with pytest.raises(ConfigErrors, match=name):
        refuse_unstartable(config, compiled(config), source="config.json")


def test_without_no_new_privs_capset_is_needed(config: Config) -> None:
    """CAP_SYS_ADMIN, which loads the filter, is given up under it."""
    for free in (False, True):
        values = default_values()
        values["process"]["noNewPrivileges"] = not free
        values["linux"]["seccomp"] = profile("SCMP_ACT_KILL_PROCESS", "capset")
        parsed = parse_config(json.dumps(values).encode(), source="config.json")
        if free:
            with pytest.raises(ConfigErrors, match="SIGSYS whoever calls capset"):
                refuse_unstartable(parsed, compiled(parsed), source="config.json")
        else:
            refuse_unstartable(parsed, compiled(parsed), source="config.json")


@pytest.mark.root
@pytest.mark.parametrize("free", [False, True], ids=["nnp", "no-nnp"])
@pytest.mark.parametrize(
    ("seccomp", "name"),
    [
        (profile("SCMP_ACT_TRACE", "execve"), "execve"),
        (
            {"defaultAction": "SCMP_ACT_ALLOW",
             "syscalls": [rule("SCMP_ACT_TRACE", "execve")]},
            "execve",
        ),
        # A descriptor that the init has, and others that it may have.
        (
            {"defaultAction": "SCMP_ACT_ALLOW",
             "syscalls": [rule("SCMP_ACT_ERRNO", "write",
                               args=compare(40, "SCMP_CMP_LT"))]},
            "write",
        ),
    ],
    ids=["trace-default", "trace-rule", "some-descriptors"],
)  # fmt: skip
def test_a_start_that_the_filter_stops_names_the_call(
    pyrunc: Runtime,
    config: Config,
    clean_machine: None,
    seccomp: dict[str, Any],
    name: str,
    free: bool,
) -> None:
    config.linux["seccomp"] = seccomp
    config.process["noNewPrivileges"] = not free
    result = pyrunc.run(config, "true", timeout_s=20)
    assert result.status == 1
    assert f"the filter refuses {name}" in result.error
    assert f"add {name} to the names" in result.stderr
    # exec into a container that waits meets the same filter.
    container = pyrunc.create(config, "sleep", "600")
    done = container.command("exec", "true")
    assert done.status == 255
    assert f"the filter refuses {name}" in done.error
    container.delete().ok()


@pytest.mark.root
def test_a_program_that_cannot_end_is_said_to_lack_the_call(
    pyrunc: Runtime, config: Config, clean_machine: None
) -> None:
    config.linux["seccomp"] = profile("SCMP_ACT_KILL_PROCESS", "exit_group")
    assert "perhaps exit_group" in pyrunc.run(config, "true", timeout_s=20).stderr
