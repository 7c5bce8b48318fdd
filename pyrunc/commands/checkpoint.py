# SPDX-License-Identifier: Apache-2.0
"""checkpoint: save a running container with CRIU."""

from __future__ import annotations

from pyrunc.checkpoint.dump import Checkpoint, check_caller
from pyrunc.checkpoint.images import USUAL
from pyrunc.checkpoint.options import SWITCHES, CriuOptions
from pyrunc.errors import UsageError
from pyrunc.lifecycle.container import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cli.flags import Args


def run(args: Args) -> int:
    check_caller(args.verb)
    if args.flag("together"):
        return _run_together(args)
    check_single(args)
    container = Container.load(args.text("root"), args.positionals[0], lock=True)
    Checkpoint(criu_options(args), container).perform()
    return 0


def _run_together(args: Args) -> int:
    from pyrunc.checkpoint import together
    from pyrunc.commands import together_flags

    together_flags.check(args)
    root = args.text("root")
    # In the order of the names: two commands that name the same containers wait for each other.
    containers = [Container.load(root, one, lock=True) for one in sorted(args.positionals)]
    together.save(containers, lambda name: criu_options(args, below=name))
    return 0


def check_single(args: Args) -> None:
    """UsageError for more containers than one."""
    if len(args.positionals) > 1:
        raise UsageError(f'"{args.verb}" requires exactly 1 argument(s)', usage=args.verb)


def criu_options(args: Args, *, below: str = "") -> CriuOptions:
    """Return the options of `checkpoint` and `restore`; a verb's missing flag is not given.

    `below`: the container's directory in those that the flags name.
    """
    images, work = args.text("image-path"), args.text("work-path")
    if below:
        images, work = f"{images or USUAL}/{below}", work and f"{work}/{below}"
    return CriuOptions(
        images=images,
        work=work,
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
