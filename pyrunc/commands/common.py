# SPDX-License-Identifier: Apache-2.0
"""What several verbs need of the command line."""

from __future__ import annotations

import os
import time

from pyrunc import seccomp
from pyrunc.errors import UsageError
from pyrunc.log import LEVELS, log
from pyrunc.state import default_root, list_ids, open_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.flags import Args
    from pyrunc.host import Host
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
    """The filter of ``linux.seccomp``; what the compiler left out, and what it took, goes to the
    debug log.
    """
    node = config.linux.seccomp
    if node is None:
        return None
    began = clocks() if log.least == LEVELS["debug"] else (0, 0)
    compiled = seccomp.compile(
        node, raw=config.raw["linux"]["seccomp"], cache=cache, annotations=config.annotations
    )
    if compiled is not None and any(began):
        wall, processor = (end - begin for begin, end in zip(began, clocks(), strict=True))
        source = "from the cache" if compiled.cached else "compiled"
        log.debug(
            f"seccomp: {len(compiled)} instructions {source} in {wall / 1e6:.2f} ms "
            f"({processor / 1e6:.2f} ms of processor time)"
        )
        for line in compiled.report.lines():
            log.debug(line)
    return compiled


def clocks() -> tuple[int, int]:
    """Wall-clock and processor time, in ns."""
    return time.perf_counter_ns(), time.process_time_ns()


def cgroup_driver(args: Args) -> str:
    """cgroupfs, systemd or disabled."""
    if args.given("cgroup-manager"):
        return args.text("cgroup-manager")
    return "systemd" if args.flag("systemd-cgroup") else "cgroupfs"


def rootless(args: Args, host: Host) -> bool:
    """Whether cgroups that cannot be written are tolerated (when nobody asks for limits)."""
    choice = args.text("rootless")
    if choice == "auto":
        return host.rootless
    return choice == "true"
