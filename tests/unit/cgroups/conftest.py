# SPDX-License-Identifier: Apache-2.0
"""What tests open of cgroups that are ordinary directories is closed behind each of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.cgroups import closed_afterwards


@pytest.fixture
def closed_cgroups() -> Iterator[None]:
    """Not for all: the hierarchies of captured text have a descriptor 0 that is not theirs."""
    with closed_afterwards():
        yield
