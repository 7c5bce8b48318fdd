# SPDX-License-Identifier: Apache-2.0
"""Tests that count the descriptors and children of this process."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="module")
def _nothing_to_collect() -> Iterator[None]:
    """Objects of earlier tests that still hold descriptors go now, and none while we count."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()
