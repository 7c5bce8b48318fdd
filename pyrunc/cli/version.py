# SPDX-License-Identifier: Apache-2.0
"""What --version shows: engines parse the lines ``version``, ``commit:`` and ``spec:``."""

from __future__ import annotations

from pyrunc import __version__, buildinfo

SPEC_MIN = "1.0.0"
SPEC_MAX = "1.3.0"


def commit() -> str:
    """Return the revision that this program was built from, where the build recorded one."""
    return str(getattr(buildinfo, "COMMIT", "unknown"))


def text() -> str:
    """Return the lines of --version."""
    lines = [
        f"pyrunc version {__version__}",
        f"commit: {commit()}",
        f"spec: {SPEC_MAX}",
        *(f"{name}: {value}" for name, value in buildinfo.describe().items()),
    ]
    return "\n".join(lines) + "\n"
