# SPDX-License-Identifier: Apache-2.0
"""From the flags of `create`, `run`, `restore`, `explain` and `check` to options."""

from __future__ import annotations

from pyrunc.cli.choices import cgroup_driver, rootless
from pyrunc.errors import Failure, UsageError
from pyrunc.lifecycle.options import CreateOptions
from pyrunc.log import log

SIGNALLED = 128  # an exit status above it: ended by a signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cli.flags import Args
    from pyrunc.commands.policy_files import Transform
    from pyrunc.lifecycle.container import Container
    from pyrunc.seccomp.refusals import Explanation


def transform(args: Args) -> Transform | None:
    """Return the policies that were asked for; without the flag nothing of them is imported."""
    if not args.many("policy"):
        return None
    from pyrunc.commands import policy_files

    return policy_files.Transform(args.many("policy"))


def create_options(args: Args, *, container_id: str, bundle: str) -> CreateOptions:
    """Return the options of `create`; flags that a verb does not have count as not given."""
    return CreateOptions(
        container_id,
        bundle=bundle,
        root=args.text("root"),
        config=args.text("config"),
        cgroup_driver=cgroup_driver(args),
        rootless=rootless(args),
        preserve_fds=args.number("preserve-fds"),
        no_pivot=args.flag("no-pivot"),
        no_new_keyring=args.flag("no-new-keyring"),
        explain_seccomp=args.flag("explain-seccomp"),
        pid_file=args.text("pid-file"),
        console_socket=args.text("console-socket"),
        pidfd_socket=args.text("pidfd-socket"),
        transform=transform(args),
    )


def not_detached(args: Args, *names: str) -> None:
    """Refuse flags whose answer comes at the end, for a command that does not wait for it."""
    for name in names:
        if args.flag("detach") and args.given(name):
            raise UsageError(f"--{name} tells what happened at the end: it cannot go with --detach")


def tell_refusals(explanation: Explanation) -> None:
    """Print what --explain-seccomp has found, also where the filter has made the start fail."""
    from pyrunc.seccomp import refusals

    refused = explanation.finish()
    if refused is not None:
        log.tell(refusals.lines(refused))


def explain_end(container: Container, status: int) -> None:
    """Say what the kernel has killed the process for, where it can be told."""
    from pyrunc.lifecycle import post_mortem

    try:
        text = post_mortem.sentence(container, status)
    except (Failure, OSError):  # somebody has deleted it
        return
    if text:
        log.warning(f"{container.id}: {text}")
