# SPDX-License-Identifier: Apache-2.0
"""System call filters: ``linux.seccomp`` to BPF, the listener, and what a filter refuses.

    names     PURE  the names of runtime-spec and their values
    newer     PURE  system calls newer than libseccomp
    numbers   PURE  the stage that looks at the number alone
    profile   PURE  the checks of a profile, its rules with values
    arguments PURE  the code for calls with conditions on their arguments
    multiplexers PURE  rules about calls behind `socketcall` and `ipc`
    opcodes   PURE  the instructions of classic BPF
    bpf       PURE  an interpreter of the programs, for `explain` and the tests
    filter    PURE  the result
    library         libseccomp
    tables          the calls of each architecture by number, as libseccomp has them
    compiler        all of them together
    cache           compiled filters in the state root
    extras          what annotations run.oci.seccomp* ask for
    notify          the listener descriptor to the agent
    plugins         the descriptor to crun's plugins instead
    refusals        which calls a filter refuses
    watch           which calls a program makes, and with which files
    path_calls PURE which calls name files, and where
    lint      PURE  rules that do not do what they seem to

This module imports nothing until a configuration has a filter.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pyrunc.seccomp.filter import Filter
    from pyrunc.seccomp.refusals import Explanation
    from pyrunc.spec.model_linux import Seccomp


def compile(
    node: Seccomp | None,
    *,
    raw: dict[str, Any] | None = None,
    cache: str | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Filter | None:
    """Return the filter of ``linux.seccomp``.

    `cache` is the directory of compiled filters, None for none; they are found by `raw`, the
    property's JSON value.
    """
    if node is None:
        return None
    from pyrunc.seccomp import compiler

    wishes = [name for name in annotations or () if name.startswith("run.oci.seccomp")]
    if not wishes:
        return compiler.compile_cached(node, raw=raw, directory=cache)
    from pyrunc.seccomp import extras

    assert annotations is not None
    compiled = extras.raw_filter(node, annotations)
    compiled = compiled or compiler.compile_cached(node, raw=raw, directory=cache)
    extras.check_unknown(compiled, annotations)
    return compiled


def cache_directory(root: str) -> str:
    """Return where the compiled filters of a state root are; no id begins with a dot."""
    return root + "/.seccomp"


def explain(compiled: Filter) -> Explanation:
    """Make a filter to load instead, whose refusals are counted (`refusals.Explanation`)."""
    from pyrunc.seccomp import refusals

    return refusals.prepare(compiled)
