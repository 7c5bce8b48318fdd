# SPDX-License-Identifier: Apache-2.0
"""The names that programs are written against: they stay, with these spellings."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import pyrunc
from pyrunc import aio

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
BLOCKING_ONLY = {  # what needs no waiting, or is another thing for asyncio
    "Runtime": {"bundle_path"},
    "Container": {"end", "poll", "spec"},
    "Sandbox": {"close"},
}


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


@pytest.mark.parametrize("name", ["Runtime", "Container", "Process", "Sandbox"])
def test_asyncio_has_the_same_names(name: str) -> None:
    blocking, waiting = getattr(pyrunc, name), getattr(aio, name)
    wanted = {"Runtime": RUNTIME, "Container": CONTAINER, "Sandbox": SANDBOX}.get(name, ["wait"])
    assert set(wanted) - BLOCKING_ONLY.get(name, set()) <= public(waiting)
    for method in public(waiting) & public(blocking):
        one, two = inspect.getattr_static(blocking, method), inspect.getattr_static(waiting, method)
        if callable(one) and callable(two) and method != "communicate":
            theirs = inspect.signature(two).parameters
            loose = any(value.kind is value.VAR_KEYWORD for value in theirs.values())
            missing = inspect.signature(one).parameters.keys() - theirs.keys()
            assert loose or not missing, f"{name}.{method} lacks {missing}"


@pytest.mark.parametrize("name", pyrunc.__all__)
def test_every_public_name_says_what_it_is(name: str) -> None:
    value: Any = getattr(pyrunc, name)
    if inspect.isclass(value):
        assert inspect.getdoc(value)
        for method, function in inspect.getmembers(value, inspect.isfunction):
            public = not method.startswith("_") and function.__module__.startswith("pyrunc")
            assert not public or inspect.getdoc(function), f"{name}.{method} has no docstring"
