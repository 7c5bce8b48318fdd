# SPDX-License-Identifier: Apache-2.0
"""create: make a container that waits for `start`."""

from __future__ import annotations

from pyrunc import rendezvous
from pyrunc.blueprint import Blueprint
from pyrunc.commands.common import filter_cache
from pyrunc.creation import Creation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.flags import Args


def run(args: Args) -> int:
    creation = prepare(args, detached=True)
    creation.perform()
    creation.close()
    return 0


def prepare(args: Args, *, detached: bool) -> Creation:
    """Decide everything, then claim the id."""
    root = args.text("root")
    blueprint = Blueprint(
        args,
        container_id=args.positionals[0],
        bundle=args.text("bundle"),
        cache=filter_cache(root),
    )
    blueprint.pid_file = args.text("pid-file")
    blueprint.console_socket = args.text("console-socket")
    blueprint.pidfd_socket = args.text("pidfd-socket") or blueprint.pidfd_socket
    rendezvous.check_terminal(
        blueprint.terminal, console_socket=blueprint.console_socket, detached=detached
    )
    return Creation(blueprint, root=root)
