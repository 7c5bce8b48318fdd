# SPDX-License-Identifier: Apache-2.0
"""Every container test is checked for leftovers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.cgroups import closed_afterwards


@pytest.fixture(autouse=True)
def _clean(clean_machine: None) -> None:
    """Ask for the check even where a test takes no fixture of the harness."""


@pytest.fixture(autouse=True)
def _closed_cgroups() -> Iterator[None]:
    with closed_afterwards():
        yield
