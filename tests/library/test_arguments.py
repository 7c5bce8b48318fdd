# SPDX-License-Identifier: Apache-2.0
"""Wrong arguments, every parameter with every wrong value: a Failure, and no other exception.

What `pyrunc.library.parameters` does not allow is a UsageError, before anything is done.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import pyrunc
from pyrunc import aio
from pyrunc.library.bundle import Bundle
from pyrunc.library.parameters import KINDS, kind_of
from pyrunc.library.streams import Streams


class BytesPath:
    """A path whose text is none."""

    def __fspath__(self) -> bytes:
        return b"/x"


class Raising:
    """An object whose methods fail."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __len__(self) -> int:
        raise RuntimeError

    def __getitem__(self, at: object) -> object:
        raise RuntimeError


DEEP: dict[str, Any] = {}
for _ in range(3000):
    DEEP = {"a": DEEP}
# fmt: off
VALUES: dict[str, Any] = {
    "none": None, "true": True, "zero": 0, "minus one": -1, "minus": -(2**70), "large": 2**70,
    "number": 999, "nan": float("nan"), "infinity": float("inf"), "half": 0.5, "minus half": -0.5,
    "empty text": "", "text": "x", "path": "/nonexistent", "nul": "a\0b", "surrogate": "\ud800",
    "option": "ro", "many digits": "9" * 5000, "odd digit": "\u00b2m", "minus text": "-5m",
    "bytes": b"x", "empty bytes": b"", "bytearray": bytearray(b"x"), "list": [], "numbers": [1],
    "texts": ["x"], "nuls": ["a\0b"], "lists": [["x"]], "tuple": (1, 2, 3), "pair": ("a", "b"),
    "set": {"x"}, "object": object(), "class": dict, "function": len, "lambda": lambda: 1,
    "mapping": {}, "number keys": {1: 2}, "numbers by name": {"a": 1}, "bytes by name": {"a": b"x"},
    "no name": {"": "x"}, "equals": {"a=b": "c"}, "deep": DEEP, "set in it": {"a": {1}},
    "garbage": {"linux": 5, "mounts": "x", "process": [], "root": 1, "annotations": [1]},
    "bytes path": BytesPath(), "raising": Raising(), "pointer": "/process/args/9/x", "tilde": "/~2",
    "iterator": iter(["x"]), "complex": 1j, "range": range(3), "ellipsis": ..., "parent": "../x",
}
# fmt: on
# What a call needs beside the value under test.
NEEDED: dict[str, Any] = {
    "rootfs": "/nonexistent-image",
    "args": ["true"],
    "id": "x",
    "pointer": "/hostname",
    "path": "/nonexistent",
    "text": "{}",
    "value": "x",
    "uid": 1,
    "name": "x",
    "destination": "/x",
    "type": "tmpfs",
    "source": "/x",
    "kind": "none",
    "profile": None,
    "images": "/nonexistent",
    "spec": {},
    "reason": "x",
}  # fmt: skip


def own(kind: type) -> Iterator[str]:
    """Yield the methods that a caller calls."""
    if kind in (pyrunc.Runtime, pyrunc.Sandbox, pyrunc.Spec, pyrunc.Refusal):
        yield "__init__"
    for name in dir(kind):
        member = inspect.getattr_static(kind, name)
        if name[0] != "_" and (inspect.isfunction(member) or isinstance(member, classmethod)):
            yield name


def cases() -> Iterator[tuple[type, str, str]]:
    kinds = (pyrunc.Runtime, pyrunc.Container, pyrunc.Process, pyrunc.Spec, pyrunc.Sandbox)
    for kind in (*kinds, pyrunc.Refusal):
        for name in own(kind):
            member = inspect.getattr_static(kind, name)
            function = member.__func__ if isinstance(member, classmethod) else member
            for parameter in list(inspect.signature(function).parameters)[1:]:
                yield kind, name, parameter


