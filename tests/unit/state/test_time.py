# SPDX-License-Identifier: Apache-2.0
"""The time of a state: reckoned without the C library, which would read the machine's time zone."""

from __future__ import annotations

import random
import time

import pytest

from pyrunc import log
from pyrunc.lifecycle import record

LAST = 253402300799  # the end of the year 9999


def test_it_is_what_the_c_library_says() -> None:
    chance = random.Random(3)
    edges = [0, 951782399, 951782400, 951868800, 1709251199, 4107542399, 4107542400, LAST]
    for seconds in edges + [chance.randrange(LAST) for _ in range(2000)]:
        expected = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
        assert log.utc(seconds) == expected


def test_now_has_nanoseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1709210096 * 10**9 + 5)
    assert record.now() == "2024-02-29T12:34:56.000000005Z"
