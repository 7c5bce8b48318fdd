# SPDX-License-Identifier: Apache-2.0
"""Security tests run hostile bundles; the canary tree and the machine must stay as they were."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import canary as canaries
from tests.support.canary import Canary
from tests.support.runtime import Runtime


@pytest.fixture(autouse=True)
def _clean(clean_machine: None) -> None:
    """Ask for the check even where a test takes no fixture of the harness."""


@pytest.fixture
def canary(workspace: Path) -> Iterator[Canary]:
    """A tree outside the root file system whose change fails the test."""
    found = canaries.plant(workspace / "canary")
    yield found
    changed = found.changes()
    if changed:
        pytest.fail(f"changed outside the container: {', '.join(changed)}", pytrace=False)


@pytest.fixture(autouse=True)
def _only_pyrunc(pyrunc: Runtime) -> None:
    """The peers fail some of these; `--teeth` shows it."""
