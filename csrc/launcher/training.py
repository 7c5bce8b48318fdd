# SPDX-License-Identifier: Apache-2.0
"""The training pass before the dump: runs the hot paths without touching the machine.

Frozen as ``_pyrunc_training``; never imported by a user's process.
"""

from __future__ import annotations


def run() -> None:
    pass
