# SPDX-License-Identifier: Apache-2.0
"""Waiting for something to become true; a test never sleeps a fixed time."""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from typing import IO, Any


def until(condition: Callable[[], object], what: str, *, patience_s: float = 20) -> None:
    """Return as soon as the condition holds; fail naming it when the patience is at its end."""
    deadline = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {patience_s} s: {what}")
        time.sleep(0.01)


def readable(source: int | IO[Any], patience_s: float) -> bool:
    """Whether there is something to read within the time; select(2) takes only low descriptors."""
    poll = select.poll()
    poll.register(source, select.POLLIN)
    return bool(poll.poll(patience_s * 1000))