CASES = [case for case in cases() if case[:2] != (pyrunc.Sandbox, "waiting")]


@pytest.fixture
def things(tmp_path: Path) -> Iterator[dict[type, Any]]:
    """An object of each class; the container is one that nobody has made."""
    runtime = pyrunc.Runtime(tmp_path)
    streams = Streams(None, None, None)
    streams.close_theirs()
    yield {
        pyrunc.Runtime: runtime,
        pyrunc.Spec: pyrunc.Spec({}),
        pyrunc.Sandbox: pyrunc.Sandbox("/nonexistent-image", runtime=runtime),
        pyrunc.Container: pyrunc.Container(
            runtime, "x", bundle=Bundle(str(tmp_path), "x"), pid=2**22 + 1, pidfd=-1
        ),
        pyrunc.Process: pyrunc.Process(pid=2**22 + 1, pidfd=-1, streams=streams, child=False),
        pyrunc.Refusal: pyrunc.Refusal("x"),
    }
    assert runtime.ids() == []


def call(thing: Any, name: str, parameter: str, value: Any) -> Callable[[], object]:
    """Return the call with one argument that is under test, and whatever else it needs."""
    function = type(thing) if name == "__init__" else getattr(thing, name)
    rows = inspect.signature(function).parameters
    given: dict[str, Any] = {
        row.name: NEEDED[row.name]
        for row in rows.values()
        if row.default is row.empty and row.kind not in (row.VAR_POSITIONAL, row.VAR_KEYWORD)
    }
    if isinstance(thing, pyrunc.Spec) and name == "default":
        given["euid"], given["egid"] = 0, 0
    if "program" in rows and parameter == "pool":
        given["program"] = ["true"]
    if name in ("communicate", "wait") and parameter != "timeout":
        given["timeout"] = 0
    row = rows[parameter]
    words: list[Any] = []
    if row.kind is row.VAR_POSITIONAL:
        words = [value]
    elif row.kind is row.VAR_KEYWORD:
        given["A"] = value
    elif row.kind is row.POSITIONAL_ONLY:
        words = [value]
    else:
        given[parameter] = value

    def ask() -> object:
        result = function(*words, **given)
        return list(result) if inspect.isgenerator(result) else result

    return ask


@pytest.mark.parametrize(
    ("kind", "name", "parameter"), CASES, ids=lambda part: getattr(part, "__name__", part)
)
def test_a_wrong_argument_is_a_usage_error(
    things: dict[type, Any], kind: type, name: str, parameter: str
) -> None:
    allowed = kind_of(name, parameter)
    assert allowed is not None, f"give {name}.{parameter} a place in pyrunc/library/parameters.py"
    loose = inspect.signature(getattr(kind, name)).parameters[parameter].kind.name
    before = sorted(os.listdir("/proc/self/fd"))
    refused = 0
    for label, value in VALUES.items():
        try:
            fits = bool(
                allowed[0](
                    [value]
                    if loose == "VAR_POSITIONAL"
                    else {"A": value}
                    if loose == "VAR_KEYWORD"
                    else value
                )
            )
        except Exception:
            fits = False
        try:
            call(things[kind], name, parameter, value)()
        except pyrunc.UsageError:
            refused += 1
        except pyrunc.Failure:
            assert fits, f"{label}: it must be refused before anything is done"
        except Exception as error:
            pytest.fail(f"{label} {value!r:.40}: {type(error).__name__}: {error}")
        else:
            assert fits, f"{label} {value!r:.40} was taken"
    assert refused or parameter == "default", "there is nothing that it refuses"
    assert sorted(os.listdir("/proc/self/fd")) == before


