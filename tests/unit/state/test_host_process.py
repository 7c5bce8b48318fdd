# SPDX-License-Identifier: Apache-2.0
"""Processes by pid and start time: what names one, and what does not."""

from __future__ import annotations

import os

import pytest

from pyrunc.host import process


def test_a_number_that_lives_on_as_a_session_names_no_process() -> None:
    """The kernel says EINVAL then, not ESRCH."""
    ready, stop = os.pipe()
    leader = os.fork()
    if leader == 0:
        os.setsid()
        if os.fork() == 0:
            os.close(stop)
            os.read(ready, 1)
        os._exit(0)
    os.waitpid(leader, 0)
    try:
        assert process.open_pidfd(leader, 1) == -1
    finally:
        os.close(ready)
        os.close(stop)


@pytest.mark.parametrize("pid", [-1, 0, 1])
def test_numbers_that_mean_others_name_no_process(pid: int) -> None:
    assert process.open_pidfd(pid, 0) == -1
