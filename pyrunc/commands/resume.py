# SPDX-License-Identifier: Apache-2.0
"""resume: thaw the processes of a paused container."""

from __future__ import annotations

from pyrunc.errors import StateError
from pyrunc.lifecycle.container import PAUSED, Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cli.flags import Args


def run(args: Args) -> int:
    container = Container.load(args.text("root"), args.positionals[0], lock=True)
    status = container.status()
    if status != PAUSED:
        raise StateError(f"container not paused: {container.id} is {status}")
    container.cgroup().thaw()
    return 0
