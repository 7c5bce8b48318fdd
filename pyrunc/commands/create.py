# SPDX-License-Identifier: Apache-2.0
"""create: make a container that waits for `start`."""

from __future__ import annotations

from pyrunc.blueprint import Blueprint
from pyrunc.creation import Creation
from pyrunc.errors import UsageError

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
    blueprint = Blueprint(args, container_id=args.positionals[0], bundle=args.text("bundle"))
    blueprint.pid_file = args.text("pid-file")
    blueprint.console_socket = args.text("console-socket")
    check_terminal(blueprint, detached=detached)
    return Creation(blueprint, root=args.text("root"))


def check_terminal(blueprint: Blueprint, *, detached: bool) -> None:
    """A terminal and a console socket go together, unless we stay and relay."""
    socket = bool(blueprint.console_socket)
    if blueprint.terminal and detached and not socket:
        raise UsageError(
            "cannot allocate tty if pyrunc will detach without setting console socket",
            hint="use --console-socket, or set process.terminal to false",
        )
    if socket and not (blueprint.terminal and detached):
        raise UsageError(
            "cannot use console socket if pyrunc will not detach or allocate tty",
            hint="set process.terminal to true and detach, or leave --console-socket away",
        )
