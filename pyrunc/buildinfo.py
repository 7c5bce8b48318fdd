# SPDX-License-Identifier: Apache-2.0
"""What this pyrunc is made of.

The launcher's build freezes another text of this module in its place (csrc/launcher/freeze.py), so
every front end answers the same questions: ``FRONT_END``, ``INIT_IMAGE``, ``describe()``.
"""

from __future__ import annotations

import sys

# "interpreter" (this file), "boot" (the launcher, cold) or "undumped" (the launcher, warm).
FRONT_END = "interpreter"

# The init program, where it is carried inside; None: a file of the package (init/image.py).
INIT_IMAGE: bytes | None = None

# Names and versions of what is linked into the launcher (csrc/launcher/parts.py); set by the build.
PARTS: dict[str, str] = {}


def describe() -> dict[str, str]:
    """Names and versions of the parts, in the order in which ``--version`` prints them."""
    from pyrunc._native import lib

    parts = {"python": ".".join(map(str, sys.version_info[:3])), "launcher": FRONT_END}
    if hasattr(lib, "seccomp_version"):
        version = lib.seccomp_version()
        parts["libseccomp"] = f"{version.major}.{version.minor}.{version.micro}"
    return parts
