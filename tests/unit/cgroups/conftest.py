# SPDX-License-Identifier: Apache-2.0
"""What the tests of cgroups open is closed behind each of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.cgroups import support


@pytest.fixture(autouse=True)
def _closed_members() -> Iterator[None]:
    yield
    while support.MEMBERS:
        support.MEMBERS.pop().close()
