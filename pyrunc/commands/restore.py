# SPDX-License-Identifier: Apache-2.0
"""restore: bring a saved container back; in the foreground also wait for it and delete it."""

from __future__ import annotations

from pyrunc.checkpoint import restore
from pyrunc.checkpoint.dump import check_caller
from pyrunc.commands.checkpoint import check_single, criu_options
from pyrunc.commands.common import create_options
from pyrunc.commands.run import created, end
from pyrunc.errors import UsageError
from pyrunc.host import syscalls
from pyrunc.lifecycle import service_manager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyrunc.cli.flags import Args


def run(args: Args) -> int:
    check_caller(args.verb)
    if args.flag("together"):
        return _run_together(args)
    check_single(args)
    if args.flag("detach"):
        restoration = prepare(args, detached=True)
        restoration.perform()
        restoration.close()
        return 0
    from pyrunc.lifecycle.foreground import Foreground

    foreground = Foreground()
    if not args.flag("no-subreaper"):
        syscalls.set_subreaper()
    restoration = prepare(args, detached=False)
    container = created(restoration)
    child = restoration.child
    assert child is not None
    try:
        relay = service_manager.Relay.open(container.directory, pid=container.pid)
        container.directory.unlock()
        terminal = restoration.terminal
        return foreground.wait(child.pid, child.pidfd, terminal=terminal, notify=relay)
    finally:
        end(container)


def prepare(args: Args, *, detached: bool) -> restore.Restoration:
    """Decide everything, then claim the id."""
    create = create_options(args, container_id=args.positionals[0], bundle=args.text("bundle"))
    return restore.prepare(create, criu_options(args), detached=detached)


def _run_together(args: Args) -> int:
    from pyrunc.checkpoint import together
    from pyrunc.commands import together_flags

    together_flags.check(args)
    if not args.flag("detach"):
        raise UsageError("restore --together needs --detach: one command cannot wait for several")

    def maker(name: str, bundle: str) -> Callable[[], restore.Restoration]:
        create = create_options(args, container_id=name, bundle=bundle)
        return lambda: restore.prepare(create, criu_options(args, below=name), detached=True)

    together.bring_back([maker(*together_flags.split(word)) for word in args.positionals])
    return 0
