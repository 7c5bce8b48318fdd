# SPDX-License-Identifier: Apache-2.0
"""The names that programs are written against: they stay, with these spellings."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import pyrunc

# fmt: off
RUNTIME = [
    "check", "create", "delete", "doctor", "explain", "features", "get", "ids", "info", "list",
    "restore", "run", "bundle_path",
]
CONTAINER = [
    "checkpoint", "communicate", "delete", "end", "events", "exec", "kill", "mounts", "oom_kills",
    "pause", "poll", "processes", "refused", "restore", "resume", "spawn", "spec", "start", "state",
    "stats", "status", "update", "wait",
]
SPEC = [
    "annotation", "args", "bind", "capabilities", "cwd", "default", "env", "ephemeral", "get",
    "hostname", "json", "limit", "load", "mount", "network", "parse", "readonly", "rootless",
    "seccomp", "set", "terminal", "to_dict", "user", "user_namespace", "without_user_namespace",
]
# fmt: on
SANDBOX = ["close", "run"]


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (pyrunc.Runtime, RUNTIME),
        (pyrunc.Container, CONTAINER),
        (pyrunc.Spec, SPEC),
        (pyrunc.Sandbox, SANDBOX),
    ],
)
def test_the_names_are_there(kind: type, names: list[str]) -> None:
    assert set(names) <= public(kind)


@pytest.mark.parametrize("name", pyrunc.__all__)
def test_every_public_name_says_what_it_is(name: str) -> None:
    value: Any = getattr(pyrunc, name)
    if inspect.isclass(value):
        assert inspect.getdoc(value)
        for method, function in inspect.getmembers(value, inspect.isfunction):
            public = not method.startswith("_") and function.__module__.startswith("pyrunc")
            assert not public or inspect.getdoc(function), f"{name}.{method} has no docstring"
