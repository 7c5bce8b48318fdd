# SPDX-License-Identifier: Apache-2.0
"""restore: refused until it exists, as checkpoint is."""

from __future__ import annotations

from pyrunc.commands.checkpoint import run

__all__ = ["run"]
