# SPDX-License-Identifier: Apache-2.0
"""run: create and start a container; in the foreground also wait for it and delete it."""

from __future__ import annotations

from pyrunc.commands.common import SIGNALLED, explain_end
from pyrunc.commands.create import prepare
from pyrunc.errors import Failure, UsageError
from pyrunc.host import syscalls
from pyrunc.host.trace import trace
from pyrunc.lifecycle import delete, service_manager
from pyrunc.log import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cli.flags import Args
    from pyrunc.lifecycle.container import Container
    from pyrunc.lifecycle.create import Create
    from pyrunc.seccomp.refusals import Explanation


def run(args: Args) -> int:
    detached = args.flag("detach")
    if detached and args.flag("explain-seccomp"):
        raise UsageError(
            "--explain-seccomp tells what happened at the end: it cannot go with --detach"
        )
    creation = prepare(args, detached=detached)
    try:
        if detached:
            return _leave(creation, keep=args.flag("keep"))
        return _stay(creation, subreaper=not args.flag("no-subreaper"), keep=args.flag("keep"))
    finally:
        if creation.prepared.explanation is not None:
            _report(creation.prepared.explanation)


def created(creation: Create) -> Container:
    """Return the created container; whatever goes wrong leaves nothing."""
    try:
        creation.perform()
        return creation.container()
    except BaseException:
        creation.undo()
        raise


def _start(container: Container, *, keep: bool) -> service_manager.Relay | None:
    """Let the program run; the relay is for its readiness."""
    try:
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


def _stay(creation: Create, *, subreaper: bool, keep: bool) -> int:
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
    relay = _start(container, keep=keep)
    child = creation.child
    assert child is not None
    try:
        child.close_sync()
        container.directory.unlock()
        trace.phase("the program")
        status = foreground.wait(child.pid, child.pidfd, terminal=creation.terminal, notify=relay)
        if status > SIGNALLED:
            explain_end(container, status)
    finally:
        trace.phase("delete")
        if not keep:
            end(container)
    if keep:
        from pyrunc.lifecycle import post_mortem

        post_mortem.examine(container, exit_code=status)
    return status


def _report(explanation: Explanation) -> None:
    """Print what --explain-seccomp has found, also where the filter has made the start fail."""
    from pyrunc.seccomp import refusals

    refused = explanation.finish()
    if refused is not None:
        log.tell(refusals.lines(refused))


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
