# SPDX-License-Identifier: Apache-2.0
"""A runtime of the library with a state root of its own, and a configuration for it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import pyrunc
from tests.support import machine

NUMBERS = itertools.count(1)


@pytest.fixture
def root(workspace: Path) -> Path:
    place = workspace / "state"
    place.mkdir(mode=0o711)
    return place


@pytest.fixture
def library(root: Path) -> Iterator[pyrunc.Runtime]:
    """The runtime; afterwards no container, bundle or descriptor may be left."""
    runtime = pyrunc.Runtime(root)
    before = machine.descriptors()
    yield runtime
    left = runtime.ids()
    for name in left:
        runtime.get(name).delete(force=True)
    assert not left, "the test left containers"
    bundles = root / ".bundles"
    assert not bundles.exists() or not os.listdir(bundles)
    opened = {what for _, what in machine.descriptors() - before}
    assert not {what for what in opened if "cgroup" in what or "pidfd" in what or "/state" in what}


@pytest.fixture
def spec(base: Path) -> pyrunc.Spec:
    """A shell in the busybox root, with the safe defaults."""
    return pyrunc.Spec.default(["sh"], rootfs=str(base)).set("/process/env", ["PATH=/bin"])


@pytest.fixture
def script(spec: pyrunc.Spec) -> Callable[[str], pyrunc.Spec]:
    """script(text): the configuration of a container that runs this shell script."""
    return lambda text: spec.args("sh", "-c", text)


@pytest.fixture
def name() -> Callable[[], str]:
    """name(): an id that the harness knows to be this session's."""
    return lambda: f"{machine.TOKEN}-{next(NUMBERS)}l"