SHAPES: list[Any] = [
    None,
    True,
    5,
    1.5,
    "x",
    [],
    [1],
    ["x"],
    [{}],
    [{"type": 5, "path": 1}],
    {},
    {"a": 1},
]
PLACES = [
    "/linux", "/linux/namespaces", "/linux/resources", "/linux/resources/memory", "/mounts",
    "/linux/resources/cpu", "/linux/uidMappings", "/linux/gidMappings", "/process", "/process/env",
    "/process/args", "/root", "/root/path", "/annotations", "/mounts/0/options", "/linux/seccomp",
]  # fmt: skip
STEPS: list[Callable[[pyrunc.Spec], object]] = [
    lambda spec: spec.args("x").cwd("/").hostname("x"),
    lambda spec: spec.env(A="b"),
    lambda spec: spec.limit(memory="1m", cpus=1, pids=1),
    lambda spec: spec.mount("/x", type="tmpfs"),
    lambda spec: spec.bind("/x", "/x"),
    lambda spec: spec.network("none"),
    lambda spec: spec.seccomp(None),
    lambda spec: spec.seccomp("default"),
    lambda spec: spec.ephemeral(),
    lambda spec: spec.capabilities("CAP_KILL").user(1, 2, groups=[3]).terminal(),
    lambda spec: spec.user_namespace(),
    lambda spec: spec.without_user_namespace(),
    lambda spec: spec.rootless(uid=1, gid=1),
    lambda spec: spec.annotation("a", "b"),
    lambda spec: (repr(spec), str(spec), hash(spec), spec == spec),
    lambda spec: pyrunc.Sandbox("/nonexistent", spec=spec, runtime=pyrunc.Runtime("/nonexistent")),
]


@pytest.mark.parametrize("place", PLACES)
def test_a_step_over_a_document_of_any_shape_is_a_usage_error(place: str) -> None:
    whole = pyrunc.Spec.default(["sh"], rootfs="/x", euid=0, egid=0)
    for base in (whole, pyrunc.Spec({})):
        for shape in SHAPES:
            try:
                spec = base.set(place, shape)
            except pyrunc.UsageError:
                continue
            for at, step in enumerate(STEPS):
                try:
                    step(spec)
                except pyrunc.UsageError:
                    pass
                except Exception as error:
                    pytest.fail(f"step {at} of {shape!r}: {type(error).__name__}: {error}")


@pytest.mark.parametrize("place", [*PLACES, "/ociVersion", "/hostname", "/hooks", "/process/user"])
def test_a_document_of_any_shape_is_a_failure_of_create(place: str, tmp_path: Path) -> None:
    runtime = pyrunc.Runtime(tmp_path)
    whole = pyrunc.Spec.default(["sh"], rootfs="/nonexistent")
    for base in (whole, whole.ephemeral()):
        for shape in SHAPES:
            spec = base.set(place, shape)
            for ask in (runtime.create, runtime.run, runtime.explain):
                with pytest.raises(pyrunc.Failure):
                    ask(spec)
            assert not runtime.check(spec).ok
    assert runtime.ids() == []


def test_every_row_of_the_table_is_used() -> None:
    used = set()
    rooms = [(kind, name) for kind, name, _ in CASES]
    for kind, name in rooms:
        for parameter in inspect.signature(getattr(kind, name)).parameters:
            used |= {f"{name}.{parameter}" if f"{name}.{parameter}" in KINDS else parameter}
    assert KINDS.keys() - used == set()


@pytest.mark.parametrize("data", [1, "text", None, [1]])
def test_a_pipe_takes_bytes(data: Any, tmp_path: Path) -> None:
    import asyncio

    read, write = os.pipe2(os.O_CLOEXEC)
    with os.fdopen(read, "rb", 0) as source, os.fdopen(write, "wb", 0) as target:

        async def use() -> None:
            with pytest.raises(pyrunc.UsageError, match="it must be bytes"):
                await aio.Writer(target).write(data)
            with pytest.raises(pyrunc.UsageError, match="size"):
                await aio.Reader(source).read("x")  # type: ignore[arg-type]

        asyncio.run(use())
