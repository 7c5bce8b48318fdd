# SPDX-License-Identifier: Apache-2.0
"""create: make a container that waits for `start`."""

from __future__ import annotations

from pyrunc.commands.common import create_options
from pyrunc.lifecycle.create import prepare as prepare_creation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cli.flags import Args
    from pyrunc.lifecycle.create import Create


def run(args: Args) -> int:
    creation = prepare(args, detached=True)
    keep_refusals(creation)
    creation.perform()  # its descriptors end with this process
    return 0


def keep_refusals(creation: Create) -> None:
    """Have what --explain-seccomp finds kept in the state: nobody waits for the end."""
    watched = creation.prepared.explanation
    if watched is not None:
        watched.keep_in(creation.directory.fd)


def prepare(args: Args, *, detached: bool) -> Create:
    """Decide everything, then claim the id."""
    options = create_options(args, container_id=args.positionals[0], bundle=args.text("bundle"))
    return prepare_creation(options, detached=detached)
