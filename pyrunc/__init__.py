# SPDX-License-Identifier: Apache-2.0
"""pyrunc: an OCI runtime in which Python plans and C executes.

As a library: ``pyrunc.Runtime`` makes and holds containers, ``pyrunc.Spec`` builds configurations,
``pyrunc.Sandbox`` runs untrusted programs, ``pyrunc.aio`` has the same for asyncio. Errors are
``pyrunc.Failure`` and its subclasses. Nothing of it is imported before it is asked for.
"""

from __future__ import annotations

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.errors import (
        ConfigErrors,
        Failure,
        HostError,
        InitError,
        Problem,
        StateError,
        UsageError,
    )
    from pyrunc.library.container import Container
    from pyrunc.library.policies import Refusal
    from pyrunc.library.processes import Completed, Process, TimeoutExpired
    from pyrunc.library.results import Event, Stats
    from pyrunc.library.runtime import Runtime
    from pyrunc.library.sandbox import Result, Sandbox
    from pyrunc.library.spec import Spec
    from pyrunc.library.streams import DEVNULL, PIPE, STDOUT

__all__ = [
    "DEVNULL",
    "PIPE",
    "STDOUT",
    "Completed",
    "ConfigErrors",
    "Container",
    "Event",
    "Failure",
    "HostError",
    "InitError",
    "Problem",
    "Process",
    "Refusal",
    "Result",
    "Runtime",
    "Sandbox",
    "Spec",
    "StateError",
    "Stats",
    "TimeoutExpired",
    "UsageError",
]

_HOMES = {
    "errors": ("ConfigErrors", "Failure", "HostError", "InitError", "Problem", "StateError",
               "UsageError"),
    "library.container": ("Container",),
    "library.policies": ("Refusal",),
    "library.processes": ("Completed", "Process", "TimeoutExpired"),
    "library.results": ("Event", "Stats"),
    "library.runtime": ("Runtime",),
    "library.sandbox": ("Result", "Sandbox"),
    "library.spec": ("Spec",),
    "library.streams": ("DEVNULL", "PIPE", "STDOUT"),
}  # fmt: skip


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            module = __import__(f"{__name__}.{home}", None, None, (name,))
            globals()[name] = value = getattr(module, name)
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
