# SPDX-License-Identifier: Apache-2.0
"""mounts: add mounts to a running container, or remove those that were added."""

from __future__ import annotations

from pyrunc.errors import StateError, UsageError
from pyrunc.lifecycle.container import STOPPED, Container
from pyrunc.lifecycle.running_mounts import GONE, Change, read_mounts
from pyrunc.spec.load import read_named

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cli.flags import Args

ACTIONS = ("add", "remove")


def run(args: Args) -> int:
    action, name, path = args.positionals
    if action not in ACTIONS:
        raise UsageError(f'"mounts" does not know {action[:32]!r}: it is add or remove')
    data, source = read_named(path)  # before the lock, which others wait for
    container = Container.load(args.text("root"), name, lock=True)
    if container.status() == STOPPED:
        raise StateError(GONE)
    change = Change(container, read_mounts(container, data, source=source), source=source)
    change.add() if action == "add" else change.remove()
    return 0
