# SPDX-License-Identifier: Apache-2.0
"""run: create and start a container; in the foreground also wait for it and delete it."""

from __future__ import annotations

from pyrunc.commands.common import SIGNALLED, explain_end, not_detached, tell_refusals
from pyrunc.commands.create import keep_refusals, prepare
from pyrunc.errors import Failure
from pyrunc.host import syscalls
from pyrunc.host.trace import trace
from pyrunc.lifecycle import delete, service_manager
from pyrunc.log import LEVELS, log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyrunc.cli.flags import Args
    from pyrunc.lifecycle.container import Container
    from pyrunc.lifecycle.create import Create


def run(args: Args) -> int:
    detached = args.flag("detach")
    not_detached(args, "learn")
    creation = prepare(args, detached=detached)
    if detached:
        keep_refusals(creation)
        return _leave(creation, keep=args.flag("keep"))
    if args.given("learn"):
        return _learn(creation, args)
    try:
        return _wait(creation, args)
    finally:
        if creation.prepared.explanation is not None:
            tell_refusals(creation.prepared.explanation)


def _wait(creation: Create, args: Args, watch: Callable[[int], None] | None = None) -> int:
    return _stay(
        creation, subreaper=not args.flag("no-subreaper"), keep=args.flag("keep"), watch=watch
    )


def _learn(creation: Create, args: Args) -> int:
    """Run the program and write down what it uses."""
    from pyrunc.commands import learn

    try:
        watched = learn.begin(args.text("learn"), creation.prepared.filter)
    except BaseException:
        creation.undo()
        raise
    try:
        return _wait(creation, args, watched.start)
    finally:
        learn.finish(watched, creation.prepared.config.raw, args.text("learn"))


def created(creation: Create) -> Container:
    """Return the created container; whatever goes wrong leaves nothing."""
    try:
        creation.perform()
        return creation.container()
    except BaseException:
        creation.undo()
        raise


def _start(
    container: Container, *, keep: bool, watch: Callable[[int], None] | None = None
) -> service_manager.Relay | None:
    """Let the program run; the relay is for its readiness."""
    try:
        if watch is not None:
            watch(container.pid)
        relay = service_manager.Relay.open(container.directory, pid=container.pid)
        trace.phase("start")
        container.start()
    except BaseException:
        if not keep:
            end(container)
        raise
    return relay


def _leave(creation: Create, *, keep: bool) -> int:
    """Start the container; it goes on without us."""
    container = created(creation)
    relay = _start(container, keep=keep)
    creation.close()
    if relay is not None:
        relay.wait(container.start_time)
    return 0


def _stay(
    creation: Create, *, subreaper: bool, keep: bool, watch: Callable[[int], None] | None
) -> int:
    """Wait for the end of the container; its exit code is ours."""
    try:
        from pyrunc.lifecycle.foreground import Foreground

        foreground = Foreground()
        if subreaper:
            syscalls.set_subreaper()
    except BaseException:
        creation.undo()
        raise
    container = created(creation)
    relay = _start(container, keep=keep, watch=watch)
    child = creation.child
    assert child is not None
    try:
        child.close_sync()
        container.directory.unlock()
        trace.phase("the program")
        status = foreground.wait(child.pid, child.pidfd, terminal=creation.terminal, notify=relay)
        if status > SIGNALLED:
            explain_end(container, status)
        if keep or log.least == LEVELS["debug"]:
            from pyrunc.lifecycle import post_mortem

            post_mortem.examine(container, exit_code=status)
    finally:
        trace.phase("delete")
        if not keep:
            end(container)
    return status


def end(container: Container) -> None:
    """Delete, if nobody has done so; what goes wrong now must not hide how the container ended."""
    try:
        if not container.directory.lock_this():
            return  # somebody has deleted it; what has the id now is not ours
        state = container.directory.load()
        if state is None:
            return
        container.state = state  # `update` may have changed it
        container.stop()
        delete.destroy(container)
    except (Failure, OSError) as error:
        log.warning(f"{container.id}: {error}")
