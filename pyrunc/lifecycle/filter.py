# SPDX-License-Identifier: Apache-2.0
"""Compile the filter of a configuration, with its times in the debug log."""

from __future__ import annotations

import os
import time
from errno import EPERM

from pyrunc import seccomp
from pyrunc.errors import ConfigErrors, Failure
from pyrunc.host import refusals
from pyrunc.init.ops import LISTENER_SENT
from pyrunc.lifecycle.state_root import default_root
from pyrunc.log import LEVELS, log
from pyrunc.spec.check_seccomp import judges_arguments, refuses_start, start_calls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.seccomp.filter import Filter
    from pyrunc.seccomp.refusals import Explanation
    from pyrunc.spec.model import Config


def filter_cache(root: str) -> str:
    """Return where the compiled filters of a state root are kept, the default one if empty."""
    return seccomp.cache_directory(os.path.abspath(root or default_root()))


def compile_filter(config: Config, *, cache: str | None) -> Filter | None:
    """Return the filter of ``linux.seccomp``.

    What the compiler left out, and its time, go to the debug log.
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
    if compiled is not None:
        _settle_listener(compiled)
    return compiled


def _settle_listener(compiled: Filter) -> None:
    """Let the init send the listener where a filter around us refuses to fetch it."""
    if compiled.listener and "pidfd_getfd" in refusals.refused_calls(EPERM):
        compiled.listener = LISTENER_SENT


def explanation(compiled: Filter | None) -> Explanation:
    """Make what --explain-seccomp loads instead of the filter."""
    if compiled is None:
        raise Failure(
            "--explain-seccomp: the configuration has no system call filter",
            pointer="/linux/seccomp",
        )
    explained = seccomp.explain(compiled)
    _settle_listener(explained.filter)
    return explained


def refuse_unstartable(config: Config, compiled: Filter, *, source: str) -> None:
    """Raise ConfigErrors for a filter that refuses the start of every program."""
    node = config.linux.seccomp
    assert node is not None
    needed = start_calls(config.process)
    problem = refuses_start(node, needed)
    if problem is None and judges_arguments(node, needed):
        from pyrunc.lifecycle import unstartable

        problem = unstartable.problem(compiled, node, needed)
    if problem is not None:
        raise ConfigErrors([problem], source=source)


def clocks() -> tuple[int, int]:
    """Wall-clock and processor time, in ns."""
    return time.perf_counter_ns(), time.process_time_ns()
