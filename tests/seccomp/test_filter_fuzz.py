# SPDX-License-Identifier: Apache-2.0
"""The fuzzer of the compiler for a minute, from a seed that every run chooses anew."""

from __future__ import annotations

import pytest

from tests.seccomp import fuzz

SECONDS = 60


@pytest.mark.slow
def test_a_minute_of_random_profiles_ends_without_an_uncaught_exception() -> None:
    """SC-3 SC-8: what fails is printed with its seed: `python -m tests.seccomp.fuzz 1 SEED`."""
    assert fuzz.main(SECONDS) > 0
