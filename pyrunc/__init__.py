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
    from pyrunc.host.facts import Host
    from pyrunc.library.container import Container
    from pyrunc.library.policies import Refusal
    from pyrunc.library.processes import Completed, Process, TimeoutExpired
    from pyrunc.library.results import (
        Cpu,
        Entry,
        Event,
        Explained,
        Memory,
        MountEntry,
        Operation,
        Pids,
        ProcessEntry,
        Report,
        Stats,
    )
    from pyrunc.library.runtime import Policy, Runtime
    from pyrunc.library.sandbox import Result, Sandbox, Stop
    from pyrunc.library.spec import Spec
    from pyrunc.library.streams import DEVNULL, PIPE, STDOUT

__all__ = [
    "DEVNULL",
    "PIPE",
    "STDOUT",
    "Completed",
    "ConfigErrors",
    "Container",
    "Cpu",
    "Entry",
    "Event",
    "Explained",
    "Failure",
    "Host",
    "HostError",
    "InitError",
    "Memory",
    "MountEntry",
    "Operation",
    "Pids",
    "Policy",
    "Problem",
    "Process",
    "ProcessEntry",
    "Refusal",
    "Report",
    "Result",
    "Runtime",
    "Sandbox",
    "Spec",
    "StateError",
    "Stats",
    "Stop",
    "TimeoutExpired",
    "UsageError",
]

_HOMES = {
    "errors": (
        "ConfigErrors",
        "Failure",
        "HostError",
        "InitError",
        "Problem",
        "StateError",
        "UsageError",
    ),
    "host.facts": ("Host",),
    "library.container": ("Container",),
    "library.policies": ("Refusal",),
    "library.processes": (
        "Completed",
        "Process",
        "TimeoutExpired",
    ),
    "library.results": (
        "Cpu",
        "Entry",
        "Event",
        "Explained",
        "Memory",
        "MountEntry",
        "Operation",
        "Pids",
        "ProcessEntry",
        "Report",
        "Stats",
    ),
    "library.runtime": ("Policy", "Runtime"),
    "library.sandbox": (
        "Result",
        "Sandbox",
        "Stop",
    ),
    "library.spec": ("Spec",),
    "library.streams": (
        "DEVNULL",
        "PIPE",
        "STDOUT",
    ),
}


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            module = __import__(f"{__name__}.{home}", None, None, (name,))
            globals()[name] = value = getattr(module, name)
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
