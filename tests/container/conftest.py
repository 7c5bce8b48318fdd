# SPDX-License-Identifier: Apache-2.0
"""Every container test is checked for leftovers."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _clean(clean_machine: None) -> None:
    """Ask for the check even where a test takes no fixture of the harness."""
