# SPDX-License-Identifier: Apache-2.0
"""What --version shows: engines parse the lines ``version``, ``commit:`` and ``spec:``."""

from __future__ import annotations

import sys

from pyrunc import __version__

SPEC_MIN = "1.0.0"
SPEC_MAX = "1.3.0"


def commit() -> str:
    """The revision that this program was built from; a build writes it into pyrunc/_build.py."""
    try:
        from pyrunc._build import COMMIT  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return "unknown"
    return str(COMMIT)


def libseccomp() -> str:
    """The version of the linked libseccomp, or nothing."""
    try:
        from pyrunc.seccomp import library_version
    except ImportError:
        return ""
    return str(library_version())


def text() -> str:
    """The lines of --version."""
    lines = [
        f"pyrunc version {__version__}",
        f"commit: {commit()}",
        f"spec: {SPEC_MAX}",
        f"python: {sys.version.split()[0]}",
    ]
    seccomp = libseccomp()
    if seccomp:
        lines.append(f"libseccomp: {seccomp}")
    return "\n".join(lines) + "\n"
