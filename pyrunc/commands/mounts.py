# SPDX-License-Identifier: Apache-2.0
"""mounts: add mounts to a running container, or remove those that were added."""

from __future__ import annotations

import os

from pyrunc.container import STOPPED, Container
from pyrunc.errors import StateError, UsageError
from pyrunc.hotmounts import GONE, Change, read_mounts
from pyrunc.spec.limits import MAX_BYTES
from pyrunc.spec.load import read_bounded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.flags import Args

ACTIONS = ("add", "remove")


def run(args: Args) -> int:
    action, name, path = args.positionals
    if action not in ACTIONS:
        raise UsageError(f'"mounts" does not know {action[:32]!r}: it is add or remove')
    container = Container.load(args.text("root"), name, lock=True)
    if container.status() == STOPPED:
        raise StateError(GONE)
    source = "standard input" if path == "-" else path
    data = _read_stdin() if path == "-" else read_bounded(path, name=path)
    change = Change(container, read_mounts(container, data, source=source), source=source)
    change.add() if action == "add" else change.remove()
    return 0


def _read_stdin() -> bytes:
    data = b""
    while len(data) <= MAX_BYTES and (part := os.read(0, 1 << 16)):
        data += part
    return data
