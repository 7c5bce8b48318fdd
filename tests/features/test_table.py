# SPDX-License-Identifier: Apache-2.0
"""What the table of features says of a row: how many tests, and on which kinds of hosts."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest

from tests.support.runtime import TREE


@pytest.fixture(scope="module")
def table() -> ModuleType:
    spec = importlib.util.spec_from_file_location("features_table", TREE / "tools/features.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("results", "remark", "expected"),
    [
        ([("a", "passed", "host"), ("b", "passed", "host")], "", "Y (2)"),
        ([("a", "passed", "host"), ("a", "passed", "v2")], "", "Y (1; host, v2)"),
        ([("a", "skipped", "host"), ("a", "passed", "systemd")], "", "Y (1; systemd)"),
        ([("a", "passed", "host"), ("b", "failed", "v2")], "", "N: 1 of 2 tests fail"),
        ([("a", "skipped", "host")], "", "skipped on this machine"),
        ([("a", "passed", "v2")], "(words)", "Y (1; v2) (words)"),
        ([], "left out", "left out"),
        ([], "", "-"),
    ],
)
def test_a_row_says_where_it_was_proved(
    table: ModuleType, results: list[tuple[str, str, str]], remark: str, expected: str
) -> None:
    proof = table.Proof()
    for test, outcome, host in results:
        proof.add(test, outcome, host, table.MODES[0])
    assert table.verdict(proof, remark) == expected


def test_every_guest_is_a_kind_of_host(table: ModuleType) -> None:
    from tests.vm.jobs import JOBS

    assert set(JOBS) - {"security"} == set(table.HOSTS) - {"host"}
