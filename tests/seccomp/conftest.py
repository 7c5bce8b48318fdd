# SPDX-License-Identifier: Apache-2.0
"""The directory of the probe and its filters, there before a test is watched for what it leaves."""

from __future__ import annotations

import pytest

from tests.seccomp import kernel


@pytest.fixture(scope="session", autouse=True)
def _scratch() -> None:
    kernel.scratch()
