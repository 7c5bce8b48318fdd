# SPDX-License-Identifier: Apache-2.0
"""The library for asyncio has the names, the arguments and the words of the blocking one."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

import pyrunc
from pyrunc import aio
from pyrunc.library.bundle import Bundle

KINDS = ("Runtime", "Container", "Process", "Sandbox")
# Another type for tasks, or one more that is taken.
OTHER_TYPES = {("Sandbox", "__init__", "runtime")}
# Properties that are read from the state root: coroutines for tasks.
READ = {"status", "state", "spec"}
# What is called as it is: it does not wait.
AT_ONCE = {"kill", "end", "poll", "close", "bundle_path"} - {"Sandbox.close"}


def public(kind: type) -> dict[str, Any]:
    return {name: inspect.getattr_static(kind, name) for name in dir(kind) if name[0] != "_"}


def parameters(function: Any) -> list[tuple[str, Any, Any, str]]:
    """Name, kind, default and annotation of each parameter; the room of a class does not matter."""
    rows = inspect.signature(function).parameters.values()
    return [
        (row.name, row.kind, row.default, str(row.annotation).replace("records.", ""))
        for row in rows
    ]


def cases() -> list[tuple[str, str]]:
    return [
        (kind, name)
        for kind in KINDS
        for name in ("__init__", *public(getattr(pyrunc, kind)))
        if name != "__init__" or kind in ("Runtime", "Sandbox")
    ]


@pytest.mark.parametrize(("kind", "name"), cases())
def test_asyncio_has_the_same_name_with_the_same_arguments(kind: str, name: str) -> None:
    blocking = inspect.getattr_static(getattr(pyrunc, kind), name)
    waiting = inspect.getattr_static(getattr(aio, kind), name, None)
    assert waiting is not None, f"aio.{kind} lacks {name}"
    if isinstance(blocking, property):
        assert isinstance(waiting, property) != (name in READ)
        return
    one, two = parameters(blocking), parameters(waiting)
    assert [row[:3] for row in one] == [row[:3] for row in two]
    for left, right in zip(one, two, strict=True):
        if (kind, name, left[0]) not in OTHER_TYPES:
            assert left[3] == right[3]
            assert left[0] == "self" or left[3] not in ("Any", str(inspect.Parameter.empty))
    awaited = inspect.iscoroutinefunction(waiting) or inspect.isasyncgenfunction(waiting)
    at_once = name == "__init__" or (name in AT_ONCE and (kind, name) != ("Sandbox", "close"))
    assert awaited != at_once


@pytest.mark.parametrize("kind", KINDS)
def test_asyncio_has_nothing_more_but_the_way_back(kind: str) -> None:
    more = public(getattr(aio, kind)).keys() - public(getattr(pyrunc, kind)).keys()
    assert more <= {"around", "pid", "pidfd", "terminal"}  # attributes of the blocking objects


@pytest.mark.parametrize("kind", KINDS)
def test_no_argument_is_loose(kind: str) -> None:
    """`*args` and `**options` hide a wrong name from type checkers."""
    for room in (pyrunc, aio):
        for name, member in public(getattr(room, kind)).items():
            if callable(member):
                kinds = {row.kind for row in inspect.signature(member).parameters.values()}
                assert not kinds & {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}
                assert inspect.signature(member).return_annotation is not inspect.Parameter.empty
                assert name


def test_objects_have_the_same_attributes(tmp_path: Path) -> None:
    runtime = pyrunc.Runtime(tmp_path)
    waiting = aio.Runtime(tmp_path)
    box, tasks = pyrunc.Sandbox(tmp_path, runtime=runtime), aio.Sandbox(tmp_path, runtime=waiting)
    container = pyrunc.Container(
        runtime, "x", bundle=Bundle(str(tmp_path), "x"), pid=0, pidfd=-1, terminal=-1
    )
    for one, two in (
        (runtime, waiting),
        (box, tasks),
        (container, aio.Container(container, waiting)),
    ):
        names = {name for name in vars(one) if name[0] != "_"} - {"streams"}
        assert all(hasattr(two, name) for name in names)
    assert tasks.runtime is waiting
    assert aio.Sandbox(tmp_path, runtime=runtime).runtime.root == runtime.root
