# SPDX-License-Identifier: Apache-2.0
"""kill: signal the first process of a container."""

from __future__ import annotations

from pyrunc.errors import StateError
from pyrunc.lifecycle.container import Container
from pyrunc.lifecycle.state_root import matching_ids
from pyrunc.spec.signals import parse_signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cli.flags import Args

DEFAULT_SIGNAL = "TERM"


def run(args: Args) -> int:
    name = args.positionals[1] if len(args.positionals) > 1 else DEFAULT_SIGNAL
    number = parse_signal(name)
    root = args.text("root")
    ids = matching_ids(root, args.positionals[0]) if args.flag("regex") else [args.positionals[0]]
    for container_id in ids:
        _kill(Container.load(root, container_id), number, everything=args.flag("all"))
    return 0


def _kill(container: Container, number: int, *, everything: bool) -> None:
    if everything:
        container.kill(number)
        container.kill_all(number)
    elif not container.kill(number):
        hint = f"`pyrunc delete {container.id}` removes what is left of it"
        raise StateError(f"container not running: {container.id}", hint=hint)
