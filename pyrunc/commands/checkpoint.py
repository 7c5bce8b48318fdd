# SPDX-License-Identifier: Apache-2.0
"""checkpoint: save a running container with CRIU."""

from __future__ import annotations

from pyrunc.checkpoint.dump import Checkpoint, check_caller
from pyrunc.checkpoint.options import SWITCHES, CriuOptions
from pyrunc.lifecycle.container import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cli.flags import Args


def run(args: Args) -> int:
    check_caller(args.verb)
    container = Container.load(args.text("root"), args.positionals[0], lock=True)
    Checkpoint(criu_options(args), container).perform()
    return 0


def criu_options(args: Args) -> CriuOptions:
    """Return the options of `checkpoint` and `restore`; a verb's missing flag is not given."""
    return CriuOptions(
        images=args.text("image-path"),
        work=args.text("work-path"),
        switches=[name for name in SWITCHES if args.flag(name)],
        cgroups_mode=args.text("manage-cgroups-mode"),
        network_lock=args.text("network-lock") if args.given("network-lock") else "",
        page_server=args.text("page-server"),
        empty_namespaces=args.many("empty-ns"),
        parent=args.text("parent-path"),
        leave_running=args.flag("leave-running"),
        pre_dump=args.flag("pre-dump"),
        status_fd=args.number("status-fd") if args.given("status-fd") else -1,
        lsm_profile=args.text("lsm-profile"),
        lsm_mount_context=args.text("lsm-mount-context"),
    )
