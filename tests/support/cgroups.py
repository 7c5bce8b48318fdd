# SPDX-License-Identifier: Apache-2.0
"""Resources from JSON, control files, and the descriptors of cgroups in this process."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from pyrunc import cgroups
from pyrunc.cgroups.fs import FsManager
from pyrunc.cgroups.layout import Hierarchy
from pyrunc.cgroups.member import Cgroup
from pyrunc.spec import parse_resources
from pyrunc.spec.model_resources import Resources
from tests.support.runtime import Container


def resources(**properties: Any) -> Resources:
    return parse_resources(json.dumps(properties).encode())


def manager_of(container: Container) -> FsManager:
    """The cgroups of a container, from its own state."""
    state = json.loads((container.runtime.root / container.id / "state.json").read_text())
    found = cgroups.from_record(state["cgroup"])
    assert isinstance(found, FsManager)
    return found


def read(manager: FsManager, file: str) -> str:
    """A control file of the hierarchy that has its controller."""
    member = manager.find(file.partition(".")[0])
    assert member is not None
    return member.read(file)


@contextmanager
def closed_afterwards() -> Iterator[None]:
    """Close what the hierarchies and members that are made meanwhile still hold at the end.

    Commands leave their descriptors to the end of the process.
    """
    made: list[Hierarchy | Cgroup] = []

    def noting(cls: type[Hierarchy] | type[Cgroup]) -> Any:
        original: Any = cls.__init__

        def init(self: Any, *args: Any, **more: Any) -> None:
            original(self, *args, **more)
            made.append(self)

        return mock.patch.object(cls, "__init__", init)

    with noting(Hierarchy), noting(Cgroup):
        yield
    for one in made:
        if one.fd >= 0:
            os.close(one.fd)
            one.fd = -1
