# SPDX-License-Identifier: Apache-2.0
"""start: let a created container run its program."""

from __future__ import annotations

from pyrunc.lifecycle import service_manager
from pyrunc.lifecycle.container import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cli.flags import Args


def run(args: Args) -> int:
    container = Container.load(args.text("root"), args.positionals[0], lock=True)
    relay = service_manager.Relay.open(container.directory, pid=container.pid)
    container.start()
    container.directory.close()  # with the lock: it may take long
    if relay is not None:
        relay.wait(container.start_time)
    return 0
