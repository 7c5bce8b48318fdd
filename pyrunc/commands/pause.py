# SPDX-License-Identifier: Apache-2.0
"""pause: freeze the processes of a container."""

from __future__ import annotations

from pyrunc.errors import StateError
from pyrunc.lifecycle.container import CREATED, RUNNING, Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cli.flags import Args


def run(args: Args) -> int:
    container = Container.load(args.text("root"), args.positionals[0], lock=True)
    status = container.status()
    if status not in (CREATED, RUNNING):
        raise StateError(f"container not running: {container.id} is {status}")
    container.cgroup().freeze()
    return 0
