# SPDX-License-Identifier: Apache-2.0
"""The plan of every case is the one that was reviewed: `make update-plans` writes them again."""

from __future__ import annotations

import pytest

from tests.plans import cases


@pytest.mark.parametrize("name", cases.names())
def test_the_plan_is_the_reviewed_one(name: str, request: pytest.FixtureRequest) -> None:
    path = cases.HERE / f"{name}.txt"
    found = cases.text(name)
    if request.config.getoption("--update-plans"):
        path.write_text(found)
    assert path.exists(), f"{path} is missing: run `make update-plans` and review it"
    assert found == path.read_text(), "the plan changed: `make update-plans`, then review the diff"


def test_every_text_belongs_to_a_case() -> None:
    texts = {path.stem for path in cases.HERE.glob("*.txt")}
    assert texts == set(cases.names())
