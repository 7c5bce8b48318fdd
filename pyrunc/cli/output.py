# SPDX-License-Identifier: Apache-2.0
"""The standard output: what a command answers, and nothing else."""

from __future__ import annotations

import os


def emit(text: str) -> None:
    """Write to standard output, all of it."""
    data = memoryview(text.encode("utf-8", "surrogateescape"))
    while data:
        data = data[os.write(1, data) :]
