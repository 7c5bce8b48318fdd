# SPDX-License-Identifier: Apache-2.0
"""verify, where the container is not helpful."""

from __future__ import annotations

import threading

import pytest

from pyrunc.errors import Failure
from pyrunc.lifecycle.in_time import in_time
from pyrunc.lifecycle.verify import Difference


def test_a_file_system_that_hangs_is_an_error() -> None:
    """G5."""
    never = threading.Event()
    with pytest.raises(Failure, match="do not answer"):
        in_time(never.wait, patience_s=0.05)
    never.set()


def test_what_the_checks_say_or_raise_comes_through() -> None:
    assert in_time(lambda: [1], patience_s=30) == [1]

    def fail() -> None:
        raise Failure("no such thing")

    with pytest.raises(Failure, match="no such thing"):
        in_time(fail, patience_s=30)


def test_a_name_in_the_container_writes_no_line_and_no_colour() -> None:
    """G8."""
    hostile = "/tmp/\x1b[31m\nas configured\u202e"
    line = Difference("/process", "descriptor 5", expected="a file", found=hostile).line()
    assert line.isprintable()
    assert "as configured" in line
