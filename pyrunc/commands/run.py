# SPDX-License-Identifier: Apache-2.0
"""run: create and start a container; in the foreground also wait for it and delete it."""

from __future__ import annotations

from pyrunc import activation, deletion, syscalls
from pyrunc.commands.create import prepare
from pyrunc.errors import Failure
from pyrunc.log import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.container import Container
    from pyrunc.creation import Creation
    from pyrunc.flags import Args
    from pyrunc.foreground import Foreground


def run(args: Args) -> int:
    detached = args.flag("detach")
    creation = prepare(args, detached=detached)
    if detached:
        creation.perform()
        container = creation.container()
        relay = activation.Relay.open(container.directory, pid=container.pid)
        _start(container, keep=args.flag("keep"))
        creation.close()
        if relay is not None:
            relay.wait(container.start_time)
        return 0
    from pyrunc.foreground import Foreground

    foreground = Foreground()
    if not args.flag("no-subreaper"):
        syscalls.set_subreaper()
    creation.perform()
    return _stay(creation, foreground, keep=args.flag("keep"))


def _start(container: Container, *, keep: bool) -> None:
    try:
        container.start()
    except Failure:
        if not keep:
            _end(container)
        raise


def _stay(creation: Creation, foreground: Foreground, *, keep: bool) -> int:
    """Wait for the end of the container; its exit code is ours."""
    child = creation.child
    assert child is not None
    container = creation.container()
    relay = activation.Relay.open(container.directory, pid=container.pid)
    _start(container, keep=keep)
    child.close_sync()
    status = foreground.wait(child.pid, child.pidfd, terminal=creation.terminal, notify=relay)
    if not keep:
        _end(container)
    return status


def _end(container: Container) -> None:
    """Delete; what goes wrong now must not hide how the container ended."""
    try:
        container.stop()
        deletion.destroy(container)
    except (Failure, OSError) as error:
        log.warning(f"{container.id}: {error}")
