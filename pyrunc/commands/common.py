# SPDX-License-Identifier: Apache-2.0
"""What several verbs need of the command line."""

from __future__ import annotations

import os

from pyrunc import seccomp
from pyrunc.errors import UsageError
from pyrunc.log import log
from pyrunc.state import default_root, in_user_namespace, list_ids, open_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.flags import Args
    from pyrunc.seccomp.filter import Filter
    from pyrunc.spec.model import Config


def matching_ids(root: str, pattern: str) -> list[str]:
    """The ids that a regular expression matches as a whole."""
    import re

    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"invalid regular expression {pattern!r}: {error}") from None
    root_fd = open_root(root)
    if root_fd < 0:
        return []
    return [name for name in list_ids(root_fd) if compiled.fullmatch(name)]


def filter_cache(root: str) -> str:
    """Where the compiled filters of a state root are kept; no id begins with a dot."""
    return f"{os.path.abspath(root or default_root())}/.seccomp"


def compile_filter(config: Config, *, cache: str | None) -> Filter | None:
    """The filter of ``linux.seccomp``; what the compiler left out goes to the debug log."""
    compiled = seccomp.compile(config.linux.seccomp, cache=cache, annotations=config.annotations)
    if compiled is not None:
        for line in compiled.report.lines():
            log.debug(line)
    return compiled


def cgroup_driver(args: Args) -> str:
    """cgroupfs, systemd or disabled."""
    if args.given("cgroup-manager"):
        return args.text("cgroup-manager")
    return "systemd" if args.flag("systemd-cgroup") else "cgroupfs"


def rootless(args: Args) -> bool:
    """Whether cgroups that cannot be written are tolerated (when nobody asks for limits)."""
    choice = args.text("rootless")
    if choice == "auto":
        return os.geteuid() != 0 or in_user_namespace()
    return choice == "true"
