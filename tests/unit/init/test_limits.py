# SPDX-License-Identifier: Apache-2.0
"""Who sets the resource limits: the parent, unless the kernel would not let it."""

from __future__ import annotations

import pytest

from pyrunc.host.facts import Host
from pyrunc.init import attributes
from pyrunc.init.context import Context
from pyrunc.spec.config import parse_process

SYS_RESOURCE = 1 << 24


@pytest.mark.parametrize(
    ("permitted", "uid", "inside"),
    [(SYS_RESOURCE, 0, False), (SYS_RESOURCE, 1000, False), (0, 0, False), (0, 1000, True)],
)
def test_limits_are_set_from_where_they_can_be_set(permitted: int, uid: int, inside: bool) -> None:
    text = (
        f'{{"cwd": "/", "args": ["true"], "user": {{"uid": {uid}, "gid": 0}},'
        '"rlimits": [{"type": "RLIMIT_NOFILE", "soft": 5, "hard": 6}]}'
    )
    wanted = parse_process(text.encode())
    context = Context(Host(permitted=permitted, euid=0))
    from_outside = attributes.rlimits(context, wanted)
    from_inside = attributes.limits(context, wanted)
    assert bool(from_inside) is inside
    assert bool(from_outside) is not inside
    if from_inside:
        op = from_inside[0]
        assert (op.NAME, op.pointer) == ("set_limit", "/rlimits/0")
    else:
        assert from_outside == [(7, 5, 6)]
