# SPDX-License-Identifier: Apache-2.0
"""A short run of the fuzzer, so that it keeps working; `make fuzz` runs it for longer."""

from __future__ import annotations

import pytest

from tests.seccomp import fuzz

pytestmark = pytest.mark.generated


def test_random_profiles_are_refused_with_a_failure_or_decided_as_they_say() -> None:
    """SC-3 SC-8"""
    compiled = [fuzz.attempt(seed) is not None for seed in range(300)]
    assert 60 < sum(compiled) < 290
