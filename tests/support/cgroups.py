# SPDX-License-Identifier: Apache-2.0
"""Descriptors of cgroups in this process: commands leave them to the end of theirs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from pyrunc.cgroups.layout import Hierarchy
from pyrunc.cgroups.member import Member


@contextmanager
def closed_afterwards() -> Iterator[None]:
    """Close what the hierarchies and members that are made meanwhile still hold at the end."""
    made: list[Hierarchy | Member] = []

    def noting(cls: type[Hierarchy] | type[Member]) -> Any:
        original: Any = cls.__init__

        def init(self: Any, *args: Any, **more: Any) -> None:
            original(self, *args, **more)
            made.append(self)

        return mock.patch.object(cls, "__init__", init)

    with noting(Hierarchy), noting(Member):
        yield
    for one in made:
        if one.fd >= 0:
            os.close(one.fd)
            one.fd = -1
