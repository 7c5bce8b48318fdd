# SPDX-License-Identifier: Apache-2.0
"""start: let a created container run its program."""

from __future__ import annotations

from pyrunc import activation
from pyrunc.container import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.flags import Args


def run(args: Args) -> int:
    container = Container.load(args.text("root"), args.positionals[0], lock=True)
    relay = activation.Relay.open(container.directory, pid=container.pid)
    container.start()
    container.directory.close()  # with the lock: it may take long
    if relay is not None:
        relay.wait(container.start_time)
    return 0
