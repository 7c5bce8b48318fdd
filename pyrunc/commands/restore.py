# SPDX-License-Identifier: Apache-2.0
"""restore: bring a saved container back; in the foreground also wait for it and delete it."""

from __future__ import annotations

from pyrunc import activation, syscalls
from pyrunc.checkpoint import restore
from pyrunc.checkpoint.dump import check_caller
from pyrunc.commands.run import end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.flags import Args


def run(args: Args) -> int:
    check_caller(args.verb)
    if args.flag("detach"):
        restoration = restore.prepare(args, detached=True)
        restoration.perform()
        restoration.close()
        return 0
    from pyrunc.foreground import Foreground

    foreground = Foreground()
    if not args.flag("no-subreaper"):
        syscalls.set_subreaper()
    restoration = restore.prepare(args, detached=False)
    restoration.perform()
    child = restoration.child
    assert child is not None
    container = restoration.container()
    relay = activation.Relay.open(container.directory, pid=container.pid)
    container.directory.unlock()
    status = foreground.wait(child.pid, child.pidfd, terminal=restoration.terminal, notify=relay)
    end(container)
    return status
