# SPDX-License-Identifier: Apache-2.0
"""What --version shows: engines parse the lines ``version``, ``commit:`` and ``spec:``."""

from __future__ import annotations

from pyrunc import __version__, buildinfo, jsontext

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


def document() -> str:
    """Return the same as JSON, with names and versions of everything that is linked in."""
    facts = {
        "name": "pyrunc",
        "version": __version__,
        "commit": commit(),
        "spec": {"min": SPEC_MIN, "max": SPEC_MAX},
        **buildinfo.describe(),
        "parts": dict(buildinfo.PARTS),
    }
    return jsontext.encode(facts, indent=2) + "\n"
